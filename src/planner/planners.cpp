// The list of planners, and what runs one of them on a model.
#include "planner/planner.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "codec/codec.h"
#include "cost/totals.h"
#include "planner/exits.h"
#include "planner/model_walks.h"
#include "planner/problem.h"
#include "planner/route_candidates.h"
#include "planner/search_walks.h"

namespace tideline {
namespace {

constexpr std::array kPlanners{
    Planner{"aaiot",
            "AAIoT's dynamic programme along a chain, O(nodes x blocks); hands over to chain-exact when memory limits bind",
            solve_aaiot},
    Planner{"route", "the shortest walk over any graph of nodes, back and forth, O(places x blocks)", solve_route},
    Planner{"chain-exact", "exact under memory limits on every route up and home, O(places x blocks^2)", solve_chain_exact},
    Planner{"min-cut", "one minimum cut: exact on any graph of ops, for tables", solve_min_cut},
    Planner{"exhaustive", "tries every placement: the referee, for small problems", solve_exhaustive},
    Planner{"edgent", "Edgent's: the first blocks on the one server, the others on the device; for comparison", solve_edgent},
    Planner{"native", "everything on the one best node", solve_native},
};

// Nothing but the least latency within the cluster's memory.
bool is_plain(const Question& question) {
  Limits limits = question.limits;
  limits.memory = false;
  return question.objective == Objective::kLatency && question.pareto.empty() && !limits.any() &&
         question.keep_on_source.value_or(0) == 0;
}

// Everything on the source fits any cluster and chain that belong together, so its estimate checks the request.
Status check_request(const PlanRequest& request) {
  const CostInput& cost = request.cost;
  if (cost.cluster == nullptr || cost.cluster->nodes.empty() || cost.profiles.empty() || cost.profiles[0] == nullptr ||
      cost.profiles[0]->blocks.empty() || std::size_t(cost.cluster->source) >= cost.cluster->nodes.size())
    return Error{ErrorCode::kInvalidArgument, "[plan] a request needs a cluster with nodes and a profile with blocks"};
  const Profile& profile = *cost.profiles[0];
  const std::string& source = cost.cluster->nodes[std::size_t(cost.cluster->source)].name;
  const Plan plan{.planner = "native",
                  .chain_sha256 = profile.chain_sha256,
                  .route = {source},
                  .segments = {{.node = source, .last_block = static_cast<std::uint32_t>(profile.blocks.size() - 1)}}};
  const auto value = estimate(cost, plan);
  if (!value) return value.error();
  const Question& question = request.question;
  if (question.asks_for(Objective::kEnergy) && energy_of(*cost.cluster).empty())
    return Error{
        ErrorCode::kInvalidArgument,
        "[plan] energy is asked for, and no node has power numbers: write power: {compute: 3W, transmit: 1.2W, receive: 0.9W, "
        "idle: 0.4W} at a node of the cluster file"};
  if (question.keep_on_source.value_or(0) > profile.blocks.size())
    return Error{ErrorCode::kInvalidArgument, fmt::format("[plan] {} blocks must stay on the source, and the model has {}",
                                                          *question.keep_on_source, profile.blocks.size())};
  return {};
}

Status verify_result(const PlanRequest& request, const PlanResult& result) {
  const auto defect = [&](const std::string& what) {
    return Error{ErrorCode::kInternal, fmt::format("[plan] defect: the plan of {} {}", result.plan.planner, what)};
  };
  const Profile& profile = *request.cost.profiles[0];
  const ProgramShape shape{.chain_sha256 = profile.chain_sha256,
                           .block_count = static_cast<std::uint32_t>(profile.blocks.size())};
  const auto program = lower(result.plan, *request.cost.cluster, shape);
  if (!program) return defect("is not one: " + program.error().message);
  const Status verified = verify(*program, *request.cost.cluster, shape);
  if (!verified) return defect("is not one: " + verified.error().message);
  const auto again = estimate(request.cost, *program);
  if (!again) return defect("is not one: " + again.error().message);
  if (!again->infeasible.empty()) return defect("breaks a memory limit: " + again->infeasible);
  if (*again != result.estimate) return defect("has another estimate than the cost model's");
  if (const auto broken = broken_limits(request.question, values_of(*request.cost.cluster, *again)); !broken.empty())
    return defect("breaks a limit: " + broken[0]);
  return {};
}

Rank rank_of(Objective objective, const Values& values) {
  return {.value = (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective), .latency_ms = values.latency_ms};
}

// A request with its problem; makes plans out of placements.
class ModelProblem {
 public:
  static Result<ModelProblem> make(const PlanRequest& request) {
    TIDELINE_CHECK_OK(check_request(request));
    TIDELINE_TRY(Problem problem, make_problem(request));
    return ModelProblem(request, std::move(problem));
  }

