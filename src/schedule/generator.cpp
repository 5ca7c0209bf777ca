#include "schedule/generator.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "schedule/random.h"

namespace tideline::schedule {
namespace {

// Streams of one seed; a task's stream is kTasksStream + its index, so that tasks do not depend on each other.
constexpr std::uint64_t kServersStream = 1;
constexpr std::uint64_t kTasksStream = 1000;

constexpr double kBandwidthShare = 0.8;  // V; the papers give none, and it only rescales the bandwidth
constexpr double kLatencySeconds = 0.2;  // Q, of the paper
constexpr double kCapacityGflops = 290;  // c, of the paper: a Tegra K1
constexpr std::uint32_t kModels = 10;

enum class Placement { kSubset, kSingleHome, kAllFull, kAllShared };

struct Kind {
  GeneratorKind shown;
  Placement placement;
  double ratio_scale;          // of r_1
  double work_low, work_high;  // l_1 ~ U(low, high), GFLOP per MB
};

constexpr std::array<Kind, 5> kKinds{{
    {{"c2", "calibrated: 25 random servers share a task's U(0.1,1) MB/s, ten invented CNNs"},
     Placement::kSubset,
     0.89,
     0.3 * 16,
     1.7 * 16},
    {{"single-home", "all data of a task on one random server, ten invented CNNs"},
     Placement::kSingleHome,
     1.0,
     0.5 * 7,
     1.5 * 7},
    {{"literal", "U(0.1,1) MB/s on every server, as the paper can be read"}, Placement::kAllFull, 0.89, 0.3 * 16, 1.7 * 16},
    {{"split-all", "U(0.1,1) MB/s shared by all servers"}, Placement::kAllShared, 0.89, 0.3 * 16, 1.7 * 16},
    {{"real", "placement of c2, models with the ratios and work of real networks"}, Placement::kSubset, 0, 0, 0},
}};

std::vector<TaskModel> invented_models(const Kind& kind, std::uint64_t profile_seed) {
  std::vector<TaskModel> models;
  for (std::uint32_t m = 0; m < kModels; ++m) {
    Random random(profile_seed, m);
    TaskModel model{.name = fmt::format("cnn{}", m + 1), .layers = {}};
    const std::uint32_t depth = 5 + random.below(6);
    Layer layer{.ratio = random.uniform(0.7, 0.9) * kind.ratio_scale,
                .gflop_per_mb = random.uniform(kind.work_low, kind.work_high)};
    model.layers.push_back(layer);
    for (std::uint32_t k = 2; k <= depth; ++k) {
      layer.ratio *= k == 2 ? random.uniform(0.4, 0.55) : k == 3 ? random.uniform(0.3, 0.45) : random.uniform(0.5, 0.8);
      layer.gflop_per_mb *= k == 2 ? random.uniform(2.2, 3.0) : k == 3 ? random.uniform(1.7, 2.2) : random.uniform(1.15, 1.4);
      model.layers.push_back(layer);
    }
    models.push_back(std::move(model));
  }
  return models;
}

// Draws tasks one by one; `order_` is a permutation of the servers that is restored after each task.
class TaskMaker {
 public:
  TaskMaker(const GeneratorOptions& options, Placement placement, Instance& instance)
      : options_(options), placement_(placement), instance_(instance), order_(options.servers) {
    std::iota(order_.begin(), order_.end(), 0u);
  }

  std::uint32_t touches_per_task() const {
    if (placement_ == Placement::kSingleHome) return 1;
    return placement_ == Placement::kSubset ? std::min(options_.servers_per_task, options_.servers) : options_.servers;
  }

