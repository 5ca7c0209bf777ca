// Any bytes as what a worker or the coordinator keeps between rounds, for every strategy and exchange (the first byte says which)
// on a model of a few numbers. What is accepted is written again as it was read, and the next round goes on from it.
#include <cstdlib>
#include <vector>

#include "train/strategy/strategy.h"
#include "train/strategy/test_learner.h"

using namespace tideline;
using namespace tideline::train;

namespace {

constexpr std::size_t kFeatures = 3;

struct Variant {
  Job job;
  const Strategy* strategy = nullptr;
};

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = [] {
    std::vector<Variant> made;
    for (const StrategyForm& form : strategy_forms())
      for (const Exchange exchange : form.exchanges)
        for (const char* optimiser : {"{name: sgd, rate: 0.1, momentum: 0.5}", "{name: adam, rate: 0.1}"}) {
          auto job =
              parse_job("version: 1\nmodel: m\ndata: {train: npy:d}\nworkers: " + std::string(form.workers_max == 1 ? "1" : "2") +
                            "\nstrategy: {name: " + std::string(form.name) + "}\nexchange: " + std::string(to_string(exchange)) +
                            "\noptimiser: " + optimiser + "\nrounds: 9\n",
                        "job");
          if (job) made.push_back({std::move(*job), find_strategy(form.name)});
        }
    return made;
  }();
  return all;
}

// Alone: whoever it calls, nobody is there.
class Nobody final : public PeerGroup {
 public:
  std::size_t rank() const override { return 0; }
  std::size_t size() const override { return 1; }
  Status send(std::size_t, std::uint32_t, std::span<const float>) override { return {}; }
  Status receive(std::size_t, std::uint32_t, std::span<float>) override {
    return Error{ErrorCode::kDisconnected, "nobody is there"};
  }
};

void expect_same(const std::vector<std::byte>& again, std::span<const std::byte> bytes) {
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
}

void as_worker(const Variant& variant, std::span<const std::byte> bytes) {
  TestLearner learner(LeastSquares::make(4, kFeatures, 1), kFeatures);
  const auto rule = make_worker_rule(variant.job, 0, learner);
  StateReader from(bytes);
  const Status loaded = rule->load(learner, from);
  if (!loaded || !from.finish()) {
    if (!loaded && loaded.error().code != ErrorCode::kCorrupt) std::abort();
    return;
  }
  StateWriter to;
  rule->save(learner, to);
  expect_same(to.take(), bytes);
  Nobody group;
  const std::vector<float> model(kFeatures + 1, 1.0F);
  const bool is_central = variant.job.exchange == Exchange::kParameterServer;
  (void)rule->work(learner, {.round = 5, .model = is_central ? std::span<const float>(model) : std::span<const float>()},
                   is_central ? nullptr : &group);
  rule->commit(learner);
  if (rule->model(learner).size() != kFeatures + 1) std::abort();
}

void as_server(const Variant& variant, std::span<const std::byte> bytes) {
  StateReader from(bytes);
  std::vector<float> model(kFeatures + 1, 1.0F);
  const std::vector<float> update(kFeatures + 1, 0.5F);
  StateWriter to;
  const ModelSize size{.parameters = kFeatures, .buffers = 1};
  if (variant.strategy->server != nullptr) {
    const auto rule = variant.strategy->server(variant.job, size);
    if (!rule->load(from) || !from.finish()) return;
    rule->save(to);
    expect_same(to.take(), bytes);
    rule->apply(3, update, 2, model);
  } else if (variant.strategy->async_server != nullptr) {
    const auto rule = variant.strategy->async_server(variant.job, size);
    if (!rule->load(from) || !from.finish()) return;
    rule->save(to);
    expect_same(to.take(), bytes);
    rule->apply(3, update, model, model);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  const Variant& variant = variants()[(data[0] / 2) % variants().size()];
  if (data[0] % 2 == 0)
    as_worker(variant, bytes);
  else
    as_server(variant, bytes);
  return 0;
}
