// The figure of where the time, or the energy, of several plans goes: one bar across the page for each, in parts. Pure;
// thread-safe.
//
//   BarsFigure figure{.title = "Where the time goes", .unit = "ms", .parts = {{.name = "camera computes"}}};
//   figure.bars.push_back({.name = "everything on camera", .values = {373}, .chosen = true});
//   TIDELINE_CHECK_OK(write_file_atomic("bars.svg", render(figure)));
//
// The chosen one is marked and bold; what is not possible is pale, with its reason. The page grows with the bars.
#pragma once

#include <string>
#include <vector>

namespace tideline::report {

struct BarsPart {
  std::string name;
  bool is_link = false;  // drawn with a hatch, so that what computes and what travels differ without colours
};

struct Bar {
  std::string name;
  std::vector<double> values;  // one for each part; negative ones count as 0
  std::string total;           // behind the bar: "373 ms"
  std::string why_not;         // empty: possible
  bool chosen = false;
};

struct BarsFigure {
  std::string title;
  std::string subtitle;
  std::string unit;  // of the values: "ms"
  std::vector<BarsPart> parts;
  std::vector<Bar> bars;
  std::string note;
  double width = 1280;
  double height = 320;  // at least
};

std::string render(const BarsFigure& figure);

}  // namespace tideline::report
