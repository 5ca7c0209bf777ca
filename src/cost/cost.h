// The cost model: what a plan's requests will take, term by term. The only place with the formula; every planner, the tables of
// measured times and the simulator use it.
//
// Latency of one request through a program (plan/program.h):
//   sum over stages s with blocks on node n:  slowdown(n) * segment_time(profile(n), first(s), last(s))
// + sum over moves:                           rtt/2 + encode + sent_bytes / bandwidth + decode + hop_overhead/2
// A move up link l goes at `bandwidth` of l, a move back down it at `bandwidth_back`. The bytes of a move are those of the cut in
// force: what the blocks done so far have left to be carried, on the way home the result. A codec turns a cut's bytes into
// sent_bytes, as the sender's profile has them, and takes time at both ends: slowdown(n) * encode at the sender, slowdown(n) *
// decode at the receiver, each from that node's own profile. A stage that runs nothing and sends in the codec in which it gets
// passes the bytes on and takes neither. "raw" sends the cut's bytes as they are and takes no time.
//
// On a chain this is AAIoT's eq. 3 with a round trip for each hop: a link that is crossed costs
//   rtt + cut_bytes / up + result_bytes / back + hop_overhead.
//
// Worked example: input 150,528 B, result 4,000 B, one link of 1.25e6 B/s with 4 ms round trip, everything on the far node in
// 10 ms: 10 + (2 + 120.4224) + (2 + 3.2) = 137.6224 ms.
//
// What codecs lose adds up over the places that encode, each from that node's own profile: `lost_accuracy` 1 - top1_agreement,
// `output_error` max_rel_error. Losses of several hops are measured one by one, so that their sum is an estimate.
//
// Memory of a node: parameters and largest activations of each of its segments, added up: a node that a request visits twice has
// both loaded.
//
// A result that is wanted nowhere has no bytes; the word that the request is done still takes the move's rtt/2.
//
// Not modelled: waiting behind other requests, energy.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "cluster/cluster.h"
#include "plan/plan.h"
#include "plan/program.h"
#include "profile/profile.h"

namespace tideline {

// One move, one way, as it is: the formula's second line for codec raw.
Millis move_time(double bytes, double bytes_per_s, Millis rtt, Millis hop_overhead);

struct CostInput {
  const Cluster* cluster = nullptr;
  std::vector<const Profile*> profiles;  // one for each node of the cluster
  // For planners: what the plans they make say. A plan or a program that is given says it itself.
  ResultTo result_to = ResultTo::kSource;
  // Fixed cost of one hop, there and back, in the software: system calls, wake-ups, headers.
  Millis hop_overhead{0};
};

struct StageEstimate {
  std::string node;
  bool has_segment = false;
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  Millis compute{0};
  Bytes memory_bytes = 0;
  std::uint32_t at = 0;  // position in the route
  // Of codecs, those of an answer that this place only hands on included; in the hops' totals and not in `compute`.
  Millis decode{0};
  Millis encode{0};
  bool operator==(const StageEstimate&) const = default;
};

// A call over a link and its answer.
struct HopEstimate {
  std::string from;
  std::string to;
  Bytes bytes = 0;         // forward, as sent
  Bytes result_bytes = 0;  // back, as sent
  Millis rtt{0};
  Millis forward{0};  // bytes / bandwidth
  Millis back{0};
  Millis overhead{0};
  std::uint32_t at = 0;        // the stage that calls
  std::uint32_t answered = 0;  // the stage that goes on with the answer
  std::uint32_t link = 0;      // in the cluster
  Millis coding{0};            // encode and decode at both ends, there and back
  std::string codec = "raw";   // there
  std::string back_codec = "raw";
  Millis on_link() const { return rtt + forward + back + overhead; }
  Millis total() const { return on_link() + coding; }
  bool operator==(const HopEstimate&) const = default;
};

struct Estimate {
  Millis latency{0};
  Millis compute{0};
  Millis transfer{0};
  // Every stage of the program that a request or a segment reaches first: on a chain one for each node up to the last one used.
  // Those that only carry an answer on are left out.
  std::vector<StageEstimate> stages;
  std::vector<HopEstimate> hops;  // in the order of their calls
  // Of lossy codecs; infinite where the answer was not measured. Accuracy is not lost where the model has no answer to count.
  double lost_accuracy = 0;
  double accuracy = 1;  // the whole model's or the exit's, as the profile has it, without what is lost
  double output_error = 0;
  // Empty when the plan is feasible; otherwise why it is not ("camera: needs 620 MB, has 512 MB").
  std::string infeasible;
  bool operator==(const Estimate&) const = default;
};

// Of a cut that travels in the codec; nothing for one that is not lossy.
struct CodecLosses {
  double accuracy = 0;
  double output_error = 0;
};
CodecLosses losses_of(const CodecProfile& codec, std::size_t cut);

// kInvalidArgument when the plan does not fit cluster, chain and profiles (unknown node, no link, gaps, another model), or a
// profile lacks a codec of the plan. For a plan with an exit the profiles are those of the whole model or at_exit() of it;
// kNotFound when they say nothing of it.
Result<Estimate> estimate(const CostInput& input, const Plan& plan);
// REQUIRES: a program of lower() or one that verify() took.
Result<Estimate> estimate(const CostInput& input, const Program& program);

}  // namespace tideline
