// Goal: codistilling workers learn from their own labels and from each other's answers, and from nothing else. Method: softmax
// regression, whose loss anybody can write down, over threads that leave models for each other.
#include <cmath>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "train/exchange/test_group.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

constexpr std::size_t kFeatureCount = 4, kAnswerCount = 3, kCrowd = 3;

class Regression final : public Learner {
 public:
  Regression(unsigned seed, std::size_t samples) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 1);
    for (std::size_t i = 0; i < samples; ++i) {
      labels_.push_back(static_cast<std::int32_t>(random() % kAnswerCount));
      for (std::size_t k = 0; k < kFeatureCount; ++k)
        x_.push_back(normal(random) + (k == static_cast<std::size_t>(labels_[i]) ? 1.0F : 0.0F));
    }
  }
  std::size_t samples() const override { return labels_.size(); }
  std::span<float> parameters() override { return weights_; }
  std::span<const float> gradients() override { return gradient_; }
  std::span<float> buffers() override { return {}; }
  Result<std::vector<float>> answers(std::span<const float> model, std::span<const std::uint32_t> rows) override {
    std::vector<float> z;
    for (const std::uint32_t row : rows)
      for (std::size_t c = 0; c < kAnswerCount; ++c) {
        z.push_back(0);
        for (std::size_t k = 0; k < kFeatureCount; ++k) z.back() += model[c * kFeatureCount + k] * x_[row * kFeatureCount + k];
      }
    return z;
  }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t) override { return learn(rows, nullptr); }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t, const Lesson& lesson) override {
    ++lessons;
    return learn(rows, &lesson);
  }
  std::size_t lessons = 0;

 private:
  Result<Batch> learn(std::span<const std::uint32_t> rows, const Lesson* lesson) {
    TIDELINE_TRY(const std::vector<float> z, answers(weights_, rows));
    std::vector<std::int32_t> labels;
    for (const std::uint32_t row : rows) labels.push_back(labels_[row]);
    const TensorSpec spec{"", DType::kFloat32, {static_cast<std::int64_t>(rows.size()), kAnswerCount}};
    const TensorView logits{&spec, std::as_bytes(std::span(z))};
    TIDELINE_TRY(const Loss loss, lesson == nullptr ? cross_entropy(logits, labels) : distillation_loss(logits, labels, *lesson));
    const auto* const of_z = reinterpret_cast<const float*>(loss.gradient.data.data());
    std::fill(gradient_.begin(), gradient_.end(), 0.0F);
    for (std::size_t i = 0; i < rows.size(); ++i)
      for (std::size_t c = 0; c < kAnswerCount; ++c)
        for (std::size_t k = 0; k < kFeatureCount; ++k)
          gradient_[c * kFeatureCount + k] += of_z[i * kAnswerCount + c] * x_[rows[i] * kFeatureCount + k];
    return Batch{loss.mean, loss.correct};
  }

  std::vector<float> x_;
  std::vector<std::int32_t> labels_;
  std::vector<float> weights_ = std::vector<float>(kFeatureCount * kAnswerCount, 0.0F), gradient_ = weights_;
};

