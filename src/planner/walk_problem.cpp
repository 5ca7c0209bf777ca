#include "planner/walk_problem.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tideline {
namespace {

struct TableWatts {
  explicit TableWatts(const std::vector<std::optional<TablePower>>& devices) : devices_(devices) {
    for (const auto& device : devices) idle_w += device ? device->idle_w : 0;
  }
  // What a device takes beyond idling.
  double computing(std::size_t device) const { return beyond(device, &TablePower::compute_w); }
  double sending(std::size_t device) const { return beyond(device, &TablePower::transmit_w); }
  double receiving(std::size_t device) const { return beyond(device, &TablePower::receive_w); }
  double idle_w = 0;  // of all together

 private:
  double beyond(std::size_t device, double TablePower::*what) const {
    return devices_[device] ? (*devices_[device]).*what - devices_[device]->idle_w : 0;
  }
  const std::vector<std::optional<TablePower>>& devices_;
};

// Links from the source, so that hops can be sorted by them.
std::vector<std::uint32_t> depths(const Table& table) {
  std::vector<std::vector<std::uint32_t>> next(table.devices.size());
  for (const TableLink& link : table.links) {
    next[link.from].push_back(link.to);
    next[link.to].push_back(link.from);
  }
  std::vector<std::uint32_t> depth(table.devices.size(), 0xffffffffu);
  std::vector<std::uint32_t> reached{table.source};
  depth[table.source] = 0;
  for (std::size_t i = 0; i < reached.size(); ++i)
    for (const std::uint32_t to : next[reached[i]]) {
      if (depth[to] != 0xffffffffu) continue;
      depth[to] = depth[reached[i]] + 1;
      reached.push_back(to);
    }
  return depth;
}

WalkProblem::Hop hop_of(const Table& table, const TableWatts& power, std::uint32_t link_index, bool back, std::uint32_t codec) {
  const TableLink& link = table.links[link_index];
  const std::uint32_t from = back ? link.to : link.from;
  const std::uint32_t to = back ? link.from : link.to;
  WalkProblem::Hop hop{.from = from, .to = to, .link = link_index, .codec = codec, .way = 2 * link_index + (back ? 1 : 0)};
  double ratio = 1;
  if (codec != kRawCodec) {
    const TableCodec& how = table.codecs[codec - 1];
    ratio = how.ratio;
    hop.encode_ms_per_mb = how.encode_ms_per_mb[from];
    hop.decode_ms_per_mb = how.decode_ms_per_mb[to];
    hop.fixed[kLoss] = loss_units(how.accuracy_loss);
  }
  hop.way_ms_per_byte = 1000 * ratio / (back ? link.back_bytes_per_s : link.bytes_per_s);
  hop.fixed[kTime] = link.rtt_ms / 2;
  hop.per_mb[kTime] = hop.encode_ms_per_mb + hop.decode_ms_per_mb;
  hop.per_byte[kTime] = hop.way_ms_per_byte;
  hop.fixed[kEnergy] = power.idle_w * hop.fixed[kTime];
  hop.per_mb[kEnergy] =
      (power.computing(from) + power.idle_w) * hop.encode_ms_per_mb + (power.computing(to) + power.idle_w) * hop.decode_ms_per_mb;
  hop.per_byte[kEnergy] = (power.sending(from) + power.receiving(to) + power.idle_w) * hop.way_ms_per_byte;
  hop.per_byte[kUpload] = link.metered ? ratio : 0;
  return hop;
}

void add_hops(const Table& table, const TableWatts& power, bool may_lose, WalkProblem& problem) {
  for (std::uint32_t link = 0; link < table.links.size(); ++link)
    for (std::uint32_t codec = 0; codec <= table.codecs.size(); ++codec) {
      if (codec != kRawCodec && !may_lose && table.codecs[codec - 1].accuracy_loss > 0) continue;
      for (const bool back : {false, true}) problem.hops.push_back(hop_of(table, power, link, back, codec));
    }
  // Towards the source the deepest first, then away from it: on a chain one pass settles everything.
  const std::vector<std::uint32_t> depth = depths(table);
  std::stable_sort(problem.hops.begin(), problem.hops.end(), [&](const WalkProblem::Hop& left, const WalkProblem::Hop& right) {
    const bool left_home = depth[left.to] < depth[left.from];
    const bool right_home = depth[right.to] < depth[right.from];
    if (left_home != right_home) return left_home;
    return left_home ? depth[left.from] > depth[right.from] : depth[left.from] < depth[right.from];
  });
  problem.hops_from.resize(problem.stations.size());
  for (std::uint32_t hop = 0; hop < problem.hops.size(); ++hop) problem.hops_from[problem.hops[hop].from].push_back(hop);
}

void add_leaves(const Table& table, bool may_lose, WalkProblem& problem) {
  problem.accuracy = table.accuracy;
  for (const TableExit& exit : table.exits)
    if (may_lose || exit.accuracy >= table.accuracy) problem.accuracy = std::max(problem.accuracy, exit.accuracy);
  problem.leaves.push_back({.after = problem.blocks, .bytes = table.result_bytes});
  problem.leaves[0].loss = loss_units(problem.accuracy - table.accuracy);
  for (std::uint32_t i = 0; i < table.exits.size(); ++i) {
    const TableExit& exit = table.exits[i];
    if (!may_lose && exit.accuracy < table.accuracy) continue;
    const auto position = std::find(table.order.begin(), table.order.end(), exit.after_op) - table.order.begin();
    problem.leaves.push_back({.after = static_cast<std::size_t>(position) + 1,
                              .bytes = exit.result_bytes,
                              .loss = loss_units(problem.accuracy - exit.accuracy),
                              .head_ms = exit.runtime_ms,
                              .exit = i});
  }
}

}  // namespace

