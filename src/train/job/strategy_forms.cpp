// What job.yaml may say of each strategy, in the order of docs/algorithms/strategies.md.
#include <algorithm>

#include "base/limits.h"
#include "train/job/job.h"

namespace tideline::train {
namespace {

constexpr StrategyKey fraction() { return {"fraction", "part of the workers that is drawn for a round", 1e-6, 1, 1, false}; }
constexpr StrategyKey local_epochs(double fallback) {
  return {"local_epochs", "times that a worker goes through its data in a round", 1, 10'000, fallback, true};
}
constexpr StrategyKey local_steps(double fallback) {
  return {"local_steps", "steps of a worker between two exchanges", 1, 1e6, fallback, true};
}

std::vector<StrategyForm> make_forms() {
  using enum Exchange;
  return {
      {.name = "single", .summary = "one worker, no exchange: the reference", .exchanges = {kParameterServer}, .workers_max = 1},
      {.name = "sync-sgd",
       .summary = "every step, the mean gradient of all workers",
       .exchanges = {kParameterServer, kRing, kTree}},
      {.name = "backup-workers",
       .summary = "every step, the first gradients to come; the last `backup` ones are dropped",
       .keys = {{"backup", "gradients of a step that are not waited for", 1, limits::kTrainWorkersMax - 1.0, 1, true}},
       .exchanges = {kParameterServer},
       .workers_min = 2},
      {.name = "fedsgd",
       .summary = "every round, the mean gradient of the drawn workers over all their data",
       .keys = {fraction()},
       .exchanges = {kParameterServer}},
      {.name = "fedavg",
       .summary = "every round, the mean model of the drawn workers after local epochs",
       .keys = {fraction(), local_epochs(1)},
       .exchanges = {kParameterServer}},
      {.name = "fedprox",
       .summary = "fedavg with a pull towards the round's model",
       .keys = {fraction(), local_epochs(1), {"mu", "strength of the pull", 0, 1e6, 0.01, false}},
       .exchanges = {kParameterServer}},
      {.name = "local-sgd",
       .summary = "the mean model of all workers after local steps of an optimiser that each keeps",
       .keys = {local_steps(16)},
       .exchanges = {kParameterServer}},
      {.name = "diloco",
       .summary = "local steps, then an outer step of Nesterov's momentum along the mean change",
       .keys = {local_steps(50),
                {"outer_rate", "of the outer step", 1e-6, 10, 0.7, false},
                {"outer_momentum", "of the outer step", 0, 0.9999, 0.9, false}},
       .exchanges = {kParameterServer}},
      {.name = "easgd",
       .summary = "workers with models of their own, each tied to a centre by an elastic force",
       .keys = {local_steps(10), {"beta", "workers times the moving rate of each", 0, 1, 0.9, false}},
       .exchanges = {kParameterServer}},
      {.name = "eamsgd",
       .summary = "easgd with Nesterov's momentum in each worker (optimiser: momentum)",
       .keys = {local_steps(10), {"beta", "workers times the moving rate of each", 0, 1, 0.9, false}},
       .exchanges = {kParameterServer}},
      {.name = "async-sgd",
       .summary = "every gradient as it comes, none older than `staleness` updates",
       .keys = {{"staleness", "updates between a gradient's weights and its use, at most", 0, 1e6, -1, true}},
       .exchanges = {kParameterServer},
       .has_rounds = false},
      {.name = "dc-asgd",
       .summary = "async-sgd with gradients corrected for their delay",
       .keys = {{"staleness", "updates between a gradient's weights and its use, at most", 0, 1e6, -1, true},
                {"lambda", "strength of the correction", 0, 1e3, 0.04, false}},
       .exchanges = {kParameterServer},
       .has_rounds = false},
      {.name = "gossip",
       .summary = "workers with models of their own that send half of it to a random one after local steps (push-sum)",
       .keys = {local_steps(1)},
       .exchanges = {kPeerToPeer},
       .workers_min = 2},
      {.name = "codistillation",
       .summary = "workers with models of their own that also learn from the mean answers of the others' (Anil et al. 2018)",
       .keys = {local_steps(10),
                {"weight", "of what is learnt from the others, beside 1 of the labels", 0, 100, 1, false},
                {"burn_in", "rounds before anybody listens", 0, 1e6, 1, true}},
       .exchanges = {kPeerToPeer},
       .workers_min = 2,
       .workers_max = 16},
  };
}

}  // namespace

std::span<const StrategyForm> strategy_forms() {
  static const std::vector<StrategyForm> forms = make_forms();
  return forms;
}

const StrategyForm* find_strategy_form(std::string_view name) {
  const auto forms = strategy_forms();
  const auto found = std::find_if(forms.begin(), forms.end(), [&](const StrategyForm& form) { return form.name == name; });
  return found == forms.end() ? nullptr : &*found;
}

}  // namespace tideline::train
