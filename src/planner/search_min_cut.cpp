// The best placement of any graph, not only of a chain, as one minimum s-t cut (docs/algorithms/min-cut.md). Exact. Polynomial;
// in practice some milliseconds for a hundred ops on four devices. Gives up beyond limits::kMinCutVariablesMax with kUnsupported.
//
// For walks that come home when all is done, over places that are a chain, and without corrections at the cuts: tables.
// One yes-or-no variable for each op and link: is the op beyond the link? "No" is the source's side of the cut.
#include <fmt/format.h>

#include "base/limits.h"
#include "planner/max_flow.h"
#include "planner/problem.h"

namespace tideline {
namespace {

class MinCut {
 public:
  explicit MinCut(const Problem& problem)
      : problem_(problem), links_(problem.places.size() - 1), network_(2 + problem.blocks * links_) {
    forever_ = 1;
    for (const double time : problem.time) forever_ += time;
    for (std::size_t link = 0; link < links_; ++link) {
      double bytes = 0;
      for (const double cut : problem.cut_bytes) bytes += cut;
      forever_ += hop_ms(link) + bytes * problem.moves[link + 1].up_ms_per_byte;
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
  double time(std::size_t op, std::size_t device) const { return problem_.time[op * problem_.nodes + device]; }
  // Of a link that is crossed at all, there and back, without the bytes on the way there.
  double hop_ms(std::size_t link) const { return problem_.moves[link + 1].up_ms + problem_.back(link + 1, problem_.blocks); }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges() const {
    if (problem_.edges) return *problem_.edges;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> row;
    for (std::uint32_t i = 1; i < problem_.blocks; ++i) row.emplace_back(i - 1, i);
    return row;
  }

  // Pays `cost` when `from` is on the source's side (no) and `to` on the sink's (yes).
  void pay(std::size_t from, std::size_t to, double cost) { network_.add_edge(from, to, cost); }
  void forbid(std::size_t from, std::size_t to) { pay(from, to, forever_); }

  // Going one device up changes an op's runtime by a step, which may be negative: then staying below pays it.
  void add_runtimes() {
    for (std::uint32_t op = 0; op < problem_.blocks; ++op)
      for (std::uint32_t link = 0; link < links_; ++link) {
        const double step = time(op, link + 1) - time(op, link);
        pay(kSource, variable(op, link), step);
        pay(variable(op, link), kSink, -step);
      }
  }

  // Beyond a link means beyond the ones before it; and an op is beyond wherever one before it is.
  void add_order() {
    for (std::uint32_t op = 0; op < problem_.blocks; ++op)
      for (std::size_t link = 0; link + 1 < links_; ++link) forbid(variable(op, link), variable(op, link + 1));
    for (const auto& [from, to] : edges())
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
    pay(maker, needed, bytes * problem_.moves[link + 1].up_ms_per_byte);
  }

  void add_tensors() {
    const auto all = edges();
    std::vector<bool> has_predecessor(problem_.blocks, false);
    for (const auto& [from, to] : all) has_predecessor[to] = true;
    std::vector<std::uint32_t> first;
    for (std::uint32_t op = 0; op < problem_.blocks; ++op)
      if (!has_predecessor[op]) first.push_back(op);
    for (std::size_t link = 0; link < links_; ++link) add_tensor(first, link, kSource, problem_.cut_bytes[0]);
    for (std::size_t begin = 0; begin < all.size();) {
      const std::uint32_t op = all[begin].first;
      std::vector<std::uint32_t> readers;
      for (; begin < all.size() && all[begin].first == op; ++begin) readers.push_back(all[begin].second);
      for (std::size_t link = 0; link < links_; ++link) add_tensor(readers, link, variable(op, link), problem_.cut_bytes[op + 1]);
    }
  }

  // A link is crossed when any op is beyond it; since devices never go back, when any op that nobody follows is.
  void add_hops() {
    std::vector<bool> has_successor(problem_.blocks, false);
    for (const auto& [from, to] : edges()) has_successor[from] = true;
    for (std::size_t link = 0; link < links_; ++link) {
      const std::size_t crossed = network_.add_vertex();
      pay(kSource, crossed, hop_ms(link));
      for (std::uint32_t op = 0; op < problem_.blocks; ++op)
        if (!has_successor[op]) forbid(crossed, variable(op, link));
    }
  }

  // Of all minimum cuts the one with the fewest "yes", so that ties go to the lower device.
  std::vector<std::uint32_t> placement() const {
    const std::vector<bool> is_beyond = network_.sink_side(kSink);
    std::vector<std::uint32_t> devices(problem_.blocks, 0);
    for (std::uint32_t op = 0; op < problem_.blocks; ++op)
      for (std::size_t link = 0; link < links_; ++link) devices[op] += is_beyond[variable(op, link)] ? 1 : 0;
    return devices;
  }

  const Problem& problem_;
  const std::size_t links_;
  MaxFlow network_;
  double forever_ = 1;
};

}  // namespace

Result<Solution> solve_min_cut(const Problem& problem, const SolveContext&) {
  if (problem.may_come_back || !problem.start.empty() || !problem.is_chain())
    return Error{ErrorCode::kUnsupported, "[plan] min-cut solves tables: use --planner route for a model"};
  const std::size_t variables = problem.blocks * (problem.places.size() - 1);
  if (variables > limits::kMinCutVariablesMax)
    return Error{ErrorCode::kUnsupported, fmt::format("[plan] min-cut takes at most {} ops times links, this table has {}",
                                                      limits::kMinCutVariablesMax, variables)};
  return Solution{.places = MinCut(problem).solve(), .stats = {.considered = variables}};
}

}  // namespace tideline
