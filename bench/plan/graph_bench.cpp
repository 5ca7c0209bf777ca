// The least period of op graphs: the published instances against their published optimum and time.
// Reads files of the format of "Efficient Algorithms for Device Placement of DNN Graph Operators" (NeurIPS 2020).
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "planner/graph_period.h"
#include "platform/files.h"

namespace tideline::bench {
namespace {

// Ops of one class go together, and so does what lies on a cycle once they do.
std::vector<std::uint32_t> components(std::uint32_t count, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& edges) {
  // Tarjan's, with a stack of its own.
  std::vector<std::vector<std::uint32_t>> next(count);
  for (const auto& [from, to] : edges) next[from].push_back(to);
  std::vector<std::uint32_t> index(count, 0), low(count, 0), component(count, 0xffffffffu), stack;
  std::vector<bool> on_stack(count, false);
  std::uint32_t counter = 0, components = 0;
  std::vector<std::pair<std::uint32_t, std::size_t>> calls;
  for (std::uint32_t root = 0; root < count; ++root) {
    if (index[root] != 0) continue;
    calls.emplace_back(root, 0);
    while (!calls.empty()) {
      const std::uint32_t v = calls.back().first;
      if (calls.back().second == 0 && index[v] == 0) {
        index[v] = low[v] = ++counter;
        stack.push_back(v);
        on_stack[v] = true;
      }
      if (calls.back().second < next[v].size()) {
        const std::uint32_t w = next[v][calls.back().second++];
        if (index[w] == 0)
          calls.emplace_back(w, 0);
        else if (on_stack[w])
          low[v] = std::min(low[v], index[w]);
        continue;
      }
      if (low[v] == index[v]) {
        std::uint32_t w = 0;
        do {
          w = stack.back();
          stack.pop_back();
          on_stack[w] = false;
          component[w] = components;
        } while (w != v);
        ++components;
      }
      calls.pop_back();
      if (!calls.empty()) low[calls.back().first] = std::min(low[calls.back().first], low[v]);
    }
  }
  return component;
}

struct Instance {
  GraphPool pool;
  std::uint32_t nodes = 0;
};

Instance read_instance(const std::string& path) {
  auto text = read_file(path, std::uint64_t{64} << 20);
  if (!text) throw std::runtime_error(text.error().message);
  const auto json = nlohmann::json::parse(*text);
  std::map<int, std::uint32_t> of_id;
  std::vector<std::uint32_t> group;
  std::map<int, std::uint32_t> of_class;
  for (const auto& node : json["nodes"]) {
    of_id.emplace(node["id"].get<int>(), static_cast<std::uint32_t>(of_id.size()));
    // Without a class: one of its own.
    const int color = node.value("colorClass", -1 - static_cast<int>(of_id.size()));
    group.push_back(of_class.emplace(color, static_cast<std::uint32_t>(of_class.size())).first->second);
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const auto& edge : json["edges"])
    edges.emplace_back(of_id.at(edge["sourceId"].get<int>()), of_id.at(edge["destId"].get<int>()));
  // Classes may not be acyclic among each other.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> of_groups;
  for (const auto& [from, to] : edges)
    if (group[from] != group[to]) of_groups.emplace_back(group[from], group[to]);
  const auto component = components(static_cast<std::uint32_t>(of_class.size()), of_groups);
  for (std::uint32_t& g : group) g = component[g];
  Instance instance;
  instance.nodes = static_cast<std::uint32_t>(group.size());
  const std::uint32_t groups = *std::max_element(group.begin(), group.end()) + 1;
  GraphPool& pool = instance.pool;
  pool.graph.ops = groups;
  pool.size.assign(groups, 0);
  GraphPool::Kind accelerator{.count = json["maxFPGAs"].get<std::uint32_t>(), .transfer = 1};
  GraphPool::Kind processor{.count = json["maxCPUs"].get<std::uint32_t>()};
  accelerator.size_max = json["maxSizePerFPGA"].get<double>();
  accelerator.work.assign(groups, 0);
  processor.work.assign(groups, 0);
  std::uint32_t n = 0;
  for (const auto& node : json["nodes"]) {
    const std::uint32_t g = group[n++];
    const bool supported =
        node["supportedOnFpga"].is_boolean() ? node["supportedOnFpga"].get<bool>() : node["supportedOnFpga"] != 0;
    accelerator.work[g] += supported ? node["fpgaLatency"].get<double>() : std::numeric_limits<double>::infinity();
    processor.work[g] += node["cpuLatency"].get<double>();
    pool.size[g] += node["size"].get<double>();
  }
  // One tensor for each node that others read: to the groups of its readers, once each.
  std::vector<OpGraph::Tensor> tensors(group.size());
  n = 0;
  for (const auto& edge : json["edges"]) {
    const auto& [from, to] = edges[n++];
    tensors[from].maker = group[from];
    tensors[from].bytes = edge["cost"].get<double>();
    if (group[from] != group[to] &&
        std::find(tensors[from].readers.begin(), tensors[from].readers.end(), group[to]) == tensors[from].readers.end())
      tensors[from].readers.push_back(group[to]);
  }
  for (OpGraph::Tensor& tensor : tensors)
    if (!tensor.readers.empty()) pool.graph.tensors.push_back(std::move(tensor));
  pool.kinds = {accelerator, processor};
  return instance;
}

// What the authors' own dynamic programme answered, and how long it took on two cores; not a number: it did not end in 150 s.
struct Published {
  std::string_view file;
  double period = std::nan("");
  double seconds = std::nan("");
};
constexpr std::array kPublished{
    Published{"LayerGraphs_bert24_inference", 17.7899, 0.008},
    Published{"LayerGraphs_resnet50_inference", 33.7747, 0.09},
    Published{"LayerGraphs_gnmt_inference", 32.9107, 11},
    Published{"LayerGraphs_inceptionv3_inference"},
    Published{"OperatorGraphs_bert_l-3_inference", 27.9186, 0.62},
    Published{"OperatorGraphs_bert_l-6_inference", 29.5795, 2.4},
    Published{"OperatorGraphs_bert_l-12_inference"},
    Published{"OperatorGraphs_resnet50_inference", 124.349, 0.13},
};

std::string text(double number, int digits) { return std::isnan(number) ? "-" : fmt::format("{:.{}f}", number, digits); }

}  // namespace

int run(const std::string& folder) {
  fmt::print("| graph | nodes | period | published | bound / period | seconds | published |\n|---|---|---|---|---|---|---|\n");
  for (const Published& published : kPublished) {
    const Instance instance = read_instance(fmt::format("{}/throughput-inputs_{}.json", folder, published.file));
    const auto start = std::chrono::steady_clock::now();
    const auto answer = pool_period(instance.pool, {});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (!answer) throw std::runtime_error(answer.error().message);
    fmt::print("| {} | {} | {:.4f} | {} | {:.4f} | {:.4f} | {} |\n", published.file, instance.nodes, answer->period,
               text(published.period, 4), answer->bound / answer->period, seconds, text(published.seconds, 3));
  }
  return 0;
}

}  // namespace tideline::bench

int main(int argc, char** argv) {
  try {
    if (argc == 2) return tideline::bench::run(argv[1]);
    fmt::print(stderr, "usage: bench_graph FOLDER   with the throughput-inputs_*.json of the published workloads\n");
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_graph: {}\n", error.what());
    return 1;
  }
}
