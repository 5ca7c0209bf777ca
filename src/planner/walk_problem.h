// WalkProblem: what the walk searches look at, made from a table of version 2 (or from a model on a cluster). A value. Internal
// to src/planner; the arithmetic is the definition's (walk.h, cost/cost.h), laid out for searches that look at every state.
//
// With k blocks done a request stands at a *station*: a device, for tables; for models also how it came there, so that a walk
// never comes straight back to where its last segment ended. From there it makes a hop over a link, in a codec, or computes block
// k; behind its last block it is on the way home with a result.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "planner/question.h"
#include "planner/walk.h"

namespace tideline {

// What adds up along a walk. Energy is in millijoules, and accuracy is what is lost against the best there is, in whole units of
// 1e-12, so that sums are exact.
// kError is Values::output_error; of models alone.
enum : std::size_t { kTime, kEnergy, kUpload, kLoss, kError, kAmounts };
using Amounts = std::array<double, kAmounts>;
inline constexpr double kLossUnit = 1e-12;
double loss_units(double loss);
inline constexpr double kEndless = std::numeric_limits<double>::infinity();
// [Objective] -> its amount; the period is none.
std::optional<std::size_t> amount_of(Objective objective);

struct WalkProblem {
  struct Station {
    std::uint32_t device = 0;
    std::uint32_t runs = 0;  // the station after a block has run here; itself, where the next block goes on with the segment
    bool is_home = false;
    std::uint32_t codec = 0;  // what stands here is in; of models, whose codecs are `codes`
  };
  // A link in one direction and codec: fixed + megabytes * per_mb + bytes * per_byte, of the bytes before the codec.
  struct Hop {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    std::uint32_t link = 0;
    std::uint32_t codec = 0;
    std::uint32_t way = 0;  // its number among the directions of links
    Amounts fixed{};
    Amounts per_mb{};
    Amounts per_byte{};
    double encode_ms_per_mb = 0;
    double decode_ms_per_mb = 0;
    double way_ms_per_byte = 0;
    bool encodes = false;  // into codec `codec` of `codes`, before it sends; what it takes is not in the sums above
  };
  // A codec of models, with what was measured at every cut. It is chosen where a request leaves the device that has computed, and
  // stays until one computes: who passes it on does not look inside. One for each name and list of sizes: nodes whose profiles
  // say different sizes encode into different ones.
  struct Code {
    std::string name;
    std::vector<double> bytes;   // [cut], as sent
    std::vector<double> encode;  // [cut * devices + device], milliseconds; kEndless: not there, or not allowed
    std::vector<double> decode;  // the same
    std::vector<double> loss;    // [cut * devices + device that encodes], in units
    std::vector<double> error;
  };
  // A way to end: after so many blocks, with a head on the device of the last one, and a result.
  struct Leave {
    std::size_t after = 0;
    double bytes = 0;
    double loss = 0;
    std::vector<double> head_ms;  // [device]; empty: none
    std::optional<std::uint32_t> exit;
  };

  std::size_t blocks = 0;
  std::size_t devices = 0;
  std::size_t ways = 0;
  std::vector<Station> stations;
  std::uint32_t start = 0;
  std::uint32_t source = 0;  // device
  std::size_t keep = 0;      // blocks before it run on the source
  std::vector<Hop> hops;
  std::vector<std::vector<std::uint32_t>> hops_from;  // [station]
  std::vector<Leave> leaves;                          // the whole model is the first
  std::vector<double> time;                           // [block * devices + device]
  std::vector<double> begins;                         // [block * devices + device]: to begin a segment with it; empty: nothing
  std::vector<double> ends;                           // [cut * devices + device]: to end one there; empty with `begins`
  std::vector<double> millijoules_per_ms;             // [device], of computing, everybody's idling included
  std::vector<double> cut_bytes;                      // [cut]
  std::vector<Code> codes;                            // codec number c + 1 is codes[c]; empty for tables
  double accuracy = 1;                                // the best that any leave has; losses are against it
  // Memory: the sum of what a device's blocks hold and the largest of what they need for a while, for each segment. Empty: no
  // limits.
  std::vector<std::optional<double>> memory;  // [device]
  std::vector<double> holds;                  // [block * devices + device]
  std::vector<double> needs;                  // the same; empty: nothing

