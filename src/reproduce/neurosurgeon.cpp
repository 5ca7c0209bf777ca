#include "reproduce/neurosurgeon.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "report/table.h"
#include "session/load.h"
#include "zoo/zoo.h"

namespace tideline::sim {
namespace {

struct StatedNetwork {
  const char* name;
  double bytes_per_s;
};
// Upload rates in the order of magnitude of the three networks that the paper looks at, and a fast one, where an idle server is
// worth the way even to our stated phone.
constexpr std::array<StatedNetwork, 4> kNetworks{
    {{"3G", 1e6 / 8}, {"LTE", 6e6 / 8}, {"Wi-Fi", 20e6 / 8}, {"fast Wi-Fi", 100e6 / 8}}};
constexpr std::size_t kPaperNetworks = 3;
constexpr StatedNetwork kWifi = kNetworks[2];
constexpr StatedNetwork kFast = kNetworks[3];

// What the phone and the server think of one model.
struct Pair {
  std::string model;
  Profile phone;
  Profile server;
};

Cluster pair_cluster(double bytes_per_s) {
  Cluster cluster;
  cluster.nodes = {{.name = kStatedPhone.name, .power = kStatedPhonePower}, {.name = kStatedServer.name, .tier = Tier::kCloud}};
  cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = bytes_per_s, .back_bytes_per_s = bytes_per_s}};
  return cluster;
}

PlanRequest request_for(const Pair& pair, const Cluster& cluster, Objective objective) {
  return {.cost = {.cluster = &cluster, .profiles = {&pair.phone, &pair.server}, .result_to = ResultTo::kNowhere},
          .question = {.objective = objective}};
}

std::size_t on_phone(const std::vector<std::uint32_t>& device) {
  return static_cast<std::size_t>(std::find_if(device.begin(), device.end(), [](std::uint32_t d) { return d != 0; }) -
                                  device.begin());
}

std::string cut_name(const Pair& pair, std::size_t blocks) {
  if (blocks == 0) return "all on the server";
  if (blocks == pair.phone.blocks.size()) return "all on the phone";
  return "after " + pair.phone.blocks[blocks - 1].name;
}

Result<NeurosurgeonSweep> sweep_of(const Pair& pair, std::string_view what, std::string_view range, Objective objective,
                                   const NeurosurgeonOptions& options) {
  // Load is swept where the server is worth something while it is idle.
  const bool is_load = range.substr(0, 5) == "load:";
  const StatedNetwork& network = is_load ? kFast : kWifi;
  const Cluster cluster = pair_cluster(network.bytes_per_s);
  TIDELINE_TRY(const ParameterRange parsed, parse_range(range, names_of(cluster)));
  NeurosurgeonSweep sweep{.model = pair.model, .file = fmt::format("neurosurgeon-{}-{}", pair.model, what)};
  TIDELINE_TRY(sweep.variation, vary_model(request_for(pair, cluster, objective), {}, {.range = parsed, .points = options.points},
                                           "auto", options.control));
  for (const VariationPoint& point : sweep.variation.points) {
    sweep.cuts.push_back(on_phone(point.device));
    const NeurosurgeonCut paper = neurosurgeon_cut(pair.phone, pair.server, is_load ? network.bytes_per_s : point.at,
                                                   is_load ? point.at : 0, objective == Objective::kEnergy);
    sweep.agrees += std::abs(paper.value - point.best) <= 1e-9 * point.best ? 1 : 0;
  }
  sweep.figure = variation_figure(sweep.variation);
  sweep.figure.title = fmt::format("Neurosurgeon on {}: {} against {}", pair.model,
                                   objective == Objective::kEnergy ? "the phone's energy" : "latency",
                                   is_load ? "the server's load" : "bandwidth");
  sweep.figure.x_label = is_load ? "load of the server" : "upload bandwidth";
  sweep.figure.note = fmt::format(
      "Stated devices: phone {:.0f} GFLOP/s, {:.0f} GB/s, {:g} W computing and {:g} W sending; server {:.0f} GFLOP/s, {:.0f} "
      "GB/s. "
      "{}\nThe picture is {} bytes; the answer's way back is not counted, as in the paper. \"now\" is {} ({}) and an idle "
      "server.",
      kStatedPhone.flop_per_s / 1e9, kStatedPhone.bytes_per_s / 1e9, kStatedPhonePower.compute_w, kStatedPhonePower.transmit_w,
      kStatedServer.flop_per_s / 1e9, kStatedServer.bytes_per_s / 1e9,
      is_load ? "The server's times are divided by 1 - load." : "The server is idle.", kStatedPictureBytes, network.name,
      format_bandwidth(network.bytes_per_s));
  return sweep;
}

