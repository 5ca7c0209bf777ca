#include "planner/graph_walks.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "planner/graph_period.h"
#include "planner/problem.h"

namespace tideline {
namespace {

class RouteFinder {
 public:
  RouteFinder(const Table& table, std::size_t routes_max) : table_(table), max_(routes_max), seen_(table.devices.size()) {}
  GraphRoutes find() {
    route_.devices = {table_.source};
    seen_[table_.source] = true;
    extend();
    return std::move(found_);
  }

 private:
  void extend() {
    bool ends = true;
    for (std::uint32_t i = 0; i < table_.links.size() && found_.is_all; ++i) {
      const TableLink& link = table_.links[i];
      const std::uint32_t at = route_.devices.back();
      if (link.from != at && link.to != at) continue;
      const std::uint32_t to = link.from == at ? link.to : link.from;
      if (seen_[to]) continue;
      ends = false;
      seen_[to] = true;
      route_.devices.push_back(to);
      route_.links.push_back(i);
      extend();
      route_.devices.pop_back();
      route_.links.pop_back();
      seen_[to] = false;
    }
    if (!ends) return;
    if (found_.routes.size() == max_)
      found_.is_all = false;
    else
      found_.routes.push_back(route_);
  }

  const Table& table_;
  const std::size_t max_;
  std::vector<bool> seen_;
  GraphRoute route_;
  GraphRoutes found_;
};

// Edges between positions in the table's order, sorted.
std::vector<std::pair<std::uint32_t, std::uint32_t>> ordered_edges(const Table& table) {
  std::vector<std::uint32_t> number(table.order.size());
  for (std::uint32_t i = 0; i < table.order.size(); ++i) number[table.order[i]] = i;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (const auto& [from, to] : table.edges) edges.emplace_back(number[from], number[to]);
  std::sort(edges.begin(), edges.end());
  return edges;
}

// What one millisecond of computing on a device, one of a link's, and one of waiting add to the objective; and one byte.
struct Weights {
  std::vector<double> compute;  // [device]
  std::vector<double> send, receive;
  double wait = 0;
  double metered_byte = 0;
};

Weights weights_of(const Table& table, Objective objective) {
  const std::size_t devices = table.devices.size();
  const double time = objective == Objective::kLatency ? 1 : 0;
  Weights weights{.compute = std::vector<double>(devices, time),
                  .send = std::vector<double>(devices, 0),
                  .receive = std::vector<double>(devices, 0),
                  .wait = time,
                  .metered_byte = objective == Objective::kUpload ? 1.0 : 0.0};
  if (objective != Objective::kEnergy) return weights;
  // Everybody's idling goes on for as long as the request takes.
  for (const auto& power : table.power)
    if (power) weights.wait += power->idle_w;
  for (std::size_t device = 0; device < devices; ++device) {
    weights.compute[device] = weights.wait;
    if (const auto& power = table.power[device]) {
      weights.compute[device] += power->compute_w - power->idle_w;
      weights.send[device] = power->transmit_w - power->idle_w;
      weights.receive[device] = power->receive_w - power->idle_w;
    }
  }
  return weights;
}

double bandwidth(const Table& table, const GraphRoute& route, std::size_t hop, bool back) {
  const TableLink& link = table.links[route.links[hop]];
  return (link.from == route.devices[hop]) != back ? link.bytes_per_s : link.back_bytes_per_s;
}

// The route as the chain of devices that min-cut solves, in the objective's units instead of milliseconds.
Problem cut_problem(const Table& table, const GraphRoute& route, const Weights& weights,
                    const std::vector<std::pair<std::uint32_t, std::uint32_t>>& edges) {
  const std::size_t ops = table.order.size(), devices = route.devices.size();
  Problem problem{.blocks = ops, .nodes = devices, .may_come_back = false, .edges = edges};
  problem.moves.resize(devices);
  for (std::uint32_t j = 0; j < devices; ++j) {
    problem.places.push_back({.node = NodeId{j}, .parent = j == 0 ? 0 : j - 1});
    problem.node_ids.push_back(route.devices[j]);
    if (j == 0) continue;
    const TableLink& link = table.links[route.links[j - 1]];
    const std::uint32_t lower = route.devices[j - 1], upper = route.devices[j];
    const double byte = link.metered ? weights.metered_byte : 0;
    problem.moves[j] = {.up_ms = weights.wait * link.rtt_ms / 2,
                        .up_ms_per_byte = byte + (weights.wait + weights.send[lower] + weights.receive[upper]) * 1000 /
                                                     bandwidth(table, route, j - 1, false),
                        .back_ms = weights.wait * link.rtt_ms / 2,
                        .back_ms_per_byte = byte + (weights.wait + weights.send[upper] + weights.receive[lower]) * 1000 /
                                                       bandwidth(table, route, j - 1, true)};
  }
  problem.time.resize(ops * devices);
  double all = 1;
  for (std::size_t i = 0; i < ops; ++i)
    for (std::size_t j = 0; j < devices; ++j)
      all += problem.time[i * devices + j] = table.runtime(table.order[i], route.devices[j]) * weights.compute[route.devices[j]];
  problem.cut_bytes.push_back(table.input_bytes);
  for (const std::uint32_t op : table.order) problem.cut_bytes.push_back(table.output_bytes[op]);
  problem.result_bytes = table.result_bytes;
  for (std::size_t j = 1; j < devices; ++j)
    all += problem.moves[j].up_ms + problem.back(j, ops) +
           problem.moves[j].up_ms_per_byte * std::accumulate(problem.cut_bytes.begin(), problem.cut_bytes.end(), 0.0);
  // More than anything else together.
  for (std::size_t i = 0; i < std::min<std::size_t>(table.keep_on_source, ops); ++i)
    for (std::size_t j = 1; j < devices; ++j) problem.time[i * devices + j] = all;
  return problem;
}

GraphLine line_of(const Table& table, const GraphRoute& route,
                  const std::vector<std::pair<std::uint32_t, std::uint32_t>>& edges) {
  GraphLine line;
  const auto ops = static_cast<std::uint32_t>(table.order.size());
  line.graph.ops = ops;
  OpGraph::Tensor input{.bytes = table.input_bytes, .readers = {}};
  std::vector<bool> reads_input(ops, true);
  for (std::uint32_t i = 0; i < ops; ++i)
    line.graph.tensors.push_back({.maker = i, .bytes = table.output_bytes[table.order[i]], .readers = {}});
  for (const auto& [from, to] : edges) {
    line.graph.tensors[from].readers.push_back(to);
    reads_input[to] = false;
  }
  for (std::uint32_t i = 0; i < ops; ++i)
    if (reads_input[i]) input.readers.push_back(i);
  line.graph.tensors.push_back(std::move(input));
  for (std::size_t j = 0; j < route.devices.size(); ++j) {
    std::vector<double> work(ops);
    for (std::uint32_t i = 0; i < ops; ++i)
      work[i] = j > 0 && i < table.keep_on_source ? kNever : table.runtime(table.order[i], route.devices[j]);
    line.work.push_back(std::move(work));
    if (j > 0)
      line.links.push_back({.per_byte = 1000 / bandwidth(table, route, j - 1, false),
                            .back = 1000 * table.result_bytes / bandwidth(table, route, j - 1, true)});
  }
  return line;
}

Result<WalkPlan> judged(const Table& table, std::string_view planner, TableWalk walk) {
  WalkPlan plan{.planner = std::string(planner), .walk = std::move(walk), .value = {}, .note = ""};
  auto value = walk_value(table, plan.walk);
  if (!value) return Error{ErrorCode::kInternal, "[plan] defect: " + value.error().message};
  plan.value = std::move(*value);
  return plan;
}

bool is_better(const Question& question, const WalkPlan& plan, const WalkPlan& than) {
  const double mine = plan.value.total.of(question.objective), other = than.value.total.of(question.objective);
  return mine != other ? mine < other : plan.value.total.latency_ms < than.value.total.latency_ms;
}

std::string left_out(const GraphRoutes& routes) {
  return routes.is_all ? "" : fmt::format("only the first {} routes were looked at: all are too many", routes.routes.size());
}

Result<WalkPlan> plan_period(const Table& table, const GraphRoutes& routes, const CancelToken& cancel) {
  const auto edges = ordered_edges(table);
  // Everything on one device first: what is no better gives way to it.
  std::optional<WalkPlan> best;
  TIDELINE_TRY(const std::vector<WalkCandidate> natives, graph_candidates(table, {.objective = Objective::kPeriod}));
  for (const WalkCandidate& native : natives)
    if (native.infeasible.empty() && (!best || is_better({.objective = Objective::kPeriod}, native.plan, *best)))
      best = native.plan;
  // Of all routes: what none of them can be below.
  double bound = best->value.total.period_ms;
  GraphPeriodOptions options{.below = bound, .cancel = cancel};
  options.parts_max /= std::max<std::size_t>(1, routes.routes.size() / 8);
  for (const GraphRoute& route : routes.routes) {
    const auto found = line_period(line_of(table, route, edges), options);
    // Nothing on it is better than what there is.
    if (!found && found.error().code == ErrorCode::kInfeasible) continue;
    if (!found) return found.error();
    bound = std::min(bound, found->bound);
    if (found->part.empty()) continue;
    TIDELINE_TRY(WalkPlan plan, judged(table, "down-sets", graph_walk(table, route, found->part)));
    if (const double period = plan.value.total.period_ms; std::abs(period - found->period) > 1e-9 * period)
      return Error{ErrorCode::kInternal,
                   fmt::format("[plan] defect: down-sets found a period of {} ms, and it is {} ms", found->period, period)};
    if (is_better({.objective = Objective::kPeriod}, plan, *best)) best = std::move(plan);
    options.below = best->value.total.period_ms;
  }
  best->planner = "down-sets";
  best->bound = std::min(bound, best->value.total.period_ms);
  return std::move(*best);
}

Result<WalkPlan> plan_sum(const Table& table, const Question& question, const GraphRoutes& routes, const CancelToken& cancel) {
  const auto edges = ordered_edges(table);
  const Weights weights = weights_of(table, question.objective);
  std::optional<WalkPlan> best;
  for (const GraphRoute& route : routes.routes) {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
    TIDELINE_TRY(const Solution solution, solve_min_cut(cut_problem(table, route, weights, edges), {}));
    TIDELINE_TRY(WalkPlan plan, judged(table, "min-cut", graph_walk(table, route, solution.places)));
    if (!best || is_better(question, plan, *best)) best = std::move(plan);
  }
  return std::move(*best);
}

}  // namespace

GraphRoutes graph_routes(const Table& table, std::size_t routes_max) { return RouteFinder(table, routes_max).find(); }

TableWalk graph_walk(const Table& table, const GraphRoute& route, const std::vector<std::uint32_t>& position) {
  const std::size_t last = *std::max_element(position.begin(), position.end());
  TableWalk walk{.route = {table.source}, .at = position};
  for (std::size_t j = 1; j <= last; ++j) {
    walk.route.push_back(route.devices[j]);
    walk.links.push_back(route.links[j - 1]);
  }
  for (std::size_t j = last; j-- > 0;) {
    walk.route.push_back(route.devices[j]);
    walk.links.push_back(route.links[j]);
  }
  walk.codecs.assign(walk.links.size(), kRawCodec);
  for (const std::uint32_t at : position) walk.devices.push_back(route.devices[at]);
  return walk;
}

Status check_graph_question(const Table& table, const Question& question) {
  const auto unsupported = [](std::string_view what) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] the ops of this table are a graph, and {} for ops in a row only: leave it out, or leave "
                             "`edges` out",
                             what)};
  };
  if (!table.exits.empty()) return unsupported("`exits` are");
  if (!question.pareto.empty()) return unsupported("--pareto is");
  if (question.limits.any()) return unsupported("--limit is");
  if (question.objective == Objective::kAccuracy) return unsupported("--objective accuracy is");
  return {};
}

