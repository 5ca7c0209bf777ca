// Goal: the codec of a hop travels: what arrives at a stage is what the codec makes of what left, nobody decodes what only passes
// by, and a peer that sends something else gets a typed error and nothing worse. Method: three nodes in one process, held against
// the same segments run here with encode() and decode() between them, bit for bit.
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>

#include "client/stream.h"
#include "codec/codec.h"
#include "node/nodes_fixture.h"
#include "plan/program.h"

namespace tideline {
namespace {

using testing::HasSubstr;

class CodingTest : public NodesTest {
 protected:
  void change(NodeOptions& options) override { options.request_bytes = 16u << 20; }

  // The plan's stages in this process, each tensor through its hop's codec. What came in a codec and leaves in the same one
  // passes by unchanged, as encoding twice must not lose twice.
  std::vector<Tensor> by_hand(const Plan& plan) {
    const Program program = *lower(plan, cluster_, chain_);
    std::vector<Tensor> now;
    for (const Tensor& input : inputs_) now.push_back({input.spec, Buffer::copy_of(input.data.span())});
    Codec arrived;
    for (const ProgramStage& stage : program.stages) {
      const Codec leaves = *find_codec(stage.codec);
      if (stage.blocks) now = run_stage(now, stage);
      if (!leaves.is_raw() && (stage.blocks || leaves != arrived))
        for (Tensor& tensor : now) tensor = *decode(encode(leaves, view(tensor))->span(), tensor.spec.name);
      arrived = leaves;
    }
    return now;
  }

  // The stage's outputs: what its segment makes, and what passes by.
  std::vector<Tensor> run_stage(const std::vector<Tensor>& inputs, const ProgramStage& stage) {
    const Segment segment = *extract_segment(*model_, chain_, stage.blocks->first, stage.blocks->second);
    const auto session = *engine_->load(segment.bytes, {});
    std::vector<TensorView> views;
    for (const TensorSpec& wanted : session->inputs())
      for (const Tensor& input : inputs)
        if (input.spec.name == wanted.name) views.push_back(view(input));
    std::vector<RunOutput> outputs(session->outputs().size());
    EXPECT_TRUE(session->run(views, outputs, {}));
    std::vector<Tensor> leaves;
    for (const std::string& name : stage.outputs) {
      for (std::size_t i = 0; i < outputs.size(); ++i)
        if (session->outputs()[i].name == name)
          leaves.push_back({{name, outputs[i].spec.dtype, outputs[i].spec.shape}, Buffer::copy_of(outputs[i].bytes)});
      for (const Tensor& input : inputs)
        if (input.spec.name == name) leaves.push_back({input.spec, Buffer::copy_of(input.data.span())});
    }
    EXPECT_EQ(leaves.size(), stage.outputs.size());
    return leaves;
  }

  void expect_as_by_hand(const Plan& plan, const RunAnswer& answer) {
    const std::vector<Tensor> expected = by_hand(plan);
    ASSERT_EQ(answer.outputs.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(answer.outputs[i].data.size(), expected[i].data.size());
      EXPECT_EQ(std::memcmp(answer.outputs[i].data.data(), expected[i].data.data(), expected[i].data.size()), 0);
    }
  }

  Plan with_codecs(Plan plan, std::vector<std::string> codecs) {
    plan = *complete_plan(plan, cluster_);
    plan.codecs = std::move(codecs);
    return plan;
  }

