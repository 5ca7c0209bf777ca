#include "report/canvas.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace tideline::report {
namespace {

constexpr std::string_view kFonts = "'Inter','Segoe UI','Helvetica Neue',Arial,'DejaVu Sans',sans-serif";

std::string points_text(const std::vector<Point>& points) {
  std::string text;
  for (const Point& point : points) text += fmt::format("{}{:.1f},{:.1f}", text.empty() ? "" : " ", point.x, point.y);
  return text;
}

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default:
        // XML 1.0 has no way to write control characters.
        escaped += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    }
  }
  return escaped;
}

std::vector<double> round_ticks(double low, double high, int count) {
  if (!(high > low)) high = low + std::max(1.0, std::abs(low) * 0.1);
  if (!std::isfinite(high - low)) return {low, high};
  const double rough = (high - low) / std::max(1, count);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9);
  const double last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) ticks.push_back(i * step);
  return ticks;
}

double step_of(const std::vector<double>& ticks) {
  double step = ticks.size() < 2 ? 1 : std::abs(ticks[1] - ticks[0]);
  for (std::size_t i = 1; i < ticks.size(); ++i) step = std::min(step, std::abs(ticks[i] - ticks[i - 1]));
  return step > 0 ? step : 1;
}

std::string number_text(double value, double step) {
  const double magnitude = std::max(std::abs(value), std::abs(step));
  if (magnitude >= 1e7 || (magnitude > 0 && magnitude < 1e-4)) return fmt::format("{:.3g}", value);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 6);
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  const std::size_t whole = digits.find('.') == std::string::npos ? digits.size() : digits.find('.');
  for (std::size_t at = whole; at > 3 && whole > 4; at -= 3) digits.insert(at - 3, 1, ',');
  return (value < 0 && digits.find_first_not_of("0.,") != std::string::npos ? "-" : "") + digits;
}

double text_width(std::string_view text, double size) {
  double width = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80) continue;  // the rest of a UTF-8 character
    width += std::string_view("il.,:;'|!()[] ").find(c) != std::string_view::npos ? 0.36 : 0.6;
  }
  return width * size;
}

Canvas::Canvas(double width, double height, std::string_view title) {
  body_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" viewBox=\"0 0 {0:.0f} {1:.0f}\" "
      "role=\"img\" font-family=\"{2}\">\n<title>{3}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
      width, height, kFonts, escape_xml(title));
}

void Canvas::text(double x, double y, std::string_view text, const TextStyle& style) {
  const std::string turn =
      style.rotation_degrees == 0 ? "" : fmt::format(" transform=\"rotate({:.0f} {:.1f} {:.1f})\"", style.rotation_degrees, x, y);
  body_ +=
      fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\"{}{}>{}</text>\n", x, y,
                  style.size, style.anchor, style.colour, style.bold ? " font-weight=\"600\"" : "", turn, escape_xml(text));
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view colour, double width, std::string_view dash) {
  body_ +=
      fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-width=\"{:.2f}\"{}/>\n", x1,
                  y1, x2, y2, colour, width, dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
}

void Canvas::rectangle(double x, double y, double width, double height, std::string_view fill) {
  body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\"/>\n", x, y, width, height,
                       fill);
}

void Canvas::path(const std::vector<Point>& points, std::string_view colour, double width, std::string_view dash) {
  if (points.empty()) return;
  body_ += fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{:.2f}\" stroke-linejoin=\"round\" "
      "stroke-linecap=\"round\"{}/>\n",
      points_text(points), colour, width, dash.empty() ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
}

void Canvas::polygon(const std::vector<Point>& points, std::string_view fill, double opacity) {
  if (points.size() < 3) return;
  body_ += fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"{:.2f}\"/>\n", points_text(points), fill, opacity);
}

void Canvas::marker(int shape, double x, double y, double radius, std::string_view colour) {
  const bool hollow = shape % 6 >= 4;
  const std::string paint = hollow ? fmt::format("fill=\"#ffffff\" stroke=\"{}\" stroke-width=\"1.8\"", colour)
                                   : fmt::format("fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"1\"", colour);
  const double r = radius;
  switch (shape % 6) {
    case 0:
    case 4: body_ += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\" {}/>\n", x, y, r, paint); break;
    case 1:
    case 5:
      body_ += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" {}/>\n", x - 0.9 * r, y - 0.9 * r,
                           1.8 * r, 1.8 * r, paint);
      break;
    case 2:
      body_ += fmt::format("<polygon points=\"{}\" {}/>\n",
                           points_text({{x, y - 1.15 * r}, {x + 1.1 * r, y + 0.85 * r}, {x - 1.1 * r, y + 0.85 * r}}), paint);
      break;
    default:
      body_ += fmt::format("<polygon points=\"{}\" {}/>\n",
                           points_text({{x, y - 1.25 * r}, {x + 1.25 * r, y}, {x, y + 1.25 * r}, {x - 1.25 * r, y}}), paint);
  }
}

std::string Canvas::finish() && { return std::move(body_) + "</svg>\n"; }

Range range_of(const Axis& axis, const std::vector<double>& values, int tick_count) {
  double low = 0;
  double high = 1;
  if (!values.empty()) {
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    low = *least;
    high = *greatest;
  }
  low = axis.min.value_or(low);
  high = axis.max.value_or(high);
  if (!(high > low)) high = low + 1;
  Range range;
  range.ticks = axis.ticks.empty() ? round_ticks(low, high, tick_count) : axis.ticks;
  range.min = axis.min.value_or(axis.ticks.empty() ? range.ticks.front() : low);
  range.max = axis.max.value_or(axis.ticks.empty() ? range.ticks.back() : high);
  const double slack = 1e-9 * (range.max - range.min);
  std::erase_if(range.ticks, [&](double tick) { return tick < range.min - slack || tick > range.max + slack; });
  return range;
}

std::pair<double, double> draw_heads(Canvas& canvas, std::string_view title, std::string_view subtitle, std::string_view note,
                                     double height) {
  double top = 20;
  if (!title.empty()) {
    canvas.text(24, top + 18, title, {.size = 21, .bold = true});
    top += 30;
  }
  if (!subtitle.empty()) {
    canvas.text(24, top + 14, subtitle, {.size = 14, .colour = kMutedInk});
    top += 24;
  }
  double bottom = height - 14;
  if (!note.empty()) {
    std::vector<std::string_view> rows;
    for (std::string_view rest = note;;) {
      const std::size_t end = rest.find('\n');
      rows.push_back(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
    bottom -= 16.0 * static_cast<double>(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
      canvas.text(24, bottom + 14 + 16.0 * static_cast<double>(i), rows[i], {.size = 11.5, .colour = kMutedInk});
  }
  return {top + 14, bottom};
}

void draw_y_axis(Canvas& canvas, const Frame& frame, const Scale& y, const Range& range, std::string_view label) {
  const double step = step_of(range.ticks);
  for (const double tick : range.ticks) {
    canvas.line(frame.left, y(tick), frame.right, y(tick), kGrid, 1);
    canvas.text(frame.left - 9, y(tick) + 4.5, number_text(tick, step), {.size = 13, .anchor = "end", .colour = kMutedInk});
  }
  if (!label.empty())
    canvas.text(26, (frame.top + frame.bottom) / 2, label,
                {.size = 14, .anchor = "middle", .colour = kInk, .rotation_degrees = -90});
}

}  // namespace tideline::report
