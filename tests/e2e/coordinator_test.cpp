// Goal: a fleet is kept up. What was promised runs, what does not fit is refused, nothing is forgotten by a coordinator that is
// killed, and the tasks of a gateway that dies are said to be down, moved where there is room, and back when it returns.
// Method: real processes on loopback; counted, never timed. The model's profile is made up, so that what fits is known.
#include <csignal>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command_line.h"
#include "fleet/up/store.h"
#include "platform/descriptor.h"
#include "platform/process.h"
#include "tensor/npy.h"

namespace tideline::e2e {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CoordinatorTest : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(run("zoo lenet5 -o " + path("lenet5.onnx")).exit_code, 0);
    ASSERT_EQ(run("profile " + path("lenet5.onnx") + " --time 0.2s --codecs none --out " + path("digits.profile.json")).exit_code,
              0);
    // A millisecond for each of its thirteen blocks: ten on the gateways, which are ten times slower.
    json profile = json::parse(slurp(path("digits.profile.json")));
    ASSERT_EQ(profile["blocks"].size(), 13u);
    for (json& block : profile["blocks"]) block["time_ms"] = 1;
    write("digits.profile.json", profile.dump());
    for (const char* name : {"cam1", "gw1", "gw2", "cloud"}) start_node(name, 0);
    write("site.yaml",
          "version: 2\nnodes:\n"
          "  - {name: cam1, tier: device, address: " +
              address_["cam1"] +
              "}\n"
              "  - {name: gw1, tier: edge, address: " +
              address_["gw1"] +
              ", slowdown: 10}\n"
              "  - {name: gw2, tier: edge, address: " +
              address_["gw2"] +
              ", slowdown: 10}\n"
              "  - {name: cloud, tier: cloud, address: " +
              address_["cloud"] +
              "}\n"
              "links:\n"
              "  - {from: cam1, to: gw1, bandwidth: 50Mbit/s, rtt: 1ms}\n"
              "  - {from: cam1, to: gw2, bandwidth: 40Mbit/s, rtt: 1ms}\n"
              "  - {from: gw1, to: cloud, bandwidth: 20Mbit/s, rtt: 2ms}\n"
              "  - {from: gw2, to: cloud, bandwidth: 20Mbit/s, rtt: 2ms}\n"
              "source: cam1\n");
    file_ = write("fleet.yaml",
                  "version: 1\ncluster: site.yaml\nmodels:\n"
                  "  - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}\n"
                  "tasks:\n"
                  "  - {name: door, model: digits, source: cam1, rate: 10/s, deadline: 2s}\n"
                  "  - {name: hall, model: digits, source: gw2, rate: 5/s, deadline: 2s, keep_on_source: 3}\n"
                  "  - {name: yard, model: digits, source: gw1, rate: 5/s, deadline: 2s, drop: oldest}\n");
  }
  void TearDown() override {
    coordinator_.reset();
    nodes_.clear();
    CommandLine::TearDown();
  }

  Process start_process(std::vector<std::string> words, const std::string& errors) {
    words.insert(words.begin(), binary_);
    auto process = Process::start({.words = std::move(words), .pipe_output = true, .error_file = path(errors)});
    EXPECT_TRUE(process) << process.error().message;
    return std::move(*process);
  }
  std::string first_line(Process& process) {
    const auto line = process.read_line(std::chrono::steady_clock::now() + std::chrono::seconds(60), CancelToken());
    EXPECT_TRUE(line) << line.error().message;
    return line ? *line : "";
  }
  void start_node(const std::string& name, int port) {
    const std::string listen = address_.contains(name) ? address_[name] : "127.0.0.1:" + std::to_string(port);
    std::vector<std::string> words{"node",      "--name", name, "--listen", listen, "--store", path("store-" + name),
                                   "--threads", "1"};
    nodes_.insert_or_assign(name, start_process(words, name + ".err"));
    const std::string said = first_line(nodes_.at(name));
    address_[name] = said.substr(said.rfind(' ') + 1);
  }
  // `input`: a file or pipe that is its standard input; empty: the test's own.
  void start_coordinator(const std::string& input = "") {
    if (input.empty()) {
      coordinator_.emplace(start_process({"fleet", "up", file_, "--moves", "1"}, "up.err"));
    } else {
      auto process = Process::start({.words = {"sh", "-c", "exec \"$0\" fleet up \"$1\" < \"$2\"", binary_, file_, input},
                                     .pipe_output = true,
                                     .error_file = path("up.err")});
      ASSERT_TRUE(process) << process.error().message;
      coordinator_.emplace(std::move(*process));
    }
    ready_ = first_line(*coordinator_);
    ASSERT_THAT(ready_, HasSubstr("control at")) << slurp(path("up.err"));
  }
  json status() const {
    const Outcome said = run("fleet status " + file_ + " -o json");
    return said.exit_code == 0 ? said.json() : json();
  }
  static json task(const json& status, const std::string& name) {
    if (status.contains("tasks"))
      for (const json& each : status["tasks"])
        if (each["name"] == name) return each;
    return {{"state", "none"}, {"requests", 0}};
  }
  std::string state_of(const std::string& name) const { return task(status(), name)["state"]; }
  std::uint64_t requests_of(const std::string& name) const { return task(status(), name)["requests"]; }
  bool grows(const std::string& name) const {
    const std::uint64_t before = requests_of(name);
    return eventually([&] { return requests_of(name) >= before + 3; });
  }

  std::map<std::string, Process> nodes_;
  std::map<std::string, std::string> address_;
  std::optional<Process> coordinator_;
  std::string ready_;
  std::string file_;
};

