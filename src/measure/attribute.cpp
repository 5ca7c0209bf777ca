#include "measure/attribute.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace tideline {
namespace {

constexpr std::uint32_t kNoBlock = 0xffffffffu;
// ONNX Runtime names a kernel in its blocked layout after the tensor it stands for.
constexpr std::string_view kBlockedSuffix = "_nchwc";

class Attribution {
 public:
  Attribution(const Graph& graph, const Chain& chain) : graph_(graph), block_of_(graph.ops.size(), kNoBlock) {
    for (std::uint32_t b = 0; b < chain.block_count(); ++b) {
      for (const OpId op : chain.blocks[b].ops) block_of_[static_cast<std::size_t>(op)] = b;
    }
    for (std::uint32_t t = 0; t < graph.tensors.size(); ++t) tensors_.emplace(graph.tensors[t].spec.name, TensorId{t});
    times_.assign(chain.blocks.size(), Millis(0));
    while (last_block_ + 1 < chain.block_count() && chain.blocks[last_block_].step) ++last_block_;
  }

  void add(const KernelTime& kernel) {
    const std::vector<OpId> ops = covered(kernel);
    note_aliases(kernel);
    if (ops.empty()) {
      // A change of layout on the way into or out of a kernel, or something the optimiser made up.
      if (const auto made = made_by(kernel)) {
        const OpId op = graph_.tensor(*made).producer;
        if (op != kNoOp && block_of(op) != kNoBlock) last_block_ = block_of(op);
      }
      times_[last_block_] += kernel.time;
      return;
    }
    double flops = 0;
    for (const OpId op : ops) flops += weight(op);
    for (const OpId op : ops) times_[block_of(op)] += kernel.time * (weight(op) / flops);
    last_block_ = block_of(ops.front());
  }

  std::vector<Millis> times() && { return std::move(times_); }

 private:
  std::uint32_t block_of(OpId op) const { return block_of_[static_cast<std::size_t>(op)]; }
  // Elementwise ops that were fused into a convolution cost next to nothing, and not nothing.
  double weight(OpId op) const { return 1.0 + static_cast<double>(graph_.op(op).flops); }

  // The tensor of the original graph that `name` stands for.
  std::optional<TensorId> original(const std::string& name) const {
    if (const auto found = tensors_.find(name); found != tensors_.end()) return found->second;
    if (const auto alias = aliases_.find(name); alias != aliases_.end()) return alias->second;
    return std::nullopt;
  }

  std::optional<TensorId> made_by(const KernelTime& kernel) const {
    for (const std::string& output : kernel.outputs) {
      if (const auto found = tensors_.find(output); found != tensors_.end()) return found->second;
    }
    if (kernel.name.ends_with(kBlockedSuffix)) {
      const std::string name = kernel.name.substr(0, kernel.name.size() - kBlockedSuffix.size());
      if (const auto found = tensors_.find(name); found != tensors_.end()) return found->second;
    }
    return std::nullopt;
  }

  // The ops between the kernel's inputs and what it makes, that no earlier kernel covered.
  std::vector<OpId> covered(const KernelTime& kernel) {
    const auto made = made_by(kernel);
    if (!made) return {};
    std::unordered_set<std::uint32_t> stops;
    for (const std::string& input : kernel.inputs) {
      if (const auto tensor = original(input)) stops.insert(static_cast<std::uint32_t>(*tensor));
    }
    std::vector<OpId> ops;
    std::vector<TensorId> open{*made};
    while (!open.empty()) {
      const TensorId tensor = open.back();
      open.pop_back();
      const OpId op = graph_.tensor(tensor).producer;
      if (op == kNoOp || block_of(op) == kNoBlock || stops.contains(static_cast<std::uint32_t>(tensor))) continue;
      if (!covered_.insert(static_cast<std::uint32_t>(op)).second) continue;
      ops.push_back(op);
      for (const TensorId input : graph_.op(op).inputs) open.push_back(input);
    }
    return ops;
  }

  void note_aliases(const KernelTime& kernel) {
    std::optional<TensorId> stands_for = made_by(kernel);
    if (!stands_for && !kernel.inputs.empty()) stands_for = original(kernel.inputs.front());
    if (!stands_for) return;
    for (const std::string& output : kernel.outputs) aliases_.emplace(output, *stands_for);
  }

  const Graph& graph_;
  std::vector<std::uint32_t> block_of_;  // of each op
  std::unordered_map<std::string, TensorId> tensors_;
  std::unordered_map<std::string, TensorId> aliases_;
  std::unordered_set<std::uint32_t> covered_;
  std::vector<Millis> times_;
  std::uint32_t last_block_ = 0;
};

}  // namespace

std::vector<Millis> attribute_kernels(const Graph& graph, const Chain& chain, const std::vector<KernelTime>& kernels) {
  Attribution attribution(graph, chain);
  for (const KernelTime& kernel : kernels) attribution.add(kernel);
  return std::move(attribution).times();
}

}  // namespace tideline