  void make(std::uint32_t index) {
    Random random(options_.seed, kTasksStream + index);
    Task task{.model = random.below(static_cast<std::uint32_t>(instance_.models.size())),
              .latency_s = kLatencySeconds,
              .first_touch = instance_.touches.size(),
              .touch_count = touches_per_task()};
    const double total_mb_s = random.uniform(0.1, 1.0);
    choose_servers(random, task.touch_count);
    double weights = 0;
    for (std::uint32_t t = 0; t < task.touch_count; ++t) {
      // 1 - unit() is never 0: every chosen server has some data.
      const double weight = placement_ == Placement::kAllFull ? random.uniform(0.1, 1.0) : 1 - random.unit();
      weights += weight;
      instance_.touches.push_back({.server = chosen_[t], .data_mb_s = weight});
    }
    if (placement_ != Placement::kAllFull)
      for (std::uint32_t t = 0; t < task.touch_count; ++t)
        instance_.touches[task.first_touch + t].data_mb_s *= total_mb_s / weights;
    instance_.tasks.push_back(task);
  }

 private:
  // The first steps of a Fisher-Yates shuffle, undone afterwards: O(count) per task, whatever the number of servers.
  void choose_servers(Random& random, std::uint32_t count) {
    chosen_.clear();
    swaps_.clear();
    for (std::uint32_t t = 0; t < count; ++t) {
      const std::uint32_t other = t + random.below(options_.servers - t);
      std::swap(order_[t], order_[other]);
      swaps_.push_back(other);
      chosen_.push_back(order_[t]);
    }
    for (std::uint32_t t = count; t-- > 0;) std::swap(order_[t], order_[swaps_[t]]);
    std::sort(chosen_.begin(), chosen_.end());
  }

  const GeneratorOptions& options_;
  Placement placement_;
  Instance& instance_;
  std::vector<std::uint32_t> order_, chosen_, swaps_;
};

}  // namespace

std::span<const GeneratorKind> generator_kinds() {
  static const auto kinds = [] {
    std::array<GeneratorKind, kKinds.size()> shown;
    std::transform(kKinds.begin(), kKinds.end(), shown.begin(), [](const Kind& kind) { return kind.shown; });
    return shown;
  }();
  return kinds;
}

Result<Instance> generate_instance(const GeneratorOptions& options) {
  const auto invalid = [](std::string message) { return Error{ErrorCode::kInvalidArgument, "[schedule] " + std::move(message)}; };
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.shown.name == options.kind; });
  if (kind == kKinds.end()) {
    std::vector<std::string_view> names;
    for (const Kind& k : kKinds) names.push_back(k.shown.name);
    return invalid(fmt::format("unknown kind '{}'; it must be one of {}", printable(options.kind), fmt::join(names, ", ")));
  }
  if (options.servers == 0 || options.servers > limits::kInstanceServersMax)
    return invalid(fmt::format("--servers must be 1 to {}", limits::kInstanceServersMax));
  if (options.tasks > limits::kInstanceTasksMax)
    return invalid(fmt::format("--tasks must be at most {}", limits::kInstanceTasksMax));
  if (options.servers_per_task == 0) return invalid("--servers-per-task must be at least 1");

  Instance instance;
  instance.bandwidth_share = kBandwidthShare;
  Random bandwidths(options.seed, kServersStream);
  for (std::uint32_t i = 0; i < options.servers; ++i)
    instance.servers.push_back({.bandwidth_mbit_s = bandwidths.uniform(10, 1000), .capacity_gflop_s = kCapacityGflops});
  if (kind->shown.name == "real")
    instance.models = options.models.empty() ? real_models() : options.models;
  else
    instance.models = invented_models(*kind, options.profile_seed);

  TaskMaker maker(options, kind->placement, instance);
  const std::uint64_t touches = std::uint64_t{options.tasks} * maker.touches_per_task();
  if (touches > limits::kInstanceTouchesMax)
    return invalid(fmt::format("{} task-server pairs are more than {}; lower --tasks or --servers-per-task", touches,
                               limits::kInstanceTouchesMax));
  instance.tasks.reserve(options.tasks);
  instance.touches.reserve(touches);
  for (std::uint32_t j = 0; j < options.tasks; ++j) maker.make(j);
  TIDELINE_CHECK_OK(validate(instance, "generated instance"));
  return instance;
}

}  // namespace tideline::schedule