Result<NeurosurgeonRow> row_of(const Pair& pair, const StatedNetwork& network) {
  NeurosurgeonRow row{.model = pair.model, .network = network.name, .bytes_per_s = network.bytes_per_s};
  const Cluster cluster = pair_cluster(network.bytes_per_s);
  for (const Objective objective : {Objective::kLatency, Objective::kEnergy}) {
    const PlanRequest request = request_for(pair, cluster, objective);
    TIDELINE_TRY(const PlanResult best, run_planner(request, "auto"));
    TIDELINE_TRY(const std::vector<Candidate> natives, native_candidates(request));
    std::size_t blocks = 0;
    for (const PlanSegment& segment : best.plan.segments)
      if (segment.node == kStatedPhone.name) blocks = std::size_t{segment.last_block} + 1;
    const bool is_energy = objective == Objective::kEnergy;
    (is_energy ? row.best_j : row.best_ms) = best.values.of(objective);
    (is_energy ? row.phone_j : row.phone_ms) = natives[0].values.of(objective);
    (is_energy ? row.server_j : row.server_ms) = natives[1].values.of(objective);
    (is_energy ? row.energy_cut : row.cut) = cut_name(pair, blocks);
  }
  return row;
}

Result<Pair> pair_of(const std::string& model, const Control& control) {
  TIDELINE_TRY(const std::string onnx, zoo_model(model, 1));
  TIDELINE_TRY(const LoadedModel loaded, load_model_bytes(onnx, model, {}, control));
  Pair pair{
      .model = model, .phone = stated_profile(loaded.chain, kStatedPhone), .server = stated_profile(loaded.chain, kStatedServer)};
  pair.phone.model_name = pair.server.model_name = model;
  return pair;
}

// Whether the numbers never fall (or never rise) from one to the next.
template <typename Number>
bool is_monotone(const std::vector<Number>& numbers, bool rising) {
  for (std::size_t i = 1; i < numbers.size(); ++i)
    if (rising ? numbers[i] < numbers[i - 1] : numbers[i] > numbers[i - 1]) return false;
  return true;
}

Finding agreement(const std::vector<NeurosurgeonSweep>& sweeps) {
  std::size_t agrees = 0;
  std::size_t points = 0;
  for (const NeurosurgeonSweep& sweep : sweeps) {
    agrees += sweep.agrees;
    points += sweep.cuts.size();
  }
  return {"The paper's argmin over single cuts and `plan` give the same value (ours)",
          fmt::format("at {} of {} points", agrees, points), agrees == points};
}

Finding movement(const std::vector<NeurosurgeonSweep>& sweeps, const std::vector<Pair>& pairs, bool of_load) {
  std::vector<std::string> each;
  bool holds = true;
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    const NeurosurgeonSweep& sweep = sweeps[i];
    const bool is_load = sweep.variation.parameter.kind == Parameter::Kind::kLoad;
    if (is_load != of_load || sweep.variation.objective != Objective::kLatency) continue;
    const Pair& pair = *std::find_if(pairs.begin(), pairs.end(), [&](const Pair& other) { return other.model == sweep.model; });
    // A load moves the cut itself; a bandwidth moves the bytes that cross, of which the cut is a consequence.
    std::vector<double> moved;
    for (const std::size_t cut : sweep.cuts)
      moved.push_back(of_load                           ? static_cast<double>(cut)
                      : cut == pair.phone.blocks.size() ? 0
                                                        : static_cast<double>(pair.phone.cuts[cut].bytes));
    const bool is_so = is_monotone(moved, true);
    holds = holds && is_so;
    each.push_back(fmt::format("{}: {} to {}{}", sweep.model, cut_name(pair, sweep.cuts.front()),
                               cut_name(pair, sweep.cuts.back()), is_so ? "" : " (and back on the way)"));
  }
  return {of_load ? "As the server's load grows the cut moves to the phone, and never back"
                  : "As the bandwidth grows more bytes are sent, until everything runs on the server, and never fewer",
          fmt::format("{}", fmt::join(each, "; ")), holds};
}

