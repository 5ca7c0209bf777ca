// tideline config validate FILE: says what kind of file it is, whether it is right, and what it comes to.
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"
#include "base/yaml.h"
#include "cluster/routes.h"
#include "commands.h"
#include "fleet/fleet.h"
#include "model/model_config.h"
#include "plan/plan.h"
#include "planner/table.h"
#include "platform/files.h"
#include "profile/profile.h"
#include "schedule/queueing/queueing.h"
#include "schedule/result_file.h"
#include "session/source.h"
#include "train/job/job.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

// What a person still reads.
constexpr std::size_t kRoutesShownMax = 40;

struct Validated {
  std::string kind;
  Json config;
  std::string text;  // for people, after the config
  std::vector<std::string> notes;
};

std::string address_of(const std::string& host, std::uint16_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Json to_json(const Cluster& cluster) {
  Json nodes = Json::array();
  for (const Node& node : cluster.nodes) {
    Json entry{{"name", node.name},
               {"tier", to_string(node.tier)},
               {"address", address_of(node.host, node.port)},
               {"threads", node.threads},
               {"slowdown", node.slowdown}};
    entry["memory_bytes"] = node.memory_bytes ? Json(*node.memory_bytes) : Json(nullptr);
    entry["profile"] = node.profile.empty() ? Json(nullptr) : Json(node.profile);
    nodes.push_back(std::move(entry));
  }
  Json links = Json::array();
  for (const Link& link : cluster.links) {
    Json entry{{"from", cluster.nodes[static_cast<std::size_t>(link.from)].name},
               {"to", cluster.nodes[static_cast<std::size_t>(link.to)].name},
               {"bandwidth_bytes_per_s", link.bytes_per_s},
               {"bandwidth_back_bytes_per_s", link.back_bytes_per_s},
               {"rtt_ms", link.rtt.count()}};
    if (!link.host.empty()) entry["address"] = address_of(link.host, link.port);
    links.push_back(std::move(entry));
  }
  return {{"nodes", std::move(nodes)},
          {"links", std::move(links)},
          {"source", cluster.nodes[static_cast<std::size_t>(cluster.source)].name}};
}

// The cluster with every route that a request can take in it.
Result<Validated> validated(const Cluster& cluster) {
  TIDELINE_TRY(const Routes routes, routes_of(cluster));
  Validated result{.kind = "cluster", .config = to_json(cluster)};
  const std::string& source = cluster.nodes[static_cast<std::size_t>(cluster.source)].name;
  result.text = fmt::format("A request begins and ends at {}. It can go to:\n", source);
  Json list = Json::array();
  for (std::uint32_t place = 0; place < routes.places.size(); ++place) {
    const std::vector<std::string> names = names_along(cluster, routes, place);
    if (place < kRoutesShownMax) result.text += fmt::format("  {}\n", fmt::join(names, " > "));
    list.push_back(names);
  }
  if (list.size() > kRoutesShownMax)
    result.text += fmt::format("  and {} more (-o json has them all)\n", list.size() - kRoutesShownMax);
  result.config["routes"] = std::move(list);
  result.config["routes_complete"] = routes.complete;
  result.notes = notes_on(cluster, routes);
  return result;
}

Json to_json(const Table& table) {
  return {{"devices", table.devices},          {"ops", table.op_count()},     {"edges", table.edges.size()},
          {"is_chain", table.is_chain},        {"links", table.links.size()}, {"input_bytes", table.input_bytes},
          {"result_bytes", table.result_bytes}};
}

Json to_json(const ModelConfig& config) {
  Json shapes = Json::object();
  for (const TensorSpec& spec : config.shapes) shapes[spec.name] = spec.shape;
  Json output = nullptr;
  if (config.output)
    output = {{"tensors", config.output->tensors},
              {"steps", Json::parse(write_output_steps(config.output->steps))},
              {"labels", config.output->labels_file.empty() ? Json(config.output->labels) : Json(config.output->labels_file)}};
  return {{"input", config.input ? Json::parse(write_input_section(*config.input)) : Json(nullptr)},
          {"output", std::move(output)},
          {"shapes", std::move(shapes)}};
}

// Groups as they are written, with what a task comes to.
Validated validated(const fleet::Fleet& fleet) {
  Validated result{.kind = "fleet", .config = {}};
  Json models = Json::array();
  for (const fleet::FleetModel& model : fleet.models) {
    Json profiles = Json::object();
    for (const auto& [node, file] : model.profiles) profiles[node] = file;
    models.push_back({{"name", model.name},
                      {"file", model.file},
                      {"config", model.config.empty() ? Json(nullptr) : Json(model.config)},
                      {"input", model.input.empty() ? Json(nullptr) : Json(model.input)},
                      {"profiles", model.profile.empty() ? std::move(profiles) : Json(model.profile)}});
    if (model.is_live) models.back()["frames"] = "stdin";
  }
  Json tasks = Json::array();
  for (const fleet::FleetTask& task : fleet.tasks) {
    Json sources = Json::object();
    for (const fleet::FleetSource& source : task.sources) sources[fleet.cluster.nodes[source.node].name] = source.share;
    tasks.push_back({{"name", task.name},
                     {"model", fleet.models[task.model].name},
                     {"source", std::move(sources)},
                     {"rate_hz", task.rate_hz},
                     {"deadline_ms", task.deadline.count()},
                     {"priority", task.priority},
                     {"keep_on_source", task.keep_on_source},
                     {"drop", task.drop}});
  }
  result.config = {{"cluster", fleet.cluster_file},
                   {"models", std::move(models)},
                   {"tasks", std::move(tasks)},
                   {"policy", fleet.policy},
                   {"model", fleet::to_string(fleet.model)},
                   {"arrivals", fleet.periodic ? "periodic" : "poisson"}};
  return result;
}

Json to_json(const Profile& profile) {
  return {{"model", profile.model_name},
          {"model_sha256", profile.model_sha256.hex()},
          {"chain_sha256", profile.chain_sha256.hex()},
          {"host", profile.host},
          {"threads", profile.threads},
          {"engine", profile.engine},
          {"date", profile.date},
          {"blocks", profile.blocks.size()},
          {"whole_ms", profile.whole.count()}};
}

bool has_any(const nlohmann::json& document, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (document.contains(key)) return true;
  return false;
}

// A result of `tideline schedule`, of whichever model.
Result<Validated> validate_result(const std::string& text, const std::string& path) {
  const auto summary = [](std::string_view model, const std::string& policy, std::size_t tasks, std::uint32_t served) {
    return Validated{.kind = "result", .config = {{"model", model}, {"policy", policy}, {"tasks", tasks}, {"served", served}}};
  };
  if (schedule::is_queueing_result(text)) {
    TIDELINE_TRY(const schedule::QueueingSchedule result, schedule::parse_queueing(text, path));
    return summary("queueing", result.policy, result.grants.size(), result.admitted());
  }
  if (schedule::is_extended_result(text)) {
    TIDELINE_TRY(const schedule::ExtendedSchedule result, schedule::parse_extended(text, path));
    return summary("extended", result.policy, result.grants.size(), result.admitted());
  }
  TIDELINE_TRY(const schedule::Schedule result, schedule::parse_result(text, path));
  return summary("paper", result.policy, result.layers.size(), result.deployed());
}

Result<Validated> validate_json(const std::string& text, const std::string& path) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(text, path));
  if (!document.is_object()) return Error{ErrorCode::kInvalidArgument, path + ": expected an object of keys"};
  if (has_any(document, {"segments", "planner"})) {
    TIDELINE_TRY(const Plan plan, parse_plan(text, path));
    return Validated{.kind = "plan", .config = Json::parse(write_plan(plan))};
  }
  if (has_any(document, {"devices", "ops"})) {
    TIDELINE_TRY(const Table table, parse_table(text, path));
    return Validated{.kind = "table", .config = to_json(table)};
  }
  if (has_any(document, {"blocks", "cuts"})) {
    TIDELINE_TRY(const Profile profile, parse_profile(text, path));
    return Validated{.kind = "profile", .config = to_json(profile)};
  }
  if (has_any(document, {"nodes"})) {
    TIDELINE_TRY(const Cluster cluster, parse_cluster(text, path));
    return validated(cluster);
  }
  if (has_any(document, {"servers"})) {
    TIDELINE_TRY(const schedule::Instance instance, schedule::parse_instance(text, path));
    return Validated{.kind = "instance",
                     .config = {{"servers", instance.servers.size()},
                                {"models", instance.models.size()},
                                {"tasks", instance.tasks.size()},
                                {"bandwidth_share", instance.bandwidth_share}}};
  }
  if (has_any(document, {"policy"})) return validate_result(text, path);
  return Error{ErrorCode::kInvalidArgument,
               path +
                   ": not a kind of file that is known here: a cluster has the key nodes, a plan segments, a profile blocks, a "
                   "table ops, a scheduling instance servers, its result policy"};
}

