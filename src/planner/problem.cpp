#include "planner/problem.h"

#include <algorithm>

#include <fmt/format.h>

namespace tideline {
namespace {

// The smallest segment is the smallest difference between a later and an earlier sum: one pass for each node.
bool adds_up(const Problem& problem) {
  for (std::size_t node = 0; node < problem.nodes; ++node) {
    double most_before = -std::numeric_limits<double>::infinity();
    for (std::size_t cut = 1; cut <= problem.blocks; ++cut) {
      const std::size_t at = problem.at(node, cut);
      most_before = std::max(most_before, problem.before[at - 1] - problem.start[at - 1]);
      if (problem.before[at] + problem.end[at] < most_before) return false;
    }
  }
  return true;
}

}  // namespace

Problem make_problem(const CostInput& cost) {
  const Cluster& cluster = *cost.cluster;
  const std::vector<CutProfile>& cuts = cost.profiles[0]->cuts;
  Problem problem{.blocks = cost.profiles[0]->blocks.size(), .nodes = cluster.nodes.size()};
  const std::size_t size = problem.nodes * (problem.blocks + 1);
  for (std::vector<double>* values : {&problem.before, &problem.start, &problem.end, &problem.hop}) values->assign(size, 0);
  for (std::size_t node = 0; node < problem.nodes; ++node) {
    const Profile& profile = *cost.profiles[node];
    const double slowdown = cluster.nodes[node].slowdown;
    double sum = 0;
    for (std::size_t cut = 0; cut <= problem.blocks; ++cut) {
      const std::size_t at = problem.at(node, cut);
      problem.before[at] = slowdown * sum;
      problem.start[at] = slowdown * (profile.segment_overhead + profile.cuts[cut].start).count();
      problem.end[at] = slowdown * profile.cuts[cut].end.count();
      if (cut < problem.blocks) sum += profile.blocks[cut].time.count();
      if (node == 0) continue;
      const Link& link = cluster.links[node - 1];
      problem.hop[at] = link.rtt.count() + static_cast<double>(cuts[cut].bytes) / link.bytes_per_s * 1e3 +
                        static_cast<double>(cuts.back().bytes) / link.back_bytes_per_s * 1e3 + cost.hop_overhead.count();
    }
  }
  problem.is_additive = adds_up(problem);
  return problem;
}

Result<PlanResult> finish_plan(const PlanRequest& request, std::string_view planner, std::span<const std::uint32_t> node_of_block,
                               PlannerStats stats) {
  const Profile& profile = *request.cost.profiles[0];
  PlanResult result{
      .plan = {.planner = std::string(planner), .model_sha256 = profile.model_sha256, .chain_sha256 = profile.chain_sha256},
      .stats = std::move(stats)};
  for (std::uint32_t block = 0; block < node_of_block.size(); ++block) {
    if (block > 0 && node_of_block[block] == node_of_block[block - 1])
      result.plan.segments.back().last_block = block;
    else
      result.plan.segments.push_back(
          {.node = request.cost.cluster->nodes[node_of_block[block]].name, .first_block = block, .last_block = block});
  }
  TIDELINE_TRY(result.plan, complete_plan(result.plan, *request.cost.cluster));
  TIDELINE_TRY(result.estimate, estimate(request.cost, result.plan));
  return result;
}

Error infeasible_error(const PlanRequest& request) {
  std::string why;
  for (std::uint32_t node = 0; node < request.cost.cluster->nodes.size(); ++node) {
    const std::vector<std::uint32_t> everything(request.cost.profiles[0]->blocks.size(), node);
    const auto native = finish_plan(request, "native", everything, {});
    if (native && !native->estimate.infeasible.empty())
      why += fmt::format("{}{}", why.empty() ? "" : "; ", native->estimate.infeasible);
  }
  return Error{
      ErrorCode::kInfeasible,
      fmt::format("[plan] no placement keeps the memory limits (for everything on one node, {}): raise `memory` in the cluster "
                  "file or add a node",
                  why.empty() ? "it fits, but cannot be split" : why)};
}

}  // namespace tideline
