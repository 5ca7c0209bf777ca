// The best placement of a chain that really splits: at least two devices compute. Shown beside the native placements, so that
// "do not split" says what splitting would cost. O(devices x ops), exact.
//
// AAIoT's table in three layers, by who has computed the first i ops when their output is on device j:
//   kHere   all of them on j (or i = 0)      kBelow  all of them on one device below j      kSplit  two devices or more
#include <array>
#include <limits>

#include "base/check.h"
#include "planner/table.h"

namespace tideline {
namespace {

enum State : std::uint8_t { kHere, kBelow, kSplit, kStates };
constexpr double kNever = std::numeric_limits<double>::infinity();

// How a state was reached: by the hop from j-1 (from_hop), or by computing op i-1 on j; and from which state.
struct Step {
  bool from_hop = false;
  State from = kHere;
};

struct Cell {
  std::array<double, kStates> best{kNever, kNever, kNever};
  std::array<Step, kStates> step;

  void offer(State state, double value, Step how) {
    if (value < best[state]) {
      best[state] = value;
      step[state] = how;
    }
  }
};

double hop_ms(const Table& table, double bytes, std::size_t link) {
  return 1e3 * (bytes + table.result_bytes) / table.links[link].bytes_per_s + table.links[link].rtt_ms;
}

// Hops are offered first, so that a tie lets the op run lower.
void fill_cell(const Table& table, std::size_t i, std::size_t j, std::vector<Cell>& cells) {
  const std::size_t m = table.devices.size();
  Cell& cell = cells[i * m + j];
  if (j > 0) {
    const double hop = hop_ms(table, i == 0 ? table.input_bytes : table.output_bytes[table.order[i - 1]], j - 1);
    const Cell& left = cells[i * m + j - 1];
    if (i == 0) {
      cell.offer(kHere, left.best[kHere] + hop, {true, kHere});
    } else {
      cell.offer(kBelow, left.best[kBelow] + hop, {true, kBelow});
      cell.offer(kBelow, left.best[kHere] + hop, {true, kHere});
      cell.offer(kSplit, left.best[kSplit] + hop, {true, kSplit});
    }
  }
  if (i > 0) {
    const double runtime = table.runtime(table.order[i - 1], static_cast<std::uint32_t>(j));
    const Cell& above = cells[(i - 1) * m + j];
    cell.offer(kHere, above.best[kHere] + runtime, {false, kHere});
    cell.offer(kSplit, above.best[kBelow] + runtime, {false, kBelow});
    cell.offer(kSplit, above.best[kSplit] + runtime, {false, kSplit});
  }
}

}  // namespace

Result<TablePlan> best_table_split(const Table& table) {
  const std::size_t m = table.devices.size();
  const std::size_t n = table.op_names.size();
  if (!table.is_chain) return Error{ErrorCode::kUnsupported, "[plan] the best split is known for chains only"};
  if (m < 2 || n < 2) return Error{ErrorCode::kInfeasible, "[plan] one op or one device cannot be split"};
  std::vector<Cell> cells((n + 1) * m);
  cells[0].best[kHere] = 0;
  for (std::size_t i = 0; i <= n; ++i)
    for (std::size_t j = i == 0 ? 1 : 0; j < m; ++j) fill_cell(table, i, j, cells);
  std::size_t j = 0;
  for (std::size_t k = 1; k < m; ++k)
    if (cells[n * m + k].best[kSplit] < cells[n * m + j].best[kSplit]) j = k;
  TablePlan plan{.planner = "split", .devices = std::vector<std::uint32_t>(n)};
  State state = kSplit;
  for (std::size_t i = n; i > 0;) {
    const Step step = cells[i * m + j].step[state];
    state = step.from;
    if (step.from_hop) {
      --j;
    } else {
      plan.devices[table.order[--i]] = static_cast<std::uint32_t>(j);
    }
  }
  const auto value = table_value(table, plan.devices);
  TIDELINE_CHECK(value.has_value());
  plan.value = *value;
  return plan;
}

}  // namespace tideline
