#include "plan/plan.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include "codec/codec.h"

namespace tideline {
namespace {

constexpr std::int64_t kVersionMax = 2;

Result<Sha256> read_hash(JsonMap& map, std::string_view key) {
  TIDELINE_TRY(const std::string hex, map.text(key));
  const auto hash = parse_sha256(hex);
  if (!hash) return map.error(key, hash.error().message);
  return *hash;
}

Result<std::vector<std::string>> read_names(JsonMap& map, std::string_view key, std::size_t max, std::size_t bytes_max) {
  TIDELINE_TRY(const nlohmann::json* list, map.array(key));
  if (list->size() > max) return map.error(key, fmt::format("at most {} entries, found {}", max, list->size()));
  std::vector<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const nlohmann::json& entry = (*list)[i];
    if (!entry.is_string()) return map.error(fmt::format("{}[{}]", key, i), "expected text");
    names.push_back(entry.get<std::string>());
    if (names.back().empty() || names.back().size() > bytes_max)
      return map.error(fmt::format("{}[{}]", key, i), fmt::format("a name has 1 to {} characters", bytes_max));
  }
  return names;
}

// Up a link or back down the one that the request came by, and back at the start in the end. Whether the links are there, only a
// cluster says.
Status check_route(const JsonMap& map, const std::vector<std::string>& route) {
  if (route.empty()) return map.error("route", "a route begins at the source: at least one name");
  std::vector<std::string_view> path{route[0]};
  for (std::size_t i = 1; i < route.size(); ++i) {
    if (path.size() > 1 && path[path.size() - 2] == route[i]) {
      path.pop_back();
      continue;
    }
    const std::string at = fmt::format("route[{}]", i);
    if (std::find(path.begin(), path.end(), route[i]) != path.end())
      return map.error(at,
                       fmt::format("'{}' is where the request came through, but not the node before '{}': a request goes up a "
                                   "link or back down the one that it came by",
                                   printable(route[i]), printable(route[i - 1])));
    path.push_back(route[i]);
    if (path.size() > limits::kPlanHopsMax) return map.error(at, fmt::format("more than {} nodes deep", limits::kPlanHopsMax));
  }
  if (path.size() > 1)
    return map.error("route", fmt::format("it ends at '{}', but a result returns to the source, '{}'", printable(route.back()),
                                          printable(route.front())));
  return {};
}

Result<PlanSegment> read_segment(const nlohmann::json& json, std::string_view name, std::size_t index, const Plan& plan) {
  constexpr auto kBlockMax = static_cast<std::int64_t>(limits::kOpsMax);
  JsonMap map(json, std::string(name), fmt::format("segments[{}]", index));
  PlanSegment segment;
  if (!plan.route.empty()) {
    TIDELINE_TRY(const std::int64_t at, map.integer("at", 0, static_cast<std::int64_t>(plan.route.size()) - 1));
    segment.at = static_cast<std::uint32_t>(at);
  }
  TIDELINE_TRY(segment.node, map.text("node"));
  if (!is_name(segment.node)) return map.error("node", fmt::format("a node's name is {}", kNameRule));
  TIDELINE_TRY(const std::int64_t first, map.integer("first_block", 0, kBlockMax));
  TIDELINE_TRY(const std::int64_t last, map.integer("last_block", 0, kBlockMax));
  TIDELINE_CHECK_OK(map.finish());
  if (last < first) return map.error("last_block", fmt::format("{} lies before first_block {}", last, first));
  segment.first_block = static_cast<std::uint32_t>(first);
  segment.last_block = static_cast<std::uint32_t>(last);
  if (!plan.route.empty() && segment.node != plan.route[segment.at])
    return map.error("node", fmt::format("the route is at '{}' there, not at '{}'", printable(plan.route[segment.at]),
                                         printable(segment.node)));
  if (!plan.route.empty() && !plan.segments.empty() && segment.at <= plan.segments.back().at)
    return map.error("at", fmt::format("{} does not come after {}: segments stand in the order of the route", segment.at,
                                       plan.segments.back().at));
  return segment;
}

Status read_segments(JsonMap& map, const nlohmann::json& list, std::string_view name, Plan& plan) {
  const std::size_t max = plan.route.empty() ? limits::kPlanHopsMax : limits::kPlanStagesMax;
  if (list.empty()) return map.error("segments", "a plan has at least one segment");
  if (list.size() > max) return map.error("segments", fmt::format("at most {} segments, found {}", max, list.size()));
  std::uint32_t next_block = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    TIDELINE_TRY(PlanSegment segment, read_segment(list[i], name, i, plan));
    if (segment.first_block != next_block)
      return map.error("segments",
                       fmt::format("segment {} begins with block {}, expected {}: together they cover every block once", i,
                                   segment.first_block, next_block));
    if (plan.route.empty())
      for (const PlanSegment& other : plan.segments)
        if (other.node == segment.node)
          return map.error("segments",
                           fmt::format("node '{}' has two segments; in version 1 a node has one", printable(segment.node)));
    next_block = segment.last_block + 1;
    plan.segments.push_back(std::move(segment));
  }
  return {};
}

}  // namespace

