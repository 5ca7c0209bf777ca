// Every placement of a table, by the definition: the referee of the other planners. Exponential; gives up beyond kPlacementsMax
// placements or kVisitsMax op visits with kUnsupported.
#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "planner/table.h"

namespace tideline {
namespace {

constexpr std::uint64_t kPlacementsMax = 1'000'000;
// About two seconds.
constexpr std::uint64_t kVisitsMax = 200'000'000;

struct Search {
  const Table& table;
  std::vector<std::vector<std::uint32_t>> predecessors;
  std::vector<std::uint32_t> devices;
  std::uint64_t placements = 0;
  std::uint64_t placements_max = 0;
  bool found = false;
  TableValue best;
  std::vector<std::uint32_t> best_devices;

  // Lower from the last op backwards: the tie rule of every planner.
  bool is_lower() const {
    for (std::size_t i = table.order.size(); i-- > 0;) {
      const std::uint32_t op = table.order[i];
      if (devices[op] != best_devices[op]) return devices[op] < best_devices[op];
    }
    return false;
  }

  void judge() {
    const auto value = table_value(table, devices);
    TIDELINE_CHECK(value.has_value());
    if (found && value->latency_ms > best.latency_ms) return;
    if (found && value->latency_ms == best.latency_ms && !is_lower()) return;
    found = true;
    best = *value;
    best_devices = devices;
  }

  std::uint32_t lowest_device(std::uint32_t op) const {
    std::uint32_t device = 0;
    for (const std::uint32_t before : predecessors[op]) device = std::max(device, devices[before]);
    return device;
  }

  // All placements like an odometer over the ops in order: no recursion, so that no file can overflow the stack. False when there
  // are too many.
  bool run() {
    const std::size_t n = table.order.size();
    for (const std::uint32_t op : table.order) devices[op] = lowest_device(op);
    while (true) {
      if (++placements > placements_max) return false;
      judge();
      std::size_t i = n;
      while (i > 0 && devices[table.order[i - 1]] + 1 == table.device_count()) --i;
      if (i == 0) return true;
      ++devices[table.order[i - 1]];
      for (; i < n; ++i) devices[table.order[i]] = lowest_device(table.order[i]);
    }
  }
};

}  // namespace

Result<TablePlan> plan_table_exhaustive(const Table& table) {
  const std::uint64_t work = std::uint64_t{table.op_count()} + table.edges.size();
  Search search{.table = table,
                .predecessors = std::vector<std::vector<std::uint32_t>>(table.op_count()),
                .devices = std::vector<std::uint32_t>(table.op_count(), 0),
                .placements_max = std::min(kPlacementsMax, kVisitsMax / work + 1)};
  for (const auto& [from, to] : table.edges) search.predecessors[to].push_back(from);
  const Error too_many{
      ErrorCode::kUnsupported,
      fmt::format("[plan] exhaustive tries at most {} placements of {} ops on {} devices, and there are more: use --planner {}",
                  search.placements_max, table.op_count(), table.device_count(), table.is_chain ? "aaiot" : "min-cut")};
  // A chain has C(n+m-1, m-1) placements: no need to start when there are too many.
  if (table.is_chain) {
    double count = 1;
    for (std::uint32_t k = 1; k < table.device_count(); ++k) count = count * (table.op_count() + k) / k;
    if (count > 1.5 * static_cast<double>(search.placements_max)) return too_many;
  }
  if (!search.run()) return too_many;
  return TablePlan{.planner = "exhaustive", .devices = std::move(search.best_devices), .value = search.best};
}

}  // namespace tideline
