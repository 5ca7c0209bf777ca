#include "report/sweep_figure.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/units.h"
#include "report/canvas.h"

namespace tideline::report {
namespace {

// From light to dark, so that the order of the devices survives a grey-scale print.
constexpr std::array<std::string_view, 6> kDeviceColours{"#f2b632", "#e07a5f", "#57b6a6", "#3a86b7", "#6a5aa8", "#27315f"};
constexpr std::array<std::string_view, 4> kDashes{"2 5", "7 5", "11 4 2 4", "14 6"};
constexpr std::string_view kSplitShade = "#eef4fb";

std::string_view colour_of(std::size_t device, std::size_t count) {
  constexpr std::array<std::array<std::size_t, 4>, 4> kSpread{{{0, 0, 0, 0}, {0, 3, 0, 0}, {0, 2, 5, 0}, {0, 2, 3, 5}}};
  if (count >= 1 && count <= kSpread.size()) return kDeviceColours[kSpread[count - 1][device]];
  return kDeviceColours[device % kDeviceColours.size()];
}

std::string shortened(std::string_view text, std::size_t max) {
  if (text.size() <= max) return std::string(text);
  return fmt::format("{}..{}", text.substr(0, max / 2 - 1), text.substr(text.size() - (max - max / 2 - 1)));
}

std::string time_text(double ms) { return ms >= 999 ? number_text(ms / 1e3, 1) + " s" : fmt::format("{:g} ms", ms); }

struct LogScale {
  Scale scale;
  double operator()(double value) const { return scale(std::log10(value)); }
};

std::vector<double> decades(double low, double high) {
  std::vector<double> ticks;
  for (double power = std::ceil(std::log10(low) - 1e-9); power <= std::log10(high) + 1e-9; power += 1)
    ticks.push_back(std::pow(10.0, power));
  return ticks;
}

class Drawing {
 public:
  explicit Drawing(const SweepFigure& figure) : figure_(figure), canvas_(figure.width, figure.height, figure.title) {}

  std::string run() {
    const auto [top, bottom] = draw_heads(canvas_, figure_.title, figure_.subtitle, figure_.note, figure_.height);
    double names = 0;
    for (const std::string& layer : figure_.layers) names = std::max(names, text_width(shortened(layer, kLayerCharacters), 12));
    const double middle = figure_.width * 0.5;
    const Frame left{.left = 40 + names, .right = middle - 20, .top = top + 62, .bottom = bottom - 58};
    const Frame right{.left = middle + 92, .right = figure_.width - 36, .top = top + 62, .bottom = bottom - 58};
    canvas_.text(left.left, top + 16, "Where each layer runs", {.size = 16, .bold = true});
    canvas_.text(right.left, top + 16, "Response time", {.size = 16, .bold = true});
    draw_legend(left, top + 42);
    draw_allocation(left);
    draw_times(right);
    draw_time_legend(right, top + 42);
    return std::move(canvas_).finish();
  }

 private:
  static constexpr std::size_t kLayerCharacters = 18;

  LogScale x_scale(const Frame& frame) const {
    return {
        {std::log10(figure_.points.front().bytes_per_s), std::log10(figure_.points.back().bytes_per_s), frame.left, frame.right}};
  }

  // Where the column of a point begins: half-way, on the page, to the point before it.
  double column_start(const Frame& frame, std::size_t point) const {
    const LogScale x = x_scale(frame);
    if (point == 0) return frame.left;
    if (point == figure_.points.size()) return frame.right;
    return (x(figure_.points[point - 1].bytes_per_s) + x(figure_.points[point].bytes_per_s)) / 2;
  }

  bool is_split(const SweepPoint& point) const {
    return std::any_of(point.device.begin(), point.device.end(), [&](std::uint32_t device) { return device != point.device[0]; });
  }

  void draw_x_axis(const Frame& frame) {
    const LogScale x = x_scale(frame);
    canvas_.line(frame.left, frame.bottom, frame.right, frame.bottom, kMutedInk, 1.2);
    const std::vector<double> ticks = decades(figure_.points.front().bytes_per_s * 8, figure_.points.back().bytes_per_s * 8);
    for (const double bits : ticks) {
      const double at = x(bits / 8);
      canvas_.line(at, frame.bottom, at, frame.bottom + 6, kMutedInk, 1.2);
      canvas_.text(at, frame.bottom + 22, format_bandwidth(bits / 8), {.size = 12.5, .anchor = "middle", .colour = kMutedInk});
    }
    canvas_.text((frame.left + frame.right) / 2, frame.bottom + 45, "bandwidth of every link", {.size = 14, .anchor = "middle"});
  }

  void draw_legend(const Frame& frame, double y) {
    double x = frame.left;
    for (std::size_t device = 0; device < figure_.devices.size(); ++device) {
      const std::string name = shortened(figure_.devices[device], 20);
      canvas_.rectangle(x, y - 11, 15, 15, colour_of(device, figure_.devices.size()));
      canvas_.text(x + 21, y + 1.5, name, {.size = 13});
      x += 21 + text_width(name, 13) + 22;
    }
  }

