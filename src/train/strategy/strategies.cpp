#include "train/strategy/strategy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "train/strategy/draw.h"

namespace tideline::train {
namespace {

constexpr std::array<Strategy, 14> kStrategies{{
    {"single", make_gradient_worker, make_gradient_server},
    {"sync-sgd", make_gradient_worker, make_gradient_server},
    {"backup-workers", make_gradient_worker, make_gradient_server},
    {"fedsgd", make_gradient_worker, make_gradient_server},
    {"fedavg", make_federated_worker, make_federated_server},
    {"fedprox", make_federated_worker, make_federated_server},
    {"local-sgd", make_local_sgd_worker, make_local_sgd_server},
    {"diloco", make_local_sgd_worker, make_local_sgd_server},
    {"easgd", make_elastic_worker, make_elastic_server},
    {"eamsgd", make_elastic_worker, make_elastic_server},
    {"async-sgd", make_gradient_worker, nullptr, make_async_server},
    {"dc-asgd", make_gradient_worker, nullptr, make_async_server},
    {"gossip", make_gossip_worker},
    {"codistillation", make_codistilling_worker},
}};

}  // namespace

std::span<const Strategy> strategies() { return kStrategies; }

const Strategy* find_strategy(std::string_view name) {
  const auto* const found =
      std::find_if(kStrategies.begin(), kStrategies.end(), [&](const Strategy& strategy) { return strategy.name == name; });
  return found == kStrategies.end() ? nullptr : found;
}

std::unique_ptr<WorkerRule> make_worker_rule(const Job& job, std::uint32_t worker, Learner& learner) {
  if (job.exchange == Exchange::kRing || job.exchange == Exchange::kTree) return make_all_reduce_worker(job, worker, learner);
  return find_strategy(job.strategy.name)->worker(job, worker, learner);
}

std::vector<float> WorkerRule::model(Learner& learner) { return take_model(learner); }

std::vector<std::uint32_t> ServerRule::asked(std::uint64_t, const std::vector<std::uint32_t>& able) const { return able; }
std::size_t ServerRule::enough(std::size_t asked, std::size_t) const { return asked; }

void put_model(std::span<const float> model, Learner& learner) {
  const std::size_t parameters = learner.parameters().size();
  std::copy_n(model.begin(), parameters, learner.parameters().begin());
  std::copy(model.begin() + static_cast<std::ptrdiff_t>(parameters), model.end(), learner.buffers().begin());
}

std::vector<float> take_model(Learner& learner) {
  std::vector<float> model(learner.parameters().begin(), learner.parameters().end());
  model.insert(model.end(), learner.buffers().begin(), learner.buffers().end());
  return model;
}

std::vector<std::uint32_t> sample_workers(const Job& job, std::uint64_t round, const std::vector<std::uint32_t>& able) {
  const double wanted = job.strategy.number("fraction") * static_cast<double>(job.workers);
  const auto count = std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(wanted)));
  std::vector<std::uint32_t> all(job.workers);
  std::iota(all.begin(), all.end(), 0U);
  SeededDraw(seed_of(job.seed, DrawFor::kParticipants, {round})).shuffle(all);
  std::vector<std::uint32_t> drawn;
  for (const std::uint32_t worker : all)
    if (drawn.size() < count && std::binary_search(able.begin(), able.end(), worker)) drawn.push_back(worker);
  std::sort(drawn.begin(), drawn.end());
  return drawn;
}

LocalData::LocalData(const Job& job, std::uint32_t worker, const Learner& learner)
    : order_(learner.samples(), job.strategy.batch, job.seed, worker), seed_(job.seed), worker_(worker) {}

Status LocalData::gradient(Learner& learner, std::uint64_t step, const Lesson* lesson) {
  const auto rows = order_.batch(step);
  const std::uint64_t seed = seed_of(seed_, DrawFor::kDropout, {worker_, step});
  TIDELINE_TRY(const Learner::Batch batch,
               lesson == nullptr ? learner.gradient(rows, seed) : learner.gradient(rows, seed, *lesson));
  batch_samples_ = rows.size();
  sums_.samples += rows.size();
  sums_.correct += batch.correct;
  sums_.loss += batch.loss * static_cast<double>(rows.size());
  return {};
}

Done LocalData::counted() {
  Done done = std::move(sums_);
  sums_ = {};
  if (done.samples > 0) done.loss /= static_cast<double>(done.samples);
  return done;
}

}  // namespace tideline::train
