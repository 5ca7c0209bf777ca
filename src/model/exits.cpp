#include "model/exits.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/text.h"

namespace tideline {
namespace {

constexpr std::uint32_t kHead = std::numeric_limits<std::uint32_t>::max();

// Looks at the cuts of a trunk from the last one down.
class Attacher {
 public:
  Attacher(const Graph& graph, const Chain& trunk) : graph_(graph), trunk_(trunk), block_(graph.ops.size(), kHead) {
    for (std::uint32_t k = 0; k < trunk.block_count(); ++k)
      for (const OpId id : trunk.blocks[k].ops) block_[index(id)] = k;
    for (std::size_t i = 0; i < graph.ops.size(); ++i) {
      if (graph.ops[i].is_dead || graph.ops[i].is_constant) continue;
      needed_.push_back(OpId{static_cast<std::uint32_t>(i)});
      if (block_[i] != kHead) shared_.insert(block_[i]);
    }
  }

  Attachment attach() const {
    const std::uint32_t first = trunk_.input ? kInputSteps : 0;
    std::uint32_t after = trunk_.output_cut();
    while (after > first && !can_leave(after)) --after;
    // A block of which the exit needs nothing is not run for it.
    while (after > first && !shared_.contains(after - 1) && can_leave(after - 1)) --after;
    Attachment attachment{.after = after, .head = {}};
    for (const OpId id : needed_)
      if (is_missing(id, after)) attachment.head.push_back(id);
    return attachment;
  }

 private:
  bool is_missing(OpId id, std::uint32_t cut) const { return block_[index(id)] >= cut; }

  // Whether what crosses the cut is all that the rest of the exit reads of what was done before it.
  bool can_leave(std::uint32_t cut) const {
    std::unordered_set<std::string_view> crossing;
    for (const TensorSpec& spec : trunk_.cuts[cut].tensors) crossing.insert(spec.name);
    const auto is_there = [&](TensorId id) {
      const GraphTensor& tensor = graph_.tensor(id);
      if (tensor.is_constant || crossing.contains(tensor.spec.name)) return true;
      return tensor.producer != kNoOp && is_missing(tensor.producer, cut);
    };
    if (!is_there(graph_.outputs.front())) return false;
    return std::all_of(needed_.begin(), needed_.end(), [&](OpId id) {
      const Op& op = graph_.op(id);
      return !is_missing(id, cut) || std::all_of(op.inputs.begin(), op.inputs.end(), is_there);
    });
  }

  const Graph& graph_;
  const Chain& trunk_;
  std::vector<std::uint32_t> block_;          // of the trunk; kHead: none
  std::vector<OpId> needed_;                  // by the exit, in topological order
  std::unordered_set<std::uint32_t> shared_;  // blocks with ops that the exit needs
};

}  // namespace

Graph for_outputs(Graph graph, std::vector<TensorId> outputs) {
  graph.outputs = std::move(outputs);
  std::vector<char> needed(graph.tensors.size(), 0);
  for (const TensorId id : graph.outputs) needed[index(id)] = 1;
  for (std::size_t i = graph.ops.size(); i-- > 0;) {
    Op& op = graph.ops[i];
    const bool is_live = std::any_of(op.outputs.begin(), op.outputs.end(), [&](TensorId id) { return needed[index(id)] != 0; });
    op.is_dead = op.is_dead || !is_live;
    if (op.is_dead) continue;
    for (const TensorId input : op.inputs) needed[index(input)] = 1;
  }
  return graph;
}

std::vector<TensorId> outputs_without(const Graph& graph, const std::vector<std::string>& exits) {
  std::vector<TensorId> outputs;
  for (const TensorId id : graph.outputs)
    if (std::find(exits.begin(), exits.end(), graph.tensor(id).spec.name) == exits.end()) outputs.push_back(id);
  return outputs;
}

Result<TensorId> output_named(const Graph& graph, const std::string& name) {
  std::vector<std::string_view> names;
  for (const TensorId id : graph.outputs) {
    names.push_back(graph.tensor(id).spec.name);
    if (names.back() == name) return id;
  }
  return Error{ErrorCode::kInvalidArgument, fmt::format("[model] an exit is '{}', but the outputs are: {}", printable(name),
                                                        printable(fmt::format("{}", fmt::join(names, ", ")), 400))};
}

Attachment attach(const Graph& graph, const Chain& trunk) {
  TIDELINE_CHECK(graph.outputs.size() == 1);
  return Attacher(graph, trunk).attach();
}

}  // namespace tideline
