#include "report/site_figure.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "report/canvas.h"

namespace tideline::report {
namespace {

constexpr double kSiteMargin = 40;
constexpr double kHeads = 100;  // title and subtitle
constexpr double kLineHeight = 18;
constexpr double kBoxWidthMost = 210;
constexpr double kBoxWidthLeast = 96;
constexpr double kColumnGap = 170;  // room for a label between two columns
constexpr double kRowGap = 44;
constexpr double kAside = 14;  // how far links keep from boxes that they pass
constexpr double kLabelSize = 13;
constexpr double kLabelPadding = 4;
constexpr double kListRow = 18;
constexpr double kNumberRadius = 10;

constexpr std::string_view kRunsFill = "#dbe8fb";
constexpr std::string_view kPassesFill = "#f3f5f8";
constexpr std::string_view kIdleFill = "#ffffff";
constexpr std::string_view kRunsEdge = "#0b3c8c";
constexpr std::string_view kIdleEdge = "#aab2bd";
constexpr std::string_view kCarriesColour = "#b3261e";

std::string cut_to_fit(std::string text, double width, double size) {
  if (text_width(text, size) <= width) return text;
  while (!text.empty() && text_width(text + "..", size) > width) {
    text.pop_back();
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0u) == 0x80u) text.pop_back();
  }
  return text + "..";
}

bool crosses(const Point& a, const Point& b, const Box& box) {
  // Liang and Barsky: what of the segment is inside.
  double enters = 0;
  double leaves = 1;
  const double dx = b.x - a.x;
  const double dy = b.y - a.y;
  const std::array<std::pair<double, double>, 4> sides{
      {{-dx, a.x - box.left}, {dx, box.right - a.x}, {-dy, a.y - box.top}, {dy, box.bottom - a.y}}};
  for (const auto& [p, q] : sides) {
    if (p == 0 && q <= 0) return false;
    if (p < 0) enters = std::max(enters, q / p);
    if (p > 0) leaves = std::min(leaves, q / p);
  }
  return enters < leaves;
}

class SitePlan {
 public:
  explicit SitePlan(const SiteFigure& figure) : figure_(figure) {}

  SiteLayout run() {
    find_columns();
    place_nodes();
    for (std::uint32_t link = 0; link < figure_.links.size(); ++link) layout_.links.push_back(path_of(link));
    // What carries something is placed first.
    for (const bool carries : {true, false})
      for (std::uint32_t link = 0; link < figure_.links.size(); ++link)
        if (figure_.links[link].carries == carries && !figure_.links[link].lines.empty()) place_label(link);
    layout_.list_top = nodes_bottom_ + 12;
    const double notes = figure_.note.empty()
                             ? 0
                             : 18.0 + 16.0 * static_cast<double>(1 + std::count(figure_.note.begin(), figure_.note.end(), '\n'));
    layout_.height =
        std::max(figure_.height, layout_.list_top + kListRow * static_cast<double>(layout_.list.size()) + notes + 30);
    return std::move(layout_);
  }

 private:
  double height_of(std::uint32_t node) const {
    return 34 + kLineHeight * static_cast<double>(std::max<std::size_t>(1, figure_.nodes[node].lines.size()));
  }

  void find_columns() {
    for (std::uint32_t node = 0; node < figure_.nodes.size(); ++node) {
      const std::size_t column = figure_.nodes[node].column;
      if (columns_.size() <= column) columns_.resize(column + 1);
      columns_[column].push_back(node);
    }
    std::erase_if(columns_, [](const auto& column) { return column.empty(); });
    column_of_.resize(figure_.nodes.size());
    for (std::size_t column = 0; column < columns_.size(); ++column)
      for (const std::uint32_t node : columns_[column]) column_of_[node] = column;
  }

