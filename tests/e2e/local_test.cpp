// Goal: a cluster on this machine leaves nothing behind, whatever ends it, and a caller reaches its source alone; the program
// says when its output was lost. Method: the real binary as a person starts it, ended by signals; its temporary folder is the
// test's.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "local/local_cluster.h"
#include "platform/files.h"
#include "platform/process.h"
#include "platform/temp_folder.h"
#include "transport/channel.h"
#include "transport/transport.h"

namespace tideline::e2e {
namespace {

namespace fs = std::filesystem;

SteadyTime soon() { return deadline_in(std::chrono::seconds(30)); }

std::string binary() {
  const char* path = std::getenv("TIDELINE_BINARY");
  return path != nullptr ? path : "build/release/bin/tideline";
}

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

constexpr const char* kCluster =
    "version: 2\n"
    "nodes:\n"
    "  - {name: camera, tier: device, address: \"127.0.0.1:7411\"}\n"
    "  - {name: gateway, tier: edge, address: \"127.0.0.1:7412\"}\n"
    "  - {name: server, tier: cloud, address: \"127.0.0.1:7413\"}\n"
    "links:\n"
    "  - {from: camera, to: gateway, bandwidth: 1Gbit/s, rtt: 1ms}\n"
    "  - {from: gateway, to: server, bandwidth: 1Gbit/s, rtt: 1ms}\n"
    "  - {from: camera, to: server, bandwidth: 1Gbit/s, rtt: 1ms}\n"
    "source: camera\n";

class LocalTest : public ::testing::Test {
 protected:
  LocalTest() : folder_(TempFolder::make("tideline-e2e").value()) {
    fs::create_directory(temporary_);
    ::setenv("TMPDIR", temporary_.c_str(), 1);
    std::ofstream(folder_.path() + "/c.yaml") << kCluster;
  }
  ~LocalTest() override { ::unsetenv("TMPDIR"); }

  // `local up`, once its nodes are up.
  Process up(const std::string& links) {
    auto started = Process::start(
        {.words = {binary(), "local", "up", folder_.path() + "/c.yaml", "--links", links, "--out", folder_.path() + "/up.yaml"},
         .pipe_output = true,
         .error_file = folder_.path() + "/err"});
    EXPECT_TRUE(started) << started.error().message;
    const auto line = started->read_line(soon(), CancelToken());
    EXPECT_TRUE(line) << line.error().message << text_of(folder_.path() + "/err");
    return std::move(started).value();
  }
  static std::vector<pid_t> children_of(pid_t process) {
    std::istringstream text(text_of("/proc/" + std::to_string(process) + "/task/" + std::to_string(process) + "/children"));
    std::vector<pid_t> all;
    for (pid_t child; text >> child;) all.push_back(child);
    return all;
  }
  // Gone, or a zombie that somebody else must reap.
  static bool has_ended(pid_t process) {
    const std::string stat = text_of("/proc/" + std::to_string(process) + "/stat");
    return stat.empty() || stat.substr(stat.rfind(')') + 1, 2) == " Z";
  }
  static void expect_to_end(const std::vector<pid_t>& processes) {
    const SteadyTime until = soon();
    for (const pid_t process : processes) {
      while (!has_ended(process) && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      EXPECT_TRUE(has_ended(process));
    }
  }
  std::size_t left_behind() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(temporary_), fs::directory_iterator()));
  }

  TempFolder folder_;
  std::string temporary_ = folder_.path() + "/tmp";
};

TEST_F(LocalTest, HangingUpEndsItAsCtrlCDoes) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    Process local = up("none");
    const std::vector<pid_t> daemons = children_of(local.id());
    EXPECT_EQ(daemons.size(), 3u);
    EXPECT_EQ(left_behind(), 1u);
    local.signal(signal);
    const auto end = local.wait(soon());
    ASSERT_TRUE(end);
    EXPECT_TRUE(end->good()) << to_string(*end);
    expect_to_end(daemons);
    EXPECT_EQ(left_behind(), 0u);
  }
}

TEST_F(LocalTest, WhatAKilledOneLeavesGoesWithTheNext) {
  Process killed = up("none");
  const std::vector<pid_t> daemons = children_of(killed.id());
  for (const pid_t daemon : daemons) ::kill(daemon, SIGSTOP);
  killed.signal(SIGKILL);
  ASSERT_TRUE(killed.wait(soon()));
  expect_to_end(daemons);
  EXPECT_EQ(left_behind(), 1u);
  Process next = up("none");
  EXPECT_EQ(left_behind(), 1u) << "its own";
  next.end(std::chrono::seconds(30));
  EXPECT_EQ(left_behind(), 0u);
}

TEST_F(LocalTest, NamespacesOfAKilledOneGoWithTheNext) {
  if (const Status available = namespaces_available(); !available)
    GTEST_SKIP() << "SKIPPED LOUDLY: " << available.error().message;
  const auto spaces = [] {
    std::size_t count = 0;
    std::error_code none;
    for (auto it = fs::directory_iterator("/run/netns", none); !none && it != fs::directory_iterator(); it.increment(none))
      count += it->path().filename().string().starts_with("tl") ? 1 : 0;
    return count;
  };
  const std::size_t before = spaces();
  Process killed = up("namespaces");
  killed.signal(SIGKILL);
  ASSERT_TRUE(killed.wait(soon()));
  Process next = up("namespaces");
  next.end(std::chrono::seconds(30));
  // Others may come and go beside this test, but three namespaces of a dead one would stay.
  EXPECT_LE(spaces(), before + 2);
}

