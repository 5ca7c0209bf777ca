// A bandwidth sweep: the same planning problem solved again for one bandwidth of every link after the other.
#pragma once

#include <string>
#include <vector>

#include "planner/planner.h"
#include "planner/table.h"
#include "report/sweep_figure.h"
#include "session/control.h"

namespace tideline {

struct SweepRange {
  double from_bytes_per_s = 1.25e3;
  double to_bytes_per_s = 125e6;
  int points = 101;
};

struct Sweep {
  std::string planner;
  std::vector<std::string> devices;
  std::vector<std::string> layers;
  std::vector<report::SweepPoint> points;  // by rising bandwidth, evenly spaced on a logarithmic axis
};

// kInvalidArgument unless 0 < from < to and 2 <= points <= 10,000.
Result<std::vector<double>> sweep_bandwidths(const SweepRange& range);
Result<Sweep> sweep_table(Table table, const SweepRange& range, const std::string& planner, const Control& control);
Result<Sweep> sweep_model(const Cluster& cluster, const std::vector<const Profile*>& profiles, const SweepRange& range,
                          const std::string& planner, const Control& control);

// Neighbouring points with the same placement, [first, last].
struct SweepStretch {
  std::size_t first = 0;
  std::size_t last = 0;
};
std::vector<SweepStretch> stretches(const Sweep& sweep);
bool is_split(const report::SweepPoint& point);
double best_single_ms(const report::SweepPoint& point);
// "everything on pi" or "pi: c1 .. p1 | pc: c2 .. f7".
std::string describe_placement(const Sweep& sweep, const report::SweepPoint& point);
// One row for each point; docs/formats/sweep.md.
std::string sweep_csv(const Sweep& sweep);

}  // namespace tideline
