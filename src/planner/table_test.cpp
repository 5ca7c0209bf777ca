// Goal: tables are read strictly, their value is the definition's, and the planners answer what can be worked out by hand.
#include "planner/table.h"
#include "planner/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kChain = R"({"devices": ["pi", "pc", "server"],
 "links": [{"bytes_per_s": 1000, "rtt_ms": 1}, {"bytes_per_s": 2000, "rtt_ms": 2}],
 "ops": [{"name": "a", "runtime_ms": [100, 10, 1], "output_bytes": 20, "memory_bytes": 5},
         {"name": "b", "runtime_ms": [1000, 900, 10], "output_bytes": 4}],
 "input_bytes": 500, "result_bytes": 6})";

Table table_of(std::string_view json) {
  auto table = parse_table(json, "t.json");
  EXPECT_TRUE(table) << (table ? "" : table.error().message);
  return table ? *table : Table{};
}

double latency(const Table& table, std::vector<std::uint32_t> devices) {
  const auto value = table_value(table, devices);
  EXPECT_TRUE(value);
  return value ? value->latency_ms : -1;
}

// System: two ops, three devices. Expected: equation (3) by hand with a round trip per hop.
TEST(Table, ValueOfAChain) {
  const Table table = table_of(kChain);
  EXPECT_TRUE(table.is_chain);
  EXPECT_DOUBLE_EQ(latency(table, {0, 0}), 1100);
  EXPECT_DOUBLE_EQ(latency(table, {0, 1}), 100 + 900 + (20 + 6) + 1);
  EXPECT_DOUBLE_EQ(latency(table, {0, 2}), 100 + 10 + (20 + 6) + 1 + (20 + 6) / 2.0 + 2);
  EXPECT_DOUBLE_EQ(latency(table, {2, 2}), 1 + 10 + (500 + 6) + 1 + (500 + 6) / 2.0 + 2);
  EXPECT_FALSE(table_value(table, std::vector<std::uint32_t>{1, 0}));
}

// The worked example of the header and of cost.h: both models say the same.
TEST(Table, WorkedExample) {
  const Table table = table_of(R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1.25e6, "rtt_ms": 4}],
      "ops": [{"runtime_ms": [150, 10], "output_bytes": 1}], "input_bytes": 150528, "result_bytes": 4000})");
  EXPECT_DOUBLE_EQ(latency(table, {1}), 137.6224);
}

TEST(Table, ResultBytesAbsentIsTheLastOutput) {
  const Table table = table_of(R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1000}],
      "ops": [{"runtime_ms": [1, 1], "output_bytes": 7}], "input_bytes": 3})");
  EXPECT_EQ(table.result_bytes, 7);
  EXPECT_EQ(table.links[0].rtt_ms, 0);
  EXPECT_EQ(table.op_names[0], "op0");
  EXPECT_DOUBLE_EQ(latency(table, {1}), 1 + 3 + 7);
}

// System: a diamond 0 -> {1, 2} -> 3. Expected: op 0's tensor crosses once though both 1 and 2 need it.
TEST(Table, ATensorNeededTwiceCrossesOnce) {
  const Table table = table_of(R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1000}],
      "ops": [{"runtime_ms": [1, 1], "output_bytes": 100}, {"runtime_ms": [1, 1], "output_bytes": 10},
              {"runtime_ms": [1, 1], "output_bytes": 20}, {"runtime_ms": [1, 1], "output_bytes": 2}],
      "edges": [[2, 3], [0, 1], [0, 2], [1, 3]], "input_bytes": 500})");
  EXPECT_FALSE(table.is_chain);
  EXPECT_DOUBLE_EQ(latency(table, {0, 1, 1, 1}), 4 + 100 + 2);
  EXPECT_DOUBLE_EQ(latency(table, {0, 0, 1, 1}), 4 + 100 + 10 + 2);
  EXPECT_DOUBLE_EQ(latency(table, {0, 0, 0, 1}), 4 + 10 + 20 + 2);
  EXPECT_DOUBLE_EQ(latency(table, {1, 1, 1, 1}), 4 + 500 + 2);
  EXPECT_DOUBLE_EQ(latency(table, {0, 0, 0, 0}), 4);
}

