// What would have to change for a candidate to win, for people and for programs. Of models and tables.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "planner/what_if.h"

namespace tideline::app {

// Two different ones at most: "a link of 34 Mbit/s instead of 20 Mbit/s from camera to gateway, or server 2.1 times as slow".
std::string in_a_sentence(const std::vector<WouldWin>& changes);
// docs/formats/plan.md, `would_win_if`.
nlohmann::ordered_json would_win_json(const std::vector<WouldWin>& changes);
// The lines for people: a name for each candidate that is not the chosen one, in the order of `changes`. Prints nothing for an
// empty name.
void print_what_if(const WhatIf& what_if, const std::vector<std::string>& names);

}  // namespace tideline::app
