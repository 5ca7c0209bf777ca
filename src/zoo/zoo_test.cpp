// The zoo's networks against their published counts, and the files against the rules of ONNX.
#include "zoo/zoo.h"

#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include "zoo/onnx_builder.h"
#include "zoo/weights.h"

namespace tideline {
namespace {

onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

TEST(Zoo, ParametersAreThePublishedOnes) {
  for (const ZooEntry& entry : zoo_entries()) {
    const auto counts = zoo_counts(entry.name);
    ASSERT_TRUE(counts) << counts.error().message;
    if (entry.published_parameters != 0) {
      EXPECT_EQ(counts->parameters, entry.published_parameters) << entry.name;
    }
  }
}

TEST(Zoo, MultiplyAccumulatesAreThePublishedOnes) {
  for (const ZooEntry& entry : zoo_entries()) {
    const auto counts = zoo_counts(entry.name);
    ASSERT_TRUE(counts) << counts.error().message;
    if (entry.published_macs == 0) continue;
    const auto published = static_cast<double>(entry.published_macs);
    EXPECT_NEAR(static_cast<double>(counts->macs), published, published * entry.macs_tolerance) << entry.name;
  }
}

// The published weight file of YOLOv2 holds 50,983,561 numbers, running averages included.
TEST(Zoo, YoloHasTheNumbersOfItsPublishedWeightFile) {
  const auto counts = zoo_counts("yolov2");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->parameters + counts->running_averages, 50'983'561u);
}

// keras.applications lists Xception with 22,910,480 parameters, running averages included.
TEST(Zoo, XceptionHasTheNumbersThatKerasCounts) {
  const auto counts = zoo_counts("xception");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->parameters + counts->running_averages, 22'910'480u);
  EXPECT_EQ(counts->running_averages, 54'528u);
}

// Counted by hand from the layers of the authors' network; a network with side branches has several outputs.
TEST(Zoo, BranchyAlexNetHasTheLayersOfItsSource) {
  const auto counts = zoo_counts("branchy-alexnet");
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->parameters, 605'886u);
  EXPECT_EQ(counts->macs, 30'465'536u);
  const onnx::ModelProto model = parse(*zoo_model("branchy-alexnet", 1));
  std::set<std::string> outputs;
  for (const onnx::ValueInfoProto& output : model.graph().output()) outputs.insert(output.name());
  EXPECT_EQ(outputs, (std::set<std::string>{"exit1", "exit2", "prob"}));
}

// The small networks as files: the bytes hold exactly what was counted, shapes are what ONNX infers, and the weights inside are
// as long as their shapes.
TEST(Zoo, FilesAreValidOnnxAndHoldWhatWasCounted) {
  for (const std::string_view name : {"lenet5", "branchy-alexnet", "squeezenet", "mobilenet-v1", "mobilenet-v2", "shufflenet",
                                      "inception-v3", "resnet50", "xception"}) {
    SCOPED_TRACE(name);
    const auto bytes = zoo_model(name, 1);
    ASSERT_TRUE(bytes) << bytes.error().message;
    onnx::ModelProto model = parse(*bytes);
    EXPECT_EQ(model.ir_version(), 8);
    ASSERT_EQ(model.opset_import_size(), 1);
    EXPECT_EQ(model.opset_import(0).version(), 13);
    std::uint64_t parameters = 0;
    for (const onnx::TensorProto& tensor : model.graph().initializer()) {
      if (tensor.data_type() != onnx::TensorProto::FLOAT || tensor.dims_size() == 0) continue;
      std::uint64_t count = 1;
      for (const std::int64_t dim : tensor.dims()) count *= static_cast<std::uint64_t>(dim);
      ASSERT_EQ(tensor.raw_data().size(), 4 * count) << tensor.name();
      parameters += count;
    }
    const ZooCounts counts = *zoo_counts(name);
    EXPECT_EQ(parameters, counts.parameters + counts.running_averages);
    EXPECT_EQ(static_cast<std::uint64_t>(model.graph().node_size()), counts.ops);
    EXPECT_NO_THROW(onnx::checker::check_model(model));
    // Our own shapes are in value_info: inference with strict checks throws where they differ from what it derives.
    const onnx::ShapeInferenceOptions strict(true, 1, false);
    EXPECT_NO_THROW(onnx::shape_inference::InferShapes(model, onnx::OpSchemaRegistry::Instance(), strict));
  }
}

TEST(Zoo, SameSeedSameBytesAndAnotherSeedOthers) {
  EXPECT_EQ(*zoo_model("lenet5", 7), *zoo_model("lenet5", 7));
  EXPECT_NE(*zoo_model("lenet5", 7), *zoo_model("lenet5", 8));
}

TEST(Zoo, UnknownNamesAreAnsweredWithTheNearest) {
  const auto wrong = zoo_model("resnet5", 1);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kNotFound);
  EXPECT_NE(wrong.error().message.find("resnet50"), std::string::npos) << wrong.error().message;
}

TEST(Weights, AreUniformAndDoNotRepeat) {
  constexpr std::size_t kCount = 100'001;
  std::vector<float> values(kCount);
  zoo::fill_uniform(zoo::tensor_seed(1, "w"), 0.5f, 2.0f, kCount, reinterpret_cast<char*>(values.data()));
  double sum = 0;
  double squares = 0;
  std::set<float> distinct;
  for (const float value : values) {
    ASSERT_GE(value, -1.5f);
    ASSERT_LT(value, 2.5f);
    sum += value;
    squares += (value - 0.5) * (value - 0.5);
    distinct.insert(value);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.02);
  EXPECT_NEAR(squares / kCount, 4.0 / 3, 0.02);  // variance a^2/3
  EXPECT_GT(distinct.size(), kCount * 98 / 100);
  EXPECT_NE(zoo::tensor_seed(1, "w"), zoo::tensor_seed(1, "v"));
  EXPECT_NE(zoo::tensor_seed(1, "w"), zoo::tensor_seed(2, "w"));
}

}  // namespace
}  // namespace tideline
