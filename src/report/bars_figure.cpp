#include "report/bars_figure.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "report/canvas.h"

namespace tideline::report {
namespace {

constexpr std::array<std::string_view, 8> kPartColours{"#0b3c8c", "#f2b134", "#2f8f83", "#b3261e",
                                                       "#7fb2e5", "#6b3f8e", "#9aa5b1", "#5b8c3a"};
constexpr double kBarsMargin = 40;
constexpr double kBarHeight = 26;
constexpr double kBarRow = 62;
constexpr double kTotalRoom = 110;  // behind the longest bar
constexpr double kBarNameSize = 15;

std::string fitted_text(std::string text, double width, double size) {
  if (text_width(text, size) <= width) return text;
  while (!text.empty() && text_width(text + " ...", size) > width) {
    text.pop_back();
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0u) == 0x80u) text.pop_back();
  }
  return text + " ...";
}

std::string short_number(double value) {
  return number_text(value, value >= 100 ? 1 : value >= 10 ? 0.1 : value >= 1 ? 0.01 : 0.001);
}

class BarsDrawing {
 public:
  explicit BarsDrawing(const BarsFigure& figure)
      : figure_(figure),
        legend_rows_(rows_of_legend()),
        height_(height_of(figure)),
        canvas_(figure.width, height_, figure.title) {}

  std::string run() {
    for (std::size_t part = 0; part < figure_.parts.size(); ++part)
      if (figure_.parts[part].is_link)
        canvas_.raw(
            fmt::format("<defs><pattern id=\"part{0}\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" "
                        "patternTransform=\"rotate(45)\"><rect width=\"8\" height=\"8\" fill=\"#ffffff\"/><rect "
                        "width=\"5\" height=\"8\" fill=\"{1}\"/></pattern></defs>\n",
                        part, colour_of(part)));
    const auto [top, bottom] = draw_heads(canvas_, figure_.title, figure_.subtitle, figure_.note, height_);
    draw_part_legend(top);
    double most = 0;
    for (const Bar& bar : figure_.bars) most = std::max(most, sum_of(bar));
    if (!(most > 0)) most = 1;
    const double first = top + kLegendRow * static_cast<double>(legend_rows_) + 16;
    const Scale x{0, most, kBarsMargin, figure_.width - kBarsMargin - kTotalRoom};
    for (std::size_t i = 0; i < figure_.bars.size(); ++i) draw_bar(figure_.bars[i], first + kBarRow * static_cast<double>(i), x);
    canvas_.line(kBarsMargin, first, kBarsMargin, first + kBarRow * static_cast<double>(figure_.bars.size()) - 8, kMutedInk, 1.2);
    return std::move(canvas_).finish();
  }

 private:
  static constexpr double kLegendRow = 22;

  static std::string_view colour_of(std::size_t part) { return kPartColours[part % kPartColours.size()]; }
  std::string fill_of_part(std::size_t part) const {
    return figure_.parts[part].is_link ? fmt::format("url(#part{})", part) : std::string(colour_of(part));
  }
  double value_of(const Bar& bar, std::size_t part) const {
    const double value = part < bar.values.size() ? bar.values[part] : 0;
    return std::isfinite(value) ? std::max(0.0, value) : 0;
  }
  double sum_of(const Bar& bar) const {
    double sum = 0;
    for (std::size_t part = 0; part < figure_.parts.size(); ++part) sum += value_of(bar, part);
    return sum;
  }
  double entry_width(const BarsPart& part) const { return 22 + text_width(part.name, 13) + 24; }

  std::size_t rows_of_legend() const {
    std::size_t rows = 1;
    double x = kBarsMargin;
    for (const BarsPart& part : figure_.parts) {
      if (x + entry_width(part) > figure_.width - kBarsMargin && x > kBarsMargin) {
        ++rows;
        x = kBarsMargin;
      }
      x += entry_width(part);
    }
    return rows;
  }

  double height_of(const BarsFigure& figure) const {
    const double notes =
        figure.note.empty() ? 0 : 16.0 * static_cast<double>(1 + std::count(figure.note.begin(), figure.note.end(), '\n'));
    return std::max(figure.height, 110 + kLegendRow * static_cast<double>(legend_rows_) +
                                       kBarRow * static_cast<double>(figure.bars.size()) + notes + 30);
  }

  void draw_part_legend(double top) {
    double x = kBarsMargin;
    double y = top + 8;
    for (std::size_t part = 0; part < figure_.parts.size(); ++part) {
      const double width = entry_width(figure_.parts[part]);
      if (x + width > figure_.width - kBarsMargin && x > kBarsMargin) {
        x = kBarsMargin;
        y += kLegendRow;
      }
      canvas_.rectangle(x, y - 10, 15, 14, fill_of_part(part));
      canvas_.text(x + 22, y + 2, fitted_text(figure_.parts[part].name, figure_.width - 3 * kBarsMargin, 13), {.size = 13});
      x += width;
    }
  }

  void draw_bar(const Bar& bar, double top, const Scale& x) {
    const std::string_view ink = bar.why_not.empty() ? kInk : kMutedInk;
    std::string name = (bar.chosen ? "* " : "") + bar.name;
    if (!bar.why_not.empty()) name += "   not possible: " + bar.why_not;
    canvas_.text(kBarsMargin + 6, top + 14, fitted_text(name, figure_.width - 2 * kBarsMargin - 10, kBarNameSize),
                 {.size = kBarNameSize, .colour = ink, .bold = bar.chosen});
    double sum = 0;
    if (!bar.why_not.empty()) canvas_.raw("<g opacity=\"0.35\">\n");
    for (std::size_t part = 0; part < figure_.parts.size(); ++part) {
      const double value = value_of(bar, part);
      if (!(value > 0)) continue;
      const double left = x(sum);
      const double width = x(sum + value) - left;
      canvas_.rectangle(left, top + 20, std::max(0.4, width - 0.8), kBarHeight, fill_of_part(part));
      draw_value(part, short_number(value), left, width, top + 20);
      sum += value;
    }
    if (!bar.why_not.empty()) canvas_.raw("</g>\n");
    canvas_.text(x(sum) + 8, top + 20 + kBarHeight / 2 + 5, bar.total, {.size = 14, .colour = ink, .bold = bar.chosen});
  }

  // Inside its part, on a plate of its own where a hatch would be behind it.
  void draw_value(std::size_t part, const std::string& text, double left, double width, double top) {
    const double room = text_width(text, 12.5) + 8;
    if (room > width) return;
    const double middle = left + width / 2;
    const bool is_link = figure_.parts[part].is_link;
    if (is_link) canvas_.rectangle(middle - room / 2, top + 5, room, kBarHeight - 10, "#ffffff");
    const bool is_light = part % kPartColours.size() == 1 || part % kPartColours.size() == 4 || part % kPartColours.size() == 6;
    canvas_.text(middle, top + kBarHeight / 2 + 4.5, text,
                 {.size = 12.5, .anchor = "middle", .colour = is_link || is_light ? kInk : "#ffffff"});
  }

  const BarsFigure& figure_;
  const std::size_t legend_rows_;
  const double height_;
  Canvas canvas_;
};

}  // namespace

std::string render(const BarsFigure& figure) { return BarsDrawing(figure).run(); }

}  // namespace tideline::report
