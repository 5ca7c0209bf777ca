// Problem: a planning request as flat arrays, for planners that look at every state. The arithmetic is cost/cost.h's, with sums
// taken from prefix sums. Internal to src/plan.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "planner/planner.h"

namespace tideline {

struct Problem {
  std::size_t blocks = 0;  // n
  std::size_t nodes = 0;   // m
  // All [node * (n + 1) + cut], in milliseconds, with the node's slowdown applied.
  std::vector<double> before;  // time of the blocks before the cut
  std::vector<double> start;   // to begin a segment at the cut, with the segment's fixed overhead
  std::vector<double> end;     // to end one at the cut
  std::vector<double> hop;     // to cross the link below `node` at the cut; unused for node 0
  // No segment's time is cut off at zero, so times add up block by block.
  bool is_additive = true;

  std::size_t at(std::size_t node, std::size_t cut) const { return node * (blocks + 1) + cut; }
  // Of blocks first..cut-1 on the node.
  double segment_ms(std::size_t node, std::size_t first, std::size_t cut) const {
    const double sum = before[at(node, cut)] - before[at(node, first)] + start[at(node, first)] + end[at(node, cut)];
    return sum > 0 ? sum : 0;
  }
};

// REQUIRES: a request that estimate() accepts.
Problem make_problem(const CostInput& cost);

// Plan and estimate of a placement. REQUIRES: node_of_block has a node for each block, never decreasing.
Result<PlanResult> finish_plan(const PlanRequest& request, std::string_view planner, std::span<const std::uint32_t> node_of_block,
                               PlannerStats stats);

// kInfeasible, saying why everything on each node does not fit.
Error infeasible_error(const PlanRequest& request);

}  // namespace tideline
