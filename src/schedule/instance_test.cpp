// The reader of instance files: what it takes comes back, what it refuses is named.
#include "schedule/instance.h"

#include <gtest/gtest.h>

#include "schedule/generator.h"

namespace tideline::schedule {
namespace {

constexpr std::string_view kGood = R"({
  "bandwidth_share": 0.8,
  "servers": [{"bandwidth_mbit_s": 430.0, "capacity_gflop_s": 290.0}, {"bandwidth_mbit_s": 10, "capacity_gflop_s": 1}],
  "models": [{"name": "cnn1", "layers": [{"ratio": 0.77, "gflop_per_mb": 16.0}, {"ratio": 0.2, "gflop_per_mb": 40}]}],
  "tasks": [{"model": 0, "latency_s": 0.2, "data_mb_s": {"1": 0.05, "0": 0.12}},
            {"data_mb_s": {"1": 1}, "model": 0, "latency_s": 1}]
})";

TEST(InstanceReader, ReadsEveryField) {
  const auto instance = parse_instance(kGood, "good.json");
  ASSERT_TRUE(instance) << instance.error().message;
  EXPECT_EQ(instance->bandwidth_share, 0.8);
  ASSERT_EQ(instance->servers.size(), 2u);
  EXPECT_EQ(instance->servers[1], (Server{.bandwidth_mbit_s = 10, .capacity_gflop_s = 1}));
  ASSERT_EQ(instance->models.size(), 1u);
  EXPECT_EQ(instance->models[0].layers[1], (Layer{.ratio = 0.2, .gflop_per_mb = 40}));
  ASSERT_EQ(instance->tasks.size(), 2u);
  const auto touches = instance->touches_of(instance->tasks[0]);
  ASSERT_EQ(touches.size(), 2u);
  EXPECT_EQ(touches[0], (Touch{.server = 0, .data_mb_s = 0.12})) << "sorted by server, whatever the order of keys";
  EXPECT_EQ(touches[1], (Touch{.server = 1, .data_mb_s = 0.05}));
  // 8 * 0.12 MB/s * 0.2 / 0.2 s = 0.96 Mbit/s; 0.12 MB/s * 40 GFLOP/MB = 4.8 GFLOP/s.
  EXPECT_DOUBLE_EQ(bandwidth_demand_mbit_s(*instance, instance->tasks[0], touches[0], 2), 0.96);
  EXPECT_DOUBLE_EQ(compute_demand_gflop_s(*instance, instance->tasks[0], touches[0], 2), 4.8);
}

TEST(InstanceReader, WhatIsWrittenReadsBackTheSame) {
  for (const GeneratorKind& kind : generator_kinds()) {
    auto instance = generate_instance({.kind = std::string(kind.name), .servers = 30, .tasks = 40, .seed = 3});
    ASSERT_TRUE(instance) << instance.error().message;
    instance->models[0].name = "quote \" backslash \\ newline \n";
    const auto again = parse_instance(write_instance(*instance), "again.json");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, *instance) << kind.name;
  }
}

struct BadInput {
  std::string_view what, find, replace, expected;
};