std::string_view to_string(ResultTo result_to) { return result_to == ResultTo::kNowhere ? "nowhere" : "source"; }

Result<ResultTo> result_to_from(std::string_view word) {
  for (const ResultTo known : {ResultTo::kSource, ResultTo::kNowhere})
    if (word == to_string(known)) return known;
  return Error{ErrorCode::kInvalidArgument, fmt::format("a result goes to 'source' or 'nowhere', not to '{}'", printable(word))};
}

std::string write_plan(const Plan& plan) {
  const bool has_route = !plan.route.empty();
  nlohmann::ordered_json segments = nlohmann::ordered_json::array();
  for (const PlanSegment& segment : plan.segments) {
    nlohmann::ordered_json entry;
    if (has_route) entry["at"] = segment.at;
    entry["node"] = segment.node;
    entry["first_block"] = segment.first_block;
    entry["last_block"] = segment.last_block;
    segments.push_back(std::move(entry));
  }
  nlohmann::ordered_json json{{"version", has_route ? 2 : 1},
                              {"planner", plan.planner},
                              {"model_sha256", plan.model_sha256.hex()},
                              {"chain_sha256", plan.chain_sha256.hex()}};
  if (has_route) json["route"] = plan.route;
  if (has_route && !plan.codecs.empty()) json["codecs"] = plan.codecs;
  json["segments"] = std::move(segments);
  if (has_route && plan.tolerance) json["tolerance"] = *plan.tolerance;
  if (plan.exit) json["exit"] = *plan.exit;
  if (plan.result_to != ResultTo::kSource) json["result_to"] = to_string(plan.result_to);
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Plan> parse_plan(std::string_view json, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  TIDELINE_TRY(const std::int64_t version, map.integer("version", 0, 1'000'000));
  if (version < 1 || version > kVersionMax)
    return map.error("version", fmt::format("this build reads versions 1 and {}, found {}", kVersionMax, version));
  Plan plan;
  TIDELINE_TRY(plan.planner, map.text("planner"));
  TIDELINE_TRY(plan.model_sha256, read_hash(map, "model_sha256"));
  TIDELINE_TRY(plan.chain_sha256, read_hash(map, "chain_sha256"));
  TIDELINE_TRY(const nlohmann::json* list, map.array("segments"));
  if (version > 1) {
    TIDELINE_TRY(plan.route, read_names(map, "route", limits::kPlanStagesMax, limits::kNodeNameBytesMax));
    for (const std::string& node : plan.route)
      if (!is_name(node)) return map.error("route", fmt::format("a node's name is {}", kNameRule));
    TIDELINE_CHECK_OK(check_route(map, plan.route));
    if (map.has("codecs")) {
      TIDELINE_TRY(plan.codecs, read_names(map, "codecs", limits::kPlanStagesMax, limits::kCodecNameBytesMax));
      if (!plan.codecs.empty() && plan.codecs.size() + 1 != plan.route.size())
        return map.error("codecs", fmt::format("one for each of the {} moves of the route, or none; found {}",
                                               plan.route.size() - 1, plan.codecs.size()));
      for (const std::string& codec : plan.codecs)
        if (const auto found = find_codec(codec); !found) return map.error("codecs", found.error().message);
    }
    if (map.has("tolerance")) {
      TIDELINE_TRY(plan.tolerance, map.number("tolerance", {.min = 0}));
    }
  }
  if (map.has("exit")) {
    TIDELINE_TRY(plan.exit, map.text("exit"));
    if (plan.exit->empty() || plan.exit->size() > limits::kNameBytesMax)
      return map.error("exit", fmt::format("an output's name has 1 to {} characters", limits::kNameBytesMax));
  }
  if (map.has("result_to")) {
    TIDELINE_TRY(const std::string word, map.text("result_to"));
    const auto result_to = result_to_from(word);
    if (!result_to) return map.error("result_to", result_to.error().message);
    plan.result_to = *result_to;
  }
  TIDELINE_CHECK_OK(map.finish());
  TIDELINE_CHECK_OK(read_segments(map, *list, name, plan));
  return plan;
}

}  // namespace tideline
