// Goal: kernels are compared by what their work is. Method: FLOPs and bytes counted by hand for one kernel of each form.
#include "profile/kernel_features.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;

SampleKernel conv(std::vector<std::int64_t> x, std::vector<std::int64_t> w, std::vector<std::int64_t> y,
                  std::int64_t groups = 1) {
  SampleKernel kernel{.type = "Conv", .blocked = true, .inputs = {std::move(x), std::move(w)}, .outputs = {std::move(y)}};
  kernel.kernel = {kernel.inputs[1][2], kernel.inputs[1][3]};
  kernel.stride = {1, 1};
  kernel.groups = groups;
  return kernel;
}

TEST(KernelFeatures, ConvolutionsAreDividedByWhatTheEngineDoes) {
  const auto general = features_of(conv({1, 16, 8, 8}, {32, 16, 3, 3}, {1, 32, 8, 8}));
  ASSERT_TRUE(general);
  EXPECT_EQ(general->family, "blocked.conv.general");
  // The padding is not computed: of 24 rows of windows 22 are within the plane, and as many columns.
  EXPECT_DOUBLE_EQ(general->flops, 2.0 * 32 * 64 * 16 * 9 * (22.0 / 24) * (22.0 / 24));
  EXPECT_EQ(general->bytes, 4.0 * (16 * 64 + 32 * 16 * 9 + 32 * 64));
  EXPECT_EQ(features_of(conv({1, 16, 8, 8}, {32, 16, 1, 1}, {1, 32, 8, 8}))->family, "blocked.conv.pointwise");
  EXPECT_EQ(features_of(conv({1, 32, 8, 8}, {32, 1, 3, 3}, {1, 32, 8, 8}, 32))->family, "blocked.conv.depthwise");
  EXPECT_EQ(features_of(conv({1, 3, 8, 8}, {32, 3, 3, 3}, {1, 32, 8, 8}))->family, "blocked.conv.first");
  SampleKernel plain = conv({1, 16, 8, 8}, {32, 16, 1, 1}, {1, 32, 8, 8});
  plain.blocked = false;
  plain.type = "FusedConv";
  EXPECT_EQ(features_of(plain)->family, "conv.pointwise");
  // Groups of single elements need no gathering, others do; then padding is computed as everything else.
  SampleKernel grouped = conv({1, 64, 8, 8}, {32, 16, 1, 1}, {1, 32, 8, 8}, 4);
  grouped.blocked = false;
  EXPECT_EQ(features_of(grouped)->family, "conv.grouped.pointwise");
  grouped.inputs[1] = {32, 16, 3, 3};
  EXPECT_EQ(features_of(grouped)->family, "conv.grouped");
  EXPECT_EQ(features_of(grouped)->flops, 2.0 * 32 * 64 * 16 * 9);
  // A sum that the engine fused is a feature and its bytes are read.
  SampleKernel sum = conv({1, 16, 8, 8}, {32, 16, 3, 3}, {1, 32, 8, 8});
  sum.inputs.push_back({32});
  sum.inputs.push_back({1, 32, 8, 8});
  EXPECT_EQ(features_of(sum)->bytes, general->bytes + 4.0 * (32 + 32 * 64));
  EXPECT_NE(features_of(sum)->place, general->place);
}

// A row of 80 is a row of 80, however many there are: in blocks a window goes along rows.
TEST(KernelFeatures, WindowsInBlocksAreComparedByTheirRows) {
  const auto flat = features_of(conv({1, 64, 4, 80}, {64, 1, 3, 3}, {1, 64, 4, 80}, 64));
  const auto square = features_of(conv({1, 64, 80, 80}, {64, 1, 3, 3}, {1, 64, 80, 80}, 64));
  EXPECT_EQ(flat->place, square->place);
  EXPECT_LT(flat->flops * 20, square->flops);  // more of its windows hang over the edge
  const auto point = features_of(conv({1, 64, 4, 100}, {64, 64, 1, 1}, {1, 64, 4, 100}));
  EXPECT_EQ(point->place, features_of(conv({1, 64, 20, 20}, {64, 64, 1, 1}, {1, 64, 20, 20}))->place);
  EXPECT_EQ(point->weight_bytes, 4.0 * 64 * 64);
  EXPECT_EQ(point->output_bytes, 4.0 * 64 * 400);
}

TEST(KernelFeatures, ProductsOfMatricesHaveTheirThreeSizes) {
  const auto fc = features_of({.type = "Gemm", .inputs = {{1, 512}, {1000, 512}, {1000}}, .outputs = {{1, 1000}}});
  EXPECT_EQ(fc->family, "matmul");
  EXPECT_EQ(fc->flops, 2.0 * 512 * 1000);
  EXPECT_THAT(fc->place, ElementsAre(0, DoubleEq(9), DoubleEq(std::log2(1000)), 0));
  const auto heads = features_of({.type = "MatMul", .inputs = {{1, 8, 64, 32}, {1, 8, 32, 128}}, .outputs = {{1, 8, 64, 128}}});
  EXPECT_EQ(heads->family, "matmul.two");
  EXPECT_EQ(heads->flops, 2.0 * 8 * 64 * 32 * 128);
  EXPECT_THAT(heads->place, ElementsAre(DoubleEq(6), DoubleEq(5), DoubleEq(7), DoubleEq(3)));
}

TEST(KernelFeatures, FamiliesHaveOneNumberOfFeatures) {
  const std::size_t dims = features_of(conv({1, 16, 8, 8}, {32, 16, 3, 3}, {1, 32, 8, 8}))->place.size();
  EXPECT_EQ(features_of(conv({1, 64, 8, 8}, {32, 16, 1, 1}, {1, 32, 8, 8}, 4))->place.size(), dims);
  EXPECT_EQ(features_of({.type = "Add", .inputs = {{1, 8, 4, 4}, {1, 8, 4, 4}}, .outputs = {{1, 8, 4, 4}}})->place.size(),
            features_of({.type = "Add", .inputs = {{1, 8}, {}}, .outputs = {{1, 8}}})->place.size());
}

TEST(KernelFeatures, ViewsAndKernelsWithoutShapesHaveNone) {
  EXPECT_FALSE(features_of({.type = "Reshape", .inputs = {{1, 8}}, .outputs = {{8}}}));
  EXPECT_FALSE(features_of({.type = "Conv"}));
  EXPECT_FALSE(features_of({.type = "Add", .inputs = {{}}, .outputs = {{1}}}));
  // A scalar output has no dimensions, and damaged ones may be missing: no guess is made.
  EXPECT_FALSE(layer_features_of({.type = "Add", .inputs = {{4}}, .outputs = {{}}}));
}

TEST(KernelFeatures, NeurosurgeonsAreThoseOfThePaper) {
  const auto layer = layer_features_of(conv({1, 16, 8, 8}, {32, 16, 3, 3}, {1, 32, 8, 8}));
  EXPECT_EQ(layer->type, "conv");
  EXPECT_THAT(layer->features, ElementsAre(16 * 64, DoubleEq(9 * 32)));
  EXPECT_THAT(layer_features_of({.type = "Gemm", .inputs = {{1, 512}, {1000, 512}}, .outputs = {{1, 1000}}})->features,
              ElementsAre(512, 1000));
  EXPECT_EQ(layer_features_of({.type = "Relu", .inputs = {{1, 8}}, .outputs = {{1, 8}}})->type, "activation");
}

}  // namespace
}  // namespace tideline
