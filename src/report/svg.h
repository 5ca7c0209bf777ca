// Charts as SVG text: lines and (grouped or stacked) bars, good enough for a talk, readable in grey-scale.
//
// Pure functions of values; thread-safe. Series differ by colour, by lightness and, for lines, by dash and marker, so that a
// black-and-white print still tells them apart. Names stand at the end of their line, or in a legend above the bars, never in
// colour alone. Any text is escaped; non-finite points are skipped.
//
//   LineChart chart{.title = "Deployed tasks", .x = {.label = "edge servers"}, .y = {.label = "tasks", .min = 0}};
//   chart.lines.push_back({.name = "price", .points = {{20, 520}, {30, 610}}, .emphasis = Emphasis::kStrong});
//   TIDELINE_CHECK_OK(write_file_atomic("figure.svg", render(chart)));
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tideline::report {

struct Point {
  double x = 0;
  double y = 0;
};

struct Axis {
  std::string label;  // with its unit: "latency (ms)"
  // Absent: from the data, widened to a round number. A chart of counts or times wants min = 0.
  std::optional<double> min;
  std::optional<double> max;
  // Absent: about six round numbers.
  std::vector<double> ticks;
};

enum class Emphasis : std::uint8_t {
  kStrong,  // thick, saturated: what the figure is about
  kNormal,
  kFaint,  // thin, grey: baselines
  kBound,  // black, dashed, no marker: limits and bounds
};

struct Line {
  std::string name;
  std::vector<Point> points;  // by rising x
  Emphasis emphasis = Emphasis::kNormal;
  // A band around the line, one pair per point (for instance smallest and largest over the seeds); empty: none.
  std::vector<Point> low;
  std::vector<Point> high;
  bool markers = true;
};

struct LineChart {
  std::string title;
  std::string subtitle;
  Axis x;
  Axis y;
  std::vector<Line> lines;
  // Vertical marks with a word, for instance where two lines cross.
  struct Mark {
    double x = 0;
    std::string text;
  };
  std::vector<Mark> marks;
  // Below the axis, small: seeds, units, what is not shown. May hold line feeds.
  std::string note;
  double width = 960;
  double height = 540;
};

struct BarSeries {
  std::string name;
  std::vector<double> values;  // one per category
};

struct BarChart {
  std::string title;
  std::string subtitle;
  std::vector<std::string> categories;  // under the axis
  std::vector<BarSeries> series;
  bool stacked = false;
  std::string x_label;
  Axis y;
  // Print the total (stacked) or the value (grouped) above each bar.
  bool values_shown = true;
  std::string note;
  double width = 960;
  double height = 540;
};

std::string render(const LineChart& chart);
std::string render(const BarChart& chart);

// About `count` round numbers (1, 2 or 5 times a power of ten) that cover [low, high].
std::vector<double> round_ticks(double low, double high, int count);
// `text` for use between tags or inside an attribute.
std::string escape_xml(std::string_view text);

}  // namespace tideline::report
