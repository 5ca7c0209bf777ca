// Goal: a plan file says what was written, and every malformed one is refused with the place.
#include "plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;

Plan sample() {
  return Plan{.planner = "aaiot",
              .model_sha256 = sha256("model"),
              .chain_sha256 = sha256("chain"),
              .segments = {{0, "camera", 0, 3}, {0, "server", 4, 9}}};
}

// Version 2: up to the server and back, with blocks left for the camera.
Plan walk() {
  Plan plan = sample();
  plan.planner = "route";
  plan.route = {"camera", "gateway", "server", "gateway", "camera"};
  plan.segments = {{0, "camera", 0, 3}, {2, "server", 4, 8}, {4, "camera", 9, 9}};
  return plan;
}

TEST(Plan, RoundTrip) {
  const Plan plan = sample();
  const auto read = parse_plan(write_plan(plan), "p.plan.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, plan);
}

TEST(Plan, RoundTripOfAWalk) {
  Plan plan = walk();
  EXPECT_EQ(*parse_plan(write_plan(plan), "p.plan.json"), plan);
  plan.codecs.assign(4, "raw");
  EXPECT_EQ(*parse_plan(write_plan(plan), "p.plan.json"), plan);
}

TEST(Plan, KeepsItsExit) {
  for (Plan plan : {sample(), walk()}) {
    EXPECT_EQ(write_plan(plan).find("exit"), std::string::npos);
    plan.exit = "exit1/prob:0";
    const auto back = parse_plan(write_plan(plan), "p.plan.json");
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, plan);
    plan.exit = "";
    EXPECT_THAT(parse_plan(write_plan(plan), "p.plan.json").error().message, HasSubstr("exit: an output's name has 1 to"));
  }
}

struct Bad {
  const char* what;
  const char* from;
  const char* to;
  const char* sentence;
};

