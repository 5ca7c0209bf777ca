// Goal: what scripts read of a run is what it was, and figures show it. Method: a report by hand, written and read.
#include "train/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include <nlohmann/json.hpp>

namespace tideline::train {
namespace {

using testing::HasSubstr;

TrainReport sample() {
  TrainReport report;
  report.rounds = {{.round = 1, .loss = 2.5, .bytes_up = 1000, .bytes_down = 2000, .seconds = 0.5, .workers = 3},
                   {.round = 2,
                    .loss = 1.5,
                    .accuracy = 0.75,
                    .test_loss = 0.9,
                    .bytes_up = 1100,
                    .bytes_down = 2100,
                    .seconds = 0.25,
                    .workers = 2,
                    .late = 1,
                    .rejected = 4}};
  report.bytes_by_worker = {10, 20, 30};
  report.news = {"worker 1 is lost: gone"};
  return report;
}
Job job() {
  return *parse_job(
      "version: 1\nmodel: m\ndata: {train: npy:d}\nworkers: 3\nstrategy: {name: fedavg}\n"
      "optimiser: {name: sgd, rate: 0.1}\nrounds: 2\n",
      "j");
}

TEST(TrainReport, ItsKeysAreThosePromised) {
  const auto json = nlohmann::json::parse(write_report(job(), sample(), "out/trained.onnx", "ab"));
  const auto& round = json["rounds"][1];
  for (const char* key : {"round", "loss", "accuracy", "bytes_up", "bytes_down", "seconds", "workers", "late", "rejected"})
    EXPECT_TRUE(round.contains(key)) << key;
  EXPECT_EQ(round["rejected"], 4);
  EXPECT_TRUE(json["rounds"][0]["accuracy"].is_null());
  EXPECT_EQ(json["final"]["accuracy"], 0.75);
  EXPECT_EQ(json["final"]["loss"], 0.9);
  EXPECT_EQ(json["bytes_by_worker"], nlohmann::json({10, 20, 30}));
  EXPECT_EQ(json["model"], "out/trained.onnx");
  EXPECT_EQ(json["weights_sha256"], "ab");
  EXPECT_EQ(json["job"]["strategy"]["name"], "fedavg");
}

TEST(TrainReport, WhatIsWrittenReadsTheSame) {
  TrainReport report = sample();
  auto curve = parse_report(write_report(job(), report, "m", "ab"), "r.json");
  ASSERT_TRUE(curve) << curve.error().message;
  EXPECT_EQ(curve->rounds, report.rounds);
  EXPECT_EQ(curve->name, "r.json");
  report.rounds[0].loss = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(parse_report(write_report(job(), report, "m", "ab"), "r.json"));
}

TEST(TrainReport, OtherFilesAreRefused) {
  EXPECT_FALSE(parse_report("[]", "r.json"));
  EXPECT_FALSE(parse_report("{}", "r.json"));
  const auto wrong = parse_report(R"({"rounds":[{"round":0}]})", "r.json");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("rounds[0]"));
}

TEST(TrainReport, TableAndFigures) {
  const report::Table table = round_table(sample().rounds, false);
  EXPECT_THAT(table.text(), HasSubstr("75.00 %"));
  EXPECT_THAT(table.text(), HasSubstr("2.1 kB"));  // of both rounds
  EXPECT_THAT(round_table(sample().rounds, true).csv(), HasSubstr("1,2.5,,1000,2000,0.5,3,0,0"));
  const auto figures = accuracy_figures({{"a", sample().rounds}, {"b", {}}});
  ASSERT_EQ(figures.size(), 3U);
  EXPECT_EQ(figures[1].first, "accuracy-bytes.svg");
  for (const auto& [name, svg] : figures) EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_TRUE(accuracy_figures({{"b", {}}}).empty());
}

}  // namespace
}  // namespace tideline::train
