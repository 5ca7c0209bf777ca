// A model on a cluster as a WalkProblem. Each place (cluster/routes.h) has three kinds of stations, so that a walk never goes
// down a link and straight up again: that a block has just run there, that the request has come up to it, and that it has come
// down from it to the place below; the latter two for each codec in which what it carries may be.
#include "planner/model_walks.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/limits.h"
#include "codec/codec.h"

namespace tideline {
namespace {

// Stations of a place.
std::size_t stride_of(const WalkProblem& problem) { return 1 + 2 * (problem.codes.size() + 1); }

struct Watts {
  explicit Watts(const Cluster& cluster) : cluster_(cluster) {
    for (const Node& node : cluster.nodes) idle += node.power ? node.power->idle_w : 0;
  }
  // Beyond idling.
  double of(NodeId node, double Power::*what) const {
    const auto& power = cluster_.nodes[std::size_t(node)].power;
    return power ? (*power).*what - power->idle_w : 0;
  }
  double idle = 0;  // of all together

 private:
  const Cluster& cluster_;
};

class Maker {
 public:
  Maker(const CostInput& cost, const Problem& problem) : cost_(cost), problem_(problem), watts_(*cost.cluster) {}

  Result<WalkProblem> make(const Question& question) {
    if (problem_.edges || !problem_.may_come_back)
      return Error{ErrorCode::kUnsupported, "[plan] objectives and limits are for walks of any kind over blocks in a row"};
    if (!is_additive(problem_))
      return Error{ErrorCode::kUnsupported,
                   "[plan] the profiles' corrections are so large that segments would take less than no time: plan for latency "
                   "without limits, or measure again with a longer --profile-time"};
    walks_ = {.blocks = problem_.blocks, .devices = problem_.nodes, .ways = 2 * cost_.cluster->links.size()};
    walks_.source = static_cast<std::uint32_t>(problem_.node(0));
    walks_.keep = question.keep_on_source.value_or(0);
    walks_.time = problem_.time;
    walks_.begins.assign(problem_.start.begin(), problem_.start.begin() + static_cast<std::ptrdiff_t>(problem_.time.size()));
    walks_.ends = problem_.end;
    walks_.cut_bytes = problem_.cut_bytes;
    walks_.accuracy = cost_.profiles[0]->accuracy;
    walks_.leaves.push_back({.after = problem_.blocks, .bytes = problem_.result_bytes});
    for (const std::uint32_t node : problem_.node_ids)
      walks_.millijoules_per_ms.push_back(watts_.of(NodeId{node}, &Power::compute_w) + watts_.idle);
    add_codes(question);
    walks_.start = risen(0, 0);
    add_stations();
    TIDELINE_CHECK_OK(add_hops());
    add_memory();
    return std::move(walks_);
  }

 private:
  std::uint32_t running(std::size_t place) const { return static_cast<std::uint32_t>(stride_of(walks_) * place); }
  std::uint32_t risen(std::size_t place, std::uint32_t codec) const { return running(place) + 1 + codec; }
  // From `place`, at its parent.
  std::uint32_t fallen(std::size_t place, std::uint32_t codec) const {
    return running(place) + 2 + static_cast<std::uint32_t>(walks_.codes.size()) + codec;
  }

  const Profile& profile(std::size_t node) const { return *cost_.profiles[problem_.node_ids[node]]; }
  double slowdown(std::size_t node) const { return cost_.cluster->nodes[problem_.node_ids[node]].slowdown; }

  WalkProblem::Code& code_for(const CodecProfile& measured) {
    std::vector<double> bytes(measured.bytes.begin(), measured.bytes.end());
    for (WalkProblem::Code& code : walks_.codes)
      if (code.name == measured.name && code.bytes == bytes) return code;
    const std::size_t count = (problem_.blocks + 1) * problem_.nodes;
    WalkProblem::Code code{.name = measured.name, .bytes = std::move(bytes)};
    code.encode.assign(count, kEndless);
    code.decode.assign(count, kEndless);
    code.loss.assign(count, 0);
    code.error.assign(count, 0);
    walks_.codes.push_back(std::move(code));
    return walks_.codes.back();
  }