  // The whole model on the camera as a stage whose input comes in that codec, installed by hand.
  wire::InstallProgram whole_in(const Codec& codec) {
    const Segment segment = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
    ClusterClient client(*transport_, cluster_);
    EXPECT_TRUE((*client.peer(0))->push_segment(segment.hash, segment.bytes, 0, CancelToken(), {}));
    wire::ProgramStage stage{.id = 0, .segment = segment.hash, .codec_in = codec};
    for (const TensorSpec& tensor : chain_.cuts.front().tensors) stage.inputs.push_back(tensor.name);
    for (const TensorSpec& tensor : chain_.cuts.back().tensors) stage.outputs.push_back(tensor.name);
    return {.epoch = 1, .stages = {stage}};
  }
};

TEST_F(CodingTest, EveryCodecTravelsAndTheAnswerIsThatOfTheSameSteps) {
  ClusterClient client(*transport_, cluster_);
  const auto unsplit = by_hand(plan());
  for (const NamedCodec& known : codecs()) {
    SCOPED_TRACE(known.name);
    const std::string name(known.name);
    const Plan coded = with_codecs(plan(), {name, name, "raw", "raw"});
    ASSERT_TRUE(deploy(client, coded));
    const auto answer = client.run(views(), {});
    ASSERT_TRUE(answer) << answer.error().message;
    expect_as_by_hand(coded, *answer);
    if (!known.codec.is_lossy()) {
      EXPECT_EQ(std::memcmp(answer->outputs[0].data.data(), unsplit[0].data.data(), unsplit[0].data.size()), 0);
    }
    ASSERT_EQ(answer->stages.size(), 3u);
    EXPECT_EQ(answer->stages[0].encode.count() > 0, !known.codec.is_raw());
    EXPECT_EQ(answer->stages[1].decode.count() > 0, !known.codec.is_raw());
    EXPECT_EQ(answer->stages[1].encode.count() > 0, !known.codec.is_raw());
    EXPECT_EQ(answer->stages[2].decode.count() > 0, !known.codec.is_raw());
    EXPECT_EQ(answer->stages[2].encode.count(), 0);
  }
}

TEST_F(CodingTest, ANodeThatOnlyPassesOnTouchesNothingInTheSameCodec) {
  ClusterClient client(*transport_, cluster_);
  const Plan same = with_codecs(all_on("server"), {"int8", "int8", "fp16", "fp16"});
  ASSERT_TRUE(deploy(client, same));
  const auto answer = client.run(views(), {});
  ASSERT_TRUE(answer) << answer.error().message;
  expect_as_by_hand(same, *answer);
  ASSERT_EQ(answer->stages.size(), 3u);
  EXPECT_GT(answer->stages[0].encode.count(), 0);
  EXPECT_GT(answer->stages[0].decode.count(), 0);  // of the answer, which the caller gets raw
  EXPECT_EQ(answer->stages[1].decode.count(), 0);
  EXPECT_EQ(answer->stages[1].encode.count(), 0);
  EXPECT_EQ(answer->stages[1].bytes, answer->stages[0].bytes);
  EXPECT_LT(answer->stages[0].bytes, inputs_[0].data.size() / 3);
  EXPECT_GT(answer->stages[2].decode.count(), 0);
  EXPECT_GT(answer->stages[2].encode.count(), 0);
}

TEST_F(CodingTest, EachHopHasItsOwnCodecThereAndBack) {
  ClusterClient client(*transport_, cluster_);
  for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{{"int8c+zstd", "fp16", "raw+lz4", "int8"},
                                                                                     {"raw", "int8", "raw", "raw"},
                                                                                     {"fp16+lz4", "raw", "raw", "fp16"},
                                                                                     {"raw", "raw", "fp16", "raw"}}) {
    for (const Plan& uncoded : {plan(), all_on("server"), all_on("gateway")}) {
      Plan coded = with_codecs(uncoded, names);
      if (coded.route.size() == 3) coded.codecs = {names[0], names[3]};
      ASSERT_TRUE(deploy(client, coded));
      for (int i = 0; i < 3; ++i) {
        const auto answer = client.run(views(), {});
        ASSERT_TRUE(answer) << answer.error().message;
        expect_as_by_hand(coded, *answer);
      }
    }
  }
}

// Several under way: reading, coding, computing and sending are then on threads of their own.
TEST_F(CodingTest, AStreamInCodecsAnswersAsOneByOne) {
  ClusterClient client(*transport_, cluster_);
  const Plan coded = with_codecs(plan(), {"int8c+zstd", "fp16+lz4", "fp16", "int8"});
  ASSERT_TRUE(deploy(client, coded));
  RunStream stream(client, {.window = 6});
  for (int i = 0; i < 30; ++i) {
    if (stream.full()) {
      const auto answer = stream.next();
      ASSERT_TRUE(answer) << answer.error().message;
      expect_as_by_hand(coded, *answer);
    }
    ASSERT_TRUE(stream.submit(views()));
  }
  while (stream.in_flight() > 0) {
    const auto answer = stream.next();
    ASSERT_TRUE(answer) << answer.error().message;
    expect_as_by_hand(coded, *answer);
  }
}

// A shortcut that crosses two cuts passes by the gateway's segment: it is neither decoded nor encoded there when the codec stays.
TEST_F(CodingTest, WhatPassesByASegmentIsTouchedOnlyWhereTheCodecChanges) {
  auto loaded = load_model_bytes(*zoo_model("mobilenet-v2", 1), "mobilenet-v2", {.cut_width = 2}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  model_ = std::make_unique<Model>(std::move(loaded->model));
  chain_ = std::move(loaded->chain);
  inputs_ = std::move(loaded->sample);
  const auto passes_by = [&](std::uint32_t block) {
    for (const TensorSpec& before : chain_.cuts[block].tensors)
      for (const TensorSpec& behind : chain_.cuts[block + 1].tensors)
        if (before.name == behind.name) return true;
    return false;
  };
  std::uint32_t block = 1;
  while (block + 1 < chain_.block_count() && !passes_by(block)) ++block;
  ASSERT_LT(block + 1, chain_.block_count());
  Plan uncoded = plan();
  uncoded.segments = {{.node = "camera", .first_block = 0, .last_block = block - 1},
                      {.node = "gateway", .first_block = block, .last_block = block},
                      {.node = "server", .first_block = block + 1, .last_block = chain_.block_count() - 1}};
  ClusterClient client(*transport_, cluster_);
  // float16 twice is float16 once, so that the steps by hand, which encode again, agree with both.
  for (const std::vector<std::string>& names : std::vector<std::vector<std::string>>{
           {"fp16", "fp16", "raw", "raw"}, {"fp16+lz4", "fp16", "raw", "raw"}, {"fp16", "raw", "raw", "raw"}}) {
    const Plan coded = with_codecs(uncoded, names);
    ASSERT_TRUE(deploy(client, coded));
    const auto answer = client.run(views(), {});
    ASSERT_TRUE(answer) << answer.error().message;
    expect_as_by_hand(coded, *answer);
  }
}

TEST_F(CodingTest, AWrongCodecFromAPeerIsATypedErrorAndTheConnectionGoesOn) {
  const Codec int8{Scheme::kInt8, Packing::kNone};
  const auto install = whole_in(int8);
  RawCaller caller(*transport_, options_[0].listen, wire::ConnectionKind::kData, wire::random_session_id());
  ASSERT_TRUE(caller.ask<wire::ProgramInstalled>(1, install));
  const TensorSpec& spec = inputs_[0].spec;
  std::uint64_t id = 10;
  const auto send = [&](std::span<const std::byte> bytes, wire::WireTensor tensor) {
    wire::Run run{.epoch = 1, .deadline_us = 60'000'000, .tensors = {std::move(tensor)}};
    const std::span<const std::byte> payload[] = {bytes};
    return caller.ask<wire::RunResult>(id++, run, payload);
  };
  const auto send_coded = [&](std::span<const std::byte> bytes) {
    return send(bytes, *wire::coded_tensor(0, spec.dtype, spec.shape, bytes.size()));
  };
  const auto refused = [&](const Result<wire::RunResult>& answer, ErrorCode code, const char* what) {
    ASSERT_FALSE(answer) << what;
    EXPECT_EQ(answer.error().code, code) << answer.error().message;
    EXPECT_THAT(answer.error().message, HasSubstr(what));
  };
  const Buffer good = *encode(int8, view(inputs_[0]));
  refused(send(inputs_[0].data.span(), *wire::wire_tensor(0, spec.dtype, spec.shape)), ErrorCode::kInvalidArgument,
          "comes raw, but the plan says int8");
  refused(send_coded(encode({Scheme::kFloat16, Packing::kNone}, view(inputs_[0]))->span()), ErrorCode::kInvalidArgument,
          "came as fp16, but the plan says int8");
  // Another shape inside than outside.
  TensorSpec other = spec;
  std::swap(other.shape[1], other.shape[2]);
  const Buffer turned = *encode(int8, TensorView{&other, inputs_[0].data.span()});
  refused(send_coded(turned.span()), ErrorCode::kInvalidArgument, "was announced as");
  Buffer damaged = Buffer::copy_of(good.span());
  damaged.data()[0] = std::byte{'X'};
  refused(send_coded(damaged.span()), ErrorCode::kCorrupt, "TLC");
  // More than --request-bytes once it is decoded.
  const std::vector<std::int64_t> large{1, 5, 1024, 1024};
  refused(send(good.span(), *wire::coded_tensor(0, DType::kFloat32, large, good.size())), ErrorCode::kOverloaded,
          "request-bytes");
  // Packed, where the plan says nothing of that.
  Tensor smooth{spec, Buffer(inputs_[0].data.size())};
  std::memset(smooth.data.data(), 0, smooth.data.size());
  refused(send_coded(encode({Scheme::kInt8, Packing::kZstd}, view(smooth))->span()), ErrorCode::kInvalidArgument,
          "came as int8+zstd");
  // The same connection still serves.
  EXPECT_TRUE(send_coded(good.span()));
}

TEST_F(CodingTest, ACodecThatThereIsNotIsUnsupported) {
  RawCaller caller(*transport_, options_[0].listen, wire::ConnectionKind::kData, wire::random_session_id());
  const auto answer = caller.ask<wire::ProgramInstalled>(1, whole_in({static_cast<Scheme>(9), Packing::kNone}));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kUnsupported) << answer.error().message;
  EXPECT_TRUE(caller.ask<wire::ProgramInstalled>(2, whole_in({Scheme::kFloat16, Packing::kZstd})));
}

// A source's node of before the codecs, which says yes to everything and would forget what it does not know.
TEST_F(CodingTest, APeerThatKnowsNoCodecsIsAskedForNone) {
  const Address where{"127.0.0.1", 700};
  const auto listener = *transport_->listen(where);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  const auto later = [] { return deadline_in(std::chrono::seconds(20)); };
  const auto serve = [&](std::unique_ptr<Connection> connection) {
    Channel channel(std::move(connection));
    const auto hello = channel.await_hello(later());
    wire::Hello ours;
    ours.name = "old";
    ours.capabilities = wire::kCapPayloadChecksum | wire::kCapFlow;
    if (!hello || !channel.welcome(ours, *hello, nullptr, later())) return;
    while (!stop) {
      const auto frame = channel.receive(deadline_in(std::chrono::milliseconds(50)));
      if (!frame && frame.error().code == ErrorCode::kDeadlineExceeded) continue;
      if (!frame) return;
      wire::FrameType type = frame->header.type;
      const std::uint64_t id = frame->header.request_id;
      if (const auto forward = decode<wire::Forward>(*frame)) type = forward->inner;
      if (!channel.skip_payload(*frame, later())) return;
      if (type == wire::FrameType::kPing) (void)channel.send(id, wire::Pong{}, later());
      if (type == wire::FrameType::kHasSegments) (void)channel.send(id, wire::SegmentsMissing{}, later());
      if (type == wire::FrameType::kInstallProgram) (void)channel.send(id, wire::ProgramInstalled{1, 0}, later());
    }
  };
  std::thread accepting([&] {
    while (auto connection = listener->accept(later())) threads.emplace_back(serve, std::move(*connection));
  });
  {
    Cluster old = cluster_;
    old.nodes[0].host = where.host;
    old.nodes[0].port = where.port;
    old.nodes[0].name = "old";
    ClusterClient client(*transport_, old);
    Plan split = plan();
    split.segments[0].node = "old";
    split = *complete_plan(split, old);
    EXPECT_TRUE(deploy(client, split));
    const auto unshared = client.deploy(*model_, chain_, split, CancelToken(), {}, {{"old", {.compute_ppm = 1000}}});
    ASSERT_FALSE(unshared);
    EXPECT_EQ(unshared.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(unshared.error().message.find("too old to keep shares"), std::string::npos) << unshared.error().message;
    split.codecs = {"fp16", "fp16", "raw", "raw"};
    const auto refused = deploy(client, split);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(refused.error().message, HasSubstr("'old' is too old for codecs"));
  }
  stop = true;
  listener->shutdown();
  accepting.join();
  for (std::thread& thread : threads) thread.join();
}

// A model whose tensors hold what int8 cannot: they arrive as they were.
TEST_F(CodingTest, WhatACodecCannotHoldTravelsRawWithinIt) {
  auto* numbers = reinterpret_cast<float*>(inputs_[0].data.data());
  numbers[0] = HUGE_VALF;
  ClusterClient client(*transport_, cluster_);
  const Plan coded = with_codecs(all_on("server"), {"int8", "int8", "raw", "raw"});
  ASSERT_TRUE(deploy(client, coded));
  const auto answer = client.run(views(), {});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_GT(answer->stages[0].bytes, inputs_[0].data.size());
  const auto expected = by_hand(all_on("server"));
  EXPECT_EQ(std::memcmp(answer->outputs[0].data.data(), expected[0].data.data(), expected[0].data.size()), 0);
}

}  // namespace
}  // namespace tideline
