#include "planner/parameter.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"
#include "base/units.h"

namespace tideline {
namespace {

using ParameterKind = Parameter::Kind;

constexpr std::string_view kParameterForms =
    "link:A-B:bandwidth, link:A-B:rtt, links:bandwidth, links:rtt, node:N:slowdown, load:N, deadline, limit:energy, "
    "limit:period, "
    "limit:upload or limit:accuracy";

Error no_parameter(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

Result<double> plain_number(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return no_parameter(fmt::format("'{}' is no {}", printable(text), what));
  return value;
}

std::optional<std::uint32_t> node_named(const SiteNames& names, std::string_view name) {
  const auto found = std::find(names.nodes.begin(), names.nodes.end(), name);
  if (found == names.nodes.end()) return std::nullopt;
  return static_cast<std::uint32_t>(found - names.nodes.begin());
}

// Names may hold a '-' themselves, so every one is tried.
std::optional<std::uint32_t> link_named(const SiteNames& names, std::string_view ends) {
  for (std::size_t dash = ends.find('-'); dash != std::string_view::npos; dash = ends.find('-', dash + 1)) {
    const auto from = node_named(names, ends.substr(0, dash));
    const auto to = node_named(names, ends.substr(dash + 1));
    if (!from || !to) continue;
    for (std::uint32_t link = 0; link < names.links.size(); ++link)
      if (names.links[link] == std::pair(*from, *to)) return link;
  }
  return std::nullopt;
}

std::string link_names(const SiteNames& names) {
  std::vector<std::string> list;
  for (const auto& [from, to] : names.links) list.push_back(names.nodes[from] + "-" + names.nodes[to]);
  return list.empty() ? "no links" : fmt::format("{}", fmt::join(list, ", "));
}

Result<ParameterKind> link_quantity(std::string_view word, std::string_view text) {
  if (word == "bandwidth") return ParameterKind::kBandwidth;
  if (word == "rtt") return ParameterKind::kRtt;
  return no_parameter(fmt::format("'{}': of a link the bandwidth or the rtt can change", printable(text)));
}

Result<Parameter> node_parameter(ParameterKind kind, std::string_view name, const SiteNames& names) {
  const auto node = node_named(names, name);
  if (!node)
    return no_parameter(fmt::format("no node is named '{}': there are {}", printable(name),
                                    printable(fmt::format("{}", fmt::join(names.nodes, ", ")))));
  return Parameter{.kind = kind, .index = node};
}

// Longer of a busy node: 1 / (1 - load).
double stretch_of(const std::vector<double>& loads, std::size_t node) { return node < loads.size() ? 1 / (1 - loads[node]) : 1; }

void stretch_device(Table& table, std::size_t device, double factor) {
  if (factor == 1) return;
  const std::size_t devices = table.devices.size();
  for (std::size_t i = device; i < table.runtime_ms.size(); i += devices) table.runtime_ms[i] *= factor;
  for (TableCodec& codec : table.codecs) {
    codec.encode_ms_per_mb[device] *= factor;
    codec.decode_ms_per_mb[device] *= factor;
  }
  for (TableExit& exit : table.exits) exit.runtime_ms[device] *= factor;
}

}  // namespace

SiteNames names_of(const Cluster& cluster) {
  SiteNames names;
  for (const Node& node : cluster.nodes) names.nodes.push_back(node.name);
  for (const Link& link : cluster.links)
    names.links.emplace_back(static_cast<std::uint32_t>(link.from), static_cast<std::uint32_t>(link.to));
  return names;
}

SiteNames names_of(const Table& table) {
  SiteNames names{.nodes = table.devices};
  for (std::uint32_t j = 0; j < table.links.size(); ++j)
    names.links.push_back(table.version == 1 ? std::pair(j, j + 1) : std::pair(table.links[j].from, table.links[j].to));
  return names;
}

Result<Parameter> parse_parameter(std::string_view text, const SiteNames& names) {
  if (text == "deadline") return Parameter{.kind = ParameterKind::kLimit, .limit = Objective::kLatency};
  const std::size_t colon = text.find(':');
  const std::string_view head = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (head == "limit" && !rest.empty()) {
    TIDELINE_TRY(const Objective limit, parse_objective(rest));
    return Parameter{.kind = ParameterKind::kLimit, .limit = limit};
  }
  if (head == "links" && !rest.empty()) {
    TIDELINE_TRY(const ParameterKind kind, link_quantity(rest, text));
    if (names.links.empty()) return no_parameter(fmt::format("'{}': there are no links", printable(text)));
    return Parameter{.kind = kind};
  }
  if (head == "load" && !rest.empty()) return node_parameter(ParameterKind::kLoad, rest, names);
  const std::size_t last = rest.rfind(':');
  if (last != std::string_view::npos && head == "node" && rest.substr(last + 1) == "slowdown")
    return node_parameter(ParameterKind::kSlowdown, rest.substr(0, last), names);
  if (last != std::string_view::npos && head == "link") {
    TIDELINE_TRY(const ParameterKind kind, link_quantity(rest.substr(last + 1), text));
    const auto link = link_named(names, rest.substr(0, last));
    if (!link)
      return no_parameter(
          fmt::format("no link is '{}': there are {}", printable(rest.substr(0, last)), printable(link_names(names), 400)));
    return Parameter{.kind = kind, .index = link};
  }
  return no_parameter(fmt::format("'{}' is nothing that can change: expected {}", printable(text), kParameterForms));
}

std::string to_string(const Parameter& parameter, const SiteNames& names) {
  const auto link = [&](std::string_view quantity) {
    if (!parameter.index) return fmt::format("links:{}", quantity);
    const auto& [from, to] = names.links[*parameter.index];
    return fmt::format("link:{}-{}:{}", names.nodes[from], names.nodes[to], quantity);
  };
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return link("bandwidth");
    case ParameterKind::kRtt: return link("rtt");
    case ParameterKind::kSlowdown: return fmt::format("node:{}:slowdown", names.nodes[*parameter.index]);
    case ParameterKind::kLoad: return "load:" + names.nodes[*parameter.index];
    case ParameterKind::kLimit:
      return parameter.limit == Objective::kLatency ? "deadline" : fmt::format("limit:{}", to_string(parameter.limit));
  }
  return "";
}

Result<double> parse_value(const Parameter& parameter, std::string_view text) {
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return parse_bandwidth_bytes_per_s(text);
    case ParameterKind::kRtt: {
      TIDELINE_TRY(const Millis time, parse_duration(text));
      return time.count();
    }
    case ParameterKind::kSlowdown: {
      TIDELINE_TRY(const double factor, plain_number(text, "factor, as in 2.5"));
      if (!(factor > 0 && factor <= 1e6))
        return no_parameter(fmt::format("'{}': a slowdown is above 0 and at most a million", printable(text)));
      return factor;
    }
    case ParameterKind::kLoad: {
      TIDELINE_TRY(const double share, plain_number(text, "share, as in 0.7"));
      if (!(share >= 0 && share <= kLoadMax))
        return no_parameter(fmt::format("'{}': a load is a share from 0 to {}", printable(text), kLoadMax));
      return share;
    }
    case ParameterKind::kLimit: {
      Limits limits;
      TIDELINE_CHECK_OK(add_limit(fmt::format("{}={}", to_string(parameter.limit), text), limits));
      return *limits.of(parameter.limit);
    }
  }
  return no_parameter("no such parameter");
}

