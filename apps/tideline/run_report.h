// What `run` and `local run` print: latency over all requests, and each node and hop, predicted beside measured.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "command.h"
#include "cost/cost.h"

namespace tideline::app {

struct Verification {
  bool done = false;
  bool bit_identical = false;  // every byte of every output of every request
  bool within_tolerance = false;
  double max_abs_diff = 0;
  double tolerance = 0;     // relative to the largest magnitude of the reference
  std::size_t outputs = 0;  // tensors compared
};

struct RunReport {
  std::vector<RunAnswer> answers;  // without their outputs
  std::optional<Estimate> predicted;
  Verification verification;
  std::string planner;
  DeployReport deployed;
  std::string emulation;  // how the links were made; empty for real ones
};

struct Percentiles {
  double median = 0;
  double p90 = 0;
  double p99 = 0;
};
// Nearest-rank percentiles. REQUIRES: !values.empty().
Percentiles percentiles(std::vector<double> values);
double median(std::vector<double> values);

// Compares one output with its reference; accumulates into `verification`. A dtype or shape that differs fails it.
void compare_output(const Tensor& reference, const Tensor& output, Verification& verification);

void print_run(const Context& context, const RunReport& report);

}  // namespace tideline::app
