#include "planner/table.h"

#include <algorithm>
#include <queue>

#include <fmt/format.h>

#include "base/check.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "cost/cost.h"
#include "platform/files.h"

namespace tideline {
namespace {

// Bounds that keep every sum and quotient finite: a petasecond, an exabyte, a byte in eleven days.
constexpr double kTimeMsMax = 1e15;
constexpr double kBytesMax = 1e18;
constexpr double kBytesPerSecondMin = 1e-6;
constexpr double kBytesPerSecondMax = 1e18;
constexpr std::size_t kEdgesMax = 4 * limits::kOpsMax;

Status read_devices(JsonMap& map, Table& table) {
  TIDELINE_TRY(const nlohmann::json* list, map.array("devices"));
  if (list->empty()) return map.error("devices", "at least one device is needed");
  if (list->size() > limits::kPlanHopsMax)
    return map.error("devices", fmt::format("at most {} devices, found {}", limits::kPlanHopsMax, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string key = fmt::format("devices[{}]", i);
    if (!(*list)[i].is_string()) return map.error(key, "expected a name");
    std::string name = (*list)[i].get<std::string>();
    if (name.empty() || name.size() > limits::kNameBytesMax) return map.error(key, "a name is not empty");
    if (std::find(table.devices.begin(), table.devices.end(), name) != table.devices.end())
      return map.error(key, fmt::format("the name '{}' appears twice", printable(name)));
    table.devices.push_back(std::move(name));
  }
  return {};
}

Status read_links(JsonMap& map, Table& table) {
  const std::size_t wanted = table.devices.size() - 1;
  if (wanted == 0 && !map.has("links")) return {};
  TIDELINE_TRY(const nlohmann::json* list, map.array("links"));
  if (list->size() != wanted)
    return map.error("links", fmt::format("{} devices need {} links, found {}", table.devices.size(), wanted, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    JsonMap entry((*list)[i], map.file(), fmt::format("links[{}]", i));
    TableLink link;
    TIDELINE_TRY(link.bytes_per_s, entry.number("bytes_per_s", {.min = 0, .max = kBytesPerSecondMax, .min_is_excluded = true}));
    if (link.bytes_per_s < kBytesPerSecondMin)
      return entry.error("bytes_per_s", fmt::format("expected {} or more", kBytesPerSecondMin));
    TIDELINE_TRY(link.rtt_ms, entry.number_or("rtt_ms", 0, {.min = 0, .max = kTimeMsMax}));
    TIDELINE_CHECK_OK(entry.finish());
    table.links.push_back(link);
  }
  return {};
}

Status read_ops(JsonMap& map, Table& table) {
  TIDELINE_TRY(const nlohmann::json* list, map.array("ops"));
  if (list->empty()) return map.error("ops", "at least one op is needed");
  if (list->size() > limits::kOpsMax)
    return map.error("ops", fmt::format("at most {} ops, found {}", limits::kOpsMax, list->size()));
  table.runtime_ms.reserve(list->size() * table.devices.size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    JsonMap entry((*list)[i], map.file(), fmt::format("ops[{}]", i));
    TIDELINE_TRY(std::string name, entry.text_or("name", fmt::format("op{}", i)));
    TIDELINE_TRY(const std::vector<double> runtime, entry.numbers("runtime_ms", {.min = 0, .max = kTimeMsMax}));
    if (runtime.size() != table.devices.size())
      return entry.error("runtime_ms",
                         fmt::format("expected one time for each of {} devices, found {}", table.devices.size(), runtime.size()));
    TIDELINE_TRY(const double output, entry.number("output_bytes", {.min = 0, .max = kBytesMax}));
    TIDELINE_TRY(const double memory, entry.number_or("memory_bytes", 0, {.min = 0, .max = kBytesMax}));
    TIDELINE_CHECK_OK(entry.finish());
    table.op_names.push_back(std::move(name));
    table.runtime_ms.insert(table.runtime_ms.end(), runtime.begin(), runtime.end());
    table.output_bytes.push_back(output);
    table.memory_bytes.push_back(memory);
  }
  return {};
}

Status read_edges(JsonMap& map, Table& table) {
  const std::uint32_t n = table.op_count();
  if (!map.has("edges")) {
    for (std::uint32_t i = 1; i < n; ++i) table.edges.emplace_back(i - 1, i);
    return {};
  }
  TIDELINE_TRY(const nlohmann::json* list, map.array("edges"));
  if (list->size() > kEdgesMax) return map.error("edges", fmt::format("at most {} edges, found {}", kEdgesMax, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string key = fmt::format("edges[{}]", i);
    const nlohmann::json& edge = (*list)[i];
    if (!edge.is_array() || edge.size() != 2) return map.error(key, "expected [from, to]");
    std::uint32_t ends[2] = {0, 0};
    for (std::size_t k = 0; k < 2; ++k) {
      if (!edge[k].is_number_unsigned() || edge[k].get<std::uint64_t>() >= n)
        return map.error(key, fmt::format("expected the index of an op, 0 to {}", n - 1));
      ends[k] = edge[k].get<std::uint32_t>();
    }
    if (ends[0] == ends[1]) return map.error(key, "an op cannot follow itself");
    table.edges.emplace_back(ends[0], ends[1]);
  }
  std::sort(table.edges.begin(), table.edges.end());
  const auto twice = std::adjacent_find(table.edges.begin(), table.edges.end());
  if (twice != table.edges.end()) return map.error("edges", fmt::format("[{}, {}] appears twice", twice->first, twice->second));
  return {};
}

// Kahn's algorithm, the lowest ready op first, so that the order is the file's wherever the file's is possible.
Status set_order(const JsonMap& map, Table& table) {
  const std::uint32_t n = table.op_count();
  std::vector<std::uint32_t> waiting(n, 0);
  std::vector<std::size_t> first(n + 1, 0);
  for (const auto& [from, to] : table.edges) {
    ++waiting[to];
    ++first[from + 1];
  }
  for (std::uint32_t i = 0; i < n; ++i) first[i + 1] += first[i];
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t i = 0; i < n; ++i)
    if (waiting[i] == 0) ready.push(i);
  while (!ready.empty()) {
    const std::uint32_t op = ready.top();
    ready.pop();
    table.order.push_back(op);
    for (std::size_t e = first[op]; e < first[op + 1]; ++e)
      if (--waiting[table.edges[e].second] == 0) ready.push(table.edges[e].second);
  }
  if (table.order.size() != n) return map.error("edges", "they form a cycle");
  table.is_chain = table.edges.size() + 1 == n;
  std::vector<std::uint32_t> position(n, 0);
  for (std::uint32_t i = 0; i < n; ++i) position[table.order[i]] = i;
  for (const auto& [from, to] : table.edges) table.is_chain = table.is_chain && position[from] + 1 == position[to];
  return {};
}

}  // namespace

Result<Table> parse_table(std::string_view json, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(json, name));
  JsonMap map(document, std::string(name), "");
  Table table;
  TIDELINE_CHECK_OK(read_devices(map, table));
  TIDELINE_CHECK_OK(read_links(map, table));
  TIDELINE_CHECK_OK(read_ops(map, table));
  TIDELINE_CHECK_OK(read_edges(map, table));
  TIDELINE_TRY(table.input_bytes, map.number("input_bytes", {.min = 0, .max = kBytesMax}));
  TIDELINE_TRY(table.result_bytes, map.number_or("result_bytes", table.output_bytes.back(), {.min = 0, .max = kBytesMax}));
  TIDELINE_CHECK_OK(map.finish());
  TIDELINE_CHECK_OK(set_order(map, table));
  return table;
}

Result<Table> load_table(const std::string& path) {
  TIDELINE_TRY(const std::string text, read_file(path, limits::kConfigFileBytesMax));
  return parse_table(text, path);
}

Result<TableValue> table_value(const Table& table, std::span<const std::uint32_t> devices) {
  const std::uint32_t n = table.op_count();
  TIDELINE_CHECK(devices.size() == n);
  TableValue value;
  std::uint32_t highest = 0;
  // The highest device at which each op's output is needed; at first, its own.
  std::vector<std::uint32_t> needed(devices.begin(), devices.end());
  std::vector<bool> has_predecessor(n, false);
  for (std::uint32_t i = 0; i < n; ++i) {
    TIDELINE_CHECK(devices[i] < table.device_count());
    value.compute_ms += table.runtime(i, devices[i]);
    highest = std::max(highest, devices[i]);
  }
  for (const auto& [from, to] : table.edges) {
    if (devices[to] < devices[from])
      return Error{ErrorCode::kInvalidArgument, fmt::format("[table] the edge from op {} to op {} goes back from device {} to {}",
                                                            from, to, devices[from], devices[to])};
    needed[from] = std::max(needed[from], devices[to]);
    has_predecessor[to] = true;
  }
  std::vector<double> crossing(table.links.size(), 0);
  std::uint32_t input_needed = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    if (!has_predecessor[i]) input_needed = std::max(input_needed, devices[i]);
    for (std::uint32_t j = devices[i]; j < needed[i]; ++j) crossing[j] += table.output_bytes[i];
  }
  for (std::uint32_t j = 0; j < input_needed; ++j) crossing[j] += table.input_bytes;
  for (std::uint32_t j = 0; j < highest; ++j)
    for (const double bytes : {crossing[j], table.result_bytes})
      value.transfer_ms += move_time(bytes, table.links[j].bytes_per_s, Millis{table.links[j].rtt_ms}, Millis{0}).count();
  value.latency_ms = value.compute_ms + value.transfer_ms;
  return value;
}

}  // namespace tideline
