#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include "base/yaml.h"
#include "platform/files.h"
#include "train/job/job.h"

namespace tideline::train {
namespace {

constexpr std::string_view kWorkerMark = "{worker}";
constexpr std::array<std::string_view, 4> kExchangeNames{"parameter-server", "ring", "tree", "peer-to-peer"};
constexpr std::array<std::string_view, 4> kAggregationNames{"mean", "median", "trimmed-mean", "krum"};
constexpr std::array<std::string_view, 4> kRuleNames{"iid", "shards", "dirichlet", "by-class"};
constexpr std::array<std::string_view, 2> kOptimiserNames{"sgd", "adam"};
constexpr std::array<std::string_view, 3> kScheduleNames{"constant", "cosine", "step"};
constexpr std::array<std::string_view, 2> kStartNames{"file", "random"};

Result<std::size_t> choice(const YamlNode& yaml, std::span<const std::string_view> names, std::string_view what) {
  TIDELINE_TRY(const std::string text, yaml.text());
  for (std::size_t i = 0; i < names.size(); ++i)
    if (text == names[i]) return i;
  const std::string_view near = nearest(text, names);
  return yaml.error(near.empty()
                        ? fmt::format("this build has no {} '{}'; it has {}", what, printable(text), fmt::join(names, ", "))
                        : fmt::format("unknown {} '{}'; did you mean '{}'?", what, printable(text), near));
}

Result<std::size_t> whole(const YamlNode& yaml, std::size_t fallback, std::size_t min, std::size_t max) {
  if (!yaml.present()) return fallback;
  TIDELINE_TRY(const std::int64_t number, yaml.integer());
  if (number < static_cast<std::int64_t>(min) || number > static_cast<std::int64_t>(max))
    return yaml.error(fmt::format("expected a whole number, {} to {}, found {}", min, max, number));
  return static_cast<std::size_t>(number);
}

Result<double> within(const YamlNode& yaml, double fallback, double min, double max) {
  if (!yaml.present()) return fallback;
  TIDELINE_TRY(const double number, yaml.number());
  if (!(number >= min && number <= max)) return yaml.error(fmt::format("expected {:g} to {:g}, found {:g}", min, max, number));
  return number;
}

Status read_divide(const YamlNode& yaml, DivideOptions& divide) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  TIDELINE_TRY(const std::size_t rule, choice(map.required("rule"), kRuleNames, "rule"));
  divide.rule = static_cast<DivideRule>(rule);
  const YamlNode per_worker = map.optional("per_worker"), alpha = map.optional("alpha");
  if (per_worker.present() && divide.rule != DivideRule::kShards)
    return per_worker.error("only the rule shards has pieces per worker: leave the key out");
  if (alpha.present() && divide.rule != DivideRule::kDirichlet)
    return alpha.error("only the rule dirichlet has an alpha: leave the key out");
  TIDELINE_TRY(divide.per_worker, whole(per_worker, 2, 1, 1'000'000));
  TIDELINE_TRY(divide.alpha, within(alpha, 0.5, 1e-3, 1e6));
  TIDELINE_TRY(const std::size_t seed, whole(map.optional("seed"), 0, 0, limits::kTrainSeedMax));
  divide.seed = seed;
  return map.finish();
}

Status read_data_word(const YamlNode& yaml, const Job& job, std::string& word) {
  TIDELINE_TRY(word, yaml.text());
  const bool is_pictures = word.starts_with("images:");
  if (!word.starts_with("idx:") && !word.starts_with("npy:") && !is_pictures)
    return yaml.error(fmt::format("expected idx:PREFIX, npy:FOLDER or images:FOLDER, found '{}'", printable(word)));
  if (is_pictures != job.input.has_value())
    return yaml.error(is_pictures ? "pictures need to be told their size: write input: {size: [WIDTH, HEIGHT], ..} beside it"
                                  : "only images: have an input section: leave `input` out, or take images:FOLDER for both");
  return {};
}

// A number, or the names of nodes.
Status read_workers(const YamlNode& yaml, Job& job) {
  const auto names = yaml.present() ? yaml.list() : Result<std::vector<YamlNode>>(std::vector<YamlNode>());
  if (!names) {
    TIDELINE_TRY(job.workers, whole(yaml, 1, 1, limits::kTrainWorkersMax));
    return {};
  }
  if (yaml.present() && (names->empty() || names->size() > limits::kTrainWorkersMax))
    return yaml.error(fmt::format("expected a number, or 1 to {} names of nodes", limits::kTrainWorkersMax));
  for (const YamlNode& each : *names) {
    TIDELINE_TRY(std::string name, each.text());
    if (!is_name(name)) return each.error(fmt::format("'{}' is no name of a node: {}", printable(name), kNameRule));
    if (std::find(job.nodes.begin(), job.nodes.end(), name) != job.nodes.end())
      return each.error(fmt::format("node '{}' is named twice; it has one worker", name));
    job.nodes.push_back(std::move(name));
  }
  job.workers = std::max<std::size_t>(1, job.nodes.size());
  return {};
}

Status read_data(const YamlNode& yaml, Job& job) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  const YamlNode train = map.required("train"), test = map.optional("test"), divide = map.optional("divide"),
                 shared = map.optional("shared"), input = map.optional("input"), mean = map.optional("mean"),
                 std = map.optional("std");
  if (input.present()) {
    TIDELINE_TRY(job.input, read_input_section(input));
    for (const YamlNode* at : {&mean, &std})
      if (at->present()) return at->error("the input section has its own: leave the key out");
  }
  TIDELINE_CHECK_OK(read_data_word(train, job, job.train_data));
  if (test.present()) TIDELINE_CHECK_OK(read_data_word(test, job, job.test_data));
  if (divide.present()) {
    if (has_own_data(job))
      return divide.error(job.nodes.empty() ? "data with {worker} in their name are divided already: leave the key out"
                                            : "each node has data of its own: leave the key out");
    TIDELINE_CHECK_OK(read_divide(divide, job.divide));
  }
  if (shared.present() && has_own_data(job))
    return shared.error("only data that are divided have a shared part: leave the key out");
  TIDELINE_TRY(job.divide.shared, within(shared, 0, 0, 1));
  TIDELINE_TRY(job.mean, within(mean, 0, -1e6, 1e6));
  TIDELINE_TRY(job.std, within(std, 1, 1e-6, 1e6));
  return map.finish();
}

