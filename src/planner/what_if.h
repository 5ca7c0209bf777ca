// What would have to change for another plan to win: for each candidate beside the answer the least change of one parameter
// (planner/parameter.h) at which a plan of its kind would be chosen.
//
// Latency and energy of one plan are straight lines in 1/bandwidth, in a node's factor and in a round-trip time, so the best
// value over all plans is concave and piecewise linear, and so is the best of a kind. Where the two first meet is found by
// Newton's method on lines that are plans' own terms: exact, in as many steps as plans take over from each other on the way. The
// period, and questions with limits on what the parameter changes, have no such shape: there a grid of values is planned one by
// one and the first that flips is narrowed down by bisection (`is_exact` is then false: a narrower range before it may have been
// stepped over). Every answer is planned again on both sides of the threshold before it is given. docs/algorithms/what-if.md.
//
//   TIDELINE_TRY(const std::vector<std::vector<WouldWin>> changes, would_win(request, {}, chosen, candidates));
//   for (const WouldWin& change : changes[1]) fmt::print("{}\n", change.text);   // "a link of 34 Mbit/s instead of ..."
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/parameter.h"
#include "planner/planner.h"
#include "planner/table_walks.h"

namespace tideline {

// A parameter beyond a thousandth or a thousand times what it is is no advice.
inline constexpr double kWhatIfFactorMax = 1000;

struct WouldWin {
  Parameter parameter;
  std::optional<double> now;  // nothing: a limit that is not set
  double needed = 0;          // the threshold; above it (or below it) by any little the candidate's kind is chosen
  bool at_least = true;       // needed and more; otherwise needed and less
  bool is_exact = true;
  std::string name;  // "link:camera-gateway:bandwidth"
  std::string text;  // "a link of 34 Mbit/s instead of 20 Mbit/s from camera to gateway": rounded to where it wins
  bool operator==(const WouldWin&) const = default;
};

struct WhatIf {
  // For each candidate its changes, the smallest first; none for those like the chosen one and where nothing helps.
  std::vector<std::vector<WouldWin>> changes;
  bool is_complete = true;  // false: some were not looked for, as that would have taken long
};

// Parameters of the links and nodes that the candidate and the chosen plan use, the limits given, and the deadline where latency
// is not what is planned for. `idle.cost.cluster` is that of idle nodes, `loads` how busy they are; `chosen` is the answer of
// "auto". Some dozens of plans for each candidate, and for large problems as many as take about a second.
Result<WhatIf> would_win(const PlanRequest& idle, const std::vector<double>& loads, const PlanResult& chosen,
                         const std::vector<Candidate>& list);

// The same for a table of version 2.
Result<WhatIf> would_win(const Table& idle, const std::vector<double>& loads, const Question& question, const WalkPlan& chosen,
                         const std::vector<WalkCandidate>& list, const CancelToken& cancel);

// The same for a table of version 1. Its candidates are everything on each device, in their order, and, for a chain, the best
// split behind them when there is one.
Result<WhatIf> would_win(const Table& idle, const TablePlan& chosen, const std::vector<TablePlan>& list);

// The search itself, for whoever has another kind of problem. Internal to src/planner.
namespace what_if {

// A plan at one value of the parameter. Values are the objective's; of accuracy with the sign turned: less is better.
struct Option {
  double value = 0;
  bool is_of_kind = false;                 // of the candidate's kind
  std::function<double(double)> value_at;  // this plan's with the parameter at another value
};
using Plans = std::function<Result<std::optional<Option>>(double value)>;  // nothing: no plan is possible

struct Search {
  Parameter parameter;
  double from = 0;     // where the candidate does not win
  double towards = 0;  // how far to look
  bool is_linear = true;
  Plans best;     // the chosen plan
  Plans of_kind;  // the best of the candidate's kind; for linear ones alone
};
// The threshold; nothing when nothing up to `towards` helps. Every value at which `best` was asked costs one plan.
Result<std::optional<double>> first_win(const Search& search);
// Near the threshold on its winning side with two or three digits that still win, in the units that people see; nothing when
// three are too few.
Result<std::optional<double>> rounded_win(const Search& search, double threshold);

// One problem with its candidates.
struct Case {
  SiteNames names;
  bool is_linear = true;  // in bandwidths and nodes' factors
  Question question;
  double chosen_latency_ms = 0;
  std::size_t plans_max = 0;  // how many may be made
  std::vector<double> loads;
  // Of what each plan uses: links, and nodes that compute.
  struct Uses {
    std::vector<std::uint32_t> links;
    std::vector<std::uint32_t> nodes;
  };
  Uses chosen;
  struct Entry {
    Uses uses;
    bool is_open = false;  // a change may help
    // With the parameter at the value; `is_of_kind` says whether it is of this candidate's kind.
    std::function<Result<std::optional<Option>>(const Parameter&, double)> best;
    std::function<Result<std::optional<Option>>(const Parameter&, double)> of_kind;
  };
  std::vector<Entry> candidates;
  std::function<std::optional<double>(const Parameter&)> now;
};
Result<WhatIf> run(const Case& problem);

}  // namespace what_if

}  // namespace tideline
