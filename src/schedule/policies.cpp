// The list of policies, and the one way to run them.
#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include "base/text.h"
#include "schedule/exhaustive.h"
#include "schedule/greedy.h"
#include "schedule/policy.h"
#include "schedule/price.h"

namespace tideline::schedule {

std::span<const Policy> policies() {
  static constexpr std::array kPolicies{
      Policy{"li2018", "", "the paper's offline algorithm, as printed", run_li2018},
      Policy{"fixed", "K", "every task runs K layers on the edge", run_fixed},
      Policy{"balanced", "", "the paper's order, each task at the cut that keeps its fullest resource emptiest", run_balanced},
      Policy{"exhaustive", "", "the exact optimum of up to 64 tasks, when it ends within the time limit", run_exhaustive},
      Policy{"price", "", "prices of the exact dual, rounding, search; proves how near to the best possible it is", run_price},
  };
  return kPolicies;
}

Result<CheckedSchedule> run_policy(std::string_view policy, const Instance& instance, const PolicyOptions& options) {
  const std::size_t colon = policy.find(':');
  const std::string_view name = policy.substr(0, colon);
  const std::string_view argument = colon == std::string_view::npos ? "" : policy.substr(colon + 1);
  const auto all = policies();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Policy& p) { return p.name == name; });
  if (found == all.end()) {
    std::vector<std::string_view> names;
    for (const Policy& p : all) names.push_back(p.name);
    const std::string_view near = nearest(name, names);
    return Error{ErrorCode::kInvalidArgument,
                 near.empty() ? fmt::format("[schedule] unknown policy '{}'; it must be one of {}", printable(name),
                                            fmt::join(names, ", "))
                              : fmt::format("[schedule] unknown policy '{}'; did you mean '{}'?", printable(name), near)};
  }
  if (found->argument.empty() && colon != std::string_view::npos)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[schedule] the policy {} takes no argument; write --policy {}", name, name)};

  const auto start = std::chrono::steady_clock::now();
  CheckedSchedule answer;
  TIDELINE_TRY(answer.schedule, found->run(instance, argument, options));
  answer.elapsed = std::chrono::steady_clock::now() - start;
  answer.schedule.policy = policy;
  auto report = check_schedule(instance, answer.schedule.layers);
  if (!report)
    return Error{ErrorCode::kInternal, fmt::format("[schedule] the answer of {} is wrong: {}", name, report.error().message)};
  answer.report = std::move(report).value();
  return answer;
}

}  // namespace tideline::schedule