Result<WalkPlan> plan_graph(const Table& table, const Question& question, std::string_view planner, const CancelToken& cancel) {
  const bool is_period = question.objective == Objective::kPeriod;
  if (planner == "exhaustive") return exhaustive_graph(table, question, cancel);
  const std::string_view own = is_period ? "down-sets" : "min-cut";
  if (planner != "auto" && planner != own)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[plan] '{}' does not plan a graph of ops for {}: use auto, {} or exhaustive", printable(planner),
                             to_string(question.objective), own)};
  const GraphRoutes routes = graph_routes(table, limits::kGraphRoutesMax);
  auto plan = is_period ? plan_period(table, routes, cancel) : plan_sum(table, question, routes, cancel);
  if (!plan) return plan.error();
  plan->note = left_out(routes);
  // A route that was not looked at may do better.
  if (!routes.is_all && plan->bound) plan->bound = 0;
  return plan;
}

Result<std::vector<WalkCandidate>> graph_candidates(const Table& table, const Question& question) {
  const GraphRoutes routes = graph_routes(table, limits::kGraphRoutesMax);
  Table anywhere = table;
  anywhere.keep_on_source = 0;
  std::vector<std::optional<WalkPlan>> best(table.devices.size());
  for (const GraphRoute& route : routes.routes)
    for (std::uint32_t j = 0; j < route.devices.size(); ++j) {
      const std::vector<std::uint32_t> position(table.order.size(), j);
      TIDELINE_TRY(WalkPlan plan, judged(anywhere, "native", graph_walk(table, route, position)));
      auto& known = best[route.devices[j]];
      if (!known || is_better(question, plan, *known)) known = std::move(plan);
    }
  std::vector<WalkCandidate> list;
  for (std::uint32_t device = 0; device < best.size(); ++device) {
    if (!best[device]) continue;
    WalkCandidate candidate{.kind = WalkCandidate::Kind::kNative, .index = device, .plan = std::move(*best[device])};
    if (table.keep_on_source > 0 && device != table.source)
      candidate.infeasible = fmt::format("the first {} ops must stay on {}", table.keep_on_source, table.devices[table.source]);
    list.push_back(std::move(candidate));
  }
  return list;
}

