// The plan that `run` uses: read from a file, or made now from profiles.
#include <fmt/format.h>

#include "base/limits.h"
#include "plan/planner.h"
#include "platform/files.h"
#include "profile/measure.h"
#include "run_session.h"

namespace tideline::app {
namespace {

Result<Profile> read_profile(const std::string& path) {
  TIDELINE_TRY(const std::string json, read_file(path, limits::kConfigFileBytesMax));
  return parse_profile(json, path);
}

Result<Profile> measure_here(const Context& context, const LoadedModel& loaded) {
  Progress progress(context, "Measuring this host", 100);
  MeasureOptions options;
  options.cancel = &context.interrupted;
  options.progress = [&](double done, std::string_view what) { progress.advance_to(static_cast<std::size_t>(100 * done), what); };
  return measure_profile(*loaded.engine, loaded.model, loaded.chain, loaded.sample, options);
}

// One profile for each node: its own by --profile NODE=FILE or by the cluster file, otherwise the common one.
Result<std::vector<Profile>> profiles_for(const Context& context, const RunArguments& arguments, const LoadedModel& loaded,
                                          const Cluster& cluster) {
  std::vector<std::string> files;
  std::string common;
  for (const Node& node : cluster.nodes) files.push_back(node.profile);
  for (const std::string& given : arguments.profiles) {
    const std::size_t equals = given.find('=');
    const std::string name = equals == std::string::npos ? "" : given.substr(0, equals);
    std::size_t node = 0;
    while (node < cluster.nodes.size() && cluster.nodes[node].name != name) ++node;
    if (name.empty())
      common = given;
    else if (node < cluster.nodes.size())
      files[node] = given.substr(equals + 1);
    else
      return Error{ErrorCode::kInvalidArgument, fmt::format("--profile {}: the cluster has no node '{}'", given, name)};
  }
  std::optional<Profile> shared;
  std::vector<Profile> profiles;
  for (const std::string& file : files) {
    if (!file.empty()) {
      TIDELINE_TRY(Profile profile, read_profile(file));
      profiles.push_back(std::move(profile));
      continue;
    }
    if (!shared) {
      TIDELINE_TRY(shared, common.empty() ? measure_here(context, loaded) : read_profile(common));
    }
    profiles.push_back(*shared);
  }
  return profiles;
}

// The plan of --cuts. A node whose range is empty passes on.
Result<Plan> plan_by_hand(const std::vector<std::uint32_t>& cuts, const LoadedModel& loaded, const Cluster& cluster) {
  if (cuts.size() >= cluster.nodes.size())
    return Error{ErrorCode::kInvalidArgument, fmt::format("--cuts: {} cuts need {} nodes, the cluster has {}", cuts.size(),
                                                          cuts.size() + 1, cluster.nodes.size())};
  const std::uint32_t count = loaded.chain.block_count();
  Plan plan{.planner = "by hand", .model_sha256 = loaded.model.sha256(), .chain_sha256 = loaded.chain.sha256};
  std::uint32_t next = 0;
  for (std::size_t i = 0; i <= cuts.size(); ++i) {
    const std::uint32_t end = i < cuts.size() ? cuts[i] : count;
    if (end < next || end > count)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("--cuts: {} is out of order or above the {} blocks of the model", end, count)};
    if (end > next) plan.segments.push_back({cluster.nodes[i].name, next, end - 1});
    next = end;
  }
  return plan;
}

void print_candidates(const std::vector<Candidate>& all, const Chain& chain) {
  fmt::print("{:<44} {:>11} {:>11} {:>11}\n", "plan (predicted)", "latency", "compute", "transfer");
  for (const Candidate& candidate : all) {
    std::string what;
    for (const PlanSegment& segment : candidate.plan.segments)
      what += fmt::format("{}{} {}..{}", what.empty() ? "" : ", ", segment.node, segment.first_block, segment.last_block);
    if (candidate.kind == Candidate::Kind::kNative) what = fmt::format("everything on {}", candidate.plan.segments[0].node);
    if (!candidate.estimate.infeasible.empty()) {
      fmt::print("{:<44} {}\n", what, candidate.estimate.infeasible);
      continue;
    }
    fmt::print("{:<44} {:>11} {:>11} {:>11}\n", what, format_millis(candidate.estimate.latency),
               format_millis(candidate.estimate.compute), format_millis(candidate.estimate.transfer));
  }
  fmt::print("({} blocks; the input is {})\n", chain.block_count(), format_bytes(chain.cuts.front().bytes));
}

}  // namespace

Result<ChosenPlan> choose_plan(Context& context, const RunArguments& arguments, const LoadedModel& loaded,
                               const Cluster& cluster) {
  ChosenPlan chosen;
  if (!arguments.plan.empty()) {
    TIDELINE_TRY(const std::string json, read_file(arguments.plan, limits::kConfigFileBytesMax));
    TIDELINE_TRY(chosen.plan, parse_plan(json, arguments.plan));
    if (arguments.profiles.empty()) return chosen;  // nothing to predict from, and nothing asked to be measured
  }
  TIDELINE_TRY(const std::vector<Profile> profiles, profiles_for(context, arguments, loaded, cluster));
  PlanRequest request;
  request.cost.cluster = &cluster;
  for (const Profile& profile : profiles) {
    if (profile.chain_sha256 != loaded.chain.sha256)
      return Error{ErrorCode::kInvalidArgument,
                   "the profile is of another model, shape, input section or cut width; measure again with `tideline profile`"};
    request.cost.profiles.push_back(&profile);
  }
  request.cancel = context.interrupted;
  if (!arguments.cuts.empty()) {
    TIDELINE_TRY(chosen.plan, plan_by_hand(arguments.cuts, loaded, cluster));
  }
  if (!chosen.plan.segments.empty()) {
    if (context.output == Output::kTable) {
      TIDELINE_TRY(const std::vector<Candidate> all, candidates(request));
      print_candidates(all, loaded.chain);
    }
    TIDELINE_TRY(chosen.estimate, estimate(request.cost, chosen.plan));
    return chosen;
  }
  auto result =
      arguments.split ? plan_best_split(request) : run_planner(request, arguments.planner.empty() ? "auto" : arguments.planner);
  if (!result) return std::move(result).error();
  if (context.output == Output::kTable) {
    TIDELINE_TRY(const std::vector<Candidate> all, candidates(request));
    print_candidates(all, loaded.chain);
    if (!arguments.split && result->plan.segments.size() == 1)
      fmt::print("do not split: everything on {} is the fastest\n", result->plan.segments[0].node);
  }
  chosen.plan = std::move(result->plan);
  chosen.estimate = std::move(result->estimate);
  return chosen;
}

}  // namespace tideline::app
