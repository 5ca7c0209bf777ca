// Divides one data set among workers by a rule with a seed, for experiments: what each would have at the edge.
//
// Pure; the same seed gives the same division on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tideline::train {

enum class DivideRule {
  kIid,        // shuffled and dealt out, sizes differ by one at most
  kShards,     // sorted by label, cut into workers * per_worker pieces, dealt out (McMahan et al. 2017)
  kDirichlet,  // each class divided by proportions drawn from Dirichlet(alpha): small alpha, unlike workers
  kByClass,  // class c to the workers k with k mod classes = c; with fewer workers, class c to worker c mod workers (Zhao et al.
             // 2018)
};

struct DivideOptions {
  DivideRule rule = DivideRule::kIid;
  std::size_t workers = 1;
  std::size_t per_worker = 2;  // shards
  double alpha = 0.5;
  double shared = 0;  // part of the data that is drawn first, goes to everybody and is divided no more (Zhao et al. 2018)
  std::uint64_t seed = 0;
};

// For each worker the rows it has. kInvalidArgument when a number is out of
// its range or a worker would have nothing, with what to change.
Result<std::vector<std::vector<std::uint32_t>>> divide(std::span<const std::int32_t> labels, const DivideOptions& options);

}  // namespace tideline::train
