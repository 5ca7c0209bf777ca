#include "plan_print.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cost/totals.h"
#include "front_files.h"
#include "report/table.h"
#include "what_if_print.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLabelWidth = 58;

const Profile& profile_of(const PlanAnswer& answer) { return *answer.cost->profiles[0]; }

// The model's, or of the exit by which the plan leaves.
Profile profile_of(const PlanAnswer& answer, const Plan& plan) {
  if (plan.exit)
    if (auto there = at_exit(profile_of(answer), *plan.exit)) return std::move(*there);
  return profile_of(answer);
}
std::string up_to(const Plan& plan) { return plan.exit ? fmt::format(" up to exit {}", *plan.exit) : ""; }

// What runs where, and what travels for it.
struct Label {
  std::string where;  // "everything on server"; "split camera 0-3 | server 4-30"
  std::string sends;  // "sends the JPEG (197 kB)"; "sends 25.1 kB after relu4"
};

// " by gateway" for the nodes on the way that only pass on, where the cluster leaves a choice.
std::string by_way_of(const PlanAnswer& answer, const Plan& plan) {
  if (is_chain(*answer.cost->cluster)) return "";
  std::vector<std::string> names;
  for (std::uint32_t at = 1; at < plan.segments.back().at; ++at) {
    const auto computes = [&](const PlanSegment& segment) { return segment.node == plan.route[at]; };
    if (plan.route[at] == plan.route[0] || std::any_of(plan.segments.begin(), plan.segments.end(), computes)) continue;
    if (std::find(names.begin(), names.end(), plan.route[at]) == names.end()) names.push_back(plan.route[at]);
  }
  return names.empty() ? "" : fmt::format(" by {}", fmt::join(names, ", "));
}

// In which codec the move from there is.
std::string in_codec(const std::string& codec) { return codec == "raw" ? "" : " in " + codec; }
std::string in_codec(const Plan& plan, std::uint32_t at) { return plan.codecs.empty() ? "" : in_codec(plan.codecs[at]); }

Label label_of(const PlanAnswer& answer, const Plan& plan, const Estimate& estimate) {
  const Profile profile = profile_of(answer, plan);
  if (plan.segments.size() == 1) {
    Label label{.where = "everything on " + plan.segments[0].node + by_way_of(answer, plan) + up_to(plan),
                .sends = "sends nothing"};
    if (!estimate.hops.empty())
      label.sends = fmt::format("sends {} ({}){}", answer.input_name, format_bytes(profile.cuts[0].bytes), in_codec(plan, 0));
    return label;
  }
  Label label{.where = "split", .sends = "sends"};
  for (std::size_t i = 0; i < plan.segments.size(); ++i) {
    const PlanSegment& segment = plan.segments[i];
    label.where += fmt::format("{} {} {}-{}", i == 0 ? "" : " |", segment.node, segment.first_block, segment.last_block);
    if (i + 1 == plan.segments.size()) continue;
    label.sends += fmt::format("{} {} after {}{}", i == 0 ? "" : ",", format_bytes(profile.cuts[segment.last_block + 1].bytes),
                               profile.blocks[segment.last_block].name, in_codec(plan, segment.at));
  }
  label.where += by_way_of(answer, plan) + up_to(plan);
  return label;
}

Json segments_json(const Plan& plan) {
  Json list = Json::array();
  for (const PlanSegment& segment : plan.segments)
    list.push_back({{"node", segment.node}, {"first_block", segment.first_block}, {"last_block", segment.last_block}});
  return list;
}

Json value_json(const Estimate& estimate) {
  return {{"latency_ms", estimate.latency.count()},
          {"compute_ms", estimate.compute.count()},
          {"transfer_ms", estimate.transfer.count()}};
}

const Cluster& cluster_of(const PlanAnswer& answer) { return *answer.cost->cluster; }

Values values_of(const PlanAnswer& answer, const Estimate& estimate) { return values_of(cluster_of(answer), estimate); }

// The exit's number in model.yaml, as tables have it.
Json exit_json(const PlanAnswer& answer, const Plan& plan) {
  const std::vector<ExitProfile>& exits = profile_of(answer).exits;
  for (std::size_t i = 0; i < exits.size(); ++i)
    if (exits[i].output == plan.exit) return i;
  return nullptr;
}

