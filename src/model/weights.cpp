#include "model/weights.h"

namespace tideline {

WeightSum WeightCounter::of(std::span<const OpId> ops) {
  ++call_;
  WeightSum sum;
  std::vector<TensorId> pending;
  const auto visit = [&](TensorId id) {
    const GraphTensor& tensor = graph_.tensor(id);
    std::uint32_t& seen = seen_[static_cast<std::size_t>(id)];
    if (!tensor.is_constant || seen == call_) return;
    seen = call_;
    sum.bytes += tensor.weight_bytes;
    sum.elements += tensor.weight_elements;
    if (tensor.producer != kNoOp && steps_left_ > 0) pending.push_back(id);
  };
  for (const OpId op : ops)
    for (const TensorId input : graph_.op(op).inputs) visit(input);
  while (!pending.empty()) {
    const TensorId id = pending.back();
    pending.pop_back();
    for (const TensorId input : graph_.op(graph_.tensor(id).producer).inputs) {
      if (steps_left_ > 0) --steps_left_;
      visit(input);
    }
  }
  return sum;
}

}  // namespace tideline