// Each row breaks one thing of kGood; the message must name the element.
constexpr BadInput kBadInputs[] = {
    {"negative demand", "\"0\": 0.12", "\"0\": -0.12", "bad.json: tasks[0].data_mb_s.0: -0.12 is too small; it must be above 0"},
    {"demand 0", "\"0\": 0.12", "\"0\": 0", "tasks[0].data_mb_s.0: 0 is too small; it must be above 0"},
    {"unknown model", "{\"1\": 1}, \"model\": 0", "{\"1\": 1}, \"model\": 7",
     "tasks[1].model: there is no model 7; the file has 1"},
    {"negative model", "{\"1\": 1}, \"model\": 0", "{\"1\": 1}, \"model\": -1",
     "tasks[1].model: expected the index of a model, found -1"},
    {"model as text", "{\"1\": 1}, \"model\": 0", "{\"1\": 1}, \"model\": \"cnn1\"",
     "tasks[1].model: expected the index of a model, found text"},
    {"unknown server", "{\"1\": 1}", "{\"9\": 1}", "tasks[1].data_mb_s.9: there is no server 9; the file has 2"},
    {"server not an index", "{\"1\": 1}", "{\"one\": 1}", "tasks[1].data_mb_s.one: the key must be a server's index"},
    {"server with leading zero", "{\"1\": 1}", "{\"01\": 1}", "tasks[1].data_mb_s.01: the key must be"},
    {"server twice", "{\"1\": 1}", "{\"1\": 1, \"1\": 2}", "tasks[1].data_mb_s.1: the server appears twice"},
    {"no server", "{\"1\": 1}", "{}", "tasks[1].data_mb_s: a task needs at least one server"},
    {"NaN", "\"0\": 0.12", "\"0\": NaN", "bad.json:5:74: not valid JSON"},
    {"null", "\"0\": 0.12", "\"0\": null", "tasks[0].data_mb_s.0: expected a number, found null"},
    {"1e999", "\"0\": 0.12", "\"0\": 1e999", "tasks[0].data_mb_s.0: the number is too large"},
    {"huge", "\"0\": 0.12", "\"0\": 1e300", "tasks[0].data_mb_s.0: 1e+300 is too large; it must be at most 1e+12"},
    {"tiny", "\"0\": 0.12", "\"0\": 1e-300", "tasks[0].data_mb_s.0: 1e-300 is too small; it must be at least 1e-12"},
    {"capacity 0", "\"capacity_gflop_s\": 1}", "\"capacity_gflop_s\": 0}",
     "servers[1].capacity_gflop_s: 0 is too small; it must be above 0"},
    {"bandwidth negative", "\"bandwidth_mbit_s\": 10", "\"bandwidth_mbit_s\": -10",
     "servers[1].bandwidth_mbit_s: -10 is too small"},
    {"share 0", "\"bandwidth_share\": 0.8", "\"bandwidth_share\": 0", "bandwidth_share: 0 is outside (0, 1]"},
    {"share above 1", "\"bandwidth_share\": 0.8", "\"bandwidth_share\": 1.1", "bandwidth_share: 1.1 is outside (0, 1]"},
    {"latency 0", "\"latency_s\": 0.2", "\"latency_s\": 0", "tasks[0].latency_s: 0 is too small"},
    {"ratio negative", "\"ratio\": 0.2", "\"ratio\": -0.2",
     "models[0].layers[1].ratio: -0.2 is too small; it must be at least 0"},
    {"work that falls", "\"gflop_per_mb\": 40", "\"gflop_per_mb\": 4", "models[0].layers[1].gflop_per_mb: 4 is below the 16"},
    {"missing key", "\"latency_s\": 0.2, ", "", "tasks[0].latency_s: this key is required"},
    {"unknown key", "\"latency_s\": 0.2", "\"latency_ms\": 0.2", "unknown key 'latency_ms'; did you mean 'latency_s'?"},
    {"key twice", "\"latency_s\": 0.2", "\"latency_s\": 0.2, \"latency_s\": 0.2", "tasks[0].latency_s: the key appears twice"},
    {"servers not a list", "\"servers\": [", "\"servers\": 3, \"tasks\": [", "servers: expected a list [...], found a number"},
    {"task not an object", "{\"data_mb_s\": {\"1\": 1}, \"model\": 0, \"latency_s\": 1}", "17",
     "tasks[1]: expected an object {...}, found a number"},
    {"rest after the end", "\"latency_s\": 1}]\n}", "\"latency_s\": 1}]\n} x", "bad.json:7:3: not valid JSON"},
};

