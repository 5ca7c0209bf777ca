#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "cluster/routes.h"
#include "codec/codec.h"
#include "plan/program.h"

namespace tideline {
namespace {

Error wrong(const std::string& what) { return Error{ErrorCode::kInvalidArgument, "[plan] the plan does not fit: " + what}; }

Result<NodeId> find_node(const Cluster& cluster, const std::string& name) {
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i)
    if (cluster.nodes[i].name == name) return static_cast<NodeId>(i);
  return wrong(fmt::format("it names node '{}', which the cluster does not have", printable(name)));
}

// The index of the link; the number of links when there is none.
std::size_t find_link(const Cluster& cluster, NodeId from, NodeId to) {
  std::size_t index = 0;
  while (index < cluster.links.size() && (cluster.links[index].from != from || cluster.links[index].to != to)) ++index;
  return index;
}

std::vector<std::string> names_of(const ProgramShape& shape, std::uint32_t cut, ResultTo result_to) {
  std::vector<std::string> names;
  if (shape.chain == nullptr || (cut == shape.block_count && result_to == ResultTo::kNowhere)) return names;
  for (const TensorSpec& tensor : shape.chain->cuts[cut].tensors) names.push_back(tensor.name);
  return names;
}

Status check_segments(const Plan& plan, const ProgramShape& shape) {
  if (plan.chain_sha256 != shape.chain_sha256)
    return wrong("it was made for another model, shape, input section or cut list; plan again");
  if (plan.segments.empty()) return wrong("it has no segments");
  std::uint32_t next = 0;
  for (const PlanSegment& segment : plan.segments) {
    if (segment.first_block != next || segment.last_block < segment.first_block)
      return wrong(fmt::format("the segment on '{}' is blocks {}..{}, expected it to begin with block {}",
                               printable(segment.node), segment.first_block, segment.last_block, next));
    if (segment.last_block >= shape.block_count)
      return wrong(fmt::format("the segment on '{}' ends with block {}, but the model has {}", printable(segment.node),
                               segment.last_block, shape.block_count));
    next = segment.last_block + 1;
  }
  if (next != shape.block_count)
    return wrong(fmt::format("it ends after block {}, but the model has {}", next - 1, shape.block_count));
  return {};
}

// Whether the names appear on the way from the source to the place, in order, the last of them at the place itself.
bool passes(const std::vector<std::string>& path, const std::vector<PlanSegment>& segments) {
  std::size_t at = path.size();
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment == segments.rbegin() && path.back() != segment->node) return false;
    do {
      if (at == 0) return false;
    } while (path[--at] != segment->node);
  }
  return true;
}

// Walks the route over the cluster's links and makes the stages, without their blocks and names.
class Walk {
 public:
  explicit Walk(const Cluster& cluster) : cluster_(cluster) {}

  Status start(const std::string& name) {
    TIDELINE_TRY(const NodeId node, find_node(cluster_, name));
    if (node != cluster_.source)
      return wrong(fmt::format("its route begins at '{}', but requests begin at the source, '{}'", printable(name),
                               cluster_.nodes[std::size_t(cluster_.source)].name));
    stack_.push_back({node, 0});
    program_.stages.push_back({.id = 0, .node = name});
    return {};
  }

  Status move(const std::string& name, std::string_view codec) {
    TIDELINE_TRY(const NodeId node, find_node(cluster_, name));
    ProgramStage& from = program_.stages.back();
    from.codec = codec;
    ProgramStage to{.id = from.id + 1, .node = name};
    if (stack_.size() > 1 && stack_[stack_.size() - 2].node == node) {
      from.then = ProgramStage::Then::kAnswer;
      stack_.pop_back();
      to.from = ProgramStage::From::kAnswer;
      to.after = stack_.back().stage;
      stack_.back().stage = to.id;
    } else {
      TIDELINE_CHECK_OK(call(from, to, node));
    }
    program_.stages.push_back(std::move(to));
    return {};
  }

  Result<Program> finish() {
    if (stack_.size() != 1)
      return wrong(fmt::format("its route ends at '{}', but a result returns to the source, '{}'", program_.stages.back().node,
                               cluster_.nodes[std::size_t(cluster_.source)].name));
    return std::move(program_);
  }

 private:
  struct Level {
    NodeId node;
    std::uint32_t stage;  // the latest one here
  };