double loss_units(double loss) { return std::round(loss / kLossUnit); }

std::optional<std::size_t> amount_of(Objective objective) {
  switch (objective) {
    case Objective::kLatency: return kTime;
    case Objective::kEnergy: return kEnergy;
    case Objective::kUpload: return kUpload;
    case Objective::kAccuracy: return kLoss;
    case Objective::kPeriod: return std::nullopt;
  }
  return std::nullopt;
}

WalkProblem make_walk_problem(const Table& table, const Question& question) {
  TIDELINE_CHECK(table.version == 2 && table.is_chain);
  const std::size_t m = table.devices.size();
  WalkProblem problem{.blocks = table.op_count(), .devices = m, .ways = 2 * table.links.size(), .start = table.source};
  problem.source = table.source;
  problem.keep = question.keep_on_source.value_or(table.keep_on_source);
  const TableWatts power(table.power);
  for (std::uint32_t device = 0; device < m; ++device) {
    problem.stations.push_back({.device = device, .runs = device, .is_home = device == table.source});
    problem.millijoules_per_ms.push_back(power.computing(device) + power.idle_w);
  }
  add_hops(table, power, question.may_lose_accuracy(), problem);
  add_leaves(table, question.may_lose_accuracy(), problem);
  problem.cut_bytes.push_back(table.input_bytes);
  problem.time.reserve(problem.blocks * m);
  for (const std::uint32_t op : table.order) {
    problem.cut_bytes.push_back(table.output_bytes[op]);
    const auto from = table.runtime_ms.begin() + static_cast<std::ptrdiff_t>(op * m);
    problem.time.insert(problem.time.end(), from, from + static_cast<std::ptrdiff_t>(m));
  }
  if (!question.limits.memory) return problem;
  problem.memory = table.device_memory_bytes;
  for (const std::uint32_t op : table.order) problem.holds.insert(problem.holds.end(), m, table.memory_bytes[op]);
  return problem;
}

TableWalk table_walk(const WalkProblem& problem, const Steps& steps) {
  TableWalk walk{.route = {problem.stations[problem.start].device}};
  for (const std::uint32_t step : steps) {
    if (step == kComputes) {
      walk.devices.push_back(walk.route.back());
      walk.at.push_back(static_cast<std::uint32_t>(walk.route.size() - 1));
    } else if ((step & kLeaves) != 0) {
      walk.exit = problem.leaves[step & ~kLeaves].exit;
    } else {
      const WalkProblem::Hop& hop = problem.hops[step];
      walk.route.push_back(problem.stations[hop.to].device);
      walk.links.push_back(hop.link);
      walk.codecs.push_back(hop.codec);
    }
  }
  return walk;
}

