#include "session/vary.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "planner/table_walks.h"
#include "report/svg.h"
#include "report/table.h"

namespace tideline {
namespace {

constexpr int kVaryPointsMax = 10'000;

Result<std::vector<double>> vary_values(const VaryOptions& options) {
  const ParameterRange& range = options.range;
  if (options.points < 2 || options.points > kVaryPointsMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("--points must be 2 to {}", kVaryPointsMax)};
  if (!(range.from < range.to)) return Error{ErrorCode::kInvalidArgument, "a sweep goes from a value to a higher one"};
  const bool is_log = is_logarithmic(range);
  std::vector<double> values;
  for (int i = 0; i < options.points; ++i) {
    const double share = static_cast<double>(i) / (options.points - 1);
    values.push_back(is_log ? range.from * std::pow(range.to / range.from, share) : range.from + share * (range.to - range.from));
  }
  values.back() = range.to;
  return values;
}

// A plan at one value of the parameter, whatever it was made of.
struct Chosen {
  std::string planner;
  std::string text;
  std::vector<std::uint32_t> device;
  double value = 0;
  std::function<double(double)> value_at;  // with the parameter elsewhere; kNone: breaks a limit there
};
struct Varied {
  std::function<Result<Chosen>(std::optional<double>)> choose;  // nothing: as it is now
  std::function<Result<std::vector<double>>(double)> singles;
};

Result<Variation> varied(Variation variation, const VaryOptions& options, const Varied& problem, const Control& control) {
  TIDELINE_TRY(const std::vector<double> values, vary_values(options));
  const auto nominal = problem.choose(std::nullopt);
  if (!nominal && nominal.error().code != ErrorCode::kInfeasible) return nominal.error();
  if (nominal) variation.nominal_plan = nominal->text;
  for (const double value : values) {
    TIDELINE_CHECK_OK(control.check());
    VariationPoint point{.at = value};
    const auto chosen = problem.choose(value);
    if (!chosen && chosen.error().code != ErrorCode::kInfeasible) return chosen.error();
    if (chosen) {
      variation.planner = chosen->planner;
      point.plan = chosen->text;
      point.device = chosen->device;
      point.best = chosen->value;
    }
    point.device.resize(variation.layers.size(), report::kNoDevice);
    if (nominal) point.nominal = nominal->value_at(value);
    TIDELINE_TRY(point.single, problem.singles(value));
    variation.points.push_back(std::move(point));
    control.report({"sweep", variation.points.size(), values.size(), ""});
  }
  return variation;
}

bool keeps_all(const Limits& limits, const Values& values) {
  return std::all_of(kObjectives.begin(), kObjectives.end(), [&](Objective objective) {
    const auto limit = limits.of(objective);
    return !limit || keeps(objective, values.of(objective), *limit);
  });
}

// "everything on server"; "camera 0-3 | server 4-9".
std::string placement_text(const std::vector<std::string>& devices, const std::vector<std::uint32_t>& device) {
  std::string text;
  for (std::size_t first = 0; first < device.size();) {
    std::size_t last = first;
    while (last + 1 < device.size() && device[last + 1] == device[first]) ++last;
    if (first == 0 && last + 1 == device.size()) return "everything on " + devices[device[0]];
    text += fmt::format("{}{} {}-{}", text.empty() ? "" : " | ", devices[device[first]], first, last);
    first = last + 1;
  }
  return text;
}

std::string csv_unit(const Parameter& parameter) {
  const std::string_view unit = unit_of(parameter);
  if (unit == "bit/s") return "bit_s";
  if (unit == "B") return "bytes";
  return unit == "J" ? "j" : std::string(unit);
}

double share_lost(const Variation& variation, const VariationPoint& point) {
  const double lost = point.regret(variation.objective);
  return std::isfinite(lost) && lost > 0 ? lost / std::max(std::abs(point.best), 1e-300) : 0;
}

}  // namespace

bool is_logarithmic(const ParameterRange& range) {
  return range.from > 0 && range.to / range.from >= 4 && range.parameter.kind != Parameter::Kind::kLoad;
}

Result<Variation> vary_model(const PlanRequest& idle, const std::vector<double>& loads, const VaryOptions& options,
                             const std::string& planner, const Control& control) {
  const Cluster& site = *idle.cost.cluster;
  const Parameter& parameter = options.range.parameter;
  const std::vector<std::string> nodes = names_of(site).nodes;
  Variation variation{.parameter = parameter,
                      .names = names_of(site),
                      .objective = idle.question.objective,
                      .now = current_value(site, loads, idle.question, parameter)};
  for (const BlockProfile& block : idle.cost.profiles[0]->blocks) variation.layers.push_back(block.name);
  const Objective objective = idle.question.objective;
  const auto changed = [&](const Cluster& cluster, std::optional<double> value) {
    PlanRequest request = idle;
    request.cost.cluster = &cluster;
    if (value) request.question = with_parameter(idle.question, parameter, *value);
    return request;
  };
  const auto cluster_at = [&](std::optional<double> value) {
    return value ? with_parameter(site, loads, parameter, *value) : with_loads(site, loads);
  };
  Varied problem;
  problem.choose = [&](std::optional<double> value) -> Result<Chosen> {
    const Cluster cluster = cluster_at(value);
    TIDELINE_TRY(const PlanResult found, run_planner(changed(cluster, value), planner));
    Chosen chosen{.planner = found.plan.planner, .value = found.values.of(objective)};
    for (const PlanSegment& segment : found.plan.segments)
      chosen.device.resize(segment.last_block + 1, static_cast<std::uint32_t>(node_index(cluster, segment.node)));
    chosen.text = placement_text(nodes, chosen.device);
    chosen.value_at = [&, plan = found.plan](double at) {
      const Cluster other = cluster_at(at);
      const PlanRequest request = changed(other, at);
      const auto estimated = estimate(request.cost, plan);
      if (!estimated || !estimated->infeasible.empty()) return VariationPoint::kNone;
      const Values values = values_of(other, *estimated);
      return keeps_all(request.question.limits, values) ? values.of(objective) : VariationPoint::kNone;
    };
    return chosen;
  };
  problem.singles = [&](double value) -> Result<std::vector<double>> {
    const Cluster cluster = cluster_at(value);
    TIDELINE_TRY(const std::vector<Candidate> list, native_candidates(changed(cluster, value)));
    std::vector<double> singles(nodes.size(), VariationPoint::kNone);
    for (const Candidate& candidate : list)
      if (candidate.ruled_out.empty())
        singles[node_index(cluster, candidate.plan.segments[0].node)] = candidate.values.of(objective);
    return singles;
  };
  return varied(std::move(variation), options, problem, control);
}

namespace {

// Of version 1, planned over placements.
Varied placements(const Table& idle, const Parameter& parameter, const std::string& planner) {
  const auto table_at = [&idle, parameter](std::optional<double> value) {
    return value ? with_parameter(idle, {}, parameter, *value) : idle;
  };
  Varied problem;
  problem.choose = [=, &idle, &planner](std::optional<double> value) -> Result<Chosen> {
    TIDELINE_TRY(const TablePlan found, plan_table(table_at(value), planner));
    Chosen chosen{.planner = found.planner, .value = found.value.latency_ms};
    for (const std::uint32_t op : idle.order) chosen.device.push_back(found.devices[op]);
    chosen.text = placement_text(idle.devices, chosen.device);
    chosen.value_at = [=, devices = found.devices](double at) {
      const auto again = table_value(table_at(at), devices);
      return again ? again->latency_ms : VariationPoint::kNone;
    };
    return chosen;
  };
  problem.singles = [=, &idle](double value) -> Result<std::vector<double>> {
    std::vector<double> singles;
    for (std::uint32_t device = 0; device < idle.device_count(); ++device)
      singles.push_back(native_table_plan(table_at(value), device).value.latency_ms);
    return singles;
  };
  return problem;
}

}  // namespace

Result<Variation> vary_table(const Table& given, const std::vector<double>& loads, const Question& question,
                             const VaryOptions& options, const std::string& planner, const Control& control) {
  const Parameter& parameter = options.range.parameter;
  const bool is_plain = given.version == 1 && loads.empty() && parameter.kind != Parameter::Kind::kLimit &&
                        question.objective == Objective::kLatency && !question.limits.any() && !question.keep_on_source;
  const Table idle = is_plain ? given : version_2(given);
  Variation variation{.parameter = parameter,
                      .names = names_of(idle),
                      .objective = question.objective,
                      .now = current_value(idle, loads, question, parameter)};
  for (const std::uint32_t op : idle.order) variation.layers.push_back(idle.op_names[op]);
  if (is_plain) return varied(std::move(variation), options, placements(idle, parameter, planner), control);
  const auto table_at = [&](std::optional<double> value) {
    return value ? with_parameter(idle, loads, parameter, *value) : with_loads(idle, loads);
  };
  const auto question_at = [&](std::optional<double> value) {
    return value ? with_parameter(question, parameter, *value) : question;
  };
  Varied problem;
  problem.choose = [&](std::optional<double> value) -> Result<Chosen> {
    TIDELINE_TRY(const WalkPlan found, plan_walk(table_at(value), question_at(value), planner, control.cancel));
    Chosen chosen{.planner = found.planner, .device = found.walk.devices, .value = found.value.total.of(question.objective)};
    chosen.text = placement_text(idle.devices, found.walk.devices);
    if (found.walk.exit) chosen.text += fmt::format(", exit {}", *found.walk.exit);
    chosen.value_at = [&, walk = found.walk](double at) {
      Table table = table_at(at);
      table.keep_on_source = 0;
      const auto again = walk_value(table, walk);
      const bool is_kept = again && keeps_all(question_at(at).limits, again->total);
      return is_kept ? again->total.of(question.objective) : VariationPoint::kNone;
    };
    return chosen;
  };
  problem.singles = [&](double value) -> Result<std::vector<double>> {
    std::vector<double> singles(idle.devices.size(), VariationPoint::kNone);
    for (std::uint32_t device = 0; device < idle.device_count(); ++device) {
      const WalkCandidate native{.kind = WalkCandidate::Kind::kNative, .index = device, .plan = {}};
      TIDELINE_TRY(const std::optional<WalkCandidate> found,
                   candidate_like(table_at(value), question_at(value), native, control.cancel));
      if (found && found->infeasible.empty()) singles[device] = found->plan.value.total.of(question.objective);
    }
    return singles;
  };
  return varied(std::move(variation), options, problem, control);
}

std::vector<VariationStretch> stretches(const Variation& variation) {
  std::vector<VariationStretch> list;
  for (std::size_t i = 0; i < variation.points.size(); ++i) {
    if (i > 0 && variation.points[i].plan == variation.points[i - 1].plan)
      list.back().last = i;
    else
      list.push_back({i, i});
  }
  return list;
}

const VariationPoint* worst_point(const Variation& variation) {
  const VariationPoint* worst = nullptr;
  for (const VariationPoint& point : variation.points) {
    const double lost = share_lost(variation, point);
    if (lost > 1e-9 && (worst == nullptr || lost > share_lost(variation, *worst))) worst = &point;
  }
  return worst;
}

std::string summary_of(const Variation& variation) {
  if (variation.nominal_plan.empty()) return "No plan keeps the limits as they are now.";
  const std::string now = variation.now ? format_value(variation.parameter, *variation.now) : "no such limit";
  const std::string plan = fmt::format("The plan of now ({}: {})", now, variation.nominal_plan);
  const auto broken = std::count_if(variation.points.begin(), variation.points.end(), [](const VariationPoint& point) {
    return std::isfinite(point.best) && !std::isfinite(point.nominal);
  });
  const std::string breaks =
      broken > 0 ? fmt::format(" It breaks a limit at {} of {} values.", broken, variation.points.size()) : "";
  const VariationPoint* worst = worst_point(variation);
  if (worst == nullptr) return plan + " stays the best wherever it is possible." + breaks;
  return fmt::format("{} costs most at {}: {} instead of {} ({:.2f} times).{}", plan,
                     format_value(variation.parameter, worst->at), format_value(variation.objective, worst->nominal),
                     format_value(variation.objective, worst->best), worst->nominal / worst->best, breaks);
}

std::string variation_csv(const Variation& variation) {
  const std::string unit(key_of(variation.objective));
  std::string csv = fmt::format("value_{},best_{},nominal_{},regret_{},plan", csv_unit(variation.parameter), unit, unit, unit);
  for (const std::string& node : variation.names.nodes) csv += "," + report::csv_field("single_" + unit + " " + node);
  for (const std::string& layer : variation.layers) csv += "," + report::csv_field("device of " + layer);
  csv += "\n";
  const auto number = [](double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : std::string(); };
  for (const VariationPoint& point : variation.points) {
    csv += fmt::format("{:.9g},{},{},{},{}", unit_factor(variation.parameter) * point.at, number(point.best),
                       number(point.nominal), number(point.regret(variation.objective)), report::csv_field(point.plan));
    for (const double single : point.single) csv += "," + number(single);
    for (const std::uint32_t device : point.device)
      csv += "," + (device == report::kNoDevice ? std::string() : report::csv_field(variation.names.nodes[device]));
    csv += "\n";
  }
  return csv;
}

std::string variation_json(const Variation& variation) {
  using Json = nlohmann::ordered_json;
  const auto number = [](double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); };
  const double factor = unit_factor(variation.parameter);
  Json json{{"parameter", variation.name()},
            {"unit", unit_of(variation.parameter)},
            {"now", variation.now ? Json(factor * *variation.now) : Json(nullptr)},
            {"objective", to_string(variation.objective)},
            {"objective_key", key_of(variation.objective)},
            {"planner", variation.planner},
            {"nominal_plan", variation.nominal_plan},
            {"summary", summary_of(variation)},
            {"devices", variation.names.nodes},
            {"layers", variation.layers},
            {"points", Json::array()}};
  for (const VariationPoint& point : variation.points) {
    Json devices = Json::array();
    for (const std::uint32_t device : point.device) devices.push_back(device == report::kNoDevice ? Json(nullptr) : Json(device));
    Json singles = Json::array();
    for (const double single : point.single) singles.push_back(number(single));
    json["points"].push_back({{"value", factor * point.at},
                              {"plan", point.plan.empty() ? Json(nullptr) : Json(point.plan)},
                              {"best", number(point.best)},
                              {"nominal", number(point.nominal)},
                              {"regret", number(point.regret(variation.objective))},
                              {"single", std::move(singles)},
                              {"device", std::move(devices)}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

report::SweepFigure variation_figure(const Variation& variation) {
  const ParameterRange range{variation.parameter, variation.points.front().at, variation.points.back().at};
  const bool is_energy = variation.objective == Objective::kEnergy;
  const double scale = is_energy ? 1e3 : 1;
  report::SweepFigure figure{
      .title = "Where the layers run, against " + variation.name(),
      .subtitle = summary_of(variation),
      .devices = variation.names.nodes,
      .layers = variation.layers,
      .planned_name = fmt::format("planned ({})", variation.planner),
      .x_label = variation.name(),
      .y_title = variation.objective == Objective::kLatency ? "Response time" : std::string(to_string(variation.objective)),
      .x_is_log = is_logarithmic(range),
      .now = variation.now};
  switch (variation.objective) {
    case Objective::kLatency:
    case Objective::kPeriod: break;
    case Objective::kEnergy: figure.y_unit = "mJ"; break;
    case Objective::kUpload: figure.y_unit = "B"; break;
    case Objective::kAccuracy: figure.y_unit = ""; break;
  }
  const double factor = unit_factor(variation.parameter);
  std::vector<double> ticks;
  if (figure.x_is_log) {
    // 1, 2 and 5 times powers of ten, as many as there is room for.
    for (const std::vector<double>& steps : {std::vector<double>{1, 2, 5}, {1, 3}, {1}}) {
      ticks.clear();
      for (double power = std::pow(10.0, std::floor(std::log10(factor * range.from))); power <= factor * range.to; power *= 10)
        for (const double step : steps)
          if (step * power >= factor * range.from * (1 - 1e-9) && step * power <= factor * range.to * (1 + 1e-9))
            ticks.push_back(step * power);
      if (ticks.size() <= 7) break;
    }
  } else {
    for (const double tick : report::round_ticks(factor * range.from, factor * range.to, 5))
      if (tick >= factor * range.from - 1e-12 && tick <= factor * range.to + 1e-12) ticks.push_back(tick);
  }
  for (const double tick : ticks) figure.x_ticks.emplace_back(tick / factor, format_value(variation.parameter, tick / factor));
  for (const VariationPoint& point : variation.points) {
    report::SweepPoint drawn{.x = point.at, .device = point.device, .value = scale * point.best, .single = point.single};
    for (double& single : drawn.single) single *= scale;
    drawn.nominal = scale * point.nominal;
    figure.points.push_back(std::move(drawn));
  }
  return figure;
}

}  // namespace tideline
