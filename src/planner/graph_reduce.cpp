#include "planner/graph_reduce.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace tideline {
namespace {

class Reducer {
 public:
  Reducer(const OpGraph& graph, const std::vector<bool>& is_free)
      : graph_(graph), is_free_(is_free), joined_(graph.ops), alive_(graph.ops, true) {
    std::iota(joined_.begin(), joined_.end(), 0u);
  }

  ReducedGraph run() {
    bool changed = true;
    while (changed) {
      changed = false;
      look();
      for (std::uint32_t op = 0; op < graph_.ops; ++op) {
        if (!is_free_[op] || !alive_[op]) continue;
        if (read_[op].empty() && bytes(made_[op]) == 0) {
          leave(op);
        } else if (const std::optional<std::uint32_t> other = home_of(op)) {
          join(op, *other);
        } else {
          continue;
        }
        changed = true;
        // What others read and make has changed.
        look();
      }
    }
    return numbered();
  }

 private:
  std::uint32_t home(std::uint32_t op) const {
    while (joined_[op] != op) op = joined_[op];
    return op;
  }
  void look() {
    made_.assign(graph_.ops, {});
    read_.assign(graph_.ops, {});
    for (std::uint32_t t = 0; t < graph_.tensors.size(); ++t) {
      for (const std::uint32_t reader : graph_.tensors[t].readers) read_[reader].push_back(t);
      if (graph_.tensors[t].maker != OpGraph::kOutside && !graph_.tensors[t].readers.empty())
        made_[graph_.tensors[t].maker].push_back(t);
    }
  }
  double bytes(const std::vector<std::uint32_t>& tensors) const {
    double sum = 0;
    for (const std::uint32_t t : tensors) sum += graph_.tensors[t].bytes;
    return sum;
  }

  std::optional<std::uint32_t> home_of(std::uint32_t op) const {
    const auto& in = read_[op];
    const auto& out = made_[op];
    const bool from_one = !in.empty() && graph_.tensors[in[0]].maker != OpGraph::kOutside &&
                          std::all_of(in.begin(), in.end(),
                                      [&](std::uint32_t t) { return graph_.tensors[t].maker == graph_.tensors[in[0]].maker; });
    if (from_one) {
      const bool alone =
          std::all_of(in.begin(), in.end(), [&](std::uint32_t t) { return graph_.tensors[t].readers.size() == 1; });
      if (bytes(out) == 0 || (alone && bytes(out) <= bytes(in))) return graph_.tensors[in[0]].maker;
    }
    if (out.size() == 1 && graph_.tensors[out[0]].readers.size() == 1 && bytes(in) <= bytes(out))
      return graph_.tensors[out[0]].readers[0];
    return std::nullopt;
  }

  // Only tensors of the op change: it leaves, `other` reads and makes what it did, but for what is between the two.
  void join(std::uint32_t op, std::uint32_t other) {
    joined_[op] = other;
    alive_[op] = false;
    for (OpGraph::Tensor& tensor : graph_.tensors) {
      if (tensor.maker == op) tensor.maker = other;
      auto& readers = tensor.readers;
      std::replace(readers.begin(), readers.end(), op, other);
      if (tensor.maker == other) readers.erase(std::remove(readers.begin(), readers.end(), other), readers.end());
      std::sort(readers.begin(), readers.end());
      readers.erase(std::unique(readers.begin(), readers.end()), readers.end());
    }
  }

  void leave(std::uint32_t op) {
    alive_[op] = false;
    for (const std::uint32_t t : made_[op]) graph_.tensors[t].readers.clear();
  }

  ReducedGraph numbered() {
    ReducedGraph reduced;
    std::vector<std::uint32_t> number(graph_.ops, OpGraph::kOutside);
    for (std::uint32_t op = 0; op < graph_.ops; ++op)
      if (alive_[op]) number[op] = reduced.graph.ops++;
    for (std::uint32_t op = 0; op < graph_.ops; ++op) reduced.group.push_back(number[home(op)]);
    for (OpGraph::Tensor tensor : graph_.tensors) {
      if (tensor.readers.empty()) continue;
      if (tensor.maker != OpGraph::kOutside) tensor.maker = number[tensor.maker];
      for (std::uint32_t& reader : tensor.readers) reader = number[reader];
      reduced.graph.tensors.push_back(std::move(tensor));
    }
    return reduced;
  }

  OpGraph graph_;
  const std::vector<bool>& is_free_;
  std::vector<std::uint32_t> joined_;
  std::vector<bool> alive_;
  std::vector<std::vector<std::uint32_t>> made_, read_;
};

}  // namespace

ReducedGraph without_free_ops(const OpGraph& graph, const std::vector<bool>& is_free) { return Reducer(graph, is_free).run(); }

}  // namespace tideline
