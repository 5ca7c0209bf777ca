// Goal: a calibration survives its file, damaged files are refused with the place named, and steps of caches are found where
// made-up hosts have them.
#include "profile/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tideline {
namespace {

using testing::HasSubstr;

// Loads of 1, 4, 12 and 90 ns, in caches of these sizes; between two working sets the share that misses grows.
std::vector<MemoryPoint> made_up_host(const std::vector<std::pair<Bytes, double>>& caches, double ram_ns) {
  std::vector<MemoryPoint> points;
  for (Bytes power = 8192; power <= (Bytes{128} << 20); power *= 2)
    for (const Bytes bytes : {power, power + power / 2}) {
      double latency = ram_ns;
      for (auto cache = caches.rbegin(); cache != caches.rend(); ++cache) {
        const double hits = std::min(1.0, static_cast<double>(cache->first) / static_cast<double>(bytes));
        latency = hits * cache->second + (1 - hits) * latency;
      }
      points.push_back({bytes, 1e10, 5e9, latency});
    }
  return points;
}

Calibration calibration_example() {
  Calibration calibration{.host = "a \"pi\"", .threads = 4, .engine = "ONNX Runtime 1.30.0", .date = "2026-01-02T03:04:05Z"};
  calibration.complete = false;
  calibration.reference = Millis(1.0 / 3);
  calibration.reference_spread = Millis(0.01);
  calibration.operators = {{.kind = "conv-grouped",
                            .ops = {"Conv", "Relu"},
                            .inputs = {{1, 64, 28, 28}},
                            .output = {1, 128, 14, 14},
                            .kernel = {3, 3},
                            .stride = {2, 2},
                            .groups = 4,
                            .flops = 7'250'432,
                            .weight_bytes = 74'240,
                            .time = Millis(0.7),
                            .spread = Millis(0.02),
                            .wall = Millis(0.8),
                            .kernels = {{"ReorderInput", Millis(0.1)},
                                        {.type = "Conv",
                                         .time = Millis(0.55),
                                         .blocked = true,
                                         .inputs = {{1, 64, 28, 28}, {128, 16, 3, 3}, {}},
                                         .outputs = {{1, 128, 14, 14}},
                                         .kernel = {3, 3},
                                         .stride = {2, 2},
                                         .groups = 4}}},
                           {.kind = "add",
                            .ops = {"Add"},
                            .inputs = {{1, 8, 4, 4}, {1, 8, 4, 4}},
                            .output = {1, 8, 4, 4},
                            .flops = 128,
                            .time = Millis(0.004),
                            .wall = Millis(0.004)}};
  calibration.memory = made_up_host({{Bytes{48} << 10, 1}, {Bytes{2} << 20, 5}}, 90);
  calibration.caches = cache_steps(calibration.memory);
  calibration.scaling = {{"convolution", 1, Millis(8)}, {"convolution", 4, Millis(2.5)}};
  return calibration;
}

TEST(Calibration, SurvivesItsFile) {
  const auto read = parse_calibration(write_calibration(calibration_example()), "c.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, calibration_example());
}

TEST(Calibration, WhatMadeTheInputsIsNotTheOperators) {
  OperatorSample sample{.kind = "relu", .ops = {"Relu"}, .time = Millis(8)};
  sample.kernels = {{"Neg", Millis(3)}, {"Relu", Millis(1)}};
  EXPECT_EQ(operator_time(sample), Millis(2));
  sample.ops = {"Neg", "Relu"};
  EXPECT_EQ(operator_time(sample), Millis(8));
  sample.kernels.clear();
  EXPECT_EQ(operator_time(sample), Millis(8));
}

TEST(Calibration, FindsTheStepsOfMadeUpHosts) {
  EXPECT_EQ(cache_steps(made_up_host({{Bytes{32} << 10, 1}, {Bytes{1} << 20, 4}, {Bytes{32} << 20, 15}}, 90)),
            (std::vector<Bytes>{Bytes{32} << 10, Bytes{1} << 20, Bytes{32} << 20}));
  EXPECT_EQ(cache_steps(made_up_host({{Bytes{32} << 10, 3}, {Bytes{1} << 20, 20}}, 140)),
            (std::vector<Bytes>{Bytes{32} << 10, Bytes{1} << 20}));
  EXPECT_TRUE(cache_steps(made_up_host({}, 90)).empty());
  EXPECT_TRUE(cache_steps({}).empty());
}

TEST(Calibration, NoiseWithinACacheIsNoStep) {
  std::vector<MemoryPoint> points = made_up_host({{Bytes{1} << 20, 4}}, 90);
  for (std::size_t i = 0; i < points.size(); ++i) points[i].latency_ns *= i % 2 == 0 ? 0.92 : 1.08;
  EXPECT_EQ(cache_steps(points), (std::vector<Bytes>{Bytes{1} << 20}));
}

// What is wrong, and the place that the message must name.
TEST(Calibration, DamagedFilesAreRefusedWithThePlace) {
  const auto message = [](const std::function<void(nlohmann::json&)>& damage) {
    nlohmann::json json = nlohmann::json::parse(write_calibration(calibration_example()));
    damage(json);
    const auto read = parse_calibration(json.dump(), "c.json");
    EXPECT_FALSE(read);
    if (read) return std::string();
    EXPECT_EQ(read.error().code, ErrorCode::kInvalidArgument);
    return read.error().message;
  };
  EXPECT_THAT(message([](auto& j) { j["tideline_calibration"] = 2; }), HasSubstr("tideline calibrate"));
  EXPECT_THAT(message([](auto& j) { j["speed"] = 2; }), HasSubstr("speed"));
  EXPECT_THAT(message([](auto& j) { j.erase("memory"); }), HasSubstr("memory"));
  EXPECT_THAT(message([](auto& j) { j["threads"] = 0; }), HasSubstr("threads"));
  EXPECT_THAT(message([](auto& j) { j["operators"] = nlohmann::json::array(); }), HasSubstr("operators: must not be empty"));
  EXPECT_THAT(message([](auto& j) { j["operators"][1]["time_ms"] = -1; }), HasSubstr("operators[1].time_ms"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["inputs"][0][2] = -28; }), HasSubstr("operators[0].inputs"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["inputs"][0][2] = 18446744073709551615ULL; }), HasSubstr("inputs"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["inputs"] = nlohmann::json::array(); }), HasSubstr("1 to 64 shapes"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["output"] = nlohmann::json(17, 1); }), HasSubstr("at most 16"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["kernel"] = {3}; }), HasSubstr("a height and a width"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["groups"] = 0; }), HasSubstr("groups"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["ops"] = {1}; }), HasSubstr("names of operators"));
  EXPECT_THAT(message([](auto& j) { j["operators"][0]["kernels"][1].erase("type"); }), HasSubstr("operators[0].kernels[1].type"));
  EXPECT_THAT(message([](auto& j) { std::swap(j["memory"][0], j["memory"][1]); }), HasSubstr("ascending"));
  EXPECT_THAT(message([](auto& j) { j["caches"][0] = 4096; }), HasSubstr("steps of latency_ns"));
  EXPECT_THAT(message([](auto& j) { j["scaling"][0]["threads"] = 1.5; }), HasSubstr("scaling[0].threads"));
  EXPECT_FALSE(parse_calibration("", "c.json"));
  EXPECT_FALSE(parse_calibration("[]", "c.json"));
}

}  // namespace
}  // namespace tideline
