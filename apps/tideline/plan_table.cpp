#include "plan_table.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "front_files.h"
#include "plan_print.h"
#include "planner/table.h"
#include "planner/what_if.h"
#include "report/table.h"
#include "session/plan_figures.h"
#include "what_if_print.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

struct Answer {
  TablePlan chosen;
  std::vector<TablePlan> natives;  // by device
  Result<TablePlan> split;         // the best that really splits
  std::vector<TablePlan> pairs;    // the best cut for each two devices, when asked for
  std::optional<WhatIf> what_if;   // of the natives, then the split; nothing when nobody looked
};

Json changes_for(const Answer& answer, std::size_t candidate) {
  return answer.what_if ? would_win_json(answer.what_if->changes[candidate]) : Json(nullptr);
}

bool is_tie(const Answer& answer, const TablePlan& plan) {
  return plan.devices != answer.chosen.devices && ties(Millis{plan.value.latency_ms}, Millis{answer.chosen.value.latency_ms});
}

bool splits(const TablePlan& plan) {
  return std::any_of(plan.devices.begin(), plan.devices.end(), [&](std::uint32_t device) { return device != plan.devices[0]; });
}

Json value_json(const TableValue& value) {
  return {{"latency_ms", value.latency_ms}, {"compute_ms", value.compute_ms}, {"transfer_ms", value.transfer_ms}};
}