TEST(InstanceReader, NamesWhatIsWrong) {
  for (const BadInput& bad : kBadInputs) {
    std::string text(kGood);
    const auto at = text.find(bad.find);
    ASSERT_NE(at, std::string::npos) << bad.what;
    text.replace(at, bad.find.size(), bad.replace);
    const auto instance = parse_instance(text, "bad.json");
    ASSERT_FALSE(instance) << bad.what;
    EXPECT_EQ(instance.error().code, ErrorCode::kInvalidArgument) << bad.what;
    EXPECT_NE(instance.error().message.find(bad.expected), std::string::npos) << bad.what << ": " << instance.error().message;
    EXPECT_EQ(instance.error().message.find('\n'), std::string::npos) << bad.what;
  }
}

TEST(InstanceReader, RefusesEveryTruncation) {
  for (std::size_t length = 0; length + 1 < kGood.size(); ++length)
    EXPECT_FALSE(parse_instance(kGood.substr(0, length), "cut.json")) << length;
}

TEST(InstanceReader, RefusesOtherShapes) {
  for (const char* text : {"", "3", "null", "[]", "{}", "\"x\"", "[[[[[[", "{\"tasks\":[{\"data_mb_s\":{\"1\":{}}}]}"})
    EXPECT_FALSE(parse_instance(text, "bad.json")) << text;
}

TEST(InstanceValidate, ChecksWhatWasMadeInMemory) {
  auto instance = *parse_instance(kGood, "good.json");
  EXPECT_TRUE(validate(instance, "memory"));
  auto broken = instance;
  broken.tasks[1].touch_count = 3;
  EXPECT_FALSE(validate(broken, "memory"));
  broken = instance;
  broken.tasks[1].first_touch = ~std::uint64_t{0};
  EXPECT_FALSE(validate(broken, "memory"));
  broken = instance;
  std::swap(broken.touches[0], broken.touches[1]);
  EXPECT_FALSE(validate(broken, "memory"));
}

TEST(InstanceFile, NamesRatesAndRestsReadBackAndAreCheckedAsAWhole) {
  const std::string text = R"({"bandwidth_share": 1,
    "servers": [{"name": "gw1", "bandwidth_mbit_s": 10, "capacity_gflop_s": 250},
                {"capacity_gflop_s": 1, "name": "gw2", "bandwidth_mbit_s": 1}],
    "models": [{"name": "digits", "layers": [{"ratio": 0.5, "gflop_per_mb": 100}], "rest_gflop_per_mb": [280, 190]}],
    "tasks": [{"name": "door", "model": 0, "latency_s": 0.2, "rate_hz": 5, "fixed_s": 0.01, "raw_stays": true,
               "data_mb_s": {"0": 0.1}}]})";
  const auto read = parse_instance(text, "x.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->server_names, (std::vector<std::string>{"gw1", "gw2"}));
  EXPECT_EQ(read->tasks[0].rate_hz, 5);
  EXPECT_TRUE(read->tasks[0].raw_stays);
  EXPECT_EQ(rest_gflop_per_mb(read->models[0], 1), 190);
  const auto again = parse_instance(write_instance(*read), "again");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *read);
  const auto refused = [&](std::string_view from, std::string_view to) {
    std::string bad = text;
    bad.replace(bad.find(from), from.size(), to);
    const auto result = parse_instance(bad, "x.json");
    return result ? "" : result.error().message;
  };
  EXPECT_NE(refused("\"name\": \"gw1\", ", "").find("either every server has a name or none"), std::string::npos);
  EXPECT_NE(refused("[280, 190]", "[280]").find("models[0].rest_gflop_per_mb: expected 2 numbers"), std::string::npos);
  EXPECT_NE(refused("\"rate_hz\": 5", "\"rate_hz\": 0").find("tasks[0].rate_hz"), std::string::npos);
  EXPECT_NE(refused("\"fixed_s\": 0.01", "\"fixed_s\": -1").find("tasks[0].fixed_s"), std::string::npos);
  EXPECT_NE(refused("true", "1").find("expected true or false"), std::string::npos);
}

}  // namespace
}  // namespace tideline::schedule
