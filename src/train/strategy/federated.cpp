// fedavg (McMahan et al. 2017) and fedprox (Li et al. 2020): a drawn part of the workers goes `local_epochs` times through its
// data, starting from the round's model w; the new one is w + sum n_k (w_k - w) / sum n_k. fedprox adds mu (w_k - w) to every
// gradient. A worker's optimiser begins anew in every round: it may not be drawn again for long.
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class FederatedWorker final : public WorkerRule {
 public:
  FederatedWorker(const Job& job, std::uint32_t worker, const Learner& learner) : job_(job), data_(job, worker, learner) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup*) override {
    put_model(work.model, learner);
    const auto parameters = learner.parameters();
    Optimiser optimiser(job_.optimiser, parameters.size());
    const double rate = rate_at(job_.optimiser, work.round, work.rounds);
    const std::uint64_t steps = job_.strategy.count("local_epochs") * data_.steps_per_epoch();
    const float mu = job_.strategy.name == "fedprox" ? static_cast<float>(job_.strategy.number("mu")) : 0;
    std::vector<float> pulled;
    for (std::uint64_t step = 0; step < steps; ++step) {
      TIDELINE_CHECK_OK(data_.gradient(learner, work.round * steps + step));
      std::span<const float> gradient = learner.gradients();
      if (mu > 0) {
        pulled.assign(gradient.begin(), gradient.end());
        for (std::size_t i = 0; i < pulled.size(); ++i) pulled[i] += mu * (parameters[i] - work.model[i]);
        gradient = pulled;
      }
      optimiser.step(parameters, gradient, rate);
      if (work.codec != nullptr) work.codec->confine(work.round, work.model, parameters);
    }
    Done done = data_.counted();
    done.update = take_model(learner);
    for (std::size_t i = 0; i < done.update.size(); ++i) done.update[i] -= work.model[i];
    return done;
  }

 private:
  Job job_;
  LocalData data_;
};

class FederatedServer final : public ServerRule {
 public:
  explicit FederatedServer(const Job& job) : job_(job) {}
  std::vector<std::uint32_t> asked(std::uint64_t round, const std::vector<std::uint32_t>& able) const override {
    return sample_workers(job_, round, able);
  }
  void apply(std::uint64_t, std::span<const float> update, std::size_t, std::span<float> model) override {
    for (std::size_t i = 0; i < model.size(); ++i) model[i] += update[i];
  }

 private:
  Job job_;
};

}  // namespace

std::unique_ptr<WorkerRule> make_federated_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<FederatedWorker>(job, worker, learner);
}
std::unique_ptr<ServerRule> make_federated_server(const Job& job, const ModelSize&) {
  return std::make_unique<FederatedServer>(job);
}

}  // namespace tideline::train
