// Goal: the figures are made of what they say: stated seeds, checked schedules, a bound above everything, files that agree.
// Method: small versions of both figures (few seeds, few tasks).
#include <algorithm>

#include <gtest/gtest.h>

#include "reproduce/li2018_figures.h"

namespace tideline::sim {
namespace {

Figure small(std::string_view name) {
  const auto figure = reproduce_figure(name, {.tuning_seeds = 1, .held_out_seeds = 2, .tasks = 100});
  EXPECT_TRUE(figure) << figure.error().message;
  return *figure;
}

TEST(Figures, NothingIsAboveTheBoundAndEverySeedIsThere) {
  for (const FigureEntry& entry : figures()) {
    const Figure figure = small(entry.name);
    ASSERT_EQ(figure.series.front().policy, "upper-bound");
    for (const FigureSeries& series : figure.series) {
      ASSERT_EQ(series.tuning.size(), 1u);
      ASSERT_EQ(series.held_out.size(), 2u);
      for (std::size_t s = 0; s < 2; ++s)
        for (std::size_t i = 0; i < figure.x.size(); ++i)
          EXPECT_LE(series.held_out[s][i], figure.series.front().held_out[s][i] + 1e-6) << series.policy;
    }
    // A header and one row per number.
    const std::string csv = figure_csv(figure);
    EXPECT_EQ(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')), 1 + 3 * figure.x.size() * figure.series.size());
    EXPECT_NE(csv.find("held-out,102,"), std::string::npos);
    EXPECT_EQ(csv.find("held-out,1,"), std::string::npos);
    EXPECT_NE(figure_json(figure).find("\"findings\""), std::string::npos);
    EXPECT_NE(figure_svg(figure).find("</svg>"), std::string::npos);
  }
}

TEST(Figures, RepeatExactly) { EXPECT_EQ(figure_csv(small("li2018-fig4b")), figure_csv(small("li2018-fig4b"))); }

TEST(Figures, RefuseUnknownNamesAndSeedsThatWereNotStated) {
  const auto unknown = reproduce_figure("li2018-fig4", {});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("li2018-fig4a"), std::string::npos);
  EXPECT_FALSE(reproduce_figure("li2018-fig4a", {.held_out_seeds = 21}));
  EXPECT_FALSE(reproduce_figure("li2018-fig4a", {.tuning_seeds = 11}));
  EXPECT_FALSE(reproduce_figure("li2018-fig4a", {.held_out_seeds = 0}));
}

}  // namespace
}  // namespace tideline::sim