  const Problem& problem() const { return problem_; }

  Result<PlanResult> finish(std::string_view planner, Solution solution) const {
    const Profile& profile = *request_.cost.profiles[0];
    PlanResult result{
        .plan = {.planner = std::string(planner), .model_sha256 = profile.model_sha256, .chain_sha256 = profile.chain_sha256},
        .stats = std::move(solution.stats)};
    result.plan.result_to = request_.cost.result_to;
    result.plan.exit = profile.exit;
    const Walk walk = walk_of(problem_.places, solution.places);
    for (const std::uint32_t place : walk.positions) result.plan.route.push_back(name(place));
    for (std::uint32_t block = 0; block < solution.places.size(); ++block) {
      if (block > 0 && walk.position_of_block[block] == walk.position_of_block[block - 1])
        result.plan.segments.back().last_block = block;
      else
        result.plan.segments.push_back({.at = walk.position_of_block[block],
                                        .node = name(solution.places[block]),
                                        .first_block = block,
                                        .last_block = block});
    }
    put_codecs(walk, solution.codecs, result.plan);
    TIDELINE_TRY(result.estimate, estimate(request_.cost, result.plan));
    result.values = values_of(*request_.cost.cluster, result.estimate);
    return result;
  }

  SolveContext context() const {
    return {.cancel = request_.cancel, .judge = [this](std::span<const std::uint32_t> places) -> std::optional<Rank> {
              const auto result = finish("", {.places = {places.begin(), places.end()}, .stats = {}});
              if (!result || !result->estimate.infeasible.empty()) return std::nullopt;
              const Question& question = request_.question;
              if (!keeps_on_source(places) || !broken_limits(question, result->values).empty()) return std::nullopt;
              return rank_of(question.objective, result->values);
            }};
  }

  bool keeps_on_source(std::span<const std::uint32_t> places) const {
    const std::size_t keep = request_.question.keep_on_source.value_or(0);
    return std::all_of(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(keep),
                       [&](std::uint32_t place) { return problem_.node(place) == problem_.node(0); });
  }

  Result<PlanResult> solve(std::string_view planner) const {
    if (!has_codecs_) return solve_raw(planner);
    if (planner == "exhaustive" || planner == "native") return solve_coded(planner);
    if (planner != "auto" || !is_plain(request_.question)) return solve_raw(planner);
    auto raw = solve_raw(planner);
    auto coded = answer(planner);
    if (!coded && coded.error().code != ErrorCode::kUnsupported) return coded;
    if (raw && !coded) raw->stats.note = "codecs are left out: " + coded.error().message;
    if (!coded || (raw && raw->values.latency_ms <= coded->values.latency_ms * (1 + kSameValue))) return raw;
    return coded;
  }

  // Every way to code a placement's moves between segments, raw first, by the cost model alone; the best of those that keep what
  // `keeps` asks. `left` counts down.
  std::optional<PlanResult> best_coding(std::string_view planner, std::span<const std::uint32_t> places, std::uint64_t& left,
                                        const std::function<bool(const PlanResult&)>& keeps) const {
    const Walk walk = walk_of(problem_.places, places);
    std::vector<std::size_t> sent;  // blocks whose input comes over links
    std::vector<std::vector<std::string>> options;
    for (std::uint32_t block = 0; block < places.size(); ++block) {
      if (walk.position_of_block[block] == (block == 0 ? 0 : walk.position_of_block[block - 1])) continue;
      sent.push_back(block);
      options.push_back(codecs_between(problem_.node(block == 0 ? 0 : places[block - 1]), problem_.node(places[block]), block));
    }
    const auto rank = [&](const PlanResult& result) { return rank_of(goal(), result.values); };
    std::optional<PlanResult> best;
    std::vector<std::size_t> choice(sent.size());
    while (left > 0) {
      --left;
      Solution solution{.places = {places.begin(), places.end()}, .codecs = std::vector<std::string>(places.size(), "raw")};
      for (std::size_t i = 0; i < sent.size(); ++i) solution.codecs[sent[i]] = options[i][choice[i]];
      auto result = finish(planner, std::move(solution));
      if (result && keeps(*result) && (!best || rank(*result) < rank(*best))) best = std::move(*result);
      std::size_t i = 0;
      while (i < sent.size() && ++choice[i] == options[i].size()) choice[i++] = 0;
      if (i == sent.size()) break;
    }
    return best;
  }

