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
#include "session/stream.h"
#include "transport/transport.h"

namespace tideline {

struct RunSettings {
  std::uint32_t requests = 20;      // 0: until `duration` is over
  std::uint32_t warmup = 3;         // before those, one after the other
  Millis timeout{30'000};           // of one request
  bool verify = false;              // compare every output with the unsplit model's, run in this process
  std::optional<double> tolerance;  // of the largest magnitude of an output; nothing: what rounding may do
  // Folder for the answers as .npy: output0.npy and so on of the last request; of a folder of inputs a folder for each file, with
  // its name. Warm-up is not kept.
  std::string save_output;

  // A stream; with these defaults each request waits for the answer of the one before.
  std::uint32_t in_flight = 1;
  double rate_per_s = 0;  // of the source; 0: as fast as the route takes them
  Millis duration{0};     // 0: until `requests` are over
  DropRule drop = DropRule::kNone;

  bool is_stream() const { return in_flight > 1 || rate_per_s > 0 || duration.count() > 0; }
};

// What holds a stream back: the stage or the direction of a link that was busy longest, and for how long on average of the
// requests. Not the median: where times vary, a pipeline pays for the long ones too.
struct Bottleneck {
  std::string what;  // "gateway computes", "camera -> gateway", "camera <- gateway"
  // Median of the requests: of a node what its engine took, all its stages together; of a link from the header of the tensors to
  // their last byte, as the receiving node saw them.
  Millis time{0};
};

struct RunReport {
  std::vector<RunAnswer> answers;  // without their outputs, in the order of the requests
  std::optional<Estimate> predicted;
  Verification verification;
  std::string planner;
  std::optional<std::string> exit = {};  // by which the plan leaves
  ResultTo result_to = ResultTo::kSource;
  DeployReport deployed;
  RunSettings settings;
  // Why it ended before all requests were answered; what had been measured until then stands.
  std::optional<Error> ended;

  // From the first answer to the last; one answer: of its latency.
  double throughput_per_s = 0;
  Bottleneck bottleneck;
  std::uint64_t dropped = 0;
  std::vector<double> waits_ms;             // at the source, of each request; part of its latency
  std::vector<std::string> made_up_inputs;  // of the model: nobody gave them a value
};

// `input` is a file or folder as read_input() takes them, or empty: the sample. A folder's files are taken in turn. `cluster` has
// the addresses to use. An error that comes after the first measured answer is in the report; one before it is returned.
Result<RunReport> run_requests(const RunSettings& settings, const std::string& input, const LoadedModel& loaded,
                               const Cluster& cluster, Transport& transport, const ChosenPlan& chosen, const Control& control);

// REQUIRES: !answers.empty().
Bottleneck bottleneck_of(const std::vector<RunAnswer>& answers);

}  // namespace tideline
