// Goal: charts are well-formed, place values where the axes say, and stay readable when names crowd.
// Method: render small charts and look at the numbers in the SVG text.
#include "report/svg.h"

#include <cmath>
#include <limits>
#include <regex>

#include <gtest/gtest.h>

namespace tideline::report {
namespace {

std::vector<double> all_numbers(const std::string& svg, const std::string& pattern) {
  std::vector<double> found;
  const std::regex regex(pattern);
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), regex); it != std::sregex_iterator(); ++it)
    found.push_back(std::stod((*it)[1]));
  return found;
}

TEST(RoundTicks, CoverTheRangeInRoundSteps) {
  EXPECT_EQ(round_ticks(0, 1000, 5), (std::vector<double>{0, 200, 400, 600, 800, 1000}));
  EXPECT_EQ(round_ticks(0, 769, 6), (std::vector<double>{0, 200, 400, 600, 800}));
  const std::vector<double> ticks = round_ticks(0.013, 0.058, 5);
  EXPECT_LE(ticks.front(), 0.013);
  EXPECT_GE(ticks.back(), 0.058);
  EXPECT_EQ(round_ticks(3, 3, 4).size() >= 2, true);
}

TEST(EscapeXml, LeavesNoMarkup) { EXPECT_EQ(escape_xml("a<b & \"c\"\x01"), "a&lt;b &amp; &quot;c&quot; "); }

TEST(LineChart, EscapesEveryTextAndSkipsNonFinitePoints) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const LineChart chart{.title = "<script>",
                        .x = {.label = "a&b"},
                        .lines = {{.name = "<l>", .points = {{0, 1}, {1, nan}, {2, 3}}}},
                        .note = "<n>"};
  const std::string svg = render(chart);
  EXPECT_EQ(svg.find("<script>"), std::string::npos);
  EXPECT_EQ(svg.find("<l>"), std::string::npos);
  EXPECT_EQ(svg.find("<n>"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_NE(svg.find("</svg>"), std::string::npos);
}

TEST(LineChart, NamesOfLinesThatEndTogetherDoNotOverlap) {
  LineChart chart;
  for (int i = 0; i < 9; ++i)
    chart.lines.push_back({.name = "name" + std::to_string(i), .points = {{0, 0}, {1, 500.0 + i * 0.01}}});
  const std::string svg = render(chart);
  std::vector<double> rows = all_numbers(svg, "y=\"([0-9.]+)\"[^>]*>name[0-9]");
  ASSERT_EQ(rows.size(), 9u);
  std::sort(rows.begin(), rows.end());
  for (std::size_t i = 1; i < rows.size(); ++i) EXPECT_GE(rows[i] - rows[i - 1], 17.9);
  EXPECT_LE(rows.back(), chart.height);
}

TEST(LineChart, HigherValuesAreHigherOnThePage) {
  const LineChart chart{.y = {.min = 0, .max = 100}, .lines = {{.name = "l", .points = {{0, 0}, {1, 50}, {2, 100}}}}};
  const std::string svg = render(chart);
  std::smatch match;
  ASSERT_TRUE(
      std::regex_search(svg, match, std::regex("polyline points=\"[0-9.]+,([0-9.]+) [0-9.]+,([0-9.]+) [0-9.]+,([0-9.]+)\"")));
  const double y0 = std::stod(match[1]), y50 = std::stod(match[2]), y100 = std::stod(match[3]);
  EXPECT_GT(y0, y50);
  EXPECT_NEAR(y50, (y0 + y100) / 2, 0.11);
}

TEST(BarChart, StackedHeightsAddUp) {
  const BarChart chart{.categories = {"x"},
                       .series = {{.name = "a", .values = {30}}, {.name = "b", .values = {10}}},
                       .stacked = true,
                       .y = {.min = 0, .max = 40}};
  const std::string svg = render(chart);
  const std::vector<double> heights =
      all_numbers(svg, "<rect x=\"[0-9.]+\" y=\"[0-9.]+\" width=\"[0-9.]{4,}\" height=\"([0-9.]+)\"");
  ASSERT_GE(heights.size(), 2u);
  EXPECT_NEAR((heights[heights.size() - 2] + 0.8) / (heights.back() + 0.8), 3.0, 0.02);
  EXPECT_NE(svg.find(">40<"), std::string::npos);  // the total
}

TEST(BarChart, EmptyChartsRender) {
  EXPECT_NE(render(BarChart{}).find("</svg>"), std::string::npos);
  EXPECT_NE(render(LineChart{}).find("</svg>"), std::string::npos);
}

}  // namespace
}  // namespace tideline::report