Result<Validated> validate_file(const std::string& file) {
  TIDELINE_TRY(const std::string text, read_source(file, limits::kConfigFileBytesMax));
  const std::string path = source_name(file);
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (start != std::string::npos && (text[start] == '{' || text[start] == '[')) return validate_json(text, path);
  TIDELINE_TRY(const YamlNode root, parse_yaml(text, path));
  TIDELINE_TRY(YamlMap map, root.map());
  if (map.optional("nodes").present() || map.optional("links").present()) {
    TIDELINE_TRY(const Cluster cluster, parse_cluster(text, path));
    return validated(cluster);
  }
  if (map.optional("tasks").present() || map.optional("models").present()) {
    TIDELINE_TRY(const fleet::Fleet fleet, fleet::load_fleet(file));
    return validated(fleet);
  }
  if (map.optional("strategy").present() || map.optional("optimiser").present()) {
    TIDELINE_TRY(const train::Job job, train::parse_job(text, path));
    return Validated{.kind = "job", .config = Json::parse(train::write_job(job))};
  }
  if (map.optional("input").present() || map.optional("output").present() || map.optional("shapes").present()) {
    TIDELINE_TRY(const ModelConfig config, parse_model_config(text, path));
    return Validated{.kind = "model", .config = to_json(config)};
  }
  return Error{ErrorCode::kInvalidArgument,
               path +
                   ": not a kind of file that is known here: a cluster has the key nodes, a fleet tasks, a training "
                   "job strategy, a model's configuration input, output or shapes"};
}

