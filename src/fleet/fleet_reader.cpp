#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"
#include "base/yaml.h"
#include "fleet/fleet.h"
#include "platform/files.h"

namespace tideline::fleet {
namespace {

constexpr double kShareTolerance = 1e-6;
constexpr std::array<std::string_view, 3> kKindNames{"paper", "extended", "queueing"};
constexpr std::array<std::string_view, 3> kDropNames{"none", "oldest", "newest"};

template <std::size_t N>
Result<std::size_t> one_of(const YamlNode& yaml, const std::array<std::string_view, N>& names) {
  TIDELINE_TRY(const std::string text, yaml.text());
  for (std::size_t i = 0; i < N; ++i)
    if (text == names[i]) return i;
  const std::string_view near = nearest(text, names);
  return yaml.error(near.empty() ? fmt::format("expected {}, found '{}'", fmt::join(names, " or "), printable(text))
                                 : fmt::format("unknown '{}'; did you mean '{}'?", printable(text), near));
}

Result<std::string> read_name(const YamlNode& yaml) {
  TIDELINE_TRY(std::string name, yaml.text());
  if (!is_name(name)) return yaml.error(fmt::format("a name is {}, found '{}'", kNameRule, printable(name)));
  return name;
}

Result<std::size_t> read_node(const YamlNode& yaml, std::string_view text, const Cluster& cluster) {
  const std::size_t node = node_index(cluster, text);
  if (node < cluster.nodes.size()) return node;
  std::vector<std::string_view> names;
  for (const Node& each : cluster.nodes) names.push_back(each.name);
  const std::string_view near = nearest(text, names);
  return yaml.error(near.empty()
                        ? fmt::format("no node of the cluster is named '{}'", printable(text))
                        : fmt::format("no node of the cluster is named '{}'; did you mean '{}'?", printable(text), near));
}

Result<FleetModel> read_model(const YamlNode& yaml, const std::vector<FleetModel>& before, const Cluster& cluster) {
  TIDELINE_TRY(YamlMap map, yaml.map());
  FleetModel model;
  const YamlNode name = map.required("name");
  TIDELINE_TRY(model.name, read_name(name));
  for (const FleetModel& other : before)
    if (other.name == model.name) return name.error(fmt::format("the model '{}' appears twice", model.name));
  const YamlNode file = map.required("file");
  TIDELINE_TRY(model.file, file.text());
  if (model.file.empty()) return file.error("expected the name of an .onnx file");
  TIDELINE_TRY(model.config, map.optional("config").text_or(""));
  TIDELINE_TRY(model.input, map.optional("input").text_or(""));
  if (const YamlNode frames = map.optional("frames"); frames.present()) {
    TIDELINE_TRY(const std::string from, frames.text());
    if (from != "stdin") return frames.error(fmt::format("expected stdin, or no such key, found '{}'", printable(from)));
    for (const FleetModel& other : before)
      if (other.is_live) return frames.error(fmt::format("the frames of model '{}' come on standard input already", other.name));
    model.is_live = true;
  }
  if (const YamlNode profiles = map.optional("profiles"); profiles.present()) {
    if (auto by_node = profiles.map()) {
      for (const auto& [node, value] : by_node->entries()) {
        TIDELINE_TRY([[maybe_unused]] const std::size_t known, read_node(value, node, cluster));
        TIDELINE_TRY(model.profiles[node], value.text());
      }
    } else {
      TIDELINE_TRY(model.profile, profiles.text());
    }
  }
  TIDELINE_CHECK_OK(map.finish());
  return model;
}

Result<std::vector<FleetSource>> read_sources(const YamlNode& yaml, const Cluster& cluster) {
  std::vector<FleetSource> sources;
  const auto check_way = [&](const YamlNode& at, std::size_t node) -> Status {
    if (const auto way = way_of(cluster, node); !way) return at.error(way.error().message);
    return {};
  };
  auto shares = yaml.map();
  if (!shares) {
    TIDELINE_TRY(const std::string text, yaml.text());
    TIDELINE_TRY(const std::size_t node, read_node(yaml, text, cluster));
    TIDELINE_CHECK_OK(check_way(yaml, node));
    return std::vector<FleetSource>{{.node = node}};
  }
  const auto entries = shares->entries();
  if (entries.empty() || entries.size() > limits::kFleetSourcesMax)
    return yaml.error(
        fmt::format("expected 1 to {} nodes with their shares, found {}", limits::kFleetSourcesMax, entries.size()));
  double total = 0;
  for (const auto& [name, value] : entries) {
    FleetSource source;
    TIDELINE_TRY(source.node, read_node(value, name, cluster));
    TIDELINE_CHECK_OK(check_way(value, source.node));
    TIDELINE_TRY(source.share, value.number());
    if (!(source.share > 0 && source.share <= 1))
      return value.error(fmt::format("a share is above 0 and at most 1, found {}", source.share));
    total += source.share;
    sources.push_back(source);
  }
  if (std::abs(total - 1) > kShareTolerance)
    return yaml.error(fmt::format("the shares add up to {:.6g}; write shares that add up to 1", total));
  std::sort(sources.begin(), sources.end(), [](const FleetSource& a, const FleetSource& b) { return a.node < b.node; });
  std::set<std::size_t> gateways;
  for (const FleetSource& source : sources)
    if (!gateways.insert(way_of(cluster, source.node)->gateway).second)
      return yaml.error("two of the sources have the same gateway: write one task for each of them");
  return sources;
}

Result<FleetTask> read_task_keys(YamlMap& map, const Fleet& fleet) {
  FleetTask task;
  TIDELINE_TRY(task.name, read_name(map.required("name")));
  const YamlNode model = map.required("model");
  TIDELINE_TRY(const std::string model_name, model.text());
  std::vector<std::string_view> names;
  for (const FleetModel& each : fleet.models) names.push_back(each.name);
  const auto found = std::find(names.begin(), names.end(), model_name);
  if (found == names.end()) {
    const std::string_view near = nearest(model_name, names);
    return model.error(near.empty() ? fmt::format("no model is named '{}'; models lists those there are", printable(model_name))
                                    : fmt::format("no model is named '{}'; did you mean '{}'?", printable(model_name), near));
  }
  task.model = static_cast<std::size_t>(found - names.begin());
  TIDELINE_TRY(task.sources, read_sources(map.required("source"), fleet.cluster));
  const YamlNode rate = map.required("rate");
  TIDELINE_TRY(const std::string rate_text, rate.text());
  const auto rate_hz = parse_rate_hz(rate_text);
  if (!rate_hz) return rate.error(rate_hz.error().message);
  task.rate_hz = *rate_hz;
  const YamlNode deadline = map.required("deadline");
  TIDELINE_TRY(const std::string deadline_text, deadline.text());
  const auto limit = parse_duration(deadline_text);
  if (!limit) return deadline.error(limit.error().message);
  task.deadline = *limit;
  if (task.deadline.count() <= 0 || task.deadline > Millis(limits::kRequestDeadlineMax))
    return deadline.error(fmt::format("a deadline is above 0 and at most {} s, found {}",
                                      Millis(limits::kRequestDeadlineMax).count() / 1e3, printable(deadline_text)));
  const YamlNode priority = map.optional("priority");
  TIDELINE_TRY(task.priority, priority.integer_or(0));
  if (task.priority < -1000 || task.priority > 1000)
    return priority.error(fmt::format("a priority is -1000 to 1000, higher ones first, found {}", task.priority));
  const YamlNode keep = map.optional("keep_on_source");
  TIDELINE_TRY(const std::int64_t kept, keep.integer_or(0));
  if (kept < 0 || kept > static_cast<std::int64_t>(limits::kInstanceLayersMax))
    return keep.error(fmt::format("expected how many blocks stay at the source, 0 or more, found {}", kept));
  task.keep_on_source = static_cast<std::uint32_t>(kept);
  for (const FleetSource& source : task.sources)
    if (kept > 0 && fleet.cluster.nodes[source.node].tier == Tier::kDevice)
      return keep.error(
          fmt::format("'{}' is a device, which only sends: blocks can stay at a source of tier edge; leave the key out, or make "
                      "its gateway the source",
                      fleet.cluster.nodes[source.node].name));
  if (const YamlNode drop = map.optional("drop"); drop.present()) {
    TIDELINE_TRY(const std::size_t rule, one_of(drop, kDropNames));
    task.drop = kDropNames[rule];
  }
  return task;
}

// A task, or a group of them, behind those that are there.
Status read_entry(const YamlNode& entry, const Fleet& fleet, std::set<std::string, std::less<>>& names,
                  std::vector<FleetTask>& tasks) {
  TIDELINE_TRY(YamlMap map, entry.map());
  TIDELINE_TRY(const FleetTask task, read_task_keys(map, fleet));
  const YamlNode count = map.optional("count");
  TIDELINE_TRY(const std::int64_t number, count.integer_or(1));
  if (number < 1 || number > static_cast<std::int64_t>(limits::kFleetTasksMax))
    return count.error(fmt::format("expected 1 to {} tasks, found {}", limits::kFleetTasksMax, number));
  TIDELINE_CHECK_OK(map.finish());
  const auto sends_frames = [&](const FleetTask& other) { return other.model == task.model; };
  if (fleet.models[task.model].is_live &&
      (number > 1 || task.sources.size() > 1 || std::any_of(tasks.begin(), tasks.end(), sends_frames) ||
       std::any_of(fleet.tasks.begin(), fleet.tasks.end(), sends_frames)))
    return entry.error(fmt::format("the frames of model '{}' come on standard input, so one task with one source sends them",
                                   fleet.models[task.model].name));
  if (names.size() + static_cast<std::size_t>(number) > limits::kFleetTasksMax)
    return entry.error(fmt::format("at most {} tasks in one fleet", limits::kFleetTasksMax));
  for (std::int64_t n = 1; n <= number; ++n) {
    FleetTask each = task;
    if (count.present()) each.name = fmt::format("{}-{}", task.name, n);
    if (!is_name(each.name)) return entry.error(fmt::format("a name is {}, found '{}'", kNameRule, each.name));
    if (!names.insert(each.name).second) return entry.error(fmt::format("the task '{}' appears twice", each.name));
    tasks.push_back(std::move(each));
  }
  return {};
}

Status read_tasks(const YamlNode& yaml, Fleet& fleet) {
  TIDELINE_TRY(const std::vector<YamlNode> list, yaml.list());
  if (list.empty()) return yaml.error("a fleet has at least one task");
  std::set<std::string, std::less<>> names;
  std::vector<FleetTask> tasks;
  for (const YamlNode& entry : list) TIDELINE_CHECK_OK(read_entry(entry, fleet, names, tasks));
  fleet.tasks = std::move(tasks);
  return {};
}

}  // namespace

std::string_view to_string(FleetModelKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

Result<double> parse_rate_hz(std::string_view text) {
  const auto wrong = [&] {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected a rate such as 5/s, 30/min or 10/h, found '{}'", printable(text))};
  };
  double value = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || !std::isfinite(value)) return wrong();
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const double seconds = unit == "/s" ? 1 : unit == "/min" ? 60 : unit == "/h" ? 3600 : 0;
  if (seconds == 0) return wrong();
  if (!(value / seconds >= limits::kFleetRateMin && value / seconds <= limits::kFleetRateMax))
    return Error{ErrorCode::kInvalidArgument, fmt::format("a rate is {:g}/s to {:g}/s, found '{}'", limits::kFleetRateMin,
                                                          limits::kFleetRateMax, printable(text))};
  return value / seconds;
}

Result<Way> way_of(const Cluster& cluster, std::size_t source) {
  const auto widest = [&](std::size_t from, Tier tier) {
    std::size_t best = Way::kNoLink;
    for (std::size_t j = 0; j < cluster.links.size(); ++j)
      if (static_cast<std::size_t>(cluster.links[j].from) == from &&
          cluster.nodes[static_cast<std::size_t>(cluster.links[j].to)].tier == tier &&
          (best == Way::kNoLink || cluster.links[j].bytes_per_s > cluster.links[best].bytes_per_s))
        best = j;
    return best;
  };
  const Node& node = cluster.nodes[source];
  const auto none = [](std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; };
  Way way{.gateway = source};
  if (node.tier == Tier::kCloud)
    return none(fmt::format("'{}' is of tier cloud: data arise at a node of tier device or edge", node.name));
  if (node.tier == Tier::kDevice) {
    way.access = widest(source, Tier::kEdge);
    if (way.access == Way::kNoLink)
      return none(
          fmt::format("no link of the cluster leads from '{}' to a node of tier edge, which would be its gateway", node.name));
    way.gateway = static_cast<std::size_t>(cluster.links[way.access].to);
  }
  way.uplink = widest(way.gateway, Tier::kCloud);
  if (way.uplink == Way::kNoLink)
    return none(fmt::format("no link of the cluster leads from '{}' to a node of tier cloud", cluster.nodes[way.gateway].name));
  way.cloud = static_cast<std::size_t>(cluster.links[way.uplink].to);
  return way;
}

Result<Fleet> parse_fleet(std::string_view yaml, std::string_view name, const ClusterOf& cluster_of) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, name));
  TIDELINE_TRY(YamlMap map, root.map());
  const YamlNode version = map.required("version");
  TIDELINE_TRY(const std::int64_t number, version.integer());
  if (number != 1) return version.error(fmt::format("this build reads version 1, found {}", number));
  const YamlNode cluster = map.required("cluster");
  const YamlNode models = map.required("models");
  const YamlNode tasks = map.required("tasks");
  const YamlNode policy = map.optional("policy");
  const YamlNode kind = map.optional("model");
  const YamlNode arrivals = map.optional("arrivals");
  TIDELINE_CHECK_OK(map.finish());
  Fleet fleet;
  TIDELINE_TRY(fleet.cluster_file, cluster.text());
  auto site = cluster_of(fleet.cluster_file);
  if (!site) return cluster.error(site.error().message);
  fleet.cluster = std::move(site).value();
  TIDELINE_TRY(fleet.policy, policy.text_or("price"));
  if (kind.present()) {
    TIDELINE_TRY(const std::size_t index, one_of(kind, kKindNames));
    fleet.model = static_cast<FleetModelKind>(index);
  }
  if (arrivals.present()) {
    constexpr std::array<std::string_view, 2> kArrivals{"periodic", "poisson"};
    TIDELINE_TRY(const std::size_t index, one_of(arrivals, kArrivals));
    fleet.periodic = index == 0;
  }
  TIDELINE_TRY(const std::vector<YamlNode> model_list, models.list());
  if (model_list.empty() || model_list.size() > limits::kFleetModelsMax)
    return models.error(fmt::format("expected 1 to {} models, found {}", limits::kFleetModelsMax, model_list.size()));
  for (const YamlNode& entry : model_list) {
    TIDELINE_TRY(FleetModel model, read_model(entry, fleet.models, fleet.cluster));
    fleet.models.push_back(std::move(model));
  }
  TIDELINE_CHECK_OK(read_tasks(tasks, fleet));
  return fleet;
}

Result<std::vector<FleetTask>> parse_tasks(std::string_view yaml, std::string_view name, const Fleet& fleet) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, name));
  std::set<std::string, std::less<>> names;
  for (const FleetTask& task : fleet.tasks) names.insert(task.name);
  std::vector<FleetTask> tasks;
  TIDELINE_CHECK_OK(read_entry(root, fleet, names, tasks));
  return tasks;
}

Result<Fleet> load_fleet(const std::string& path) {
  const auto beside = [&](const std::string& file) {
    const std::filesystem::path given(file);
    return file.empty() || given.is_absolute() ? file : (std::filesystem::path(path).parent_path() / given).string();
  };
  TIDELINE_TRY(const std::string text, read_file(path, limits::kYamlFileBytesMax));
  TIDELINE_TRY(Fleet fleet, parse_fleet(text, path, [&](const std::string& file) { return load_cluster(beside(file)); }));
  fleet.cluster_file = beside(fleet.cluster_file);
  for (FleetModel& model : fleet.models) {
    for (std::string* file : {&model.file, &model.config, &model.input, &model.profile}) *file = beside(*file);
    for (auto& [node, file] : model.profiles) file = beside(file);
  }
  return fleet;
}

}  // namespace tideline::fleet
