// codistillation (Anil et al. 2018): every worker has a model of its own and never averages it. Beside its labels it learns from
// what the others would answer: to the loss of every batch it adds weight * KL(q || p), q the mean of the answers of the others'
// models as they were at the end of the last round, p its own. In a round each takes `local_steps` steps and sends its model to
// all others. In the first `burn_in` rounds nobody listens: models that know nothing teach nothing.
//
// The run's model is that of its first worker.
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class CodistillingWorker final : public WorkerRule {
 public:
  CodistillingWorker(const Job& job, std::uint32_t worker, Learner& learner)
      : job_(job), data_(job, worker, learner), optimiser_(job.optimiser, learner.parameters().size()) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup* group) override {
    if (!work.model.empty()) put_model(work.model, learner);
    if (!has_steps_ || round_ != work.round) TIDELINE_CHECK_OK(compute(learner, work));
    const std::vector<float> mine = take_model(learner);
    for (std::size_t to = 0; to < group->size(); ++to)
      if (to != group->rank()) TIDELINE_CHECK_OK(group->send(to, 0, mine));
    arrived_.assign(group->size() - 1, std::vector<float>(mine.size()));
    for (std::size_t from = 0, k = 0; from < group->size(); ++from)
      if (from != group->rank()) TIDELINE_CHECK_OK(group->receive(from, 0, arrived_[k++]));
    return done_;
  }
  void commit(Learner&) override {
    if (!has_steps_) return;
    has_steps_ = false;
    others_ = std::move(arrived_);
  }
  void save(Learner& learner, StateWriter& to) override {
    to.floats(take_model(learner));
    to.number(others_.size());
    for (const std::vector<float>& other : others_) to.floats(other);
    optimiser_.save(to);
  }
  Status load(Learner& learner, StateReader& from) override {
    std::vector<float> model(take_model(learner).size());
    TIDELINE_CHECK_OK(from.floats(model));
    put_model(model, learner);
    TIDELINE_TRY(const std::uint64_t count, from.number());
    if (count >= job_.workers) return Error{ErrorCode::kCorrupt, "[train] a state has more models than there are other workers"};
    others_.assign(static_cast<std::size_t>(count), std::vector<float>(model.size()));
    for (std::vector<float>& other : others_) TIDELINE_CHECK_OK(from.floats(other));
    return optimiser_.load(from);
  }

 private:
  // The local steps, once for a round however often models are exchanged.
  Status compute(Learner& learner, const Work& work) {
    const double rate = rate_at(job_.optimiser, work.round, work.rounds), weight = job_.strategy.number("weight");
    const std::size_t steps = job_.strategy.count("local_steps");
    const bool listens = weight > 0 && work.round >= job_.strategy.count("burn_in") && !others_.empty();
    for (std::uint64_t step = work.round * steps; step < (work.round + 1) * steps; ++step) {
      if (listens) {
        TIDELINE_TRY(const std::vector<float> mean, mean_answers(learner, data_.batch(step)));
        const Lesson lesson{.probabilities = mean, .soft = weight};
        TIDELINE_CHECK_OK(data_.gradient(learner, step, &lesson));
      } else {
        TIDELINE_CHECK_OK(data_.gradient(learner, step));
      }
      optimiser_.step(learner.parameters(), learner.gradients(), rate);
    }
    done_ = data_.counted();
    round_ = work.round;
    has_steps_ = true;
    return {};
  }
  Result<std::vector<float>> mean_answers(Learner& learner, std::span<const std::uint32_t> rows) const {
    std::vector<float> sum;
    for (const std::vector<float>& other : others_) {
      TIDELINE_TRY(const std::vector<float> answers, learner.answers(other, rows));
      const std::vector<float> q = softmax_rows(answers, answers.size() / rows.size(), 1);
      if (sum.empty()) sum.assign(q.size(), 0);
      for (std::size_t i = 0; i < q.size(); ++i) sum[i] += q[i] / static_cast<float>(others_.size());
    }
    return sum;
  }

  Job job_;
  LocalData data_;
  Optimiser optimiser_;
  std::uint64_t round_ = 0;
  bool has_steps_ = false;
  std::vector<std::vector<float>> others_, arrived_;
  Done done_;
};

}  // namespace

std::unique_ptr<WorkerRule> make_codistilling_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<CodistillingWorker>(job, worker, learner);
}

}  // namespace tideline::train
