#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "reproduce/li2018_figures.h"

namespace tideline::sim {
namespace {

std::vector<std::uint64_t> seeds_of(std::uint64_t first, std::uint32_t count) {
  std::vector<std::uint64_t> seeds;
  for (std::uint32_t i = 0; i < count; ++i) seeds.push_back(first + i);
  return seeds;
}

// The smallest (or largest) over the seeds.
std::vector<double> extreme(const std::vector<std::vector<double>>& by_seed, bool largest) {
  std::vector<double> values = by_seed.empty() ? std::vector<double>{} : by_seed.front();
  for (const std::vector<double>& seed : by_seed)
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = largest ? std::max(values[i], seed[i]) : std::min(values[i], seed[i]);
  return values;
}

std::vector<report::Point> points(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<report::Point> result;
  for (std::size_t i = 0; i < y.size(); ++i) result.push_back({x[i], y[i]});
  return result;
}

}  // namespace

std::string figure_csv(const Figure& figure) {
  std::string text = "set,seed,x,policy,deployed\n";
  for (const FigureSeries& series : figure.series)
    for (const bool held_out : {false, true}) {
      const auto& by_seed = held_out ? series.held_out : series.tuning;
      const std::uint64_t first = held_out ? kHeldOutSeedFirst : kTuningSeedFirst;
      for (std::size_t s = 0; s < by_seed.size(); ++s)
        for (std::size_t i = 0; i < figure.x.size(); ++i)
          text += fmt::format("{},{},{:.0f},{},{}\n", held_out ? "held-out" : "tuning", first + s, figure.x[i], series.policy,
                              by_seed[s][i]);
    }
  return text;
}

std::string figure_json(const Figure& figure) {
  nlohmann::ordered_json json{{"figure", figure.name},
                              {"x_label", figure.x_label},
                              {"x", figure.x},
                              {"settings",
                               {{"family", "c2"},
                                {"profile_seed", figure.options.profile_seed},
                                {"tasks", figure.options.tasks},
                                {"tuning_seeds", seeds_of(kTuningSeedFirst, figure.options.tuning_seeds)},
                                {"held_out_seeds", seeds_of(kHeldOutSeedFirst, figure.options.held_out_seeds)}}},
                              {"series", nlohmann::ordered_json::array()},
                              {"findings", nlohmann::ordered_json::array()}};
  for (const FigureSeries& series : figure.series)
    json["series"].push_back({{"policy", series.policy},
                              {"tuning_mean", means(series.tuning)},
                              {"held_out_mean", means(series.held_out)},
                              {"held_out_min", extreme(series.held_out, false)},
                              {"held_out_max", extreme(series.held_out, true)}});
  for (const Finding& finding : figure.findings)
    json["findings"].push_back({{"statement", finding.statement}, {"measured", finding.measured}, {"holds", finding.holds}});
  return json.dump(2) + "\n";
}

std::string figure_svg(const Figure& figure) {
  report::LineChart chart{.title = figure.title,
                          .subtitle = figure.subtitle,
                          .x = {.label = figure.x_label},
                          .y = {.label = "deployed tasks", .min = 0}};
  if (figure.x.size() <= 10)
    chart.x.ticks = figure.x;
  else
    chart.x.min = 0;
  bool has_band = false;
  chart.note = fmt::format(
      "{} tasks, 290 GFLOP/s per server, 10 Mbit/s to 1 Gbit/s, latency limit 0.2 s. Mean of the held-out seeds {}-{}; band: "
      "smallest and "
      "largest seed.\nThe upper bound holds for every schedule (Lagrangian dual). Models: calibrated family c2, profile seed {}; "
      "the paper does "
      "not give them.",
      figure.options.tasks, kHeldOutSeedFirst, kHeldOutSeedFirst + figure.options.held_out_seeds - 1,
      figure.options.profile_seed);
  for (const FigureSeries& series : figure.series) {
    report::Line line{.name = series.name, .points = points(figure.x, means(series.held_out)), .emphasis = series.emphasis};
    line.markers = figure.x.size() <= 10;
    // One band is read, several are a fog.
    if (series.emphasis == report::Emphasis::kStrong && !has_band) {
      has_band = true;
      line.low = points(figure.x, extreme(series.held_out, false));
      line.high = points(figure.x, extreme(series.held_out, true));
    }
    chart.lines.push_back(std::move(line));
  }
  return report::render(chart);
}

}  // namespace tideline::sim