Status validate(const Context& context, const std::string& path) {
  TIDELINE_TRY(const Validated validated, validate_file(path));
  if (context.output == Output::kJson) {
    const Json json{
        {"ok", true}, {"file", path}, {"kind", validated.kind}, {"config", validated.config}, {"notes", validated.notes}};
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    fmt::print("{}: a valid {} file. What it comes to, with the defaults filled in:\n{}\n", path, validated.kind,
               validated.config.dump(2, ' ', false, Json::error_handler_t::replace));
    fmt::print("{}", validated.text);
    if (!context.quiet)
      for (const std::string& note : validated.notes) fmt::print(stderr, "note: {}\n", note);
  }
  return {};
}

}  // namespace

void add_config_command(CLI::App& app, Context& context) {
  CLI::App* config = app.add_subcommand("config", "Check configuration files");
  config->require_subcommand(1);
  CLI::App* command = config->add_subcommand("validate", "Check one file and print what it comes to");
  const auto path = std::make_shared<std::string>();
  command
      ->add_option("file", *path,
                   "A cluster, fleet, training job, model, plan, profile or table file, a scheduling instance or result")
      ->required()
      ->type_name("FILE");
  add_output_option(*command, context);
  command->footer(
      "The kind is told by what the file holds. A wrong file ends with exit code 3 and one sentence.\n\n"
      "Examples:\n  tideline config validate cluster.yaml\n  tideline config validate -o json ocr.plan.json");
  on_run(*command, context, [&context, path] { return validate(context, *path); });
}

}  // namespace tideline::app
