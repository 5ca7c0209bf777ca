// Written from the definition alone: it shares no arithmetic with the searches.
#include "planner/walk.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace tideline {
namespace {

Error no_walk(std::string why) { return Error{ErrorCode::kInvalidArgument, "[table] not a walk: " + std::move(why)}; }

struct Crossing {
  double sent_bytes = 0;
  double encode_ms = 0;
  double bytes_ms = 0;  // on the link
  double decode_ms = 0;
};

bool is_within(const std::vector<std::uint32_t>& indices, std::size_t limit) {
  return std::all_of(indices.begin(), indices.end(), [&](std::uint32_t index) { return index < limit; });
}

class Judge {
 public:
  Judge(const Table& table, const TableWalk& walk) : table_(table), walk_(walk), devices_(table.devices.size()) {
    value_.busy_ms.resize(devices_);
    value_.memory_bytes.resize(devices_);
    sends_ms_.resize(devices_);
    receives_ms_.resize(devices_);
    forth_ms_.resize(table.links.size());
    back_ms_.resize(table.links.size());
  }

  Result<WalkValue> judge() {
    const std::size_t ops = walk_.exit ? position_of(table_.exits[*walk_.exit].after_op) + 1 : table_.order.size();
    if (walk_.devices.size() != ops || walk_.at.size() != ops)
      return no_walk(fmt::format("{} ops run, and {} have a device", ops, walk_.devices.size()));
    value_.total.accuracy = walk_.exit ? table_.exits[*walk_.exit].accuracy : table_.accuracy;
    if (!is_within(walk_.at, walk_.route.size())) return no_walk("an op runs nowhere on the route");
    TIDELINE_CHECK_OK(find_readers(ops));
    std::vector<std::vector<std::size_t>> ops_at(walk_.route.size());
    for (std::size_t i = 0; i < ops; ++i) ops_at[walk_.at[i]].push_back(i);
    std::size_t done = 0;
    for (std::size_t position = 0; position < walk_.route.size(); ++position) {
      if (position > 0) TIDELINE_CHECK_OK(cross(position, done == ops));
      for (const std::size_t i : ops_at[position]) TIDELINE_CHECK_OK(compute(position, i));
      done += ops_at[position].size();
      if (done == ops && !ops_at[position].empty() && walk_.exit) {
        const double head = table_.exits[*walk_.exit].runtime_ms[walk_.route[position]];
        value_.compute_ms += head;
        value_.busy_ms[walk_.route[position]] += head;
      }
    }
    add_up();
    return std::move(value_);
  }

 private:
  std::size_t position_of(std::uint32_t op) const {
    return static_cast<std::size_t>(std::find(table_.order.begin(), table_.order.end(), op) - table_.order.begin());
  }

  // Up to which position each op's output is needed, and the input.
  Status find_readers(std::size_t ops) {
    constexpr std::size_t kNotRun = static_cast<std::size_t>(-1);
    std::vector<std::size_t> number(table_.order.size(), kNotRun);
    for (std::size_t i = 0; i < ops; ++i) number[table_.order[i]] = i;
    needed_.assign(walk_.at.begin(), walk_.at.end());
    std::vector<bool> reads_input(ops, true);
    for (const auto& [from, to] : table_.edges) {
      if (number[to] == kNotRun) continue;
      if (walk_.at[number[from]] > walk_.at[number[to]]) return no_walk(fmt::format("op {} runs before op {}", to, from));
      needed_[number[from]] = std::max<std::size_t>(needed_[number[from]], walk_.at[number[to]]);
      reads_input[number[to]] = false;
    }
    for (std::size_t i = 0; i < ops; ++i)
      if (reads_input[i]) input_needed_ = std::max<std::size_t>(input_needed_, walk_.at[i]);
    return {};
  }

  // Each tensor once, however many ops need it beyond.
  double bytes_into(std::size_t position) const {
    double bytes = input_needed_ >= position ? table_.input_bytes : 0;
    for (std::size_t i = 0; i < walk_.at.size(); ++i)
      if (walk_.at[i] < position && needed_[i] >= position) bytes += table_.output_bytes[table_.order[i]];
    return bytes;
  }

  Status compute(std::size_t position, std::size_t i) {
    const std::uint32_t device = walk_.route[position];
    const std::uint32_t op = table_.order[i];
    if (walk_.devices[i] != device) return no_walk(fmt::format("op {} is not where the route is", op));
    if (i < table_.keep_on_source && device != table_.source)
      return no_walk(fmt::format("op {} must run on '{}'", op, table_.devices[table_.source]));
    value_.compute_ms += table_.runtime(op, device);
    value_.busy_ms[device] += table_.runtime(op, device);
    value_.memory_bytes[device] += table_.memory_bytes[op];
    return {};
  }