  void add_codes(const Question& question) {
    for (std::size_t node = 0; node < problem_.nodes; ++node)
      for (const CodecProfile& measured : profile(node).codecs) {
        std::vector<bool> may(problem_.blocks);
        for (std::size_t cut = 0; cut < may.size(); ++cut) may[cut] = may_use(question, measured, cut);
        if (std::find(may.begin(), may.end(), true) == may.end()) continue;
        WalkProblem::Code& code = code_for(measured);
        for (std::size_t cut = 0; cut < may.size(); ++cut) {
          if (!may[cut]) continue;
          const std::size_t i = cut * problem_.nodes + node;
          const CodecLosses losses = losses_of(measured, cut);
          code.encode[i] = slowdown(node) * measured.encode[cut].count();
          code.loss[i] = loss_units(losses.accuracy);
          code.error[i] = losses.output_error;
        }
      }
    for (WalkProblem::Code& code : walks_.codes)
      for (std::size_t node = 0; node < problem_.nodes; ++node)
        if (const CodecProfile* const measured = codec_profile(profile(node), code.name))
          for (std::size_t cut = 0; cut < problem_.blocks; ++cut)
            code.decode[cut * problem_.nodes + node] = slowdown(node) * measured->decode[cut].count();
  }

  void add_stations() {
    for (std::size_t place = 0; place < problem_.places.size(); ++place) {
      const auto node = static_cast<std::uint32_t>(problem_.node(place));
      const std::size_t parent = place == 0 ? 0 : problem_.places[place].parent;
      const auto codecs = static_cast<std::uint32_t>(walks_.codes.size() + 1);
      walks_.stations.push_back({.device = node, .runs = running(place), .is_home = place == 0});
      for (std::uint32_t codec = 0; codec < codecs; ++codec)
        walks_.stations.push_back({.device = node, .runs = running(place), .is_home = place == 0, .codec = codec});
      // At place 0 there is nothing to come down from; its stations are never reached.
      for (std::uint32_t codec = 0; codec < codecs; ++codec)
        walks_.stations.push_back({.device = static_cast<std::uint32_t>(problem_.node(parent)),
                                   .runs = running(parent),
                                   .is_home = place > 0 && parent == 0,
                                   .codec = codec});
    }
  }

  WalkProblem::Hop hop(std::size_t place, bool back) const {
    const std::uint32_t link = problem_.places[place].link;
    const Problem::Moves& moves = problem_.moves[place];
    const NodeId above{problem_.node_ids[problem_.node(place)]};
    const NodeId below{problem_.node_ids[problem_.node(problem_.places[place].parent)]};
    WalkProblem::Hop hop{.link = link, .way = 2 * link + (back ? 1 : 0)};
    hop.way_ms_per_byte = back ? moves.back_ms_per_byte : moves.up_ms_per_byte;
    hop.fixed[kTime] = back ? moves.back_ms : moves.up_ms;
    hop.per_byte[kTime] = hop.way_ms_per_byte;
    hop.fixed[kEnergy] = watts_.idle * hop.fixed[kTime];
    hop.per_byte[kEnergy] =
        (watts_.of(back ? above : below, &Power::transmit_w) + watts_.of(back ? below : above, &Power::receive_w) + watts_.idle) *
        hop.way_ms_per_byte;
    hop.per_byte[kUpload] = cost_.cluster->links[link].metered ? 1 : 0;
    return hop;
  }

  void add(WalkProblem::Hop hop, std::uint32_t from, std::uint32_t to) {
    hop.from = from;
    hop.to = to;
    hop.codec = walks_.stations[to].codec;
    hop.encodes = hop.codec != walks_.stations[from].codec;
    walks_.hops.push_back(hop);
  }

