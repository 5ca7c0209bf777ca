// The list of planners, and the wrapper that runs one of them.
#include <array>

#include <fmt/format.h>

#include "base/text.h"
#include "planner/problem.h"

namespace tideline {
namespace {

constexpr std::array kPlanners{
    Planner{"aaiot", "AAIoT's dynamic programme, O(nodes x blocks); hands over to chain-exact when memory limits bind",
            plan_aaiot},
    Planner{"chain-exact", "exact under memory limits, O(nodes x blocks^2)", plan_chain_exact},
    Planner{"exhaustive", "tries every placement: the referee, for small problems", plan_exhaustive},
    Planner{"native", "everything on the one best node", plan_native},
};

// Everything on the first node fits any cluster and chain that belong together, so its estimate checks the request.
Status check_request(const PlanRequest& request) {
  const CostInput& cost = request.cost;
  if (cost.cluster == nullptr || cost.cluster->nodes.empty() || cost.profiles.empty() || cost.profiles[0] == nullptr ||
      cost.profiles[0]->blocks.empty())
    return Error{ErrorCode::kInvalidArgument, "[plan] a request needs a cluster with nodes and a profile with blocks"};
  if (!is_chain(*cost.cluster)) return Error{ErrorCode::kUnsupported, "[plan] only chains can be planned yet"};
  const std::vector<std::uint32_t> everything(cost.profiles[0]->blocks.size(), 0);
  const auto first = finish_plan(request, "native", everything, {});
  if (!first) return first.error();
  return {};
}

Status verify(const PlanRequest& request, const PlanResult& result) {
  const auto again = estimate(request.cost, result.plan);
  const auto defect = [&](const std::string& what) {
    return Error{ErrorCode::kInternal, fmt::format("[plan] defect: the plan of {} {}", result.plan.planner, what)};
  };
  if (!again) return defect("is not one: " + again.error().message);
  if (!again->infeasible.empty()) return defect("breaks a memory limit: " + again->infeasible);
  if (*again != result.estimate) return defect("has another estimate than the cost model's");
  return {};
}

}  // namespace

std::span<const Planner> planners() { return kPlanners; }

Result<PlanResult> run_planner(const PlanRequest& request, std::string_view planner) {
  if (planner == "auto") planner = "aaiot";
  std::vector<std::string_view> names{"auto"};
  for (const Planner& candidate : kPlanners) {
    names.push_back(candidate.name);
    if (candidate.name != planner) continue;
    TIDELINE_CHECK_OK(check_request(request));
    TIDELINE_TRY(PlanResult result, candidate.plan(request));
    TIDELINE_CHECK_OK(verify(request, result));
    return result;
  }
  const std::string_view near = nearest(planner, names);
  return Error{ErrorCode::kNotFound,
               fmt::format("[plan] no planner is named '{}'{}; there are {}", printable(planner),
                           near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", "))};
}

Result<std::vector<Candidate>> candidates(const PlanRequest& request) {
  TIDELINE_CHECK_OK(check_request(request));
  std::vector<Candidate> list;
  for (std::uint32_t node = 0; node < request.cost.cluster->nodes.size(); ++node) {
    const std::vector<std::uint32_t> everything(request.cost.profiles[0]->blocks.size(), node);
    TIDELINE_TRY(PlanResult native, finish_plan(request, "native", everything, {}));
    list.push_back({Candidate::Kind::kNative, std::move(native.plan), std::move(native.estimate)});
  }
  auto split = plan_best_split(request);
  if (split) {
    list.push_back({Candidate::Kind::kSplit, std::move(split->plan), std::move(split->estimate)});
  } else if (split.error().code != ErrorCode::kInfeasible) {
    return split.error();
  }
  return list;
}

}  // namespace tideline
