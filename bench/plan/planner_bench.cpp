// How long planning takes: AAIoT on a table and on a profiled model of 1000 blocks and 10 nodes, and route on the same chain and
// on a graph of 10 nodes, beside reading the same table once in the same run. Prints one JSON object per line: {"name", "value",
// "unit", "goal", "reference", "ratio"}.
#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "cluster/routes.h"
#include "planner/planner.h"
#include "planner/table.h"
#include "planner/table_walks.h"

namespace tideline {
namespace {

constexpr std::uint32_t kOps = 1000;
constexpr std::uint32_t kDevices = 10;
constexpr int kRounds = 301;

double random_in(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53;
}

Table make_table() {
  std::mt19937_64 random(1);
  Table table{.input_bytes = 150'528, .result_bytes = 4'000};
  for (std::uint32_t j = 0; j < kDevices; ++j) {
    table.devices.push_back(fmt::format("d{}", j));
    if (j > 0) table.links.push_back({random_in(random, 1e5, 1e8), random_in(random, 0, 20)});
  }
  for (std::uint32_t i = 0; i < kOps; ++i) {
    table.op_names.push_back(fmt::format("op{}", i));
    table.order.push_back(i);
    if (i > 0) table.edges.emplace_back(i - 1, i);
    table.output_bytes.push_back(random_in(random, 1e3, 1e6));
    table.memory_bytes.push_back(0);
    const double work = random_in(random, 0.1, 20);
    for (std::uint32_t j = 0; j < kDevices; ++j) table.runtime_ms.push_back(work / (1 << j) * random_in(random, 0.8, 1.2));
  }
  return table;
}

struct ModelProblem {
  Cluster cluster;
  Profile profile;

  ModelProblem() {
    std::mt19937_64 random(2);
    for (std::uint32_t i = 0; i <= kOps; ++i) {
      if (i < kOps) profile.blocks.push_back({.name = "b", .time = Millis{random_in(random, 0.01, 2)}, .parameter_bytes = 1000});
      profile.cuts.push_back({.bytes = static_cast<Bytes>(random_in(random, 1e3, 1e6)),
                              .start = Millis{random_in(random, 0, 0.005)},
                              .end = Millis{random_in(random, 0, 0.005)}});
    }
    for (std::uint32_t j = 0; j < kDevices; ++j) {
      cluster.nodes.push_back({.name = fmt::format("n{}", j), .slowdown = static_cast<double>(1 << (kDevices - 1 - j))});
      if (j == 0) continue;
      const double bandwidth = random_in(random, 1e5, 1e8);
      cluster.links.push_back(
          {.from = NodeId{j - 1}, .to = NodeId{j}, .bytes_per_s = bandwidth, .back_bytes_per_s = bandwidth, .rtt = Millis{1}});
    }
  }
};

// PipeEdge's kind of instance: many layers, a dozen devices of which no two are alike, a link between any two.
Table make_pipeline() {
  constexpr std::uint32_t kLayers = 100;
  constexpr std::uint32_t kPipelineDevices = 12;
  std::mt19937_64 random(12);
  Table table{.version = 2, .power = {}};
  std::vector<double> slowness;
  for (std::uint32_t j = 0; j < kPipelineDevices; ++j) {
    table.devices.push_back(fmt::format("d{}", j));
    slowness.push_back(random_in(random, 1, 8));
    for (std::uint32_t i = 0; i < j; ++i) {
      const double bandwidth = random_in(random, 2.5e6, 3e7);
      table.links.push_back(
          {.bytes_per_s = bandwidth, .rtt_ms = random_in(random, 0, 2), .from = i, .to = j, .back_bytes_per_s = bandwidth});
    }
  }
  table.device_memory_bytes.resize(kPipelineDevices);
  table.power.resize(kPipelineDevices);
  for (std::uint32_t op = 0; op < kLayers; ++op) {
    table.op_names.push_back(fmt::format("l{}", op));
    table.output_bytes.push_back(2e5 * static_cast<double>(1 + random() % 3));
    table.memory_bytes.push_back(0);
    table.order.push_back(op);
    if (op > 0) table.edges.emplace_back(op - 1, op);
    const double work = random_in(random, 5, 20);
    for (const double slow : slowness) table.runtime_ms.push_back(work * slow * random_in(random, 0.8, 1.2));
  }
  table.input_bytes = 6e5;
  table.result_bytes = 4000;
  return table;
}

// Median milliseconds of one call.
double median_ms(const std::function<void()>& body) {
  std::vector<double> samples;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    body();
    samples.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(samples.begin(), samples.begin() + kRounds / 2, samples.end());
  return samples[kRounds / 2];
}

void print(std::string_view name, double value, double goal, double reference) {
  fmt::print(
      "{{\"name\": \"{}\", \"value\": {:.5f}, \"unit\": \"ms\", \"goal\": {}, \"reference\": {:.5f}, \"ratio\": {:.2f}}}\n", name,
      value, goal, reference, value / reference);
}

int run() {
  const Table table = make_table();
  double sink = 0;
  const double read_once = median_ms([&] {
    for (const double value : table.runtime_ms) sink += value;
    for (const double value : table.output_bytes) sink += value;
  });
  const double aaiot = median_ms([&] { sink += plan_table(table, "aaiot")->value.latency_ms; });
  const double native = median_ms([&] { sink += plan_table(table, "native")->value.latency_ms; });
  print("aaiot, table of 1000 ops x 10 devices, with its value", aaiot, 1, read_once);
  print("native, table of 1000 ops x 10 devices (null baseline)", native, 1, read_once);
  const Table site = version_2(table);
  const auto walk_ms = [&](const Table& asked, const Question& question) {
    return median_ms([&] { sink += plan_walk(asked, question, "auto", {})->value.total.latency_ms; });
  };
  print("labels, latency, the same table as version 2", walk_ms(site, {}), 10, read_once);
  print("labels, upload, the same", walk_ms(site, {.objective = Objective::kUpload}), 10, read_once);
  print("labels, period, 100 ops x 12 distinct devices, all joined", walk_ms(make_pipeline(), {.objective = Objective::kPeriod}),
        100, read_once);
  ModelProblem problem;
  PlanRequest request{.cost = {.cluster = &problem.cluster}, .walks = Walks::kUpOnly};
  request.cost.profiles.assign(kDevices, &problem.profile);
  const auto plan_ms = [&](const char* planner) {
    return median_ms([&] { sink += run_planner(request, planner)->estimate.latency.count(); });
  };
  print("aaiot, profiled model of 1000 blocks x 10 nodes, with its estimate", plan_ms("aaiot"), 1, read_once);
  request.walks = Walks::kAny;
  print("route, the same", plan_ms("route"), 1, read_once);
  // Two more layers of links: from each node also to the next but one and the next but two.
  for (std::uint32_t step = 2; step <= 3; ++step)
    for (std::uint32_t j = 0; j + step < kDevices; ++j) {
      Link link = problem.cluster.links[j];
      link.to = NodeId{j + step};
      problem.cluster.links.push_back(link);
    }
  const auto routes = routes_of(problem.cluster);
  print(fmt::format("route, 1000 blocks on a graph of 10 nodes, {} places", routes->places.size()), plan_ms("route"), 100,
        read_once);
  return sink > 0 ? 0 : 1;
}

}  // namespace
}  // namespace tideline

int main() { return tideline::run(); }