TEST_F(CoordinatorTest, TasksComeAndGoWhileTheOthersRun) {
  const Outcome nobody = run("fleet status " + file_);
  EXPECT_EQ(nobody.exit_code, 5);
  EXPECT_THAT(nobody.err, HasSubstr("tideline fleet up"));
  start_coordinator();
  EXPECT_THAT(ready_, HasSubstr("3 of 3 tasks run"));
  for (const char* name : {"door", "hall", "yard"}) EXPECT_TRUE(grows(name)) << name;
  const json first = status();
  EXPECT_EQ(first["admitted"], 3);
  EXPECT_EQ(first["down"], 0);
  const auto is_counted = [&] {
    const json now = status();
    return std::any_of(now["nodes"].begin(), now["nodes"].end(), [](const json& node) {
      return node["segments"].is_object() && node["segments"]["loaded"] > 0 && node["segments"]["reloaded"] == 0;
    });
  };
  EXPECT_TRUE(eventually(is_counted)) << status()["nodes"].dump();
  for (const json& each : first["tasks"]) {
    EXPECT_EQ(each["failed"], 0) << each.dump();
    EXPECT_GT(each["latency_ms"]["median"].get<double>(), 0) << each.dump();
    EXPECT_GE(each["bound_ms"].get<double>(), each["predicted_ms"].get<double>()) << each.dump();
  }
  // 130 ms on gw2 at four a second: half of it, once and not twice.
  const std::string whole = " --model digits --source gw2 --rate 4/s --deadline 2s --keep-on-source 13";
  const Outcome fits = run("fleet submit " + file_ + " big" + whole + " -o json");
  ASSERT_EQ(fits.exit_code, 0) << fits.err << slurp(path("up.err"));
  EXPECT_EQ(fits.json()["tasks"][0]["cut"], "the output");
  EXPECT_TRUE(grows("big"));
  const json before = status();
  const Outcome full = run("fleet submit " + file_ + " more" + whole + " -o json");
  EXPECT_EQ(full.exit_code, 4);
  EXPECT_EQ(full.json()["tasks"][0]["admitted"], false);
  EXPECT_THAT(full.json()["tasks"][0]["why"].get<std::string>(), HasSubstr("gw2"));
  const json after = status();
  EXPECT_EQ(after["tasks"].size(), 4u);
  for (const json& each : before["tasks"]) EXPECT_EQ(task(after, each["name"])["cut"], each["cut"]);
  // What could not run alone either is said at once, as are names that are taken and words that are none.
  const Outcome hurried = run("fleet submit " + file_ + " mad --model digits --source cam1 --rate 1/s --deadline 1ms");
  EXPECT_EQ(hurried.exit_code, 4);
  EXPECT_THAT(hurried.err, HasSubstr("fastest way takes"));
  EXPECT_EQ(run("fleet submit " + file_ + " door --model digits --source cam1 --rate 1/s --deadline 1s").exit_code, 3);
  EXPECT_EQ(run("fleet submit " + file_ + " x --model digitz --source cam1 --rate 1/s --deadline 1s").exit_code, 3);
  // What a removed task had is free.
  EXPECT_EQ(run("fleet remove " + file_ + " big").exit_code, 0);
  EXPECT_EQ(run("fleet remove " + file_ + " big").exit_code, 3);
  EXPECT_EQ(run("fleet submit " + file_ + " more" + whole).exit_code, 0);
  EXPECT_TRUE(grows("more"));
  // For people, and as a figure.
  EXPECT_THAT(run("fleet status " + file_).out, HasSubstr("running     4 tasks"));
  const Outcome table = run("fleet report " + file_ + " -o csv --svg " + path("figure.svg"));
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_THAT(table.out, HasSubstr("task,state,cut,requests,late,dropped,predicted_ms"));
  EXPECT_THAT(slurp(path("figure.svg")), HasSubstr("share of the deadline"));
  // One coordinator for one fleet, and it ends when it is told.
  EXPECT_EQ(run("fleet up " + file_).exit_code, 7);
  EXPECT_EQ(run("fleet down " + file_).exit_code, 0);
  const auto end = coordinator_->wait(std::chrono::steady_clock::now() + std::chrono::seconds(30));
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->good()) << to_string(*end) << slurp(path("up.err"));
}

