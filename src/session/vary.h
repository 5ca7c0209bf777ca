// A sweep over any one number of a planning problem (planner/parameter.h): what is chosen at each value, what it costs, and the
// regret of staying with the plan that is chosen now. For models on a cluster and for tables of both versions.
//
//   TIDELINE_TRY(const ParameterRange range, parse_range("link:camera-gateway:bandwidth=1..100Mbit/s", names_of(cluster)));
//   TIDELINE_TRY(const Variation variation, vary_model(request, loads, {.range = range}, "auto", control));
//   fmt::print("{}", variation_csv(variation));
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "planner/parameter.h"
#include "planner/planner.h"
#include "report/sweep_figure.h"
#include "session/control.h"

namespace tideline {

struct VaryOptions {
  ParameterRange range;
  int points = 51;  // evenly, on a logarithmic axis where is_logarithmic() says so
};
// From one number to another many times as large; loads and ranges from 0 are divided evenly.
bool is_logarithmic(const ParameterRange& range);

struct VariationPoint {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  double at = 0;                      // the parameter
  std::string plan;                   // "everything on server"; empty: no plan keeps the limits
  std::vector<std::uint32_t> device;  // of each layer; report::kNoDevice behind an exit, and where there is no plan
  double best = kNone;                // of the objective
  double nominal = kNone;             // the same of the plan that is chosen now; kNone where it breaks a limit
  std::vector<double> single;         // everything on each device; kNone where that cannot be
  // Never below 0 beyond rounding; of accuracy what is lost.
  double regret(Objective objective) const { return objective == Objective::kAccuracy ? best - nominal : nominal - best; }
};

struct Variation {
  Parameter parameter;
  SiteNames names;
  Objective objective = Objective::kLatency;
  std::string planner;
  std::vector<std::string> layers;
  std::optional<double> now;  // of the parameter; nothing: a limit that is not set
  std::string nominal_plan;   // chosen now; empty: none keeps the limits
  std::vector<VariationPoint> points;
  std::string name() const { return to_string(parameter, names); }
};

// `idle`: with the cluster of idle nodes. kInvalidArgument for numbers out of range; the planner's errors, but a point without a
// plan is a point without a plan.
Result<Variation> vary_model(const PlanRequest& idle, const std::vector<double>& loads, const VaryOptions& options,
                             const std::string& planner, const Control& control);
// Version 1 is planned over placements when nothing but the least latency is asked for, as `plan --table` does.
Result<Variation> vary_table(const Table& idle, const std::vector<double>& loads, const Question& question,
                             const VaryOptions& options, const std::string& planner, const Control& control);

// Neighbouring points with the same plan, [first, last].
struct VariationStretch {
  std::size_t first = 0;
  std::size_t last = 0;
};
std::vector<VariationStretch> stretches(const Variation& variation);
// The point at which the plan of now loses most against the best, as a share; nothing when it never loses anything or never can
// be.
const VariationPoint* worst_point(const Variation& variation);
// "The plan of now (everything on server) costs up to 2.1 times the best, at 1 Mbit/s."
std::string summary_of(const Variation& variation);

std::string variation_csv(const Variation& variation);   // docs/formats/sweep.md
std::string variation_json(const Variation& variation);  // the same
report::SweepFigure variation_figure(const Variation& variation);

}  // namespace tideline
