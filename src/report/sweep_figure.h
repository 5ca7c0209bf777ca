// The figure of a sweep, after AAIoT's Figure 3: where each layer runs, and what a request takes, against one number of the
// problem such as the bandwidth of the links. Two panels side by side in the shape of a slide. Pure; thread-safe.
//
//   SweepFigure figure{.title = "AlexNet", .devices = {"pi", "server"}, .layers = {"c1", "f7"}};
//   figure.points.push_back({.x = 1e6, .device = {0, 1}, .value = 93, .single = {708, 146}});
//   TIDELINE_CHECK_OK(write_file_atomic("figure.svg", render(figure)));
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tideline::report {

// A layer that does not run: no plan, or behind an exit.
inline constexpr std::uint32_t kNoDevice = 0xffffffff;

struct SweepPoint {
  double x = 0;                                               // points come by rising x
  std::vector<std::uint32_t> device;                          // of each layer
  double value = 0;                                           // not finite where no plan is possible
  std::vector<double> single;                                 // everything on each device; not finite where that is impossible
  double nominal = std::numeric_limits<double>::quiet_NaN();  // what the plan that is chosen now would cost
};

struct SweepFigure {
  std::string title;
  std::string subtitle;
  std::vector<std::string> devices;  // from the device to the cloud
  std::vector<std::string> layers;   // from the input to the output
  std::vector<SweepPoint> points;    // at least two
  std::string planned_name = "best placement";
  std::string note;
  std::string x_label = "bandwidth of every link";
  std::string y_title = "Response time";
  bool x_is_log = true;
  // Marks of the axis with their texts; empty: decades of a bandwidth in bytes per second.
  std::vector<std::pair<double, std::string>> x_ticks;
  std::string y_unit = "ms";  // milliseconds are shown as seconds when they are many
  std::optional<double> now;  // where x is today
  double width = 1280;
  double height = 720;
};

std::string render(const SweepFigure& figure);

}  // namespace tideline::report
