#include "plan_walks.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "front_files.h"
#include "plan_print.h"
#include "planner/table_walks.h"
#include "session/plan_figures.h"
#include "what_if_print.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

std::string codec_name(const Table& table, std::uint32_t codec) {
  return codec == kRawCodec ? "raw" : table.codecs[codec - 1].name;
}

bool walk_splits(const TableWalk& walk) {
  return std::any_of(walk.devices.begin(), walk.devices.end(), [&](std::uint32_t device) { return device != walk.devices[0]; });
}

// In the order of the file; ops behind an exit are left out at the end, and null where others follow them in the file.
Json in_file_order(const Table& table, const std::vector<std::uint32_t>& of_ops) {
  std::vector<Json> list(table.order.size());
  for (std::size_t i = 0; i < of_ops.size(); ++i) list[table.order[i]] = of_ops[i];
  while (!list.empty() && list.back().is_null()) list.pop_back();
  return list;
}

Json plan_json(const Table& table, const WalkPlan& plan) {
  Json codecs = Json::array();
  for (const std::uint32_t codec : plan.walk.codecs) codecs.push_back(codec_name(table, codec));
  const Values& total = plan.value.total;
  Json json{{"planner", plan.planner},
            {"device", in_file_order(table, plan.walk.devices)},
            {"route", plan.walk.route},
            {"codec", std::move(codecs)},
            {"exit", plan.walk.exit ? Json(*plan.walk.exit) : Json(nullptr)},
            {"latency_ms", total.latency_ms},
            {"energy_j", total.energy_j},
            {"period_ms", total.period_ms},
            {"upload_bytes", total.upload_bytes},
            {"accuracy", total.accuracy},
            {"compute_ms", plan.value.compute_ms},
            {"transfer_ms", plan.value.transfer_ms},
            {"at", in_file_order(table, plan.walk.at)},
            {"link", plan.walk.links},
            {"device_energy_j", plan.value.device_energy_j},
            {"do_not_split", !walk_splits(plan.walk)}};
  if (plan.bound) json["bound"] = *plan.bound;
  return json;
}

bool is_chosen(const WalkPlan& chosen, const WalkCandidate& candidate) { return candidate.plan.walk == chosen.walk; }

bool is_tie(const Question& question, const WalkPlan& chosen, const WalkCandidate& candidate) {
  const auto shown = [&](const WalkPlan& plan) {
    return format_value(question.objective, plan.value.total.of(question.objective));
  };
  return !is_chosen(chosen, candidate) && candidate.infeasible.empty() && shown(candidate.plan) == shown(chosen);
}

constexpr std::array kKinds{"native", "split", "exit", "route"};

struct WalkAnswer {
  Question question;
  WalkPlan plan;
  std::vector<WalkCandidate> candidates = {};  // the best along each route behind the others
  std::optional<WhatIf> what_if = {};          // of the candidates; nothing when nobody looked
};

std::string name_of(const Table& table, const WalkCandidate& candidate) {
  switch (candidate.kind) {
    case WalkCandidate::Kind::kNative: return "everything on " + table.devices[candidate.index];
    case WalkCandidate::Kind::kSplit: return "best split";
    case WalkCandidate::Kind::kExit:
      return fmt::format("leave by exit {} after {}", candidate.index, table.op_names[table.exits[candidate.index].after_op]);
    case WalkCandidate::Kind::kRoute: {
      std::vector<std::string> names;
      for (const std::uint32_t device : candidate.via) names.push_back(table.devices[device]);
      return fmt::format("the way {}", fmt::join(names, " > "));
    }
  }
  return "";
}

