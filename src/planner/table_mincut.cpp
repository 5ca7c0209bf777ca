// The best placement of any graph, not only of a chain, as one minimum s-t cut (docs/algorithms/min-cut.md). Exact. Polynomial;
// in practice some milliseconds for a hundred ops on four devices. Gives up beyond kVariablesMax with kUnsupported.
//
// One yes-or-no variable for each op and link: is the op beyond the link? "No" is the source's side of the cut.
#include <fmt/format.h>

#include "planner/max_flow.h"
#include "planner/table.h"

namespace tideline {
namespace {

// A second or two, and some hundred megabytes.
constexpr std::size_t kVariablesMax = 200'000;

class Cut {
 public:
  explicit Cut(const Table& table) : table_(table), links_(table.links.size()), network_(2 + table.op_names.size() * links_) {
    forever_ = 1;
    for (const double runtime : table.runtime_ms) forever_ += runtime;
    for (const TableLink& link : table.links) {
      double bytes = table.input_bytes + table.result_bytes;
      for (const double output : table.output_bytes) bytes += output;
      forever_ += 1e3 * bytes / link.bytes_per_s + link.rtt_ms;
    }
  }

  std::vector<std::uint32_t> solve() {
    add_runtimes();
    add_order();
    add_tensors();
    add_hops();
    network_.run(kSource, kSink);
    return placement();
  }

 private:
  static constexpr std::size_t kSource = 0;
  static constexpr std::size_t kSink = 1;
  std::size_t variable(std::size_t op, std::size_t link) const { return 2 + op * links_ + link; }

  // Pays `cost` when `from` is on the source's side (no) and `to` on the sink's (yes).
  void pay(std::size_t from, std::size_t to, double cost) { network_.add_edge(from, to, cost); }
  void forbid(std::size_t from, std::size_t to) { pay(from, to, forever_); }

  // Going one device up changes an op's runtime by a step, which may be negative: then staying below pays it.
  void add_runtimes() {
    for (std::uint32_t op = 0; op < table_.op_count(); ++op)
      for (std::uint32_t link = 0; link < links_; ++link) {
        const double step = table_.runtime(op, link + 1) - table_.runtime(op, link);
        pay(kSource, variable(op, link), step);
        pay(variable(op, link), kSink, -step);
      }
  }

  // Beyond a link means beyond the ones before it; and an op is beyond wherever one before it is.
  void add_order() {
    for (std::uint32_t op = 0; op < table_.op_count(); ++op)
      for (std::size_t link = 0; link + 1 < links_; ++link) forbid(variable(op, link), variable(op, link + 1));
    for (const auto& [from, to] : table_.edges)
      for (std::size_t link = 0; link < links_; ++link) forbid(variable(to, link), variable(from, link));
  }

  // One more variable for a tensor with several readers: is any of them beyond the link?
  void add_tensor(const std::vector<std::uint32_t>& readers, std::size_t link, std::size_t maker, double bytes) {
    if (readers.empty()) return;
    std::size_t needed = variable(readers[0], link);
    if (readers.size() > 1) {
      needed = network_.add_vertex();
      for (const std::uint32_t reader : readers) forbid(needed, variable(reader, link));
    }
    pay(maker, needed, 1e3 * bytes / table_.links[link].bytes_per_s);
  }

  void add_tensors() {
    std::vector<bool> has_predecessor(table_.op_count(), false);
    for (const auto& [from, to] : table_.edges) has_predecessor[to] = true;
    std::vector<std::uint32_t> first;
    for (std::uint32_t op = 0; op < table_.op_count(); ++op)
      if (!has_predecessor[op]) first.push_back(op);
    for (std::size_t link = 0; link < links_; ++link) add_tensor(first, link, kSource, table_.input_bytes);
    for (std::size_t begin = 0; begin < table_.edges.size();) {
      const std::uint32_t op = table_.edges[begin].first;
      std::vector<std::uint32_t> readers;
      for (; begin < table_.edges.size() && table_.edges[begin].first == op; ++begin)
        readers.push_back(table_.edges[begin].second);
      for (std::size_t link = 0; link < links_; ++link) add_tensor(readers, link, variable(op, link), table_.output_bytes[op]);
    }
  }

  // A link is crossed when any op is beyond it; since devices never go back, when any op that nobody follows is.
  void add_hops() {
    std::vector<bool> has_successor(table_.op_count(), false);
    for (const auto& [from, to] : table_.edges) has_successor[from] = true;
    for (std::size_t link = 0; link < links_; ++link) {
      const std::size_t crossed = network_.add_vertex();
      pay(kSource, crossed, 1e3 * table_.result_bytes / table_.links[link].bytes_per_s + table_.links[link].rtt_ms);
      for (std::uint32_t op = 0; op < table_.op_count(); ++op)
        if (!has_successor[op]) forbid(crossed, variable(op, link));
    }
  }

  // Of all minimum cuts the one with the fewest "yes", so that ties go to the lower device.
  std::vector<std::uint32_t> placement() const {
    const std::vector<bool> is_beyond = network_.sink_side(kSink);
    std::vector<std::uint32_t> devices(table_.op_count(), 0);
    for (std::uint32_t op = 0; op < table_.op_count(); ++op)
      for (std::size_t link = 0; link < links_; ++link) devices[op] += is_beyond[variable(op, link)] ? 1 : 0;
    return devices;
  }

  const Table& table_;
  const std::size_t links_;
  MaxFlow network_;
  double forever_ = 1;
};

}  // namespace

Result<TablePlan> plan_table_mincut(const Table& table) {
  const std::size_t variables = table.op_names.size() * table.links.size();
  if (variables > kVariablesMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] min-cut takes at most {} ops times links, this table has {}", kVariablesMax, variables)};
  TablePlan plan{.planner = "min-cut"};
  plan.devices = Cut(table).solve();
  TIDELINE_TRY(plan.value, table_value(table, plan.devices));
  return plan;
}

}  // namespace tideline
