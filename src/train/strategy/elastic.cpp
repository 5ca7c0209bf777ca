// easgd and eamsgd (Zhang, Choromanska, LeCun 2015), synchronous: every worker i has a model x_i of its own. At the start of a
// round it is given the centre c, moves by d_i = alpha (x_i - c) towards it, x_i -= d_i, and then takes `local_steps` steps of
// its optimiser (eamsgd: with Nesterov's momentum). The centre moves by what the workers moved: c += sum d_i. So no step leaves
// c + sum x_i as it is. alpha = beta / workers; beta 0.9 as in the paper. Buffers move like parameters.
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

OptimiserSettings inner_settings(const Job& job) {
  OptimiserSettings settings = job.optimiser;
  if (job.strategy.name == "eamsgd") settings.nesterov = true;
  return settings;
}

class ElasticWorker final : public WorkerRule {
 public:
  ElasticWorker(const Job& job, std::uint32_t worker, Learner& learner)
      : job_(job),
        data_(job, worker, learner),
        optimiser_(inner_settings(job), learner.parameters().size()),
        alpha_(static_cast<float>(job.strategy.number("beta") / static_cast<double>(job.workers))) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup*) override {
    if (mine_.empty()) mine_.assign(work.model.begin(), work.model.end());
    std::vector<float> force(mine_.size());
    for (std::size_t i = 0; i < mine_.size(); ++i) {
      force[i] = alpha_ * (mine_[i] - work.model[i]);
      mine_[i] -= force[i];
    }
    put_model(mine_, learner);
    const double rate = rate_at(job_.optimiser, work.round, work.rounds);
    const std::size_t steps = job_.strategy.count("local_steps");
    for (std::size_t step = 0; step < steps; ++step) {
      TIDELINE_CHECK_OK(data_.gradient(learner, work.round * steps + step));
      optimiser_.step(learner.parameters(), learner.gradients(), rate);
    }
    mine_ = take_model(learner);
    Done done = data_.counted();
    done.update = std::move(force);
    return done;
  }
  std::vector<float> model(Learner& learner) override { return mine_.empty() ? take_model(learner) : mine_; }
  void save(Learner&, StateWriter& to) override {
    to.floats(mine_);
    optimiser_.save(to);
  }
  Status load(Learner& learner, StateReader& from) override {
    TIDELINE_TRY(mine_, from.floats());
    if (!mine_.empty() && mine_.size() != take_model(learner).size())
      return Error{ErrorCode::kCorrupt, "[train] a state has another model than the job"};
    return optimiser_.load(from);
  }

 private:
  Job job_;
  LocalData data_;
  Optimiser optimiser_;
  float alpha_;
  std::vector<float> mine_;  // empty before the first round
};

class ElasticServer final : public ServerRule {
 public:
  bool counts_samples() const override { return false; }
  // The mean of `count` forces.
  void apply(std::uint64_t, std::span<const float> update, std::size_t count, std::span<float> model) override {
    for (std::size_t i = 0; i < model.size(); ++i) model[i] += static_cast<float>(count) * update[i];
  }
};

}  // namespace

std::unique_ptr<WorkerRule> make_elastic_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<ElasticWorker>(job, worker, learner);
}
std::unique_ptr<ServerRule> make_elastic_server(const Job&, const ModelSize&) { return std::make_unique<ElasticServer>(); }

}  // namespace tideline::train
