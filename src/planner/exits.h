// Plans of models with early outputs. Internal to src/planner.
//
// Each *ending*, the model's end or an exit, has its own chain of blocks and so a profile of its own (profile.h, at_exit()):
// planning for an ending is planning a model. A question is answered by the best of its endings, the most accurate one first, as
// Edgent has it: with accuracy as the objective the first that keeps the limits is the answer. docs/algorithms/edgent.md.
#pragma once

#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "planner/planner.h"

namespace tideline {

struct Ending {
  double accuracy = 1;
  PlanRequest request;  // of the ending's own profiles
};

// The endings that the question allows. Resource: requests point into it.
class Endings {
 public:
  // The end of the model; the exits only where the question says something about accuracy, every node's profile has them, and the
  // limit on accuracy does not rule them out. The most accurate one first; of equal ones the end, then the exits in their order.
  explicit Endings(const PlanRequest& request);
  Endings(const Endings&) = delete;
  Endings& operator=(const Endings&) = delete;
  const std::vector<Ending>& all() const { return all_; }

 private:
  void add_exit(const PlanRequest& request, const ExitProfile& exit);
  std::deque<Profile> profiles_;
  std::vector<Ending> all_;
};

// run_planner(), candidates(), native_candidates(), candidate_like() and plan_front() for the profiles as they are, exits left
// out; planners.cpp.
Result<PlanResult> plan_to_end(const PlanRequest& request, std::string_view planner);
Result<std::vector<Candidate>> candidates_to_end(const PlanRequest& request);
Result<std::vector<Candidate>> natives_to_end(const PlanRequest& request);
// REQUIRES: no route.
Result<std::optional<Candidate>> like_to_end(const PlanRequest& request, const Candidate& candidate);
Result<std::vector<PlanResult>> front_to_end(const PlanRequest& request);

}  // namespace tideline