// The keys that tables answer with too, beside those of models.
Json shared_json(const PlanAnswer& answer, const Plan& plan, const Estimate& estimate) {
  const Values values = values_of(answer, estimate);
  Json devices = Json::array();
  for (const PlanSegment& segment : plan.segments)
    for (std::uint32_t block = segment.first_block; block <= segment.last_block; ++block) devices.push_back(segment.node);
  return {{"device", std::move(devices)},
          {"codec",
           plan.codecs.empty() ? std::vector<std::string>(plan.route.empty() ? 0 : plan.route.size() - 1, "raw") : plan.codecs},
          {"exit", exit_json(answer, plan)},
          {"exit_output", plan.exit ? Json(*plan.exit) : Json(nullptr)},
          {"latency_ms", values.latency_ms},
          {"energy_j", values.energy_j},
          {"period_ms", values.period_ms},
          {"upload_bytes", values.upload_bytes},
          {"accuracy", values.accuracy},
          {"output_error", values.output_error}};
}

// More than the least latency was asked for.
bool asks_more(const PlanAnswer& answer) {
  return answer.question.objective != Objective::kLatency || answer.question.limits.any() || answer.question.keep_on_source ||
         answer.question.tolerance;
}

// Energy where somebody has power numbers.
std::vector<Objective> shown_quantities(const PlanAnswer& answer) {
  std::vector<Objective> list;
  if (!energy_of(cluster_of(answer)).empty()) list.push_back(Objective::kEnergy);
  list.push_back(Objective::kPeriod);
  list.push_back(Objective::kUpload);
  if (answer.question.asks_for(Objective::kAccuracy)) list.push_back(Objective::kAccuracy);
  return list;
}

Json stages_json(const Estimate& estimate) {
  Json list = Json::array();
  for (const StageEstimate& stage : estimate.stages) {
    Json entry{{"node", stage.node}};
    entry["first_block"] = stage.has_segment ? Json(stage.first_block) : Json(nullptr);
    entry["last_block"] = stage.has_segment ? Json(stage.last_block) : Json(nullptr);
    entry["compute_ms"] = stage.compute.count();
    entry["memory_bytes"] = stage.memory_bytes;
    entry["at"] = stage.at;
    list.push_back(std::move(entry));
  }
  return list;
}

Json hops_json(const Estimate& estimate) {
  Json list = Json::array();
  for (const HopEstimate& hop : estimate.hops)
    list.push_back({{"from", hop.from},
                    {"to", hop.to},
                    {"bytes", hop.bytes},
                    {"result_bytes", hop.result_bytes},
                    {"rtt_ms", hop.rtt.count()},
                    {"forward_ms", hop.forward.count()},
                    {"back_ms", hop.back.count()},
                    {"overhead_ms", hop.overhead.count()},
                    {"codec", hop.codec},
                    {"back_codec", hop.back_codec},
                    {"coding_ms", hop.coding.count()},
                    {"total_ms", hop.total().count()}});
  return list;
}

const Candidate* split_of(const PlanAnswer& answer) {
  for (const Candidate& candidate : answer.candidates)
    if (candidate.kind == Candidate::Kind::kSplit) return &candidate;
  return nullptr;
}

// Up one route and home, whatever runs on the way.
bool only_goes_up(const Plan& plan) {
  const std::size_t top = plan.route.size() / 2;
  for (std::size_t i = 0; i < top; ++i)
    if (plan.route[i] != plan.route[plan.route.size() - 1 - i]) return false;
  return plan.segments.back().at <= top;
}

// Where the route says more than the nodes that compute.
bool shows_route(const PlanAnswer& answer) {
  return !only_goes_up(answer.chosen.plan) || (!is_chain(*answer.cost->cluster) && answer.chosen.plan.route.size() > 1);
}

bool is_tie(const PlanAnswer& answer, const Candidate& candidate) {
  const Objective objective = answer.question.objective;
  const auto shown = [&](const Estimate& estimate) { return format_value(objective, values_of(answer, estimate).of(objective)); };
  return !is_chosen(answer, candidate) && candidate.ruled_out.empty() && candidate.estimate.infeasible.empty() &&
         shown(candidate.estimate) == shown(answer.chosen.estimate);
}

