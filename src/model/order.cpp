#include "model/order.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace tideline {
namespace {

bool in_blocks(const Op& op) { return !op.is_dead && !op.is_constant; }

// For each op, whether it depends on no input of the model (a random source and what follows from it alone): such ops float, and
// belong right before their first reader.
std::vector<char> floating_ops(const Graph& graph) {
  std::vector<char> floats(graph.ops.size(), 0);
  for (std::size_t i = 0; i < graph.ops.size(); ++i)
    floats[i] = std::all_of(graph.ops[i].inputs.begin(), graph.ops[i].inputs.end(), [&](TensorId id) {
      const GraphTensor& tensor = graph.tensor(id);
      return tensor.is_constant || (tensor.producer != kNoOp && floats[index(tensor.producer)] != 0);
    });
  return floats;
}

std::vector<OpId> file_order(const Graph& graph) {
  std::vector<OpId> order;
  for (std::size_t i = 0; i < graph.ops.size(); ++i)
    if (in_blocks(graph.ops[i])) order.push_back(OpId{static_cast<std::uint32_t>(i)});
  return order;
}

// Each floating op right before the first op of `order` that reads what it makes; without this a random source early in the file
// would cross every cut up to its reader.
std::vector<OpId> sink_sources(const Graph& graph, const std::vector<OpId>& order) {
  const std::vector<char> floats = floating_ops(graph);
  std::vector<char> done(graph.ops.size(), 0);
  std::vector<OpId> sunk;
  std::vector<std::pair<OpId, std::size_t>> path;
  // `first`, after all that it depends on and that is not there yet.
  const auto take = [&](OpId first) {
    if (done[index(first)] != 0) return;
    done[index(first)] = 1;
    path.emplace_back(first, 0);
    while (!path.empty()) {
      const OpId id = path.back().first;
      if (std::size_t& next = path.back().second; next < graph.op(id).inputs.size()) {
        const OpId maker = graph.tensor(graph.op(id).inputs[next++]).producer;
        if (maker == kNoOp || !in_blocks(graph.op(maker)) || done[index(maker)] != 0) continue;
        done[index(maker)] = 1;
        path.emplace_back(maker, 0);
      } else {
        sunk.push_back(id);
        path.pop_back();
      }
    }
  };
  for (const OpId id : order)
    if (floats[index(id)] == 0) take(id);
  for (const OpId id : order) take(id);
  return sunk;
}

// Depth first from the outputs, inputs in their order: one branch is finished before the next begins.
std::vector<OpId> depth_first_order(const Graph& graph) {
  std::vector<OpId> order;
  std::vector<char> seen(graph.ops.size(), 0);
  std::vector<std::pair<OpId, std::size_t>> path;  // the op and how many of its inputs have been followed
  const auto enter = [&](TensorId tensor) {
    const OpId maker = graph.tensor(tensor).producer;
    if (maker == kNoOp || !in_blocks(graph.op(maker)) || seen[index(maker)] != 0) return;
    seen[index(maker)] = 1;
    path.emplace_back(maker, 0);
  };
  for (const TensorId output : graph.outputs) {
    enter(output);
    while (!path.empty()) {
      const OpId id = path.back().first;
      if (std::size_t& next = path.back().second; next < graph.op(id).inputs.size()) {
        enter(graph.op(id).inputs[next++]);
      } else {
        order.push_back(id);
        path.pop_back();
      }
    }
  }
  return order;
}

// Counts how the frontier changes op by op.
class Frontier {
 public:
  explicit Frontier(const Graph& graph) : readers_(graph.tensors.size(), 0), graph_(graph) {
    for (std::size_t i = 0; i < graph.tensors.size(); ++i)
      for (const OpId reader : graph.tensors[i].consumers)
        if (in_blocks(graph.op(reader))) ++readers_[i];
    for (const TensorId output : graph.outputs) ++readers_[index(output)];
    for (const TensorId input : graph.inputs)
      if (readers_[index(input)] > 0) ++width_;
  }
  // The change of the width if `id` were next.
  int change(OpId id) const {
    int change = 0;
    for (const TensorId input : graph_.op(id).inputs)
      if (!graph_.tensor(input).is_constant && readers_[index(input)] == 1) --change;
    for (const TensorId output : graph_.op(id).outputs)
      if (readers_[index(output)] > 0) ++change;
    return change;
  }
  void take(OpId id) {
    width_ = static_cast<std::uint32_t>(static_cast<int>(width_) + change(id));
    for (const TensorId input : graph_.op(id).inputs) --readers_[index(input)];
  }
  std::uint32_t width() const { return width_; }

 private:
  std::vector<std::uint32_t> readers_;  // that are still to come; a model output has one more, which never comes
  std::uint32_t width_ = 0;
  const Graph& graph_;
};

std::vector<OpId> greedy_order(const Graph& graph) {
  // Looking at every ready op each time is quadratic for a very wide graph; the newest ones continue the branch at hand.
  constexpr std::size_t kLooked = 16;
  std::vector<std::uint32_t> missing(graph.ops.size(), 0);
  std::vector<OpId> ready;
  for (const OpId id : file_order(graph)) {
    for (const TensorId input : graph.op(id).inputs)
      if (const OpId maker = graph.tensor(input).producer; maker != kNoOp && in_blocks(graph.op(maker))) ++missing[index(id)];
    if (missing[index(id)] == 0) ready.push_back(id);
  }
  std::reverse(ready.begin(), ready.end());
  Frontier frontier(graph);
  std::vector<OpId> order;
  while (!ready.empty()) {
    std::size_t best = ready.size() - 1;
    int best_change = frontier.change(ready[best]);
    for (std::size_t looked = 1; looked < std::min(kLooked, ready.size()); ++looked) {
      const std::size_t candidate = ready.size() - 1 - looked;
      if (const int change = frontier.change(ready[candidate]); change < best_change) {
        best = candidate;
        best_change = change;
      }
    }
    const OpId id = ready[best];
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(best));
    frontier.take(id);
    order.push_back(id);
    for (const TensorId output : graph.op(id).outputs)
      for (const OpId reader : graph.tensor(output).consumers)
        if (in_blocks(graph.op(reader)) && --missing[index(reader)] == 0) ready.push_back(reader);
  }
  return order;
}

}  // namespace

std::vector<std::uint32_t> frontier_widths(const Graph& graph, const std::vector<OpId>& order) {
  Frontier frontier(graph);
  std::vector<std::uint32_t> widths{frontier.width()};
  for (const OpId id : order) {
    frontier.take(id);
    widths.push_back(frontier.width());
  }
  return widths;
}

std::vector<OpId> cutting_order(const Graph& graph, std::uint32_t width) {
  std::vector<OpId> best;
  std::pair<std::size_t, std::uint64_t> best_score{0, 0};
  for (const std::vector<OpId>& candidate : {file_order(graph), depth_first_order(graph), greedy_order(graph)}) {
    std::vector<OpId> order = sink_sources(graph, candidate);
    const std::vector<std::uint32_t> widths = frontier_widths(graph, order);
    const auto cuts =
        static_cast<std::size_t>(std::count_if(widths.begin(), widths.end(), [&](std::uint32_t w) { return w <= width; }));
    // More cuts, then less crossing in all; the file's own order wins a tie.
    const std::pair<std::size_t, std::uint64_t> score{cuts, ~std::accumulate(widths.begin(), widths.end(), std::uint64_t{0})};
    if (best.empty() || score > best_score) {
      best = std::move(order);
      best_score = score;
    }
  }
  return best;
}

}  // namespace tideline