TEST_F(CoordinatorTest, AKilledCoordinatorContinuesWhereItWas) {
  start_coordinator();
  ASSERT_EQ(run("fleet submit " + file_ + " gate --model digits --source cam1 --rate 5/s --deadline 2s").exit_code, 0);
  ASSERT_EQ(run("fleet remove " + file_ + " yard").exit_code, 0);
  for (const char* name : {"door", "hall", "gate"}) EXPECT_TRUE(grows(name)) << name;
  const json before = status();
  coordinator_->signal(SIGKILL);
  ASSERT_TRUE(coordinator_->wait(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  start_coordinator();
  const json after = status();
  EXPECT_EQ(after["tasks"].size(), 3u);
  EXPECT_EQ(after["admitted"], 3);
  EXPECT_GE(after["up_s"].get<double>(), before["up_s"].get<double>());
  for (const char* name : {"door", "hall", "gate"}) {
    EXPECT_EQ(task(after, name)["state"], "running") << name;
    EXPECT_EQ(task(after, name)["cut"], task(before, name)["cut"]) << name;
    for (const char* counter : {"requests", "late", "dropped", "failed"})
      EXPECT_GE(task(after, name)[counter].get<std::uint64_t>(), task(before, name)[counter].get<std::uint64_t>())
          << name << counter;
    EXPECT_TRUE(grows(name)) << name;
  }
}

TEST_F(CoordinatorTest, TheTasksOfADeadGatewayAreDownMovedAndBack) {
  start_coordinator();
  for (const char* name : {"door", "hall", "yard"}) EXPECT_TRUE(grows(name)) << name;
  EXPECT_EQ(task(status(), "door")["gateways"][0], "gw1");
  nodes_.at("gw1").signal(SIGKILL);
  // Its own source's task is down; the camera has a link to the other gateway.
  EXPECT_TRUE(eventually([&] { return state_of("yard") == "down"; }));
  EXPECT_THAT(task(status(), "yard")["why"].get<std::string>(), HasSubstr("'gw1' does not answer"));
  EXPECT_EQ(status()["silent_nodes"], json::array({"gw1"}));
  EXPECT_TRUE(eventually([&] { return state_of("door") == "running"; }));
  EXPECT_EQ(task(status(), "door")["gateways"][0], "gw2");
  for (const char* name : {"door", "hall"}) EXPECT_TRUE(grows(name)) << name;
  start_node("gw1", 0);
  EXPECT_TRUE(eventually([&] {
    const json now = status();
    return task(now, "yard")["state"] == "running" && task(now, "door")["state"] == "running" &&
           task(now, "door")["gateways"][0] == "gw1";
  }));
  for (const char* name : {"door", "hall", "yard"}) EXPECT_TRUE(grows(name)) << name;
  EXPECT_EQ(status()["silent_nodes"], json::array());
}

// A cloud that starts anew has forgotten every plan, and so has a gateway that was away too shortly to be missed.
TEST_F(CoordinatorTest, WhatARestartedNodeHasLostIsInstalledAgain) {
  start_coordinator();
  for (const char* name : {"door", "hall", "yard"}) EXPECT_TRUE(grows(name)) << name;
  for (const char* node : {"cloud", "gw2"}) {
    nodes_.at(node).signal(SIGKILL);
    nodes_.at(node).wait(std::chrono::steady_clock::now() + std::chrono::seconds(10));
    start_node(node, 0);
    for (const char* name : {"door", "hall", "yard"}) {
      const auto answered = [&] {
        const json now = task(status(), name);
        return now["requests"].get<std::uint64_t>() - now["failed"].get<std::uint64_t>() - now["dropped"].get<std::uint64_t>();
      };
      const std::uint64_t before = answered();
      EXPECT_TRUE(eventually([&] { return answered() >= before + 3; })) << name << " after " << node << ": " << status().dump(1);
    }
  }
}

TEST_F(CoordinatorTest, TheNameOfARemovedTaskIsFree) {
  start_coordinator();
  ASSERT_EQ(run("fleet remove " + file_ + " yard").exit_code, 0);
  const Outcome again = run("fleet submit " + file_ + " yard --model digits --source gw1 --rate 2/s --deadline 3s -o json");
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(grows("yard"));
  EXPECT_EQ(task(status(), "yard")["rate_hz"], 2.0);
  EXPECT_EQ(status()["tasks"].size(), 3u);
  // It is that one after a crash too, and when it goes, the file's stays removed.
  const auto crash = [&] {
    coordinator_->signal(SIGKILL);
    ASSERT_TRUE(coordinator_->wait(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
    start_coordinator();
  };
  crash();
  EXPECT_EQ(task(status(), "yard")["rate_hz"], 2.0);
  EXPECT_EQ(status()["tasks"].size(), 3u);
  ASSERT_EQ(run("fleet remove " + file_ + " yard").exit_code, 0);
  crash();
  EXPECT_EQ(status()["tasks"].size(), 2u);
}

// Of two cameras at one gateway one dies: the other one's task goes on.
TEST_F(CoordinatorTest, AGatewayBehindADeadCameraLives) {
  start_node("cam2", 0);
  const std::string site = slurp(path("site.yaml"));
  const std::string links = "links:\n";
  const auto at = site.find(links);
  write("site.yaml", site.substr(0, at) + "  - {name: cam2, tier: device, address: " + address_["cam2"] + "}\n" + links +
                         "  - {from: cam2, to: gw1, bandwidth: 50Mbit/s, rtt: 1ms}\n" + site.substr(at + links.size()));
  write("fleet.yaml",
        "version: 1\ncluster: site.yaml\nmodels:\n"
        "  - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}\n"
        "tasks:\n"
        "  - {name: one, model: digits, source: cam1, rate: 5/s, deadline: 2s}\n"
        "  - {name: two, model: digits, source: cam2, rate: 5/s, deadline: 2s}\n");
  start_coordinator();
  for (const char* name : {"one", "two"}) EXPECT_TRUE(grows(name)) << name;
  nodes_.at("cam1").signal(SIGKILL);
  EXPECT_TRUE(eventually([&] { return state_of("one") == "down"; }));
  const json now = status();
  EXPECT_EQ(now["silent_nodes"], json::array({"cam1"}));
  EXPECT_EQ(task(now, "two")["state"], "running");
  EXPECT_EQ(task(now, "two")["gateways"][0], "gw1");
  EXPECT_TRUE(grows("two"));
}

// A camera's program writes frames into the coordinator, and then something else.
TEST_F(CoordinatorTest, FramesComeOnStandardInput) {
  write("fleet.yaml",
        "version: 1\ncluster: site.yaml\nmodels:\n"
        "  - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}\n"
        "  - {name: live, file: lenet5.onnx, profiles: digits.profile.json, frames: stdin}\n"
        "tasks:\n"
        "  - {name: door, model: live, source: cam1, rate: 20/s, deadline: 2s}\n"
        "  - {name: yard, model: digits, source: gw1, rate: 5/s, deadline: 2s}\n");
  const std::string fifo = path("frames");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  Descriptor camera(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(camera);
  start_coordinator(fifo);
  EXPECT_THAT(ready_, HasSubstr("2 of 2 tasks run"));
  EXPECT_TRUE(grows("yard"));
  EXPECT_EQ(requests_of("door"), 0u) << "no frame has come";
  const TensorSpec spec{"x", DType::kFloat32, {1, 1, 32, 32}};
  const std::vector<float> pixels(32 * 32, 0.5f);
  const std::string frame = *write_npy({&spec, std::as_bytes(std::span(pixels))});
  const TensorSpec other{"x", DType::kFloat32, {1, 1, 14, 14}};
  const std::string wrong = *write_npy({&other, std::as_bytes(std::span(pixels).first(14 * 14))});
  for (const std::string& bytes : {frame, frame, wrong, frame})
    ASSERT_EQ(::write(camera.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_TRUE(eventually([&] { return requests_of("door") == 3; })) << status().dump(1);
  json door = task(status(), "door");
  EXPECT_EQ(door["failed"], 0);
  EXPECT_EQ(door["frames"]["read"], 4);
  EXPECT_EQ(door["frames"]["bad"], 1);
  EXPECT_EQ(door["frames"]["ended"], false);
  EXPECT_THAT(door["frames"]["why"].get<std::string>(), HasSubstr("14"));
  ASSERT_EQ(::write(camera.get(), "GIF89a", 6), 6);
  EXPECT_TRUE(eventually([&] { return task(status(), "door")["frames"]["ended"] == true; }));
  EXPECT_TRUE(eventually([&] { return slurp(path("up.err")).find("sends nothing more") != std::string::npos; }));
  EXPECT_TRUE(grows("yard"));
  EXPECT_EQ(requests_of("door"), 3u);
  // One task for one standard input.
  const Outcome second = run("fleet submit " + file_ + " gate --model live --source cam1 --rate 1/s --deadline 2s");
  EXPECT_EQ(second.exit_code, 3);
  EXPECT_THAT(second.err, HasSubstr("one task with one source"));
}

// A state of a thousand tasks in forty groups, of which nobody can run: one screen for people, everything for programs.
TEST_F(CoordinatorTest, AThousandTasksAreOneScreen) {
  std::string tasks;
  fleet::StoredFleet stored{.file_sha256 = "another", .seconds = 3600, .used = {}, .tasks = {}};
  for (int group = 0; group < 40; ++group) {
    tasks += "  - {name: group" + std::to_string(group) + ", model: digits, source: " + (group % 2 == 0 ? "cam1" : "gw2") +
             ", rate: 1/min, deadline: 2s, count: 25}\n";
    for (int n = 1; n <= 25; ++n) {
      stored.tasks.push_back({.name = "group" + std::to_string(group) + "-" + std::to_string(n), .counters = {}});
      stored.tasks.back().counters.requests = static_cast<std::uint64_t>(100 * group + n);
      stored.tasks.back().counters.late = static_cast<std::uint64_t>(group);
      for (int k = 0; k < 3; ++k) stored.tasks.back().counters.latencies.add(10.0 * n);
    }
  }
  write("fleet.yaml",
        "version: 1\ncluster: site.yaml\nmodels:\n"
        "  - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}\n"
        "tasks:\n" +
            tasks);
  {
    auto store = fleet::FleetStore::open(file_ + ".state");
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->save(stored));
  }
  nodes_.clear();
  start_coordinator();
  EXPECT_THAT(ready_, HasSubstr("0 of 1000 tasks run"));
  const json now = status();
  ASSERT_EQ(now["tasks"].size(), 1000u);
  EXPECT_EQ(now["down"], 1000);
  const json one = task(now, "group7-9");
  EXPECT_EQ(one["requests"], 709);
  EXPECT_EQ(one["late"], 7);
  EXPECT_NEAR(one["latency_ms"]["median"].get<double>(), 90, 1);
  const std::string screen = run("fleet status " + file_).out;
  EXPECT_LE(std::count(screen.begin(), screen.end(), '\n'), 42) << screen;
  // The latest come first; all requests of a group together.
  EXPECT_THAT(screen, HasSubstr("group39 (25 tasks)           down"));
  EXPECT_THAT(screen, HasSubstr(std::to_string(25 * 3900 + 25 * 26 / 2)));
  EXPECT_THAT(screen, HasSubstr("and 24 more groups of 600 tasks"));
}

}  // namespace
}  // namespace tideline::e2e