bool do_not_split(const PlanAnswer& answer) { return answer.chosen.plan.segments.size() == 1; }

void print_hop(const PlanAnswer& answer, const HopEstimate& hop) {
  const Link& link = answer.cost->cluster->links[hop.link];
  fmt::print("  {:<16} {:<45} {:>10}\n", "   |",
             fmt::format("{} up{}, {} back{} at {}, rtt {}", format_bytes(hop.bytes), in_codec(hop.codec),
                         format_bytes(hop.result_bytes), in_codec(hop.back_codec), format_bandwidth(link.bytes_per_s),
                         format_millis(hop.rtt)),
             format_millis(hop.total()));
}

void print_stages(const PlanAnswer& answer) {
  const Estimate& estimate = answer.chosen.estimate;
  const std::vector<BlockProfile> blocks = profile_of(answer, answer.chosen.plan).blocks;
  if (shows_route(answer)) fmt::print("  route {}\n", fmt::join(answer.chosen.plan.route, " > "));
  for (const StageEstimate& stage : estimate.stages) {
    for (const HopEstimate& hop : estimate.hops)
      if (hop.at + 1 == stage.at) print_hop(answer, hop);
    if (!stage.has_segment) {
      fmt::print("  {:<16} passes it on\n", stage.node);
      continue;
    }
    const std::string names = stage.first_block == stage.last_block
                                  ? blocks[stage.first_block].name
                                  : fmt::format("{} .. {}", blocks[stage.first_block].name, blocks[stage.last_block].name);
    fmt::print("  {:<16} {:<45} {:>10}  {}\n", stage.node,
               fmt::format("blocks {}-{} ({:.34})", stage.first_block, stage.last_block, names), format_millis(stage.compute),
               format_bytes(stage.memory_bytes));
  }
}

bool is_way(const Candidate& candidate) { return candidate.kind == Candidate::Kind::kRoute; }

// '*' the chosen one, '=' one that takes as long.
char mark_of(const PlanAnswer& answer, const Candidate& candidate) {
  if (is_chosen(answer, candidate)) return '*';
  return is_tie(answer, candidate) ? '=' : ' ';
}

report::Table::Cell time_cell(Millis time) { return {format_millis(time), time.count()}; }

report::Table candidate_table(const PlanAnswer& answer, const std::vector<Candidate>& candidates, std::string title) {
  std::vector<report::Table::Column> columns{{"", "mark", report::Table::kLeft},
                                             {std::move(title), "candidate", report::Table::kLeft},
                                             {"latency", "latency_ms"},
                                             {"compute", "compute_ms"},
                                             {"transfer", "transfer_ms"}};
  const std::vector<Objective> more = asks_more(answer) ? shown_quantities(answer) : std::vector<Objective>{};
  for (const Objective objective : more) columns.push_back({std::string(to_string(objective)), std::string(key_of(objective))});
  columns.push_back({"", "not_possible", report::Table::kLeft});
  report::Table table(std::move(columns));
  for (const Candidate& candidate : candidates) {
    const Estimate& estimate = candidate.estimate;
    const std::string& why = candidate.ruled_out.empty() ? estimate.infeasible : candidate.ruled_out;
    Label label = label_of(answer, candidate.plan, estimate);
    if (is_way(candidate)) label.where = fmt::format("{}: {}", fmt::join(candidate.via, " > "), label.where);
    const std::string text = fmt::format("{}: {}", label.where, label.sends);
    const bool fits = text.size() <= kLabelWidth;
    std::vector<report::Table::Cell> cells{std::string(1, mark_of(answer, candidate)),
                                           {fits ? text : label.where, text},
                                           time_cell(estimate.latency),
                                           time_cell(estimate.compute),
                                           time_cell(estimate.transfer)};
    const Values values = values_of(answer, estimate);
    for (const Objective objective : more)
      cells.emplace_back(format_value(objective, values.of(objective)), values.of(objective));
    cells.emplace_back(why.empty() ? "" : "not possible: " + why, why);
    table.add(std::move(cells));
    if (!fits) table.add_note("      " + label.sends);
  }
  return table;
}

