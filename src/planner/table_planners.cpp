// The planners on tables: the same algorithms, judged by the table's definition.
#include <algorithm>

#include "base/check.h"
#include "planner/problem.h"
#include "planner/table.h"

namespace tideline {
namespace {

std::vector<std::uint32_t> devices_of(const Table& table, std::span<const std::uint32_t> places) {
  std::vector<std::uint32_t> devices(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) devices[table.order[i]] = places[i];
  return devices;
}

SolveContext context_of(const Table& table) {
  return {.cancel = {}, .judge = [&table](std::span<const std::uint32_t> places) -> std::optional<Rank> {
            const auto value = table_value(table, devices_of(table, places));
            if (!value) return std::nullopt;
            return Rank{.value = value->latency_ms, .latency_ms = value->latency_ms};
          }};
}

// A planner's own idea of the value is not trusted: the definition is in table_value() alone.
TablePlan finish(const Table& table, std::string_view planner, const Solution& solution) {
  TablePlan plan{.planner = std::string(planner), .devices = devices_of(table, solution.places)};
  const auto value = table_value(table, plan.devices);
  TIDELINE_CHECK(value.has_value());
  plan.value = *value;
  return plan;
}

}  // namespace

TablePlan native_table_plan(const Table& table, std::uint32_t device) {
  return finish(table, "native", {.places = std::vector<std::uint32_t>(table.op_count(), device), .stats = {}});
}

Result<TablePlan> plan_table(const Table& table, std::string_view planner) {
  if (table.version != 1)
    return Error{ErrorCode::kUnsupported, "[plan] a table of version 2 is planned over walks (planner/table_walks.h)"};
  std::string_view used = planner;
  TIDELINE_TRY(const Solution solution, run_solver(make_problem(table), context_of(table), planner, used));
  return finish(table, solution.by.empty() ? used : solution.by, solution);
}

Result<std::vector<TablePlan>> best_table_pairs(const Table& table) {
  const Problem problem = make_problem(table);
  TIDELINE_TRY(const std::vector<PairCut> cuts, search_pairs(problem, {}));
  std::vector<TablePlan> list;
  for (const PairCut& cut : cuts) list.push_back(finish(table, "pair", {.places = placement_of(problem, cut), .stats = {}}));
  return list;
}

Result<TablePlan> best_table_split(const Table& table) {
  if (!table.is_chain) return Error{ErrorCode::kUnsupported, "[plan] the best split is known for chains only"};
  auto solution = solve_best_split(make_problem(table), context_of(table));
  if (!solution && solution.error().code == ErrorCode::kInfeasible)
    return Error{ErrorCode::kInfeasible, "[plan] one op or one device cannot be split"};
  if (!solution) return solution.error();
  return finish(table, "split", *solution);
}

}  // namespace tideline
