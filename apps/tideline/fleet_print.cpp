#include "fleet_print.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

// More are said as a number.
constexpr std::size_t kRefusedShown = 10;
constexpr std::size_t kLinesShown = 40;
constexpr std::size_t kResourcesShown = 12;

std::vector<std::string> names_of(const fleet::Fleet& fleet, const std::vector<std::size_t>& nodes) {
  std::vector<std::string> names;
  for (const std::size_t node : nodes) names.push_back(fleet.cluster.nodes[node].name);
  return names;
}

double used(const fleet::FleetResource& resource) { return resource.reserved / resource.capacity; }

// The dearest first, then the fullest.
std::vector<const fleet::FleetResource*> by_scarcity(const fleet::FleetPlan& plan) {
  std::vector<const fleet::FleetResource*> all;
  for (const fleet::FleetResource& resource : plan.resources) all.push_back(&resource);
  const auto price = [](const fleet::FleetResource* r) { return r->price * r->capacity; };
  std::stable_sort(all.begin(), all.end(),
                   [&](const auto* a, const auto* b) { return std::pair(price(a), used(*a)) > std::pair(price(b), used(*b)); });
  return all;
}

Json resource_json(const fleet::FleetResource& resource) {
  Json json{{"name", resource.name}, {"kind", resource.is_link ? "link" : "node"}, {"reserved_share", used(resource)}};
  json[resource.is_link ? "capacity_mbit_s" : "capacity_cores"] = resource.capacity;
  json[resource.is_link ? "reserved_mbit_s" : "reserved_cores"] = resource.reserved;
  json[resource.is_link ? "tasks_per_mbit_s" : "tasks_per_core"] = resource.price;
  return json;
}

// A resource that a task more or less would be felt at: it has a price, or nothing left.
bool is_bottleneck(const fleet::FleetResource& resource) {
  return resource.price * resource.capacity > 1e-3 || used(resource) > 0.95;
}

// What tasks of one group that fare the same are printed as: one line.
struct Line {
  std::string key;
  std::string first;
  std::size_t count = 0;
};

}  // namespace

void add_fleet_plan_options(CLI::App& command, FleetPlanArguments& arguments) {
  command
      .add_option("--policy", arguments.policy,
                  "Instead of the file's: a policy of tideline schedule (price, li2018, fixed:K ..), all-edge or all-cloud")
      ->type_name("POLICY");
  command.add_option("--model", arguments.model, "Instead of the file's: what a task's latency is taken to be")
      ->check(CLI::IsMember({"paper", "extended", "queueing"}))
      ->type_name("paper|extended|queueing");
  command.add_option("--seed", arguments.seed, "Of the policies that search")->capture_default_str();
  command.add_option("--time-limit", arguments.time_limit_s, "Seconds for each search of a policy")
      ->check(CLI::Range(0.001, 86400.0))
      ->capture_default_str();
  command.add_option("--steps", arguments.steps, "End each search after so many steps instead, for a result that repeats");
}

fleet::FleetPlanOptions plan_options(const fleet::Fleet& fleet, const FleetPlanArguments& arguments, const CancelToken& cancel) {
  fleet::FleetPlanOptions options{.policy = arguments.policy.empty() ? fleet.policy : arguments.policy,
                                  .model = fleet.model,
                                  .seed = arguments.seed,
                                  .search_steps = arguments.steps,
                                  .cancel = cancel};
  options.time_limit =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(arguments.time_limit_s));
  for (const auto kind : {fleet::FleetModelKind::kPaper, fleet::FleetModelKind::kExtended, fleet::FleetModelKind::kQueueing})
    if (arguments.model == to_string(kind)) options.model = kind;
  return options;
}

Json fleet_plan_json(const fleet::Fleet& fleet, const fleet::FleetPlan& plan) {
  Json json{{"policy", plan.policy},
            {"model", to_string(plan.model)},
            {"arrivals", fleet.periodic ? "periodic" : "poisson"},
            {"admitted", plan.admitted()},
            {"refused", plan.tasks.size() - plan.admitted()},
            {"upper_bound", plan.upper_bound ? Json(*plan.upper_bound) : Json(nullptr)},
            {"tasks", Json::array()},
            {"bottlenecks", Json::array()},
            {"links", Json::array()},
            {"nodes", Json::array()}};
  for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
    const fleet::FleetTaskPlan& task = plan.tasks[j];
    Json entry{{"name", fleet.tasks[j].name},
               {"admitted", task.admitted},
               {"cut", task.admitted ? Json(task.cut) : Json(nullptr)},
               {"blocks_on_edge", task.admitted ? Json(task.blocks) : Json(nullptr)},
               {"nodes", names_of(fleet, task.nodes)},
               {"predicted_ms", task.predicted ? Json(task.predicted->count()) : Json(nullptr)},
               {"bound_ms", task.bound ? Json(task.bound->count()) : Json(nullptr)},
               {"deadline_ms", fleet.tasks[j].deadline.count()},
               {"why", task.admitted ? Json(nullptr) : Json(task.why)},
               {"shares", Json::array()},
               {"needs", Json::array()}};
    for (const fleet::FleetShare& share : task.shares)
      entry["shares"].push_back(
          {{"gateway", fleet.cluster.nodes[share.gateway].name}, {"mbit_s", share.mbit_s}, {"cores", share.cores}});
    for (const fleet::FleetNeed& need : task.needs)
      entry["needs"].push_back({{"name", need.what}, {"unit", need.unit}, {"needs", need.needs}, {"free", need.free}});
    json["tasks"].push_back(std::move(entry));
  }
  for (const fleet::FleetResource* resource : by_scarcity(plan)) {
    if (is_bottleneck(*resource)) json["bottlenecks"].push_back(resource_json(*resource));
    json[resource->is_link ? "links" : "nodes"].push_back(resource_json(*resource));
  }
  return json;
}