  void draw_allocation(const Frame& frame) {
    const std::size_t layers = figure_.layers.size();
    const double row = (frame.bottom - frame.top) / static_cast<double>(layers);
    const double gap = row > 6 ? 1.4 : 0;
    const auto every = static_cast<std::size_t>(std::ceil(12.5 / row));
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const double y = frame.bottom - row * static_cast<double>(layer + 1);
      for (std::size_t first = 0; first < figure_.points.size();) {
        std::size_t end = first + 1;
        const std::uint32_t device = figure_.points[first].device[layer];
        while (end < figure_.points.size() && figure_.points[end].device[layer] == device) ++end;
        const double x = column_start(frame, first);
        canvas_.rectangle(x, y + gap, column_start(frame, end) - x, row - gap, colour_of(device, figure_.devices.size()));
        first = end;
      }
      if (layer % every == 0)
        canvas_.text(frame.left - 8, y + row / 2 + 4.4, shortened(figure_.layers[layer], kLayerCharacters),
                     {.size = 12, .anchor = "end", .colour = kMutedInk});
    }
    draw_x_axis(frame);
  }

  void draw_times(const Frame& frame) {
    double low = figure_.points[0].latency_ms;
    double high = low;
    for (const SweepPoint& point : figure_.points) {
      low = std::min(low, point.latency_ms);
      high = std::max(high, point.latency_ms);
      for (const double single : point.single_ms)
        if (std::isfinite(single)) high = std::max(high, single);
    }
    low = std::pow(10.0, std::floor(std::log10(std::max(low, 1e-6)) + 1e-9));
    high = std::pow(10.0, std::ceil(std::log10(std::max(high, 10 * low)) - 1e-9));
    const LogScale x = x_scale(frame);
    const LogScale y{{std::log10(low), std::log10(high), frame.bottom, frame.top}};
    draw_split_ranges(frame);
    for (const double tick : decades(low, high)) {
      canvas_.line(frame.left, y(tick), frame.right, y(tick), kGrid, 1);
      canvas_.text(frame.left - 9, y(tick) + 4.5, time_text(tick), {.size = 12.5, .anchor = "end", .colour = kMutedInk});
    }
    for (std::size_t device = 0; device < figure_.devices.size(); ++device) {
      std::vector<Point> line;
      for (const SweepPoint& point : figure_.points)
        if (std::isfinite(point.single_ms[device]) && point.single_ms[device] > 0)
          line.push_back({x(point.bytes_per_s), y(std::max(point.single_ms[device], low))});
      canvas_.path(line, colour_of(device, figure_.devices.size()), 2.6, kDashes[device % kDashes.size()]);
    }
    std::vector<Point> planned;
    for (const SweepPoint& point : figure_.points) planned.push_back({x(point.bytes_per_s), y(std::max(point.latency_ms, low))});
    canvas_.path(planned, "#ffffff", 6.5, "");
    canvas_.path(planned, kInk, 3.4, "");
    draw_x_axis(frame);
  }

  void draw_split_ranges(const Frame& frame) {
    for (std::size_t first = 0; first < figure_.points.size();) {
      std::size_t end = first + 1;
      const bool split = is_split(figure_.points[first]);
      while (end < figure_.points.size() && is_split(figure_.points[end]) == split) ++end;
      const double x = column_start(frame, first);
      if (split) canvas_.rectangle(x, frame.top, column_start(frame, end) - x, frame.bottom - frame.top, kSplitShade);
      first = end;
    }
  }

  // In the corner that falling curves leave free.
  void draw_time_legend(const Frame& frame, double y) {
    double x = frame.left;
    canvas_.line(x, y - 3, x + 30, y - 3, kInk, 3.4);
    canvas_.text(x + 37, y + 1.5, figure_.planned_name, {.size = 13, .bold = true});
    x += 37 + text_width(figure_.planned_name, 13.6) + 22;
    canvas_.rectangle(x, y - 11, 15, 15, kSplitShade);
    canvas_.text(x + 21, y + 1.5, "a split is best", {.size = 13});
    double row = frame.top + 20;
    double names = 0;
    for (const std::string& device : figure_.devices)
      names = std::max(names, text_width("all on " + shortened(device, 20), 12.5));
    const double left = frame.right - names - 50;
    for (std::size_t device = 0; device < figure_.devices.size(); ++device, row += 19) {
      canvas_.line(left, row - 4, left + 34, row - 4, colour_of(device, figure_.devices.size()), 2.6,
                   kDashes[device % kDashes.size()]);
      canvas_.text(left + 42, row, "all on " + shortened(figure_.devices[device], 20), {.size = 12.5});
    }
  }

  const SweepFigure& figure_;
  Canvas canvas_;
};

}  // namespace

std::string render(const SweepFigure& figure) { return Drawing(figure).run(); }

}  // namespace tideline::report
