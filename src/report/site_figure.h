// The figure of a plan on its site: the nodes as boxes with what they run, the links between them with what they carry. Pure;
// thread-safe.
//
//   SiteFigure figure{.title = "AlexNet on home.yaml"};
//   figure.nodes.push_back({.name = "camera", .lines = {"blocks 0-3", "12.3 ms"}, .column = 0, .runs = true});
//   figure.nodes.push_back({.name = "server", .lines = {"blocks 4-9", "3.1 ms"}, .column = 1, .runs = true});
//   figure.links.push_back({.from = 0, .to = 1, .lines = {"up 70 kB, 28 ms"}, .carries = true});
//   TIDELINE_CHECK_OK(write_file_atomic("site.svg", render(figure)));
//
// Nodes stand in columns, from the source to the cloud; links that pass a column go round its boxes. A label stands on its link
// where there is room that no box and no other label has, otherwise a number does, and the label in a list below. The page grows
// with the site.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "report/svg.h"

namespace tideline::report {

struct SiteNode {
  std::string name;
  std::vector<std::string> lines;  // under the name
  std::uint32_t column = 0;
  bool runs = false;     // computes something
  bool carries = false;  // the request comes by
};

struct SiteLink {
  std::uint32_t from = 0;  // in nodes
  std::uint32_t to = 0;
  std::vector<std::string> lines;
  bool carries = false;
};

struct SiteFigure {
  std::string title;
  std::string subtitle;
  std::vector<SiteNode> nodes;
  std::vector<SiteLink> links;
  std::string note;
  double width = 1280;
  double height = 480;  // at least
};

struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool overlaps(const Box& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

// Where everything is on the page; render() draws just this.
struct SiteLayout {
  double width = 0;
  double height = 0;
  std::vector<Box> nodes;
  std::vector<std::vector<Point>> links;  // their corners
  struct Label {
    std::uint32_t link = 0;
    Box box;
    std::uint32_t number = 0;  // not 0: this number stands there, and the label in the list
  };
  std::vector<Label> labels;
  std::vector<std::string> list;  // below the site
  double list_top = 0;
};
SiteLayout layout_of(const SiteFigure& figure);

std::string render(const SiteFigure& figure);

}  // namespace tideline::report