void print_json(const Table& table, const WalkAnswer& answer) {
  const Question& question = answer.question;
  Json json = plan_json(table, answer.plan);
  json["objective"] = to_string(question.objective);
  json["energy_of"] = energy_of(table);
  json["note"] = answer.plan.note;
  json["candidates"] = Json::array();
  for (std::size_t i = 0; i < answer.candidates.size(); ++i) {
    const WalkCandidate& candidate = answer.candidates[i];
    Json entry{{"kind", kKinds[static_cast<std::size_t>(candidate.kind)]}, {"name", name_of(table, candidate)}};
    entry.update(plan_json(table, candidate.plan));
    entry["infeasible"] = candidate.infeasible.empty() ? Json(nullptr) : Json(candidate.infeasible);
    entry["chosen"] = is_chosen(answer.plan, candidate);
    entry["ties"] = is_tie(question, answer.plan, candidate);
    if (candidate.kind == WalkCandidate::Kind::kRoute) entry["via"] = candidate.via;
    entry["would_win_if"] = answer.what_if ? would_win_json(answer.what_if->changes[i]) : Json(nullptr);
    json["candidates"].push_back(std::move(entry));
  }
  json["what_if_complete"] = answer.what_if.has_value() && answer.what_if->is_complete;
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

// "cam c1 .. c3 > server fc1 .. fc2 > cam": the route, with what runs where.
std::string describe_walk(const Table& table, const TableWalk& walk) {
  std::string text;
  for (std::size_t position = 0; position < walk.route.size(); ++position) {
    if (position > 0)
      text +=
          walk.codecs[position - 1] == kRawCodec ? " > " : fmt::format(" >[{}]> ", codec_name(table, walk.codecs[position - 1]));
    text += table.devices[walk.route[position]];
    std::vector<std::size_t> here;
    for (std::size_t i = 0; i < walk.at.size(); ++i)
      if (walk.at[i] == position) here.push_back(i);
    if (here.empty()) continue;
    const std::string& from = table.op_names[table.order[here.front()]];
    const std::string& to = table.op_names[table.order[here.back()]];
    // Of a graph not all ops between the two need be here.
    if (here.size() == 1)
      text += fmt::format(" ({})", from);
    else if (here.back() - here.front() + 1 == here.size())
      text += fmt::format(" ({} .. {})", from, to);
    else
      text += fmt::format(" ({} ops: {} .. {})", here.size(), from, to);
    if (walk.exit && here.back() + 1 == walk.at.size()) text += fmt::format(" (exit {})", *walk.exit);
  }
  return text;
}

// What the numbers are of: energy is shown where somebody has power numbers, accuracy where it can differ.
std::vector<Objective> shown_of(const Table& table) {
  std::vector<Objective> list{Objective::kLatency};
  if (!energy_of(table).empty()) list.push_back(Objective::kEnergy);
  list.push_back(Objective::kPeriod);
  list.push_back(Objective::kUpload);
  if (!table.exits.empty() || !table.codecs.empty()) list.push_back(Objective::kAccuracy);
  return list;
}

class WalkTable {
 public:
  WalkTable(const Table& table, std::string title, bool has_verdict)
      : shown_(shown_of(table)), table_(columns(shown_, std::move(title), has_verdict)) {}

  void add(char mark, const std::string& name, const Values& values, const std::string& infeasible) {
    std::vector<report::Table::Cell> cells{std::string(1, mark), name};
    for (const Objective objective : shown_)
      cells.emplace_back(format_value(objective, values.of(objective)), values.of(objective));
    cells.emplace_back(infeasible.empty() ? "" : "not possible: " + infeasible, infeasible);
    table_.add(std::move(cells));
  }
  const report::Table& table() const { return table_; }

 private:
  static std::vector<report::Table::Column> columns(const std::vector<Objective>& shown, std::string title, bool has_verdict) {
    std::vector<report::Table::Column> list{{"", "mark", report::Table::kLeft}, {std::move(title), "plan", report::Table::kLeft}};
    for (const Objective objective : shown) list.push_back({std::string(to_string(objective)), std::string(key_of(objective))});
    list.push_back({"", has_verdict ? "not_possible" : "note", report::Table::kLeft});
    return list;
  }
  std::vector<Objective> shown_;
  report::Table table_;
};

report::Table candidates_of(const Table& table, const WalkAnswer& answer) {
  WalkTable rows(table, "candidate", true);
  for (const WalkCandidate& candidate : answer.candidates) {
    const char mark = is_chosen(answer.plan, candidate) ? '*' : is_tie(answer.question, answer.plan, candidate) ? '=' : ' ';
    rows.add(mark, name_of(table, candidate), candidate.plan.value.total, candidate.infeasible);
  }
  return rows.table();
}

// Of those that lost; a second form of the chosen one is none.
std::vector<std::string> names_of_rivals(const Table& table, const WalkAnswer& answer) {
  std::vector<std::string> names;
  for (const WalkCandidate& candidate : answer.candidates) {
    const TableWalk& chosen = answer.plan.walk;
    const bool is_split = candidate.kind == WalkCandidate::Kind::kSplit && walk_splits(chosen);
    const bool is_same = candidate.kind == WalkCandidate::Kind::kNative && !walk_splits(chosen) && !chosen.exit &&
                         chosen.devices[0] == candidate.index;
    const bool is_silent = candidate.kind == WalkCandidate::Kind::kRoute && answer.what_if->changes[names.size()].empty();
    names.push_back(is_chosen(answer.plan, candidate) || is_split || is_same || is_silent ? "" : name_of(table, candidate));
  }
  return names;
}

// What to do, in one sentence or two.
void print_verdict(const Table& table, const WalkAnswer& answer) {
  const Objective objective = answer.question.objective;
  const double chosen = answer.plan.value.total.of(objective);
  const auto difference = [&](const WalkCandidate& candidate) {
    return format_value(objective, std::abs(candidate.plan.value.total.of(objective) - chosen));
  };
  const WalkCandidate* split = nullptr;
  const WalkCandidate* native = nullptr;  // the best that is possible
  std::vector<std::string> tied;
  for (const WalkCandidate& candidate : answer.candidates) {
    if (!candidate.infeasible.empty()) continue;
    const auto rank = [&](const WalkCandidate& one) {
      return (objective == Objective::kAccuracy ? -1 : 1) * one.plan.value.total.of(objective);
    };
    if (candidate.kind == WalkCandidate::Kind::kSplit) split = &candidate;
    const bool is_native = candidate.kind == WalkCandidate::Kind::kNative;
    if (is_native && (native == nullptr || rank(candidate) < rank(*native))) native = &candidate;
    if (candidate.kind != WalkCandidate::Kind::kRoute && is_tie(answer.question, answer.plan, candidate))
      tied.push_back(name_of(table, candidate));
  }
  const std::string as_good = fmt::format("{} would be as good", fmt::join(tied, " and "));
  if (!walk_splits(answer.plan.walk)) {
    const std::string& device = table.devices[answer.plan.walk.devices[0]];
    const std::string early = answer.plan.walk.exit ? fmt::format(" (exit {})", *answer.plan.walk.exit) : "";
    if (!tied.empty()) {
      fmt::print("\nDo not split: everything on {}{} is as good as anything; {}.\n", device, early, as_good);
      return;
    }
    fmt::print("\nDo not split: everything on {}{} is best.{}\n", device, early,
               split == nullptr ? "" : fmt::format(" The best split would be {} worse.", difference(*split)));
    return;
  }
  if (native == nullptr)
    fmt::print("\nSplit: no device can run everything{}.\n", answer.question.limits.any() ? " within the limits" : "");
  else if (is_tie(answer.question, answer.plan, *native))
    fmt::print("\nSplit, or do not: {}.\n", as_good);
  else
    fmt::print("\nSplit: {} better than everything on {}.\n", difference(*native), table.devices[native->index]);
}

void print_answer(const Context& context, const Table& table, const WalkAnswer& answer) {
  const report::Table rows = candidates_of(table, answer);
  if (is_csv(context)) return print_table(context, rows);
  const WalkPlan& plan = answer.plan;
  const Values& total = plan.value.total;
  std::vector<std::string> values;
  for (const Objective objective : shown_of(table))
    values.push_back(fmt::format("{} {}", to_string(objective), format_value(objective, total.of(objective))));
  fmt::print("{}; planned for {} by {}\n", fmt::join(values, ", "), to_string(answer.question.objective), plan.planner);
  if (plan.bound)
    fmt::print("{}\n", *plan.bound >= total.period_ms
                           ? "proven: no placement has a smaller period"
                           : fmt::format("no placement has a period below {} ({:.1f} % of this one's)",
                                         format_value(Objective::kPeriod, *plan.bound), 100 * *plan.bound / total.period_ms));
  if (!plan.note.empty()) fmt::print("({})\n", plan.note);
  fmt::print("  {}\n", describe_walk(table, plan.walk));
  if (const auto names = energy_of(table); !names.empty()) fmt::print("  energy of {}\n", fmt::join(names, ", "));
  fmt::print("\n");
  print_table(context, rows);
  if (answer.what_if) print_what_if(*answer.what_if, names_of_rivals(table, answer));
  print_verdict(table, answer);
}

Status print_front(const Context& context, const Table& table, const Question& question, const std::vector<WalkPlan>& front,
                   const std::string& folder) {
  Json json{{"planner", front[0].planner}, {"pareto", Json::array()}, {"energy_of", energy_of(table)}, {"note", front[0].note}};
  json["front"] = Json::array();
  for (const Objective objective : question.pareto) json["pareto"].push_back(to_string(objective));
  WalkTable rows(table, "plan", false);
  FrontFiles files{.title = "Trade-off"};
  for (const WalkPlan& plan : front) {
    json["front"].push_back(plan_json(table, plan));
    rows.add(' ', describe_walk(table, plan.walk), plan.value.total, "");
    files.names.push_back(describe_walk(table, plan.walk));
    files.values.push_back(plan.value.total);
  }
  files.json = json.dump(2, ' ', false, Json::error_handler_t::replace);
  files.csv = rows.table().csv();
  if (context.output == Output::kJson)
    fmt::print("{}\n", files.json);
  else
    print_table(context, rows.table());
  if (!folder.empty()) TIDELINE_CHECK_OK(write_front(context, folder, question, files));
  if (!is_prose(context)) return {};
  std::vector<std::string_view> names;
  for (const Objective objective : question.pareto) names.push_back(to_string(objective));
  fmt::print("\n{} plan{} that no other beats in {}\n", front.size(), front.size() == 1 ? "" : "s", fmt::join(names, ", "));
  if (!front[0].note.empty()) fmt::print("({})\n", front[0].note);
  return {};
}

// The chosen walk on its site, and where its time (or energy) goes beside the others'.
Status draw(const Context& context, const std::string& folder, const Table& table, const WalkAnswer& answer) {
  const Objective objective = answer.question.objective;
  const auto shares = [&](const TableWalk& walk) {
    return objective == Objective::kEnergy ? energy_shares(table, walk) : time_shares(table, walk);
  };
  std::vector<BarOf> bars;
  std::vector<const TableWalk*> drawn;
  bool has_chosen = false;
  for (const WalkCandidate& candidate : answer.candidates) {
    const TableWalk& walk = candidate.plan.walk;
    if (std::any_of(drawn.begin(), drawn.end(), [&](const TableWalk* other) { return *other == walk; })) continue;
    drawn.push_back(&walk);
    bars.push_back({fmt::format("{}: {}", name_of(table, candidate), describe_walk(table, walk)), shares(walk),
                    candidate.infeasible, is_chosen(answer.plan, candidate)});
    has_chosen = has_chosen || bars.back().chosen;
  }
  if (!has_chosen) bars.push_back({describe_walk(table, answer.plan.walk), shares(answer.plan.walk), "", true});
  return write_plan_figures(context, folder, site_figure(table, answer.plan.walk), bars_figure(objective, std::move(bars)));
}

}  // namespace

