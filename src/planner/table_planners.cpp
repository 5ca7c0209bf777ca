// The list of planners for tables, and what they share.
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "base/text.h"
#include "planner/table.h"

namespace tideline {
namespace {

constexpr std::array kPlanners{
    TablePlanner{"aaiot", "AAIoT's dynamic programme: exact on a chain, O(devices x ops)", plan_table_aaiot},
    TablePlanner{"min-cut", "one minimum cut: exact on any graph", plan_table_mincut},
    TablePlanner{"exhaustive", "tries every placement: the referee, for small tables", plan_table_exhaustive},
    TablePlanner{"native", "everything on the one best device", plan_table_native},
};

}  // namespace

std::span<const TablePlanner> table_planners() { return kPlanners; }

TablePlan native_table_plan(const Table& table, std::uint32_t device) {
  TablePlan plan{.planner = "native", .devices = std::vector<std::uint32_t>(table.op_count(), device)};
  const auto value = table_value(table, plan.devices);
  TIDELINE_CHECK(value.has_value());
  plan.value = *value;
  return plan;
}

Result<TablePlan> plan_table_native(const Table& table) {
  TablePlan best = native_table_plan(table, 0);
  for (std::uint32_t device = 1; device < table.device_count(); ++device) {
    TablePlan other = native_table_plan(table, device);
    if (other.value.latency_ms < best.value.latency_ms) best = std::move(other);
  }
  return best;
}

Result<TablePlan> plan_table(const Table& table, std::string_view planner) {
  if (planner == "auto") planner = table.is_chain ? "aaiot" : "min-cut";
  std::vector<std::string_view> names{"auto"};
  for (const TablePlanner& candidate : kPlanners) {
    names.push_back(candidate.name);
    if (candidate.name != planner) continue;
    TIDELINE_TRY(TablePlan plan, candidate.plan(table));
    // A planner's own idea of the value is not trusted: the definition is in table_value() alone.
    const auto value = table_value(table, plan.devices);
    TIDELINE_CHECK(value.has_value());
    plan.value = *value;
    return plan;
  }
  const std::string_view near = nearest(planner, names);
  return Error{ErrorCode::kNotFound,
               fmt::format("[plan] no planner for tables is named '{}'{}; there are {}", printable(planner),
                           near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", "))};
}

}  // namespace tideline
