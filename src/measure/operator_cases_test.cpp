// Goal: every case is a model that the engine runs, of the ops that its kind says, and sizes are spread and bounded. Method: the
// first sizes of every kind are loaded and run; FLOPs are counted from the file by the model library and by hand for one case.
#include "measure/operator_cases.h"

#include <set>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/probe.h"
#include "model/model.h"

namespace tideline {
namespace {

TEST(OperatorCases, TheEngineRunsEveryKind) {
  const auto engine = make_engine({});
  ASSERT_TRUE(engine);
  std::set<std::string> ops;
  for (std::size_t kind = 0; kind < operator_kinds().size(); ++kind)
    for (std::uint32_t index = 0; index < 3; ++index) {
      SCOPED_TRACE(std::string(operator_kinds()[kind]) + " " + std::to_string(index));
      const auto made = operator_case(kind, index);
      ASSERT_TRUE(made) << made.error().message;
      auto model = Model::parse(made->onnx, made->kind, "");
      ASSERT_TRUE(model) << model.error().message;
      const Status probed = probe_shapes(**engine, *model);
      ASSERT_TRUE(probed) << probed.error().message;
      EXPECT_EQ(made->kernel.size(), made->stride.size());
      bool has_window = false;
      for (const Op& op : model->graph().ops) {
        ops.insert(op.type);
        has_window |= op.type.starts_with("Conv") || op.type == "MaxPool" || op.type == "AveragePool";
      }
      // A network has many.
      if (!made->kind.starts_with("network")) EXPECT_EQ(has_window, made->kernel.size() == 2);
      EXPECT_TRUE((*engine)->load_onnx(made->onnx, {}));
    }
  for (const char* op : {"Conv",
                         "ConvTranspose",
                         "Gemm",
                         "MatMul",
                         "MaxPool",
                         "AveragePool",
                         "GlobalAveragePool",
                         "Relu",
                         "Clip",
                         "LeakyRelu",
                         "Tanh",
                         "Sigmoid",
                         "HardSigmoid",
                         "Erf",
                         "Add",
                         "Mul",
                         "Div",
                         "Concat",
                         "Softmax",
                         "LRN",
                         "BatchNormalization",
                         "Transpose",
                         "Reshape",
                         "SpaceToDepth",
                         "Resize",
                         "ReduceMean",
                         "LayerNormalization",
                         "Slice",
                         "Sub",
                         "Exp",
                         "Sqrt"})
    EXPECT_TRUE(ops.contains(op)) << op;
}

TEST(OperatorCases, SizesAreSpreadAndBounded) {
  for (std::size_t kind = 0; kind < operator_kinds().size(); ++kind) {
    SCOPED_TRACE(operator_kinds()[kind]);
    std::set<std::string> different;
    constexpr std::uint32_t kSizes = 40;
    for (std::uint32_t index = 0; index < kSizes; ++index) {
      const auto made = operator_case(kind, index);
      ASSERT_TRUE(made);
      // Weights of 8 million numbers at the most.
      EXPECT_LE(made->onnx.size(), 34'000'000U) << index;
      different.insert(made->onnx);
      EXPECT_EQ(operator_case(kind, index)->onnx, made->onnx);
    }
    // Chains of empty kernels differ in their length alone.
    EXPECT_GE(different.size(), operator_kinds()[kind] == "empty-kernels" ? kSizes / 2 : kSizes * 3 / 4);
  }
}

TEST(OperatorCases, TheFirstRoundHasEveryKindAndLaterOnesTheirShare) {
  const std::size_t kinds = operator_kinds().size();
  EXPECT_EQ(kinds_of_round(0).size(), kinds);
  std::vector<int> counts(kinds);
  for (std::uint32_t round = 1; round <= 12; ++round)
    for (const std::size_t kind : kinds_of_round(round)) ++counts[kind];
  EXPECT_EQ(*std::max_element(counts.begin(), counts.end()), 12);
  EXPECT_EQ(*std::min_element(counts.begin(), counts.end()), 3);
}

TEST(OperatorCases, TheReferencesFlopsAreThoseOfItsFormula) {
  const auto engine = make_engine({});
  ASSERT_TRUE(engine);
  const auto made = reference_case();
  ASSERT_TRUE(made);
  auto model = Model::parse(made->onnx, "reference", "");
  ASSERT_TRUE(model);
  ASSERT_TRUE(probe_shapes(**engine, *model));
  // 28 x 28 places, 64 channels out of 64 by 3 x 3, twice; and a bias.
  EXPECT_EQ(model->graph().ops.back().flops, 2ULL * 28 * 28 * 64 * 64 * 9 + 28 * 28 * 64);
}

}  // namespace
}  // namespace tideline
