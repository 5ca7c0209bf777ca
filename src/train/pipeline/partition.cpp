#include "train/pipeline/partition.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>

namespace tideline::train {
namespace {

Error refused(std::string what) { return {ErrorCode::kInvalidArgument, "[train] " + std::move(what)}; }

bool is_amount(double value) { return std::isfinite(value) && value >= 0; }

Status check(const PartitionQuestion& question) {
  if (question.layers.empty() || question.layers.size() > kPartitionLayersMax)
    return refused(fmt::format("a pipeline has 1 to {} layers, not {}", kPartitionLayersMax, question.layers.size()));
  if (question.machines == 0 || question.machines > kPartitionMachinesMax)
    return refused(fmt::format("a pipeline has 1 to {} machines, not {}", kPartitionMachinesMax, question.machines));
  if (!is_amount(question.bytes_per_s) || question.bytes_per_s == 0) return refused("a link needs bytes per second above 0");
  double total = 0;
  for (std::size_t l = 0; l < question.layers.size(); ++l) {
    const PipelineLayer& layer = question.layers[l];
    if (!is_amount(layer.seconds) || !is_amount(layer.output_bytes) || !is_amount(layer.parameter_bytes))
      return refused(fmt::format("layer {} needs numbers that are finite and not negative", l));
    total += layer.seconds + 4.0 * kPartitionMachinesMax * layer.parameter_bytes;
  }
  if (!std::isfinite(total)) return refused("the layers' numbers add up to more than a number holds");
  return {};
}

class Programme {
 public:
  explicit Programme(const PartitionQuestion& question)
      : question_(question), seconds_(1), parameters_(1), cells_((question.layers.size() + 1) * (question.machines + 1)) {
    for (const PipelineLayer& layer : question.layers) {
      seconds_.push_back(seconds_.back() + layer.seconds);
      parameters_.push_back(parameters_.back() + layer.parameter_bytes);
    }
  }

  Partition solve() {
    const std::size_t layers = question_.layers.size();
    cell(0, 0).period = 0;
    for (std::size_t end = 1; end <= layers; ++end)
      for (std::uint32_t machines = 1; machines <= question_.machines; ++machines) fill(end, machines);
    std::uint32_t used = 1;
    for (std::uint32_t machines = 2; machines <= question_.machines; ++machines)
      if (cell(layers, machines).period < cell(layers, used).period) used = machines;
    return read(used);
  }

 private:
  struct Cell {
    double period = std::numeric_limits<double>::infinity();
    PipelineStage last;
  };

  // The first `end` layers on exactly so many machines.
  Cell& cell(std::size_t end, std::uint32_t machines) { return cells_[end * (question_.machines + 1) + machines]; }

  double stage_seconds(std::size_t first, std::size_t end, std::uint32_t replicas) const {
    const double m = replicas;
    const double synchronises = 4 * (m - 1) * (parameters_[end] - parameters_[first]) / (m * question_.bytes_per_s);
    return std::max(seconds_[end] - seconds_[first], synchronises) / m;
  }

  void fill(std::size_t end, std::uint32_t machines) {
    Cell& best = cell(end, machines);
    const std::uint32_t replicas_max = question_.replicate ? machines : 1;
    for (std::size_t first = 0; first < end; ++first) {
      const double crosses = first == 0 ? 0 : 2 * question_.layers[first - 1].output_bytes / question_.bytes_per_s;
      if (crosses >= best.period) continue;
      for (std::uint32_t replicas = 1; replicas <= replicas_max; ++replicas) {
        const double before = std::max(cell(first, machines - replicas).period, crosses);
        if (before >= best.period) continue;
        const double period = std::max(before, stage_seconds(first, end, replicas));
        if (period < best.period) best = {period, {first, end, replicas}};
      }
    }
  }

  Partition read(std::uint32_t used) {
    Partition partition;
    std::size_t end = question_.layers.size();
    partition.period_s = cell(end, used).period;
    for (std::uint32_t machines = used; machines > 0;) {
      const PipelineStage stage = cell(end, machines).last;
      partition.stages.push_back(stage);
      end = stage.first;
      machines -= stage.replicas;
    }
    std::reverse(partition.stages.begin(), partition.stages.end());
    const std::uint32_t first = partition.stages.front().replicas;
    partition.in_flight = (used + first - 1) / first;
    return partition;
  }

  const PartitionQuestion& question_;
  std::vector<double> seconds_;     // [end]: of the layers before
  std::vector<double> parameters_;  // likewise, bytes
  std::vector<Cell> cells_;
};

}  // namespace

Result<Partition> partition_pipeline(const PartitionQuestion& question) {
  TIDELINE_CHECK_OK(check(question));
  return Programme(question).solve();
}

}  // namespace tideline::train