  Status call(ProgramStage& from, const ProgramStage& to, NodeId node) {
    const std::size_t link = find_link(cluster_, stack_.back().node, node);
    if (link == cluster_.links.size())
      return wrong(fmt::format("its route goes from '{}' to '{}', but no link leads there, and a request came to '{}' {}",
                               from.node, to.node, from.node,
                               stack_.size() > 1
                                   ? fmt::format("from '{}'", cluster_.nodes[std::size_t(stack_[stack_.size() - 2].node)].name)
                                   : std::string("from its sender")));
    if (std::any_of(stack_.begin(), stack_.end(), [&](const Level& level) { return level.node == node; }))
      return wrong(fmt::format("its route goes up to '{}' while a call from there still waits for its answer", to.node));
    if (stack_.size() == limits::kPlanHopsMax)
      return wrong(fmt::format("its route goes up through more than {} nodes", limits::kPlanHopsMax));
    from.then = ProgramStage::Then::kCall;
    from.next = to.id;
    from.next_node = to.node;
    from.link = static_cast<std::uint32_t>(link);
    stack_.push_back({node, to.id});
    return {};
  }

  const Cluster& cluster_;
  Program program_;
  std::vector<Level> stack_;
};

Status place_segments(const Plan& plan, const ProgramShape& shape, Program& program) {
  std::size_t next = 0;
  std::uint32_t done = 0;
  for (ProgramStage& stage : program.stages) {
    stage.inputs = names_of(shape, done, plan.result_to);
    if (next < plan.segments.size() && plan.segments[next].at == stage.id) {
      const PlanSegment& segment = plan.segments[next++];
      if (segment.node != stage.node)
        return wrong(fmt::format("the segment at position {} is on '{}', but the route is at '{}' there", stage.id,
                                 printable(segment.node), stage.node));
      stage.blocks = {segment.first_block, segment.last_block};
      done = segment.last_block + 1;
    }
    stage.outputs = stage.blocks ? names_of(shape, done, plan.result_to) : stage.inputs;
  }
  if (next != plan.segments.size())
    return wrong(
        fmt::format("the segment on '{}' is at position {}, which does not come after the one before it on a route of {}",
                    printable(plan.segments[next].node), plan.segments[next].at, plan.route.size()));
  return {};
}

}  // namespace

ProgramShape shape_of(const Chain& chain) {
  return {.chain_sha256 = chain.sha256, .block_count = chain.block_count(), .chain = &chain};
}

Result<Plan> complete_plan(const Plan& plan, const Cluster& cluster) {
  if (!plan.route.empty()) return plan;
  if (plan.segments.empty()) return wrong("it has no segments");
  for (const PlanSegment& segment : plan.segments) TIDELINE_CHECK_OK(find_node(cluster, segment.node));
  TIDELINE_TRY(const Routes routes, routes_of(cluster));
  for (std::uint32_t place = 0; place < routes.places.size(); ++place) {
    if (cluster.nodes[std::size_t(routes.places[place].node)].name != plan.segments.back().node) continue;
    const std::vector<std::string> path = names_along(cluster, routes, place);
    if (!passes(path, plan.segments)) continue;
    Plan complete = plan;
    complete.route = path;
    complete.route.insert(complete.route.end(), path.rbegin() + 1, path.rend());
    std::uint32_t at = 0;
    for (PlanSegment& segment : complete.segments) {
      while (path[at] != segment.node) ++at;
      segment.at = at++;
    }
    return complete;
  }
  std::vector<std::string> names;
  for (const PlanSegment& segment : plan.segments) names.push_back(segment.node);
  return wrong(fmt::format("no path of the cluster leads up from '{}' through {}, in this order",
                           cluster.nodes[std::size_t(cluster.source)].name, fmt::join(names, ", ")));
}

Result<Program> lower(const Plan& plan, const Cluster& cluster, const ProgramShape& shape) {
  if (cluster.nodes.empty() || std::size_t(cluster.source) >= cluster.nodes.size()) return wrong("the cluster has no source");
  TIDELINE_CHECK_OK(check_segments(plan, shape));
  if (plan.route.empty()) {
    TIDELINE_TRY(const Plan complete, complete_plan(plan, cluster));
    return lower(complete, cluster, shape);
  }
  if (plan.route.size() > limits::kPlanStagesMax)
    return wrong(fmt::format("its route has {} positions, above the limit of {}", plan.route.size(), limits::kPlanStagesMax));
  if (!plan.codecs.empty() && plan.codecs.size() + 1 != plan.route.size())
    return wrong(fmt::format("it has {} codecs for the {} moves of its route", plan.codecs.size(), plan.route.size() - 1));
  Walk walk(cluster);
  TIDELINE_CHECK_OK(walk.start(plan.route.front()));
  for (std::size_t i = 1; i < plan.route.size(); ++i) {
    const std::string_view codec = plan.codecs.empty() ? std::string_view("raw") : plan.codecs[i - 1];
    TIDELINE_CHECK_OK(find_codec(codec));
    TIDELINE_CHECK_OK(walk.move(plan.route[i], codec));
  }
  TIDELINE_TRY(Program program, walk.finish());
  program.result_to = plan.result_to;
  TIDELINE_CHECK_OK(place_segments(plan, shape, program));
  return program;
}

Result<Program> lower(const Plan& plan, const Cluster& cluster, const Chain& chain) {
  return lower(plan, cluster, shape_of(chain));
}

}  // namespace tideline
