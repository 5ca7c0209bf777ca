// Parameter: one number of a planning problem, to ask what happens when it is another one: the bandwidth of a link, how slow or
// how busy a node is, a limit. For models on a cluster and for tables. A value; any thread.
//
//   TIDELINE_TRY(const Parameter parameter, parse_parameter("link:camera-gateway:bandwidth", names_of(cluster)));
//   const Cluster faster = with_parameter(cluster, {}, parameter, 4.25e6);   // 34 Mbit/s
//
// What can be said:
//   link:A-B:bandwidth   of the link from A to B; the way back keeps its ratio to it
//   link:A-B:rtt         its round-trip time
//   links:bandwidth, links:rtt   of every link at once
//   node:N:slowdown      how many times longer than in its profile (or the table's times) node N computes and encodes
//   load:N               how busy N is with other work, from 0 to 0.99: its times are divided by 1 - load
//   deadline             the limit on latency; any other as limit:energy, limit:period, limit:upload, limit:accuracy
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "planner/question.h"
#include "planner/table.h"

namespace tideline {

inline constexpr double kLoadMax = 0.99;

struct Parameter {
  enum class Kind : std::uint8_t { kBandwidth, kRtt, kSlowdown, kLoad, kLimit };
  Kind kind = Kind::kBandwidth;
  std::optional<std::uint32_t> index;  // of the link or the node; absent: every link
  Objective limit = Objective::kLatency;
  bool operator==(const Parameter&) const = default;
};

// Who is where, for names in both directions.
struct SiteNames {
  std::vector<std::string> nodes;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;  // (from, to)
};
SiteNames names_of(const Cluster& cluster);
SiteNames names_of(const Table& table);

// kInvalidArgument naming what could be written.
Result<Parameter> parse_parameter(std::string_view text, const SiteNames& names);
std::string to_string(const Parameter& parameter, const SiteNames& names);
// In bytes per second, milliseconds, factors, shares, or the units of Values: "34Mbit/s", "4ms", "2.5", "0.7", "0.5J".
Result<double> parse_value(const Parameter& parameter, std::string_view text);
// "34 Mbit/s", "4 ms", "2.5", "0.7".
std::string format_value(const Parameter& parameter, double value);
// Of JSON and CSV, and what a value is multiplied by to be in it: bandwidth is bit/s there.
std::string_view unit_of(const Parameter& parameter);
double unit_factor(const Parameter& parameter);

// "PARAMETER=FROM..TO": the unit may stand at TO alone. kInvalidArgument unless FROM < TO and both are possible.
struct ParameterRange {
  Parameter parameter;
  double from = 0;
  double to = 0;
};
Result<ParameterRange> parse_range(std::string_view text, const SiteNames& names);

// A value such that latency and energy of any one plan are straight lines in it: 1 / bandwidth, the round-trip time, the factor
// on a node's times. A limit is itself.
double coordinate_of(const Parameter& parameter, double value);
double value_at(const Parameter& parameter, double coordinate);

// The cluster of idle nodes, or the table, with nodes as busy as `loads` says (one for each node; empty: idle) and the parameter
// at that value. Limits change nothing here.
Cluster with_parameter(const Cluster& idle, const std::vector<double>& loads, const Parameter& parameter, double value);
Table with_parameter(const Table& idle, const std::vector<double>& loads, const Parameter& parameter, double value);
Cluster with_loads(Cluster idle, const std::vector<double>& loads);
Table with_loads(Table idle, const std::vector<double>& loads);
Question with_parameter(Question question, const Parameter& parameter, double value);
// What it is now; nothing for a limit that is not set. Every link's: the first link's.
std::optional<double> current_value(const Cluster& idle, const std::vector<double>& loads, const Question& question,
                                    const Parameter& parameter);
std::optional<double> current_value(const Table& idle, const std::vector<double>& loads, const Question& question,
                                    const Parameter& parameter);

}  // namespace tideline