WalkAmounts measure(const WalkProblem& problem, const Steps& steps) {
  WalkAmounts amounts{.memory = std::vector<double>(problem.devices)};
  std::vector<double> busy(problem.devices);
  std::vector<double> ways(problem.ways);
  const auto run = [&](std::size_t device, double ms) {
    amounts.sums[kTime] += ms;
    amounts.sums[kEnergy] += ms * problem.millijoules_per_ms[device];
    busy[device] += ms;
  };
  std::uint32_t at = problem.start;
  std::size_t done = 0;
  double bytes = problem.cut_bytes[0];
  double most_needed = 0;  // by the segment under way
  bool has_left = false;
  std::vector<bool> seen(problem.devices);
  seen[problem.stations[at].device] = true;
  for (const std::uint32_t step : steps) {
    const std::size_t device = problem.stations[at].device;
    if (step == kComputes) {
      const bool goes_on = problem.is_running(at) && done > 0;
      run(device,
          problem.time_of(done, device) + (problem.is_running(at) ? 0 : problem.begin(done, device)) + problem.decode(at, done));
      if (!problem.holds.empty()) {
        const double needs = problem.needs.empty() ? 0 : problem.needs[done * problem.devices + device];
        if (!goes_on) most_needed = 0;
        amounts.memory[device] += problem.holds[done * problem.devices + device] + std::max(0.0, needs - most_needed);
        most_needed = std::max(most_needed, needs);
      }
      at = problem.stations[at].runs;
      bytes = problem.cut_bytes[++done];
    } else if ((step & kLeaves) != 0) {
      const WalkProblem::Leave& leave = problem.leaves[step & ~kLeaves];
      run(device, (leave.head_ms.empty() ? 0 : leave.head_ms[device]) + problem.end(done, device));
      amounts.sums[kLoss] += leave.loss;
      bytes = leave.bytes;
      has_left = true;
    } else {
      const WalkProblem::Hop& hop = problem.hops[step];
      if (!has_left) {
        bytes = problem.bytes_of(hop, done);
        run(device, problem.encode(hop, done));
        problem.add_losses(hop, done, amounts.sums);
      }
      for (std::size_t i = 0; i < kAmounts; ++i)
        amounts.sums[i] += hop.fixed[i] + bytes / 1e6 * hop.per_mb[i] + bytes * hop.per_byte[i];
      busy[device] += bytes / 1e6 * hop.encode_ms_per_mb;
      busy[problem.stations[hop.to].device] += bytes / 1e6 * hop.decode_ms_per_mb;
      ways[hop.way] += bytes * hop.way_ms_per_byte;
      if (problem.is_running(at) && !has_left) run(device, problem.end(done, device));
      at = hop.to;
      if (has_left) continue;
      amounts.returns = amounts.returns || seen[problem.stations[at].device];
      seen[problem.stations[at].device] = true;
    }
  }
  for (const double load : busy) amounts.period = std::max(amounts.period, load);
  for (const double load : ways) amounts.period = std::max(amounts.period, load);
  return amounts;
}

ToGo::ToGo(const WalkProblem& problem, const Amounts& weights)
    : problem_(problem),
      weights_(weights),
      stations_(problem.stations.size()),
      value_((problem.blocks + 1) * stations_, kEndless),
      choice_(value_.size(), kComputes),
      home_(problem.leaves.size() * stations_, kEndless),
      home_choice_(home_.size(), kLeaves) {
  costs_.reserve(problem.hops.size());
  for (const WalkProblem::Hop& hop : problem.hops) costs_.push_back({weigh(hop.fixed), weigh(hop.per_mb), weigh(hop.per_byte)});
  for (std::size_t leave = 0; leave < problem.leaves.size(); ++leave) go_home(leave);
  for (std::size_t block = problem.blocks; block-- > 0;) compute(block);
}

double ToGo::weigh(const Amounts& amounts) const {
  double sum = 0;
  for (std::size_t i = 0; i < kAmounts; ++i)
    if (weights_[i] != 0) sum += weights_[i] * amounts[i];
  return sum;
}

