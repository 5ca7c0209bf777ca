#include "cost/cost.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/text.h"
#include "codec/codec.h"

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

// The codecs around one stage: what its node does for them, and how many bytes leave.
struct Coding {
  Millis decode{0};
  Millis encode{0};
  Bytes bytes = 0;
  CodecLosses losses;
};

Result<const CodecProfile*> find_codec_profile(const Node& node, const Profile& profile, const std::string& codec) {
  if (const CodecProfile* found = codec_profile(profile, codec)) return found;
  return invalid(fmt::format("the profile of node '{}' says nothing of codec '{}': measure it with: tideline profile --codecs {}",
                             node.name, printable(codec), printable(codec)));
}

Result<Coding> coding_of(const Node& node, const Profile& profile, const ProgramStage& stage, const std::string& codec_in,
                         std::size_t cut_in, std::size_t cut_out, Bytes arrived_bytes) {
  Coding coding{.bytes = profile.cuts[cut_out].bytes};
  const bool touches = stage.blocks.has_value() || codec_in != stage.codec;
  if (codec_in != "raw" && touches) {
    TIDELINE_TRY(const CodecProfile* codec, find_codec_profile(node, profile, codec_in));
    coding.decode = node.slowdown * codec->decode[cut_in];
  }
  if (stage.codec != "raw" && touches) {
    TIDELINE_TRY(const CodecProfile* codec, find_codec_profile(node, profile, stage.codec));
    coding.bytes = codec->bytes[cut_out];
    coding.encode = node.slowdown * codec->encode[cut_out];
    coding.losses = losses_of(*codec, cut_out);
  }
  // Passed on as they came.
  if (!touches) coding.bytes = arrived_bytes;
  return coding;
}

}  // namespace

Millis move_time(double bytes, double bytes_per_s, Millis rtt, Millis hop_overhead) {
  return rtt / 2 + Millis{1e3 * bytes / bytes_per_s} + hop_overhead / 2;
}

CodecLosses losses_of(const CodecProfile& codec, std::size_t cut) {
  const auto known = find_codec(codec.name);
  if (known && !known->is_lossy()) return {};
  return {.accuracy = codec.top1_agreement.empty() ? 0 : 1 - codec.top1_agreement[cut], .output_error = codec.max_rel_error[cut]};
}

Result<Estimate> estimate(const CostInput& input, const Plan& plan) {
  TIDELINE_CHECK_OK(check_profiles(input));
  if (plan.exit && !input.profiles[0]->exit) {
    std::vector<Profile> own;
    for (const Profile* profile : input.profiles) {
      TIDELINE_TRY(Profile at, at_exit(*profile, *plan.exit));
      own.push_back(std::move(at));
    }
    CostInput there = input;
    for (std::size_t i = 0; i < own.size(); ++i) there.profiles[i] = &own[i];
    return estimate(there, plan);
  }
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
  std::string codec_in = "raw";                // of the move before
  Bytes arrived_bytes = cuts[0].bytes;         // by it
  Millis answer_encode{0};                     // at its other end, when it was an answer
  std::map<std::uint32_t, std::size_t> shown;  // calling stage -> its stage estimate
  for (const ProgramStage& stage : program.stages) {
    const std::size_t node = node_index(cluster, stage.node);
    if (node == cluster.nodes.size()) return invalid(fmt::format("the cluster has no node '{}'", stage.node));
    const std::size_t arrived_cut = done_blocks;
    if (stage.blocks) done_blocks = std::size_t{stage.blocks->second} + 1;
    TIDELINE_TRY(const Coding coding,
                 coding_of(cluster.nodes[node], *input.profiles[node], stage, codec_in, arrived_cut, done_blocks, arrived_bytes));
    // The hop by which the tensors came: of the stage's own call, or of the stage before.
    if (stage.from == ProgramStage::From::kAnswer) {
      HopEstimate& hop = result.hops[open.at(stage.after)];
      const Link& link = cluster.links[hop.link];
      hop.answered = stage.id;
      const bool is_wanted = program.result_to == ResultTo::kSource || arrived_cut + 1 < cuts.size();
      hop.result_bytes = is_wanted ? arrived_bytes : 0;
      hop.back_codec = codec_in;
      hop.back = Millis{1e3 * static_cast<double>(hop.result_bytes) / link.back_bytes_per_s};
      hop.coding += answer_encode + coding.decode;
    } else if (stage.id > 0) {
      result.hops[open.at(stage.id - 1)].coding += coding.decode;
    }
    if (stage.from == ProgramStage::From::kRequest || stage.blocks) {
      StageEstimate estimated = stage_of(cluster.nodes[node], *input.profiles[node], stage);
      estimated.decode = coding.decode;
      estimated.encode = coding.encode;
      result.compute += estimated.compute;
      needs[node] += estimated.memory_bytes;
      shown[stage.id] = result.stages.size();
      result.stages.push_back(std::move(estimated));
    } else if (const auto call = shown.find(stage.after); call != shown.end()) {
      result.stages[call->second].decode += coding.decode;
      result.stages[call->second].encode += coding.encode;
    }
    result.lost_accuracy += coding.losses.accuracy;
    result.output_error += coding.losses.output_error;
    codec_in = stage.codec;
    arrived_bytes = coding.bytes;
    answer_encode = coding.encode;
    if (stage.then == ProgramStage::Then::kAnswer) continue;
    const Link& link = cluster.links[stage.link];
    HopEstimate hop{.from = stage.node,
                    .to = stage.next_node,
                    .bytes = coding.bytes,
                    .rtt = link.rtt,
                    .overhead = input.hop_overhead,
                    .at = stage.id,
                    .link = stage.link,
                    .coding = coding.encode,
                    .codec = stage.codec};
    hop.forward = Millis{1e3 * static_cast<double>(hop.bytes) / link.bytes_per_s};
    open[stage.id] = result.hops.size();
    result.hops.push_back(std::move(hop));
  }
  for (const HopEstimate& hop : result.hops) result.transfer += hop.total();
  result.accuracy = input.profiles[0]->accuracy - result.lost_accuracy;
  result.infeasible = lacking_memory(cluster, needs);
  result.latency = result.compute + result.transfer;
  return result;
}

}  // namespace tideline
