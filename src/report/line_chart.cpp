#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "report/canvas.h"

namespace tideline::report {
namespace {

struct Style {
  std::string_view colour;
  double width;
  std::string_view dash;
  int marker;
};

// Within a group the lightness falls or rises from one to the next, so that neighbours differ in grey too; the dash tells apart
// what the lightness does not.
constexpr std::array<Style, 4> kStrong{
    {{"#b3261e", 3.4, "", 0}, {"#0b3c8c", 3.4, "", 1}, {"#d98200", 3.4, "", 2}, {"#00695c", 3.4, "", 3}}};
constexpr std::array<Style, 6> kNormal{{{"#1d6fd1", 2.4, "", 1},
                                        {"#c75b12", 2.4, "9 4", 3},
                                        {"#2e7d32", 2.4, "2 4", 2},
                                        {"#7b3fa0", 2.4, "", 0},
                                        {"#0097a7", 2.4, "9 4 2 4", 5},
                                        {"#a0346e", 2.4, "5 3", 4}}};
constexpr std::array<Style, 6> kFaint{{{"#6b7280", 1.8, "", 4},
                                       {"#8a94a3", 1.8, "7 4", 5},
                                       {"#4b5563", 1.8, "2 3", 2},
                                       {"#9aa5b1", 1.8, "", 3},
                                       {"#5f6b7a", 1.8, "9 3 2 3", 0},
                                       {"#7a8594", 1.8, "4 3", 1}}};
constexpr std::array<Style, 2> kBound{{{"#111111", 2.0, "2 5", 0}, {"#555555", 2.0, "8 5", 0}}};

std::vector<Style> styles_of(const std::vector<Line>& lines) {
  std::array<std::size_t, 4> used{};
  std::vector<Style> styles;
  for (const Line& line : lines) {
    std::size_t& n = used[static_cast<std::size_t>(line.emphasis)];
    switch (line.emphasis) {
      case Emphasis::kStrong: styles.push_back(kStrong[n % kStrong.size()]); break;
      case Emphasis::kNormal: styles.push_back(kNormal[n % kNormal.size()]); break;
      case Emphasis::kFaint: styles.push_back(kFaint[n % kFaint.size()]); break;
      case Emphasis::kBound: styles.push_back(kBound[n % kBound.size()]); break;
    }
    ++n;
  }
  return styles;
}

bool is_finite(const Point& point) { return std::isfinite(point.x) && std::isfinite(point.y); }

std::vector<Point> on_page(const std::vector<Point>& points, const Scale& x, const Scale& y) {
  std::vector<Point> page;
  for (const Point& point : points)
    if (is_finite(point)) page.push_back({x(point.x), y(point.y)});
  return page;
}

// Rows for the names at the line ends: as near to the ends as a row height apart allows, in the order of the ends.
std::vector<double> label_rows(const std::vector<double>& ends, double row, double top, double bottom) {
  std::vector<std::size_t> order(ends.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ends[a] < ends[b]; });
  // Blocks of touching labels, each centred on the mean of its ends (isotonic regression by pooling).
  struct Block {
    double sum = 0;
    double count = 0;
    double mean() const { return sum / count; }
  };
  std::vector<Block> blocks;
  std::vector<double> rows(ends.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    blocks.push_back({ends[order[i]] - row * static_cast<double>(i), 1});
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() >= blocks.back().mean()) {
      blocks[blocks.size() - 2].sum += blocks.back().sum;
      blocks[blocks.size() - 2].count += blocks.back().count;
      blocks.pop_back();
    }
  }
  const double lowest = top;
  const double highest = std::max(top, bottom - row * static_cast<double>(std::max<std::size_t>(order.size(), 1) - 1));
  std::size_t i = 0;
  for (const Block& block : blocks)
    for (double n = 0; n < block.count; ++n, ++i)
      rows[order[i]] = std::clamp(block.mean(), lowest, highest) + row * static_cast<double>(i);
  return rows;
}

void draw_x_axis(Canvas& canvas, const Frame& frame, const Scale& x, const Range& range, std::string_view label) {
  canvas.line(frame.left, frame.bottom, frame.right, frame.bottom, kMutedInk, 1.2);
  const double step = step_of(range.ticks);
  for (const double tick : range.ticks) {
    canvas.line(x(tick), frame.bottom, x(tick), frame.bottom + 5, kMutedInk, 1.2);
    canvas.text(x(tick), frame.bottom + 21, number_text(tick, step), {.size = 13, .anchor = "middle", .colour = kMutedInk});
  }
  canvas.text((frame.left + frame.right) / 2, frame.bottom + 43, label, {.size = 14, .anchor = "middle"});
}

