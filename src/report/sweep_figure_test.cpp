// Goal: the figure of a sweep holds what the sweep holds: every device and layer by name, escaped, one cell for each stretch.
#include "report/sweep_figure.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline::report {
namespace {

using testing::HasSubstr;
using testing::Not;

SweepFigure sample_figure() {
  SweepFigure figure{.title = "a < b", .devices = {"pi & co", "server"}, .layers = {"c1", "f7"}};
  figure.points.push_back({.x = 1250, .device = {0, 0}, .value = 700, .single = {700, 90'000}});
  figure.points.push_back({.x = 1.25e6, .device = {0, 1}, .value = 90, .single = {700, 150}});
  figure.points.push_back({.x = 1.25e8, .device = {1, 1}, .value = 2, .single = {700, 2}});
  return figure;
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(SweepFigure, NamesEverything) {
  const std::string svg = render(sample_figure());
  for (const char* text : {"a &lt; b", "pi &amp; co", "all on server", ">c1<", ">f7<", "10 kbit/s", "1 Gbit/s", "100 s", "1 ms"})
    EXPECT_THAT(svg, HasSubstr(text));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

// The two devices have one cell each in both rows, and one key each in the legend: 6 rectangles of the two colours.
TEST(SweepFigure, OneCellForEachStretch) {
  const std::string svg = render(sample_figure());
  EXPECT_EQ(count(svg, "<rect") - 1, 6u + 2u);  // without the page; with the shade of the split and its key
}

TEST(SweepFigure, AnImpossibleDeviceHasNoLine) {
  SweepFigure figure = sample_figure();
  const std::size_t lines = count(render(figure), "<polyline");
  for (SweepPoint& point : figure.points) point.single[0] = std::numeric_limits<double>::quiet_NaN();
  const std::string svg = render(figure);
  EXPECT_EQ(count(svg, "<polyline"), lines - 1);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace tideline::report
