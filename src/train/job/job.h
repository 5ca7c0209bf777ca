// Job: what is trained, on which data, by whom and how, as job.yaml says it (docs/formats/job.md). A value.
//
//   version: 1
//   model: lenet5.onnx
//   loss: cross-entropy
//   data: {train: idx:fashion-mnist/train, test: idx:fashion-mnist/t10k, mean: 0.286, std: 0.353, divide: {rule: iid, seed: 7}}
//   workers: 10
//   strategy: {name: fedavg, fraction: 0.5, local_epochs: 1, batch: 10}
//   optimiser: {name: sgd, rate: 0.05}
//   rounds: 20
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "input/input_section.h"
#include "train/compress/compressor.h"
#include "train/data/divide.h"

namespace tideline::train {

// How what workers have computed comes together.
enum class Exchange : std::uint8_t {
  kParameterServer,  // every worker with the coordinator
  kRing,             // all-reduce around a ring of workers
  kTree,             // up a binomial tree of workers and down again
  kPeerToPeer,       // one worker with another
};
std::string_view to_string(Exchange exchange);

// One number that a strategy takes in job.yaml, beside `name` and `batch`.
struct StrategyKey {
  std::string_view name;
  std::string_view meaning;
  double min = 0;
  double max = 0;
  double fallback = 0;
  bool is_whole = false;
};

// What job.yaml may say of a strategy. strategies() in train/strategy/strategy.h has what it does, under the same names.
struct StrategyForm {
  std::string_view name;
  std::string_view summary;
  std::vector<StrategyKey> keys;
  std::vector<Exchange> exchanges;  // the first one is the default
  // Updates meet at the coordinator round by round, so that deadlines, a quorum and robust aggregation mean something.
  bool has_rounds = true;
  std::size_t workers_min = 1;
  std::size_t workers_max = static_cast<std::size_t>(-1);
};
// The whole list.
std::span<const StrategyForm> strategy_forms();
const StrategyForm* find_strategy_form(std::string_view name);

struct StrategySettings {
  std::string name;
  std::size_t batch = 32;                              // samples of one step of one worker; 0: all that it has
  std::map<std::string, double, std::less<>> numbers;  // every key of its form
  // REQUIRES: the form has that key.
  double number(std::string_view key) const { return numbers.find(key)->second; }
  std::size_t count(std::string_view key) const { return static_cast<std::size_t>(number(key)); }
  bool operator==(const StrategySettings&) const = default;
};

struct OptimiserSettings {
  enum class Name : std::uint8_t { kSgd, kAdam };
  enum class Schedule : std::uint8_t {
    kConstant,
    kCosine,  // falls from rate to 0 along half a cosine over all rounds
    kStep,    // times step_factor after every step_rounds rounds
  };
  Name name = Name::kSgd;
  double rate = 0.05;
  double momentum = 0;      // sgd
  bool nesterov = false;    // sgd
  double beta1 = 0.9;       // adam
  double beta2 = 0.999;     // adam
  double epsilon = 1e-8;    // adam
  double weight_decay = 0;  // sgd: added to the gradient; adam: apart from it (AdamW)
  Schedule schedule = Schedule::kConstant;
  std::size_t step_rounds = 0;
  double step_factor = 0.1;
  std::size_t warmup_rounds = 0;  // the rate rises to its value in so many equal steps
  bool operator==(const OptimiserSettings&) const = default;
};

// How many updates become one.
enum class Aggregation : std::uint8_t { kMean, kMedian, kTrimmedMean, kKrum };
std::string_view to_string(Aggregation aggregation);

struct AggregationSettings {
  Aggregation rule = Aggregation::kMean;
  std::size_t hostile = 0;  // trimmed-mean drops so many from each end of every coordinate; krum withstands so many
  bool operator==(const AggregationSettings&) const = default;
};

struct DeadlineSettings {
  double quorum = 1;         // part of those asked that must have answered; 1: a round waits for all that are alive
  double spread = 5;         // once they have: the round ends at the median of their times + spread * MAD
  Millis patience{60'000};   // who has not answered for so long is taken for frozen and asked no more until it answers
  double norm_factor = 100;  // an update so many times longer than the median one is rejected, its sender quarantined; 0: never
  bool operator==(const DeadlineSettings&) const = default;
};

// A trained model that workers learn from beside their labels (train/data/distil.h).
struct TeacherSettings {
  std::string model;       // an .onnx file; the coordinator sends it to the workers
  double temperature = 4;  // of both models' answers
  double weight = 0.7;     // of what it teaches; the labels have the rest
  bool operator==(const TeacherSettings&) const = default;
};

// Differential privacy towards workers (train/privacy/private_round.h).
struct PrivacySettings {
  double clip = 1;                    // an update is at most so long
  double noise = 1;                   // deviation of the noise in every number of the sum, in clips
  double delta = 1e-5;                // of the (epsilon, delta) that reports say
  std::optional<std::uint64_t> seed;  // of draws that protect nothing, for experiments; none: the system's
  bool operator==(const PrivacySettings&) const = default;
};

struct Job {
  std::string model;       // an .onnx file
  std::string train_data;  // as read_data(); "{worker}" in it stands for the number of a worker, which then has its own
  std::string test_data;   // empty: no evaluation
  std::optional<InputSection> input;  // what makes samples of pictures; only then may data be images:
  double mean = 0;                    // of bytes, which become (byte / 255 - mean) / std
  double std = 1;
  DivideOptions divide;  // its `workers` is the next line's
  std::size_t workers = 1;
  // Of a cluster file: one worker on each, which has data of its own there. None: workers are anywhere.
  std::vector<std::string> nodes;
  std::size_t processes = 1;  // that the workers are spread over
  StrategySettings strategy;
  Exchange exchange = Exchange::kParameterServer;
  compress::CompressorSettings compression;
  AggregationSettings aggregation;
  std::optional<PrivacySettings> privacy;
  std::optional<TeacherSettings> teacher;
  OptimiserSettings optimiser;
  std::size_t rounds = 1;  // 0 where epochs say it: known once the workers' samples are (train/strategy/epochs.h)
  std::size_t epochs = 0;
  std::uint64_t seed = 0;
  bool starts_random = false;      // weights drawn from N(0, 1/fan-in) by the seed; else as they are in the file
  std::size_t evaluate_every = 1;  // rounds; the last one always is
  DeadlineSettings deadlines;
  std::string checkpoint_folder;     // empty: none
  std::size_t checkpoint_every = 1;  // rounds
  bool operator==(const Job&) const;
};

// Whether every worker has data of its own, and none is divided.
bool has_own_data(const Job& job);
// The word for read_data() of one worker.
std::string data_of_worker(const Job& job, std::size_t worker);

// `name` is what errors call the text. Errors name line, column and key, and say what to write; whatever this build does not do
// is refused by its name.
Result<Job> parse_job(std::string_view yaml, std::string_view name);
// Relative names in the file are relative to it, but for the training data of workers elsewhere, which have folders of their own.
enum class WorkersAre : std::uint8_t { kHere, kOnNodes };
Result<Job> load_job(const std::string& path, WorkersAre where = WorkersAre::kHere);
// As JSON, which parse_job() reads to the same value. Two jobs with the same text are one.
std::string write_job(const Job& job);

}  // namespace tideline::train
