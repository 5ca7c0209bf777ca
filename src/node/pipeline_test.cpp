// Goal: requests flow: several are under way at once, in order, each with one answer, within bounds, over any walk of a plan.
// Method: nodes in one process over the loopback transport, with engines that count, wait for one another or stand still; nothing
// is timed.
#include <atomic>
#include <condition_variable>
#include <cstring>

#include "client/stream.h"
#include "node/nodes_fixture.h"
#include "node/test_engine.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

class PipelineTest : public NodesTest {
 protected:
  Engine& engine_of(std::size_t node) override {
    while (engines_.size() <= node) engines_.push_back(std::make_unique<HookedEngine>(*engine_));
    return *engines_[node];
  }
  void TearDown() override {
    standing_still_ = false;
    nodes_.clear();  // before their engines
  }
  // Runs on that node wait until let go or cancelled.
  void stand_still(std::size_t node) {
    standing_still_ = true;
    engines_[node]->before_run = [this](const RunOptions& options) -> Status {
      ++inside_;
      const auto late = [&] { return std::chrono::steady_clock::now() > *options.deadline; };
      while (standing_still_ && !options.cancel->cancelled() && !late()) std::this_thread::sleep_for(1ms);
      --inside_;
      if (late()) return Error{ErrorCode::kDeadlineExceeded, "[test] too late"};
      if (options.cancel->cancelled()) return Error{ErrorCode::kCancelled, "[test] cancelled"};
      return {};
    };
  }
  // Another picture for each request.
  std::vector<Tensor> input(int i) const {
    std::vector<Tensor> all;
    for (const Tensor& tensor : inputs_) {
      Tensor copy{tensor.spec, Buffer::copy_of(tensor.data.span())};
      auto* values = reinterpret_cast<float*>(copy.data.data());
      for (std::size_t k = 0; k < copy.data.size() / sizeof(float); ++k) values[k] *= 1.0f + 0.1f * static_cast<float>(i);
      all.push_back(std::move(copy));
    }
    return all;
  }
  static std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
    std::vector<TensorView> all;
    for (const Tensor& tensor : tensors) all.push_back(view(tensor));
    return all;
  }
  // The whole model in this process.
  std::vector<std::byte> unsplit(int i) {
    const Segment whole = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
    const auto session = *engine_->load(whole.bytes, {});
    std::vector<RunOutput> outputs(session->outputs().size());
    const auto inputs = input(i);
    EXPECT_TRUE(session->run(views_of(inputs), outputs, {}));
    return {outputs[0].bytes.begin(), outputs[0].bytes.end()};
  }
  static bool equal(const Tensor& output, const std::vector<std::byte>& expected) {
    return output.data.size() == expected.size() && std::memcmp(output.data.data(), expected.data(), expected.size()) == 0;
  }
  static bool near(const Tensor& output, const std::vector<std::byte>& expected) {
    if (output.data.size() != expected.size()) return false;
    for (std::size_t k = 0; k < expected.size() / sizeof(float); ++k) {
      float a = 0;
      float b = 0;
      std::memcpy(&a, output.data.data() + k * sizeof(float), sizeof(float));
      std::memcpy(&b, expected.data() + k * sizeof(float), sizeof(float));
      if (std::abs(a - b) > 1e-5f) return false;
    }
    return true;
  }
  // Through the camera, the gateway and the camera again.
  Plan back_and_forth() const {
    Plan walk = plan();
    const std::uint32_t third = chain_.block_count() / 3;
    walk.route = {"camera", "gateway", "camera"};
    walk.segments = {{.at = 0, .node = "camera", .first_block = 0, .last_block = third - 1},
                     {.at = 1, .node = "gateway", .first_block = third, .last_block = 2 * third - 1},
                     {.at = 2, .node = "camera", .first_block = 2 * third, .last_block = chain_.block_count() - 1}};
    return walk;
  }

  std::vector<std::unique_ptr<HookedEngine>> engines_;
  std::atomic<bool> standing_still_{false};
  std::atomic<int> inside_{0};
};

