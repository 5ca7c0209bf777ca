#include "cost/cost.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace tideline {
namespace {

Error invalid(std::string message) { return Error{ErrorCode::kInvalidArgument, "[cost] " + std::move(message)}; }

Status check_profiles(const CostInput& input) {
  if (input.cluster == nullptr || input.cluster->nodes.empty()) return invalid("no cluster was given");
  const Cluster& cluster = *input.cluster;
  if (input.profiles.size() != cluster.nodes.size())
    return invalid(fmt::format("{} profiles for {} nodes: give one for each", input.profiles.size(), cluster.nodes.size()));
  for (std::size_t i = 0; i < input.profiles.size(); ++i) {
    const Profile* profile = input.profiles[i];
    if (profile == nullptr) return invalid(fmt::format("no profile for node '{}'", cluster.nodes[i].name));
    if (profile->blocks.empty() || profile->cuts.size() != profile->blocks.size() + 1)
      return invalid(fmt::format("the profile of node '{}' has {} blocks and {} cuts", cluster.nodes[i].name,
                                 profile->blocks.size(), profile->cuts.size()));
    const Profile& first = *input.profiles[0];
    if (profile->chain_sha256 != first.chain_sha256 || profile->blocks.size() != first.blocks.size())
      return invalid(fmt::format(
          "the profiles of '{}' and '{}' are of different models, shapes or cuts: measure both with the same model and options",
          cluster.nodes[0].name, cluster.nodes[i].name));
  }
  return {};
}

std::size_t index_of(const Cluster& cluster, const std::string& name) {
  std::size_t index = 0;
  while (index < cluster.nodes.size() && cluster.nodes[index].name != name) ++index;
  return index;
}

StageEstimate stage_of(const Node& node, const Profile& profile, const ProgramStage& stage) {
  StageEstimate result{.node = node.name, .at = stage.id};
  if (!stage.blocks) return result;
  result.has_segment = true;
  std::tie(result.first_block, result.last_block) = *stage.blocks;
  result.compute = node.slowdown * segment_time(profile, result.first_block, result.last_block);
  result.memory_bytes = segment_memory_bytes(profile, result.first_block, result.last_block);
  return result;
}

// Of all segments of each node together.
std::string lacking_memory(const Cluster& cluster, const std::vector<Bytes>& needs) {
  std::string why;
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    const Node& node = cluster.nodes[i];
    if (node.memory_bytes && needs[i] > *node.memory_bytes)
      why += fmt::format("{}{}: needs {}, has {}", why.empty() ? "" : "; ", node.name, format_bytes(needs[i]),
                         format_bytes(*node.memory_bytes));
  }
  return why;
}

}  // namespace

Millis move_time(double bytes, double bytes_per_s, Millis rtt, Millis hop_overhead) {
  return rtt / 2 + Millis{1e3 * bytes / bytes_per_s} + hop_overhead / 2;
}

Result<Estimate> estimate(const CostInput& input, const Plan& plan) {
  TIDELINE_CHECK_OK(check_profiles(input));
  const Profile& profile = *input.profiles[0];
  TIDELINE_TRY(const Program program, lower(plan, *input.cluster,
                                            ProgramShape{.chain_sha256 = profile.chain_sha256,
                                                         .block_count = static_cast<std::uint32_t>(profile.blocks.size())}));
  return estimate(input, program);
}

Result<Estimate> estimate(const CostInput& input, const Program& program) {
  TIDELINE_CHECK_OK(check_profiles(input));
  const Cluster& cluster = *input.cluster;
  const std::vector<CutProfile>& cuts = input.profiles[0]->cuts;
  Estimate result;
  std::vector<Bytes> needs(cluster.nodes.size(), 0);
  std::map<std::uint32_t, std::size_t> open;  // calling stage -> its hop
  std::size_t done_blocks = 0;
  for (const ProgramStage& stage : program.stages) {
    const std::size_t node = index_of(cluster, stage.node);
    if (node == cluster.nodes.size()) return invalid(fmt::format("the cluster has no node '{}'", stage.node));
    if (stage.from == ProgramStage::From::kAnswer) {
      HopEstimate& hop = result.hops[open.at(stage.after)];
      const Link& link = cluster.links[hop.link];
      hop.answered = stage.id;
      hop.result_bytes = cuts[done_blocks].bytes;
      hop.back = Millis{1e3 * static_cast<double>(hop.result_bytes) / link.back_bytes_per_s};
    }
    if (stage.from == ProgramStage::From::kRequest || stage.blocks) {
      StageEstimate estimated = stage_of(cluster.nodes[node], *input.profiles[node], stage);
      if (estimated.has_segment) done_blocks = std::size_t{estimated.last_block} + 1;
      result.compute += estimated.compute;
      needs[node] += estimated.memory_bytes;
      result.stages.push_back(std::move(estimated));
    }
    if (stage.then == ProgramStage::Then::kAnswer) continue;
    const Link& link = cluster.links[stage.link];
    HopEstimate hop{.from = stage.node,
                    .to = stage.next_node,
                    .bytes = cuts[done_blocks].bytes,
                    .rtt = link.rtt,
                    .overhead = input.hop_overhead,
                    .at = stage.id,
                    .link = stage.link};
    hop.forward = Millis{1e3 * static_cast<double>(hop.bytes) / link.bytes_per_s};
    open[stage.id] = result.hops.size();
    result.hops.push_back(std::move(hop));
  }
  for (const HopEstimate& hop : result.hops) result.transfer += hop.total();
  result.infeasible = lacking_memory(cluster, needs);
  result.latency = result.compute + result.transfer;
  return result;
}

}  // namespace tideline
