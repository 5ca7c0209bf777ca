// Goal: a job means what its page says, and every slip is refused with what to write instead. Method: the issue's own example,
// the round trip of its canonical form, and one slip at a time.
#include "train/job/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "platform/files.h"
#include "platform/temp_folder.h"

namespace tideline::train {
namespace {

using testing::HasSubstr;

constexpr std::string_view kWhole = R"(version: 1
model: lenet5.onnx
loss: cross-entropy
data: {train: idx:fashion/train, test: idx:fashion/t10k, mean: 0.286, std: 0.353,
       divide: {rule: shards, per_worker: 3, seed: 7}, shared: 0.05}
workers: 10
processes: 2
strategy: {name: fedavg, fraction: 0.5, local_epochs: 2, batch: 10}
exchange: parameter-server
compression: fp16
aggregation: {name: trimmed-mean, hostile: 2}
optimiser: {name: sgd, rate: 0.05, momentum: 0.9, nesterov: true, schedule: step, step_rounds: 5, step_factor: 0.5}
rounds: 20
seed: 1
start: random
evaluate: {every: 5}
deadlines: {quorum: 0.8, spread: 3, patience: 20s, norm_factor: 50}
checkpoint: {folder: kept, every: 4}
)";

// A job of so many workers with this strategy, and further lines.
std::string small(std::string_view strategy, std::string_view more = "", int workers = 4) {
  return fmt::format(
      "version: 1\nmodel: m.onnx\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {}\n"
      "optimiser: {{name: sgd, rate: 0.1, momentum: 0.9}}\nrounds: 3\n{}",
      workers, strategy, more);
}
std::string refusal(const std::string& yaml) {
  const auto job = parse_job(yaml, "job.yaml");
  return job ? "accepted" : job.error().message;
}

TEST(Job, EveryKeyIsRead) {
  const auto job = parse_job(kWhole, "job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->divide.rule, DivideRule::kShards);
  EXPECT_EQ(job->divide.per_worker, 3U);
  EXPECT_EQ(job->divide.workers, 10U);
  EXPECT_EQ(job->strategy.batch, 10U);
  EXPECT_EQ(job->strategy.number("fraction"), 0.5);
  EXPECT_EQ(job->strategy.count("local_epochs"), 2U);
  EXPECT_EQ(job->compression.name, "fp16");
  EXPECT_EQ(job->aggregation, (AggregationSettings{Aggregation::kTrimmedMean, 2}));
  EXPECT_EQ(job->optimiser.step_rounds, 5U);
  EXPECT_EQ(job->deadlines.patience, Millis(20'000));
  EXPECT_TRUE(job->starts_random);
  EXPECT_EQ(job->checkpoint_folder, "kept");
}

TEST(Job, WhatIsWrittenReadsTheSame) {
  std::vector<std::string> texts{std::string(kWhole)};
  for (const StrategyForm& form : strategy_forms())
    texts.push_back(small(fmt::format("{{name: {}}}", form.name), "", form.workers_max == 1 ? 1 : 4));
  texts.push_back(small("{name: sync-sgd, batch: all}", "exchange: ring\n"));
  texts.push_back(small("{name: fedavg}", "aggregation: krum\n", 5));
  for (const std::string& text : texts) {
    const auto job = parse_job(text, "job.yaml");
    ASSERT_TRUE(job) << text << job.error().message;
    const auto again = parse_job(write_job(*job), "again");
    ASSERT_TRUE(again) << write_job(*job) << again.error().message;
    EXPECT_EQ(*again, *job);
    EXPECT_EQ(again->strategy, job->strategy);
    EXPECT_EQ(again->optimiser, job->optimiser);
  }
}

TEST(Job, NamesAreRelativeToTheFile) {
  const auto folder = TempFolder::make("job-test");
  ASSERT_TRUE(folder);
  ASSERT_TRUE(write_file_atomic(folder->path() + "/job.yaml", kWhole));
  const auto job = load_job(folder->path() + "/job.yaml");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_EQ(job->model, folder->path() + "/lenet5.onnx");
  EXPECT_EQ(job->train_data, "idx:" + folder->path() + "/fashion/train");
  EXPECT_EQ(job->checkpoint_folder, folder->path() + "/kept");
}

TEST(Job, EachWorkerMayHaveItsOwnData) {
  const auto job = parse_job(
      "version: 1\nmodel: m\ndata: {train: 'npy:site/{worker}'}\nworkers: 12\nstrategy: {name: fedavg}\n"
      "optimiser: {name: adam, rate: 0.001}\nrounds: 1\n",
      "j");
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_TRUE(has_own_data(*job));
  EXPECT_EQ(data_of_worker(*job, 11), "npy:site/11");
}

TEST(Job, ACompressionIsAWordOrAMap) {
  const auto word = parse_job(small("{name: fedavg}", "compression: dgc\n"), "job.yaml");
  ASSERT_TRUE(word) << word.error().message;
  EXPECT_EQ(word->compression.number("sparsity"), 0.999);
  EXPECT_EQ(word->compression.count("workers"), 4U);
  const auto map = parse_job(small("{name: fedavg}", "compression: {name: dgc, sparsity: 0.9, warmup_rounds: 4}\n"), "job.yaml");
  ASSERT_TRUE(map) << map.error().message;
  EXPECT_EQ(map->compression.number("sparsity"), 0.9);
  EXPECT_EQ(map->compression.count("warmup_rounds"), 4U);
  EXPECT_EQ(parse_job(write_job(*map), "again")->compression, map->compression);
}

TEST(Job, WhatIsNotThereIsRefusedByName) {
  EXPECT_THAT(refusal(small("{name: gpipe}")), HasSubstr("this build has no strategy 'gpipe'; it has single, sync-sgd"));
  EXPECT_THAT(refusal(small("{name: fedavgg}")), HasSubstr("did you mean 'fedavg'?"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "compression: gzip\n")),
              HasSubstr("this build has no compression 'gzip'; it has none"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "compression: qsdg\n")), HasSubstr("did you mean 'qsgd'?"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "compression: {name: qsgd, levls: 4}\n")), HasSubstr("levels"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "compression: {name: qsgd, levels: 0}\n")),
              HasSubstr("expected 1 to 65536, found 0"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "compression: {name: qsgd, levels: 1.5}\n")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "cluster: c.yaml\n")), HasSubstr("cluster"));
  EXPECT_THAT(refusal(small("{name: fedavg, mu: 1}")), HasSubstr("mu"));
  EXPECT_THAT(refusal("version: 2\nmodel: m\n"), HasSubstr("this build reads version 1, found 2"));
  std::string images = small("{name: fedavg}");
  images.replace(images.find("npy:d"), 5, "images:d");
  EXPECT_THAT(refusal(images), HasSubstr("pictures need to be told their size"));
}

