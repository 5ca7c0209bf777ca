// Where to cut a network for a training pipeline, and how many machines each stage gets: PipeDream's dynamic programme (Harlap et
// al. 2018, section 3.2) over a line of layers on equal machines that are joined by equal links. Exact. Pure functions.
//
//   A(j, m) = min(T(1..j, m), min over i < j, m' < m of max(A(i, m - m'), 2 C_i, T(i+1..j, m')))
//   T(i..j, m) = 1/m * max(sum of T_l, sum of 4 (m - 1) |w_l| / (m B))        C_i = a_i / B
//
// T_l seconds of forward and backward of layer l for one mini-batch, a_l its output's bytes (as many come back as gradients),
// |w_l| the bytes of its parameters, B a link's bytes per second; the factor 4 is the paper's. The answer is the least A(L, m)
// over m up to `machines`: a machine that helps nobody is left out. Links and machines work at the same time. Time O(L^2 M^2),
// memory O(L M).
//
// Example: layers of 2, 2 and 4 s with small outputs and no parameters on 2 machines, unreplicated: {0, 1}, {2}; period 4 s.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace tideline::train {

// Both at once take a second or two.
inline constexpr std::size_t kPartitionLayersMax = 1024;
inline constexpr std::uint32_t kPartitionMachinesMax = 64;

struct PipelineLayer {
  double seconds = 0;
  double output_bytes = 0;
  double parameter_bytes = 0;
};

struct PartitionQuestion {
  std::vector<PipelineLayer> layers;
  std::uint32_t machines = 1;
  double bytes_per_s = 0;
  bool replicate = true;  // false: one machine for each stage
};

// Layers first to end - 1 on so many machines, which take mini-batches in turn.
struct PipelineStage {
  std::size_t first = 0;
  std::size_t end = 0;
  std::uint32_t replicas = 1;
  bool operator==(const PipelineStage&) const = default;
};

struct Partition {
  double period_s = 0;                // between two mini-batches
  std::vector<PipelineStage> stages;  // in order; of equal periods the one with fewest machines
  // PipeDream's NOAM: ceil(machines used / replicas of the first stage), the mini-batches that keep the pipeline full.
  std::uint32_t in_flight = 0;
};

// kInvalidArgument: no layers or machines, or more than the limits; a number that is negative or not finite; no bytes_per_s.
Result<Partition> partition_pipeline(const PartitionQuestion& question);

}  // namespace tideline::train
