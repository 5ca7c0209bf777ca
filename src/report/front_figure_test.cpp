// Goal: the figure of a trade-off holds every plan by number, name and values, escaped, and stays readable with many.
#include "report/front_figure.h"

#include <limits>
#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline::report {
namespace {

using testing::HasSubstr;
using testing::Not;

FrontFigure front_sample(int points) {
  FrontFigure figure{.title = "a < b", .x = {.label = "latency (ms)"}, .y = {.label = "energy (mJ)"}};
  for (int i = 0; i < points; ++i)
    figure.points.push_back({.x = 10.0 + i, .y = 100.0 - i, .name = "cam & co", .values = std::to_string(i) + " things"});
  return figure;
}

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(FrontFigure, NamesEverything) {
  const std::string svg = render(front_sample(3));
  for (const char* text : {"a &lt; b", "cam &amp; co", "latency (ms)", "energy (mJ)", ">1<", ">2<", ">3<", "2 things"})
    EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_EQ(occurrences(svg, "<polyline"), 1u);
  EXPECT_EQ(occurrences(svg, "<circle"), 3u);
}

TEST(FrontFigure, ALineOnlyWhereItIsABound) {
  FrontFigure figure = front_sample(3);
  figure.joined = false;
  EXPECT_EQ(occurrences(render(figure), "<polyline"), 0u);
  EXPECT_EQ(occurrences(render(front_sample(1)), "<polyline"), 0u);
}

// Points that lie on each other do not write their numbers on each other.
TEST(FrontFigure, NumbersInACrowdStayApart) {
  FrontFigure figure = front_sample(40);
  for (FrontPoint& point : figure.points) point.x = 10 + (point.x - 10) / 20;
  figure.points.push_back({.x = 500, .y = 10, .name = "far", .values = "far"});
  const std::string svg = render(figure);
  std::vector<std::pair<double, double>> numbers;
  const std::regex number("<text x=\"([0-9.]+)\" y=\"([0-9.]+)\" font-size=\"15.0\" text-anchor=\"middle\" fill=\"#0b3c8c\"");
  for (auto it = std::sregex_iterator(svg.begin(), svg.end(), number); it != std::sregex_iterator(); ++it)
    numbers.emplace_back(std::stod((*it)[1]), std::stod((*it)[2]));
  EXPECT_GT(numbers.size(), 5u);
  EXPECT_LT(numbers.size(), 41u);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_TRUE(std::abs(numbers[i].first - numbers[j].first) > 13.8 || std::abs(numbers[i].second - numbers[j].second) > 12.8);
}

TEST(FrontFigure, ManyPointsAndLongNamesStayOnThePage) {
  FrontFigure figure = front_sample(40);
  figure.points[0].name = std::string(400, 'x');
  figure.points[1].y = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = render(figure);
  EXPECT_THAT(svg, HasSubstr("more, in the table"));
  EXPECT_THAT(svg, HasSubstr(" ..."));
  EXPECT_THAT(svg, Not(HasSubstr(std::string(100, 'x'))));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace tideline::report