Job codistil_job(double weight, std::size_t burn_in = 0) {
  const auto job =
      parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {{name: codistillation, "
                            "batch: 8, local_steps: 2, weight: {}, burn_in: {}}}\n"
                            "optimiser: {{name: sgd, rate: 0.2, momentum: 0.5}}\nrounds: 9\nseed: 3\n",
                            kCrowd, weight, burn_in),
                "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

struct Crowd {
  std::vector<std::unique_ptr<Regression>> learners;
  std::vector<std::unique_ptr<WorkerRule>> rules;

  explicit Crowd(const Job& job) {
    for (std::uint32_t k = 0; k < kCrowd; ++k) {
      learners.push_back(std::make_unique<Regression>(10 + k, 30));
      rules.push_back(make_worker_rule(job, k, *learners[k]));
    }
  }
  void run(std::uint64_t first, std::uint64_t last) {
    const std::vector<float> start(kFeatureCount * kAnswerCount, 0.0F);
    for (std::uint64_t round = first; round < last; ++round) {
      Post post(kCrowd);
      std::vector<std::thread> threads;
      for (std::size_t k = 0; k < kCrowd; ++k)
        threads.emplace_back([&, k] {
          if (round > 0) rules[k]->commit(*learners[k]);
          PostGroup group(post, k, kCrowd);
          const Work work{
              .round = round, .model = round == 0 ? std::span<const float>(start) : std::span<const float>(), .rounds = 9};
          EXPECT_TRUE(rules[k]->work(*learners[k], work, &group));
        });
      for (std::thread& thread : threads) thread.join();
      // Everybody sends its model to everybody else.
      for (std::size_t k = 0; k < kCrowd; ++k) EXPECT_EQ(post.sent[k], (kCrowd - 1) * kFeatureCount * kAnswerCount);
    }
  }
  std::vector<float> weights(std::size_t k) { return take_model(*learners[k]); }
  // Mean distance of two models.
  double apart() {
    double sum = 0;
    for (std::size_t a = 0; a < kCrowd; ++a)
      for (std::size_t b = 0; b < a; ++b)
        for (std::size_t i = 0; i < kFeatureCount * kAnswerCount; ++i) sum += std::abs(weights(a)[i] - weights(b)[i]);
    return sum;
  }
};

TEST(Codistil, WithoutWeightEveryoneIsAlone) {
  const Job job = codistil_job(0);
  Crowd together(job);
  together.run(0, 9);
  for (std::uint32_t k = 0; k < kCrowd; ++k) {
    // The same steps with nobody there.
    Crowd alone(job);
    for (std::uint64_t round = 0; round < 9; ++round) {
      Post post(1);
      PostGroup group(post, 0, 1);
      const std::vector<float> start(kFeatureCount * kAnswerCount, 0.0F);
      if (round > 0) alone.rules[k]->commit(*alone.learners[k]);
      ASSERT_TRUE(alone.rules[k]->work(*alone.learners[k],
                                       {round, round == 0 ? std::span<const float>(start) : std::span<const float>()}, &group));
    }
    EXPECT_EQ(together.weights(k), alone.weights(k));
    EXPECT_EQ(together.learners[k]->lessons, 0U);
  }
}

TEST(Codistil, LearningFromOthersBringsModelsTogether) {
  Crowd alone(codistil_job(0)), listening(codistil_job(4));
  alone.run(0, 9);
  listening.run(0, 9);
  EXPECT_LT(listening.apart(), 0.7 * alone.apart());
  // Two steps of each round but the first, in which nothing has come yet.
  EXPECT_EQ(listening.learners[0]->lessons, 16U);
  Crowd later(codistil_job(4, 5));
  later.run(0, 9);
  EXPECT_EQ(later.learners[0]->lessons, 8U);
}

TEST(Codistil, AStateGoesOnToTheSameBits) {
  const Job job = codistil_job(2);
  Crowd straight(job), first(job), second(job);
  straight.run(0, 9);
  first.run(0, 5);
  for (std::size_t k = 0; k < kCrowd; ++k) {
    first.rules[k]->commit(*first.learners[k]);
    StateWriter state;
    first.rules[k]->save(*first.learners[k], state);
    const std::vector<std::byte> bytes = state.take();
    StateReader from(bytes);
    ASSERT_TRUE(second.rules[k]->load(*second.learners[k], from));
    ASSERT_TRUE(from.finish());
    for (std::size_t size = 0; size < bytes.size(); size += 7) {
      StateReader cut(std::span<const std::byte>(bytes).first(size));
      Regression other(1, 3);
      EXPECT_FALSE(make_worker_rule(job, 0, other)->load(other, cut)) << size;
    }
  }
  second.run(5, 9);
  for (std::size_t k = 0; k < kCrowd; ++k) EXPECT_EQ(second.weights(k), straight.weights(k));
}

}  // namespace
}  // namespace tideline::train