TEST(Plan, SaysWhereTheResultIsWanted) {
  Plan plan = walk();
  EXPECT_EQ(write_plan(plan).find("result_to"), std::string::npos);
  plan.result_to = ResultTo::kNowhere;
  const auto back = parse_plan(write_plan(plan), "p.plan.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, plan);
  std::string text = write_plan(plan);
  text.replace(text.find("nowhere"), 7, "server");
  EXPECT_THAT(parse_plan(text, "p.plan.json").error().message, HasSubstr("'source' or 'nowhere', not to 'server'"));
}

class PlanRefuses : public testing::TestWithParam<Bad> {};

TEST_P(PlanRefuses, WithPlaceAndSentence) {
  const Bad& bad = GetParam();
  std::string text = write_plan(sample());
  const std::size_t at = text.find(bad.from);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, std::string_view(bad.from).size(), bad.to);
  const auto plan = parse_plan(text, "p.plan.json");
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(plan.error().message, HasSubstr("p.plan.json"));
  EXPECT_THAT(plan.error().message, HasSubstr(bad.sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Every, PlanRefuses,
    testing::Values(Bad{"version", "\"version\": 1", "\"version\": 3", "versions 1 and 2"},
                    Bad{"route_of_version_1", "\"planner\"", "\"route\": [\"camera\"], \"planner\"", "route"},
                    Bad{"no_route", "\"version\": 1", "\"version\": 2", "route"},
                    Bad{"no_version", "\"version\": 1,", "", "version"}, Bad{"unknown_key", "\"planner\"", "\"by\"", "planner"},
                    Bad{"extra_key", "\"planner\"", "\"color\": 1, \"planner\"", "color"},
                    Bad{"hash", "\"model_sha256\": \"", "\"model_sha256\": \"x", "model_sha256"},
                    Bad{"gap", "\"first_block\": 4", "\"first_block\": 5", "expected 4"},
                    Bad{"overlap", "\"first_block\": 4", "\"first_block\": 3", "expected 4"},
                    Bad{"late_start", "\"first_block\": 0", "\"first_block\": 1", "expected 0"},
                    Bad{"backwards", "\"last_block\": 9", "\"last_block\": 2", "before first_block"},
                    Bad{"negative", "\"first_block\": 0", "\"first_block\": -1", "segments[0].first_block"},
                    Bad{"huge", "\"last_block\": 9", "\"last_block\": 4294967296", "segments[1].last_block"},
                    Bad{"fraction", "\"last_block\": 9", "\"last_block\": 9.5", "segments[1].last_block"},
                    Bad{"twice", "\"server\"", "\"camera\"", "two segments"},
                    Bad{"no_name", "\"server\"", "\"\"", "segments[1].node"},
                    Bad{"not_text", "\"server\"", "7", "segments[1].node"}, Bad{"not_json", "{", "[", "p.plan.json"}),
    [](const auto& test) { return std::string(test.param.what); });

class WalkRefuses : public testing::TestWithParam<Bad> {};

TEST_P(WalkRefuses, WithPlaceAndSentence) {
  const Bad& bad = GetParam();
  Plan plan = walk();
  plan.codecs.assign(4, "raw");
  plan.tolerance = 0.125;
  std::string text = write_plan(plan);
  const std::size_t at = text.find(bad.from);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, std::string_view(bad.from).size(), bad.to);
  const auto read = parse_plan(text, "p.plan.json");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(read.error().message, HasSubstr("p.plan.json"));
  EXPECT_THAT(read.error().message, HasSubstr(bad.sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Every, WalkRefuses,
    testing::Values(Bad{"at_missing", "\"at\": 2,", "", "segments[1].at"},
                    Bad{"at_backwards", "\"at\": 4", "\"at\": 0", "come after 2"},
                    Bad{"at_twice", "\"at\": 4", "\"at\": 2", "the route is at 'server' there"},
                    Bad{"at_outside", "\"at\": 4", "\"at\": 5", "segments[2].at"},
                    Bad{"other_node", "\"node\": \"server\"", "\"node\": \"gateway\"", "the route is at 'server' there"},
                    Bad{"empty_route", "\"route\": [", "\"route\": [], \"r\": [", "at least one name"},
                    Bad{"not_home", "    \"gateway\",\n    \"camera\"\n", "    \"gateway\"\n", "returns to the source"},
                    Bad{"into_its_own_path", "    \"server\",\n", "    \"server\",\n    \"camera\",\n", "route[3]"},
                    Bad{"stays", "    \"server\",\n", "    \"server\",\n    \"server\",\n", "route[3]"},
                    Bad{"codec", "\"raw\"", "\"zstd\"", "no codec 'zstd'"},
                    Bad{"tolerance", "\"tolerance\": 0.125", "\"tolerance\": -1", "tolerance"},
                    Bad{"tolerance_text", "\"tolerance\": 0.125", "\"tolerance\": \"much\"", "tolerance"},
                    Bad{"codecs_missing", "    \"raw\",\n", "", "found 3"},
                    Bad{"name_not_text", "    \"gateway\",", "    7,", "route[1]"},
                    Bad{"gap", "\"first_block\": 9", "\"first_block\": 8", "expected 9"}),
    [](const auto& test) { return std::string(test.param.what); });

TEST(Plan, TheLongestRouteIsLimited) {
  Plan plan{
      .planner = "p", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c"), .route = {"a"}, .segments = {{0, "a", 0, 0}}};
  while (plan.route.size() < limits::kPlanStagesMax) plan.route.insert(plan.route.end(), {"b", "a"});
  EXPECT_FALSE(parse_plan(write_plan(plan), "p"));
  plan.route.resize(limits::kPlanStagesMax - 1);
  EXPECT_TRUE(parse_plan(write_plan(plan), "p"));
}

// Reading takes time with the length of the file, not with its square: 8 MB are a moment.
TEST(Plan, RefusesAHundredThousandSegments) {
  std::string text = write_plan(sample());
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += R"({"node": "n", "first_block": 0, "last_block": 0}, )";
  text.insert(text.find('[') + 1, many);
  const auto plan = parse_plan(text, "p.plan.json");
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, HasSubstr("at most 64 segments"));
}

TEST(Plan, RefusesNoSegments) {
  Plan plan = sample();
  plan.segments.clear();
  EXPECT_FALSE(parse_plan(write_plan(plan), "p"));
}

}  // namespace
}  // namespace tideline
