// Recomputes the proof in a result from the raw instance: that its schedule keeps the constraints, and that no schedule deploys
// more than U(lambda) for its multipliers. Shares no arithmetic with the policies or the dual. Pure functions; thread-safe.
//
// Weak duality, for every lambda >= 0: give each deployed task 1 and charge it its cost at these prices. The charges of a
// schedule that keeps the constraints add up to at most sum(lambda), because no utilisation is above 1; and 1 - charge is at most
// max(0, 1 - min_k cost_jk). So the number of deployed tasks is at most
//   U(lambda) = sum(lambda) + sum_j max(0, 1 - min_k cost_jk).
// The argument holds for each connected part of the instance alone, and tasks are whole: the sum over the parts of U rounded
// down is a bound too, and a better one when tasks live on few servers.
#pragma once

#include "base/result.h"
#include "schedule/checker.h"
#include "schedule/instance.h"

namespace tideline::schedule {

struct Bound {
  double upper_bound = 0;       // U(lambda)
  std::uint64_t tasks_max = 0;  // the sum over the parts of floor(U); at most U(lambda)
};

// kInvalidArgument unless there is one multiplier of each kind per server, all finite and 0 or more.
Status check_multipliers(const Multipliers& multipliers, std::size_t servers);

// The whole tasks under a bound that is a sum of rounded terms.
std::uint64_t whole_tasks(long double bound);

// kInvalidArgument when a result states another bound than its multipliers prove, by more than 1e-6 of it.
Status check_stated_bound(double stated, double proven);

// From the formula alone. REQUIRES: validate(instance), one multiplier of each kind per server, all 0 or more.
Bound bound_of(const Instance& instance, const Multipliers& multipliers);

struct Certificate {
  CheckReport report;
  Bound bound;  // recomputed
};

// kInvalidArgument when the schedule breaks a constraint, the multipliers are missing, too few or negative, or the stated
// upper_bound or tasks_max differs from the recomputed one (by more than 1e-6 of it).
Result<Certificate> certify(const Instance& instance, const Schedule& result);

}  // namespace tideline::schedule
