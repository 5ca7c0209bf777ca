// gossip by push-sum (Kempe, Dobra, Gehrke 2003; GoSGD, Blot et al. 2016): every worker has numbers x and a weight v, and its
// model is x / v. In a round it takes `local_steps` steps of its optimiser on that model, sends half of x and of v to a worker
// drawn by the seed, and adds what it is sent. Sending changes neither the sum of x nor that of v over all workers, and every
// model comes nearer to sum x / sum v. Who sends to whom is drawn from the seed by everybody alike, so everybody knows how many
// come.
#include "train/strategy/draw.h"
#include "train/strategy/optimiser.h"
#include "train/strategy/strategy.h"

namespace tideline::train {
namespace {

class GossipWorker final : public WorkerRule {
 public:
  GossipWorker(const Job& job, std::uint32_t worker, Learner& learner)
      : job_(job), data_(job, worker, learner), optimiser_(job.optimiser, learner.parameters().size()) {}

  Result<Done> work(Learner& learner, const Work& work, PeerGroup* group) override {
    if (!work.model.empty()) put_model(work.model, learner);
    if (!has_steps_ || round_ != work.round) TIDELINE_CHECK_OK(compute(learner, work.round, work.rounds));
    // x and v, one behind the other; halves are exact.
    std::vector<float> half = take_model(learner);
    for (float& number : half) number *= 0.5F * weight_;
    half.push_back(0.5F * weight_);
    next_ = half;
    if (group->size() == 1) {
      for (float& number : next_) number *= 2;
      return done_;
    }
    TIDELINE_CHECK_OK(group->send(target(work.round, group->rank(), group->size()), 0, half));
    std::vector<float> arrived(half.size());
    for (std::size_t from = 0; from < group->size(); ++from) {
      if (from == group->rank() || target(work.round, from, group->size()) != group->rank()) continue;
      TIDELINE_CHECK_OK(group->receive(from, 0, arrived));
      for (std::size_t i = 0; i < next_.size(); ++i) next_[i] += arrived[i];
    }
    return done_;
  }
  void commit(Learner& learner) override {
    if (!has_steps_) return;
    has_steps_ = false;
    weight_ = next_.back();
    next_.pop_back();
    for (float& number : next_) number /= weight_;
    put_model(next_, learner);
  }
  void save(Learner& learner, StateWriter& to) override {
    to.floats(take_model(learner));
    to.floats({&weight_, 1});
    optimiser_.save(to);
  }
  Status load(Learner& learner, StateReader& from) override {
    std::vector<float> model(take_model(learner).size());
    TIDELINE_CHECK_OK(from.floats(model));
    put_model(model, learner);
    TIDELINE_CHECK_OK(from.floats({&weight_, 1}));
    return optimiser_.load(from);
  }

 private:
  // The local steps, once for a round however often it is exchanged.
  Status compute(Learner& learner, std::uint64_t round, std::uint64_t rounds) {
    const double rate = rate_at(job_.optimiser, round, rounds);
    const std::size_t steps = job_.strategy.count("local_steps");
    for (std::size_t step = 0; step < steps; ++step) {
      TIDELINE_CHECK_OK(data_.gradient(learner, round * steps + step));
      optimiser_.step(learner.parameters(), learner.gradients(), rate);
    }
    done_ = data_.counted();
    round_ = round;
    has_steps_ = true;
    return {};
  }
  // Any member but itself. REQUIRES: members > 1.
  std::size_t target(std::uint64_t round, std::size_t rank, std::size_t members) const {
    const std::size_t other = SeededDraw(seed_of(job_.seed, DrawFor::kPeers, {round, rank})).below(members - 1);
    return other < rank ? other : other + 1;
  }

  Job job_;
  LocalData data_;
  Optimiser optimiser_;
  float weight_ = 1;
  std::uint64_t round_ = 0;
  bool has_steps_ = false;
  std::vector<float> next_;
  Done done_;
};

}  // namespace

std::unique_ptr<WorkerRule> make_gossip_worker(const Job& job, std::uint32_t worker, Learner& learner) {
  return std::make_unique<GossipWorker>(job, worker, learner);
}

}  // namespace tideline::train
