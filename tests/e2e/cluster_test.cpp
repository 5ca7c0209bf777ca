// Goal: the split run over real processes gives the unsplit model's answer, and every fault of a node gives the caller a typed
// error before its deadline while the others live on. Method: three daemons on loopback or in network namespaces; faults by
// signals.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

namespace tideline::e2e {
namespace {

using Clock = std::chrono::steady_clock;
constexpr Nanos kTimeout = std::chrono::seconds(5);

// Returns when every thread of the process has stopped: the signal alone is on its way, and a request could overtake it.
void freeze(pid_t process) {
  ::kill(process, SIGSTOP);
  const auto is_stopped = [](const std::filesystem::path& thread) {
    std::stringstream stat;
    stat << std::ifstream(thread / "stat").rdbuf();
    // "PID (name) STATE ...", where the name may hold anything.
    const std::string text = stat.str();
    const auto at = text.rfind(')');
    return at != std::string::npos && text.substr(at + 1, 2) == " T";
  };
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (Clock::now() < deadline) {
    const std::filesystem::directory_iterator threads("/proc/" + std::to_string(process) + "/task");
    if (std::all_of(begin(threads), std::filesystem::directory_iterator(),
                    [&](const auto& entry) { return is_stopped(entry.path()); }))
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  FAIL() << "the node does not stop";
}

class ClusterTest : public ::testing::Test {
 protected:
  void start(LinkEmulation emulation, const Cluster& cluster = three_nodes()) {
    local_ = need(
        LocalCluster::start(
            cluster,
            {.binary = binary(), .store_folder = folder_.path() + "/store", .emulation = emulation, .log_folder = folder_.path()},
            CancelToken()),
        "local cluster");
    client_ = std::make_unique<ClusterClient>(*transport_, local_->cluster());
  }
  DeployReport deploy(const Plan& plan) {
    return need(client_->deploy(network_.model, network_.chain, plan, CancelToken(), {}), "deploy");
  }
  void expect_right(const RunAnswer& answer) {
    ASSERT_EQ(answer.outputs.size(), 1u);
    ASSERT_EQ(answer.outputs[0].data.size(), network_.reference.size());
    const auto* got = reinterpret_cast<const float*>(answer.outputs[0].data.data());
    const auto* expected = reinterpret_cast<const float*>(network_.reference.data());
    for (std::size_t i = 0; i < network_.reference.size() / sizeof(float); ++i)
      EXPECT_NEAR(got[i], expected[i], 1e-5) << "at " << i;
  }

  // By a caller of its own each time, so that it sees no stale connection.
  std::uint32_t running(std::size_t node) {
    ClusterClient watcher(*transport_, local_->cluster());
    const auto peer = need(watcher.peer(node), "peer");
    return need(peer->status(deadline_in(kTimeout)), "status").requests_running;
  }
  static bool soon(const std::function<bool()>& condition) {
    for (int tries = 0; tries < 1000; ++tries) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  void wait_until_running(std::size_t node) {
    EXPECT_TRUE(soon([&] { return running(node) > 0; })) << "no request arrives at node " << node;
  }

  Folder folder_;
  Network network_ = Network::make("lenet5");
  std::unique_ptr<Transport> transport_ = make_tcp_transport({});
  std::unique_ptr<LocalCluster> local_;
  std::unique_ptr<ClusterClient> client_;
};

TEST_F(ClusterTest, SplitEqualsUnsplitForEveryPlacement) {
  start(LinkEmulation::kNone);
  const std::uint32_t last = network_.chain.block_count() - 1;
  for (std::uint32_t first = 0; first + 1 < last; ++first) {
    deploy(network_.plan(first, first + 1));
    const auto answer = need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
    expect_right(answer);
    ASSERT_EQ(answer.stages.size(), 3u);
    EXPECT_EQ(answer.stages[0].node, "camera");
    EXPECT_EQ(answer.stages[2].node, "server");
    EXPECT_GT(answer.latency.count(), 0);
  }
}

TEST_F(ClusterTest, NodesWithoutASegmentPassOn) {
  start(LinkEmulation::kNone);
  Plan plan = network_.plan_in_thirds();
  plan.segments = {{.node = "server", .first_block = 0, .last_block = network_.chain.block_count() - 1}};
  deploy(plan);
  const auto answer = need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
  expect_right(answer);
  ASSERT_EQ(answer.stages.size(), 3u);
  EXPECT_EQ(answer.stages[0].compute.count(), 0);
  EXPECT_GT(answer.stages[2].compute.count(), 0);
}

TEST_F(ClusterTest, NetworkNamespacesWithShapedLinks) {
  if (const Status available = namespaces_available(); !available)
    GTEST_SKIP() << "SKIPPED LOUDLY: " << available.error().message;
  // System: an image of 28 x 28 floats (3,136 B) crosses both links at 100 kB/s with 10 ms round trips and 40 B return.
  // Expectation: at least 2 x 10 ms plus what is above the first frame's burst: 2 x 15 ms.
  start(LinkEmulation::kNamespaces, three_nodes(100e3, Millis(10)));
  EXPECT_EQ(local_->emulation(), LinkEmulation::kNamespaces);
  Plan plan = network_.plan_in_thirds();
  plan.segments = {{.node = "server", .first_block = 0, .last_block = network_.chain.block_count() - 1}};
  deploy(plan);
  for (int i = 0; i < 3; ++i) {
    const auto answer = need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
    expect_right(answer);
    EXPECT_GT(answer.latency.count(), 45);
  }
}

TEST_F(ClusterTest, TransportShapesLinksWithoutRoot) {
  start(LinkEmulation::kTransport, three_nodes(100e3, Millis(10)));
  Plan plan = network_.plan_in_thirds();
  plan.segments = {{.node = "server", .first_block = 0, .last_block = network_.chain.block_count() - 1}};
  deploy(plan);
  const auto answer = need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
  expect_right(answer);
  EXPECT_GT(answer.latency.count(), 20 + 60);
}

TEST_F(ClusterTest, SegmentsArePushedOnceAndKeptOnDisk) {
  start(LinkEmulation::kNone);
  const Plan plan = network_.plan_in_thirds();
  EXPECT_EQ(deploy(plan).segments_pushed, 3u);
  EXPECT_EQ(deploy(plan).segments_pushed, 0u);
  client_.reset();
  local_.reset();
  start(LinkEmulation::kNone);
  EXPECT_EQ(deploy(plan).segments_pushed, 0u);
  expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
}

TEST_F(ClusterTest, AKilledNodeGivesATypedErrorBeforeTheDeadline) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
  ::kill(local_->process(1), SIGKILL);
  const auto answer = client_->run(network_.views(), {.timeout = kTimeout});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kDisconnected) << answer.error().message;
  EXPECT_NE(answer.error().message.find("gateway"), std::string::npos) << answer.error().message;
  // The other nodes live: the camera alone still serves.
  Plan alone = network_.plan_in_thirds();
  alone.segments = {{.node = "camera", .first_block = 0, .last_block = network_.chain.block_count() - 1}};
  deploy(alone);
  expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
}

TEST_F(ClusterTest, AFrozenNodeGivesATypedErrorBeforeTheDeadline) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
  freeze(local_->process(2));
  const auto answer = client_->run(network_.views(), {.timeout = kTimeout});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kDisconnected) << answer.error().message;
  // Awake again, it serves a fresh deployment without a restart of anybody.
  ::kill(local_->process(2), SIGCONT);
  deploy(network_.plan_in_thirds());
  expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
}