TEST_F(LocalTest, ADeadDaemonIsReported) {
  Process local = up("none");
  const std::vector<pid_t> daemons = children_of(local.id());
  ASSERT_EQ(daemons.size(), 3u);
  ::kill(daemons[1], SIGKILL);
  const SteadyTime until = soon();
  const std::string expected = "node 'gateway' has ended: signal 9";
  while (text_of(folder_.path() + "/err").find(expected) == std::string::npos && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_NE(text_of(folder_.path() + "/err").find(expected), std::string::npos);
  EXPECT_EQ(to_string(local.end(std::chrono::seconds(30))), "exit code 5");
}

TEST_F(LocalTest, ACallerReachesTheSourceAlone) {
  if (const Status available = namespaces_available(); !available)
    GTEST_SKIP() << "SKIPPED LOUDLY: " << available.error().message;
  const auto local = LocalCluster::start(load_cluster(folder_.path() + "/c.yaml").value(),
                                         {.binary = binary(),
                                          .store_folder = folder_.path() + "/store",
                                          .emulation = LinkEmulation::kNamespaces,
                                          .log_folder = folder_.path(),
                                          .reach_all = false},
                                         CancelToken());
  ASSERT_TRUE(local) << local.error().message;
  const Cluster& cluster = (*local)->cluster();
  const auto tcp = make_tcp_transport({});
  // Whether a node answers there: that somebody takes the connection may be a gateway's doing.
  const auto greets = [&](const std::string& host, std::uint16_t port, SteadyTime deadline) {
    auto connection = tcp->connect({host, port}, deadline);
    if (!connection) return false;
    Channel channel(std::move(*connection));
    wire::Hello hello;
    hello.role = wire::Role::kCaller;
    hello.session = wire::random_session_id();
    hello.name = "test";
    return channel.greet(hello, deadline).has_value();
  };
  EXPECT_TRUE(greets(cluster.nodes[0].host, cluster.nodes[0].port, soon()));
  for (const Link& link : cluster.links)
    EXPECT_FALSE(greets(link.host, link.port, deadline_in(std::chrono::milliseconds(200)))) << link.host;
  // And over its links the source reaches the others.
  for (const Link& link : cluster.links) {
    // 10.213.INDEX.x
    const std::string index = link.host.substr(7, link.host.rfind('.') - 7);
    const std::string from = "tl" + index + "-" + std::to_string(static_cast<int>(link.from));
    EXPECT_TRUE(run_program({"ip", "netns", "exec", from, "bash", "-c", "exec 3<>/dev/tcp/" + link.host + "/7411"}, soon()))
        << from << " to " << link.host;
  }
}

// Segments, installation and requests travel along the route: the caller has a way to the camera alone.
TEST_F(LocalTest, RunsOverNodesThatTheCallerCannotReach) {
  if (const Status available = namespaces_available(); !available)
    GTEST_SKIP() << "SKIPPED LOUDLY: " << available.error().message;
  const std::string model = folder_.path() + "/lenet5.onnx";
  ASSERT_TRUE(run_program({binary(), "zoo", "lenet5", "-o", model}, soon()));
  const auto ran = run_program({binary(), "local", "run", folder_.path() + "/c.yaml", model, "--cuts", "3,6", "-n", "3",
                                "--verify", "-q", "--links", "namespaces", "--reach", "source", "-o", "json"},
                               soon());
  ASSERT_TRUE(ran) << ran.error().message;
  EXPECT_NE(ran->find("\"verified\":"), std::string::npos) << *ran;
  EXPECT_EQ(ran->find("\"verified\": false"), std::string::npos) << *ran;
  for (const char* node : {"camera", "gateway", "server"}) EXPECT_NE(ran->find(node), std::string::npos) << *ran;
}

TEST_F(LocalTest, LostOutputIsAFailure) {
  for (const char* arguments : {"--help", "--version", "zoo --list", "zoo --list --json", "config validate c.yaml"}) {
    const auto ended =
        run_program({"sh", "-c", "cd '" + folder_.path() + "'; '" + binary() + "' " + arguments + " >/dev/full"}, soon());
    ASSERT_FALSE(ended) << arguments;
    EXPECT_NE(ended.error().message.find("cannot write to standard output"), std::string::npos) << ended.error().message;
  }
}

TEST_F(LocalTest, NamesOfNodesCannotLeadOutOfTheStore) {
  for (const char* name : {"..", "a/b", "-x", "\x1b[31mred", ""}) {
    auto node = Process::start({.words = {binary(), "node", std::string("--name=") + name, "--listen", "127.0.0.1:0"},
                                .pipe_output = true,
                                .error_file = folder_.path() + "/err"});
    ASSERT_TRUE(node);
    const auto end = node->wait(soon());
    ASSERT_TRUE(end) << name;
    EXPECT_NE(end->exit_code, 0) << name;
  }
  EXPECT_EQ(text_of(folder_.path() + "/err").find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace tideline::e2e
