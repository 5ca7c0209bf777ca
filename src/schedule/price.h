// The `price` policy (docs/algorithms/price.md): prune, price, round, search. See policy.h for the signature.
#pragma once

#include <string_view>

#include "schedule/instance.h"
#include "schedule/policy.h"
#include "schedule/search.h"

namespace tideline::schedule {

Result<Schedule> run_price(const Instance& instance, std::string_view argument, const PolicyOptions& options);

// One pass over the tasks by rising cost at these multipliers, each at the cheapest cut that fits.
Placement round_by_price(const Instance& instance, const CutTable& cuts, const Multipliers& multipliers);

}  // namespace tideline::schedule
