// Goal: the definition of walks is what docs/formats/table.md says, questions are read strictly, and what cannot be is explained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planner/table_walks.h"

namespace tideline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kSite = R"({"version": 2,
 "devices": [{"name": "cam", "memory_bytes": 10, "compute_w": 3, "transmit_w": 1, "receive_w": 0.5, "idle_w": 0.2},
             {"name": "server"}],
 "links": [{"from": 0, "to": 1, "bytes_per_s": 1e6, "back_bytes_per_s": 2e6, "rtt_ms": 4}],
 "ops": [{"name": "a", "runtime_ms": [10, 1], "output_bytes": 4000, "memory_bytes": 6},
         {"name": "b", "runtime_ms": [100, 2], "output_bytes": 400, "memory_bytes": 6}],
 "input_bytes": 60000, "result_bytes": 400, "accuracy": 0.9,
 "codecs": [{"name": "int8", "ratio": 0.25, "encode_ms_per_mb": [90, 10], "decode_ms_per_mb": [90, 10], "accuracy_loss": 0.002}],
 "exits": [{"after_op": 0, "runtime_ms": [1, 0.3], "accuracy": 0.8, "result_bytes": 40}]})";

Table site_of(const std::string& json) {
  auto table = parse_table(json, "t.json");
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? *table : Table{};
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kSite;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Question question_of(Objective objective, std::initializer_list<const char*> limits = {}) {
  Question question{.objective = objective};
  for (const char* limit : limits) EXPECT_TRUE(add_limit(limit, question.limits)) << limit;
  return question;
}

// System: op a on the camera, its output as int8 to the server, b there. Expected: each term of the definition by hand.
TEST(Walk, ValueByHand) {
  const TableWalk walk{.route = {0, 1, 0}, .links = {0, 0}, .codecs = {1, kRawCodec}, .devices = {0, 1}, .at = {0, 1}};
  const auto value = walk_value(site_of(kSite), walk);
  ASSERT_TRUE(value) << value.error().message;
  const double encode = 0.004 * 90;
  const double up = 1;  // 4000 B / 4 at 1 MB/s
  const double decode = 0.004 * 10;
  const double back = 0.2;
  const double latency = 10 + encode + 2 + up + decode + 2 + 2 + back;
  EXPECT_DOUBLE_EQ(value->total.latency_ms, latency);
  EXPECT_DOUBLE_EQ(value->compute_ms, 12);
  EXPECT_DOUBLE_EQ(value->total.energy_j, (2.8 * (10 + encode) + 0.8 * up + 0.3 * back + 0.2 * latency) / 1000);
  EXPECT_DOUBLE_EQ(value->total.period_ms, 10 + encode);
  EXPECT_DOUBLE_EQ(value->total.upload_bytes, 1000 + 400);
  EXPECT_DOUBLE_EQ(value->total.accuracy, 0.898);
}

// The worked example of the header.
TEST(Walk, WorkedExample) {
  const Table table =
      site_of(R"({"version": 2, "devices": [{"name": "a", "transmit_w": 1, "receive_w": 0.5, "idle_w": 0.2}, {"name": "b"}],
      "links": [{"from": 0, "to": 1, "bytes_per_s": 1.25e6, "rtt_ms": 4}],
      "ops": [{"runtime_ms": [150, 10], "output_bytes": 1}], "input_bytes": 150528, "result_bytes": 4000})");
  const auto plan = plan_walk(table, {}, "auto", {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_DOUBLE_EQ(plan->value.total.latency_ms, 137.6224);
  EXPECT_NEAR(plan->value.total.energy_j, 0.12482, 1e-5);
  EXPECT_DOUBLE_EQ(plan->value.total.upload_bytes, 154528);
  EXPECT_DOUBLE_EQ(plan->value.total.period_ms, 120.4224);
}

// An exit's head runs where its op ran, and its own result returns.
TEST(Walk, ExitsByHand) {
  const TableWalk walk{.route = {0, 1, 0}, .links = {0, 0}, .codecs = {0, 0}, .devices = {1}, .at = {1}, .exit = 0};
  const auto value = walk_value(site_of(kSite), walk);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_DOUBLE_EQ(value->total.latency_ms, 2 + 60 + 1 + 0.3 + 2 + 0.02);
  EXPECT_DOUBLE_EQ(value->total.accuracy, 0.8);
  EXPECT_DOUBLE_EQ(value->total.upload_bytes, 60040);
}

TEST(Walk, WhatIsNoWalk) {
  const Table table = site_of(replaced("\"accuracy\": 0.9", "\"accuracy\": 0.9, \"keep_on_source\": 1"));
  const TableWalk good{.route = {0, 1, 0}, .links = {0, 0}, .codecs = {0, 0}, .devices = {0, 1}, .at = {0, 1}};
  ASSERT_TRUE(walk_value(table, good));
  const auto refused = [&](const std::function<void(TableWalk&)>& change, const char* says) {
    TableWalk walk = good;
    change(walk);
    const auto value = walk_value(table, walk);
    ASSERT_FALSE(value) << says;
    EXPECT_THAT(value.error().message, HasSubstr(says));
  };
  refused([](TableWalk& walk) { walk.route.back() = 1; }, "ends at the source");
  refused([](TableWalk& walk) { walk.codecs[1] = 1; }, "result returns raw");
  refused([](TableWalk& walk) { walk.codecs[0] = 7; }, "out of range");
  refused([](TableWalk& walk) { walk.devices = {1, 1}; }, "not where the route is");
  refused([](TableWalk& walk) { walk.at = {1, 1}, walk.devices = {1, 1}; }, "must run on 'cam'");
  refused([](TableWalk& walk) { walk.at = {0, 3}; }, "runs nowhere");
  refused([](TableWalk& walk) { walk.devices.pop_back(); }, "2 ops run");
  refused([](TableWalk& walk) { walk.links.pop_back(); }, "a link and a codec");
  refused([](TableWalk& walk) { walk.route[1] = 0; }, "does not join");
}

TEST(Walk, ObjectivesByHand) {
  const Table table = site_of(kSite);
  const auto plan = [&](const Question& question) {
    const auto found = plan_walk(table, question, "auto", {});
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *found : WalkPlan{};
  };
  // Up raw after a: 10 + 2 + 4 + 2 + 2 + 0.2.
  EXPECT_DOUBLE_EQ(plan({}).value.total.latency_ms, 20.2);
  EXPECT_THAT(plan({}).walk.devices, ElementsAre(0, 1));
  // Nothing lossy unless accuracy is asked for.
  EXPECT_FALSE(plan({}).walk.exit);
  EXPECT_EQ(plan(question_of(Objective::kLatency, {"accuracy=0.8"})).walk.exit, 0u);
  EXPECT_THAT(plan(question_of(Objective::kLatency, {"accuracy=0.89"})).walk.codecs, ElementsAre(1, 0));
  EXPECT_DOUBLE_EQ(plan(question_of(Objective::kUpload)).value.total.upload_bytes, 0);
  EXPECT_THAT(plan(question_of(Objective::kUpload, {"memory"})).walk.devices, ElementsAre(0, 1));
  // Edgent: the most accurate within a deadline.
  EXPECT_EQ(plan(question_of(Objective::kAccuracy, {"latency=25ms"})).value.total.accuracy, 0.9);
  EXPECT_NEAR(plan(question_of(Objective::kAccuracy, {"latency=18ms"})).value.total.accuracy, 0.898, 1e-12);
  EXPECT_EQ(plan(question_of(Objective::kAccuracy, {"latency=12ms"})).value.total.accuracy, 0.8);
  Question stays;
  stays.keep_on_source = 2;
  EXPECT_THAT(plan(stays).walk.route, ElementsAre(0));
}

TEST(Walk, WhatClashes) {
  const Table table = site_of(kSite);
  const Question question = question_of(Objective::kLatency, {"latency=15ms", "accuracy=0.85", "upload=1MB"});
  const auto plan = plan_walk(table, question, "auto", {});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kInfeasible);
  const auto report = why_not(table, question, {});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->size(), 3u);
  EXPECT_EQ((*report)[0].quantity, "latency");
  EXPECT_TRUE((*report)[0].clashes);
  EXPECT_DOUBLE_EQ(*(*report)[0].alone, 11);  // everything up to the exit on the camera
  EXPECT_EQ((*report)[1].quantity, "upload");
  EXPECT_FALSE((*report)[1].clashes);
  EXPECT_EQ((*report)[2].quantity, "accuracy");
  EXPECT_TRUE((*report)[2].clashes);
  EXPECT_DOUBLE_EQ(*(*report)[2].alone, 0.9);
  EXPECT_THAT(describe(*report), HasSubstr("latency <= 15.0 ms and accuracy >= 0.85 together"));
}

