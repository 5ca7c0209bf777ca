#include "plan/plan.h"

#include <fmt/format.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"

namespace tideline {
namespace {

constexpr std::int64_t kVersion = 1;
constexpr std::size_t kNodeNameBytesMax = 64;

Result<Sha256> read_hash(JsonMap& map, std::string_view key) {
  TIDELINE_TRY(const std::string hex, map.text(key));
  const auto hash = parse_sha256(hex);
  if (!hash) return map.error(key, hash.error().message);
  return *hash;
}

Result<PlanSegment> read_segment(const nlohmann::json& json, std::string_view name, std::size_t index) {
  constexpr auto kBlockMax = static_cast<std::int64_t>(limits::kOpsMax);
  JsonMap map(json, std::string(name), fmt::format("segments[{}]", index));
  PlanSegment segment;
  TIDELINE_TRY(segment.node, map.text("node"));
  if (segment.node.empty() || segment.node.size() > kNodeNameBytesMax)
    return map.error("node", fmt::format("a node's name has 1 to {} characters", kNodeNameBytesMax));
  TIDELINE_TRY(const std::int64_t first, map.integer("first_block", 0, kBlockMax));
  TIDELINE_TRY(const std::int64_t last, map.integer("last_block", 0, kBlockMax));
  TIDELINE_CHECK_OK(map.finish());
  if (last < first) return map.error("last_block", fmt::format("{} lies before first_block {}", last, first));
  segment.first_block = static_cast<std::uint32_t>(first);
  segment.last_block = static_cast<std::uint32_t>(last);
  return segment;
}

}  // namespace

std::string write_plan(const Plan& plan) {
  nlohmann::ordered_json segments = nlohmann::ordered_json::array();
  for (const PlanSegment& segment : plan.segments)
    segments.push_back({{"node", segment.node}, {"first_block", segment.first_block}, {"last_block", segment.last_block}});
  const nlohmann::ordered_json json{{"version", kVersion},
                                    {"planner", plan.planner},
                                    {"model_sha256", plan.model_sha256.hex()},
                                    {"chain_sha256", plan.chain_sha256.hex()},
                                    {"segments", std::move(segments)}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Plan> parse_plan(std::string_view json, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  TIDELINE_TRY(const std::int64_t version, map.integer("version", 0, 1'000'000));
  if (version != kVersion) return map.error("version", fmt::format("this build reads version {}, found {}", kVersion, version));
  Plan plan;
  TIDELINE_TRY(plan.planner, map.text("planner"));
  TIDELINE_TRY(plan.model_sha256, read_hash(map, "model_sha256"));
  TIDELINE_TRY(plan.chain_sha256, read_hash(map, "chain_sha256"));
  TIDELINE_TRY(const nlohmann::json* list, map.array("segments"));
  TIDELINE_CHECK_OK(map.finish());
  if (list->empty()) return map.error("segments", "a plan has at least one segment");
  if (list->size() > limits::kPlanHopsMax)
    return map.error("segments", fmt::format("at most {} segments, found {}", limits::kPlanHopsMax, list->size()));
  std::uint32_t next_block = 0;
  for (std::size_t i = 0; i < list->size(); ++i) {
    TIDELINE_TRY(PlanSegment segment, read_segment((*list)[i], name, i));
    if (segment.first_block != next_block)
      return map.error("segments",
                       fmt::format("segment {} begins with block {}, expected {}: together they cover every block once", i,
                                   segment.first_block, next_block));
    for (const PlanSegment& other : plan.segments)
      if (other.node == segment.node)
        return map.error("segments", fmt::format("node '{}' has two segments; a node has one", printable(segment.node)));
    next_block = segment.last_block + 1;
    plan.segments.push_back(std::move(segment));
  }
  return plan;
}

}  // namespace tideline
