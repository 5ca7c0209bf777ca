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
              .segments = {{"camera", 0, 3}, {"server", 4, 9}}};
}

TEST(Plan, RoundTrip) {
  const Plan plan = sample();
  const auto read = parse_plan(write_plan(plan), "p.plan.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, plan);
}

struct Bad {
  const char* what;
  const char* from;
  const char* to;
  const char* sentence;
};

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

INSTANTIATE_TEST_SUITE_P(Every, PlanRefuses,
                         testing::Values(Bad{"version", "\"version\": 1", "\"version\": 2", "version 1"},
                                         Bad{"no_version", "\"version\": 1,", "", "version"},
                                         Bad{"unknown_key", "\"planner\"", "\"by\"", "planner"},
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
                                         Bad{"not_text", "\"server\"", "7", "segments[1].node"},
                                         Bad{"not_json", "{", "[", "p.plan.json"}),
                         [](const auto& test) { return std::string(test.param.what); });

TEST(Plan, RefusesNoSegments) {
  Plan plan = sample();
  plan.segments.clear();
  EXPECT_FALSE(parse_plan(write_plan(plan), "p"));
}

}  // namespace
}  // namespace tideline
