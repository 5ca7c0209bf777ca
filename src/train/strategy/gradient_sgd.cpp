// single, sync-sgd, backup-workers and fedsgd over a parameter server: workers send gradients at the model they were given, the
// coordinator takes a step of its optimiser along the mean, weighted by samples: w -= rate * sum n_k g_k / sum n_k.
//
// Backup workers (Chen et al. 2016): of N + b gradients of a step the first N are used and the others dropped by their step's
// number, whatever they are. fedsgd (McMahan et al. 2017): a drawn part of the workers, each over all its data.
// The asynchronous strategies use the same worker.
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class GradientWorker final : public WorkerRule {
 public:
  GradientWorker(const Job& job, std::uint32_t worker, const Learner& learner) : data_(job, worker, learner) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup*) override {
    put_model(work.model, learner);
    TIDELINE_CHECK_OK(data_.gradient(learner, work.round));
    Done done = data_.counted();
    done.update.assign(learner.gradients().begin(), learner.gradients().end());
    const auto buffers = learner.buffers();
    const auto before = work.model.subspan(learner.parameters().size());
    for (std::size_t i = 0; i < buffers.size(); ++i) done.update.push_back(buffers[i] - before[i]);
    return done;
  }

 private:
  LocalData data_;
};

class GradientServer final : public ServerRule {
 public:
  GradientServer(const Job& job, const ModelSize& size) : job_(job), size_(size), optimiser_(job.optimiser, size.parameters) {}

  std::vector<std::uint32_t> asked(std::uint64_t round, const std::vector<std::uint32_t>& able) const override {
    return job_.strategy.name == "fedsgd" ? sample_workers(job_, round, able) : able;
  }
  std::size_t enough(std::size_t asked, std::size_t alive) const override {
    if (!is_backed_up()) return asked;
    const std::size_t backup = job_.strategy.count("backup");
    return alive > backup ? alive - backup : 1;
  }
  bool asks_late_comers() const override { return is_backed_up(); }

  void apply(std::uint64_t round, std::span<const float> update, std::size_t, std::span<float> model) override {
    optimiser_.step(model.first(size_.parameters), update.first(size_.parameters), rate_at(job_.optimiser, round, job_.rounds));
    for (std::size_t i = size_.parameters; i < size_.all(); ++i) model[i] += update[i];
  }
  void save(StateWriter& to) const override { optimiser_.save(to); }
  Status load(StateReader& from) override { return optimiser_.load(from); }

 private:
  bool is_backed_up() const { return job_.strategy.name == "backup-workers"; }

  Job job_;
  ModelSize size_;
  Optimiser optimiser_;
};

}  // namespace

std::unique_ptr<WorkerRule> make_gradient_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<GradientWorker>(job, worker, learner);
}
std::unique_ptr<ServerRule> make_gradient_server(const Job& job, const ModelSize& size) {
  return std::make_unique<GradientServer>(job, size);
}

}  // namespace tideline::train