Status read_strategy(const YamlNode& yaml, Job& job) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  std::vector<std::string_view> names;
  for (const StrategyForm& form : strategy_forms()) names.push_back(form.name);
  const YamlNode name = map.required("name");
  TIDELINE_TRY(const std::size_t index, choice(name, names, "strategy"));
  const StrategyForm& form = strategy_forms()[index];
  job.strategy.name = form.name;
  const bool takes_all = form.name == "fedsgd";
  const YamlNode batch = map.optional("batch");
  job.strategy.batch = takes_all ? 0 : 32;
  if (batch.present()) {
    const auto text = batch.text();
    if (text && *text == "all") {
      job.strategy.batch = 0;
    } else if (takes_all) {
      return batch.error("fedsgd computes over all data of a worker; write batch: all, or take sync-sgd");
    } else {
      TIDELINE_TRY(job.strategy.batch, whole(batch, 32, 1, limits::kTrainBatchMax));
    }
  }
  for (const StrategyKey& key : form.keys) {
    const YamlNode at = map.optional(key.name);
    double value = key.fallback;
    if (at.present()) {
      TIDELINE_TRY(value, within(at, key.fallback, key.min, key.max));
      if (key.is_whole && value != std::floor(value)) return at.error(fmt::format("expected a whole number, found {:g}", value));
    }
    // As fast as can be bounded: every other worker once.
    if (key.name == "staleness") {
      const double least = static_cast<double>(job.workers) - 1;
      if (!at.present()) value = 2 * least;
      if (value < least)
        return at.error(fmt::format("{} workers have {} gradients under way beside any one, so no bound below {} can be kept",
                                    job.workers, job.workers - 1, job.workers - 1));
    }
    if (key.name == "backup" && value >= static_cast<double>(job.workers))
      return at.error(fmt::format("of {} workers at most {} can be backup", job.workers, job.workers - 1));
    job.strategy.numbers[std::string(key.name)] = value;
  }
  TIDELINE_CHECK_OK(map.finish());
  if (job.workers < form.workers_min || job.workers > form.workers_max)
    return name.error(
        form.workers_max == 1
            ? fmt::format("single has one worker, found workers: {}; write workers: 1, or take sync-sgd", job.workers)
        : job.workers > form.workers_max
            ? fmt::format("{} has at most {} workers, found {}", form.name, form.workers_max, job.workers)
            : fmt::format("{} needs at least {} workers, found {}", form.name, form.workers_min, job.workers));
  return {};
}

