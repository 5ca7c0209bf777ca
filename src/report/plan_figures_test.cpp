// Goal: the figures of plans can be read: nothing lies on anything else, everything is on the page, every text is escaped.
// Method: random sites, their layout checked box by box; texts of the drawn figure measured as the drawing measures them.
#include <algorithm>
#include <random>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "report/bars_figure.h"
#include "report/canvas.h"
#include "report/site_figure.h"

namespace tideline::report {
namespace {

using testing::HasSubstr;
using testing::Not;

SiteFigure random_figure(std::mt19937_64& random) {
  const auto below = [&](std::uint64_t limit) { return static_cast<std::uint32_t>(random() % limit); };
  SiteFigure figure{.title = "site", .subtitle = "plan", .note = "note"};
  const std::uint32_t columns = 1 + below(6);
  for (std::uint32_t column = 0; column < columns; ++column) {
    const std::uint32_t rows = column == 0 ? 1 : 1 + below(4);
    for (std::uint32_t row = 0; row < rows; ++row) {
      SiteNode node{.name = "node-" + std::to_string(figure.nodes.size()), .column = column, .runs = below(3) == 0};
      for (std::uint32_t line = below(4); line > 0; --line) node.lines.push_back("blocks 10-20, 123 ms");
      figure.nodes.push_back(std::move(node));
    }
  }
  const auto count = static_cast<std::uint32_t>(figure.nodes.size());
  for (std::uint32_t to = 1; to < count; ++to) {
    figure.links.push_back({.from = to - 1 - below(std::min(to, 5u)), .to = to, .lines = {"20 Mbit/s, rtt 4 ms"}});
    if (below(3) == 0) {
      figure.links.back().lines = {"up 192 kB: 81.2 ms", "back 4 kB: 3.1 ms"};
      figure.links.back().carries = true;
    }
  }
  for (std::uint32_t i = below(count); i > 0 && count > 1; --i) {
    const std::uint32_t to = 1 + below(count - 1);
    figure.links.push_back({.from = below(to), .to = to, .lines = {"2 Mbit/s"}});
  }
  return figure;
}

void expect_on_page(const Box& box, const SiteLayout& layout, const std::string& what) {
  EXPECT_GE(box.left, 0) << what;
  EXPECT_GE(box.top, 0) << what;
  EXPECT_LE(box.right, layout.width) << what;
  EXPECT_LE(box.bottom, layout.height) << what;
}

TEST(SiteFigure, NothingLiesOnAnythingElse) {
  std::mt19937_64 random(11);
  std::size_t labels = 0;
  std::size_t listed = 0;
  for (int round = 0; round < 300; ++round) {
    const SiteFigure figure = random_figure(random);
    const SiteLayout layout = layout_of(figure);
    std::vector<Box> boxes = layout.nodes;
    for (const SiteLayout::Label& label : layout.labels) boxes.push_back(label.box);
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      expect_on_page(boxes[i], layout, "round " + std::to_string(round));
      for (std::size_t j = 0; j < i; ++j) EXPECT_FALSE(boxes[i].overlaps(boxes[j])) << "round " << round;
    }
    // Every link has its label, on it or in the list; the list is below everything.
    for (std::uint32_t link = 0; link < figure.links.size(); ++link) {
      const auto of_link = std::count_if(layout.labels.begin(), layout.labels.end(),
                                         [&](const SiteLayout::Label& label) { return label.link == link; });
      EXPECT_LE(of_link, 1);
    }
    const auto on_link = std::count_if(layout.labels.begin(), layout.labels.end(),
                                       [](const SiteLayout::Label& label) { return label.number == 0; });
    EXPECT_EQ(static_cast<std::size_t>(on_link) + layout.list.size(), figure.links.size());
    for (const Box& node : layout.nodes) EXPECT_LE(node.bottom, layout.list_top);
    EXPECT_LE(layout.list_top + 18.0 * static_cast<double>(layout.list.size()), layout.height - 30);
    labels += static_cast<std::size_t>(on_link);
    listed += layout.list.size();
    for (const std::vector<Point>& path : layout.links)
      for (const Point& point : path) expect_on_page({point.x, point.y, point.x, point.y}, layout, "a link");
  }
  EXPECT_GT(labels, listed);
}

// A link that passes a column goes round what stands there.
TEST(SiteFigure, LinksPassNoBoxes) {
  SiteFigure figure;
  for (const std::uint32_t column : {0u, 1u, 2u}) figure.nodes.push_back({.name = "n", .column = column});
  figure.links = {{.from = 0, .to = 1}, {.from = 1, .to = 2}, {.from = 0, .to = 2}};
  const SiteLayout layout = layout_of(figure);
  ASSERT_EQ(layout.links[2].size(), 4u);
  for (std::size_t i = 1; i < 3; ++i) {
    const Point& point = layout.links[2][i];
    EXPECT_TRUE(point.y < layout.nodes[1].top || point.y > layout.nodes[1].bottom);
  }
}

TEST(SiteFigure, DrawsWhatItSaysAndEscapesIt) {
  SiteFigure figure{.title = "<site>",
                    .nodes = {{.name = "a&b", .lines = {"blocks 0-3"}, .runs = true}, {.name = "s", .column = 1}}};
  figure.links = {{.from = 0, .to = 1, .lines = {"up 4 kB: 3 ms"}, .carries = true}};
  const std::string svg = render(figure);
  for (const char* text : {"&lt;site&gt;", "a&amp;b", "blocks 0-3", "up 4 kB: 3 ms", "class=\"node\"", "</svg>"})
    EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_THAT(svg, Not(HasSubstr("<site>")));
  EXPECT_THAT(render(SiteFigure{}), HasSubstr("</svg>"));
}

BarsFigure bars_sample() {
  BarsFigure figure{.title = "a < b", .subtitle = "where it goes", .unit = "ms"};
  figure.parts = {{.name = "camera computes"}, {.name = "camera - server", .is_link = true}, {.name = "server computes"}};
  figure.bars = {{.name = "everything on camera", .values = {300, 0, 0}, .total = "300 ms"},
                 {.name = "everything & all on server", .values = {0, 90, 10}, .total = "100 ms", .chosen = true},
                 {.name = "split", .values = {30, 60, 10}, .total = "100 ms", .why_not = "memory"}};
  return figure;
}

TEST(BarsFigure, WidthsAreTheValues) {
  const std::string svg = render(bars_sample());
  std::vector<double> widths;
  const std::regex bar("<rect x=\"[0-9.]+\" y=\"[0-9.]+\" width=\"([0-9.]+)\" height=\"26.0\"");
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), bar); it != std::sregex_iterator(); ++it)
    widths.push_back(std::stod((*it)[1]) + 0.8);
  ASSERT_EQ(widths.size(), 6u);
  EXPECT_NEAR(widths[0] / widths[1], 300 / 90.0, 0.01);
  EXPECT_NEAR(widths[1] / widths[2], 9, 0.05);
  for (const char* text : {"a &lt; b", "* everything &amp; all on server", "not possible: memory", ">300 ms<", "camera - server"})
    EXPECT_THAT(svg, HasSubstr(text));
}