void print_fleet_plan(const fleet::Fleet& fleet, const fleet::FleetPlan& plan) {
  fmt::print("policy      {} ({} model{})\n", plan.policy, to_string(plan.model),
             plan.model == fleet::FleetModelKind::kQueueing ? fleet.periodic ? ", periodic arrivals" : ", poisson arrivals"
             : plan.model == fleet::FleetModelKind::kPaper  ? ": only the transfer counts"
                                                            : ": requests are taken never to wait");
  fmt::print("admitted    {} of {} tasks", plan.admitted(), plan.tasks.size());
  if (plan.upper_bound) fmt::print("; no schedule admits more than {:.2f}", *plan.upper_bound);
  fmt::print("\n\n{:<24} {:<22} {:<24} {:>10} {:>10} {:>9} {:>7}\n", "task", "cut after", "on", "predicted", "bound", "Mbit/s",
             "cores");
  std::vector<Line> lines;
  std::map<std::string, std::size_t> known;
  for (std::size_t j = 0; j < plan.tasks.size(); ++j) {
    const fleet::FleetTaskPlan& task = plan.tasks[j];
    if (!task.admitted) continue;
    double mbit_s = 0, cores = 0;
    for (const fleet::FleetShare& share : task.shares) {
      mbit_s += share.mbit_s;
      cores += share.cores;
    }
    std::string rest = fmt::format(" {:<22} {:<24} {:>10} {:>10} {:>9.3f} {:>7.3f}", printable(task.cut, 22),
                                   fmt::format("{}", fmt::join(names_of(fleet, task.nodes), ", ")),
                                   format_millis(*task.predicted), task.bound ? format_millis(*task.bound) : "-", mbit_s, cores);
    const std::string key = fmt::format("{} {}", fleet.tasks[j].model, rest);
    const auto [at, is_new] = known.try_emplace(key, lines.size());
    if (is_new) lines.push_back({std::move(rest), fleet.tasks[j].name, 0});
    ++lines[at->second].count;
  }
  for (std::size_t n = 0; n < lines.size() && n < kLinesShown; ++n)
    fmt::print("{:<24}{}\n",
               lines[n].count == 1 ? lines[n].first : fmt::format("{} and {} like it", lines[n].first, lines[n].count - 1),
               lines[n].key);
  if (lines.size() > kLinesShown) fmt::print("and {} more lines (-o json has all tasks)\n", lines.size() - kLinesShown);
  std::size_t shown = 0;
  for (std::size_t j = 0; j < plan.tasks.size() && shown < kRefusedShown; ++j) {
    if (plan.tasks[j].admitted) continue;
    fmt::print("{}{:<24} {}\n", shown++ == 0 ? "\nrefused\n" : "", fleet.tasks[j].name, plan.tasks[j].why);
  }
  if (const std::size_t refused = plan.tasks.size() - plan.admitted(); refused > shown)
    fmt::print("and {} more (-o json has all tasks)\n", refused - shown);
  fmt::print("\n{:<32} {:>10} {:>12}   {}\n", "link or node", "reserved", "of", "one more would bring");
  std::size_t resources = 0;
  for (const fleet::FleetResource* resource : by_scarcity(plan)) {
    if (resources++ == kResourcesShown) break;
    const char* unit = resource->is_link ? "Mbit/s" : resource->capacity == 1 ? "core" : "cores";
    fmt::print("{:<32} {:>9.1f}% {:>12}   {}\n", resource->name, 100 * used(*resource),
               fmt::format("{:g} {}", resource->capacity, unit),
               resource->price > 1e-9 ? fmt::format("{:.3g} tasks per {}", resource->price, resource->is_link ? "Mbit/s" : "core")
                                      : "-");
  }
}

}  // namespace tideline::app
