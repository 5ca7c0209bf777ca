#include "cost/cost.h"

#include <fmt/format.h>

namespace tideline {
namespace {

Error invalid(std::string message) { return Error{ErrorCode::kInvalidArgument, "[cost] " + std::move(message)}; }

// The index of `name` in the chain, searching from `from`; the number of nodes when it is not there.
std::size_t find_node(const Cluster& cluster, std::string_view name, std::size_t from) {
  std::size_t index = from;
  while (index < cluster.nodes.size() && cluster.nodes[index].name != name) ++index;
  return index;
}

Status check_profiles(const CostInput& input) {
  if (input.cluster == nullptr || input.cluster->nodes.empty()) return invalid("no cluster was given");
  const Cluster& cluster = *input.cluster;
  if (!is_chain(cluster)) return Error{ErrorCode::kUnsupported, "[cost] only chains can be planned yet"};
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

// For each node of the chain its segment, or none.
Result<std::vector<const PlanSegment*>> place(const CostInput& input, const Plan& plan) {
  const Cluster& cluster = *input.cluster;
  const Profile& profile = *input.profiles[0];
  if (plan.chain_sha256 != profile.chain_sha256)
    return invalid("the plan was made for another model, other shapes or other cuts than the profile: plan again");
  if (plan.segments.empty()) return invalid("the plan has no segments");
  std::vector<const PlanSegment*> placed(cluster.nodes.size(), nullptr);
  std::size_t next_node = 0;
  std::uint32_t next_block = 0;
  for (const PlanSegment& segment : plan.segments) {
    const std::size_t node = find_node(cluster, segment.node, next_node);
    if (node == cluster.nodes.size()) {
      const bool exists = find_node(cluster, segment.node, 0) < cluster.nodes.size();
      return invalid(exists ? fmt::format("the plan goes back to node '{}': segments move only up the chain", segment.node)
                            : fmt::format("the plan names node '{}', which the cluster does not have", segment.node));
    }
    if (segment.first_block != next_block || segment.last_block < segment.first_block)
      return invalid(fmt::format("the segment on '{}' is blocks {}..{}, expected it to begin with block {}", segment.node,
                                 segment.first_block, segment.last_block, next_block));
    if (segment.last_block >= profile.blocks.size())
      return invalid(fmt::format("the segment on '{}' ends with block {}, but the model has {}", segment.node, segment.last_block,
                                 profile.blocks.size()));
    placed[node] = &segment;
    next_node = node + 1;
    next_block = segment.last_block + 1;
  }
  if (next_block != profile.blocks.size())
    return invalid(fmt::format("the plan ends after block {}, but the model has {}", next_block - 1, profile.blocks.size()));
  placed.resize(next_node);
  return placed;
}

StageEstimate stage_of(const Node& node, const Profile& profile, const PlanSegment* segment) {
  StageEstimate stage{.node = node.name};
  if (segment == nullptr) return stage;
  stage.has_segment = true;
  stage.first_block = segment->first_block;
  stage.last_block = segment->last_block;
  stage.compute = node.slowdown * segment_time(profile, segment->first_block, segment->last_block);
  stage.memory_bytes = segment_memory_bytes(profile, segment->first_block, segment->last_block);
  return stage;
}

}  // namespace

Result<Estimate> estimate(const CostInput& input, const Plan& plan) {
  TIDELINE_CHECK_OK(check_profiles(input));
  TIDELINE_TRY(const std::vector<const PlanSegment*> placed, place(input, plan));
  const Cluster& cluster = *input.cluster;
  const std::vector<CutProfile>& cuts = input.profiles[0]->cuts;
  Estimate result;
  std::size_t done_blocks = 0;
  for (std::size_t i = 0; i < placed.size(); ++i) {
    const Node& node = cluster.nodes[i];
    if (i > 0) {
      const Link& link = cluster.links[i - 1];
      HopEstimate hop{.from = cluster.nodes[i - 1].name,
                      .to = node.name,
                      .bytes = cuts[done_blocks].bytes,
                      .result_bytes = cuts.back().bytes,
                      .rtt = link.rtt,
                      .overhead = input.hop_overhead};
      hop.forward = Millis{static_cast<double>(hop.bytes) / link.bytes_per_s * 1e3};
      hop.back = Millis{static_cast<double>(hop.result_bytes) / link.back_bytes_per_s * 1e3};
      result.transfer += hop.total();
      result.hops.push_back(std::move(hop));
    }
    StageEstimate stage = stage_of(node, *input.profiles[i], placed[i]);
    if (stage.has_segment) done_blocks = std::size_t{stage.last_block} + 1;
    if (node.memory_bytes && stage.memory_bytes > *node.memory_bytes)
      result.infeasible += fmt::format("{}{}: needs {}, has {}", result.infeasible.empty() ? "" : "; ", node.name,
                                       format_bytes(stage.memory_bytes), format_bytes(*node.memory_bytes));
    result.compute += stage.compute;
    result.stages.push_back(std::move(stage));
  }
  result.latency = result.compute + result.transfer;
  return result;
}

}  // namespace tideline
