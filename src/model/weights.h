// Counts the weights behind ops, each once, however many ops and constant ops share it. Internal to model/.
#pragma once

#include <span>
#include <vector>

#include "model/graph.h"

namespace tideline {

struct WeightSum {
  Bytes bytes = 0;
  std::uint64_t elements = 0;
};

// Not thread-safe. `graph` must outlive it and keep its tensors.
class WeightCounter {
 public:
  explicit WeightCounter(const Graph& graph) : graph_(graph), seen_(graph.tensors.size(), 0) {}
  // Of everything constant that `ops` read, through constant ops down to the weights.
  WeightSum of(std::span<const OpId> ops);

 private:
  const Graph& graph_;
  std::vector<std::uint32_t> seen_;  // the call that saw the tensor last
  std::uint32_t call_ = 0;
  // Constants shared by many ops are walked once per call; a file made to be slow runs out of this and is then counted by the
  // weights its ops read directly.
  std::uint64_t steps_left_ = 50'000'000;
};

}  // namespace tideline
