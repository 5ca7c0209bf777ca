#include "what_if_print.h"

#include <algorithm>

#include <fmt/format.h>

namespace tideline::app {
namespace {

// Of a link, of a node, of a limit.
int group_of(const Parameter& parameter) {
  switch (parameter.kind) {
    case Parameter::Kind::kBandwidth:
    case Parameter::Kind::kRtt: return 0;
    case Parameter::Kind::kSlowdown:
    case Parameter::Kind::kLoad: return 1;
    case Parameter::Kind::kLimit: return 2;
  }
  return 0;
}

}  // namespace

std::string in_a_sentence(const std::vector<WouldWin>& changes) {
  if (changes.empty()) return "";
  const int first = group_of(changes[0].parameter);
  const auto other = std::find_if(changes.begin(), changes.end(),
                                  [first](const WouldWin& change) { return group_of(change.parameter) != first; });
  return changes[0].text + (other == changes.end() ? "" : ", or with " + other->text);
}

nlohmann::ordered_json would_win_json(const std::vector<WouldWin>& changes) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const WouldWin& change : changes) {
    const double factor = unit_factor(change.parameter);
    list.push_back({{"parameter", change.name},
                    {"now", change.now ? Json(factor * *change.now) : Json(nullptr)},
                    {"needed", factor * change.needed},
                    {"unit", unit_of(change.parameter)},
                    {"at", change.at_least ? "least" : "most"},
                    {"exact", change.is_exact},
                    {"text", change.text}});
  }
  return list;
}

void print_what_if(const WhatIf& what_if, const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < what_if.changes.size() && i < names.size(); ++i) {
    if (names[i].empty()) continue;
    if (!what_if.changes[i].empty())
      text += fmt::format("  {} would win with {}\n", names[i], in_a_sentence(what_if.changes[i]));
    else if (what_if.is_complete)
      text += fmt::format("  {}: no change of one link, node or limit would make it win\n", names[i]);
  }
  if (!text.empty()) fmt::print("\nwhat would change it\n{}", text);
}

}  // namespace tideline::app