// Two ops read the input; one stays: the input crosses once for the other, and the result comes back over the link.
TEST(Table, OpsWithoutPredecessorReadTheInput) {
  const Table table = table_of(R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1000, "rtt_ms": 5}],
      "ops": [{"runtime_ms": [1, 1], "output_bytes": 100}, {"runtime_ms": [1, 1], "output_bytes": 10}],
      "edges": [], "input_bytes": 500, "result_bytes": 0})");
  EXPECT_FALSE(table.is_chain);
  EXPECT_DOUBLE_EQ(latency(table, {0, 1}), 2 + 500 + 5);
  EXPECT_DOUBLE_EQ(latency(table, {1, 1}), 2 + 500 + 5);
}

// The chain 1 -> 2 -> 0, written in an order that is not the file's.
TEST(Table, AChainInAnotherOrder) {
  const Table table = table_of(R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1000}],
      "ops": [{"runtime_ms": [9, 1], "output_bytes": 1}, {"runtime_ms": [1, 1], "output_bytes": 2},
              {"runtime_ms": [9, 1], "output_bytes": 100}],
      "edges": [[1, 2], [2, 0]], "input_bytes": 500, "result_bytes": 0})");
  EXPECT_TRUE(table.is_chain);
  for (const char* planner : {"aaiot", "exhaustive"}) {
    const auto plan = plan_table(table, planner);
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->devices, ElementsAre(1, 0, 1)) << planner;
    EXPECT_DOUBLE_EQ(plan->value.latency_ms, 1 + 2 + 1 + 1) << planner;
  }
}

TEST(TablePlanners, AgreeOnTheChain) {
  const Table table = table_of(kChain);
  for (const char* planner : {"auto", "aaiot", "exhaustive"}) {
    const auto plan = plan_table(table, planner);
    ASSERT_TRUE(plan);
    EXPECT_THAT(plan->devices, ElementsAre(0, 2)) << planner;
    EXPECT_DOUBLE_EQ(plan->value.latency_ms, 152) << planner;
    EXPECT_DOUBLE_EQ(plan->value.compute_ms, 110) << planner;
    EXPECT_DOUBLE_EQ(plan->value.transfer_ms, 42) << planner;
  }
  const auto native = plan_table(table, "native");
  ASSERT_TRUE(native);
  EXPECT_THAT(native->devices, ElementsAre(2, 2));
  EXPECT_EQ(plan_table(table, "auto")->planner, "aaiot");
}

// Everything costs the same everywhere and links are free: the lowest device is taken.
TEST(TablePlanners, TiesGoToTheLowerDevice) {
  const Table table = table_of(R"({"devices": ["a", "b", "c"], "links": [{"bytes_per_s": 1}, {"bytes_per_s": 1}],
      "ops": [{"runtime_ms": [2, 2, 2], "output_bytes": 0}, {"runtime_ms": [3, 3, 3], "output_bytes": 0}], "input_bytes": 0})");
  for (const Planner& planner : planners())
    if (planner.name != "edgent")  // comes back with blocks left, which no table of version 1 does
      EXPECT_THAT(plan_table(table, planner.name)->devices, ElementsAre(0, 0)) << planner.name;
}

TEST(TablePlanners, UnknownNameAndWrongKind) {
  const Table chain = table_of(kChain);
  const auto unknown = plan_table(chain, "aiot");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(unknown.error().message, HasSubstr("did you mean 'aaiot'"));
  const Table graph =
      table_of(R"({"devices": ["a"], "ops": [{"runtime_ms": [1], "output_bytes": 1}, {"runtime_ms": [1], "output_bytes": 1}],
      "edges": [], "input_bytes": 1})");
  const auto refused = plan_table(graph, "aaiot");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(plan_table(graph, "auto"));
}

TEST(TablePlanners, ExhaustiveGivesUpOnLargeTables) {
  for (const bool chain : {true, false}) {
    std::string json =
        R"({"devices": ["a", "b", "c", "d"], "links": [{"bytes_per_s": 1}, {"bytes_per_s": 1}, {"bytes_per_s": 1}], "ops": [)";
    const int n = chain ? 400 : 12;
    for (int i = 0; i < n; ++i) json += std::string(i > 0 ? "," : "") + R"({"runtime_ms": [1, 1, 1, 1], "output_bytes": 1})";
    json += chain ? R"(], "input_bytes": 1})" : R"(], "input_bytes": 1, "edges": []})";
    const auto plan = plan_table(table_of(json), "exhaustive");
    ASSERT_FALSE(plan);
    EXPECT_EQ(plan.error().code, ErrorCode::kUnsupported);
  }
}

struct Bad {
  const char* what;
  const char* from;
  const char* to;
  const char* sentence;
};

class TableRefuses : public testing::TestWithParam<Bad> {};