Status read_optimiser(const YamlNode& yaml, OptimiserSettings& optimiser) {
  using Name = OptimiserSettings::Name;
  using Schedule = OptimiserSettings::Schedule;
  TIDELINE_TRY(YamlMap map, yaml.map());
  TIDELINE_TRY(const std::size_t name, choice(map.required("name"), kOptimiserNames, "optimiser"));
  optimiser.name = static_cast<Name>(name);
  TIDELINE_TRY(optimiser.rate, within(map.required("rate"), 0, 0, 1e6));
  const bool is_sgd = optimiser.name == Name::kSgd;
  struct Number {
    std::string_view key;
    double* value;
    double max;
    bool of_sgd;
  };
  for (const Number& number :
       {Number{"momentum", &optimiser.momentum, 0.999999, true}, Number{"beta1", &optimiser.beta1, 0.999999, false},
        Number{"beta2", &optimiser.beta2, 0.999999999, false}, Number{"epsilon", &optimiser.epsilon, 1, false}}) {
    const YamlNode at = map.optional(number.key);
    if (at.present() && number.of_sgd != is_sgd)
      return at.error(fmt::format("'{}' belongs to {}: leave the key out", number.key, number.of_sgd ? "sgd" : "adam"));
    TIDELINE_TRY(*number.value, within(at, *number.value, 0, number.max));
  }
  const YamlNode nesterov = map.optional("nesterov");
  TIDELINE_TRY(optimiser.nesterov, nesterov.boolean_or(false));
  if (optimiser.nesterov && (!is_sgd || optimiser.momentum == 0)) return nesterov.error("nesterov needs sgd with a momentum");
  TIDELINE_TRY(optimiser.weight_decay, within(map.optional("weight_decay"), 0, 0, 1));
  if (const YamlNode schedule = map.optional("schedule"); schedule.present()) {
    TIDELINE_TRY(const std::size_t kind, choice(schedule, kScheduleNames, "schedule"));
    optimiser.schedule = static_cast<Schedule>(kind);
  }
  const YamlNode every = map.optional("step_rounds"), factor = map.optional("step_factor");
  const bool steps = optimiser.schedule == Schedule::kStep;
  for (const YamlNode* at : {&every, &factor})
    if (at->present() && !steps) return at->error("belongs to schedule: step");
  if (steps && !every.present())
    return yaml.error("schedule: step needs step_rounds, after how many rounds the rate is multiplied");
  TIDELINE_TRY(optimiser.step_rounds, whole(every, 0, 1, limits::kTrainRoundsMax));
  TIDELINE_TRY(optimiser.step_factor, within(factor, 0.1, 0, 1));
  TIDELINE_TRY(optimiser.warmup_rounds, whole(map.optional("warmup_rounds"), 0, 0, limits::kTrainRoundsMax));
  return map.finish();
}

// A word, or a map with `name` and what the compressor takes.
Status read_compression(const YamlNode& yaml, Job& job) {
  std::vector<std::string_view> names;
  for (const compress::CompressorInfo& info : compress::compressors()) names.push_back(info.name);
  const auto fallback = [&](const compress::CompressorKey& key) {
    // What its gradients are cut off at depends on how many there are.
    return job.compression.name == "dgc" && key.name == "workers" ? static_cast<double>(job.workers) : key.fallback;
  };
  auto map = yaml.map();
  TIDELINE_TRY(const std::size_t index, choice(map ? map->required("name") : yaml, names, "compression"));
  const compress::CompressorInfo& info = compress::compressors()[index];
  job.compression = {.name = std::string(info.name), .numbers = {}};
  for (const compress::CompressorKey& key : info.keys) {
    double& number = job.compression.numbers[std::string(key.name)];
    number = fallback(key);
    if (!map) continue;
    const YamlNode given = map->optional(key.name);
    TIDELINE_TRY(number, within(given, number, key.min, key.max));
    if (key.is_whole && number != std::floor(number)) return given.error("expected a whole number");
  }
  return map ? map->finish() : Status{};
}

