// Goal: parameters and FLOPs are those that were published for these networks. Three counts must agree: the papers', the zoo's
// own while it builds a network, and the model library's from the finished file with shapes by ONNX's inference.
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>

#include "model/chain.h"
#include "model/model.h"
#include "zoo/zoo.h"

namespace tideline {
namespace {

// Shapes of every tensor by ONNX's inference, on a copy without the large weights.
std::vector<Model::KnownShape> inferred_shapes(const std::string& bytes) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(bytes));
  for (auto& tensor : *proto.mutable_graph()->mutable_initializer())
    if (tensor.raw_data().size() > 1024) tensor.clear_raw_data();
  onnx::shape_inference::InferShapes(proto);
  std::vector<Model::KnownShape> shapes;
  const auto add = [&](const onnx::ValueInfoProto& value) {
    const auto& type = value.type().tensor_type();
    std::vector<std::int64_t> dims;
    for (const auto& dim : type.shape().dim()) dims.push_back(dim.dim_value());
    shapes.push_back({value.name(), static_cast<DType>(type.elem_type()), dims, dims});
  };
  for (const auto& value : proto.graph().input()) add(value);
  for (const auto& value : proto.graph().value_info()) add(value);
  for (const auto& value : proto.graph().output()) add(value);
  return shapes;
}

// Without the additions of a bias, which papers do not count.
std::uint64_t multiply_accumulates(const Graph& graph) {
  std::uint64_t sum = 0;
  for (const Op& op : graph.ops) {
    if (op.type != "Conv" && op.type != "Gemm" && op.type != "MatMul") continue;
    std::uint64_t outputs = 1;
    for (const std::int64_t dim : graph.tensor(op.outputs.front()).measured_shape) outputs *= static_cast<std::uint64_t>(dim);
    sum += (op.flops - (op.inputs.size() == 3 ? outputs : 0)) / 2;
  }
  return sum;
}

class PublishedCounts : public testing::TestWithParam<const char*> {};

TEST_P(PublishedCounts, AreOurs) {
  const auto counts = zoo_counts(GetParam());
  ASSERT_TRUE(counts) << counts.error().message;
  auto bytes = zoo_model(GetParam(), 1);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const std::vector<Model::KnownShape> shapes = inferred_shapes(*bytes);
  auto model = Model::parse(*bytes, GetParam(), "");
  bytes->clear();
  bytes->shrink_to_fit();
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(model->set_shapes(shapes));
  EXPECT_EQ(model->graph().parameters, counts->parameters + counts->running_averages);
  EXPECT_EQ(multiply_accumulates(model->graph()), counts->macs);
  for (const ZooEntry& entry : zoo_entries()) {
    if (entry.name != GetParam()) continue;
    if (entry.published_parameters > 0) {
      EXPECT_EQ(model->graph().parameters - counts->running_averages, entry.published_parameters);
    }
    EXPECT_NEAR(static_cast<double>(multiply_accumulates(model->graph())), static_cast<double>(entry.published_macs),
                static_cast<double>(entry.published_macs) * entry.macs_tolerance);
  }
  // Every op is in exactly one block, and nothing is counted twice.
  const auto chain = make_chain(model->graph(), model->sha256(), {});
  ASSERT_TRUE(chain) << chain.error().message;
  std::uint64_t flops = 0;
  Bytes parameter_bytes = 0;
  std::size_t ops = 0;
  for (const Block& block : chain->blocks) {
    flops += block.flops;
    parameter_bytes += block.parameter_bytes;
    ops += block.ops.size();
  }
  std::uint64_t expected = 0;
  std::size_t live = 0;
  for (const Op& op : model->graph().ops) {
    expected += op.flops;
    live += op.is_constant || op.is_dead ? 0 : 1;
  }
  EXPECT_EQ(flops, expected);
  EXPECT_EQ(ops, live);
  EXPECT_GE(parameter_bytes, model->graph().parameter_bytes);
}

INSTANTIATE_TEST_SUITE_P(Zoo, PublishedCounts,
                         testing::Values("alexnet", "vgg16", "resnet50", "mobilenet-v1", "mobilenet-v2", "squeezenet",
                                         "shufflenet", "inception-v3", "lenet5", "yolov2", "xception"));

}  // namespace
}  // namespace tideline