TEST(BarsFigure, ManyBarsAndLongNamesStayOnThePage) {
  BarsFigure figure = bars_sample();
  for (int i = 0; i < 30; ++i) figure.bars.push_back({.name = std::string(300, 'x'), .values = {1e-9, 2, 3}, .total = "5 ms"});
  for (int i = 0; i < 20; ++i) figure.parts.push_back({.name = "part with a long name " + std::to_string(i), .is_link = true});
  const std::string svg = render(figure);
  EXPECT_THAT(svg, Not(HasSubstr(std::string(200, 'x'))));
  std::smatch size;
  ASSERT_TRUE(std::regex_search(svg, size, std::regex("viewBox=\"0 0 ([0-9]+) ([0-9]+)\"")));
  const double height = std::stod(size[2]);
  const std::regex text("<text x=\"([0-9.]+)\" y=\"([0-9.]+)\" font-size=\"([0-9.]+)\" text-anchor=\"start\"[^>]*>([^<]*)<");
  std::vector<double> rows;
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), text); it != std::sregex_iterator(); ++it) {
    EXPECT_LE(std::stod((*it)[2]), height);
    EXPECT_LE(std::stod((*it)[1]) + text_width((*it)[4].str(), std::stod((*it)[3])), figure.width) << (*it)[4];
  }
  EXPECT_THAT(render(BarsFigure{}), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace tideline::report
