#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "report/canvas.h"

namespace tideline::report {
namespace {

// Ordered so that neighbours differ in lightness: dark, light, middle, and so on.
constexpr std::array<std::string_view, 8> kFills{"#0b3c8c", "#f2b134", "#2f8f83", "#b3261e",
                                                 "#9cc4e8", "#6b3f8e", "#c9cdd3", "#5f6b7a"};

// Several series of equal hue order repeat with a hatch, so that more than eight stay apart.
std::string fill_of(std::size_t i) {
  return i < kFills.size() ? std::string(kFills[i]) : fmt::format("url(#hatch{})", i % kFills.size());
}

void define_hatches(Canvas& canvas, std::size_t series) {
  for (std::size_t i = kFills.size(); i < std::min(series, 2 * kFills.size()); ++i)
    canvas.raw(
        fmt::format("<defs><pattern id=\"hatch{0}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
                    "patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#ffffff\"/><rect width=\"3\" "
                    "height=\"6\" fill=\"{1}\"/></pattern></defs>\n",
                    i % kFills.size(), kFills[i % kFills.size()]));
}

double value_of(const BarSeries& series, std::size_t category) {
  const double value = category < series.values.size() ? series.values[category] : 0;
  return std::isfinite(value) ? value : 0;
}

// The legend in rows above the bars; returns the first free row below it.
double draw_legend(Canvas& canvas, const BarChart& chart, double top) {
  double x = 92;
  double y = top;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const double width = 22 + text_width(chart.series[i].name, 13) + 22;
    if (x + width > chart.width - 16 && x > 92) {
      x = 92;
      y += 21;
    }
    canvas.rectangle(x, y - 6, 15, 13, fill_of(i));
    canvas.text(x + 22, y + 5, chart.series[i].name, {.size = 13});
    x += width;
  }
  return chart.series.empty() ? top : y + 26;
}

std::string value_text(double value) {
  const double size = std::abs(value);
  return size >= 100 || size == std::floor(size) ? number_text(value, 1)
                                                 : number_text(value, size >= 10  ? 0.1
                                                                      : size >= 1 ? 0.01
                                                                                  : 0.001);
}

void draw_category(Canvas& canvas, const BarChart& chart, std::size_t category, double left, double slot, const Scale& y) {
  const double room = slot * 0.72;
  const double start = left + (slot - room) / 2;
  const double zero = y(0);
  if (chart.stacked) {
    double sum = 0;
    for (std::size_t i = 0; i < chart.series.size(); ++i) {
      const double value = std::max(0.0, value_of(chart.series[i], category));
      if (value > 0) canvas.rectangle(start, y(sum + value), room, std::max(0.4, y(sum) - y(sum + value) - 0.8), fill_of(i));
      sum += value;
    }
    if (chart.values_shown)
      canvas.text(start + room / 2, y(sum) - 6, value_text(sum), {.size = 12.5, .anchor = "middle", .bold = true});
    return;
  }
  const double bar = room / static_cast<double>(std::max<std::size_t>(1, chart.series.size()));
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const double value = value_of(chart.series[i], category);
    const double x = start + bar * static_cast<double>(i);
    canvas.rectangle(x + 0.6, std::min(zero, y(value)), std::max(1.0, bar - 1.2), std::abs(zero - y(value)), fill_of(i));
    const std::string text = value_text(value);
    const bool fits = text_width(text, 11.5) < bar + 4;
    if (chart.values_shown && fits)
      canvas.text(x + bar / 2, value < 0 ? y(value) + 14 : y(value) - 5, text, {.size = 11.5, .anchor = "middle"});
  }
}

}  // namespace

std::string render(const BarChart& chart) {
  Canvas canvas(chart.width, chart.height, chart.title);
  define_hatches(canvas, chart.series.size());
  const auto [heads, bottom] = draw_heads(canvas, chart.title, chart.subtitle, chart.note, chart.height);
  const double slot = (chart.width - 92 - 24) / static_cast<double>(std::max<std::size_t>(1, chart.categories.size()));
  double widest = 0;
  for (const std::string& category : chart.categories) widest = std::max(widest, text_width(category, 13));
  const bool slanted = widest > slot - 6;
  // Slanted names need the height of the longest one.
  const double names = slanted ? std::min(110.0, 0.62 * widest + 18) : 26;
  const double top = draw_legend(canvas, chart, heads + 4);
  const Frame frame{
      .left = 92, .right = chart.width - 24, .top = top + 8, .bottom = bottom - names - (chart.x_label.empty() ? 4 : 24)};

  std::vector<double> values{0};
  for (std::size_t category = 0; category < chart.categories.size(); ++category) {
    double sum = 0;
    for (const BarSeries& series : chart.series) {
      const double value = value_of(series, category);
      sum += std::max(0.0, value);
      if (!chart.stacked) values.push_back(value);
    }
    if (chart.stacked) values.push_back(sum);
  }
  const Range range = range_of(chart.y, values, 6);
  const Scale y{range.min, range.max, frame.bottom, frame.top};
  draw_y_axis(canvas, frame, y, range, chart.y.label);
  for (std::size_t category = 0; category < chart.categories.size(); ++category) {
    const double left = frame.left + slot * static_cast<double>(category);
    draw_category(canvas, chart, category, left, slot, y);
    if (slanted)
      canvas.text(left + slot / 2 + 4, frame.bottom + 16, chart.categories[category],
                  {.size = 12.5, .anchor = "end", .colour = kMutedInk, .rotation_degrees = -35});
    else
      canvas.text(left + slot / 2, frame.bottom + 20, chart.categories[category],
                  {.size = 13, .anchor = "middle", .colour = kMutedInk});
  }
  canvas.line(frame.left, y(std::max(0.0, range.min)), frame.right, y(std::max(0.0, range.min)), kMutedInk, 1.2);
  if (!chart.x_label.empty())
    canvas.text((frame.left + frame.right) / 2, frame.bottom + names + 14, chart.x_label, {.size = 14, .anchor = "middle"});
  return std::move(canvas).finish();
}

}  // namespace tideline::report