// Until nothing gets better; forth and back through the list, which is sorted so that few passes do.
double ToGo::at_ends(const WalkProblem::Hop& hop, std::size_t cut) const {
  const std::size_t device = problem_.stations[hop.from].device;
  double ms = problem_.is_running(hop.from) ? problem_.end(cut, device) : 0;
  double lost = 0;
  if (hop.encodes) {
    const double encode = problem_.encode(hop, cut);
    if (encode == kEndless) return kEndless;
    ms += encode;
    Amounts losses{};
    problem_.add_losses(hop, cut, losses);
    lost = weigh(losses);
  }
  return ms * (weights_[kTime] + weights_[kEnergy] * problem_.millijoules_per_ms[device]) + lost;
}

void ToGo::relax(double bytes, std::size_t cut, bool raw_only, double* values, std::uint32_t* choices) const {
  bool better = true;
  for (bool forth = false; better; forth = !forth) {
    better = false;
    for (std::size_t n = 0; n < costs_.size(); ++n) {
      const std::size_t i = forth ? n : costs_.size() - 1 - n;
      const WalkProblem::Hop& hop = problem_.hops[i];
      if (raw_only && hop.codec != kRawCodec) continue;
      if (values[hop.to] == kEndless) continue;
      double value = values[hop.to] + cost(costs_[i], raw_only ? bytes : problem_.bytes_of(hop, cut));
      if (!problem_.ends.empty() && !raw_only) value += at_ends(hop, cut);
      if (value < values[hop.from]) {
        values[hop.from] = value;
        choices[hop.from] = static_cast<std::uint32_t>(i);
        better = true;
      }
    }
  }
}

void ToGo::go_home(std::size_t leave) {
  double* const values = &home_[leave * stations_];
  for (std::size_t station = 0; station < stations_; ++station)
    if (problem_.stations[station].is_home) values[station] = 0;
  relax(problem_.leaves[leave].bytes, problem_.leaves[leave].after, true, values, &home_choice_[leave * stations_]);
}

void ToGo::compute(std::size_t block) {
  double* const values = &value_[block * stations_];
  std::uint32_t* const choices = &choice_[block * stations_];
  for (std::size_t station = 0; station < stations_; ++station) {
    const std::size_t device = problem_.stations[station].device;
    if (!problem_.may_run(block, device)) continue;
    const std::size_t runs = problem_.stations[station].runs;
    const double per_ms = weights_[kTime] + weights_[kEnergy] * problem_.millijoules_per_ms[device];
    double then = block + 1 < problem_.blocks ? value_[(block + 1) * stations_ + runs] : kEndless;
    for (std::size_t i = 0; i < problem_.leaves.size(); ++i) {
      const WalkProblem::Leave& leave = problem_.leaves[i];
      if (leave.after != block + 1) continue;
      const double head = (leave.head_ms.empty() ? 0 : leave.head_ms[device]) + problem_.end(block + 1, device);
      const double out = head * per_ms + leave.loss * weights_[kLoss] + home_[i * stations_ + runs];
      if (out >= then) continue;
      then = out;
      choices[station] = kLeaves | static_cast<std::uint32_t>(i);  // computes and leaves
    }
    const double begin = problem_.is_running(station) ? 0 : problem_.begin(block, device);
    const double decode = problem_.decode(station, block);
    if (decode == kEndless) continue;
    values[station] = (problem_.time_of(block, device) + begin + decode) * per_ms + then;
  }
  relax(problem_.cut_bytes[block], block, false, values, choices);
}

double ToGo::best() const { return at(0, problem_.start); }

Steps ToGo::walk() const {
  Steps steps;
  if (best() == kEndless) return steps;
  std::uint32_t at = problem_.start;
  for (std::size_t done = 0; done < problem_.blocks;) {
    const std::uint32_t choice = choice_[done * stations_ + at];
    const bool leaves = choice != kComputes && (choice & kLeaves) != 0;
    if (choice != kComputes && !leaves) {
      steps.push_back(choice);
      at = problem_.hops[choice].to;
      continue;
    }
    steps.push_back(kComputes);
    at = problem_.stations[at].runs;
    ++done;
    if (!leaves) continue;
    steps.push_back(choice);
    const std::uint32_t* const way = &home_choice_[(choice & ~kLeaves) * stations_];
    for (; !problem_.stations[at].is_home; at = problem_.hops[way[at]].to) steps.push_back(way[at]);
    return steps;
  }
  return steps;
}

}  // namespace tideline