TEST(Walk, CandidatesSayWhatRulesThemOut) {
  const auto list = walk_candidates(site_of(kSite), question_of(Objective::kLatency, {"latency=50ms", "memory"}), {});
  ASSERT_TRUE(list) << list.error().message;
  ASSERT_EQ(list->size(), 3u);
  EXPECT_THAT((*list)[0].infeasible, HasSubstr("latency 110 ms, the limit is 50.0 ms"));
  EXPECT_THAT((*list)[0].infeasible, HasSubstr("cam needs 12 B, has 10 B"));
  EXPECT_THAT((*list)[1].infeasible, HasSubstr("latency"));
  EXPECT_EQ((*list)[2].kind, WalkCandidate::Kind::kSplit);
  EXPECT_EQ((*list)[2].infeasible, "");
}

TEST(Walk, FilesAreReadStrictly) {
  const auto refused = [](const std::string& from, const std::string& to, const char* says) {
    const auto table = parse_table(replaced(from, to), "t.json");
    ASSERT_FALSE(table) << to;
    EXPECT_EQ(table.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(table.error().message, HasSubstr(says));
  };
  refused("\"version\": 2", "\"version\": 3", "version");
  refused("\"idle_w\"", "\"idle\"", "unknown key 'idle'");
  refused("\"compute_w\": 3", "\"compute_w\": -3", "devices[0].compute_w");
  refused("{\"name\": \"server\"}", "{\"name\": \"cam\"}", "twice");
  refused("{\"name\": \"server\"}", "\"server\"", "devices[1]");
  refused("{\"name\": \"server\"}", "{\"name\": \"server\"}, {\"name\": \"far\"}", "no way leads from 'cam' to 'far'");
  refused("\"to\": 1", "\"to\": 0", "two different devices");
  refused("\"to\": 1", "\"to\": 2", "links[0].to");
  refused("\"bytes_per_s\": 1e6", "\"bytes_per_s\": 0", "links[0].bytes_per_s");
  refused("\"accuracy\": 0.9", "\"accuracy\": 1.9", "accuracy");
  refused("\"accuracy\": 0.9", "\"accuracy\": 0.9, \"keep_on_source\": 3", "keep_on_source");
  refused("\"accuracy\": 0.9", "\"accuracy\": 0.9, \"source\": 2", "source");
  refused("\"name\": \"int8\"", "\"name\": \"raw\"", "there is a codec 'raw' already");
  refused("\"ratio\": 0.25", "\"ratio\": 1e999", "");
  refused("\"encode_ms_per_mb\": [90, 10]", "\"encode_ms_per_mb\": [90]", "one number for each of 2 devices");
  refused("\"after_op\": 0", "\"after_op\": 2", "exits[0].after_op");
  refused("\"runtime_ms\": [1, 0.3]", "\"runtime_ms\": [1]", "exits[0].runtime_ms");
}

TEST(Walk, QuestionsThatATableCannotAnswer) {
  Table table = site_of(kSite);
  table.power[0].reset();
  EXPECT_THAT(plan_walk(table, question_of(Objective::kEnergy), "auto", {}).error().message, HasSubstr("compute_w"));
  EXPECT_FALSE(plan_walk(table, question_of(Objective::kLatency, {"energy=1J"}), "auto", {}));
  table.is_chain = false;
  EXPECT_EQ(plan_walk(table, {}, "auto", {}).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(plan_walk(site_of(kSite), {}, "aaiot", {}).error().code, ErrorCode::kUnsupported);
  Question stays;
  stays.keep_on_source = 3;
  EXPECT_EQ(plan_walk(site_of(kSite), stays, "auto", {}).error().code, ErrorCode::kInvalidArgument);
}

TEST(Question, LimitsAreReadStrictly) {
  Limits limits;
  for (const char* text : {"latency=200ms", "energy=0.5J", "upload=20kB", "period=50ms", "accuracy=0.85", "memory"})
    EXPECT_TRUE(add_limit(text, limits)) << text;
  EXPECT_EQ(limits.of(Objective::kEnergy), 0.5);
  EXPECT_EQ(limits.of(Objective::kUpload), 20'000);
  EXPECT_TRUE(limits.memory);
  EXPECT_THAT(add_limit("latency=1s", limits).error().message, HasSubstr("two limits on latency"));
  Limits none;
  for (const char* text :
       {"latency", "latncy=1s", "latency=1", "latency=-1s", "energy=3W", "accuracy=1.5", "accuracy=nan", "upload=x", "="})
    EXPECT_FALSE(add_limit(text, none)) << text;
  EXPECT_FALSE(none.any());
  EXPECT_TRUE(parse_objectives("latency,energy,period"));
  for (const char* text : {"latency", "latency,latency", "latency,speed", "", "latency,energy,period,upload"})
    EXPECT_FALSE(parse_objectives(text)) << text;
}

}  // namespace
}  // namespace tideline