Status read_aggregation(const YamlNode& yaml, Job& job) {
  if (auto map = yaml.map()) {
    TIDELINE_TRY(const std::size_t rule, choice(map->required("name"), kAggregationNames, "aggregation"));
    job.aggregation.rule = static_cast<Aggregation>(rule);
    const YamlNode hostile = map->optional("hostile");
    TIDELINE_TRY(job.aggregation.hostile, whole(hostile, 1, 0, limits::kTrainWorkersMax));
    const bool has_number = job.aggregation.rule == Aggregation::kTrimmedMean || job.aggregation.rule == Aggregation::kKrum;
    if (hostile.present() && !has_number) return hostile.error("belongs to trimmed-mean and krum: leave the key out");
    TIDELINE_CHECK_OK(map->finish());
  } else {
    TIDELINE_TRY(const std::size_t rule, choice(yaml, kAggregationNames, "aggregation"));
    job.aggregation = {static_cast<Aggregation>(rule), 1};
  }
  const std::size_t n = job.workers, f = job.aggregation.hostile;
  if (job.aggregation.rule == Aggregation::kTrimmedMean && n <= 2 * f)
    return yaml.error(fmt::format("a trimmed mean without {} at each end needs more than {} workers, found {}", f, 2 * f, n));
  if (job.aggregation.rule == Aggregation::kKrum && n < 2 * f + 3)
    return yaml.error(fmt::format("krum withstands {} of at least {} workers, found {}", f, 2 * f + 3, n));
  if (job.aggregation.rule != Aggregation::kTrimmedMean && job.aggregation.rule != Aggregation::kKrum)
    job.aggregation.hostile = 0;
  return {};
}

Status read_privacy(const YamlNode& yaml, Job& job) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  PrivacySettings privacy;
  TIDELINE_TRY(privacy.clip, within(map.required("clip"), 0, 1e-9, 1e9));
  TIDELINE_TRY(privacy.noise, within(map.required("noise"), 0, 0.01, 1e6));
  TIDELINE_TRY(privacy.delta, within(map.required("delta"), 0, 1e-30, 0.1));
  if (const YamlNode seed = map.optional("seed"); seed.present()) {
    TIDELINE_TRY(privacy.seed, whole(seed, 0, 0, limits::kTrainSeedMax));
  }
  TIDELINE_CHECK_OK(map.finish());
  constexpr std::array<std::string_view, 7> kWhereUpdatesAddUp{"single",  "sync-sgd",  "fedsgd", "fedavg",
                                                               "fedprox", "local-sgd", "diloco"};
  const bool adds_up =
      std::find(kWhereUpdatesAddUp.begin(), kWhereUpdatesAddUp.end(), job.strategy.name) != kWhereUpdatesAddUp.end();
  if (!adds_up || job.exchange != Exchange::kParameterServer)
    return yaml.error(
        fmt::format("noise is added where all updates of a round meet; {} over {} has no such place: take {} over "
                    "parameter-server",
                    job.strategy.name, to_string(job.exchange), fmt::join(kWhereUpdatesAddUp, ", ")));
  if (job.aggregation.rule != Aggregation::kMean)
    return yaml.error("what one worker changes of a median or of krum has no bound: write aggregation: mean");
  job.privacy = privacy;
  return {};
}

Status read_teacher(const YamlNode& yaml, Job& job) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  TeacherSettings teacher;
  const YamlNode model = map.required("model");
  TIDELINE_TRY(teacher.model, model.text());
  if (teacher.model.empty()) return model.error("expected the name of an .onnx file");
  TIDELINE_TRY(teacher.temperature, within(map.optional("temperature"), teacher.temperature, 0.1, 1000));
  TIDELINE_TRY(teacher.weight, within(map.optional("weight"), teacher.weight, 0, 1));
  TIDELINE_CHECK_OK(map.finish());
  if (job.strategy.name == "codistillation")
    return yaml.error("codistillation learns from other workers already: leave the teacher out, or take another strategy");
  job.teacher = std::move(teacher);
  return {};
}

Status read_deadlines(const YamlNode& yaml, DeadlineSettings& deadlines) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  TIDELINE_TRY(deadlines.quorum, within(map.optional("quorum"), 1, 1e-6, 1));
  TIDELINE_TRY(deadlines.spread, within(map.optional("spread"), 5, 0, 1e6));
  const YamlNode patience = map.optional("patience");
  TIDELINE_TRY(deadlines.patience, patience.duration_or(deadlines.patience));
  if (deadlines.patience < Millis(10) || deadlines.patience > Millis(limits::kTrainPatienceMax))
    return patience.error("expected 10ms to 1440min");
  TIDELINE_TRY(deadlines.norm_factor, within(map.optional("norm_factor"), 100, 0, 1e12));
  return map.finish();
}

