// Goal: what goes wrong around a node costs whoever caused it, and nobody else. Method: nodes in one process over the loopback
// transport, an engine that can be made to fail, block or count, and callers that speak the protocol by hand.
#include <atomic>
#include <cstring>
#include <new>

#include "node/nodes_fixture.h"
#include "node/test_engine.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;
using wire::ConnectionKind;
using wire::Role;

// Runs wait in it until they are cancelled or let go.
class Gate {
 public:
  Status pass(const RunOptions& options) {
    ++inside_;
    while (!open_ && !(options.cancel != nullptr && options.cancel->cancelled())) std::this_thread::sleep_for(1ms);
    --inside_;
    if (!open_) return Error{ErrorCode::kCancelled, "[test] cancelled"};
    return {};
  }
  int inside() const { return inside_; }
  void close() { open_ = false; }
  void open() { open_ = true; }

 private:
  std::atomic<bool> open_{true};
  std::atomic<int> inside_{0};
};

class FaultsTest : public NodesTest {
 protected:
  Engine& engine_of(std::size_t) override {
    if (!hooked_) {
      hooked_ = std::make_unique<HookedEngine>(*engine_);
      hooked_->before_run = [this](const RunOptions& options) { return gate_.pass(options); };
    }
    return *hooked_;
  }
  void TearDown() override {
    gate_.open();
    nodes_.clear();  // before their engine
  }

  RawCaller raw(std::size_t node, ConnectionKind kind, const wire::SessionId& session, std::string name = "raw",
                Role role = Role::kCaller) {
    return RawCaller(*transport_, options_[node].listen, kind, session, std::move(name), role);
  }
  // A stage that passes x on.
  wire::Install passing(std::uint64_t epoch, std::uint32_t stage, std::uint32_t stages, std::string next = "",
                        std::string address = "") {
    return {.epoch = epoch,
            .stage = stage,
            .stages = stages,
            .inputs = {"x"},
            .outputs = {"x"},
            .next_node = std::move(next),
            .next_address = std::move(address)};
  }
  std::string address(std::size_t node) const { return to_string(options_[node].listen); }
  // The whole model, pushed to the node and ready to be installed as the only stage.
  wire::Install whole(std::size_t node, std::uint64_t epoch = 1) {
    const Segment segment = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
    ClusterClient client(*transport_, cluster_);
    EXPECT_TRUE((*client.peer(node))->push_segment(segment.hash, segment.bytes, 0, CancelToken(), {}));
    wire::Install install{.epoch = epoch, .segment = segment.hash};
    for (const TensorSpec& tensor : chain_.cuts.front().tensors) install.inputs.push_back(tensor.name);
    for (const TensorSpec& tensor : chain_.cuts.back().tensors) install.outputs.push_back(tensor.name);
    return install;
  }
  Status send_run(RawCaller& caller, std::uint64_t id, std::uint64_t epoch = 1, std::uint64_t deadline_us = 60'000'000) {
    wire::Run run{.epoch = epoch, .deadline_us = deadline_us};
    std::vector<std::span<const std::byte>> payload;
    for (const Tensor& input : inputs_) {
      run.tensors.push_back(
          *wire::wire_tensor(static_cast<std::uint16_t>(run.tensors.size()), input.spec.dtype, input.spec.shape));
      payload.push_back(input.data.span());
    }
    return caller.send(id, run, payload);
  }

  std::unique_ptr<HookedEngine> hooked_;
  Gate gate_;
};

TEST_F(FaultsTest, AMomentWithoutMemoryCostsOneRequest) {
  std::atomic<bool> fail{true};
  hooked_->before_run = [&](const RunOptions&) -> Status {
    if (fail.exchange(false)) throw std::bad_alloc();
    return {};
  };
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, all_on("camera")));
  const auto refused = client.run(views(), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
  const auto answer = client.run(views(), {.timeout = 5s});
  EXPECT_TRUE(answer) << answer.error().message;
}

