// local-sgd (Stich 2019) and diloco (Douillard et al. 2023): every worker takes `local_steps` steps of an optimiser whose state
// it keeps, from the round's model w; d is the mean of w_k - w, each worker alike. local-sgd: w += d. diloco: Nesterov's momentum
// on the outer gradient -d: v = m v - d;  w -= rate (m v - d).
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class LocalSgdWorker final : public WorkerRule {
 public:
  LocalSgdWorker(const Job& job, std::uint32_t worker, Learner& learner)
      : job_(job), data_(job, worker, learner), optimiser_(job.optimiser, learner.parameters().size()) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup*) override {
    put_model(work.model, learner);
    const double rate = rate_at(job_.optimiser, work.round, work.rounds);
    const std::size_t steps = job_.strategy.count("local_steps");
    for (std::size_t step = 0; step < steps; ++step) {
      TIDELINE_CHECK_OK(data_.gradient(learner, work.round * steps + step));
      optimiser_.step(learner.parameters(), learner.gradients(), rate);
      if (work.codec != nullptr) work.codec->confine(work.round, work.model, learner.parameters());
    }
    Done done = data_.counted();
    done.update = take_model(learner);
    for (std::size_t i = 0; i < done.update.size(); ++i) done.update[i] -= work.model[i];
    return done;
  }
  void save(Learner&, StateWriter& to) override { optimiser_.save(to); }
  Status load(Learner&, StateReader& from) override { return optimiser_.load(from); }

 private:
  Job job_;
  LocalData data_;
  Optimiser optimiser_;
};

class LocalSgdServer final : public ServerRule {
 public:
  LocalSgdServer(const Job& job, const ModelSize& size) : size_(size) {
    if (job.strategy.name != "diloco") return;
    rate_ = static_cast<float>(job.strategy.number("outer_rate"));
    momentum_ = static_cast<float>(job.strategy.number("outer_momentum"));
    speed_.assign(size.parameters, 0.0F);
  }
  bool counts_samples() const override { return false; }

  void apply(std::uint64_t, std::span<const float> update, std::size_t, std::span<float> model) override {
    for (std::size_t i = 0; i < size_.parameters; ++i) {
      if (speed_.empty()) {
        model[i] += update[i];
        continue;
      }
      speed_[i] = momentum_ * speed_[i] - update[i];
      model[i] -= rate_ * (momentum_ * speed_[i] - update[i]);
    }
    for (std::size_t i = size_.parameters; i < size_.all(); ++i) model[i] += update[i];
  }
  void save(StateWriter& to) const override { to.floats(speed_); }
  Status load(StateReader& from) override { return from.floats(speed_); }

 private:
  ModelSize size_;
  float rate_ = 1;
  float momentum_ = 0;
  std::vector<float> speed_;  // empty: local-sgd
};

}  // namespace

std::unique_ptr<WorkerRule> make_local_sgd_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<LocalSgdWorker>(job, worker, learner);
}
std::unique_ptr<ServerRule> make_local_sgd_server(const Job& job, const ModelSize& size) {
  return std::make_unique<LocalSgdServer>(job, size);
}

}  // namespace tideline::train