TEST_F(PipelineTest, AStreamKeepsOrderAndEqualsTheUnsplitModelBitForBit) {
  constexpr int kRequests = 24;
  std::vector<std::vector<std::byte>> expected;
  for (int i = 0; i < kRequests; ++i) expected.push_back(unsplit(i));
  ClusterClient client(*transport_, cluster_);
  for (const bool split : {false, true}) {
    // The whole on the last node is the same computation; in thirds the engine may fuse otherwise, but always in the same way.
    ASSERT_TRUE(deploy(client, split ? plan() : all_on("server")));
    if (split) {
      for (int i = 0; i < kRequests; ++i) {
        const auto inputs = input(i);
        const auto answer = client.run(views_of(inputs), {});
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_TRUE(near(answer->outputs[0], expected[static_cast<std::size_t>(i)]));
        expected[static_cast<std::size_t>(i)].assign(answer->outputs[0].data.data(),
                                                     answer->outputs[0].data.data() + answer->outputs[0].data.size());
      }
    }
    for (const std::size_t window : {1, 2, 8}) {
      RunStream stream(client, {.window = window});
      int answered = 0;
      const auto take = [&] {
        const auto answer = stream.next();
        ASSERT_TRUE(answer) << answer.error().message;
        EXPECT_TRUE(equal(answer->outputs[0], expected[static_cast<std::size_t>(answered)])) << "request " << answered;
        EXPECT_EQ(answer->stages.size(), 3u);
        ++answered;
      };
      for (int i = 0; i < kRequests; ++i) {
        if (stream.full()) take();
        const auto inputs = input(i);
        ASSERT_TRUE(stream.submit(views_of(inputs)));
      }
      EXPECT_LE(stream.in_flight(), window);
      while (stream.in_flight() > 0) take();
      EXPECT_EQ(answered, kRequests);
      EXPECT_EQ(stream.next().error().code, ErrorCode::kNotFound);
    }
  }
}

// System: the server computes a request only when the camera has begun the one after it, which a node that waits for its answers
// never does. Expectation: a stream goes through.
TEST_F(PipelineTest, ANodeTurnsToTheNextRequestWhileTheLastIsElsewhere) {
  constexpr int kRequests = 10;
  std::atomic<int> camera{0};
  std::atomic<int> server{0};
  std::atomic<bool> waited_in_vain{false};
  engines_[0]->before_run = [&](const RunOptions&) {
    ++camera;
    return Status();
  };
  engines_[2]->before_run = [&](const RunOptions&) {
    const int next = std::min(kRequests, ++server + 1);
    if (!soon([&] { return camera >= next; })) waited_in_vain = true;
    return Status();
  };
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  RunStream stream(client, {.window = 4});
  for (int i = 0; i < kRequests; ++i) {
    if (stream.full()) {
      EXPECT_TRUE(stream.next());
    }
    ASSERT_TRUE(stream.submit(views()));
  }
  while (stream.in_flight() > 0) EXPECT_TRUE(stream.next());
  EXPECT_FALSE(waited_in_vain);
}

// System: the last node stands still, and the caller wants more under way than there is room for. Expectation: every node holds
// what it has granted and no more.
TEST_F(PipelineTest, ASlowLastNodeFillsNobodysMemory) {
  stand_still(2);
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  RunStream stream(client, {.window = StreamOptions::kWindowMax});
  std::atomic<std::size_t> submitted{0};
  std::thread caller([&] {
    while (!stream.full()) {
      ASSERT_TRUE(stream.submit(views()));
      ++submitted;
    }
  });
  // As many as the three grant together have left the caller; the next ones wait for room.
  EXPECT_TRUE(soon([&] { return submitted >= 3 * wire::kCreditRequests; }));
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(submitted, StreamOptions::kWindowMax);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto figures = nodes_[i]->buffer_figures();
    // The last one computes on the thread that reads, and leaves the rest in the connection.
    EXPECT_GE(figures.in_use_max, i < 2 ? wire::kCreditRequests / 2 : 1) << i;
    EXPECT_LE(figures.in_use_max, wire::kCreditRequests + 6) << i;
  }
  standing_still_ = false;
  caller.join();
  while (stream.in_flight() > 0) EXPECT_TRUE(stream.next());
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(soon([&] { return nodes_[i]->buffer_figures().in_use == 0; })) << i;
}

