// Questions about tables whose ops are a graph. A request goes up one route that visits no device twice, each op at or beyond
// those that it needs, raw, and the result comes back the same way. For the latency, energy and upload the best placement on a
// route is a minimum cut (docs/algorithms/min-cut.md), for the period a search over down-sets (docs/algorithms/graph-period.md).
// Internal to src/planner; pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "planner/table_walks.h"

namespace tideline {

// What a question about a graph may ask: kUnsupported, naming what it may not.
Status check_graph_question(const Table& table, const Question& question);
// "auto", "min-cut" (not for the period), "down-sets" (for it), "exhaustive". REQUIRES: a table of version 2, checked.
Result<WalkPlan> plan_graph(const Table& table, const Question& question, std::string_view planner, const CancelToken& cancel);
// Everything on each device that a route leads to.
Result<std::vector<WalkCandidate>> graph_candidates(const Table& table, const Question& question);
// Every placement on every route, one by one. kUnsupported beyond some millions.
Result<WalkPlan> exhaustive_graph(const Table& table, const Question& question, const CancelToken& cancel);

// The routes that end because every neighbour was visited: each other one is the beginning of one of these.
struct GraphRoute {
  std::vector<std::uint32_t> devices;  // the source first
  std::vector<std::uint32_t> links;    // one less
};
struct GraphRoutes {
  std::vector<GraphRoute> routes;
  bool is_all = true;
};
GraphRoutes graph_routes(const Table& table, std::size_t routes_max);
// Up to the last op and home. `position` of each op in the table's order.
TableWalk graph_walk(const Table& table, const GraphRoute& route, const std::vector<std::uint32_t>& position);

}  // namespace tideline