  Result<PlanResult> solve_coded(std::string_view planner) const {
    std::uint64_t left = limits::kRefereeCodingsMax;
    const auto keeps = [this](const PlanResult& result) {
      return result.estimate.infeasible.empty() && broken_limits(request_.question, result.values).empty();
    };
    const SolveContext coded{.cancel = request_.cancel,
                             .judge = [&](std::span<const std::uint32_t> places) -> std::optional<Rank> {
                               if (!keeps_on_source(places)) return std::nullopt;
                               const auto best = best_coding("", places, left, keeps);
                               if (!best) return std::nullopt;
                               return rank_of(goal(), best->values);
                             }};
    std::string_view used = planner;
    auto solution = run_solver(problem_, coded, planner, used);
    if (left == 0)
      return Error{ErrorCode::kUnsupported,
                   fmt::format("[plan] exhaustive tries at most {} placements and codecs, and there are more: use --planner auto",
                               limits::kRefereeCodingsMax)};
    if (!solution && solution.error().code == ErrorCode::kInfeasible)
      return request_.question.limits.any() ? solution.error() : infeasible();
    if (!solution) return std::move(solution).error();
    left = limits::kRefereeCodingsMax;
    auto best = best_coding(used, solution->places, left, keeps);
    if (!best) return Error{ErrorCode::kInternal, "[plan] defect: a placement has no codecs any more"};
    best->stats = std::move(solution->stats);
    return std::move(*best);
  }

  Result<PlanResult> solve_raw(std::string_view planner) const {
    std::string_view used = planner;
    if (!is_plain(request_.question) && planner != "exhaustive" && planner != "native" && planner != "edgent")
      return answer(planner);
    auto solution = run_solver(problem_, context(), planner, used);
    if (!solution && solution.error().code == ErrorCode::kInfeasible)
      return request_.question.limits.any() ? solution.error() : infeasible();
    if (!solution) return std::move(solution).error();
    if (!solution->by.empty()) used = solution->by;
    return finish(used, std::move(*solution));
  }

  // What labels find for a question beyond latency, judged.
  Result<std::vector<PlanResult>> judged(const WalkProblem& walks, const Question& question,
                                         const Result<FoundWalks>& found) const {
    if (!found && found.error().code == ErrorCode::kInfeasible && !question.limits.any()) return infeasible();
    if (!found) return found.error();
    std::vector<PlanResult> results;
    for (const FoundWalk& walk : found->walks) {
      std::vector<std::uint32_t> places = places_of(walks, walk.steps);
      if (walk_of(problem_.places, places).positions.size() > limits::kPlanStagesMax)
        return Error{ErrorCode::kUnsupported,
                     fmt::format("[plan] the best route has more than {} positions: plan for latency without "
                                 "limits, or drop nodes",
                                 limits::kPlanStagesMax)};
      TIDELINE_TRY(PlanResult result,
                   finish("labels",
                          {.places = std::move(places), .stats = {.note = found->note}, .codecs = codecs_of(walks, walk.steps)}));
      TIDELINE_CHECK_OK(check_judged(question, walks, walk, result.values));
      results.push_back(std::move(result));
    }
    return results;
  }

  Result<PlanResult> answer(std::string_view planner) const {
    if (planner != "auto" && planner != "labels")
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("[plan] '{}' plans for latency alone: objectives, limits and --keep-on-source are for auto, labels, "
                      "exhaustive, edgent or native",
                      printable(planner))};
    const Question& question = request_.question;
    TIDELINE_TRY(const WalkProblem walks, make_walk_problem(request_.cost, problem_, question));
    TIDELINE_TRY(std::vector<PlanResult> results, judged(walks, question, best_walk(walks, question, request_.cancel)));
    return std::move(results[0]);
  }