Finding gain(const std::vector<NeurosurgeonRow>& rows, bool energy) {
  double sum = 0;
  double most = 0;
  std::size_t count = 0;
  for (const NeurosurgeonRow& row : rows) {
    const auto network =
        std::find_if(kNetworks.begin(), kNetworks.end(), [&](const StatedNetwork& n) { return row.network == n.name; });
    if (network - kNetworks.begin() >= static_cast<std::ptrdiff_t>(kPaperNetworks)) continue;
    ++count;
    const double value = energy ? 100 * (1 - row.best_j / row.server_j) : row.server_ms / row.best_ms;
    sum += value;
    most = std::max(most, value);
  }
  const double mean = sum / static_cast<double>(std::max<std::size_t>(1, count));
  if (energy)
    return {"The phone's energy falls against sending everything (paper: by 59.5 % on average, at most 94.7 %)",
            fmt::format("by {:.1f} % on average, at most {:.1f} %", mean, most), mean > 0};
  return {"Latency falls against sending everything (paper: 3.1 times on average, at most 40.7 times)",
          fmt::format("{:.1f} times on average, at most {:.1f} times", mean, most), mean > 1};
}

Finding no_single_place(const std::vector<NeurosurgeonRow>& rows) {
  std::size_t phone = 0;
  std::size_t server = 0;
  std::size_t between = 0;
  for (const NeurosurgeonRow& row : rows)
    ++(row.cut == "all on the phone" ? phone : row.cut == "all on the server" ? server : between);
  return {"No one place is best for every network and model",
          fmt::format("of {} pairs the phone is best {} times, the server {} times, a cut between {} times", rows.size(), phone,
                      server, between),
          phone < rows.size() && server < rows.size() && between < rows.size()};
}

}  // namespace

Profile stated_profile(const Chain& chain, const StatedDevice& device) {
  Profile profile{.model_name = chain.model_name,
                  .model_sha256 = chain.model_sha256,
                  .chain_sha256 = chain.sha256,
                  .structure_sha256 = chain.structure_sha256,
                  .host = device.name + " (stated)",
                  .engine = "stated"};
  for (std::size_t i = 0; i < chain.blocks.size(); ++i) {
    const Block& block = chain.blocks[i];
    const double moved = static_cast<double>(block.parameter_bytes + chain.cuts[i].bytes + chain.cuts[i + 1].bytes);
    const double ms = 1e3 * std::max(static_cast<double>(block.flops) / device.flop_per_s, moved / device.bytes_per_s) +
                      device.op_ms * static_cast<double>(block.ops.size());
    profile.blocks.push_back({.name = block.name,
                              .time = Millis{ms},
                              .parameter_bytes = block.parameter_bytes,
                              .activation_bytes = block.activation_bytes});
    profile.whole += Millis{ms};
  }
  for (const tideline::Cut& cut : chain.cuts) profile.cuts.push_back({.bytes = cut.bytes});
  profile.cuts.front().bytes = kStatedPictureBytes;
  return profile;
}

NeurosurgeonCut neurosurgeon_cut(const Profile& phone, const Profile& server, double bytes_per_s, double load, bool energy) {
  const std::size_t count = phone.blocks.size();
  NeurosurgeonCut best{.blocks = 0, .value = std::numeric_limits<double>::infinity()};
  for (std::size_t j = 0; j <= count; ++j) {
    double phone_ms = 0;
    double server_ms = 0;
    for (std::size_t i = 0; i < count; ++i) (i < j ? phone_ms : server_ms) += (i < j ? phone : server).blocks[i].time.count();
    const double upload_ms = j == count ? 0 : 1e3 * static_cast<double>(phone.cuts[j].bytes) / bytes_per_s;
    const double value = energy ? (kStatedPhonePower.compute_w * phone_ms + kStatedPhonePower.transmit_w * upload_ms) / 1e3
                                : phone_ms + upload_ms + server_ms / (1 - load);
    if (value < best.value) best = {j, value};
  }
  return best;
}

