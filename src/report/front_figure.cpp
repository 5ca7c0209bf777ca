#include "report/front_figure.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "report/canvas.h"

namespace tideline::report {
namespace {

constexpr std::string_view kPointColour = "#0b3c8c";
constexpr std::string_view kStepColour = "#1d6fd1";
constexpr double kMargin = 40;
constexpr double kRow = 40;
constexpr double kListWidth = 470;

// As much of a name as fits; "..." stands for the rest.
std::string fitted(const std::string& text, double width, double size) {
  if (text_width(text, size) <= width) return text;
  std::string shorter = text;
  while (!shorter.empty() && text_width(shorter + " ...", size) > width) {
    shorter.pop_back();
    while (!shorter.empty() && (static_cast<unsigned char>(shorter.back()) & 0xc0u) == 0x80u) shorter.pop_back();
  }
  return shorter + " ...";
}

void draw_value_axis(Canvas& canvas, const Frame& frame, const Scale& x, const Range& range, std::string_view label) {
  const double step = step_of(range.ticks);
  for (const double tick : range.ticks) {
    canvas.line(x(tick), frame.top, x(tick), frame.bottom, kGrid, 1);
    canvas.text(x(tick), frame.bottom + 24, number_text(tick, step), {.size = 15, .anchor = "middle", .colour = kMutedInk});
  }
  canvas.text((frame.left + frame.right) / 2, frame.bottom + 54, label, {.size = 17, .anchor = "middle"});
}

// What no plan can be below: down to each next point only where that one is.
void draw_steps(Canvas& canvas, const FrontFigure& figure, const Frame& frame, const Scale& x, const Scale& y) {
  std::vector<Point> steps;
  for (const FrontPoint& point : figure.points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    if (!steps.empty()) steps.push_back({x(point.x), steps.back().y});
    steps.push_back({x(point.x), y(point.y)});
  }
  if (steps.empty()) return;
  std::vector<Point> area = steps;
  area.push_back({frame.right, steps.back().y});
  area.push_back({frame.right, frame.top});
  area.push_back({steps.front().x, frame.top});
  canvas.polygon(area, kStepColour, 0.08);
  canvas.path(steps, kStepColour, 2, "");
}

// Beside each point, where no point and no other number is; a point in a crowd has its number in the list alone.
void draw_numbers(Canvas& canvas, const FrontFigure& figure, const Scale& x, const Scale& y) {
  std::vector<Point> taken;
  for (const FrontPoint& point : figure.points)
    if (std::isfinite(point.x) && std::isfinite(point.y)) taken.push_back({x(point.x), y(point.y)});
  const auto is_free = [&](const Point& middle) {
    return std::none_of(taken.begin(), taken.end(), [&](const Point& other) {
      return std::abs(other.x - middle.x) < 14 && std::abs(other.y - middle.y) < 13;
    });
  };
  for (std::size_t i = 0; i < figure.points.size(); ++i) {
    const FrontPoint& point = figure.points[i];
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    for (const Point& offset : {Point{14, -14}, Point{14, 14}, Point{-15, -14}, Point{-15, 14}, Point{0, -19}, Point{0, 19}}) {
      const Point middle{x(point.x) + offset.x, y(point.y) + offset.y};
      if (!is_free(middle)) continue;
      canvas.text(middle.x, middle.y + 5, fmt::format("{}", i + 1),
                  {.size = 15, .anchor = "middle", .colour = kPointColour, .bold = true});
      taken.push_back(middle);
      break;
    }
  }
}

void draw_list(Canvas& canvas, const FrontFigure& figure, double left, double top, double bottom) {
  const auto rows = static_cast<std::size_t>(std::max(1.0, (bottom - top) / kRow));
  const std::size_t shown = figure.points.size() > rows ? rows - 1 : figure.points.size();
  double at = top + 14;
  for (std::size_t i = 0; i < shown; ++i, at += kRow) {
    canvas.text(left, at, fmt::format("{}", i + 1), {.size = 16, .colour = kPointColour, .bold = true});
    canvas.text(left + 30, at, figure.points[i].values, {.size = 16, .bold = true});
    canvas.text(left + 30, at + 17, fitted(figure.points[i].name, kListWidth - 40, 13), {.size = 13, .colour = kMutedInk});
  }
  if (shown < figure.points.size())
    canvas.text(left + 30, at, fmt::format("and {} more, in the table", figure.points.size() - shown),
                {.size = 14, .colour = kMutedInk});
}

}  // namespace

std::string render(const FrontFigure& figure) {
  Canvas canvas(figure.width, figure.height, figure.title);
  const auto [top, bottom] = draw_heads(canvas, figure.title, figure.subtitle, figure.note, figure.height);
  const Frame frame{.left = kMargin + 80, .right = figure.width - kListWidth - 30, .top = top + 10, .bottom = bottom - 70};
  std::vector<double> xs;
  std::vector<double> ys;
  for (const FrontPoint& point : figure.points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  const Range x_range = range_of(figure.x, xs, 6);
  const Range y_range = range_of(figure.y, ys, 6);
  const Scale x{x_range.min, x_range.max, frame.left, frame.right};
  const Scale y{y_range.min, y_range.max, frame.bottom, frame.top};
  draw_value_axis(canvas, frame, x, x_range, figure.x.label);
  draw_y_axis(canvas, frame, y, y_range, figure.y.label);
  if (figure.joined && figure.points.size() > 1) draw_steps(canvas, figure, frame, x, y);
  for (std::size_t i = 0; i < figure.points.size(); ++i) {
    const FrontPoint& point = figure.points[i];
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    canvas.marker(0, x(point.x), y(point.y), 6, kPointColour);
  }
  draw_numbers(canvas, figure, x, y);
  draw_list(canvas, figure, figure.width - kListWidth, top + 10, bottom - 10);
  return std::move(canvas).finish();
}

}  // namespace tideline::report
