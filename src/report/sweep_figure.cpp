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
constexpr std::string_view kNominalColour = "#b3261e";

std::string_view colour_of(std::size_t device, std::size_t count) {
  constexpr std::array<std::array<std::size_t, 4>, 4> kSpread{{{0, 0, 0, 0}, {0, 3, 0, 0}, {0, 2, 5, 0}, {0, 2, 3, 5}}};
  if (count >= 1 && count <= kSpread.size()) return kDeviceColours[kSpread[count - 1][device]];
  return kDeviceColours[device % kDeviceColours.size()];
}

std::string shortened(std::string_view text, std::size_t max) {
  if (text.size() <= max) return std::string(text);
  return fmt::format("{}..{}", text.substr(0, max / 2 - 1), text.substr(text.size() - (max - max / 2 - 1)));
}

std::string quantity_text(double value, std::string_view unit) {
  if (unit == "ms" && value >= 999) return number_text(value / 1e3, 1) + " s";
  return fmt::format("{:g}{}{}", value, unit.empty() ? "" : " ", unit);
}

struct LogScale {
  Scale scale;
  bool is_log = true;
  double operator()(double value) const { return scale(is_log ? std::log10(value) : value); }
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
    canvas_.text(right.left, top + 16, figure_.y_title, {.size = 16, .bold = true});
    draw_legend(left, top + 42);
    draw_allocation(left);
    draw_now(left);
    draw_times(right);
    draw_time_legend(right, top + 42);
    return std::move(canvas_).finish();
  }

 private:
  static constexpr std::size_t kLayerCharacters = 18;

  LogScale x_scale(const Frame& frame) const {
    const double from = figure_.points.front().x;
    const double to = figure_.points.back().x;
    if (!figure_.x_is_log) return {{from, to, frame.left, frame.right}, false};
    return {{std::log10(from), std::log10(to), frame.left, frame.right}};
  }

  // Where the column of a point begins: half-way, on the page, to the point before it.
  double column_start(const Frame& frame, std::size_t point) const {
    const LogScale x = x_scale(frame);
    if (point == 0) return frame.left;
    if (point == figure_.points.size()) return frame.right;
    return (x(figure_.points[point - 1].x) + x(figure_.points[point].x)) / 2;
  }

  bool is_split(const SweepPoint& point) const {
    return std::any_of(point.device.begin(), point.device.end(),
                       [&](std::uint32_t device) { return device != point.device[0] && device != kNoDevice; });
  }

  void draw_x_axis(const Frame& frame) {
    const LogScale x = x_scale(frame);
    canvas_.line(frame.left, frame.bottom, frame.right, frame.bottom, kMutedInk, 1.2);
    std::vector<std::pair<double, std::string>> ticks = figure_.x_ticks;
    if (ticks.empty())
      for (const double bits : decades(figure_.points.front().x * 8, figure_.points.back().x * 8))
        ticks.emplace_back(bits / 8, format_bandwidth(bits / 8));
    for (const auto& [value, text] : ticks) {
      canvas_.line(x(value), frame.bottom, x(value), frame.bottom + 6, kMutedInk, 1.2);
      canvas_.text(x(value), frame.bottom + 22, text, {.size = 12.5, .anchor = "middle", .colour = kMutedInk});
    }
    canvas_.text((frame.left + frame.right) / 2, frame.bottom + 45, figure_.x_label, {.size = 14, .anchor = "middle"});
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
        if (device != kNoDevice)
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
    double low = std::numeric_limits<double>::infinity();
    double high = 0;
    for (const SweepPoint& point : figure_.points) {
      if (std::isfinite(point.value)) low = std::min(low, point.value);
      for (const double value : {point.value, point.nominal})
        if (std::isfinite(value)) high = std::max(high, value);
      for (const double single : point.single)
        if (std::isfinite(single)) high = std::max(high, single);
    }
    if (!std::isfinite(low)) low = 1;
    low = std::pow(10.0, std::floor(std::log10(std::max(low, 1e-6)) + 1e-9));
    high = std::pow(10.0, std::ceil(std::log10(std::max(high, 10 * low)) - 1e-9));
    const LogScale x = x_scale(frame);
    const LogScale y{{std::log10(low), std::log10(high), frame.bottom, frame.top}};
    draw_split_ranges(frame);
    for (const double tick : decades(low, high)) {
      canvas_.line(frame.left, y(tick), frame.right, y(tick), kGrid, 1);
      canvas_.text(frame.left - 9, y(tick) + 4.5, quantity_text(tick, figure_.y_unit),
                   {.size = 12.5, .anchor = "end", .colour = kMutedInk});
    }
    for (std::size_t device = 0; device < figure_.devices.size(); ++device) {
      std::vector<Point> line;
      for (const SweepPoint& point : figure_.points)
        if (std::isfinite(point.single[device]) && point.single[device] > 0)
          line.push_back({x(point.x), y(std::max(point.single[device], low))});
      canvas_.path(line, colour_of(device, figure_.devices.size()), 2.6, kDashes[device % kDashes.size()]);
    }
    std::vector<Point> planned;
    std::vector<Point> nominal;
    for (const SweepPoint& point : figure_.points) {
      if (std::isfinite(point.value)) planned.push_back({x(point.x), y(std::max(point.value, low))});
      if (std::isfinite(point.nominal)) nominal.push_back({x(point.x), y(std::max(point.nominal, low))});
    }
    canvas_.path(planned, "#ffffff", 6.5, "");
    canvas_.path(planned, kInk, 3.4, "");
    canvas_.path(nominal, kNominalColour, 2.8, "9 5");
    draw_x_axis(frame);
    draw_now(frame);
  }

  // A mark at today's value.
  void draw_now(const Frame& frame) {
    if (!figure_.now || *figure_.now < figure_.points.front().x || *figure_.now > figure_.points.back().x) return;
    const double at = x_scale(frame)(*figure_.now);
    canvas_.line(at, frame.top, at, frame.bottom, kNominalColour, 1.4, "2 3");
    canvas_.text(std::clamp(at, frame.left + 20, frame.right - 20), frame.bottom - 8, "now",
                 {.size = 12.5, .anchor = "middle", .colour = kNominalColour, .bold = true});
  }

  bool has_nominal() const {
    return std::any_of(figure_.points.begin(), figure_.points.end(),
                       [](const SweepPoint& point) { return std::isfinite(point.nominal); });
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
    if (has_nominal()) {
      x += 21 + text_width("a split is best", 13) + 22;
      canvas_.line(x, y - 3, x + 30, y - 3, kNominalColour, 2.8, "9 5");
      canvas_.text(x + 37, y + 1.5, "the plan of now", {.size = 13});
    }
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