Status plan_walks(Context& context, const Table& given, const QuestionArguments& arguments, const std::string& planner) {
  const Table idle = version_2(given);
  TIDELINE_TRY(const std::vector<double> loads, loads_of(arguments.loads, idle.devices));
  const Table table = with_loads(idle, loads);
  Question question = arguments.question;
  std::vector<std::string> names;
  for (const std::uint32_t op : table.order) names.push_back(table.op_names[op]);
  TIDELINE_TRY(question.keep_on_source, blocks_to_keep(arguments.keep_on_source, names));
  if (!question.pareto.empty()) {
    const auto front = walk_front(table, question, planner, context.interrupted);
    if (!front && front.error().code == ErrorCode::kInfeasible)
      return print_why_not(context, why_not(table, question, context.interrupted));
    if (!front) return front.error();
    return print_front(context, table, question, *front, arguments.out);
  }
  const auto plan = plan_walk(table, question, planner, context.interrupted);
  if (!plan && plan.error().code == ErrorCode::kInfeasible)
    return print_why_not(context, why_not(table, question, context.interrupted));
  if (!plan) return plan.error();
  WalkAnswer answer{.question = question, .plan = *plan};
  TIDELINE_TRY(answer.candidates, walk_candidates(table, question, context.interrupted));
  TIDELINE_TRY(std::vector<WalkCandidate> routes, walk_routes(table, question, context.interrupted));
  std::move(routes.begin(), routes.end(), std::back_inserter(answer.candidates));
  if (planner == "auto") {
    TIDELINE_TRY(answer.what_if, would_win(idle, loads, question, *plan, answer.candidates, context.interrupted));
  }
  if (!arguments.out.empty()) TIDELINE_CHECK_OK(draw(context, arguments.out, table, answer));
  context.output == Output::kJson ? print_json(table, answer) : print_answer(context, table, answer);
  return {};
}

}  // namespace tideline::app
