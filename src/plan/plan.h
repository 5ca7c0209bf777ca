// Plan: pure data that says which node runs which blocks. The running nodes make no decisions of their own.
// A value, saved as *.plan.json (docs/formats/plan.md).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace tideline {

struct PlanSegment {
  std::string node;
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  bool operator==(const PlanSegment&) const = default;
};

struct Plan {
  std::string planner;
  Sha256 model_sha256;
  Sha256 chain_sha256;
  // In order; together they cover every block once, and their nodes move only up the cluster's chain. Nodes of the chain in
  // between that have no segment pass tensors on. The input is at the chain's first node, and the result returns there.
  std::vector<PlanSegment> segments;
  bool operator==(const Plan&) const = default;
};

std::string write_plan(const Plan& plan);
Result<Plan> parse_plan(std::string_view json, std::string_view name);

}  // namespace tideline
