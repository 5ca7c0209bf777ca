// AAIoT (Zhou, Wang, Ota and Dong 2019) on a table. O(devices x ops) time and space; exact on a chain, kUnsupported on a graph.
//
// h[i][j] is the least time after which the first i ops are done and their output is on device j (docs/algorithms/aaiot.md):
//   h[0][0] = 0,  h[i][j] = min(h[i-1][j] + runtime(i-1, j),  h[i][j-1] + hop(i, j-1))
// with hop(i, j) = (bytes after i ops + result_bytes) / bandwidth_j + rtt_j. The answer is the least h[n][j].
// Corrections to the letter: the choices are stored instead of found again by comparing floating-point sums for equality, a hop
// has a round trip, and the bytes on a hop are the input of the next op.
#include <limits>

#include <fmt/format.h>

#include "planner/table.h"

namespace tideline {
namespace {

// moved[i * m + j]: the best way to (i, j) is the hop from device j-1, not computing op i-1 here. On a tie the hop: then op i-1
// runs on a lower device.
void fill(const Table& table, std::vector<double>& best, std::vector<std::uint8_t>& moved) {
  const std::size_t m = table.devices.size();
  const std::size_t n = table.op_names.size();
  std::vector<double> ms_per_byte(m, 0);
  std::vector<double> fixed_ms(m, 0);
  for (std::size_t j = 0; j + 1 < m; ++j) {
    ms_per_byte[j + 1] = 1e3 / table.links[j].bytes_per_s;
    fixed_ms[j + 1] = table.result_bytes * ms_per_byte[j + 1] + table.links[j].rtt_ms;
  }
  best[0] = 0;
  for (std::size_t j = 1; j < m; ++j) {
    best[j] = best[j - 1] + table.input_bytes * ms_per_byte[j] + fixed_ms[j];
    moved[j] = 1;
  }
  double* const h = best.data();
  for (std::size_t i = 1; i <= n; ++i) {
    const std::uint32_t op = table.order[i - 1];
    const double* const runtime = &table.runtime_ms[op * m];
    const double bytes = table.output_bytes[op];
    std::uint8_t* const row = &moved[i * m];
    double left = std::numeric_limits<double>::infinity();
    for (std::size_t j = 0; j < m; ++j) {
      const double computed = h[j] + runtime[j];
      const double hopped = left + bytes * ms_per_byte[j] + fixed_ms[j];
      row[j] = hopped <= computed ? 1 : 0;
      left = hopped <= computed ? hopped : computed;
      h[j] = left;
    }
  }
}

}  // namespace

Result<TablePlan> plan_table_aaiot(const Table& table) {
  if (!table.is_chain)
    return Error{ErrorCode::kUnsupported,
                 "[plan] aaiot solves chains only, and the edges of this table are a graph: use --planner min-cut"};
  const std::size_t m = table.devices.size();
  const std::size_t n = table.op_names.size();
  // Only the last row of h is needed: the choices say the rest.
  std::vector<double> best(m);
  std::vector<std::uint8_t> moved((n + 1) * m);
  fill(table, best, moved);
  std::size_t j = 0;
  for (std::size_t k = 1; k < m; ++k)
    if (best[k] < best[j]) j = k;
  TablePlan plan{.planner = "aaiot", .devices = std::vector<std::uint32_t>(n)};
  plan.value.latency_ms = best[j];
  for (std::size_t i = n; i > 0; --i) {
    while (moved[i * m + j] != 0) --j;
    plan.devices[table.order[i - 1]] = static_cast<std::uint32_t>(j);
  }
  return plan;
}

}  // namespace tideline
