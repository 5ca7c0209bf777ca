// The figure of a trade-off: the plans that no other beats, one numbered point each, and beside them a list that says what they
// are. Pure; thread-safe.
//
//   FrontFigure figure{.title = "Trade-off", .x = {.label = "latency (ms)"}, .y = {.label = "energy (J)"}};
//   figure.points.push_back({.x = 145, .y = 0.073, .name = "cam > gateway", .values = "145 ms, 73 mJ"});
//   TIDELINE_CHECK_OK(write_file_atomic("front.svg", render(figure)));
#pragma once

#include <string>
#include <vector>

#include "report/svg.h"

namespace tideline::report {

struct FrontPoint {
  double x = 0;
  double y = 0;
  std::string name;
  std::string values;
};

struct FrontFigure {
  std::string title;
  std::string subtitle;
  Axis x;
  Axis y;
  // Of two quantities a line that nothing lies below joins the points; of three they stand alone.
  bool joined = true;
  std::vector<FrontPoint> points;  // by rising x
  std::string note;
  double width = 1280;
  double height = 720;
};

std::string render(const FrontFigure& figure);

}  // namespace tideline::report