  Crossing crossing_of(double bytes, std::uint32_t codec, double bandwidth, std::uint32_t from, std::uint32_t to) const {
    if (codec == kRawCodec) return {.sent_bytes = bytes, .bytes_ms = 1000 * bytes / bandwidth};
    const TableCodec& how = table_.codecs[codec - 1];
    return {.sent_bytes = bytes * how.ratio,
            .encode_ms = bytes / 1e6 * how.encode_ms_per_mb[from],
            .bytes_ms = 1000 * bytes * how.ratio / bandwidth,
            .decode_ms = bytes / 1e6 * how.decode_ms_per_mb[to]};
  }

  Status cross(std::size_t position, bool is_result) {
    const std::uint32_t from = walk_.route[position - 1];
    const std::uint32_t to = walk_.route[position];
    const std::uint32_t codec = walk_.codecs[position - 1];
    const TableLink& link = table_.links[walk_.links[position - 1]];
    const bool forth = link.from == from && link.to == to;
    if (!forth && !(link.to == from && link.from == to))
      return no_walk(fmt::format("links[{}] does not join {} and {}", walk_.links[position - 1], from, to));
    if (is_result && codec != kRawCodec) return no_walk("the result returns raw");
    double bytes = 0;
    if (!is_result)
      bytes = bytes_into(position);
    else
      bytes = walk_.exit ? table_.exits[*walk_.exit].result_bytes : table_.result_bytes;
    const Crossing crossing = crossing_of(bytes, codec, forth ? link.bytes_per_s : link.back_bytes_per_s, from, to);
    value_.transfer_ms += crossing.encode_ms + link.rtt_ms / 2 + crossing.bytes_ms + crossing.decode_ms;
    value_.busy_ms[from] += crossing.encode_ms;
    value_.busy_ms[to] += crossing.decode_ms;
    sends_ms_[from] += crossing.bytes_ms;
    receives_ms_[to] += crossing.bytes_ms;
    (forth ? forth_ms_ : back_ms_)[walk_.links[position - 1]] += crossing.bytes_ms;
    if (link.metered) value_.total.upload_bytes += crossing.sent_bytes;
    if (codec != kRawCodec) value_.total.accuracy -= table_.codecs[codec - 1].accuracy_loss;
    return {};
  }

  void add_up() {
    Values& total = value_.total;
    total.latency_ms = value_.compute_ms + value_.transfer_ms;
    for (const auto* loads : {&value_.busy_ms, &forth_ms_, &back_ms_})
      for (const double load : *loads) total.period_ms = std::max(total.period_ms, load);
    double all = 0;
    for (std::size_t device = 0; device < devices_; ++device) {
      double millijoules = 0;
      if (const auto& power = table_.power[device])
        millijoules = (power->compute_w - power->idle_w) * value_.busy_ms[device] +
                      (power->transmit_w - power->idle_w) * sends_ms_[device] +
                      (power->receive_w - power->idle_w) * receives_ms_[device] + power->idle_w * total.latency_ms;
      value_.device_energy_j.push_back(millijoules / 1000);
      all += millijoules;
    }
    total.energy_j = all / 1000;
  }

  const Table& table_;
  const TableWalk& walk_;
  const std::size_t devices_;
  WalkValue value_;
  std::vector<std::size_t> needed_;  // [op that runs]: the last position where its output is read
  std::size_t input_needed_ = 0;
  std::vector<double> sends_ms_;  // [device]: its bytes' time on links
  std::vector<double> receives_ms_;
  std::vector<double> forth_ms_;  // [link]
  std::vector<double> back_ms_;
};

}  // namespace

Result<WalkValue> walk_value(const Table& table, const TableWalk& walk) {
  TIDELINE_CHECK(table.version == 2 && table.power.size() == table.devices.size());
  if (walk.route.empty() || walk.route.front() != table.source || walk.route.back() != table.source)
    return no_walk("a route begins and ends at the source");
  if (walk.links.size() + 1 != walk.route.size() || walk.codecs.size() != walk.links.size())
    return no_walk("a route has a link and a codec for each crossing");
  if (!is_within(walk.route, table.devices.size()) || !is_within(walk.links, table.links.size()) ||
      !is_within(walk.codecs, table.codecs.size() + 1) || (walk.exit && *walk.exit >= table.exits.size()))
    return no_walk("an index is out of range");
  return Judge(table, walk).judge();
}

Table version_2(Table table) {
  if (table.version == 2) return table;
  table.version = 2;
  for (std::uint32_t j = 0; j < table.links.size(); ++j) {
    table.links[j].from = j;
    table.links[j].to = j + 1;
    table.links[j].back_bytes_per_s = table.links[j].bytes_per_s;
  }
  table.device_memory_bytes.assign(table.devices.size(), std::nullopt);
  table.power.assign(table.devices.size(), std::nullopt);
  return table;
}

}  // namespace tideline
