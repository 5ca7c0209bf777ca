// Goal: the formulas of flops.h, each on one op small enough to count by hand.
#include "model/flops.h"

#include <gtest/gtest.h>

#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

using Shapes = std::map<std::string, Dims>;

// FLOPs of a model of one op with these inputs; those of `weights` are initialisers.
std::uint64_t flops(const std::string& type, const Names& inputs, const Shapes& shapes, const Names& weights = {},
                    const std::function<void(onnx::NodeProto*)>& attributes = {}) {
  onnx::ModelProto proto = empty_model();
  for (const std::string& name : inputs) {
    if (name.empty()) continue;
    if (std::find(weights.begin(), weights.end(), name) != weights.end())
      add_weight(proto, name, shapes.at(name));
    else
      add_input(proto, name, shapes.at(name));
  }
  auto* node = add_node(proto, type, inputs, {"y"});
  if (attributes) attributes(node);
  add_output(proto, "y", shapes.at("y"));
  Model model = parse(proto).value();
  set_all_shapes(model, [&](const std::string& name) { return shapes.at(name); });
  return model.graph().ops.back().flops;
}

void set_int(onnx::NodeProto* node, const std::string& name, std::int64_t value) {
  add_attribute(node, name, onnx::AttributeProto::INT)->set_i(value);
}

TEST(Flops, Convolutions) {
  // 8 outputs of 5x5, each from 3 channels of 3x3: 2 x 200 x 27; a bias adds 200.
  const Shapes shapes{{"x", {1, 3, 7, 7}}, {"w", {8, 3, 3, 3}}, {"b", {8}}, {"y", {1, 8, 5, 5}}};
  EXPECT_EQ(flops("Conv", {"x", "w"}, shapes, {"w"}), 2u * 200 * 27);
  EXPECT_EQ(flops("Conv", {"x", "w", "b"}, shapes, {"w", "b"}), 2u * 200 * 27 + 200);
  // Depth-wise: one channel each.
  EXPECT_EQ(flops("Conv", {"x", "w"}, {{"x", {1, 8, 7, 7}}, {"w", {8, 1, 3, 3}}, {"y", {1, 8, 5, 5}}}, {"w"},
                  [](auto* node) { set_int(node, "group", 8); }),
            2u * 200 * 9);
  // Every input value goes into 4 channels of 2x2.
  EXPECT_EQ(flops("ConvTranspose", {"x", "w"}, {{"x", {1, 3, 5, 5}}, {"w", {3, 4, 2, 2}}, {"y", {1, 4, 10, 10}}}, {"w"}),
            2u * 75 * 16);
}

TEST(Flops, Products) {
  EXPECT_EQ(flops("MatMul", {"a", "b"}, {{"a", {2, 3, 5}}, {"b", {2, 5, 7}}, {"y", {2, 3, 7}}}), 2u * 42 * 5);
  const Shapes gemm{{"a", {3, 5}}, {"b", {5, 7}}, {"c", {7}}, {"y", {3, 7}}};
  EXPECT_EQ(flops("Gemm", {"a", "b", "c"}, gemm, {"b", "c"}), 2u * 21 * 5 + 21);
  EXPECT_EQ(flops("Gemm", {"a", "b"}, {{"a", {5, 3}}, {"b", {5, 7}}, {"y", {3, 7}}}, {"b"},
                  [](auto* node) { set_int(node, "transA", 1); }),
            2u * 21 * 5);
}

TEST(Flops, Recurrent) {
  const Shapes shapes{{"x", {10, 2, 6}}, {"w", {1, 16, 6}}, {"r", {1, 16, 4}}, {"y", {10, 1, 2, 4}}};
  // 20 positions, 4 gates of 4, each 2 x (6 + 4) + 4.
  EXPECT_EQ(flops("LSTM", {"x", "w", "r"}, shapes, {"w", "r"}, [](auto* node) { set_int(node, "hidden_size", 4); }),
            20u * 16 * 24);
  EXPECT_EQ(flops("GRU", {"x", "w", "r"}, shapes, {"w", "r"}, [](auto* node) { set_int(node, "hidden_size", 4); }),
            20u * 12 * 24);
}

TEST(Flops, Others) {
  const Shapes same{{"x", {1, 4}}, {"y", {1, 4}}};
  EXPECT_EQ(flops("Relu", {"x"}, same), 4u);
  EXPECT_EQ(flops("Softmax", {"x"}, same), 20u);
  EXPECT_EQ(flops("Identity", {"x"}, same), 0u);
  EXPECT_EQ(flops("Reshape", {"x", "s"}, {{"x", {1, 4}}, {"s", {2}}, {"y", {2, 2}}}), 0u);
  EXPECT_EQ(flops("MaxPool", {"x"}, {{"x", {1, 1, 4, 4}}, {"y", {1, 1, 2, 2}}}, {},
                  [](auto* node) {
                    set_ints(node, "kernel_shape", {2, 2});
                  }),
            16u);
  EXPECT_EQ(flops("GlobalAveragePool", {"x"}, {{"x", {1, 3, 4, 4}}, {"y", {1, 3, 1, 1}}}), 48u);
  EXPECT_EQ(flops("ReduceMean", {"x"}, {{"x", {1, 8}}, {"y", {1, 1}}}), 8u);
}

// Strides, groups and kernels of zero or less, and sizes whose product is too large to count.
TEST(Flops, HostileAttributesAreHarmless) {
  const Shapes shapes{{"x", {1, 3, 7, 7}}, {"w", {8, 3, 3, 3}}, {"y", {1, 8, 5, 5}}};
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
    const auto attributes = [&](auto* node) {
      set_int(node, "group", value);
      set_int(node, "transA", value);
      set_int(node, "hidden_size", value);
      set_ints(node, "strides", {value, value});
      set_ints(node, "kernel_shape", {value, value});
    };
    for (const char* type : {"Conv", "ConvTranspose", "MaxPool", "Gemm", "MatMul", "LSTM", "Resize", "BatchNormalization"}) {
      flops(type, {"x", "w"}, shapes, {"w"}, attributes);
      flops(type, {"x", "w"}, shapes, {}, attributes);
      flops(type, {"x"}, shapes, {}, attributes);
    }
  }
}

}  // namespace
}  // namespace tideline
