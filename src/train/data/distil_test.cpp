// Goal: the distillation loss is Hinton's, and its gradient is that of it. Method: central differences; the limits that the paper
// derives.
#include "train/data/distil.h"

#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "train/data/model_files.h"

namespace tideline::train {
namespace {

constexpr std::size_t kRows = 3, kColumns = 4;
const std::vector<std::int32_t> kLabels{2, 0, 3};
const TensorSpec kSpec{"", DType::kFloat32, {kRows, kColumns}};

std::vector<float> numbers(unsigned seed, float width = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, width);
  std::vector<float> all(kRows * kColumns);
  for (float& number : all) number = normal(random);
  return all;
}
Loss loss_of(std::span<const float> z, const Lesson& lesson) {
  return *distillation_loss({&kSpec, std::as_bytes(z)}, kLabels, lesson);
}
std::vector<float> gradient_of(const Loss& loss) {
  std::vector<float> gradient(kRows * kColumns);
  std::memcpy(gradient.data(), loss.gradient.data.data(), loss.gradient.data.size());
  return gradient;
}

TEST(Distil, TheGradientIsThatOfTheLoss) {
  for (const double temperature : {0.7, 1.0, 5.0}) {
    const std::vector<float> q = softmax_rows(numbers(7), kColumns, temperature);
    const Lesson lesson{q, 0.4, 0.8, temperature};
    std::vector<float> z = numbers(1);
    const std::vector<float> gradient = gradient_of(loss_of(z, lesson));
    for (std::size_t i = 0; i < z.size(); ++i) {
      constexpr float kStep = 1.0F / 256;
      const float before = z[i];
      z[i] = before + kStep;
      const double above = loss_of(z, lesson).mean;
      z[i] = before - kStep;
      const double below = loss_of(z, lesson).mean;
      z[i] = before;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * kStep), 1e-5) << i;
    }
  }
}

TEST(Distil, LabelsAloneAreCrossEntropyAndOneselfTeachesNothing) {
  const std::vector<float> z = numbers(1), q = softmax_rows(z, kColumns, 3), other = softmax_rows(numbers(2), kColumns, 3);
  const Loss labels = *cross_entropy({&kSpec, std::as_bytes(std::span(z))}, kLabels);
  const Loss unweighted = loss_of(z, {other, 1, 0, 3});
  EXPECT_EQ(unweighted.mean, labels.mean);
  EXPECT_EQ(gradient_of(unweighted), gradient_of(labels));
  EXPECT_EQ(unweighted.correct, labels.correct);
  const Loss itself = loss_of(z, {q, 0, 1, 3});
  EXPECT_NEAR(itself.mean, 0, 1e-6);
  for (const float number : gradient_of(itself)) EXPECT_NEAR(number, 0, 1e-6);
  EXPECT_GT(loss_of(z, {other, 0, 1, 3}).mean, 0.01);
}

TEST(Distil, AtHighTemperatureLogitsAreMatched) {
  // T^2 times the soft gradient goes to (z - v) / classes, both with the mean zero in every row (section 2.1 of the paper).
  std::vector<float> z = numbers(1, 1), v = numbers(2, 1);
  for (std::vector<float>* logits : {&z, &v})
    for (std::size_t row = 0; row < kRows; ++row) {
      float mean = 0;
      for (std::size_t k = 0; k < kColumns; ++k) mean += (*logits)[row * kColumns + k] / kColumns;
      for (std::size_t k = 0; k < kColumns; ++k) (*logits)[row * kColumns + k] -= mean;
    }
  constexpr double kHot = 500;
  const std::vector<float> q = softmax_rows(v, kColumns, kHot);
  const std::vector<float> gradient = gradient_of(loss_of(z, {q, 0, 1, kHot}));
  for (std::size_t i = 0; i < z.size(); ++i) EXPECT_NEAR(gradient[i], (z[i] - v[i]) / kColumns / kRows, 1e-3) << i;
}

TEST(ModelFiles, TravelAsOneAndNothingElseIsTaken) {
  const std::string packed = pack_files({"model", "teacher"});
  const auto files = unpack_files(packed);
  ASSERT_TRUE(files);
  EXPECT_EQ(files->model, "model");
  EXPECT_EQ(files->teacher, "teacher");
  for (std::size_t size = 0; size <= 8 + 5; ++size) EXPECT_FALSE(unpack_files(packed.substr(0, size))) << size;
  EXPECT_EQ(unpack_files(std::string(16, '\xff')).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(unpack_files(std::string(16, '\0')));
}

TEST(Distil, AnotherNumberOfClassesIsRefused) {
  const std::vector<float> z = numbers(1), q(kRows * 3, 1.0F / 3);
  EXPECT_EQ(distillation_loss({&kSpec, std::as_bytes(std::span(z))}, kLabels, {q}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline::train
