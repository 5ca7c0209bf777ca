// Text boxes from a map of probabilities, as detectors of the DB family ("differentiable binarization") make them.
//
// Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (AAAI 2020), sections 3.1 and 3.5, with the
// post-processing that PaddleOCR's models are trained for: pixels of at least `value` are text; connected ones (of eight
// neighbours) are a region; its rectangle is the smallest of any direction around it; its score is the mean probability of the
// pixels inside that rectangle; one below `score` goes; the rectangle grows by area x unclip / circumference on every side
// (a network is trained on shrunk texts); one whose shorter side is less than `side` before, or side + 2 after that, goes.
//
// A row is x1, y1, ... x4, y4, score: corners clockwise as one sees them, from the one nearest to the upper left; in pixels of
// the map (for PP-OCR those of the model's input), whose first pixel covers 0 to 1. Rows are sorted by score, falling, equal ones
// by where their regions begin, row by row. Pure, thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "output/output_section.h"

namespace tideline {

struct TextBox {
  std::array<float, 8> corners{};
  float score = 0;
};
static_assert(sizeof(TextBox) == 9 * sizeof(float));

struct Point {
  double x = 0;
  double y = 0;
};

// A rectangle of any direction: (centre), half sides along the unit vector (ux, uy) and along (-uy, ux).
struct Rectangle {
  Point centre;
  Point direction{1, 0};
  double half_length = 0;
  double half_width = 0;
};

// The smallest rectangle around the points: one of its sides lies along an edge of their convex hull (Freeman and Shapira, 1975).
// O(n log n). REQUIRES: !points.empty().
Rectangle smallest_rectangle(std::vector<Point> points);

// `map`: width x height probabilities, row by row.
std::vector<TextBox> find_text(const OutputStep& step, std::span<const float> map, std::uint32_t width, std::uint32_t height);

}  // namespace tideline
