// A training run as a file: the JSON that `tideline train -o json` prints and scripts read, its table, and figures of one or
// several runs (docs/formats/train-report.md). Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "report/table.h"
#include "train/job/job.h"
#include "train/run/coordinator.h"

namespace tideline::train {

std::string write_report(const Job& job, const TrainReport& report, const std::string& model, const std::string& weights_sha256);

// What a figure shows of a run.
struct RunCurve {
  std::string name;
  std::vector<RoundRecord> rounds;
};
// From a text that write_report() wrote. kInvalidArgument, naming file and key.
Result<RunCurve> parse_report(std::string_view json, const std::string& file);

// The epsilon of the model after each of these rounds, at the job's delta; none where the job has no privacy.
std::vector<double> epsilons_of(const Job& job, const std::vector<RoundRecord>& rounds);

// One row for each round that was evaluated, and the last; csv has every round. With epsilons, one for each round, a column of
// them.
report::Table round_table(const std::vector<RoundRecord>& rounds, bool every_round, const std::vector<double>& epsilons = {});

// Accuracy against rounds, megabytes and seconds: names of files and SVG texts. Runs that were never evaluated have no line.
std::vector<std::pair<std::string, std::string>> accuracy_figures(const std::vector<RunCurve>& runs);

}  // namespace tideline::train