  // Down from the deepest place first, then up: one pass settles everything.
  Status add_hops() {
    const std::size_t places = problem_.places.size();
    std::vector<std::vector<std::size_t>> children(places);
    for (std::size_t place = 1; place < places; ++place) children[problem_.places[place].parent].push_back(place);
    double count = 0;
    for (const auto& list : children) count += static_cast<double>(list.size()) * (3 + static_cast<double>(list.size()));
    const auto codecs = static_cast<std::uint32_t>(walks_.codes.size() + 1);
    if (count * codecs > limits::kWalkHopsMax)
      return Error{
          ErrorCode::kUnsupported,
          fmt::format("[plan] this cluster has too many neighbours of one node for objectives and limits: {:.0f} ways to "
                      "turn in {} codecs, at most {}",
                      count, codecs, limits::kWalkHopsMax)};
    for (std::size_t place = places; place-- > 1;) {
      for (std::uint32_t codec = 0; codec < codecs; ++codec) {
        add(hop(place, true), running(place), fallen(place, codec));
        for (const std::size_t child : children[place]) add(hop(place, true), fallen(child, codec), fallen(place, codec));
      }
    }
    for (std::size_t place = 1; place < places; ++place) {
      const std::size_t parent = problem_.places[place].parent;
      for (std::uint32_t codec = 0; codec < codecs; ++codec) {
        add(hop(place, false), running(parent), risen(place, codec));
        // Nobody has sent what begins at the source.
        add(hop(place, false), risen(parent, parent == 0 ? 0 : codec), risen(place, codec));
        for (const std::size_t sibling : children[parent])
          if (sibling != place) add(hop(place, false), fallen(sibling, codec), risen(place, codec));
      }
    }
    walks_.hops_from.resize(walks_.stations.size());
    for (std::uint32_t i = 0; i < walks_.hops.size(); ++i) walks_.hops_from[walks_.hops[i].from].push_back(i);
    return {};
  }

  void add_memory() {
    if (problem_.memory.empty()) return;
    for (const std::optional<Bytes>& memory : problem_.memory)
      walks_.memory.push_back(memory ? std::optional(static_cast<double>(*memory)) : std::nullopt);
    for (std::size_t block = 0; block < problem_.blocks; ++block)
      for (std::size_t node = 0; node < problem_.nodes; ++node) {
        walks_.holds.push_back(static_cast<double>(problem_.profiles[node]->blocks[block].parameter_bytes));
        walks_.needs.push_back(static_cast<double>(problem_.profiles[node]->blocks[block].activation_bytes));
      }
  }

  const CostInput& cost_;
  const Problem& problem_;
  const Watts watts_;
  WalkProblem walks_;
};

}  // namespace

bool may_use(const Question& question, const CodecProfile& codec, std::size_t cut) {
  const auto known = find_codec(codec.name);
  if (!known || known->is_raw()) return false;
  if (!known->is_lossy()) return true;
  if (!question.may_lose_accuracy() && !question.tolerance) return false;
  if (question.may_lose_accuracy() && codec.top1_agreement.empty()) return false;
  return std::isfinite(codec.max_rel_error[cut]);
}

Result<WalkProblem> make_walk_problem(const CostInput& cost, const Problem& problem, const Question& question) {
  return Maker(cost, problem).make(question);
}

std::vector<std::uint32_t> places_of(const WalkProblem& problem, const Steps& steps) {
  std::vector<std::uint32_t> places;
  std::uint32_t at = problem.start;
  for (const std::uint32_t step : steps) {
    if (step == kComputes) {
      at = problem.stations[at].runs;
      places.push_back(static_cast<std::uint32_t>(at / stride_of(problem)));
    } else if ((step & kLeaves) != 0) {
      break;
    } else {
      at = problem.hops[step].to;
    }
  }
  return places;
}

std::vector<std::string> codecs_of(const WalkProblem& problem, const Steps& steps) {
  std::vector<std::string> codecs;
  std::uint32_t at = problem.start;
  for (const std::uint32_t step : steps) {
    if (step == kComputes) {
      const std::uint32_t codec = problem.stations[at].codec;
      codecs.push_back(codec == 0 ? "raw" : problem.codes[codec - 1].name);
      at = problem.stations[at].runs;
    } else if ((step & kLeaves) != 0) {
      break;
    } else {
      at = problem.hops[step].to;
    }
  }
  return codecs;
}

}  // namespace tideline