  Result<std::vector<PlanResult>> front() const {
    const Question& question = request_.question;
    TIDELINE_TRY(const WalkProblem walks, make_walk_problem(request_.cost, problem_, question));
    TIDELINE_TRY(std::vector<PlanResult> results, judged(walks, question, tradeoff_walks(walks, question, request_.cancel)));
    std::vector<Values> values;
    for (const PlanResult& result : results) values.push_back(result.values);
    std::vector<PlanResult> kept;
    for (const std::size_t index : front_of(question, values)) kept.push_back(std::move(results[index]));
    return kept;
  }

  Result<PlanResult> best_split() const {
    Question free{.objective = goal()};
    free.keep_on_source = request_.question.keep_on_source;
    free.tolerance = request_.question.tolerance;
    if (request_.question.may_lose_accuracy())
      free.limits.by[std::size_t(Objective::kAccuracy)] =
          request_.question.limits.of(Objective::kAccuracy).value_or(kAnyAccuracy);
    TIDELINE_TRY(const WalkProblem walks, make_walk_problem(request_.cost, problem_, free));
    TIDELINE_TRY(std::vector<PlanResult> results, judged(walks, free, best_split_walk(walks, free, request_.cancel)));
    return std::move(results[0]);
  }

  // Why a placement is no answer; empty: it is one.
  std::string ruled_out(const PlanResult& result) const {
    std::vector<std::string> why = broken_limits(request_.question, result.values);
    const std::size_t keep = request_.question.keep_on_source.value_or(0);
    const std::string& source = request_.cost.cluster->nodes[problem_.node_ids[problem_.node(0)]].name;
    for (const PlanSegment& segment : result.plan.segments)
      if (segment.first_block < keep && segment.node != source) {
        why.push_back(fmt::format("the first {} blocks must stay on {}", keep, source));
        break;
      }
    if (!result.estimate.infeasible.empty()) why.insert(why.begin(), result.estimate.infeasible);
    return fmt::format("{}", fmt::join(why, "; "));
  }

  // Everything on each node that can be reached, or on that of the name, by its best route; in the order of the cluster file.
  Result<std::vector<Candidate>> natives(std::string_view only = "") const {
    std::vector<std::optional<Candidate>> best(request_.cost.cluster->nodes.size());
    for (std::uint32_t place = 0; place < problem_.places.size(); ++place) {
      if (!only.empty() && name(place) != only) continue;
      TIDELINE_TRY(PlanResult native, native_at(place));
      std::optional<Candidate>& known = best[problem_.node_ids[problem_.node(place)]];
      const auto rank = [&](const Values& values) { return rank_of(goal(), values); };
      if (!known || rank(native.values) < rank(known->values)) known = candidate(Candidate::Kind::kNative, std::move(native));
    }
    std::vector<Candidate> list;
    for (std::optional<Candidate>& candidate : best)
      if (candidate) list.push_back(std::move(*candidate));
    return list;
  }

  Candidate candidate(Candidate::Kind kind, PlanResult result) const {
    std::string why = ruled_out(result);
    return {kind, std::move(result.plan), std::move(result.estimate), result.values, std::move(why)};
  }

  // kInfeasible, saying why everything on each node does not fit.
  Error infeasible() const {
    std::string why;
    const auto list = natives();
    if (list)
      for (const Candidate& native : *list)
        if (!native.estimate.infeasible.empty()) why += fmt::format("{}{}", why.empty() ? "" : "; ", native.estimate.infeasible);
    return Error{
        ErrorCode::kInfeasible,
        fmt::format("[plan] no placement keeps the memory limits (for everything on one node, {}): raise `memory` in the cluster "
                    "file or add a node",
                    why.empty() ? "it fits, but cannot be split" : why)};
  }

  bool has_codecs() const { return has_codecs_; }

 private:
  ModelProblem(const PlanRequest& request, Problem problem) : request_(request), problem_(std::move(problem)) {
    for (std::size_t node = 0; node < problem_.nodes; ++node)
      for (const CodecProfile& codec : profile(node).codecs)
        for (std::size_t cut = 0; cut < problem_.blocks; ++cut)
          has_codecs_ = has_codecs_ || may_use(request_.question, codec, cut);
  }