TEST_P(TableRefuses, WithPlaceAndSentence) {
  const Bad& bad = GetParam();
  std::string text = kChain;
  const std::size_t at = text.find(bad.from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(bad.from).size(), bad.to);
  const auto table = parse_table(text, "t.json");
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(table.error().message, HasSubstr("t.json"));
  EXPECT_THAT(table.error().message, HasSubstr(bad.sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Every, TableRefuses,
    testing::Values(Bad{"unknown_key", "\"input_bytes\"", "\"in_bytes\"", "input_bytes"},
                    Bad{"extra_key", "\"input_bytes\"", "\"tier\": 1, \"input_bytes\"", "tier"},
                    Bad{"unknown_op_key", "\"memory_bytes\"", "\"memory\"", "ops[0]"},
                    Bad{"unknown_link_key", "\"rtt_ms\"", "\"rtt\"", "links[0]"},
                    Bad{"no_devices", "[\"pi\", \"pc\", \"server\"]", "[]", "at least one device"},
                    Bad{"device_twice", "\"pc\"", "\"pi\"", "appears twice"}, Bad{"device_not_text", "\"pc\"", "7", "devices[1]"},
                    Bad{"missing_link", "{\"bytes_per_s\": 1000, \"rtt_ms\": 1}, ", "", "need 2 links, found 1"},
                    Bad{"bandwidth_zero", "1000, \"rtt_ms\"", "0, \"rtt_ms\"", "links[0].bytes_per_s"},
                    Bad{"bandwidth_negative", "1000, \"rtt_ms\"", "-5, \"rtt_ms\"", "links[0].bytes_per_s"},
                    Bad{"bandwidth_tiny", "1000, \"rtt_ms\"", "1e-300, \"rtt_ms\"", "links[0].bytes_per_s"},
                    Bad{"rtt_negative", "\"rtt_ms\": 2", "\"rtt_ms\": -2", "links[1].rtt_ms"},
                    Bad{"runtime_short", "[100, 10, 1]", "[100, 10]", "ops[0].runtime_ms"},
                    Bad{"runtime_long", "[100, 10, 1]", "[100, 10, 1, 1]", "found 4"},
                    Bad{"runtime_negative", "[100, 10, 1]", "[100, -10, 1]", "ops[0].runtime_ms[1]"},
                    Bad{"runtime_text", "[100, 10, 1]", "[100, \"x\", 1]", "ops[0].runtime_ms[1]"},
                    Bad{"runtime_huge", "[100, 10, 1]", "[100, 1e300, 1]", "ops[0].runtime_ms[1]"},
                    Bad{"runtime_overflow", "[100, 10, 1]", "[100, 1e999, 1]", "t.json"},
                    Bad{"output_missing", "\"output_bytes\": 20, ", "", "ops[0].output_bytes"},
                    Bad{"output_negative", "\"output_bytes\": 20", "\"output_bytes\": -20", "ops[0].output_bytes"},
                    Bad{"memory_negative", "\"memory_bytes\": 5", "\"memory_bytes\": -5", "ops[0].memory_bytes"},
                    Bad{"input_negative", "\"input_bytes\": 500", "\"input_bytes\": -1", "input_bytes"},
                    Bad{"result_negative", "\"result_bytes\": 6", "\"result_bytes\": -1", "result_bytes"},
                    Bad{"edge_unknown", "\"input_bytes\"", "\"edges\": [[0, 2]], \"input_bytes\"", "edges[0]"},
                    Bad{"edge_negative", "\"input_bytes\"", "\"edges\": [[0, -1]], \"input_bytes\"", "edges[0]"},
                    Bad{"edge_short", "\"input_bytes\"", "\"edges\": [[0]], \"input_bytes\"", "expected [from, to]"},
                    Bad{"edge_self", "\"input_bytes\"", "\"edges\": [[1, 1]], \"input_bytes\"", "follow itself"},
                    Bad{"edge_twice", "\"input_bytes\"", "\"edges\": [[0, 1], [0, 1]], \"input_bytes\"", "appears twice"},
                    Bad{"cycle", "\"input_bytes\"", "\"edges\": [[0, 1], [1, 0]], \"input_bytes\"", "cycle"},
                    Bad{"not_json", "\"devices\":", "\"devices\"", "t.json"}),
    [](const auto& test) { return std::string(test.param.what); });

TEST(Table, RefusesNoOpsAndMissingFiles) {
  EXPECT_FALSE(parse_table(R"({"devices": ["a"], "ops": [], "input_bytes": 1})", "t"));
  EXPECT_FALSE(parse_table("[]", "t"));
  EXPECT_EQ(load_table("/nonexistent.json").error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline
