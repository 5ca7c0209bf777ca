// Plan: pure data that says where a request goes and which node runs which blocks on the way. The running nodes make no
// decisions of their own. A value, saved as *.plan.json (docs/formats/plan.md).
//
//   Plan{.planner = "hand", .model_sha256 = ..., .chain_sha256 = ...,
//        .route = {"camera", "gateway", "server", "gateway", "camera"},
//        .segments = {{.at = 0, .node = "camera", .first_block = 0, .last_block = 3},
//                     {.at = 2, .node = "server", .first_block = 4, .last_block = 9}}}
//
// plan/program.h lowers it to what each node does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/limits.h"
#include "base/result.h"

namespace tideline {

struct PlanSegment {
  std::uint32_t at = 0;  // position in the plan's route; of no meaning while there is no route
  std::string node;      // == route[at]
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  bool operator==(const PlanSegment&) const = default;
};

// Where the answer is wanted.
enum class ResultTo : std::uint8_t {
  kSource,   // it travels back along the calls
  kNowhere,  // only word that the request is done does
};
std::string_view to_string(ResultTo result_to);
// "source" or "nowhere"; kInvalidArgument with both otherwise.
Result<ResultTo> result_to_from(std::string_view word);

struct Plan {
  std::string planner;
  Sha256 model_sha256;
  Sha256 chain_sha256;
  // The walk of a request: names from the source back to the source, each move up a link of the cluster or back down the one that
  // it came by. {"camera"} when the source runs everything. Empty, as version 1 of the file has it, for segments along a path:
  // complete_plan() of plan/program.h then finds the route.
  std::vector<std::string> route;
  std::vector<std::string> codecs;  // one for each move of the route (codec/codec.h); empty: all "raw"
  // Ascending in `at`; together they cover every block once. A node that is visited twice may have two.
  std::vector<PlanSegment> segments;
  ResultTo result_to = ResultTo::kSource;
  // How far an answer may be off, as a share of its largest number, when a codec loses something: what it was planned for.
  std::optional<double> tolerance = std::nullopt;
  // The output by which a request leaves early; absent: it runs to the end. Blocks are then those of that exit's chain
  // (model/chain.h), of which chain_sha256 is.
  std::optional<std::string> exit = std::nullopt;
  bool operator==(const Plan&) const = default;
};

// Version 2, or version 1 for a plan without a route.
std::string write_plan(const Plan& plan);
// Checks all that can be known without a cluster: that every move of the route goes up or back, that the route ends where it
// began, that the segments stand on it and cover every block once.
Result<Plan> parse_plan(std::string_view json, std::string_view name);

}  // namespace tideline
