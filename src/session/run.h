// Runs requests over a cluster that is up, as planned, and compares with the unsplit model.
//
//   const auto tcp = make_tcp_transport({});
//   TIDELINE_TRY(const RunReport report, run_requests({.requests = 50}, "photo.jpg", loaded, cluster, *tcp, chosen, control));
//   show(report.answers.front().latency, report.predicted);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/client.h"
#include "cluster/cluster.h"
#include "cost/cost.h"
#include "session/choose.h"
#include "session/compare.h"
#include "session/load.h"
#include "transport/transport.h"

namespace tideline {

struct RunSettings {
  std::uint32_t requests = 20;
  std::uint32_t warmup = 3;
  Millis timeout{30'000};   // of one request
  bool verify = false;      // compare every output with the unsplit model's, run in this process
  std::string save_output;  // folder for the last request's outputs as .npy
};

struct RunReport {
  std::vector<RunAnswer> answers;  // without their outputs
  std::optional<Estimate> predicted;
  Verification verification;
  std::string planner;
  DeployReport deployed;
  std::vector<std::string> made_up_inputs;  // of the model: nobody gave them a value
};

// `input` is a file or folder as read_input() takes them, or empty: the sample. A folder's files are taken in turn. `cluster` has
// the addresses to use.
Result<RunReport> run_requests(const RunSettings& settings, const std::string& input, const LoadedModel& loaded,
                               const Cluster& cluster, Transport& transport, const ChosenPlan& chosen, const Control& control);

}  // namespace tideline
