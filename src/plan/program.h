// Program: what a plan is lowered to, once: for each position of the route its stage, and where the stage's tensors come from and
// go to. Cost, client, nodes and reports read the program; nobody else walks a plan. A value.
//
//   TIDELINE_TRY(const Program program, lower(plan, cluster, chain));
//   for (const ProgramStage& stage : program.stages) fmt::print("{} on {}\n", stage.id, stage.node);
//
// A node that sends tensors up a link makes a call, and every call has exactly one answer on the same connection. So a route is
// calls and answers, nested like brackets: camera -> gateway -> server -> gateway -> camera is five stages, of which stage 0
// calls stage 1, stage 1 calls stage 2, stage 2 answers stage 1's call (stage 3 goes on with the answer on the gateway), stage 3
// answers stage 0's call (stage 4, on the camera), and stage 4 answers whoever sent the request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "model/chain.h"
#include "plan/plan.h"

namespace tideline {

struct ProgramStage {
  enum class From : std::uint8_t {
    kRequest,  // with the RUN of the caller, or of the stage before
    kAnswer,   // with the answer to the call that stage `after` made
  };
  enum class Then : std::uint8_t {
    kCall,    // stage `next` on `next_node` over link `link` of the cluster
    kAnswer,  // whoever called this place
  };

  std::uint32_t id = 0;  // = position in the route
  std::string node;
  std::optional<std::pair<std::uint32_t, std::uint32_t>> blocks;  // first and last; absent: passes tensors on
  // Names of the tensors that arrive and that leave, in the order of their cuts. Equal for a stage that passes them on.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  From from = From::kRequest;
  std::uint32_t after = 0;  // of meaning for kAnswer: an earlier stage on the same node
  Then then = Then::kAnswer;
  std::uint32_t next = 0;  // this and the next two, of meaning for kCall
  std::string next_node;
  std::uint32_t link = 0;
  std::string codec = "raw";  // of what leaves (codec/codec.h); the last stage's result is raw
  bool operator==(const ProgramStage&) const = default;
};

struct Program {
  std::vector<ProgramStage> stages;  // stages[i].id == i
  // Where the result is wanted nowhere, nothing leaves the stage that runs the last block, nor arrives or leaves behind it.
  ResultTo result_to = ResultTo::kSource;
  bool operator==(const Program&) const = default;
};

// What a program must fit besides the cluster.
struct ProgramShape {
  Sha256 chain_sha256;
  std::uint32_t block_count = 0;
  const Chain* chain = nullptr;  // for the names of tensors; without it the program has none
};
ProgramShape shape_of(const Chain& chain);

// The plan with its route. One that has no route goes along the shortest path of the cluster that passes its segments' nodes in
// their order, up to the last of them and back; of equally short ones the first of routes_of(). kInvalidArgument when there is
// none.
Result<Plan> complete_plan(const Plan& plan, const Cluster& cluster);

// kInvalidArgument when the plan does not fit cluster or chain (unknown node, no link, gaps, another model); kUnsupported for a
// codec that there is not. Verified.
Result<Program> lower(const Plan& plan, const Cluster& cluster, const ProgramShape& shape);
Result<Program> lower(const Plan& plan, const Cluster& cluster, const Chain& chain);

// Whether the stages are a walk that begins and ends at the source, over links that the cluster has, in which every call is
// answered and every block runs once, in order, and what leaves a stage is what arrives at the next. kInvalidArgument and a
// sentence otherwise: for programs that came from elsewhere; lower() makes no other.
Status verify(const Program& program, const Cluster& cluster, const ProgramShape& shape);

}  // namespace tideline
