#include "train/strategy/slow_learner.h"

#include <chrono>
#include <thread>

namespace tideline::train {
namespace {

class SlowLearner final : public Learner {
  auto stretched(auto compute) const {
    const auto start = std::chrono::steady_clock::now();
    auto result = compute();
    std::this_thread::sleep_for((std::chrono::steady_clock::now() - start) * (factor_ - 1));
    return result;
  }

 public:
  SlowLearner(std::unique_ptr<Learner> inner, double factor) : inner_(std::move(inner)), factor_(factor) {}
  std::size_t samples() const override { return inner_->samples(); }
  std::span<float> parameters() override { return inner_->parameters(); }
  std::span<const float> gradients() override { return inner_->gradients(); }
  std::vector<compress::Layer> layers() const override { return inner_->layers(); }
  std::span<float> buffers() override { return inner_->buffers(); }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed) override {
    return stretched([&] { return inner_->gradient(rows, seed); });
  }
  Result<std::vector<float>> answers(std::span<const float> model, std::span<const std::uint32_t> rows) override {
    return stretched([&] { return inner_->answers(model, rows); });
  }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed, const Lesson& lesson) override {
    return stretched([&] { return inner_->gradient(rows, seed, lesson); });
  }

 private:
  std::unique_ptr<Learner> inner_;
  double factor_;
};

}  // namespace

std::unique_ptr<Learner> make_slow_learner(std::unique_ptr<Learner> inner, double factor) {
  return std::make_unique<SlowLearner>(std::move(inner), factor);
}

}  // namespace tideline::train
