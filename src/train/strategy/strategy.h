// Strategy: how workers train one model together. A part that a worker runs and, where updates meet at the coordinator, a part
// that it runs; what moves between the two (train/run) knows neither. One file for each; strategies() is the whole list, under
// the names of strategy_forms() (train/job/job.h).
//
// A model here is one array: its parameters, then its buffers. Resources; not thread-safe. All draws come from the job's seed.
//
//   const Strategy* strategy = find_strategy(job.strategy.name);
//   const auto rule = strategy->worker(job, worker, *learner);
//   TIDELINE_TRY(const Done done, rule->work(*learner, {.round = 0, .model = model}, nullptr));
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "train/exchange/all_reduce.h"
#include "train/exchange/update_codec.h"
#include "train/job/job.h"
#include "train/strategy/batches.h"
#include "train/strategy/learner.h"
#include "train/strategy/state.h"

namespace tideline::train {

// What a worker is asked.
struct Work {
  std::uint64_t round = 0;
  std::span<const float> model;        // the coordinator's; empty: go on from your own
  const UpdateCodec* codec = nullptr;  // that the update will be sent in, for those who confine their steps to it
  std::uint64_t rounds = 0;            // of the whole run, for a rate that falls along it
};
// What it has done.
struct Done {
  std::vector<float> update;  // empty between peers
  std::uint64_t samples = 0;  // that were computed on
  std::uint64_t correct = 0;
  double loss = 0;  // their mean
};

class WorkerRule {
 public:
  virtual ~WorkerRule() = default;
  // `group`: the round's members; null over a parameter server. Over peers this may be called again for the same round with fewer
  // members, until commit() says that what came of the last call holds.
  virtual Result<Done> work(Learner& learner, const Work& work, PeerGroup* group) = 0;
  virtual void commit(Learner&) {}
  // The worker's own model, where it has one (peers, elastic averaging); else the learner's.
  virtual std::vector<float> model(Learner& learner);
  // Between rounds, and loaded into a new rule for the same job and worker: the next round is then the same to the last bit.
  virtual void save(Learner&, StateWriter&) {}
  virtual Status load(Learner&, StateReader&) { return {}; }
};

// The coordinator's part, round by round.
class ServerRule {
 public:
  virtual ~ServerRule() = default;
  // Who is asked, of the workers that can be (ascending); at least one of them.
  virtual std::vector<std::uint32_t> asked(std::uint64_t round, const std::vector<std::uint32_t>& able) const;
  // How many answers end the round at once, of so many workers that are alive.
  virtual std::size_t enough(std::size_t asked, std::size_t alive) const;
  // Whether a worker that comes back in the middle of a round is asked too, as long as there are not enough.
  virtual bool asks_late_comers() const { return false; }
  // Weight of an update: by its samples, or each worker alike.
  virtual bool counts_samples() const { return true; }
  // `update`: what the round's `count` updates became. Moves `model`.
  virtual void apply(std::uint64_t round, std::span<const float> update, std::size_t count, std::span<float> model) = 0;
  virtual void save(StateWriter&) const {}
  virtual Status load(StateReader&) { return {}; }
};

// The coordinator's part where updates are used one by one as they come.
class AsyncServerRule {
 public:
  virtual ~AsyncServerRule() = default;
  // `seen`: the model that the worker had computed `gradient` at.
  virtual void apply(std::uint64_t round, std::span<const float> gradient, std::span<const float> seen,
                     std::span<float> model) = 0;
  virtual void save(StateWriter&) const {}
  virtual Status load(StateReader&) { return {}; }
};

struct Strategy {
  std::string_view name;
  std::unique_ptr<WorkerRule> (*worker)(const Job& job, std::uint32_t worker, Learner& learner);
  // One of the two over a parameter server, neither between peers.
  std::unique_ptr<ServerRule> (*server)(const Job& job, const ModelSize& size) = nullptr;
  std::unique_ptr<AsyncServerRule> (*async_server)(const Job& job, const ModelSize& size) = nullptr;
};
std::span<const Strategy> strategies();
const Strategy* find_strategy(std::string_view name);
// The worker's part for the job's strategy and exchange. REQUIRES: the job was read by parse_job().
std::unique_ptr<WorkerRule> make_worker_rule(const Job& job, std::uint32_t worker, Learner& learner);

// One file each.
std::unique_ptr<WorkerRule> make_gradient_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<ServerRule> make_gradient_server(const Job& job, const ModelSize& size);
std::unique_ptr<WorkerRule> make_all_reduce_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<WorkerRule> make_federated_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<ServerRule> make_federated_server(const Job& job, const ModelSize& size);
std::unique_ptr<WorkerRule> make_local_sgd_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<ServerRule> make_local_sgd_server(const Job& job, const ModelSize& size);
std::unique_ptr<WorkerRule> make_elastic_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<ServerRule> make_elastic_server(const Job& job, const ModelSize& size);
std::unique_ptr<AsyncServerRule> make_async_server(const Job& job, const ModelSize& size);
std::unique_ptr<WorkerRule> make_codistilling_worker(const Job& job, std::uint32_t worker, Learner& learner);
std::unique_ptr<WorkerRule> make_gossip_worker(const Job& job, std::uint32_t worker, Learner& learner);

// What the files share ------------------------------------------------------------------------------------------------

// Copies a model into a learner, and back. REQUIRES: sizes fit.
void put_model(std::span<const float> model, Learner& learner);
std::vector<float> take_model(Learner& learner);

// The workers of a round: `fraction` of all, at least one, drawn by the seed; of those drawn who is not able is replaced.
std::vector<std::uint32_t> sample_workers(const Job& job, std::uint64_t round, const std::vector<std::uint32_t>& able);

// Gradients of one worker on its own data, and what they came to.
class LocalData {
 public:
  LocalData(const Job& job, std::uint32_t worker, const Learner& learner);
  std::size_t steps_per_epoch() const { return order_.steps_per_epoch(); }
  // The samples of this worker's step `step`; valid until the next call of either.
  std::span<const std::uint32_t> batch(std::uint64_t step) { return order_.batch(step); }
  // The learner's gradient on them, with a lesson where there is one.
  Status gradient(Learner& learner, std::uint64_t step, const Lesson* lesson = nullptr);
  std::size_t batch_samples() const { return batch_samples_; }  // of the last one
  // Samples, right answers and mean loss since the last call; no update.
  Done counted();

 private:
  BatchOrder order_;
  std::uint64_t seed_;
  std::uint32_t worker_;
  std::size_t batch_samples_ = 0;
  Done sums_;
};

}  // namespace tideline::train