  Objective goal() const { return request_.question.pareto.empty() ? request_.question.objective : request_.question.pareto[0]; }
  const Profile& profile(std::size_t node) const { return *request_.cost.profiles[problem_.node_ids[node]]; }

  std::vector<std::string> codecs_between(std::size_t from, std::size_t to, std::size_t cut) const {
    std::vector<std::string> names{"raw"};
    for (const CodecProfile& codec : profile(from).codecs)
      if (may_use(request_.question, codec, cut) && codec_profile(profile(to), codec.name) != nullptr)
        names.push_back(codec.name);
    return names;
  }

  // Everything there, the input in the codec that is best.
  Result<PlanResult> native_at(std::uint32_t place) const {
    const std::vector<std::uint32_t> places(problem_.blocks, place);
    if (has_codecs_) {
      std::uint64_t left = limits::kRefereeCodingsMax;
      Question losses;
      losses.tolerance = request_.question.tolerance;
      losses.limits.by[std::size_t(Objective::kAccuracy)] = request_.question.limits.of(Objective::kAccuracy);
      auto best = best_coding("native", places, left,
                              [&](const PlanResult& result) { return broken_limits(losses, result.values).empty(); });
      if (best) return std::move(*best);
    }
    return finish("native", {.places = places, .stats = {}});
  }

  // One for each move, from what each block gets; the result comes home raw.
  void put_codecs(const Walk& walk, const std::vector<std::string>& of_block, Plan& plan) const {
    if (std::all_of(of_block.begin(), of_block.end(), [](const std::string& codec) { return codec == "raw"; })) return;
    plan.codecs.assign(plan.route.size() - 1, "raw");
    std::uint32_t at = 0;
    bool is_lossy = false;
    for (std::uint32_t block = 0; block < of_block.size(); ++block) {
      const auto codec = find_codec(of_block[block]);
      is_lossy = is_lossy || (codec && codec->is_lossy());
      for (; at < walk.position_of_block[block]; ++at) plan.codecs[at] = of_block[block];
    }
    if (is_lossy) plan.tolerance = request_.question.tolerance;
  }

  const std::string& name(std::uint32_t place) const {
    return request_.cost.cluster->nodes[problem_.node_ids[problem_.node(place)]].name;
  }

  const PlanRequest& request_;
  Problem problem_;
  bool has_codecs_ = false;  // that may be used
};

Result<Solution> solve_auto(const Problem& problem, const SolveContext& context, std::string_view& used) {
  if (problem.edges) {
    used = "min-cut";
    return solve_min_cut(problem, context);
  }
  used = "route";
  if (!problem.is_chain()) return solve_route(problem, context);
  auto up = solve_aaiot(problem, context);
  if (problem.may_come_back) {
    auto any = solve_route(problem, context);
    constexpr double kTie = 1e-9;
    if (any && (!up || any->places != up->places)) {
      const std::optional<Rank> any_rank = context.judge(any->places);
      const std::optional<Rank> up_rank = up ? context.judge(up->places) : std::nullopt;
      if (any_rank && (!up_rank || any_rank->value < up_rank->value * (1 - kTie))) return any;
    }
  }
  used = "aaiot";
  return up;
}

}  // namespace

Values values_of(const Cluster& cluster, const Estimate& estimate) {
  const Totals all = totals(cluster, estimate);
  return {.latency_ms = estimate.latency.count(),
          .energy_j = all.energy_j,
          .period_ms = all.period.count(),
          .upload_bytes = all.upload_bytes,
          .accuracy = estimate.accuracy,
          .output_error = estimate.output_error};
}

std::span<const Planner> planners() { return kPlanners; }

std::string planner_names() {
  std::string names = "auto";
  for (const Planner& planner : kPlanners) names += fmt::format(", {}", planner.name);
  return names;
}

Result<Solution> run_solver(const Problem& problem, const SolveContext& context, std::string_view planner,
                            std::string_view& used) {
  if (planner == "auto") return solve_auto(problem, context, used);
  std::vector<std::string_view> names{"auto"};
  for (const Planner& candidate : kPlanners) {
    names.push_back(candidate.name);
    used = candidate.name;
    if (candidate.name == planner) return candidate.solve(problem, context);
  }
  const std::string_view near = nearest(planner, names);
  return Error{ErrorCode::kNotFound,
               fmt::format("[plan] no planner is named '{}'{}; there are {}", printable(planner),
                           near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", "))};
}