void print_candidates(const Context& context, const PlanAnswer& answer, const std::vector<Candidate>& candidates,
                      std::string_view title) {
  fmt::print("\n");
  print_table(context, candidate_table(answer, candidates, std::string(title)));
}

Json candidates_json(const PlanAnswer& answer, const std::vector<Candidate>& candidates) {
  constexpr std::array kKinds{"native", "split", "pair", "route"};
  Json list = Json::array();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    const Label label = label_of(answer, candidate.plan, candidate.estimate);
    Json entry{{"kind", kKinds[static_cast<std::size_t>(candidate.kind)]},
               {"label", label.where + ": " + label.sends},
               {"route", candidate.plan.route},
               {"segments", segments_json(candidate.plan)}};
    entry.update(value_json(candidate.estimate));
    entry["stages"] = stages_json(candidate.estimate);
    entry["hops"] = hops_json(candidate.estimate);
    const std::string& why = candidate.ruled_out.empty() ? candidate.estimate.infeasible : candidate.ruled_out;
    entry.update(shared_json(answer, candidate.plan, candidate.estimate));
    entry["infeasible"] = why.empty() ? Json(nullptr) : Json(why);
    entry["chosen"] = is_chosen(answer, candidate);
    entry["ties"] = is_tie(answer, candidate);
    if (candidate.kind == Candidate::Kind::kRoute) entry["via"] = candidate.via;
    if (&candidates == &answer.candidates)
      entry["would_win_if"] = answer.what_if ? would_win_json(answer.what_if->changes[i]) : Json(nullptr);
    list.push_back(std::move(entry));
  }
  return list;
}

// "everything on camera", "the best split", "the way by camera > far > server".
std::string short_name(const Candidate& candidate) {
  if (candidate.kind == Candidate::Kind::kRoute) return fmt::format("the way {}", fmt::join(candidate.via, " > "));
  return candidate.kind == Candidate::Kind::kNative ? "everything on " + candidate.plan.segments[0].node : "the best split";
}

std::vector<Candidate> of_routes(const PlanAnswer& answer, bool routes) {
  std::vector<Candidate> list;
  for (const Candidate& candidate : answer.candidates)
    if (is_way(candidate) == routes) list.push_back(candidate);
  return list;
}

// What would have to change for those that lost.
void print_changes(const PlanAnswer& answer) {
  if (!answer.what_if) return;
  std::vector<std::string> names;
  for (const Candidate& candidate : answer.candidates) {
    // Whoever is no rival: the chosen one in another form, and what cannot be for lack of memory.
    const bool is_split = candidate.kind == Candidate::Kind::kSplit && answer.chosen.plan.segments.size() > 1;
    const bool is_native = candidate.kind == Candidate::Kind::kNative && do_not_split(answer) &&
                           candidate.plan.segments[0].node == answer.chosen.plan.segments[0].node;
    const bool is_same = is_chosen(answer, candidate) || is_split || is_native || !candidate.estimate.infeasible.empty();
    const bool is_silent = is_same || (is_way(candidate) && answer.what_if->changes[names.size()].empty());
    names.push_back(is_silent ? "" : short_name(candidate));
  }
  print_what_if(*answer.what_if, names);
}

std::vector<std::string> tied_names(const PlanAnswer& answer) {
  std::vector<std::string> names;
  for (const Candidate& candidate : answer.candidates)
    if (!is_way(candidate) && is_tie(answer, candidate)) names.push_back(short_name(candidate));
  return names;
}

// What to do when more than latency counts.
void print_verdict_on(const PlanAnswer& answer) {
  const Objective objective = answer.question.objective;
  const std::string within =
      answer.question.limits.any() || answer.question.keep_on_source || answer.question.tolerance ? " within the limits" : "";
  if (do_not_split(answer))
    fmt::print("\nDo not split: everything on {} has the best {}{}.\n", answer.chosen.plan.segments[0].node, to_string(objective),
               within);
  else
    fmt::print("\nSplit: that has the best {}{}.\n", to_string(objective), within);
  if (answer.chosen.plan.exit)
    fmt::print("The request leaves early, by the exit {}: accuracy {:.3g}, the whole model's is {:.3g}.\n",
               *answer.chosen.plan.exit, answer.chosen.estimate.accuracy, profile_of(answer).accuracy);
}