  void place_nodes() {
    const auto count = static_cast<double>(std::max<std::size_t>(1, columns_.size()));
    const double room = figure_.width - 2 * kSiteMargin;
    box_width_ = std::clamp((room - (count - 1) * kColumnGap) / count, kBoxWidthLeast, kBoxWidthMost);
    // So many columns that there is no room: the page becomes wider.
    const double gap = count > 1 ? std::max(60.0, (room - count * box_width_) / (count - 1)) : 0;
    layout_.width = std::max(figure_.width, 2 * kSiteMargin + count * box_width_ + (count - 1) * gap);
    gap_ = gap;
    double tallest = 0;
    for (const auto& column : columns_) tallest = std::max(tallest, height_of_column(column));
    const double middle = kHeads + std::max(tallest + 2 * kRowGap, figure_.height - kHeads - 150) / 2;
    nodes_bottom_ = 2 * middle - kHeads;
    layout_.nodes.resize(figure_.nodes.size());
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      const double left = kSiteMargin + static_cast<double>(column) * (box_width_ + gap);
      double top = middle - height_of_column(columns_[column]) / 2;
      for (const std::uint32_t node : columns_[column]) {
        layout_.nodes[node] = {left, top, left + box_width_, top + height_of(node)};
        top += height_of(node) + kRowGap;
      }
    }
  }

  double height_of_column(const std::vector<std::uint32_t>& column) const {
    double height = kRowGap * static_cast<double>(column.size() - 1);
    for (const std::uint32_t node : column) height += height_of(node);
    return height;
  }

  // Where on the side of its box a link ends: spread, in the order of the other ends.
  double anchor(std::uint32_t link, std::uint32_t node, bool right) const {
    std::vector<std::pair<double, std::uint32_t>> ends;
    for (std::uint32_t other = 0; other < figure_.links.size(); ++other) {
      const SiteLink& each = figure_.links[other];
      if (each.from != node && each.to != node) continue;
      const std::uint32_t far = each.from == node ? each.to : each.from;
      const bool is_right = column_of_[far] >= column_of_[node];
      if (is_right == right) ends.emplace_back((layout_.nodes[far].top + layout_.nodes[far].bottom) / 2, other);
    }
    std::sort(ends.begin(), ends.end());
    const auto at = std::find_if(ends.begin(), ends.end(), [link](const auto& end) { return end.second == link; });
    const Box& box = layout_.nodes[node];
    return box.top + (box.bottom - box.top) * static_cast<double>(at - ends.begin() + 1) / static_cast<double>(ends.size() + 1);
  }

  std::vector<Point> path_of(std::uint32_t link) const {
    std::uint32_t a = figure_.links[link].from;
    std::uint32_t b = figure_.links[link].to;
    if (column_of_[a] > column_of_[b]) std::swap(a, b);
    const Box& left = layout_.nodes[a];
    const Box& right = layout_.nodes[b];
    if (column_of_[a] == column_of_[b]) {
      const double aside = left.right + std::min(24.0, gap_ / 4 + 10);
      const double from = anchor(link, a, true);
      const double to = anchor(link, b, true);
      return {{left.right, from}, {aside, from}, {aside, to}, {right.right, to}};
    }
    const Point begin{left.right, anchor(link, a, true)};
    const Point end{right.left, anchor(link, b, false)};
    std::vector<Point> path{begin};
    for (std::size_t column = column_of_[a] + 1; column < column_of_[b]; ++column) {
      const Box& first = layout_.nodes[columns_[column].front()];
      const Point& from = path.back();
      const double wish = from.y + (end.y - from.y) * ((first.left + first.right) / 2 - from.x) / (end.x - from.x);
      const double y = free_row(column, wish, link);
      path.push_back({first.left - kAside, y});
      path.push_back({first.right + kAside, y});
    }
    path.push_back(end);
    return path;
  }

  // The nearest row to `wish` at which a line passes the column without touching a box; links that do so share no row.
  double free_row(std::size_t column, double wish, std::uint32_t link) const {
    std::vector<double> rows{wish};
    const double apart = 8.0 * (1 + link % 3);
    for (const std::uint32_t node : columns_[column]) {
      rows.push_back(layout_.nodes[node].top - apart - 4);
      rows.push_back(layout_.nodes[node].bottom + apart + 4);
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [wish](double left, double right) { return std::abs(left - wish) < std::abs(right - wish); });
    for (const double row : rows) {
      const bool is_free = std::none_of(columns_[column].begin(), columns_[column].end(), [&](std::uint32_t node) {
        return row > layout_.nodes[node].top - 4 && row < layout_.nodes[node].bottom + 4;
      });
      if (is_free) return row;
    }
    return rows.back();
  }

  bool is_free(const Box& box, std::uint32_t link, bool of_lines) const {
    if (box.left < 4 || box.right > layout_.width - 4 || box.top < kHeads - 10 || box.bottom > nodes_bottom_) return false;
    for (const Box& node : layout_.nodes)
      if (node.overlaps(box)) return false;
    for (const SiteLayout::Label& label : layout_.labels)
      if (label.box.overlaps(box)) return false;
    for (std::uint32_t other = 0; of_lines && other < layout_.links.size(); ++other)
      for (std::size_t i = 0; other != link && i + 1 < layout_.links[other].size(); ++i)
        if (crosses(layout_.links[other][i], layout_.links[other][i + 1], box)) return false;
    return true;
  }

  // Points along the link, the middle of its longest piece first.
  std::vector<Point> spots(std::uint32_t link) const {
    const std::vector<Point>& path = layout_.links[link];
    std::vector<std::pair<double, std::size_t>> pieces;
    for (std::size_t i = 0; i + 1 < path.size(); ++i)
      pieces.emplace_back(-std::hypot(path[i + 1].x - path[i].x, path[i + 1].y - path[i].y), i);
    std::sort(pieces.begin(), pieces.end());
    std::vector<Point> list;
    for (const auto& [length, i] : pieces)
      for (const double t : {0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.18, 0.82, 0.1, 0.9})
        list.push_back({path[i].x + t * (path[i + 1].x - path[i].x), path[i].y + t * (path[i + 1].y - path[i].y)});
    return list;
  }

  bool place(std::uint32_t link, double width, double height, std::uint32_t number) {
    for (const bool of_lines : {true, false})
      for (const Point& spot : spots(link)) {
        const Box box{spot.x - width / 2, spot.y - height / 2, spot.x + width / 2, spot.y + height / 2};
        if (!is_free(box, link, of_lines)) continue;
        layout_.labels.push_back({link, box, number});
        return true;
      }
    return false;
  }

  void place_label(std::uint32_t link) {
    const std::vector<std::string>& lines = figure_.links[link].lines;
    double width = 0;
    for (const std::string& line : lines) width = std::max(width, text_width(line, kLabelSize));
    const double height = kLineHeight * static_cast<double>(lines.size()) + 2 * kLabelPadding;
    if (place(link, width + 2 * kLabelPadding, height, 0)) return;
    const auto number = static_cast<std::uint32_t>(layout_.list.size() + 1);
    const SiteLink& each = figure_.links[link];
    const bool is_there = place(link, 2 * kNumberRadius, 2 * kNumberRadius, number);
    layout_.list.push_back(fmt::format("{}{} - {}: {}", is_there ? fmt::format("{}  ", number) : "",
                                       figure_.nodes[each.from].name, figure_.nodes[each.to].name, fmt::join(each.lines, ", ")));
  }

  const SiteFigure& figure_;
  SiteLayout layout_;
  std::vector<std::vector<std::uint32_t>> columns_;
  std::vector<std::size_t> column_of_;
  double box_width_ = 0;
  double gap_ = 0;
  double nodes_bottom_ = 0;
};