TEST_F(ClusterTest, AShortDeadlineOnAFrozenNodeIsKept) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  need(client_->run(network_.views(), {.timeout = kTimeout}), "run");
  freeze(local_->process(2));
  const auto answer = client_->run(network_.views(), {.timeout = std::chrono::milliseconds(200)});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kDeadlineExceeded) << answer.error().message;
}

TEST_F(ClusterTest, CancellationReachesTheLastNode) {
  // The server stretches every run to seconds: only a cancellation that arrives there ends the request early.
  Cluster slow = three_nodes();
  slow.nodes[2].slowdown = 1e6;
  start(LinkEmulation::kNone, slow);
  deploy(network_.plan_in_thirds());
  CancelToken cancel;
  std::thread later([&] {
    wait_until_running(2);
    cancel.cancel();
  });
  const auto answer = client_->run(network_.views(), {.timeout = std::chrono::seconds(60), .cancel = cancel});
  later.join();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled) << answer.error().message;
  EXPECT_TRUE(soon([&] { return running(2) == 0; })) << "the server still runs the cancelled request";
}

TEST_F(ClusterTest, AVanishedCallerEndsItsRequestEverywhere) {
  Cluster slow = three_nodes();
  slow.nodes[2].slowdown = 1e6;
  start(LinkEmulation::kNone, slow);
  deploy(network_.plan_in_thirds());
  std::thread request([&] { (void)client_->run(network_.views(), {.timeout = std::chrono::seconds(60)}); });
  wait_until_running(2);
  // The camera is the server's caller's caller: killing it must end the request two hops away.
  ::kill(local_->process(0), SIGKILL);
  request.join();
  EXPECT_TRUE(soon([&] { return running(2) == 0; })) << "the server still runs a request that nobody waits for";
}