void draw_names(Canvas& canvas, const LineChart& chart, const std::vector<Style>& styles, const std::vector<Point>& ends,
                const Frame& frame) {
  std::vector<double> heights;
  for (const Point& end : ends) heights.push_back(end.y);
  const std::vector<double> rows = label_rows(heights, 19, frame.top + 4, frame.bottom);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const Style& style = styles[i];
    const double key = frame.right + 24;
    canvas.line(ends[i].x + 6, ends[i].y, key - 4, rows[i], "#b8bec7", 0.8);
    canvas.line(key, rows[i], key + 30, rows[i], style.colour, style.width, style.dash);
    if (chart.lines[i].markers && chart.lines[i].emphasis != Emphasis::kBound)
      canvas.marker(style.marker, key + 15, rows[i], 4.4, style.colour);
    canvas.text(key + 37, rows[i] + 4.6, chart.lines[i].name, {.size = 13, .bold = chart.lines[i].emphasis == Emphasis::kStrong});
  }
}

}  // namespace

std::string render(const LineChart& chart) {
  Canvas canvas(chart.width, chart.height, chart.title);
  const auto [top, bottom] = draw_heads(canvas, chart.title, chart.subtitle, chart.note, chart.height);
  std::vector<double> xs;
  std::vector<double> ys;
  double names = 0;
  for (const Line& line : chart.lines) {
    for (const std::vector<Point>* points : {&line.points, &line.low, &line.high})
      for (const Point& point : *points)
        if (is_finite(point)) {
          xs.push_back(point.x);
          ys.push_back(point.y);
        }
    names = std::max(names, text_width(line.name, line.emphasis == Emphasis::kStrong ? 13.6 : 13));
  }
  const Frame frame{.left = 92, .right = std::max(200.0, chart.width - names - 76), .top = top, .bottom = bottom - 54};
  // The horizontal axis ends at the data, not at the next round number.
  Axis x_axis = chart.x;
  if (!xs.empty() && !x_axis.min) x_axis.min = *std::min_element(xs.begin(), xs.end());
  if (!xs.empty() && !x_axis.max) x_axis.max = *std::max_element(xs.begin(), xs.end());
  const Range x_range = range_of(x_axis, xs, 8);
  const Range y_range = range_of(chart.y, ys, 6);
  const Scale x{x_range.min, x_range.max, frame.left + 8, frame.right};
  const Scale y{y_range.min, y_range.max, frame.bottom, frame.top};

  draw_y_axis(canvas, frame, y, y_range, chart.y.label);
  draw_x_axis(canvas, frame, x, x_range, chart.x.label);
  for (const LineChart::Mark& mark : chart.marks) {
    if (!std::isfinite(mark.x) || mark.x < x_range.min || mark.x > x_range.max) continue;
    canvas.line(x(mark.x), frame.top, x(mark.x), frame.bottom, kMutedInk, 1, "3 4");
    canvas.text(x(mark.x) + 5, frame.top + 10, mark.text, {.size = 12, .colour = kMutedInk});
  }
  const std::vector<Style> styles = styles_of(chart.lines);
  std::vector<Point> ends;
  for (std::size_t i = 0; i < chart.lines.size(); ++i) {
    std::vector<Point> band = on_page(chart.lines[i].low, x, y);
    const std::vector<Point> high = on_page(chart.lines[i].high, x, y);
    band.insert(band.end(), high.rbegin(), high.rend());
    canvas.polygon(band, styles[i].colour, 0.13);
  }
  // What matters most is drawn last; a bound is thin and often lies on what it bounds, so it goes on top.
  for (const Emphasis level : {Emphasis::kFaint, Emphasis::kNormal, Emphasis::kStrong, Emphasis::kBound})
    for (std::size_t i = 0; i < chart.lines.size(); ++i) {
      const Line& line = chart.lines[i];
      if (line.emphasis != level) continue;
      const std::vector<Point> page = on_page(line.points, x, y);
      canvas.path(page, styles[i].colour, styles[i].width, styles[i].dash);
      if (line.markers && level != Emphasis::kBound)
        for (const Point& point : page)
          canvas.marker(styles[i].marker, point.x, point.y, level == Emphasis::kStrong ? 5 : 4.2, styles[i].colour);
    }
  for (const Line& line : chart.lines) {
    const std::vector<Point> page = on_page(line.points, x, y);
    ends.push_back(page.empty() ? Point{frame.right, frame.bottom} : page.back());
  }
  draw_names(canvas, chart, styles, ends, frame);
  return std::move(canvas).finish();
}

}  // namespace tideline::report