Result<Neurosurgeon> reproduce_neurosurgeon(const NeurosurgeonOptions& options) {
  Neurosurgeon result;
  std::vector<Pair> pairs;
  for (const std::string& model : options.models) {
    TIDELINE_TRY(Pair pair, pair_of(model, options.control));
    for (const auto& [what, range, objective] :
         {std::tuple("load", "load:server=0..0.98", Objective::kLatency),
          std::tuple("bandwidth", "link:phone-server:bandwidth=0.2..1000Mbit/s", Objective::kLatency),
          std::tuple("energy", "link:phone-server:bandwidth=0.2..1000Mbit/s", Objective::kEnergy)}) {
      TIDELINE_TRY(NeurosurgeonSweep sweep, sweep_of(pair, what, range, objective, options));
      result.sweeps.push_back(std::move(sweep));
    }
    for (const StatedNetwork& network : kNetworks) {
      TIDELINE_TRY(NeurosurgeonRow row, row_of(pair, network));
      result.rows.push_back(std::move(row));
    }
    pairs.push_back(std::move(pair));
  }
  result.findings = {movement(result.sweeps, pairs, true),
                     movement(result.sweeps, pairs, false),
                     no_single_place(result.rows),
                     gain(result.rows, false),
                     gain(result.rows, true),
                     agreement(result.sweeps)};
  return result;
}

std::string neurosurgeon_csv(const Neurosurgeon& result) {
  std::string csv = "model,network,bandwidth_bit_s,phone_ms,server_ms,best_ms,cut,phone_j,server_j,best_j,energy_cut\n";
  for (const NeurosurgeonRow& row : result.rows)
    csv += fmt::format("{},{},{:.9g},{:.9g},{:.9g},{:.9g},{},{:.9g},{:.9g},{:.9g},{}\n", row.model, row.network,
                       8 * row.bytes_per_s, row.phone_ms, row.server_ms, row.best_ms, report::csv_field(row.cut), row.phone_j,
                       row.server_j, row.best_j, report::csv_field(row.energy_cut));
  return csv;
}

std::string neurosurgeon_json(const Neurosurgeon& result) {
  using Json = nlohmann::ordered_json;
  const auto device = [](const StatedDevice& stated) {
    return Json{{"name", stated.name},
                {"flop_per_s", stated.flop_per_s},
                {"memory_bytes_per_s", stated.bytes_per_s},
                {"op_ms", stated.op_ms}};
  };
  Json json{{"settings",
             {{"devices", {device(kStatedPhone), device(kStatedServer)}},
              {"phone_compute_w", kStatedPhonePower.compute_w},
              {"phone_transmit_w", kStatedPhonePower.transmit_w},
              {"picture_bytes", kStatedPictureBytes}}},
            {"rows", Json::array()},
            {"sweeps", Json::array()},
            {"findings", Json::array()}};
  for (const NeurosurgeonRow& row : result.rows)
    json["rows"].push_back({{"model", row.model},
                            {"network", row.network},
                            {"bandwidth_bit_s", 8 * row.bytes_per_s},
                            {"phone_ms", row.phone_ms},
                            {"server_ms", row.server_ms},
                            {"best_ms", row.best_ms},
                            {"cut", row.cut},
                            {"phone_j", row.phone_j},
                            {"server_j", row.server_j},
                            {"best_j", row.best_j},
                            {"energy_cut", row.energy_cut}});
  for (const NeurosurgeonSweep& sweep : result.sweeps) {
    Json values = Json::array();
    for (const VariationPoint& point : sweep.variation.points)
      values.push_back(unit_factor(sweep.variation.parameter) * point.at);
    json["sweeps"].push_back({{"model", sweep.model},
                              {"file", sweep.file},
                              {"parameter", sweep.variation.name()},
                              {"unit", unit_of(sweep.variation.parameter)},
                              {"objective", to_string(sweep.variation.objective)},
                              {"value", std::move(values)},
                              {"blocks_on_phone", sweep.cuts}});
  }
  for (const Finding& finding : result.findings)
    json["findings"].push_back({{"statement", finding.statement}, {"measured", finding.measured}, {"holds", finding.holds}});
  return json.dump(1) + "\n";
}

}  // namespace tideline::sim