void print_json(const Table& table, const Answer& answer) {
  Json candidates = Json::array();
  for (std::uint32_t device = 0; device < answer.natives.size(); ++device) {
    Json entry{{"kind", "native"}, {"name", table.devices[device]}, {"device", device}};
    entry.update(value_json(answer.natives[device].value));
    entry["ties"] = is_tie(answer, answer.natives[device]);
    entry["would_win_if"] = changes_for(answer, device);
    candidates.push_back(std::move(entry));
  }
  if (answer.split) {
    Json entry{{"kind", "split"}, {"device", answer.split->devices}};
    entry.update(value_json(answer.split->value));
    entry["ties"] = is_tie(answer, *answer.split);
    entry["would_win_if"] = changes_for(answer, answer.natives.size());
    candidates.push_back(std::move(entry));
  }
  Json json{{"planner", answer.chosen.planner}, {"device", answer.chosen.devices}};
  json.update(value_json(answer.chosen.value));
  json["do_not_split"] = !splits(answer.chosen);
  json["candidates"] = std::move(candidates);
  json["what_if_complete"] = answer.what_if.has_value() && answer.what_if->is_complete;
  if (!answer.pairs.empty()) {
    json["pairs"] = Json::array();
    for (const TablePlan& pair : answer.pairs) {
      Json entry{{"kind", "pair"}, {"device", pair.devices}};
      entry.update(value_json(pair.value));
      entry["ties"] = is_tie(answer, pair);
      json["pairs"].push_back(std::move(entry));
    }
  }
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

// "ops 0-3 (c1 .. p2)" for each run of ops on one device, in the order of the chain.
void print_placement(const Table& table, const TablePlan& plan) {
  for (std::size_t i = 0; i < table.order.size();) {
    const std::uint32_t device = plan.devices[table.order[i]];
    std::size_t end = i + 1;
    while (end < table.order.size() && plan.devices[table.order[end]] == device) ++end;
    double compute_ms = 0;
    for (std::size_t k = i; k < end; ++k) compute_ms += table.runtime(table.order[k], device);
    const std::string& first = table.op_names[table.order[i]];
    const std::string& last = table.op_names[table.order[end - 1]];
    fmt::print("  {:<16} {:>4} ops  {:<32} {:>12}\n", table.devices[device], end - i,
               end - i == 1 ? first : fmt::format("{} .. {}", first, last), format_millis(Millis{compute_ms}));
    i = end;
  }
}

// '*' the chosen one, '=' one that takes as long.
char mark_of(const Answer& answer, const TablePlan& plan) {
  if (plan.devices == answer.chosen.devices) return '*';
  return is_tie(answer, plan) ? '=' : ' ';
}

// "pi .. c2 | pc": the last op before the cut.
std::string pair_name(const Table& table, const TablePlan& plan) {
  std::size_t cut = 1;
  while (plan.devices[table.order[cut]] == plan.devices[table.order[0]]) ++cut;
  return fmt::format("{} .. {} | {}", table.devices[plan.devices[table.order[0]]], table.op_names[table.order[cut - 1]],
                     table.devices[plan.devices[table.order[cut]]]);
}

std::string tied_names(const Table& table, const Answer& answer) {
  std::string names;
  for (std::uint32_t device = 0; device < answer.natives.size(); ++device)
    if (is_tie(answer, answer.natives[device]))
      names += fmt::format("{}everything on {}", names.empty() ? "" : " and ", table.devices[device]);
  if (answer.split && is_tie(answer, *answer.split)) names += fmt::format("{}the best split", names.empty() ? "" : " and ");
  return names;
}

class CandidateTable {
 public:
  explicit CandidateTable(std::string title)
      : table_({{"", "mark", report::Table::kLeft},
                {std::move(title), "candidate", report::Table::kLeft},
                {"latency", "latency_ms"},
                {"compute", "compute_ms"},
                {"transfer", "transfer_ms"}}) {}
  void add(const std::string& name, const TableValue& value, char mark) {
    table_.add({std::string(1, mark), name, time(value.latency_ms), time(value.compute_ms), time(value.transfer_ms)});
  }
  const report::Table& table() const { return table_; }

 private:
  static report::Table::Cell time(double ms) { return {format_millis(Millis{ms}), ms}; }
  report::Table table_;
};

report::Table candidates_of(const Table& table, const Answer& answer) {
  CandidateTable candidates("candidate");
  for (std::uint32_t device = 0; device < answer.natives.size(); ++device)
    candidates.add("everything on " + table.devices[device], answer.natives[device].value,
                   mark_of(answer, answer.natives[device]));
  if (answer.split) candidates.add("best split", answer.split->value, mark_of(answer, *answer.split));
  return candidates.table();
}

report::Table pairs_of(const Table& table, const Answer& answer) {
  CandidateTable pairs("best cut per pair of devices");
  for (const TablePlan& pair : answer.pairs) pairs.add(pair_name(table, pair), pair.value, mark_of(answer, pair));
  return pairs.table();
}

// Empty for the chosen one.
std::vector<std::string> names_of_rivals(const Table& table, const Answer& answer) {
  std::vector<std::string> names;
  for (std::uint32_t device = 0; device < answer.natives.size(); ++device)
    names.push_back(answer.natives[device].devices == answer.chosen.devices ? "" : "everything on " + table.devices[device]);
  names.push_back(splits(answer.chosen) ? "" : "the best split");
  return names;
}

void print_answer(const Context& context, const Table& table, const Answer& answer) {
  if (is_csv(context)) return print_table(context, answer.pairs.empty() ? candidates_of(table, answer) : pairs_of(table, answer));
  const TablePlan& chosen = answer.chosen;
  fmt::print("{} = {} compute + {} transfer, planned by {}\n", format_millis(Millis{chosen.value.latency_ms}),
             format_millis(Millis{chosen.value.compute_ms}), format_millis(Millis{chosen.value.transfer_ms}), chosen.planner);
  print_placement(table, chosen);
  fmt::print("\n");
  print_table(context, candidates_of(table, answer));
  if (!answer.pairs.empty()) {
    fmt::print("\n");
    print_table(context, pairs_of(table, answer));
  }
  if (answer.what_if) print_what_if(*answer.what_if, names_of_rivals(table, answer));
  const std::string tied = tied_names(table, answer);
  if (splits(chosen)) {
    const auto best = std::min_element(
        answer.natives.begin(), answer.natives.end(),
        [](const TablePlan& left, const TablePlan& right) { return left.value.latency_ms < right.value.latency_ms; });
    if (!tied.empty())
      fmt::print("\nSplit, or do not: {} would take as long.\n", tied);
    else if (best->value.latency_ms > chosen.value.latency_ms)  // not of --planner native
      fmt::print("\nSplit: {} faster than everything on {}.\n",
                 format_millis(Millis{best->value.latency_ms - chosen.value.latency_ms}), table.devices[best->devices[0]]);
    return;
  }
  if (!tied.empty()) {
    fmt::print("\nDo not split: everything on {} is as fast as anything; {} would take as long.\n",
               table.devices[chosen.devices[0]], tied);
    return;
  }
  fmt::print("\nDo not split: everything on {} is best.", table.devices[chosen.devices[0]]);
  if (answer.split)
    fmt::print(" The best split would take {} longer.",
               format_millis(Millis{answer.split->value.latency_ms - chosen.value.latency_ms}));
  fmt::print("\n");
}

// Up to the highest device that is used, and home.
TableWalk walk_along(const Table& table, const TablePlan& plan) {
  TableWalk walk;
  for (const std::uint32_t op : table.order) walk.devices.push_back(plan.devices[op]);
  walk.at = walk.devices;
  const std::uint32_t top = *std::max_element(walk.devices.begin(), walk.devices.end());
  for (std::uint32_t device = 0; device <= top; ++device) walk.route.push_back(device);
  for (std::uint32_t device = top; device-- > 0;) walk.route.push_back(device);
  for (std::uint32_t link = 0; link < top; ++link) walk.links.push_back(link);
  for (std::uint32_t link = top; link-- > 0;) walk.links.push_back(link);
  walk.codecs.assign(walk.links.size(), kRawCodec);
  return walk;
}

Status draw(const Context& context, const std::string& folder, const Table& given, const Answer& answer) {
  const Table table = version_2(given);
  std::vector<BarOf> bars;
  for (std::uint32_t device = 0; device < answer.natives.size(); ++device)
    bars.push_back({"everything on " + table.devices[device], time_shares(table, walk_along(table, answer.natives[device])), "",
                    answer.natives[device].devices == answer.chosen.devices});
  if (answer.split)
    bars.push_back(
        {"best split", time_shares(table, walk_along(table, *answer.split)), "", answer.split->devices == answer.chosen.devices});
  return write_plan_figures(context, folder, site_figure(table, walk_along(table, answer.chosen)),
                            bars_figure(Objective::kLatency, std::move(bars)));
}

}  // namespace

Status plan_table_file(const Context& context, const Table& table, const std::string& planner, bool with_pairs,
                       const std::string& folder) {
  TIDELINE_TRY(TablePlan chosen, plan_table(table, planner));
  Answer answer{.chosen = std::move(chosen), .natives = {}, .split = best_table_split(table), .pairs = {}, .what_if = {}};
  for (std::uint32_t device = 0; device < table.device_count(); ++device)
    answer.natives.push_back(native_table_plan(table, device));
  if (!answer.split && splits(answer.chosen)) answer.split = answer.chosen;
  if (planner == "auto") {
    std::vector<TablePlan> list = answer.natives;
    if (answer.split) list.push_back(*answer.split);
    TIDELINE_TRY(answer.what_if, tideline::would_win(table, answer.chosen, list));
  }
  if (with_pairs) {
    TIDELINE_TRY(answer.pairs, best_table_pairs(table));
  }
  if (!folder.empty()) TIDELINE_CHECK_OK(draw(context, folder, table, answer));
  context.output == Output::kJson ? print_json(table, answer) : print_answer(context, table, answer);
  return {};
}

}  // namespace tideline::app
