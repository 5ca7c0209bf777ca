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

// A device of version 2: its name, its memory and its power.
Result<std::string> read_device(const nlohmann::json& json, const std::string& file, const std::string& key, Table& table) {
  JsonMap entry(json, file, key);
  TIDELINE_TRY(std::string name, entry.text("name"));
  std::optional<double>& memory = table.device_memory_bytes.emplace_back();
  if (entry.has("memory_bytes")) {
    TIDELINE_TRY(memory, entry.number("memory_bytes", {.min = 0, .max = limits::kTableBytesMax}));
  }
  TablePower power;
  bool has_power = false;
  for (const auto& [number, to] : {std::pair{"compute_w", &power.compute_w}, std::pair{"transmit_w", &power.transmit_w},
                                   std::pair{"receive_w", &power.receive_w}, std::pair{"idle_w", &power.idle_w}}) {
    has_power = has_power || entry.has(number);
    TIDELINE_TRY(*to, entry.number_or(number, 0, {.min = 0, .max = limits::kTableWattsMax}));
  }
  table.power.emplace_back(has_power ? std::optional(power) : std::nullopt);
  TIDELINE_CHECK_OK(entry.finish());
  return name;
}

Status read_devices(JsonMap& map, Table& table) {
  TIDELINE_TRY(const nlohmann::json* list, map.array("devices"));
  if (list->empty()) return map.error("devices", "at least one device is needed");
  const std::size_t most = table.version == 2 ? limits::kClusterNodesMax : limits::kPlanHopsMax;
  if (list->size() > most) return map.error("devices", fmt::format("at most {} devices, found {}", most, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string key = fmt::format("devices[{}]", i);
    std::string name;
    if (table.version == 2) {
      TIDELINE_TRY(name, read_device((*list)[i], map.file(), key, table));
    } else {
      if (!(*list)[i].is_string()) return map.error(key, "expected a name");
      name = (*list)[i].get<std::string>();
    }
    if (name.empty() || name.size() > limits::kNameBytesMax) return map.error(key, "a name is not empty");
    if (std::find(table.devices.begin(), table.devices.end(), name) != table.devices.end())
      return map.error(key, fmt::format("the name '{}' appears twice", printable(name)));
    table.devices.push_back(std::move(name));
  }
  return {};
}

Result<double> read_bandwidth(JsonMap& entry, const char* key) {
  TIDELINE_TRY(const double bandwidth,
               entry.number(key, {.min = 0, .max = limits::kTableBytesPerSecondMax, .min_is_excluded = true}));
  if (bandwidth < limits::kTableBytesPerSecondMin)
    return entry.error(key, fmt::format("expected {} or more", limits::kTableBytesPerSecondMin));
  return bandwidth;
}

// Links of version 2 join any two devices.
Status read_site(JsonMap& map, Table& table) {
  const auto m = static_cast<std::int64_t>(table.devices.size());
  TIDELINE_TRY(const std::int64_t source, map.integer_or("source", 0, 0, m - 1));
  table.source = static_cast<std::uint32_t>(source);
  if (m == 1 && !map.has("links")) return {};
  TIDELINE_TRY(const nlohmann::json* list, map.array("links"));
  if (list->size() > limits::kTableLinksMax)
    return map.error("links", fmt::format("at most {} links, found {}", limits::kTableLinksMax, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    JsonMap entry((*list)[i], map.file(), fmt::format("links[{}]", i));
    TableLink link;
    TIDELINE_TRY(const std::int64_t from, entry.integer("from", 0, m - 1));
    TIDELINE_TRY(const std::int64_t to, entry.integer("to", 0, m - 1));
    if (from == to) return entry.error("to", "a link joins two different devices");
    link.from = static_cast<std::uint32_t>(from);
    link.to = static_cast<std::uint32_t>(to);
    TIDELINE_TRY(link.bytes_per_s, read_bandwidth(entry, "bytes_per_s"));
    link.back_bytes_per_s = link.bytes_per_s;
    if (entry.has("back_bytes_per_s")) {
      TIDELINE_TRY(link.back_bytes_per_s, read_bandwidth(entry, "back_bytes_per_s"));
    }
    TIDELINE_TRY(link.rtt_ms, entry.number_or("rtt_ms", 0, {.min = 0, .max = limits::kTableTimeMsMax}));
    TIDELINE_TRY(link.metered, entry.boolean_or("metered", true));
    TIDELINE_CHECK_OK(entry.finish());
    table.links.push_back(link);
  }
  std::vector<bool> reached(table.devices.size(), false);
  std::vector<std::uint32_t> waiting{table.source};
  reached[table.source] = true;
  std::vector<std::vector<std::uint32_t>> next(table.devices.size());
  for (const TableLink& link : table.links) {
    next[link.from].push_back(link.to);
    next[link.to].push_back(link.from);
  }
  while (!waiting.empty()) {
    const std::uint32_t at = waiting.back();
    waiting.pop_back();
    for (const std::uint32_t to : next[at]) {
      if (!reached[to]) waiting.push_back(to);
      reached[to] = true;
    }
  }
  const auto lost = std::find(reached.begin(), reached.end(), false);
  if (lost == reached.end()) return {};
  return map.error("links", fmt::format("no way leads from '{}' to '{}': add a link, or leave the device out",
                                        printable(table.devices[table.source]),
                                        printable(table.devices[static_cast<std::size_t>(lost - reached.begin())])));
}

Result<std::vector<double>> read_each(JsonMap& entry, const char* key, const Table& table) {
  TIDELINE_TRY(std::vector<double> numbers, entry.numbers(key, {.min = 0, .max = limits::kTableTimeMsMax}));
  if (numbers.size() != table.devices.size())
    return entry.error(key,
                       fmt::format("expected one number for each of {} devices, found {}", table.devices.size(), numbers.size()));
  return numbers;
}

Status read_codecs(JsonMap& map, Table& table) {
  if (!map.has("codecs")) return {};
  TIDELINE_TRY(const nlohmann::json* list, map.array("codecs"));
  if (list->size() > limits::kTableCodecsMax)
    return map.error("codecs", fmt::format("at most {} codecs, found {}", limits::kTableCodecsMax, list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    JsonMap entry((*list)[i], map.file(), fmt::format("codecs[{}]", i));
    TableCodec codec;
    TIDELINE_TRY(codec.name, entry.text("name"));
    if (codec.name.empty() || codec.name.size() > limits::kNameBytesMax) return entry.error("name", "a name is not empty");
    const auto is_known = [&](const TableCodec& other) { return other.name == codec.name; };
    if (codec.name == "raw" || std::any_of(table.codecs.begin(), table.codecs.end(), is_known))
      return entry.error("name", fmt::format("there is a codec '{}' already", printable(codec.name)));
    TIDELINE_TRY(codec.ratio, entry.number("ratio", {.min = 0, .max = limits::kTableRatioMax}));
    TIDELINE_TRY(codec.encode_ms_per_mb, read_each(entry, "encode_ms_per_mb", table));
    TIDELINE_TRY(codec.decode_ms_per_mb, read_each(entry, "decode_ms_per_mb", table));
    TIDELINE_TRY(codec.accuracy_loss, entry.number_or("accuracy_loss", 0, {.min = 0, .max = 1}));
    TIDELINE_CHECK_OK(entry.finish());
    table.codecs.push_back(std::move(codec));
  }
  return {};
}

Status read_exits(JsonMap& map, Table& table) {
  if (!map.has("exits")) return {};
  TIDELINE_TRY(const nlohmann::json* list, map.array("exits"));
  if (list->size() > table.op_names.size())
    return map.error("exits", fmt::format("at most one for each of {} ops, found {}", table.op_names.size(), list->size()));
  for (std::size_t i = 0; i < list->size(); ++i) {
    JsonMap entry((*list)[i], map.file(), fmt::format("exits[{}]", i));
    TableExit exit;
    TIDELINE_TRY(const std::int64_t after, entry.integer("after_op", 0, static_cast<std::int64_t>(table.op_names.size()) - 1));
    exit.after_op = static_cast<std::uint32_t>(after);
    TIDELINE_TRY(exit.runtime_ms, read_each(entry, "runtime_ms", table));
    TIDELINE_TRY(exit.accuracy, entry.number("accuracy", {.min = 0, .max = 1}));
    TIDELINE_TRY(exit.result_bytes,
                 entry.number_or("result_bytes", table.result_bytes, {.min = 0, .max = limits::kTableBytesMax}));
    TIDELINE_CHECK_OK(entry.finish());
    table.exits.push_back(std::move(exit));
  }
  return {};
}

// What version 2 has beside devices, links and ops.
Status read_rest(JsonMap& map, Table& table) {
  TIDELINE_TRY(table.accuracy, map.number_or("accuracy", 1, {.min = 0, .max = 1}));
  TIDELINE_TRY(const std::int64_t keep, map.integer_or("keep_on_source", 0, 0, static_cast<std::int64_t>(table.op_names.size())));
  table.keep_on_source = static_cast<std::uint32_t>(keep);
  TIDELINE_CHECK_OK(read_codecs(map, table));
  return read_exits(map, table);
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
    TIDELINE_TRY(link.bytes_per_s, read_bandwidth(entry, "bytes_per_s"));
    TIDELINE_TRY(link.rtt_ms, entry.number_or("rtt_ms", 0, {.min = 0, .max = limits::kTableTimeMsMax}));
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
    TIDELINE_TRY(const std::vector<double> runtime, entry.numbers("runtime_ms", {.min = 0, .max = limits::kTableTimeMsMax}));
    if (runtime.size() != table.devices.size())
      return entry.error("runtime_ms",
                         fmt::format("expected one time for each of {} devices, found {}", table.devices.size(), runtime.size()));
    TIDELINE_TRY(const double output, entry.number("output_bytes", {.min = 0, .max = limits::kTableBytesMax}));
    TIDELINE_TRY(const double memory, entry.number_or("memory_bytes", 0, {.min = 0, .max = limits::kTableBytesMax}));
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
  if (list->size() > limits::kTableEdgesMax)
    return map.error("edges", fmt::format("at most {} edges, found {}", limits::kTableEdgesMax, list->size()));
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
  TIDELINE_TRY(const std::int64_t version, map.integer_or("version", 1, 1, 2));
  table.version = static_cast<int>(version);
  TIDELINE_CHECK_OK(read_devices(map, table));
  TIDELINE_CHECK_OK(table.version == 2 ? read_site(map, table) : read_links(map, table));
  TIDELINE_CHECK_OK(read_ops(map, table));
  TIDELINE_CHECK_OK(read_edges(map, table));
  TIDELINE_TRY(table.input_bytes, map.number("input_bytes", {.min = 0, .max = limits::kTableBytesMax}));
  TIDELINE_TRY(table.result_bytes,
               map.number_or("result_bytes", table.output_bytes.back(), {.min = 0, .max = limits::kTableBytesMax}));
  if (table.version == 2) TIDELINE_CHECK_OK(read_rest(map, table));
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
