// The figure of a bandwidth sweep, after AAIoT's Figure 3: where each layer runs, and the response time, against the bandwidth of
// the links. Two panels side by side in the shape of a slide. Pure; thread-safe.
//
//   SweepFigure figure{.title = "AlexNet", .devices = {"pi", "server"}, .layers = {"c1", "f7"}};
//   figure.points.push_back({.bytes_per_s = 1e6, .device = {0, 1}, .latency_ms = 93, .single_ms = {708, 146}});
//   TIDELINE_CHECK_OK(write_file_atomic("figure.svg", render(figure)));
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tideline::report {

struct SweepPoint {
  double bytes_per_s = 0;             // of every link; points come by rising bandwidth
  std::vector<std::uint32_t> device;  // of each layer
  double latency_ms = 0;
  std::vector<double> single_ms;  // everything on each device; not finite where that is impossible
};

struct SweepFigure {
  std::string title;
  std::string subtitle;
  std::vector<std::string> devices;  // from the device to the cloud
  std::vector<std::string> layers;   // from the input to the output
  std::vector<SweepPoint> points;    // at least two
  std::string planned_name = "best placement";
  std::string note;
  double width = 1280;
  double height = 720;
};

std::string render(const SweepFigure& figure);

}  // namespace tideline::report