  double time_of(std::size_t block, std::size_t device) const { return time[block * devices + device]; }
  double begin(std::size_t block, std::size_t device) const { return begins.empty() ? 0 : begins[block * devices + device]; }
  double end(std::size_t cut, std::size_t device) const { return ends.empty() ? 0 : ends[cut * devices + device]; }
  bool may_run(std::size_t block, std::size_t device) const { return block >= keep || device == source; }
  bool is_running(std::size_t station) const { return stations[station].runs == station; }
  // Bytes of a cut to which a hop's sums apply.
  double bytes_of(const Hop& hop, std::size_t cut) const {
    return codes.empty() || hop.codec == 0 ? cut_bytes[cut] : codes[hop.codec - 1].bytes[cut];
  }
  // Of the device that the hop leaves; kEndless where it cannot.
  double encode(const Hop& hop, std::size_t cut) const {
    return hop.encodes ? codes[hop.codec - 1].encode[cut * devices + stations[hop.from].device] : 0;
  }
  double decode(std::size_t station, std::size_t cut) const {
    const std::uint32_t codec = stations[station].codec;
    return codec == 0 ? 0 : codes[codec - 1].decode[cut * devices + stations[station].device];
  }
  // What encoding loses; adds to `amounts`.
  void add_losses(const Hop& hop, std::size_t cut, Amounts& amounts) const {
    if (!hop.encodes) return;
    amounts[kLoss] += codes[hop.codec - 1].loss[cut * devices + stations[hop.from].device];
    amounts[kError] += codes[hop.codec - 1].error[cut * devices + stations[hop.from].device];
  }
};

// What the question allows: no lossy codec and no exit below the whole model's accuracy unless it says something about accuracy.
// REQUIRES: a table of version 2 with a chain.
WalkProblem make_walk_problem(const Table& table, const Question& question);

// The steps of a walk: hops, computed blocks and the leave.
inline constexpr std::uint32_t kComputes = 0xffffffffu;
inline constexpr std::uint32_t kLeaves = 0x80000000u;  // | number of the leave
using Steps = std::vector<std::uint32_t>;
TableWalk table_walk(const WalkProblem& problem, const Steps& steps);

// What a walk amounts to by the search's arithmetic.
struct WalkAmounts {
  Amounts sums{};
  double period = 0;
  std::vector<double> memory;  // [device]
  bool returns = false;        // visits a device twice before the result goes home
};
WalkAmounts measure(const WalkProblem& problem, const Steps& steps);

// The least of a weighted sum of amounts that is still to come, from every state, and the walk that has it. O(blocks x hops), a
// few times over when links go round in circles. Infinite where nothing leads home.
class ToGo {
 public:
  ToGo(const WalkProblem& problem, const Amounts& weights);
  // With k blocks done at the station, and on the way home by a leave.
  double at(std::size_t cut, std::size_t station) const { return value_[cut * stations_ + station]; }
  double home(std::size_t leave, std::size_t station) const { return home_[leave * stations_ + station]; }
  double best() const;
  Steps walk() const;

 private:
  struct Cost {
    double fixed, per_mb, per_byte;
  };
  double cost(const Cost& hop, double bytes) const { return hop.fixed + bytes / 1e6 * hop.per_mb + bytes * hop.per_byte; }
  // Of what a hop does to the cut beside sending it; kEndless where it cannot.
  double at_ends(const WalkProblem::Hop& hop, std::size_t cut) const;
  void relax(double bytes, std::size_t cut, bool raw_only, double* values, std::uint32_t* choices) const;
  void go_home(std::size_t leave);
  void compute(std::size_t block);
  double weigh(const Amounts& amounts) const;

  const WalkProblem& problem_;
  const Amounts weights_;
  const std::size_t stations_;
  std::vector<Cost> costs_;  // [hop]
  std::vector<double> value_;
  std::vector<std::uint32_t> choice_;
  std::vector<double> home_;
  std::vector<std::uint32_t> home_choice_;
};

}  // namespace tideline
