// Goal: the probe learns every shape that a run can tell, and hostile models end it with a typed error.
#include "engine/probe.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "engine/test_models.h"

namespace tideline {
namespace {

Model parse(const std::string& bytes, std::map<std::string, std::vector<std::int64_t>> shapes = {}) {
  auto model = Model::parse(bytes, "test.onnx", "", {.shapes = std::move(shapes)});
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return std::move(*model);
}

const GraphTensor& tensor(const Model& model, const std::string& name) {
  const auto& tensors = model.graph().tensors;
  const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const GraphTensor& t) { return t.spec.name == name; });
  EXPECT_NE(found, tensors.end()) << name;
  return *found;
}

TEST(Probe, MeasuresTensorsAndLeavesSequencesOut) {
  auto engine = make_engine({});
  Model model = parse(test::through_a_sequence(-1), {{"x", {3, 2}}});
  const Status status = probe_shapes(**engine, model);
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(tensor(model, "x").measured_shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(tensor(model, "a").measured_shape, (std::vector<std::int64_t>{3, 2}));
  EXPECT_EQ(tensor(model, "a").bytes, 24U);
  EXPECT_FALSE(tensor(model, "rows").is_measured);
  EXPECT_EQ(tensor(model, "first").measured_shape, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(tensor(model, "y").measured_shape, (std::vector<std::int64_t>{1, 2}));
}

TEST(Probe, DynamicInputsNeedAShape) {
  auto engine = make_engine({});
  Model model = parse(test::through_a_sequence(-1));
  const Status status = probe_shapes(**engine, model);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(status.error().message.find("x is float32[?,2]"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("--shape"), std::string::npos);
}

TEST(Probe, SeededInputsAreTheSameEachTimeAndFinite) {
  Model model = parse(test::through_a_sequence(50));
  const auto first = seeded_inputs(model, 7);
  const auto again = seeded_inputs(model, 7);
  const auto other = seeded_inputs(model, 8);
  ASSERT_TRUE(first && again && other);
  ASSERT_EQ((*first)[0].data.size(), 400U);
  EXPECT_EQ(std::memcmp((*first)[0].data.data(), (*again)[0].data.data(), 400), 0);
  EXPECT_NE(std::memcmp((*first)[0].data.data(), (*other)[0].data.data(), 400), 0);
  for (int i = 0; i < 100; ++i) {
    float value = -1;
    std::memcpy(&value, (*first)[0].data.data() + 4 * i, 4);
    EXPECT_GE(value, 0.0F);
    EXPECT_LE(value, 1.0F);
  }
}

TEST(Probe, HostileModelsEndWithATypedError) {
  auto engine = make_engine({.memory_bytes = Bytes{256} << 20});
  Model endless = parse(test::endless_loop());
  const Status stopped =
      probe_shapes(**engine, endless, {.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(50)});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kDeadlineExceeded) << stopped.error().message;
  Model huge = parse(test::expand(std::int64_t{17} << 28, false));
  const Status refused = probe_shapes(**engine, huge);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded) << refused.error().message;
}

}  // namespace
}  // namespace tideline