TEST_F(FaultsTest, AStageThatLeadsBackIsRefused) {
  const auto session = wire::random_session_id();
  RawCaller camera = raw(0, ConnectionKind::kData, session);
  RawCaller gateway = raw(1, ConnectionKind::kData, session);
  const auto itself = camera.ask<wire::Installed>(1, passing(1, 0, 2, "camera", address(0)));
  ASSERT_FALSE(itself);
  EXPECT_EQ(itself.error().code, ErrorCode::kInvalidArgument) << itself.error().message;
  // camera -> gateway -> camera, whichever way round it is installed.
  EXPECT_TRUE(gateway.ask<wire::Installed>(1, passing(1, 1, 3, "camera", address(0))));
  const auto ring = camera.ask<wire::Installed>(2, passing(1, 0, 3, "gateway", address(1)));
  ASSERT_FALSE(ring);
  EXPECT_EQ(ring.error().code, ErrorCode::kInvalidArgument) << ring.error().message;
  const auto other_session = wire::random_session_id();
  RawCaller first = raw(0, ConnectionKind::kData, other_session);
  RawCaller second = raw(1, ConnectionKind::kData, other_session);
  EXPECT_TRUE(first.ask<wire::Installed>(1, passing(1, 0, 3, "gateway", address(1))));
  EXPECT_FALSE(second.ask<wire::Installed>(1, passing(1, 1, 3, "camera", address(0))));
}

// System: a ring over three nodes, which no node can see. Expectation: it ends with its caller.
TEST_F(FaultsTest, ARingOfThreeEndsWithItsCaller) {
  {
    const auto session = wire::random_session_id();
    RawCaller callers[] = {raw(0, ConnectionKind::kData, session), raw(1, ConnectionKind::kData, session),
                           raw(2, ConnectionKind::kData, session)};
    const char* next[] = {"gateway", "server", "camera"};
    for (std::uint32_t i = 0; i < 3; ++i)
      ASSERT_TRUE(callers[i].ask<wire::Installed>(1, passing(1, i, 64, next[i], address((i + 1) % 3))));
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(soon([&] { return status(i).connections <= 2; })) << i;
}

TEST_F(FaultsTest, ReplacedNextNodesAreClosedAndBounded) {
  std::vector<std::unique_ptr<NodeServer>> others;
  for (std::uint16_t i = 0; i <= limits::kNodeNextPerCallerMax; ++i) {
    NodeOptions options;
    options.name = "other";
    options.listen = {"127.0.0.1", static_cast<std::uint16_t>(100 + i)};
    options.store_folder = folder_ + "/other";
    others.push_back(std::move(*NodeServer::start(options, *transport_, *transport_, *engine_)));
  }
  const auto connections = [&](std::size_t i) {
    auto caller = RawCaller(*transport_, others[i]->address(), ConnectionKind::kControl, wire::random_session_id());
    return caller.ask<wire::NodeStatus>(1, wire::GetStatus{})->connections - 1;
  };
  RawCaller caller = raw(0, ConnectionKind::kData, wire::random_session_id());
  for (std::size_t i = 0; i < others.size(); ++i)
    ASSERT_TRUE(caller.ask<wire::Installed>(1, passing(1, 0, 2, "other", to_string(others[i]->address())))) << i;
  for (std::size_t i = 0; i + 1 < others.size(); ++i) EXPECT_TRUE(soon([&] { return connections(i) == 0; })) << i;
  EXPECT_GT(connections(others.size() - 1), 0u);
  // Kept by stages of several plans, they are as many as there may be.
  Status refused;
  for (std::size_t i = 0; i < others.size() && refused; ++i) {
    const auto installed = caller.ask<wire::Installed>(1, passing(10 + i, 0, 2, "other", to_string(others[i]->address())));
    if (!installed) refused = installed.error();
  }
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
}

// System: a caller that beats, and then neither beats nor closes. Expectation: its connections and its request end.
TEST_F(FaultsTest, AFrozenCallerIsNoticed) {
  const auto session = wire::random_session_id();
  RawCaller control = raw(0, ConnectionKind::kControl, session);
  RawCaller data = raw(0, ConnectionKind::kData, session);
  ASSERT_TRUE(data.ask<wire::Installed>(1, whole(0)));
  gate_.close();
  ASSERT_TRUE(send_run(data, 2));
  ASSERT_TRUE(soon([&] { return gate_.inside() == 1; }));
  ASSERT_TRUE(control.ask<wire::Pong>(1, wire::Ping{}));
  EXPECT_TRUE(control.ends());
  EXPECT_TRUE(data.ends());
  EXPECT_TRUE(soon([&] { return gate_.inside() == 0; }));
}

TEST_F(FaultsTest, TheEndOfADataConnectionCancelsItsRequest) {
  const auto session = wire::random_session_id();
  gate_.close();
  {
    RawCaller data = raw(0, ConnectionKind::kData, session);
    ASSERT_TRUE(data.ask<wire::Installed>(1, whole(0)));
    ASSERT_TRUE(send_run(data, 2));
    ASSERT_TRUE(soon([&] { return gate_.inside() == 1; }));
  }
  EXPECT_TRUE(soon([&] { return gate_.inside() == 0; }));
}

TEST_F(FaultsTest, TheEndOfControlEndsItsCallersDataAndNobodyElses) {
  const auto session = wire::random_session_id();
  RawCaller other = raw(0, ConnectionKind::kData, session, "other");
  RawCaller data = raw(0, ConnectionKind::kData, session);
  {
    RawCaller control = raw(0, ConnectionKind::kControl, session);
    ASSERT_TRUE(control.ask<wire::Pong>(1, wire::Ping{}));
  }
  EXPECT_TRUE(data.ends());
  EXPECT_TRUE(other.ask<wire::NodeStatus>(1, wire::GetStatus{}));
}

TEST_F(FaultsTest, RequestIdsBelongToTheirCaller) {
  const auto session = wire::random_session_id();
  RawCaller first = raw(0, ConnectionKind::kData, session, "first");
  RawCaller second = raw(0, ConnectionKind::kData, session, "second");
  RawCaller control = raw(0, ConnectionKind::kControl, session, "second");
  ASSERT_TRUE(first.ask<wire::Installed>(1, whole(0)));
  gate_.close();
  ASSERT_TRUE(send_run(first, 9));
  ASSERT_TRUE(send_run(second, 9));
  ASSERT_TRUE(soon([&] { return status(0).requests_running == 2; }));
  ASSERT_TRUE(control.send(9, wire::Cancel{}));
  const auto cancelled = second.receive<wire::RunResult>();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled);
  gate_.open();
  EXPECT_TRUE(first.receive<wire::RunResult>());
}