std::string format_value(const Parameter& parameter, double value) {
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return format_bandwidth(value);
    case ParameterKind::kRtt: return format_millis(Millis{value});
    case ParameterKind::kSlowdown:
    case ParameterKind::kLoad: return fmt::format("{:.3g}", value);
    case ParameterKind::kLimit: return format_value(parameter.limit, value);
  }
  return "";
}

std::string_view unit_of(const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return "bit/s";
    case ParameterKind::kRtt: return "ms";
    case ParameterKind::kSlowdown: return "factor";
    case ParameterKind::kLoad: return "share";
    case ParameterKind::kLimit: break;
  }
  switch (parameter.limit) {
    case Objective::kLatency:
    case Objective::kPeriod: return "ms";
    case Objective::kEnergy: return "J";
    case Objective::kUpload: return "B";
    case Objective::kAccuracy: return "share";
  }
  return "";
}

double unit_factor(const Parameter& parameter) { return parameter.kind == ParameterKind::kBandwidth ? 8 : 1; }

Result<ParameterRange> parse_range(std::string_view text, const SiteNames& names) {
  // A name of a table's device may hold anything, so the last '=' counts.
  const std::size_t equals = text.rfind('=');
  const std::size_t dots = equals == std::string_view::npos ? equals : text.find("..", equals);
  if (dots == std::string_view::npos)
    return no_parameter(fmt::format("expected PARAMETER=FROM..TO, as in link:camera-gateway:bandwidth=1..100Mbit/s, found '{}'",
                                    printable(text)));
  TIDELINE_TRY(const Parameter parameter, parse_parameter(text.substr(0, equals), names));
  ParameterRange range{.parameter = parameter};
  const std::string_view last = text.substr(dots + 2);
  std::string first(text.substr(equals + 1, dots - equals - 1));
  TIDELINE_TRY(range.to, parse_value(parameter, last));
  if (!first.empty() && first.find_first_not_of("0123456789.") == std::string::npos)
    first += last.substr(std::min(last.find_first_not_of("0123456789.eE+-"), last.size()));
  TIDELINE_TRY(range.from, parse_value(parameter, first));
  if (!(range.from < range.to))
    return no_parameter(fmt::format("'{}' goes from {} to {}: the second must be above the first", printable(text),
                                    format_value(parameter, range.from), format_value(parameter, range.to)));
  if (parameter.kind == ParameterKind::kBandwidth && !(range.from > 0))
    return no_parameter(fmt::format("'{}': a bandwidth must be above 0", printable(text)));
  return range;
}

