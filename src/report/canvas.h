// What the charts draw on: an SVG document under construction, and the axes they share. Not thread-safe. Internal to report/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/svg.h"

namespace tideline::report {

inline constexpr std::string_view kInk = "#1f2430";
inline constexpr std::string_view kMutedInk = "#5c6370";
inline constexpr std::string_view kGrid = "#e3e6ea";

struct TextStyle {
  double size = 14;
  std::string_view anchor = "start";  // start | middle | end
  std::string_view colour = kInk;
  bool bold = false;
  double rotation_degrees = 0;
};

class Canvas {
 public:
  Canvas(double width, double height, std::string_view title);
  void raw(std::string_view svg) { body_ += svg; }
  void text(double x, double y, std::string_view text, const TextStyle& style);
  void line(double x1, double y1, double x2, double y2, std::string_view colour, double width, std::string_view dash = "");
  void rectangle(double x, double y, double width, double height, std::string_view fill);
  void path(const std::vector<Point>& points, std::string_view colour, double width, std::string_view dash);
  void polygon(const std::vector<Point>& points, std::string_view fill, double opacity);
  // 0 circle, 1 square, 2 triangle, 3 diamond, 4 hollow circle, 5 hollow square.
  void marker(int shape, double x, double y, double radius, std::string_view colour);
  std::string finish() &&;

 private:
  std::string body_;
};

// A linear map from data to the page.
struct Scale {
  double data_min = 0;
  double data_max = 1;
  double page_min = 0;
  double page_max = 1;
  double operator()(double value) const { return page_min + (value - data_min) / (data_max - data_min) * (page_max - page_min); }
};

struct Frame {
  double left = 0, right = 0, top = 0, bottom = 0;
};

// The range and ticks of an axis over `values`.
struct Range {
  double min = 0;
  double max = 1;
  std::vector<double> ticks;
};
Range range_of(const Axis& axis, const std::vector<double>& values, int tick_count);
std::string number_text(double value, double step);
// The least difference of neighbouring ticks.
double step_of(const std::vector<double>& ticks);

// Title, subtitle and note; returns the rows that remain for the chart: [top, bottom].
std::pair<double, double> draw_heads(Canvas& canvas, std::string_view title, std::string_view subtitle, std::string_view note,
                                     double height);
void draw_y_axis(Canvas& canvas, const Frame& frame, const Scale& y, const Range& range, std::string_view label);
// A rough width of a text in the fonts that viewers have.
double text_width(std::string_view text, double size);

}  // namespace tideline::report
