// The result of `tideline schedule`: what -o json prints and --certify and `simulate` read. docs/formats/instance.md has the
// keys. Pure functions; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "schedule/instance.h"

namespace tideline::schedule {

// {"policy","deployed","tasks":[{"layers":k}],"upper_bound","tasks_max","multipliers":{"bandwidth","compute"},"curve",
//  "checked":true}. upper_bound, tasks_max and multipliers are null when the policy gives none, curve is absent when it is empty;
// it comes with "evicted" and "recut", and for `auto` with "chosen". Every schedule that is
// written has passed the checker: REQUIRES it.
std::string write_result(const Schedule& schedule);

// kInvalidArgument naming file and element for anything else; `deployed` must agree with `tasks`.
Result<Schedule> parse_result(std::string_view json, std::string_view name);

// {"bandwidth": [...], "compute": [...]}, as every result has them under "multipliers".
std::string write_multipliers(const Multipliers& multipliers);
Result<Multipliers> read_multipliers(JsonMap& map);

}  // namespace tideline::schedule