double coordinate_of(const Parameter& parameter, double value) {
  if (parameter.kind == ParameterKind::kBandwidth) return 1 / value;
  return parameter.kind == ParameterKind::kLoad ? 1 / (1 - value) : value;
}

double value_at(const Parameter& parameter, double coordinate) {
  if (parameter.kind == ParameterKind::kBandwidth) return 1 / coordinate;
  return parameter.kind == ParameterKind::kLoad ? 1 - 1 / coordinate : coordinate;
}

Cluster with_loads(Cluster idle, const std::vector<double>& loads) {
  for (std::size_t node = 0; node < idle.nodes.size(); ++node) idle.nodes[node].slowdown *= stretch_of(loads, node);
  return idle;
}

Table with_loads(Table idle, const std::vector<double>& loads) {
  for (std::size_t device = 0; device < idle.devices.size(); ++device) stretch_device(idle, device, stretch_of(loads, device));
  return idle;
}

Cluster with_parameter(const Cluster& idle, const std::vector<double>& loads, const Parameter& parameter, double value) {
  Cluster cluster = idle;
  std::vector<double> changed = loads;
  changed.resize(cluster.nodes.size());
  switch (parameter.kind) {
    case ParameterKind::kBandwidth:
      for (std::uint32_t link = 0; link < cluster.links.size(); ++link) {
        if (parameter.index && *parameter.index != link) continue;
        cluster.links[link].back_bytes_per_s *= value / cluster.links[link].bytes_per_s;
        cluster.links[link].bytes_per_s = value;
      }
      break;
    case ParameterKind::kRtt:
      for (std::uint32_t link = 0; link < cluster.links.size(); ++link)
        if (!parameter.index || *parameter.index == link) cluster.links[link].rtt = Millis{value};
      break;
    case ParameterKind::kSlowdown: cluster.nodes[*parameter.index].slowdown = value; break;
    case ParameterKind::kLoad: changed[*parameter.index] = value; break;
    case ParameterKind::kLimit: break;
  }
  return with_loads(std::move(cluster), changed);
}

Table with_parameter(const Table& idle, const std::vector<double>& loads, const Parameter& parameter, double value) {
  Table table = idle;
  std::vector<double> changed = loads;
  changed.resize(table.devices.size());
  switch (parameter.kind) {
    case ParameterKind::kBandwidth:
      for (std::uint32_t link = 0; link < table.links.size(); ++link) {
        if (parameter.index && *parameter.index != link) continue;
        table.links[link].back_bytes_per_s *= value / table.links[link].bytes_per_s;
        table.links[link].bytes_per_s = value;
      }
      break;
    case ParameterKind::kRtt:
      for (std::uint32_t link = 0; link < table.links.size(); ++link)
        if (!parameter.index || *parameter.index == link) table.links[link].rtt_ms = value;
      break;
    case ParameterKind::kSlowdown: stretch_device(table, *parameter.index, value); break;
    case ParameterKind::kLoad: changed[*parameter.index] = value; break;
    case ParameterKind::kLimit: break;
  }
  return with_loads(std::move(table), changed);
}

Question with_parameter(Question question, const Parameter& parameter, double value) {
  if (parameter.kind == ParameterKind::kLimit) question.limits.by[static_cast<std::size_t>(parameter.limit)] = value;
  return question;
}

std::optional<double> current_value(const Cluster& idle, const std::vector<double>& loads, const Question& question,
                                    const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return idle.links[parameter.index.value_or(0)].bytes_per_s;
    case ParameterKind::kRtt: return idle.links[parameter.index.value_or(0)].rtt.count();
    case ParameterKind::kSlowdown: return idle.nodes[*parameter.index].slowdown;
    case ParameterKind::kLoad: return *parameter.index < loads.size() ? loads[*parameter.index] : 0;
    case ParameterKind::kLimit: return question.limits.of(parameter.limit);
  }
  return std::nullopt;
}

std::optional<double> current_value(const Table& idle, const std::vector<double>& loads, const Question& question,
                                    const Parameter& parameter) {
  switch (parameter.kind) {
    case ParameterKind::kBandwidth: return idle.links[parameter.index.value_or(0)].bytes_per_s;
    case ParameterKind::kRtt: return idle.links[parameter.index.value_or(0)].rtt_ms;
    case ParameterKind::kSlowdown: return 1;
    case ParameterKind::kLoad: return *parameter.index < loads.size() ? loads[*parameter.index] : 0;
    case ParameterKind::kLimit: return question.limits.of(parameter.limit);
  }
  return std::nullopt;
}

}  // namespace tideline