// What goes together, and what does not.
Status check_combination(const Job& job, const YamlNode& exchange, const YamlNode& compression, const YamlNode& aggregation,
                         const YamlNode& deadlines) {
  const StrategyForm& form = *find_strategy_form(job.strategy.name);
  if (std::find(form.exchanges.begin(), form.exchanges.end(), job.exchange) == form.exchanges.end()) {
    std::vector<std::string_view> names;
    for (const Exchange each : form.exchanges) names.push_back(to_string(each));
    return exchange.error(
        fmt::format("{} exchanges over {}, not over {}", form.name, fmt::join(names, ", "), to_string(job.exchange)));
  }
  const bool is_central = job.exchange == Exchange::kParameterServer;
  if (job.compression.name != "none" && !is_central)
    return compression.error(
        fmt::format("an exchange over {} adds float32 numbers; write compression: none, or "
                    "exchange: parameter-server",
                    to_string(job.exchange)));
  if (aggregation.present() && (!is_central || !form.has_rounds) && job.aggregation.rule != Aggregation::kMean)
    return aggregation.error(fmt::format("{} over {} has no place where all updates of a round meet; write aggregation: mean",
                                         form.name, to_string(job.exchange)));
  const bool is_elastic = form.name == "easgd" || form.name == "eamsgd";
  if (aggregation.present() && is_elastic && job.aggregation.rule != Aggregation::kMean)
    return aggregation.error(
        fmt::format("the forces of {} must cancel, so all of them count; write aggregation: mean", form.name));
  if (deadlines.present() && job.deadlines.quorum < 1 && (!is_central || !form.has_rounds))
    return deadlines.error(
        fmt::format("{} over {} waits for every member that is alive; leave quorum out", form.name, to_string(job.exchange)));
  return {};
}

Status read_rest(const YamlNode& root, YamlMap& map, Job& job) {
  const YamlNode exchange = map.optional("exchange"), compression = map.optional("compression"),
                 aggregation = map.optional("aggregation"), deadlines = map.optional("deadlines");
  job.exchange = find_strategy_form(job.strategy.name)->exchanges.front();
  if (exchange.present()) {
    TIDELINE_TRY(const std::size_t index, choice(exchange, kExchangeNames, "exchange"));
    job.exchange = static_cast<Exchange>(index);
  }
  if (compression.present()) TIDELINE_CHECK_OK(read_compression(compression, job));
  if (aggregation.present()) TIDELINE_CHECK_OK(read_aggregation(aggregation, job));
  if (deadlines.present()) TIDELINE_CHECK_OK(read_deadlines(deadlines, job.deadlines));
  TIDELINE_CHECK_OK(check_combination(job, exchange, compression, aggregation, deadlines));
  if (const YamlNode teacher = map.optional("teacher"); teacher.present()) TIDELINE_CHECK_OK(read_teacher(teacher, job));
  if (const YamlNode privacy = map.optional("privacy"); privacy.present()) TIDELINE_CHECK_OK(read_privacy(privacy, job));
  const YamlNode optimiser = map.required("optimiser");
  TIDELINE_CHECK_OK(read_optimiser(optimiser, job.optimiser));
  const bool has_momentum = job.optimiser.name == OptimiserSettings::Name::kSgd && job.optimiser.momentum > 0;
  if (job.strategy.name == "eamsgd" && !has_momentum)
    return optimiser.error("eamsgd is easgd with momentum; write {name: sgd, momentum: 0.9, ..}, or take easgd");
  // What the coordinator's optimiser steps with is then the gradients alone.
  constexpr std::array<std::string_view, 5> kOfGradients{"sync-sgd", "backup-workers", "fedsgd", "async-sgd", "dc-asgd"};
  if (job.compression.name == "dgc" && job.compression.number("momentum") > 0 && has_momentum &&
      std::find(kOfGradients.begin(), kOfGradients.end(), job.strategy.name) != kOfGradients.end())
    return optimiser.error("dgc has a momentum of its own; write momentum: 0 here, or compression: {name: dgc, momentum: 0}");
  const YamlNode rounds = map.optional("rounds"), epochs = map.optional("epochs");
  if (rounds.present() == epochs.present())
    return (rounds.present() ? rounds : root)
        .error("how long training goes on is said by `rounds` or by `epochs`: write one of them");
  TIDELINE_TRY(job.rounds, whole(rounds, 0, 1, limits::kTrainRoundsMax));
  TIDELINE_TRY(job.epochs, whole(epochs, 0, 1, limits::kTrainRoundsMax));
  TIDELINE_TRY(job.seed, whole(map.optional("seed"), 0, 0, limits::kTrainSeedMax));
  if (const YamlNode start = map.optional("start"); start.present()) {
    TIDELINE_TRY(const std::size_t index, choice(start, kStartNames, "start"));
    job.starts_random = index == 1;
  }
  if (const YamlNode evaluate = map.optional("evaluate"); evaluate.present()) {
    TIDELINE_TRY(YamlMap keys, evaluate.map());
    TIDELINE_TRY(job.evaluate_every, whole(keys.required("every"), 1, 1, limits::kTrainRoundsMax));
    TIDELINE_CHECK_OK(keys.finish());
  }
  if (const YamlNode checkpoint = map.optional("checkpoint"); checkpoint.present()) {
    TIDELINE_TRY(YamlMap keys, checkpoint.map());
    const YamlNode folder = keys.required("folder");
    TIDELINE_TRY(job.checkpoint_folder, folder.text());
    if (job.checkpoint_folder.empty()) return folder.error("expected the name of a folder");
    TIDELINE_TRY(job.checkpoint_every, whole(keys.optional("every"), 1, 1, limits::kTrainRoundsMax));
    TIDELINE_CHECK_OK(keys.finish());
  }
  return map.finish();
}

}  // namespace