TEST(Job, WhatDoesNotGoTogetherIsRefusedWithTheReason) {
  EXPECT_THAT(refusal(small("{name: fedavg}", "exchange: ring\n")),
              HasSubstr("fedavg exchanges over parameter-server, not over ring"));
  EXPECT_THAT(refusal(small("{name: sync-sgd}", "exchange: ring\ncompression: fp16\n")), HasSubstr("write compression: none"));
  EXPECT_THAT(refusal(small("{name: sync-sgd}", "compression: dgc\n")),
              HasSubstr("dgc has a momentum of its own; write momentum: 0"));
  EXPECT_EQ(refusal(small("{name: fedavg}", "compression: dgc\n")), "accepted");
  EXPECT_EQ(refusal(small("{name: sync-sgd}", "compression: {name: dgc, momentum: 0}\n")), "accepted");
  EXPECT_THAT(refusal(small("{name: sync-sgd}", "exchange: tree\naggregation: median\n")), HasSubstr("write aggregation: mean"));
  EXPECT_THAT(refusal(small("{name: async-sgd}", "deadlines: {quorum: 0.5}\n")), HasSubstr("leave quorum out"));
  EXPECT_THAT(refusal(small("{name: easgd}", "aggregation: median\n")), HasSubstr("must cancel"));
  EXPECT_THAT(refusal(small("{name: single}")), HasSubstr("write workers: 1"));
  EXPECT_THAT(refusal(small("{name: gossip}", "", 1)), HasSubstr("needs at least 2 workers"));
  EXPECT_THAT(refusal(small("{name: backup-workers, backup: 4}")), HasSubstr("at most 3 can be backup"));
  EXPECT_THAT(refusal(small("{name: async-sgd, staleness: 2}")), HasSubstr("no bound below 3 can be kept"));
  EXPECT_THAT(refusal(small("{name: fedsgd, batch: 10}")), HasSubstr("write batch: all"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "aggregation: krum\n")), HasSubstr("at least 5 workers, found 4"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "aggregation: {name: trimmed-mean, hostile: 2}\n")),
              HasSubstr("more than 4 workers"));
  std::string plain = small("{name: eamsgd}");
  plain.replace(plain.find(", momentum: 0.9"), 15, "");
  EXPECT_THAT(refusal(plain), HasSubstr("or take easgd"));
}

TEST(Job, NumbersAreHeldAgainstTheirRange) {
  EXPECT_THAT(refusal(small("{name: fedavg, fraction: 1.5}")), HasSubstr("found 1.5"));
  EXPECT_THAT(refusal(small("{name: fedavg, local_epochs: 1.5}")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "processes: 5\n")), HasSubstr("1 to 4, found 5"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "", 100000)), HasSubstr("found 100000"));
  EXPECT_THAT(refusal(small("{name: fedavg}", "deadlines: {patience: 1ms}\n")), HasSubstr("10ms to 1440min"));
}

}  // namespace
}  // namespace tideline::train