// System: a caller that is stopped while the last node computes: nothing closes, nothing comes. Expectation: three missed beats
// end its request everywhere. Method: the caller is a process of its own.
TEST_F(ClusterTest, AFrozenCallerEndsItsRequestEverywhere) {
  Cluster slow = three_nodes();
  slow.nodes[2].slowdown = 1e6;
  start(LinkEmulation::kNone, slow);
  const pid_t child = ::fork();
  if (child == 0) {
    // A caller of its own; it never returns from here.
    const auto transport = make_tcp_transport({});
    ClusterClient caller(*transport, local_->cluster());
    if (caller.deploy(network_.model, network_.chain, network_.plan_in_thirds(), CancelToken(), {}))
      (void)caller.run(network_.views(), {.timeout = std::chrono::minutes(10)});
    ::_exit(0);
  }
  wait_until_running(2);
  ::kill(child, SIGSTOP);
  EXPECT_TRUE(soon([&] { return running(2) == 0; })) << "the server still runs a request of a frozen caller";
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST_F(ClusterTest, AWrongHashIsRefusedAndForgotten) {
  start(LinkEmulation::kNone);
  const auto camera = need(client_->peer(0), "peer");
  const std::string bytes(3'000'000, 'x');
  const Sha256 wrong = sha256("something else");
  const Status pushed = camera->push_segment(wrong, bytes, 0, CancelToken(), [](std::uint64_t) {});
  ASSERT_FALSE(pushed);
  EXPECT_EQ(pushed.error().code, ErrorCode::kCorrupt) << pushed.error().message;
  const auto missing = need(camera->missing_segments({wrong}, deadline_in(kTimeout)), "missing");
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].have_bytes, 0u);
  // And bytes that are what they claim, but no segment, are kept and never run.
  const Sha256 right = sha256(bytes);
  need(camera->push_segment(right, bytes, 0, CancelToken(), [](std::uint64_t) {}), "push");
  const auto installed = camera->install(
      {.epoch = 1, .stage = 0, .stages = 1, .segment = right, .inputs = {"input"}, .outputs = {"output"}}, deadline_in(kTimeout));
  ASSERT_FALSE(installed);
  EXPECT_EQ(installed.error().code, ErrorCode::kCorrupt) << installed.error().message;
}

TEST_F(ClusterTest, BadFramesEndOneConnectionAndNothingElse) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  const Node& camera = local_->cluster().nodes[0];
  const Address address{camera.host, camera.port};
  std::vector<std::string> attacks{std::string(1, '\0'), "GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(4096, '\xff'),
                                   std::string(256, '\0')};
  // A right HELLO and then garbage in place of a frame.
  const auto hello =
      need(wire::encode_hello({.role = wire::Role::kCaller, .kind = wire::ConnectionKind::kData, .name = "liar"}), "hello");
  const std::string greeting(reinterpret_cast<const char*>(hello.data()), hello.size());
  attacks.push_back(greeting + std::string(64, '\x7f'));
  wire::FrameHeader huge{
      .type = wire::FrameType::kRun, .request_id = 1, .payload_bytes = limits::kFramePayloadBytesMax, .meta_bytes = 0};
  const auto header = wire::encode_frame_header(huge);
  // With zeros in place of its meta's padding, whose checksum it lacks.
  attacks.push_back(greeting + std::string(reinterpret_cast<const char*>(header.data()), header.size()) + std::string(24, '\0'));
  for (const std::string& attack : attacks) {
    const auto connection = need(transport_->connect(address, deadline_in(kTimeout)), "connect");
    const std::span<const std::byte> pieces[] = {std::as_bytes(std::span(attack.data(), attack.size()))};
    (void)connection->send(pieces, deadline_in(kTimeout));
    if (attack.size() >= wire::kHelloBytes) {
      // All that comes before the end: nothing, or a reply to HELLO and the ERROR that ends the connection.
      std::string said;
      std::vector<std::byte> chunk(4096);
      while (true) {
        const auto got = connection->receive_some(chunk, deadline_in(kTimeout));
        if (!got) {
          EXPECT_EQ(got.error().code, ErrorCode::kDisconnected) << got.error().message;
          break;
        }
        said.append(reinterpret_cast<const char*>(chunk.data()), *got);
      }
      const bool greeted = attack.size() > wire::kHelloBytes && attack.compare(0, wire::kHelloBytes, greeting) == 0;
      ASSERT_EQ(said.size() > wire::kHelloBytes, greeted) << said.size();
      if (greeted) {
        EXPECT_EQ(said.substr(0, 8), "TIDELINE");
        EXPECT_EQ(said.substr(wire::kHelloBytes, 4), "TLF1");
      }
    }
    expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
  }
}

