// The best plan along each route: the same search on a cluster that has no other links.
#include "planner/route_candidates.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cluster/routes.h"
#include "cost/totals.h"
#include "planner/search_walks.h"

namespace tideline {
namespace {

// As many routes are planned; more than that nobody can look at, and the shortest come first.
constexpr std::size_t kRoutesPlanned = 64;

Cluster with_links_along(const Cluster& cluster, const std::vector<std::string>& via) {
  Cluster narrow = cluster;
  std::erase_if(narrow.links, [&](const Link& link) {
    const std::string& from = cluster.nodes[std::size_t(link.from)].name;
    const std::string& to = cluster.nodes[std::size_t(link.to)].name;
    for (std::size_t i = 0; i + 1 < via.size(); ++i)
      if (via[i] == from && via[i + 1] == to) return false;
    return true;
  });
  return narrow;
}

// What the candidates are the best for: the objective, whatever the limits, but with what these allow to be lost.
Question without_limits(const Question& question) {
  Question free = question;
  free.pareto.clear();
  if (!question.pareto.empty()) free.objective = question.pareto[0];
  free.limits = {};
  if (question.may_lose_accuracy())
    free.limits.by[std::size_t(Objective::kAccuracy)] = question.limits.of(Objective::kAccuracy).value_or(kAnyAccuracy);
  return free;
}

double rank_of(const Question& question, const Values& values) {
  const Objective objective = question.pareto.empty() ? question.objective : question.pareto[0];
  return (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective);
}

}  // namespace

bool goes_along(const std::vector<std::string>& route, const std::vector<std::string>& via) {
  const auto index = [&](const std::string& name) { return std::find(via.begin(), via.end(), name) - via.begin(); };
  for (std::size_t i = 0; i < route.size(); ++i) {
    if (index(route[i]) == static_cast<std::ptrdiff_t>(via.size())) return false;
    if (i > 0 && std::abs(index(route[i]) - index(route[i - 1])) != 1) return false;
  }
  return true;
}

Result<std::optional<Candidate>> best_along(const PlanRequest& request, const std::vector<std::string>& via) {
  const Cluster narrow = with_links_along(*request.cost.cluster, via);
  PlanRequest along = request;
  along.cost.cluster = &narrow;
  along.question = without_limits(request.question);
  // What goes that way at all: everything on another node, or a split.
  auto list = candidates(along);
  if (!list && (list.error().code == ErrorCode::kInfeasible || list.error().code == ErrorCode::kUnsupported))
    return std::optional<Candidate>();
  if (!list) return list.error();
  Candidate* best = nullptr;
  for (Candidate& candidate : *list)
    if (candidate.ruled_out.empty() && candidate.plan.route.size() > 1 &&
        (best == nullptr || rank_of(request.question, candidate.values) < rank_of(request.question, best->values)))
      best = &candidate;
  if (best == nullptr) return std::optional<Candidate>();
  // Of the whole cluster, whose links have other numbers.
  TIDELINE_TRY(Estimate value, estimate(request.cost, best->plan));
  const std::string why = fmt::format("{}", fmt::join(broken_limits(request.question, best->values), "; "));
  return std::optional(Candidate{Candidate::Kind::kRoute, std::move(best->plan), std::move(value), best->values, why, via});
}

Result<std::vector<Candidate>> route_candidates(const PlanRequest& request) {
  TIDELINE_TRY(const Routes routes, routes_of(*request.cost.cluster));
  std::vector<bool> is_leaf(routes.places.size(), true);
  for (std::size_t place = 1; place < routes.places.size(); ++place) is_leaf[routes.places[place].parent] = false;
  std::vector<Candidate> list;
  if (std::count(is_leaf.begin(), is_leaf.end(), true) < 2) return list;
  std::size_t planned = 0;
  for (std::uint32_t place = 0; place < routes.places.size() && planned < kRoutesPlanned; ++place) {
    if (!is_leaf[place]) continue;
    ++planned;
    TIDELINE_TRY(std::optional<Candidate> best, best_along(request, names_along(*request.cost.cluster, routes, place)));
    if (best) list.push_back(std::move(*best));
  }
  std::stable_sort(list.begin(), list.end(), [&](const Candidate& left, const Candidate& right) {
    return rank_of(request.question, left.values) < rank_of(request.question, right.values);
  });
  if (list.size() > kRoutesShown) list.resize(kRoutesShown);
  return list;
}

}  // namespace tideline
