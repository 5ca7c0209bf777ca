// Goal: a model in memory and the same model in a file become the same chain, and the unsplit model answers its inputs by name.
#include <gtest/gtest.h>

#include "session/compare.h"
#include "session/load.h"
#include "zoo/zoo.h"

namespace tideline {
namespace {

TEST(LoadTest, AModelInMemory) {
  const auto onnx = zoo_model("lenet5", 1);
  ASSERT_TRUE(onnx);
  std::vector<std::string> notes;
  const Control control{.on_progress = [&](const Step& step) { notes.push_back(std::string(step.note)); }};
  const auto loaded = load_model_bytes(*onnx, "lenet5", {}, control);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(notes, (std::vector<std::string>{"", "running it once", "finding its cuts"}));
  ASSERT_EQ(loaded->sample.size(), loaded->chain.cuts[0].tensors.size());
  auto unsplit = Unsplit::load(*loaded);
  ASSERT_TRUE(unsplit) << unsplit.error().message;
  const auto once = unsplit->run(loaded->sample, {});
  const auto again = unsplit->run(loaded->sample, {});
  ASSERT_TRUE(once && again);
  ASSERT_EQ(once->size(), loaded->chain.cuts.back().tensors.size());
  EXPECT_TRUE(compare((*once)[0], (*again)[0]).is_identical);
}

TEST(LoadTest, ACancelledCallerIsHeard) {
  const auto onnx = zoo_model("lenet5", 1);
  ASSERT_TRUE(onnx);
  const Control control;
  control.cancel.cancel();
  const auto loaded = load_model_bytes(*onnx, "lenet5", {}, control);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace tideline
