// sync-sgd over a ring or a tree: every worker keeps the whole model and an optimiser, and takes the same step along the gradient
// that the all-reduce gives all of them, to the same last bit. What is summed is n_k g_k with n_k behind it, so that batches of
// different sizes count by their samples.
#include <cmath>

#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class AllReduceWorker final : public WorkerRule {
 public:
  AllReduceWorker(const Job& job, std::uint32_t worker, Learner& learner)
      : job_(job), data_(job, worker, learner), optimiser_(job.optimiser, learner.parameters().size()) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup* group) override {
    if (!work.model.empty()) put_model(work.model, learner);
    if (!has_gradient_ || round_ != work.round) TIDELINE_CHECK_OK(compute(learner, work.round));
    rounds_ = work.rounds;
    sum_ = mine_;
    TIDELINE_CHECK_OK(job_.exchange == Exchange::kRing ? ring_all_reduce(*group, sum_) : tree_all_reduce(*group, sum_));
    return done_;
  }

  void commit(Learner& learner) override {
    if (!has_gradient_) return;
    has_gradient_ = false;
    const float samples = sum_.back();
    for (float& number : sum_) number /= samples;
    const std::span<const float> mean(sum_);
    const std::size_t parameters = learner.parameters().size();
    optimiser_.step(learner.parameters(), mean.first(parameters), rate_at(job_.optimiser, round_, rounds_));
    const auto buffers = learner.buffers();
    for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i] += mean[parameters + i];
  }

  void save(Learner& learner, StateWriter& to) override {
    to.floats(take_model(learner));
    optimiser_.save(to);
  }
  Status load(Learner& learner, StateReader& from) override {
    std::vector<float> model(take_model(learner).size());
    TIDELINE_CHECK_OK(from.floats(model));
    put_model(model, learner);
    return optimiser_.load(from);
  }

 private:
  // Kept until the round is committed: after the loss of a member only the exchange is repeated.
  Status compute(Learner& learner, std::uint64_t round) {
    const std::vector<float> before(learner.buffers().begin(), learner.buffers().end());
    TIDELINE_CHECK_OK(data_.gradient(learner, round));
    done_ = data_.counted();
    const auto samples = static_cast<float>(data_.batch_samples());
    mine_.clear();
    for (const float number : learner.gradients()) {
      // Within a sum nobody could tell any more whose it was.
      if (!std::isfinite(number))
        return Error{ErrorCode::kInvalidArgument, "[train] its gradient has a number that is not finite (a lower rate may help)"};
      mine_.push_back(number * samples);
    }
    const auto buffers = learner.buffers();
    for (std::size_t i = 0; i < buffers.size(); ++i) {
      mine_.push_back((buffers[i] - before[i]) * samples);
      buffers[i] = before[i];
    }
    mine_.push_back(samples);
    round_ = round;
    has_gradient_ = true;
    return {};
  }

  Job job_;
  LocalData data_;
  Optimiser optimiser_;
  std::uint64_t round_ = 0;
  std::uint64_t rounds_ = 0;
  bool has_gradient_ = false;
  std::vector<float> mine_, sum_;
  Done done_;
};

}  // namespace

std::unique_ptr<WorkerRule> make_all_reduce_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<AllReduceWorker>(job, worker, learner);
}

}  // namespace tideline::train