// What to do, in one sentence or two.
void print_verdict(const PlanAnswer& answer) {
  if (asks_more(answer)) return print_verdict_on(answer);
  const Estimate& estimate = answer.chosen.estimate;
  const Candidate* split = split_of(answer);
  const std::string ties = fmt::format("{}", fmt::join(tied_names(answer), " and "));
  if (do_not_split(answer)) {
    const std::string& node = answer.chosen.plan.segments[0].node;
    if (!ties.empty()) {
      fmt::print("\nDo not split: everything on {} is as fast as anything; {} would take as long.\n", node, ties);
      return;
    }
    fmt::print("\nDo not split: everything on {} is best.", node);
    if (split != nullptr)
      fmt::print(" The best split would take {} longer.", format_millis(split->estimate.latency - estimate.latency));
    fmt::print("\n");
    return;
  }
  const Candidate* native = nullptr;
  for (const Candidate& candidate : answer.candidates)
    if (candidate.kind == Candidate::Kind::kNative && candidate.estimate.infeasible.empty() &&
        (native == nullptr || candidate.estimate.latency < native->estimate.latency))
      native = &candidate;
  if (native == nullptr)
    fmt::print("\nSplit: no node can run everything.\n");
  else if (is_tie(answer, *native))
    fmt::print("\nSplit, or do not: {} would take as long.\n", ties);
  else if (native->estimate.latency < estimate.latency)  // only a plan that was not chosen for its latency
    fmt::print("\nNot the best plan: everything on {} would be {} faster.\n", native->plan.segments[0].node,
               format_millis(estimate.latency - native->estimate.latency));
  else
    fmt::print("\nSplit: {} faster than everything on {}.\n", format_millis(native->estimate.latency - estimate.latency),
               native->plan.segments[0].node);
}

}  // namespace

std::string describe(const PlanAnswer& answer, const Candidate& candidate) {
  const Label label = label_of(answer, candidate.plan, candidate.estimate);
  return label.where + ": " + label.sends;
}

bool is_chosen(const PlanAnswer& answer, const Candidate& candidate) {
  if (candidate.kind == Candidate::Kind::kRoute && candidate.plan.route != answer.chosen.plan.route) return false;
  return candidate.plan.exit == answer.chosen.plan.exit && candidate.plan.segments == answer.chosen.plan.segments &&
         candidate.plan.codecs == answer.chosen.plan.codecs;
}

bool ties(Millis left, Millis right) { return format_millis(left) == format_millis(right); }

