// Calibration: what one host does with operators of many kinds and sizes, and with its memory, whatever the model. A value, saved
// as *.calibration.json (docs/formats/calibration.md); docs/algorithms/calibration.md says how it is measured.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

// A kernel that the engine made of a sample's ops: what it fused, and what it added to change memory layouts.
struct SampleKernel {
  std::string type;  // as the engine calls it: "Conv", "ReorderInput"
  Millis time{0};    // by the engine's clock
  // What its time depends on; shapes as the kernel sees them, so that channels in blocks are counted whole. No shapes: not known.
  bool blocked = false;  // works on channels in blocks
  std::vector<std::vector<std::int64_t>> inputs = {};
  std::vector<std::vector<std::int64_t>> outputs = {};
  std::vector<std::int64_t> kernel = {};
  std::vector<std::int64_t> stride = {};
  std::int64_t groups = 1;
  bool operator==(const SampleKernel&) const = default;
};

// A run this short with weights this small is repeated in its turn, since in a network kernels like it find everything warm.
inline constexpr Millis kRepeatedTimeMax{0.2};
inline constexpr Bytes kRepeatedWeightsMax = Bytes{16} << 10;

// The kind of the samples that say what the engine takes to begin, to end, and to run one kernel more: chains of kernels with
// next to nothing to compute.
inline constexpr std::string_view kEmptyKernelsKind = "empty-kernels";

// One operator, with what is fused to it, or a small network, as a model of its own.
struct OperatorSample {
  std::string kind;              // "conv-3x3"
  std::vector<std::string> ops;  // of the model, in order, without what makes its inputs: "Conv", "Relu"
  std::vector<std::vector<std::int64_t>> inputs;
  std::vector<std::int64_t> output;
  // Height and width; empty for ops that have none.
  std::vector<std::int64_t> kernel;
  std::vector<std::int64_t> stride;
  std::int64_t groups = 1;
  std::uint64_t flops = 0;  // 2 x multiply-accumulates, as `inspect` counts them
  Bytes weight_bytes = 0;
  Millis time{0};    // of a run, the engine's own overhead included; of the processor with one thread, by the clock with more
  Millis spread{0};  // half the distance between the quartiles of its runs
  Millis wall{0};    // the same runs by the clock
  std::vector<SampleKernel> kernels;
  bool operator==(const OperatorSample&) const = default;
};

// Working sets of one thread.
struct MemoryPoint {
  Bytes bytes = 0;
  double read_bytes_per_s = 0;  // in order
  double copy_bytes_per_s = 0;  // half of the working set to the other half: bytes copied, each read once and written once
  double latency_ns = 0;        // of a load that depends on the one before, anywhere in it: translation of addresses included
  bool operator==(const MemoryPoint&) const = default;
};

// One kind of work with more and more threads, by the clock.
struct ThreadPoint {
  std::string kind;  // "convolution", "matrix-vector", "elementwise"
  int threads = 1;
  Millis time{0};
  bool operator==(const ThreadPoint&) const = default;
};

struct Calibration {
  std::string host;
  int threads = 1;  // of the operators' runs
  std::string engine;
  std::string date;      // ISO 8601, UTC
  bool complete = true;  // false: measuring was interrupted; every kind was measured at least once
  // A convolution that was measured again and again in between, and half the distance between the quartiles of what it took: how
  // steady the host was. What it became slower by is divided out of the operators' times.
  Millis reference{0};
  Millis reference_spread{0};
  std::vector<OperatorSample> operators;
  std::vector<MemoryPoint> memory;  // ascending
  std::vector<Bytes> caches;        // where loads become slower: cache_steps(memory)
  std::vector<ThreadPoint> scaling;
  bool operator==(const Calibration&) const = default;
};

// The working sets after which a load takes at least half as long again: the sizes of the caches as a program sees them (an
// address cache counts as one). REQUIRES: ascending.
std::vector<Bytes> cache_steps(const std::vector<MemoryPoint>& memory);

// The run without the kernels that made the inputs (of type Neg, unless it is one of the ops): by their share of the kernels'
// times.
Millis operator_time(const OperatorSample& sample);

std::string write_calibration(const Calibration& calibration);
// kInvalidArgument names the place and what was expected.
Result<Calibration> parse_calibration(std::string_view json, std::string_view name);

}  // namespace tideline