std::string_view to_string(Exchange exchange) { return kExchangeNames[static_cast<std::size_t>(exchange)]; }
std::string_view to_string(Aggregation aggregation) { return kAggregationNames[static_cast<std::size_t>(aggregation)]; }

bool has_own_data(const Job& job) { return !job.nodes.empty() || job.train_data.find(kWorkerMark) != std::string::npos; }

std::string data_of_worker(const Job& job, std::size_t worker) {
  std::string word = job.train_data;
  const std::string number = std::to_string(worker);
  for (std::size_t at = word.find(kWorkerMark); at != std::string::npos; at = word.find(kWorkerMark, at + number.size()))
    word.replace(at, kWorkerMark.size(), number);
  return word;
}

bool Job::operator==(const Job& other) const { return write_job(*this) == write_job(other); }

Result<Job> parse_job(std::string_view yaml, std::string_view name) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, name));
  TIDELINE_TRY(YamlMap map, root.map());
  const YamlNode version = map.required("version");
  TIDELINE_TRY(const std::int64_t number, version.integer());
  if (number != 1) return version.error(fmt::format("this build reads version 1, found {}", number));
  Job job;
  const YamlNode model = map.required("model");
  TIDELINE_TRY(job.model, model.text());
  if (job.model.empty()) return model.error("expected the name of an .onnx file");
  if (const YamlNode loss = map.optional("loss"); loss.present()) {
    constexpr std::array<std::string_view, 1> kLosses{"cross-entropy"};
    TIDELINE_TRY([[maybe_unused]] const std::size_t only, choice(loss, kLosses, "loss"));
  }
  TIDELINE_CHECK_OK(read_workers(map.optional("workers"), job));
  TIDELINE_CHECK_OK(read_data(map.required("data"), job));
  job.divide.workers = job.workers;
  const YamlNode processes = map.optional("processes");
  TIDELINE_TRY(job.processes, whole(processes, std::min(job.workers, limits::kTrainProcessesDefault), 1, job.workers));
  TIDELINE_CHECK_OK(read_strategy(map.required("strategy"), job));
  TIDELINE_CHECK_OK(read_rest(root, map, job));
  return job;
}

Result<Job> load_job(const std::string& path, WorkersAre where) {
  const auto beside = [&](const std::string& file) {
    const std::filesystem::path given(file);
    return file.empty() || given.is_absolute()
               ? file
               : (std::filesystem::absolute(path).parent_path() / given).lexically_normal().string();
  };
  TIDELINE_TRY(const std::string text, read_file(path, limits::kYamlFileBytesMax));
  TIDELINE_TRY(Job job, parse_job(text, path));
  job.model = beside(job.model);
  if (job.teacher) job.teacher->model = beside(job.teacher->model);
  job.checkpoint_folder = beside(job.checkpoint_folder);
  for (std::string* word : {&job.train_data, &job.test_data}) {
    const std::size_t name = word->find(':') + 1;
    if (!word->empty() && (word == &job.test_data || where == WorkersAre::kHere))
      *word = word->substr(0, name) + beside(word->substr(name));
  }
  return job;
}