void print_plan_json(const PlanAnswer& answer) {
  const PlanResult& chosen = answer.chosen;
  Json json{{"planner", chosen.plan.planner},
            {"result_to", to_string(chosen.plan.result_to)},
            {"route", chosen.plan.route},
            {"segments", segments_json(chosen.plan)},
            {"estimate", value_json(chosen.estimate)},
            {"do_not_split", do_not_split(answer)},
            {"made_up_inputs", answer.made_up_inputs}};
  const Candidate* split = split_of(answer);
  json["best_split_loss_ms"] = do_not_split(answer) && split != nullptr
                                   ? Json((split->estimate.latency - chosen.estimate.latency).count())
                                   : Json(nullptr);
  json.update(shared_json(answer, chosen.plan, chosen.estimate));
  json["objective"] = to_string(answer.question.objective);
  json["energy_of"] = energy_of(cluster_of(answer));
  json["stages"] = stages_json(chosen.estimate);
  json["hops"] = hops_json(chosen.estimate);
  json["ties"] = !tied_names(answer).empty();
  json["candidates"] = candidates_json(answer, answer.candidates);
  json["what_if_complete"] = answer.what_if.has_value() && answer.what_if->is_complete;
  if (!answer.pairs.empty()) json["pairs"] = candidates_json(answer, answer.pairs);
  json["stats"] = {
      {"considered", chosen.stats.considered}, {"pruned_memory", chosen.stats.pruned_memory}, {"note", chosen.stats.note}};
  json["model"] = {{"name", profile_of(answer).model_name},
                   {"sha256", chosen.plan.model_sha256.hex()},
                   {"chain_sha256", chosen.plan.chain_sha256.hex()},
                   {"blocks", profile_of(answer, chosen.plan).blocks.size()}};
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

void print_plan_table(const Context& context, const PlanAnswer& answer) {
  if (is_csv(context))
    return print_table(context, candidate_table(answer, answer.pairs.empty() ? answer.candidates : answer.pairs, "candidate"));
  const Estimate& estimate = answer.chosen.estimate;
  fmt::print("{}: {} = {} compute + {} transfer, planned by {}\n", profile_of(answer).model_name, format_millis(estimate.latency),
             format_millis(estimate.compute), format_millis(estimate.transfer), answer.chosen.plan.planner);
  if (!answer.chosen.stats.note.empty()) fmt::print("({})\n", answer.chosen.stats.note);
  const std::vector<std::string> counted = energy_of(cluster_of(answer));
  if (asks_more(answer) || !counted.empty()) {
    const Values values = values_of(answer, estimate);
    std::vector<std::string> parts;
    for (const Objective objective : shown_quantities(answer))
      parts.push_back(fmt::format("{} {}{}", to_string(objective), format_value(objective, values.of(objective)),
                                  objective == Objective::kEnergy ? fmt::format(" of {}", fmt::join(counted, ", ")) : ""));
    fmt::print("  {}\n", fmt::join(parts, "; "));
  }
  print_stages(answer);
  print_candidates(context, answer, of_routes(answer, false), "candidate");
  if (const auto routes = of_routes(answer, true); !routes.empty())
    print_candidates(context, answer, routes, "best along each route");
  if (!answer.pairs.empty()) print_candidates(context, answer, answer.pairs, "best cut per pair of nodes");
  print_changes(answer);
  print_verdict(answer);
}

Status print_front(const Context& context, const Question& question, const std::vector<PlanResult>& front,
                   const PlanAnswer& answer, const std::string& folder) {
  std::vector<Objective> quantities{Objective::kLatency};
  for (const Objective objective : shown_quantities(answer)) quantities.push_back(objective);
  std::vector<report::Table::Column> columns{{"plan", "plan", report::Table::kLeft}};
  for (const Objective objective : quantities)
    columns.push_back({std::string(to_string(objective)), std::string(key_of(objective))});
  report::Table table(std::move(columns));
  FrontFiles files{.title = profile_of(answer).model_name};
  Json json{{"planner", "labels"}, {"pareto", Json::array()}, {"energy_of", energy_of(cluster_of(answer))}};
  for (const Objective objective : question.pareto) json["pareto"].push_back(to_string(objective));
  json["note"] = front[0].stats.note;
  json["front"] = Json::array();
  for (const PlanResult& plan : front) {
    const Label label = label_of(answer, plan.plan, plan.estimate);
    files.names.push_back(fmt::format("{}: {}", label.where, label.sends));
    files.values.push_back(plan.values);
    std::vector<report::Table::Cell> cells{files.names.back()};
    for (const Objective objective : quantities)
      cells.emplace_back(format_value(objective, plan.values.of(objective)), plan.values.of(objective));
    table.add(std::move(cells));
    Json entry{{"planner", plan.plan.planner},
               {"label", files.names.back()},
               {"route", plan.plan.route},
               {"segments", segments_json(plan.plan)},
               {"estimate", value_json(plan.estimate)}};
    entry.update(shared_json(answer, plan.plan, plan.estimate));
    json["front"].push_back(std::move(entry));
  }
  files.csv = table.csv();
  files.json = json.dump(2, ' ', false, Json::error_handler_t::replace);
  if (context.output == Output::kJson)
    fmt::print("{}\n", files.json);
  else
    print_table(context, table);
  if (!folder.empty()) TIDELINE_CHECK_OK(write_front(context, folder, question, files));
  if (!is_prose(context)) return {};
  std::vector<std::string_view> names;
  for (const Objective objective : question.pareto) names.push_back(to_string(objective));
  fmt::print("\n{} plan{} that no other beats in {}\n", front.size(), front.size() == 1 ? "" : "s", fmt::join(names, ", "));
  if (!front[0].stats.note.empty()) fmt::print("({})\n", front[0].stats.note);
  return {};
}

}  // namespace tideline::app