void draw_node(Canvas& canvas, const SiteNode& node, const Box& box) {
  const std::string_view edge = node.runs ? kRunsEdge : node.carries ? kCarriesColour : kIdleEdge;
  canvas.raw(
      fmt::format("<rect class=\"node\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"8\" fill=\"{}\" "
                  "stroke=\"{}\" stroke-width=\"{}\"/>\n",
                  box.left, box.top, box.right - box.left, box.bottom - box.top,
                  node.runs      ? kRunsFill
                  : node.carries ? kPassesFill
                                 : kIdleFill,
                  edge, node.runs ? 2.4 : 1.4));
  const double middle = (box.left + box.right) / 2;
  const double width = box.right - box.left - 12;
  const std::string_view ink = node.runs || node.carries ? kInk : kMutedInk;
  canvas.text(middle, box.top + 21, cut_to_fit(node.name, width, 16),
              {.size = 16, .anchor = "middle", .colour = ink, .bold = true});
  for (std::size_t i = 0; i < node.lines.size(); ++i)
    canvas.text(middle, box.top + 40 + kLineHeight * static_cast<double>(i), cut_to_fit(node.lines[i], width, 13.5),
                {.size = 13.5, .anchor = "middle", .colour = ink});
}

void draw_label(Canvas& canvas, const SiteLink& link, const SiteLayout::Label& label) {
  const Box& box = label.box;
  const double middle = (box.left + box.right) / 2;
  if (label.number > 0) {
    canvas.marker(4, middle, (box.top + box.bottom) / 2, kNumberRadius, link.carries ? kCarriesColour : kIdleEdge);
    canvas.text(middle, (box.top + box.bottom) / 2 + 4, fmt::format("{}", label.number), {.size = 11.5, .anchor = "middle"});
    return;
  }
  canvas.rectangle(box.left, box.top, box.right - box.left, box.bottom - box.top, "#ffffff");
  for (std::size_t i = 0; i < link.lines.size(); ++i)
    canvas.text(
        middle, box.top + kLabelPadding + 13.5 + kLineHeight * static_cast<double>(i), link.lines[i],
        {.size = kLabelSize, .anchor = "middle", .colour = link.carries ? kCarriesColour : kMutedInk, .bold = link.carries});
}

}  // namespace

SiteLayout layout_of(const SiteFigure& figure) { return SitePlan(figure).run(); }

std::string render(const SiteFigure& figure) {
  const SiteLayout layout = layout_of(figure);
  Canvas canvas(layout.width, layout.height, figure.title);
  draw_heads(canvas, figure.title, figure.subtitle, figure.note, layout.height);
  for (const bool carries : {false, true})
    for (std::size_t link = 0; link < figure.links.size(); ++link)
      if (figure.links[link].carries == carries)
        canvas.path(layout.links[link], carries ? kCarriesColour : kIdleEdge, carries ? 3.2 : 1.6, carries ? "" : "5 4");
  for (std::size_t node = 0; node < figure.nodes.size(); ++node) draw_node(canvas, figure.nodes[node], layout.nodes[node]);
  for (const SiteLayout::Label& label : layout.labels) draw_label(canvas, figure.links[label.link], label);
  for (std::size_t row = 0; row < layout.list.size(); ++row)
    canvas.text(kSiteMargin, layout.list_top + kListRow * static_cast<double>(row + 1),
                cut_to_fit(layout.list[row], layout.width - 2 * kSiteMargin, 13), {.size = 13, .colour = kMutedInk});
  return std::move(canvas).finish();
}

}  // namespace tideline::report
