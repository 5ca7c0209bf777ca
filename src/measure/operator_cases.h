// The operators that a calibration measures: kinds as networks have them, in sizes spread over what networks have, each as a
// small ONNX model of its own. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline {

// What makes a case's inputs has names that begin so: it is none of its ops.
inline constexpr std::string_view kWarmName = "warm.";

struct OperatorCase {
  std::string kind;
  std::string onnx;
  std::vector<std::int64_t> kernel;  // height, width; empty where there is none
  std::vector<std::int64_t> stride;
  std::int64_t groups = 1;
};

// Names of the kinds in the order in which they are measured.
std::vector<std::string_view> operator_kinds();

// The kinds of round `round`, by their places in operator_kinds(): all of them in round 0, later the rarer and simpler ones not
// in every round.
std::vector<std::size_t> kinds_of_round(std::uint32_t round);

// The `index`-th size of a kind: its parameters are the Halton sequence's, so that however many are measured, they are spread
// evenly (on a logarithmic scale). The same on every machine. REQUIRES: kind < operator_kinds().size().
Result<OperatorCase> operator_case(std::size_t kind, std::uint32_t index);

// A convolution of middle size, which other things are compared with.
Result<OperatorCase> reference_case();

// What thread scaling is measured with: work bound by arithmetic, by the weights' bytes, by the activations' bytes.
Result<std::vector<OperatorCase>> scaling_cases();

}  // namespace tideline
