// Edgent's partition (Li, Zhou, Chen 2018, Algorithm 1), as the paper has it: one device and one server; the first blocks run on
// the server, which the input goes up to, and the others on the device. The least latency over the p + 1 cuts; whether it keeps
// the deadline is asked of that one alone. Exits are the caller's loop (exits.cpp). O(blocks).
//
// What differs is the arithmetic: the problem's own, with round trips and what it costs to begin and end at a cut, so that it is
// judged like every other planner. docs/algorithms/edgent.md.
#include <algorithm>

#include <fmt/format.h>

#include "planner/problem.h"

namespace tideline {

Result<Solution> solve_edgent(const Problem& problem, const SolveContext& context) {
  if (problem.edges || !problem.may_come_back || problem.places.size() != 2)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] edgent is for the blocks of a model on one device and one server, and requests can reach {} "
                             "nodes here: use --planner auto",
                             problem.nodes)};
  constexpr std::uint32_t kDevice = 0;
  constexpr std::uint32_t kServer = 1;
  const std::size_t n = problem.blocks;
  std::vector<double> done(2 * (n + 1), 0);  // [place * (n + 1) + blocks]
  for (const std::uint32_t place : {kDevice, kServer})
    for (std::size_t k = 0; k < n; ++k)
      done[place * (n + 1) + k + 1] = done[place * (n + 1) + k] + problem.time[k * problem.nodes + problem.node(place)];
  const auto segment = [&](std::size_t first, std::size_t end, std::size_t place) {
    const std::size_t node = problem.node(place);
    const double blocks = done[place * (n + 1) + end] - done[place * (n + 1) + first];
    return std::max(problem.start_ms(first, node) + blocks + problem.end_ms(end, node), 0.0);
  };
  std::size_t best = 0;
  double best_ms = segment(0, n, kDevice);
  for (std::size_t p = 1; p <= n; ++p) {
    double ms = problem.up(kServer, 0) + segment(0, p, kServer) + problem.back(kServer, p);
    if (p < n) ms += segment(p, n, kDevice);
    if (ms >= best_ms) continue;
    best = p;
    best_ms = ms;
  }
  Solution solution{.places = std::vector<std::uint32_t>(n, kDevice), .stats = {.considered = n + 1}};
  std::fill_n(solution.places.begin(), best, kServer);
  if (!context.judge(solution.places))
    return Error{ErrorCode::kInfeasible,
                 "[plan] edgent's partition, the first blocks on the server and the others on the device, does not keep the "
                 "limits: use --planner auto, which tries every walk"};
  return solution;
}

}  // namespace tideline
