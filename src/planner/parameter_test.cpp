// Goal: parameters are read strictly, named so that they can be read again, and change exactly what they say.
#include "planner/parameter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;

Cluster three_in_a_row() {
  Cluster cluster;
  cluster.nodes = {{.name = "cam-1", .slowdown = 8}, {.name = "gateway"}, {.name = "server"}};
  cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 2.5e6, .back_bytes_per_s = 5e6, .rtt = Millis{4}},
                   {.from = NodeId{1}, .to = NodeId{2}, .bytes_per_s = 1.25e7, .back_bytes_per_s = 1.25e7, .rtt = Millis{20}}};
  return cluster;
}

TEST(Parameter, EveryFormIsReadAndNamedAgain) {
  const SiteNames names = names_of(three_in_a_row());
  for (const char* text : {"link:cam-1-gateway:bandwidth", "link:gateway-server:rtt", "links:bandwidth", "links:rtt",
                           "node:server:slowdown", "load:cam-1", "deadline", "limit:energy", "limit:accuracy"}) {
    const auto parameter = parse_parameter(text, names);
    ASSERT_TRUE(parameter) << text << ": " << parameter.error().message;
    EXPECT_EQ(to_string(*parameter, names), text);
  }
}

TEST(Parameter, WhatIsWrongIsSaid) {
  const SiteNames names = names_of(three_in_a_row());
  const auto message = [&](std::string_view text) {
    const auto range = parse_range(text, names);
    EXPECT_FALSE(range) << text;
    return range ? "" : range.error().message;
  };
  EXPECT_THAT(message("link:server-gateway:bandwidth=1..2Mbit/s"), HasSubstr("there are cam-1-gateway, gateway-server"));
  EXPECT_THAT(message("link:gateway-server:loss=0..1"), HasSubstr("the bandwidth or the rtt"));
  EXPECT_THAT(message("node:sever:slowdown=1..2"), HasSubstr("cam-1, gateway, server"));
  EXPECT_THAT(message("node:server:speed=1..2"), HasSubstr("expected link:A-B:bandwidth"));
  EXPECT_THAT(message("load:server=0..1"), HasSubstr("from 0 to 0.99"));
  EXPECT_THAT(message("deadline=500..20ms"), HasSubstr("the second must be above the first"));
  EXPECT_THAT(message("deadline=20ms"), HasSubstr("FROM..TO"));
  EXPECT_THAT(message("links:bandwidth=0..2Mbit/s"), HasSubstr("above 0"));
  EXPECT_THAT(message("links:bandwidth=1..2furlongs"), HasSubstr("furlongs"));
}

TEST(Parameter, RangesMayNameTheUnitOnce) {
  const SiteNames names = names_of(three_in_a_row());
  const auto once = parse_range("link:cam-1-gateway:bandwidth=1..100Mbit/s", names);
  ASSERT_TRUE(once) << once.error().message;
  EXPECT_DOUBLE_EQ(once->from, 125e3);
  EXPECT_DOUBLE_EQ(once->to, 12.5e6);
  const auto twice = parse_range("deadline=500us..2s", names);
  ASSERT_TRUE(twice) << twice.error().message;
  EXPECT_DOUBLE_EQ(twice->from, 0.5);
  EXPECT_DOUBLE_EQ(twice->to, 2000);
}

TEST(Parameter, ChangesWhatItSaysAndNothingElse) {
  const Cluster idle = three_in_a_row();
  const SiteNames names = names_of(idle);
  const auto with = [&](std::string_view text, double value, const std::vector<double>& loads = {}) {
    return with_parameter(idle, loads, *parse_parameter(text, names), value);
  };
  const Cluster faster = with("link:cam-1-gateway:bandwidth", 5e6);
  EXPECT_EQ(faster.links[0].bytes_per_s, 5e6);
  EXPECT_EQ(faster.links[0].back_bytes_per_s, 1e7);  // in its ratio
  EXPECT_EQ(faster.links[1], idle.links[1]);
  EXPECT_EQ(faster.nodes, idle.nodes);
  EXPECT_EQ(with("links:rtt", 7).links[1].rtt, Millis{7});
  EXPECT_EQ(with("node:cam-1:slowdown", 2).nodes[0].slowdown, 2);
  // A load counts beside a slowdown, and beside other loads.
  EXPECT_DOUBLE_EQ(with("load:cam-1", 0.75, {0, 0, 0.5}).nodes[0].slowdown, 32);
  EXPECT_DOUBLE_EQ(with("load:cam-1", 0.75, {0.9, 0, 0.5}).nodes[2].slowdown, 2);
  EXPECT_EQ(current_value(idle, {}, {}, *parse_parameter("deadline", names)), std::nullopt);
  EXPECT_EQ(current_value(idle, {0, 0, 0.5}, {}, *parse_parameter("load:server", names)), 0.5);
}

TEST(Parameter, OfTablesToo) {
  const auto table = parse_table(R"({"version": 2, "devices": [{"name": "a b"}, {"name": "c"}],
      "links": [{"from": 0, "to": 1, "bytes_per_s": 1000, "back_bytes_per_s": 500, "rtt_ms": 4}],
      "ops": [{"name": "x", "runtime_ms": [2, 3], "output_bytes": 0}], "input_bytes": 0, "result_bytes": 0,
      "codecs": [{"name": "k", "ratio": 0.5, "encode_ms_per_mb": [1, 2], "decode_ms_per_mb": [3, 4]}],
      "exits": [{"after_op": 0, "runtime_ms": [5, 6], "accuracy": 0.5, "result_bytes": 0}]})",
                                 "t.json");
  ASSERT_TRUE(table) << table.error().message;
  const SiteNames names = names_of(*table);
  const Table fast = with_parameter(*table, {}, *parse_parameter("link:a b-c:bandwidth", names), 2000);
  EXPECT_EQ(fast.links[0].bytes_per_s, 2000);
  EXPECT_EQ(fast.links[0].back_bytes_per_s, 1000);
  const Table slow = with_parameter(*table, {0, 0.5}, *parse_parameter("node:c:slowdown", names), 3);
  EXPECT_EQ(slow.runtime_ms, (std::vector<double>{2, 18}));
  EXPECT_EQ(slow.codecs[0].encode_ms_per_mb, (std::vector<double>{1, 12}));
  EXPECT_EQ(slow.exits[0].runtime_ms, (std::vector<double>{5, 36}));
}

}  // namespace
}  // namespace tideline