TEST_F(PipelineTest, ANodeThatDiesGivesEveryRequestOneAnswer) {
  for (const std::size_t dying : {0, 1, 2}) {
    stand_still(2);
    ClusterClient client(*transport_, cluster_);
    ASSERT_TRUE(deploy(client, plan()));
    RunStream stream(client, {.window = 8});
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream.submit(views()));
    ASSERT_TRUE(soon([&] { return inside_ > 0; }));
    nodes_[dying].reset();
    for (int i = 0; i < 8; ++i) {
      const auto answer = stream.next();
      ASSERT_FALSE(answer);
      EXPECT_TRUE(answer.error().code == ErrorCode::kDisconnected || answer.error().code == ErrorCode::kCancelled)
          << answer.error().message;
    }
    EXPECT_EQ(stream.in_flight(), 0u);
    standing_still_ = false;
    start(dying);
    const auto deployed = deploy(client, plan());
    ASSERT_TRUE(deployed) << dying << ": " << deployed.error().message;
    const auto after = client.run(views(), {});
    EXPECT_TRUE(after) << dying << ": " << after.error().message;
  }
}

TEST_F(PipelineTest, AWalkMayComeBackWithBlocksLeft) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, back_and_forth()));
  for (const std::size_t window : {1, 4}) {
    RunStream stream(client, {.window = window});
    int answered = 0;
    const auto take = [&] {
      const auto answer = stream.next();
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_TRUE(near(answer->outputs[0], unsplit(answered++)));
      ASSERT_EQ(answer->stages.size(), 3u);
      EXPECT_EQ(answer->stages[0].node, "camera");
      EXPECT_EQ(answer->stages[1].node, "gateway");
      EXPECT_EQ(answer->stages[2].node, "camera");
      EXPECT_GT(answer->stages[2].compute.count(), 0);
    };
    for (int i = 0; i < 8; ++i) {
      if (stream.full()) take();
      const auto inputs = input(i);
      ASSERT_TRUE(stream.submit(views_of(inputs)));
    }
    while (stream.in_flight() > 0) take();
  }
}

// What a caller behind a gateway has: no way to anything but the first node.
class FirstNodeOnly final : public Transport {
 public:
  FirstNodeOnly(Transport& inner, std::uint16_t port) : inner_(inner), port_(port) {}
  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline, const CancelToken* cancel) override {
    if (address.port != port_) return Error{ErrorCode::kDisconnected, "[test] no way there"};
    return inner_.connect(address, deadline, cancel);
  }
  Result<std::unique_ptr<Listener>> listen(const Address& address) override { return inner_.listen(address); }

 private:
  Transport& inner_;
  const std::uint16_t port_;
};

TEST_F(PipelineTest, ACallerReachesOnlyItsFirstNode) {
  FirstNodeOnly behind(*transport_, options_[0].listen.port);
  ClusterClient client(behind, cluster_);
  const auto deployed = deploy(client, plan());
  ASSERT_TRUE(deployed) << deployed.error().message;
  EXPECT_EQ(deployed->segments_pushed, 3u);
  EXPECT_TRUE(client.run(views(), {}));
  const auto far = client.status(2, deadline_in(5s));
  ASSERT_TRUE(far) << far.error().message;
  EXPECT_EQ(far->name, "server");
  EXPECT_EQ(far->segments_loaded, 1u);
  // An error of the far node arrives as its own.
  const auto way = *client.peer(0);
  const Peer::Path path = {{"gateway", to_string(options_[1].listen)}, {"server", to_string(options_[2].listen)}};
  const auto unknown = way->install(wire::InstallProgram{7, {{.id = 3, .segment = Sha256{}, .inputs = {"x"}, .outputs = {"y"}}}},
                                    deadline_in(5s), path);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().message.rfind("node server:", 0), 0u) << unknown.error().message;
  EXPECT_TRUE(way->ping(100'000, 200'000, deadline_in(5s), path));
  // And it is uninstalled the same way.
  ASSERT_TRUE(deploy(client, all_on("camera")));
  EXPECT_EQ(client.status(2, deadline_in(5s))->segments_loaded, 0u);
}