Result<WalkPlan> exhaustive_graph(const Table& table, const Question& question, const CancelToken& cancel) {
  const GraphRoutes routes = graph_routes(table, limits::kGraphPlacementsMax);
  const auto edges = ordered_edges(table);
  const std::size_t ops = table.order.size();
  std::optional<WalkPlan> best;
  std::size_t tried = 0;
  for (const GraphRoute& route : routes.routes) {
    // The ops' positions as the digits of a number, each at least those of the ops before it.
    std::vector<std::uint32_t> least(ops, 0), position(ops, 0);
    const auto settle = [&](std::size_t from) {
      for (std::size_t i = from; i < ops; ++i) {
        least[i] = 0;
        for (const auto& [before, after] : edges)
          if (after == i) least[i] = std::max(least[i], position[before]);
        position[i] = least[i];
      }
    };
    settle(0);
    while (true) {
      if (++tried > limits::kGraphPlacementsMax)
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[plan] exhaustive tries at most {} placements, and there are more: use --planner auto",
                                 limits::kGraphPlacementsMax)};
      if (tried % 1024 == 0 && cancel.cancelled()) return Error{ErrorCode::kCancelled, "[plan] interrupted"};
      const bool is_kept = std::all_of(
          position.begin(), position.begin() + std::min<std::ptrdiff_t>(table.keep_on_source, static_cast<std::ptrdiff_t>(ops)),
          [](std::uint32_t at) { return at == 0; });
      if (is_kept) {
        TIDELINE_TRY(WalkPlan plan, judged(table, "exhaustive", graph_walk(table, route, position)));
        if (!best || is_better(question, plan, *best)) best = std::move(plan);
      }
      std::size_t i = ops;
      while (i > 0 && position[i - 1] + 1 == route.devices.size()) --i;
      if (i == 0) break;
      ++position[i - 1];
      settle(i);
    }
  }
  if (question.objective == Objective::kPeriod) best->bound = best->value.total.period_ms;
  return std::move(*best);
}

}  // namespace tideline