TEST_F(FaultsTest, ACancelThatOvertakesItsRequestIsKept) {
  const auto session = wire::random_session_id();
  RawCaller data = raw(0, ConnectionKind::kData, session);
  RawCaller control = raw(0, ConnectionKind::kControl, session);
  ASSERT_TRUE(data.ask<wire::Installed>(1, whole(0)));
  ASSERT_TRUE(control.send(5, wire::Cancel{}));
  ASSERT_TRUE(control.ask<wire::Pong>(1, wire::Ping{}));  // the CANCEL has been read
  ASSERT_TRUE(send_run(data, 5));
  const auto cancelled = data.receive<wire::RunResult>();
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().code, ErrorCode::kCancelled) << cancelled.error().message;
  ASSERT_TRUE(send_run(data, 6));
  EXPECT_TRUE(data.receive<wire::RunResult>());

  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, all_on("camera")));
  gate_.close();
  CancelToken before;
  before.cancel();
  const auto answer = client.run(views(), {.timeout = 60s, .cancel = before});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(gate_.inside(), 0);
}

TEST_F(FaultsTest, ANextNodeMustBeWhoItIsSaidToBeAndFailuresLookAlike) {
  RawCaller caller = raw(0, ConnectionKind::kData, wire::random_session_id());
  // Nobody there, somebody else there, somebody there who speaks nothing.
  const auto silent = *transport_->listen({"127.0.0.1", 900});
  std::vector<Error> errors;
  for (const std::string& where : {std::string("127.0.0.1:899"), address(1), std::string("127.0.0.1:900")}) {
    const auto refused = caller.ask<wire::Installed>(1, passing(1, 0, 2, "elsewhere", where));
    ASSERT_FALSE(refused);
    errors.push_back(refused.error());
  }
  for (const Error& error : errors) {
    EXPECT_EQ(error.code, ErrorCode::kDisconnected);
    EXPECT_EQ(error.message, errors[0].message);
    EXPECT_EQ(error.message.find("127.0.0.1"), std::string::npos) << error.message;
  }
}