TEST_F(PipelineTest, TwoCallersShareTheNodes) {
  ClusterClient one(*transport_, cluster_);
  ClusterClient other(*transport_, cluster_);
  ASSERT_TRUE(deploy(one, plan()));
  ASSERT_TRUE(deploy(other, back_and_forth()));
  std::atomic<int> right{0};
  const auto stream_through = [&](ClusterClient& client) {
    RunStream stream(client, {.window = 4});
    for (int i = 0; i < 12; ++i) {
      if (stream.full() && stream.next()) ++right;
      const auto inputs = input(i);
      (void)stream.submit(views_of(inputs));
    }
    while (stream.in_flight() > 0)
      if (stream.next()) ++right;
  };
  std::thread first([&] { stream_through(one); });
  std::thread second([&] { stream_through(other); });
  std::thread third([&] { stream_through(one); });
  first.join();
  second.join();
  third.join();
  EXPECT_EQ(right, 36);
}

// System: a caller that sends more than it was granted. Expectation: what is over it is refused, the rest is answered.
TEST_F(PipelineTest, WhatIsOverTheCreditIsRefused) {
  ClusterClient client(*transport_, cluster_);
  const Segment whole = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
  ASSERT_TRUE((*client.peer(0))->push_segment(whole.hash, whole.bytes, 0, CancelToken(), {}));
  // The thread that reads may compute the first ones itself, until it has seen several frames in a row: these end when some more
  // have been sent, and the next ones when all have been read.
  constexpr int kFirst = 3;
  constexpr int kSome = 8;
  std::atomic<int> runs{0};
  std::atomic<int> sent{0};
  std::atomic<bool> all_read{false};
  engines_[0]->before_run = [&](const RunOptions&) {
    const bool first = runs++ < kFirst;
    EXPECT_TRUE(soon([&] { return first ? sent >= kSome : all_read.load(); }));
    return Status();
  };
  RawCaller caller(*transport_, options_[0].listen, wire::ConnectionKind::kData, wire::random_session_id());
  wire::Install install{.epoch = 1, .segment = whole.hash};
  for (const TensorSpec& tensor : chain_.cuts.front().tensors) install.inputs.push_back(tensor.name);
  for (const TensorSpec& tensor : chain_.cuts.back().tensors) install.outputs.push_back(tensor.name);
  ASSERT_TRUE(caller.ask<wire::Installed>(1, install));
  wire::Run run{.epoch = 1, .deadline_us = 60'000'000};
  run.tensors.push_back(*wire::wire_tensor(0, inputs_[0].spec.dtype, inputs_[0].spec.shape));
  const std::span<const std::byte> payload[] = {inputs_[0].data.span()};
  constexpr int kOver = 2;
  constexpr int kSent = kFirst + static_cast<int>(wire::kCreditRequests) + kOver;
  for (int i = 0; i < kSent; ++i, ++sent) ASSERT_TRUE(caller.send(static_cast<std::uint64_t>(100 + i), run, payload));
  int answered = 0;
  int refused = 0;
  for (int i = 0; i < kSent; ++i) {
    const auto answer = caller.receive<wire::RunResult>();
    if (answer) {
      ++answered;
      continue;
    }
    EXPECT_EQ(answer.error().code, ErrorCode::kOverloaded) << answer.error().message;
    if (++refused == kOver) all_read = true;
  }
  // As many more as the first ones were not answered yet when the last ones came.
  EXPECT_GE(refused, kOver);
  EXPECT_LE(refused, kOver + kFirst);
  EXPECT_EQ(answered + refused, kSent);
}

TEST_F(PipelineTest, AStreamThatIsGivenUpEndsEverywhere) {
  stand_still(2);
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  {
    RunStream stream(client, {.window = 4});
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(stream.submit(views()));
    ASSERT_TRUE(soon([&] { return inside_ == 1; }));
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(soon([&] { return status(i).requests_running == 0; })) << i;
  EXPECT_EQ(inside_, 0);
  standing_still_ = false;
  EXPECT_TRUE(client.run(views(), {}));
}

TEST_F(PipelineTest, ADeadlineIsKeptWhereverTheRequestWaits) {
  stand_still(2);
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  RunStream stream(client, {.window = 8, .request = {.timeout = 300ms}});
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(stream.submit(views()));
  for (int i = 0; i < 8; ++i) {
    const auto answer = stream.next();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kDeadlineExceeded) << answer.error().message;
  }
}

}  // namespace
}  // namespace tideline