Result<PlanResult> plan_to_end(const PlanRequest& request, std::string_view planner) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  TIDELINE_TRY(PlanResult result, model.solve(planner));
  TIDELINE_CHECK_OK(verify_result(request, result));
  return result;
}

namespace {

Result<std::optional<Candidate>> split_candidate(const PlanRequest& request, const ModelProblem& model) {
  auto split = is_plain(request.question) ? plan_best_split(request) : model.best_split();
  if (split) return std::optional(model.candidate(Candidate::Kind::kSplit, std::move(*split)));
  if (split.error().code == ErrorCode::kCancelled) return split.error();
  return std::optional<Candidate>();
}

}  // namespace

Result<std::vector<Candidate>> candidates_to_end(const PlanRequest& request) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  TIDELINE_TRY(std::vector<Candidate> list, model.natives());
  TIDELINE_TRY(std::optional<Candidate> split, split_candidate(request, model));
  if (split) list.push_back(std::move(*split));
  return list;
}

Result<std::vector<Candidate>> natives_to_end(const PlanRequest& request) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  return model.natives();
}

Result<std::optional<Candidate>> like_to_end(const PlanRequest& request, const Candidate& candidate) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  if (candidate.kind == Candidate::Kind::kSplit) return split_candidate(request, model);
  TIDELINE_TRY(std::vector<Candidate> natives, model.natives(candidate.plan.segments[0].node));
  return natives.empty() ? std::optional<Candidate>() : std::optional(std::move(natives[0]));
}

Result<std::vector<PlanResult>> front_to_end(const PlanRequest& request) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  TIDELINE_TRY(std::vector<PlanResult> front, model.front());
  for (const PlanResult& result : front) TIDELINE_CHECK_OK(verify_result(request, result));
  return front;
}

Result<std::vector<LimitReport>> why_not(const PlanRequest& request) {
  PlanRequest part = request;
  part.question = {};
  const auto any = run_planner(part, "auto");
  if (!any && (any.error().code != ErrorCode::kInfeasible || !request.question.may_lose_accuracy())) return any.error();
  if (!any) {
    // The whole model may be too large for the memory, and an exit not.
    part.question.limits.by[std::size_t(Objective::kAccuracy)] = kAnyAccuracy;
    if (const auto early = run_planner(part, "auto"); !early) return any.error();
  }
  Question question = request.question;
  question.limits.memory = false;  // holds always, and can be kept
  return why_not(question, question.keep_on_source.value_or(0), [&](const Question& asked) -> Result<Values> {
    part.question = asked;
    TIDELINE_TRY(const PlanResult result, run_planner(part, "auto"));
    return result.values;
  });
}

Result<PlanResult> plan_best_split(const PlanRequest& request) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  if (model.has_codecs()) {
    auto coded = model.best_split();
    if (coded || coded.error().code != ErrorCode::kUnsupported) return coded;
  }
  auto solution = solve_best_split(model.problem(), model.context());
  if (!solution && solution.error().code == ErrorCode::kInfeasible)
    return Error{ErrorCode::kInfeasible, "[plan] no plan with two segments keeps the memory limits"};
  if (!solution) return solution.error();
  return model.finish(request.walks == Walks::kUpOnly ? "chain-exact" : "route", std::move(*solution));
}

Result<std::vector<Candidate>> best_pairs(const PlanRequest& request) {
  TIDELINE_TRY(const ModelProblem model, ModelProblem::make(request));
  TIDELINE_TRY(std::vector<PairCut> cuts, search_pairs(model.problem(), request.cancel));
  const auto in_the_cluster = [&](const PairCut& cut) {
    const Problem& problem = model.problem();
    return std::pair(problem.node_ids[problem.node(cut.first)], problem.node_ids[problem.node(cut.second)]);
  };
  std::sort(cuts.begin(), cuts.end(),
            [&](const PairCut& left, const PairCut& right) { return in_the_cluster(left) < in_the_cluster(right); });
  std::vector<Candidate> list;
  for (const PairCut& cut : cuts) {
    TIDELINE_TRY(PlanResult result, model.finish("pair", {.places = placement_of(model.problem(), cut), .stats = {}}));
    list.push_back(model.candidate(Candidate::Kind::kPair, std::move(result)));
  }
  return list;
}

}  // namespace tideline