std::string write_job(const Job& job) {
  using Json = nlohmann::json;
  Json data{{"train", job.train_data}};
  if (job.input) {
    data["input"] = Json::parse(write_input_section(*job.input));
  } else {
    data["mean"] = job.mean;
    data["std"] = job.std;
  }
  if (!job.test_data.empty()) data["test"] = job.test_data;
  if (!has_own_data(job)) {
    Json divide{{"rule", kRuleNames[static_cast<std::size_t>(job.divide.rule)]}, {"seed", job.divide.seed}};
    if (job.divide.rule == DivideRule::kShards) divide["per_worker"] = job.divide.per_worker;
    if (job.divide.rule == DivideRule::kDirichlet) divide["alpha"] = job.divide.alpha;
    data["divide"] = std::move(divide);
    data["shared"] = job.divide.shared;
  }
  Json strategy{{"name", job.strategy.name}, {"batch", job.strategy.batch == 0 ? Json("all") : Json(job.strategy.batch)}};
  for (const auto& [key, value] : job.strategy.numbers) strategy[key] = value;
  Json compression{{"name", job.compression.name}};
  for (const auto& [key, value] : job.compression.numbers) compression[key] = value;
  const OptimiserSettings& o = job.optimiser;
  Json optimiser{{"name", kOptimiserNames[static_cast<std::size_t>(o.name)]},
                 {"rate", o.rate},
                 {"weight_decay", o.weight_decay},
                 {"schedule", kScheduleNames[static_cast<std::size_t>(o.schedule)]},
                 {"warmup_rounds", o.warmup_rounds}};
  if (o.name == OptimiserSettings::Name::kSgd) {
    optimiser["momentum"] = o.momentum;
    optimiser["nesterov"] = o.nesterov;
  } else {
    optimiser["beta1"] = o.beta1;
    optimiser["beta2"] = o.beta2;
    optimiser["epsilon"] = o.epsilon;
  }
  if (o.schedule == OptimiserSettings::Schedule::kStep) {
    optimiser["step_rounds"] = o.step_rounds;
    optimiser["step_factor"] = o.step_factor;
  }
  Json aggregation{{"name", to_string(job.aggregation.rule)}};
  if (job.aggregation.rule == Aggregation::kTrimmedMean || job.aggregation.rule == Aggregation::kKrum)
    aggregation["hostile"] = job.aggregation.hostile;
  Json json{{"version", 1},
            {"model", job.model},
            {"loss", "cross-entropy"},
            {"data", std::move(data)},
            {"workers", job.nodes.empty() ? Json(job.workers) : Json(job.nodes)},
            {"processes", job.processes},
            {"strategy", std::move(strategy)},
            {"exchange", to_string(job.exchange)},
            {"compression", std::move(compression)},
            {"aggregation", std::move(aggregation)},
            {"optimiser", std::move(optimiser)},
            {job.epochs > 0 ? "epochs" : "rounds", job.epochs > 0 ? job.epochs : job.rounds},
            {"seed", job.seed},
            {"start", kStartNames[job.starts_random ? 1 : 0]},
            {"evaluate", {{"every", job.evaluate_every}}},
            {"deadlines",
             {{"quorum", job.deadlines.quorum},
              {"spread", job.deadlines.spread},
              {"patience", fmt::format("{}ms", job.deadlines.patience.count())},
              {"norm_factor", job.deadlines.norm_factor}}}};
  if (job.teacher)
    json["teacher"] = {{"model", job.teacher->model}, {"temperature", job.teacher->temperature}, {"weight", job.teacher->weight}};
  if (job.privacy) {
    json["privacy"] = {{"clip", job.privacy->clip}, {"noise", job.privacy->noise}, {"delta", job.privacy->delta}};
    if (job.privacy->seed) json["privacy"]["seed"] = *job.privacy->seed;
  }
  if (!job.checkpoint_folder.empty()) json["checkpoint"] = {{"folder", job.checkpoint_folder}, {"every", job.checkpoint_every}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace tideline::train