TEST_F(FaultsTest, MalformedMessagesAreAnsweredAndTheConnectionGoesOn) {
  const auto session = wire::random_session_id();
  RawCaller data = raw(0, ConnectionKind::kData, session);
  // A whole frame whose meta is cut: written by hand, since the encoder refuses it.
  const auto send_meta = [&](RawCaller& to, wire::FrameType type, std::size_t meta_bytes, std::size_t payload_bytes) {
    std::vector<std::byte> bytes(wire::frame_head_bytes(meta_bytes) + payload_bytes, std::byte{0});
    std::fill_n(bytes.begin() + wire::kFrameHeaderBytes, meta_bytes, std::byte{0xee});
    const wire::FrameHeader header{.type = type,
                                   .request_id = 7,
                                   .payload_bytes = payload_bytes,
                                   .meta_bytes = static_cast<std::uint32_t>(meta_bytes),
                                   .meta_crc32c = wire::crc32c(std::span(bytes).subspan(
                                       wire::kFrameHeaderBytes, wire::frame_head_bytes(meta_bytes) - wire::kFrameHeaderBytes))};
    std::memcpy(bytes.data(), wire::encode_frame_header(header).data(), wire::kFrameHeaderBytes);
    const std::span<const std::byte> piece(bytes);
    return to.channel().connection().send({&piece, 1}, deadline_in(5s));
  };
  for (const auto type : {wire::FrameType::kRun, wire::FrameType::kPutSegment, wire::FrameType::kInstall, wire::FrameType::kPing,
                          wire::FrameType::kHasSegments, wire::FrameType::kUninstall}) {
    ASSERT_TRUE(send_meta(data, type, 5, 100));
    const auto refused = data.receive<wire::RunResult>();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt) << to_string(type) << ": " << refused.error().message;
    EXPECT_EQ(data.last_id(), 7u);
  }
  RawCaller control = raw(0, ConnectionKind::kControl, session);
  for (const auto type : {wire::FrameType::kPing, wire::FrameType::kCancel, wire::FrameType::kGetStatus}) {
    ASSERT_TRUE(send_meta(control, type, 5, 100));
    const auto refused = control.receive<wire::Pong>();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt) << to_string(type) << ": " << refused.error().message;
  }
  EXPECT_TRUE(control.ask<wire::NodeStatus>(8, wire::GetStatus{}));
  // A message on the wrong kind of connection, and bulk among heartbeats.
  EXPECT_EQ(data.ask<wire::Pong>(9, wire::Cancel{}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(data.ask<wire::Pong>(9, wire::Installed{}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(control.ask<wire::Pong>(9, wire::HasSegments{}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(control.ask<wire::Pong>(9, wire::Ping{1 << 20}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(control.ask<wire::Pong>(10, wire::Ping{}));
  EXPECT_TRUE(data.ask<wire::NodeStatus>(11, wire::GetStatus{}));
  // Bytes that are no frame: the reason with id 0, and the end.
  for (RawCaller* caller : {&data, &control}) {
    const std::vector<std::byte> garbage(64, std::byte{0x7f});
    const std::span<const std::byte> piece(garbage);
    ASSERT_TRUE(caller->channel().connection().send({&piece, 1}, deadline_in(5s)));
    const auto reason = caller->receive<wire::Pong>();
    ASSERT_FALSE(reason);
    EXPECT_EQ(reason.error().code, ErrorCode::kCorrupt) << reason.error().message;
    EXPECT_EQ(caller->last_id(), 0u);
    EXPECT_TRUE(caller->ends());
  }
}

TEST_F(FaultsTest, GoodbyeEndsADataConnectionAndADrainSaysIt) {
  const auto session = wire::random_session_id();
  RawCaller control = raw(0, ConnectionKind::kControl, session);
  ASSERT_TRUE(control.ask<wire::Pong>(1, wire::Ping{}));
  RawCaller leaving = raw(0, ConnectionKind::kData, session, "leaving");
  ASSERT_TRUE(leaving.send(0, wire::Goodbye{"enough"}));
  EXPECT_TRUE(leaving.ends());
  RawCaller data = raw(0, ConnectionKind::kData, session);
  ASSERT_TRUE(data.ask<wire::Installed>(1, whole(0)));
  gate_.close();
  ASSERT_TRUE(send_run(data, 2));
  ASSERT_TRUE(soon([&] { return gate_.inside() == 1; }));
  std::thread drain([&] { nodes_[0]->drain(20s); });
  EXPECT_TRUE(control.receive<wire::Goodbye>());
  const RawCaller late = raw(0, ConnectionKind::kData, session, "late");
  ASSERT_FALSE(late.greeted());
  EXPECT_EQ(late.greeted().error().code, ErrorCode::kOverloaded) << late.greeted().error().message;
  ASSERT_TRUE(control.ask<wire::Pong>(3, wire::Ping{}));
  gate_.open();
  EXPECT_TRUE(data.receive<wire::RunResult>());
  drain.join();
}

// System: room for one of two segments, and the second installation begins while the first is still loading. Expectation: nothing
// of the second is loaded before there is room, and then it takes the first one's place; one segment for two callers is loaded
// once; what has no room at all is refused.
TEST_F(FaultsTest, MemoryIsReservedBeforeLoading) {
  const wire::Install install = whole(0);
  std::atomic<int> loading{0};
  std::atomic<bool> go{false};
  hooked_->before_load = [&]() -> Status {
    ++loading;
    while (!go) std::this_thread::sleep_for(1ms);
    return {};
  };
  const Segment part = *extract_segment(*model_, chain_, 0, chain_.block_count() - 2);
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE((*client.peer(0))->push_segment(part.hash, part.bytes, 0, CancelToken(), {}));
  const auto reinstall = [&](Bytes memory) {
    nodes_[0].reset();
    options_[0].memory_bytes = memory;
    start(0);
  };
  const Segment all = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
  reinstall(all.bytes.size() + part.bytes.size() - 1);
  RawCaller first = raw(0, ConnectionKind::kData, wire::random_session_id());
  RawCaller same = raw(0, ConnectionKind::kData, wire::random_session_id());
  RawCaller second = raw(0, ConnectionKind::kData, wire::random_session_id());
  ASSERT_TRUE(first.send(1, install));
  ASSERT_TRUE(soon([&] { return loading == 1; }));
  ASSERT_TRUE(same.send(1, install));
  wire::Install other = install;
  other.segment = part.hash;
  other.outputs.clear();
  for (const TensorSpec& output : part.outputs) other.outputs.push_back(output.name);
  ASSERT_TRUE(second.send(1, other));
  std::this_thread::sleep_for(100ms);  // it could go wrong meanwhile
  EXPECT_EQ(loading, 1);
  go = true;
  EXPECT_TRUE(first.receive<wire::Installed>());
  EXPECT_TRUE(same.receive<wire::Installed>());
  EXPECT_TRUE(second.receive<wire::Installed>());
  // The second may take the place before `same` has the first one's segment in hand: then that is loaded anew.
  EXPECT_GE(loading, 2);
  EXPECT_LE(loading, 3);
  EXPECT_EQ(status(0).segments_loaded, 1u);
  EXPECT_EQ(status(0).segments_dropped, static_cast<std::uint64_t>(loading - 1));
  reinstall(part.bytes.size() - 1);
  RawCaller late = raw(0, ConnectionKind::kData, wire::random_session_id());
  const auto refused = late.ask<wire::Installed>(1, other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
}

// System: a node with memory for one of three segments, and three callers with one each, who ask in turn and then all at once.
// Expectation: every answer is right, never is more in memory than fits, and the node counts what it drops and loads again.
TEST_F(FaultsTest, MoreSegmentsThanThereIsMemoryFor) {
  const std::uint32_t last = chain_.block_count() - 1;
  const Bytes whole_bytes = extract_segment(*model_, chain_, 0, last)->bytes.size();
  nodes_[0].reset();
  options_[0].memory_bytes = whole_bytes;
  start(0);
  std::vector<std::unique_ptr<ClusterClient>> clients;
  for (std::uint32_t n = 0; n < 3; ++n) {
    Plan mine = all_on("camera");
    mine.segments = {{.node = "camera", .first_block = 0, .last_block = last - n}};
    if (n > 0) mine.segments.push_back({.node = "gateway", .first_block = last - n + 1, .last_block = last});
    clients.push_back(std::make_unique<ClusterClient>(*transport_, cluster_));
    ASSERT_TRUE(deploy(*clients.back(), mine)) << n;
  }
  const auto reference = clients[0]->run(views(), {});
  ASSERT_TRUE(reference) << reference.error().message;
  const auto is_right = [&](const Result<RunAnswer>& answer) {
    return answer && answer->outputs[0].data.size() == reference->outputs[0].data.size() &&
           std::memcmp(answer->outputs[0].data.data(), reference->outputs[0].data.data(), answer->outputs[0].data.size()) == 0;
  };
  const wire::NodeStatus before = status(0);
  for (int turn = 0; turn < 3; ++turn)
    for (auto& client : clients) EXPECT_TRUE(is_right(client->run(views(), {})));
  const wire::NodeStatus now = status(0);
  EXPECT_EQ(now.segments_loaded, 1u);
  // The first was there already.
  EXPECT_EQ(now.segments_reloaded, before.segments_reloaded + 8);
  EXPECT_GE(now.segments_dropped, before.segments_dropped + 8);
  EXPECT_TRUE(is_right(clients[2]->run(views(), {})));
  EXPECT_EQ(status(0).segments_reloaded, now.segments_reloaded) << "it was used last";
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (auto& client : clients)
    for (int n = 0; n < 2; ++n)
      threads.emplace_back([&] {
        for (int turn = 0; turn < 10; ++turn)
          if (!is_right(client->run(views(), {.timeout = 60s}))) ++wrong;
      });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(status(0).segments_loaded, 1u);
  // Whoever goes takes no other's along.
  clients.erase(clients.begin());
  for (auto& client : clients) EXPECT_TRUE(is_right(client->run(views(), {})));
}

// System: the run of one segment stands still, and another caller's needs its room. Expectation: what is in use stays, the other
// one waits until its deadline and says why; when the run has ended it takes the place.
TEST_F(FaultsTest, ASegmentInUseIsNotDropped) {
  const std::uint32_t last = chain_.block_count() - 1;
  const Bytes whole_bytes = extract_segment(*model_, chain_, 0, last)->bytes.size();
  nodes_[0].reset();
  options_[0].memory_bytes = whole_bytes;
  start(0);
  ClusterClient first(*transport_, cluster_), second(*transport_, cluster_);
  ASSERT_TRUE(deploy(first, all_on("camera")));
  gate_.close();
  std::thread running([&] { EXPECT_TRUE(first.run(views(), {.timeout = 60s})); });
  ASSERT_TRUE(soon([&] { return gate_.inside() == 1; }));
  Plan other = all_on("camera");
  other.segments = {{.node = "camera", .first_block = 0, .last_block = last - 1},
                    {.node = "gateway", .first_block = last, .last_block = last}};
  std::atomic<bool> installed{false};
  std::thread installing([&] { installed = deploy(second, other).has_value(); });
  std::this_thread::sleep_for(100ms);  // it could go wrong meanwhile
  EXPECT_FALSE(installed);
  EXPECT_EQ(status(0).segments_loaded, 1u);
  EXPECT_EQ(status(0).segments_dropped, 0u);
  gate_.open();
  running.join();
  installing.join();
  EXPECT_TRUE(installed);
  EXPECT_TRUE(second.run(views(), {}));
  EXPECT_TRUE(first.run(views(), {}));
}

TEST_F(FaultsTest, AnEchoComesInPieces) {
  RawCaller data = raw(0, ConnectionKind::kData, wire::random_session_id());
  ASSERT_TRUE(data.send(1, wire::Ping{limits::kPingPayloadBytesMax}));
  auto frame = data.channel().receive(deadline_in(20s));
  if (frame && frame->header.type == wire::FrameType::kCredit) frame = data.channel().receive(deadline_in(20s));
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->header.payload_bytes, limits::kPingPayloadBytesMax);
  EXPECT_TRUE(data.channel().skip_payload(*frame, deadline_in(20s)));
}

TEST_F(FaultsTest, ManyDeploymentsInOneSession) {
  ClusterClient client(*transport_, cluster_);
  for (std::size_t i = 0; i < limits::kNodeStagesPerCallerMax + 6; ++i) {
    const auto deployed = deploy(client, i % 2 == 0 ? plan() : all_on("camera"));
    ASSERT_TRUE(deployed) << i << ": " << deployed.error().message;
  }
  EXPECT_TRUE(client.run(views(), {}));
  // Of the plans that are gone nothing is in memory: all_on("camera") was the last.
  EXPECT_EQ(status(0).segments_loaded, 1u);
  EXPECT_EQ(status(2).segments_loaded, 0u);
  EXPECT_EQ(status(0).segments_stored, 2u);
}

// System: two plans that fit a node alone and not together. Expectation: one takes the other's place; one that does not fit at
// all leaves the old one.
TEST_F(FaultsTest, APlanThatFitsAloneIsAcceptedInPlaceOfAnother) {
  const std::uint32_t last = chain_.block_count() - 1;
  Plan most = all_on("gateway");
  most.segments = {{.node = "gateway", .first_block = 0, .last_block = last - 1},
                   {.node = "server", .first_block = last, .last_block = last}};
  const Bytes whole_bytes = extract_segment(*model_, chain_, 0, last)->bytes.size();
  nodes_[1].reset();
  options_[1].memory_bytes = whole_bytes - 1;
  start(1);
  ClusterClient client(*transport_, cluster_);
  Plan first = most;
  first.segments = {{.node = "camera", .first_block = 0, .last_block = 0},
                    {.node = "gateway", .first_block = 1, .last_block = last}};
  ASSERT_TRUE(deploy(client, first));
  EXPECT_TRUE(client.run(views(), {}));
  const auto deployed = deploy(client, most);
  ASSERT_TRUE(deployed) << deployed.error().message;
  EXPECT_TRUE(client.run(views(), {}));
  const auto too_much = deploy(client, all_on("gateway"));
  ASSERT_FALSE(too_much);
  EXPECT_EQ(too_much.error().code, ErrorCode::kOverloaded);
  EXPECT_TRUE(client.run(views(), {}));
}

TEST_F(FaultsTest, DeployBesideRun) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  const auto reference = client.run(views(), {});
  ASSERT_TRUE(reference);
  std::atomic<bool> stop{false};
  std::atomic<int> right{0};
  std::vector<std::string> wrong;
  std::thread caller([&] {
    while (!stop) {
      const auto answer = client.run(views(), {});
      if (answer) {
        ++right;
      } else {
        wrong.push_back(answer.error().message);
      }
    }
  });
  for (int i = 0; i < 6; ++i) {
    EXPECT_TRUE(deploy(client, i % 2 == 0 ? all_on("server") : plan()));
    const int before = right;
    EXPECT_TRUE(soon([&] { return right > before + 1 || !wrong.empty(); }));
  }
  stop = true;
  caller.join();
  EXPECT_TRUE(wrong.empty()) << wrong.front();
}

TEST_F(FaultsTest, ARestartedNodeServesAfterARedeployment) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  for (std::size_t i = 0; i < 3; ++i) {
    nodes_[i].reset();
    EXPECT_FALSE(client.run(views(), {.timeout = 5s})) << i;
    start(i);
    EXPECT_FALSE(client.run(views(), {.timeout = 5s})) << "the plan went with the node " << i;
    const auto deployed = deploy(client, plan());
    ASSERT_TRUE(deployed) << i << ": " << deployed.error().message;
    EXPECT_TRUE(client.run(views(), {.timeout = 5s})) << i;
  }
}

// System: a node that answers with what the plan does not end with. Expectation: the caller hears of it and uses nothing of it.
TEST_F(FaultsTest, AResultOfAnotherShapeIsRefused) {
  const Address where{"127.0.0.1", 700};
  const auto listener = *transport_->listen(where);
  std::vector<TensorSpec> results = {{"", DType::kFloat32, {10, 1}},
                                     {"", DType::kInt32, {1, 10}},
                                     {"", DType::kFloat32, {1, 11}},
                                     {"", DType::kFloat32, {1, 10}},
                                     {"", DType::kFloat32, {1, 10}}};
  std::atomic<std::size_t> asked{0};
  std::vector<std::thread> threads;
  std::atomic<bool> stop{false};
  // Says yes to everything, and to a RUN with the next of the results.
  const auto serve = [&](std::unique_ptr<Connection> connection) {
    Channel channel(std::move(connection));
    const auto hello = channel.await_hello(deadline_in(20s));
    if (!hello) return;
    wire::Hello ours;
    ours.name = "liar";
    if (!channel.welcome(ours, *hello, nullptr, deadline_in(20s))) return;
    if (hello->kind == ConnectionKind::kData) (void)channel.send(0, wire::Credit{16, 1 << 20}, deadline_in(20s));
    while (!stop) {
      const auto frame = channel.receive(deadline_in(50ms));
      if (!frame && frame.error().code == ErrorCode::kDeadlineExceeded) continue;
      if (!frame) return;
      const std::uint64_t id = frame->header.request_id;
      const auto type = frame->header.type;
      const auto run = decode<wire::Run>(*frame);
      if (!channel.skip_payload(*frame, deadline_in(20s))) return;
      if (type == wire::FrameType::kPing) (void)channel.send(id, wire::Pong{}, deadline_in(20s));
      if (type == wire::FrameType::kHasSegments) (void)channel.send(id, wire::SegmentsMissing{}, deadline_in(20s));
      if (type == wire::FrameType::kInstallProgram) (void)channel.send(id, wire::ProgramInstalled{1, 0}, deadline_in(20s));
      if (!run) continue;
      const TensorSpec& spec = results[asked++];
      wire::RunResult result{.epoch = run->epoch, .tensors = {*wire::wire_tensor(0, spec.dtype, spec.shape)}};
      // The right shape once more, but encoded where the plan says raw.
      if (asked + 1 == results.size()) result.tensors = {*wire::coded_tensor(0, spec.dtype, spec.shape, 40)};
      result.stages.push_back({.node = "liar"});
      const std::vector<std::byte> bytes(result.tensors[0].bytes);
      const std::span<const std::byte> piece(bytes);
      (void)channel.send(id, result, {&piece, 1}, deadline_in(20s));
    }
  };
  std::thread accepting([&] {
    while (auto connection = listener->accept(deadline_in(20s))) threads.emplace_back(serve, std::move(*connection));
  });
  {
    Cluster cluster;
    cluster.nodes = {{.name = "liar", .host = where.host, .port = where.port}};
    ClusterClient client(*transport_, cluster);
    ASSERT_TRUE(deploy(client, all_on("liar")));
    for (std::size_t i = 0; i + 1 < results.size(); ++i) {
      const auto answer = client.run(views(), {.timeout = 20s});
      ASSERT_FALSE(answer) << i;
      EXPECT_EQ(answer.error().code, ErrorCode::kCorrupt) << answer.error().message;
    }
    EXPECT_TRUE(client.run(views(), {.timeout = 20s})) << "and the connection goes on";
  }
  stop = true;
  listener->shutdown();
  accepting.join();
  for (std::thread& thread : threads) thread.join();
}

class IdleTest : public FaultsTest {
 protected:
  void change(NodeOptions& options) override { options.idle_timeout = 100ms; }
};

TEST_F(IdleTest, IdleIsNotDead) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, plan()));
  std::vector<std::thread> several;
  for (int i = 0; i < 3; ++i) several.emplace_back([&] { (void)client.run(views(), {}); });
  for (std::thread& thread : several) thread.join();
  std::this_thread::sleep_for(500ms);
  for (int i = 0; i < 6; ++i) {
    const auto answer = client.run(views(), {});
    EXPECT_TRUE(answer) << i << ": " << answer.error().message;
  }
  // Without a beating caller it is.
  RawCaller nobody = raw(0, ConnectionKind::kData, wire::random_session_id());
  EXPECT_TRUE(nobody.ends());
}

class FullTest : public FaultsTest {
 protected:
  void change(NodeOptions& options) override {
    options.connections_max = 8;
    options.connections_per_address_max = per_address_;
    options.silence = silence_;
  }
  std::chrono::milliseconds silence_ = 60'000ms;
  std::size_t per_address_ = 8;
};
class CrowdTest : public FullTest {
 protected:
  CrowdTest() { silence_ = 20ms; }
};

TEST_F(FullTest, AFullNodeSaysSo) {
  std::vector<std::unique_ptr<RawCaller>> held;
  for (int i = 0; i < 8; ++i)
    held.push_back(
        std::make_unique<RawCaller>(*transport_, options_[0].listen, ConnectionKind::kData, wire::random_session_id()));
  const RawCaller late = raw(0, ConnectionKind::kData, wire::random_session_id());
  ASSERT_FALSE(late.greeted());
  EXPECT_EQ(late.greeted().error().code, ErrorCode::kOverloaded) << late.greeted().error().message;
  held.pop_back();
  EXPECT_TRUE(soon([&] { return raw(0, ConnectionKind::kData, wire::random_session_id()).greeted().has_value(); }));
}

TEST_F(CrowdTest, SilentConnectionsGoFirst) {
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE(deploy(client, all_on("camera")));
  std::this_thread::sleep_for(100ms);  // its first beat
  std::vector<std::unique_ptr<Connection>> silent;
  for (int i = 0; i < 20; ++i) {
    silent.push_back(*transport_->connect(options_[0].listen, deadline_in(5s)));
    std::this_thread::sleep_for(30ms);
  }
  const auto served = client.run(views(), {});
  EXPECT_TRUE(served) << served.error().message;
  ClusterClient newcomer(*transport_, cluster_);
  EXPECT_TRUE(deploy(newcomer, all_on("camera")));
  EXPECT_TRUE(newcomer.run(views(), {}));
}

class AllowTest : public FaultsTest {
 protected:
  void change(NodeOptions& options) override { options.allow_next = {"127.0.0.1:2"}; }
};

TEST_F(AllowTest, OnlyAllowedNextNodesAreCalled) {
  RawCaller caller = raw(0, ConnectionKind::kData, wire::random_session_id());
  EXPECT_TRUE(caller.ask<wire::Installed>(1, passing(1, 0, 2, "gateway", address(1))));
  const auto refused = caller.ask<wire::Installed>(2, passing(2, 0, 2, "server", address(2)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("--allow-next"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace tideline