TEST_F(ClusterTest, RequestsThatDoNotFitArePolitelyRefused) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  TensorSpec wrong = network_.inputs[0].spec;
  wrong.shape.back() += 1;
  Tensor tensor{wrong, Buffer(*byte_size(wrong.dtype, wrong.shape))};
  const auto answer = client_->run({view(tensor)}, {.timeout = kTimeout});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument) << answer.error().message;
  expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
}

TEST_F(ClusterTest, ManyConnectionsAreRefusedAndTheNodeRecovers) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  const Node& camera = local_->cluster().nodes[0];
  {
    std::vector<std::unique_ptr<Channel>> held;
    Status refused;
    while (refused && held.size() < 2 * limits::kNodeConnectionsMax) {
      auto channel =
          std::make_unique<Channel>(need(transport_->connect({camera.host, camera.port}, deadline_in(kTimeout)), "connect"));
      const auto greeted = channel->greet({.session = wire::random_session_id(), .name = "crowd"}, deadline_in(kTimeout));
      if (!greeted) refused = greeted.error();
      held.push_back(std::move(channel));
    }
    EXPECT_GT(held.size(), 100u);
    ASSERT_FALSE(refused) << "the node has no limit";
    EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
    // Whoever is connected already is served on.
    expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
  }
  ClusterClient fresh(*transport_, local_->cluster());
  for (int tries = 0; tries < 100; ++tries) {
    if (fresh.peer(0)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  FAIL() << "the node takes no callers after the crowd left";
}

// System: no more memory for a thread's stack. Expectation: callers are refused while it lasts, and nothing else happens.
TEST_F(ClusterTest, WithoutThreadsToBeHadCallersAreRefusedAndTheNodeLives) {
  start(LinkEmulation::kNone);
  deploy(network_.plan_in_thirds());
  const Node& camera = local_->cluster().nodes[0];
  std::stringstream status;
  status << std::ifstream("/proc/" + std::to_string(local_->process(0)) + "/status").rdbuf();
  const std::string text = status.str();
  const rlim_t used = std::stoul(text.substr(text.find("VmSize:") + 7)) * 1024;
  const rlimit tight{used + 20'000'000, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(local_->process(0), RLIMIT_AS, &tight, nullptr), 0);
  {
    std::vector<std::unique_ptr<Connection>> crowd;
    for (int i = 0; i < 30; ++i)
      if (auto connection = transport_->connect({camera.host, camera.port}, deadline_in(kTimeout)))
        crowd.push_back(std::move(*connection));
  }
  const rlimit free{RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(local_->process(0), RLIMIT_AS, &free, nullptr), 0);
  ClusterClient fresh(*transport_, local_->cluster());
  EXPECT_TRUE(soon([&] { return fresh.peer(0).has_value(); })) << "the node is gone";
  expect_right(need(client_->run(network_.views(), {.timeout = kTimeout}), "run"));
}

TEST_F(ClusterTest, SigtermDrains) {
  Cluster slow = three_nodes();
  slow.nodes[0].slowdown = 1000;  // the request takes long enough to be caught running
  start(LinkEmulation::kNone, slow);
  Plan plan = network_.plan_in_thirds();
  plan.segments = {{.node = "camera", .first_block = 0, .last_block = network_.chain.block_count() - 1}};
  deploy(plan);
  std::thread signal([&] {
    wait_until_running(0);
    ::kill(local_->process(0), SIGTERM);
  });
  auto answer = client_->run(network_.views(), {.timeout = std::chrono::seconds(60)});
  signal.join();
  expect_right(need(std::move(answer), "the request that was running"));
}

}  // namespace
}  // namespace tideline::e2e
