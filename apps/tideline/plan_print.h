// How a plan for a model is shown: to people as a breakdown and a list of candidates, to programs as JSON (docs/formats/plan.md).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "planner/planner.h"
#include "planner/what_if.h"

namespace tideline::app {

struct PlanAnswer {
  const CostInput* cost = nullptr;
  Question question = {};
  std::string input_name = {};  // "the JPEG"
  PlanResult chosen = {};
  std::vector<Candidate> candidates = {};        // the best along each route behind the others
  std::optional<WhatIf> what_if = {};            // of the candidates; nothing when nobody looked
  std::vector<Candidate> pairs = {};             // the best cut for each two nodes, when asked for
  std::vector<std::string> made_up_inputs = {};  // when the profiles were measured
};

// Whether people see the same latency: a difference below the last digit that is shown is a tie, and nothing to choose by.
bool ties(Millis left, Millis right);

// "split camera 0-3 | server 4-30: sends 25.1 kB after relu4".
std::string describe(const PlanAnswer& answer, const Candidate& candidate);
bool is_chosen(const PlanAnswer& answer, const Candidate& candidate);

void print_plan_json(const PlanAnswer& answer);
void print_plan_table(const Context& context, const PlanAnswer& answer);
// A trade-off; also into files when `folder` is not empty. `answer` says of which model.
Status print_front(const Context& context, const Question& question, const std::vector<PlanResult>& front,
                   const PlanAnswer& answer, const std::string& folder);

}  // namespace tideline::app
