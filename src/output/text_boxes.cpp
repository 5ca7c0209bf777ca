#include "output/text_boxes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tideline {
namespace {

// What PaddleOCR adds to the least side once a box has grown.
constexpr double kGrownSide = 2;

double cross(const Point& o, const Point& a, const Point& b) { return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x); }

// Monotone chain (Andrew, 1979); no three points on a line.
std::vector<Point> convex_hull(std::vector<Point> points) {
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x != b.x ? a.x < b.x : a.y < b.y; });
  points.erase(std::unique(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x == b.x && a.y == b.y; }),
               points.end());
  if (points.size() < 3) return points;
  std::vector<Point> hull;
  const auto add = [&](const Point& point, std::size_t keep) {
    while (hull.size() >= keep && cross(hull[hull.size() - 2], hull.back(), point) <= 0) hull.pop_back();
    hull.push_back(point);
  };
  for (const Point& point : points) add(point, 2);
  const std::size_t lower = hull.size() + 1;
  for (auto point = points.rbegin() + 1; point != points.rend(); ++point) add(*point, lower);
  hull.pop_back();
  return hull;
}

Rectangle rectangle_along(const std::vector<Point>& hull, const Point& u) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  double low_u = kFar, high_u = -kFar, low_v = kFar, high_v = -kFar;
  for (const Point& p : hull) {
    const double along = p.x * u.x + p.y * u.y;
    const double across = p.y * u.x - p.x * u.y;
    low_u = std::min(low_u, along);
    high_u = std::max(high_u, along);
    low_v = std::min(low_v, across);
    high_v = std::max(high_v, across);
  }
  const double mid_u = (low_u + high_u) / 2;
  const double mid_v = (low_v + high_v) / 2;
  return {{mid_u * u.x - mid_v * u.y, mid_u * u.y + mid_v * u.x}, u, (high_u - low_u) / 2, (high_v - low_v) / 2};
}

// Clockwise as one sees them, y pointing down.
std::array<Point, 4> corners_of(const Rectangle& r) {
  const Point u{r.direction.x * r.half_length, r.direction.y * r.half_length};
  const Point v{-r.direction.y * r.half_width, r.direction.x * r.half_width};
  return {Point{r.centre.x - u.x - v.x, r.centre.y - u.y - v.y}, Point{r.centre.x + u.x - v.x, r.centre.y + u.y - v.y},
          Point{r.centre.x + u.x + v.x, r.centre.y + u.y + v.y}, Point{r.centre.x - u.x + v.x, r.centre.y - u.y + v.y}};
}

class Finder {
 public:
  Finder(const OutputStep& step, std::span<const float> map, std::uint32_t width, std::uint32_t height)
      : step_(step), map_(map), width_(width), height_(height), seen_(map.size(), 0) {}

  std::vector<TextBox> find() {
    sum_rows();
    for (std::size_t at = 0; at < map_.size(); ++at) {
      if (seen_[at] != 0 || !is_text(at)) continue;
      fill(at);
      add_region();
    }
    keep_best();
    return std::move(boxes_);
  }

 private:
  bool is_text(std::size_t at) const { return map_[at] >= static_cast<float>(step_.value); }

  // Sums of the rows' beginnings, so that the mean inside a rectangle costs its height and not its area.
  void sum_rows() {
    sums_.resize((std::size_t{width_} + 1) * height_);
    for (std::uint32_t y = 0; y < height_; ++y) {
      double sum = 0;
      double* const row = &sums_[(std::size_t{width_} + 1) * y];
      for (std::uint32_t x = 0; x < width_; ++x) {
        row[x] = sum;
        const float value = map_[std::size_t{y} * width_ + x];
        if (std::isfinite(value)) sum += value;
      }
      row[width_] = sum;
    }
  }

  // The pixels that are connected with this one.
  void fill(std::size_t first) {
    region_.assign(1, static_cast<std::uint32_t>(first));
    seen_[first] = 1;
    for (std::size_t i = 0; i < region_.size(); ++i) {
      const std::uint32_t x = region_[i] % width_;
      const std::uint32_t y = region_[i] / width_;
      for (std::uint32_t ny = y - (y > 0 ? 1 : 0); ny <= std::min(y + 1, height_ - 1); ++ny)
        for (std::uint32_t nx = x - (x > 0 ? 1 : 0); nx <= std::min(x + 1, width_ - 1); ++nx) {
          const std::size_t at = std::size_t{ny} * width_ + nx;
          if (seen_[at] != 0 || !is_text(at)) continue;
          seen_[at] = 1;
          region_.push_back(static_cast<std::uint32_t>(at));
        }
    }
  }

  // The corners of the outermost pixels of each row: no other corner can be on the hull.
  std::vector<Point> outline() const {
    std::uint32_t top = height_, bottom = 0;
    for (const std::uint32_t at : region_) {
      top = std::min(top, at / width_);
      bottom = std::max(bottom, at / width_);
    }
    std::vector<std::uint32_t> left(bottom - top + 1, width_), right(bottom - top + 1, 0);
    for (const std::uint32_t at : region_) {
      const std::uint32_t row = at / width_ - top;
      left[row] = std::min(left[row], at % width_);
      right[row] = std::max(right[row], at % width_ + 1);
    }
    std::vector<Point> points;
    for (std::uint32_t row = 0; row < left.size(); ++row)
      for (const double y : {1.0 * top + row, 1.0 * top + row + 1}) {
        points.push_back({static_cast<double>(left[row]), y});
        points.push_back({static_cast<double>(right[row]), y});
      }
    return points;
  }

  // Of the pixels whose centres lie inside; 0 when there is none.
  double mean_inside(const Rectangle& rectangle) const {
    const std::array<Point, 4> corners = corners_of(rectangle);
    double top = corners[0].y, bottom = corners[0].y;
    for (const Point& corner : corners) {
      top = std::min(top, corner.y);
      bottom = std::max(bottom, corner.y);
    }
    double sum = 0;
    std::uint64_t count = 0;
    const auto first = static_cast<std::uint32_t>(std::clamp(std::ceil(top - 0.5), 0.0, 1.0 * height_));
    for (std::uint32_t y = first; y < height_ && y + 0.5 <= bottom; ++y) {
      double left = std::numeric_limits<double>::infinity();
      double right = -left;
      for (std::size_t i = 0; i < 4; ++i) {
        const Point& a = corners[i];
        const Point& b = corners[(i + 1) % 4];
        if (std::min(a.y, b.y) > y + 0.5 || std::max(a.y, b.y) < y + 0.5) continue;
        const double x = a.y == b.y ? a.x : a.x + (y + 0.5 - a.y) / (b.y - a.y) * (b.x - a.x);
        left = std::min({left, x, a.y == b.y ? b.x : x});
        right = std::max({right, x, a.y == b.y ? b.x : x});
      }
      const auto from = static_cast<std::uint32_t>(std::clamp(std::ceil(left - 0.5), 0.0, 1.0 * width_));
      const auto to = static_cast<std::uint32_t>(std::clamp(std::floor(right - 0.5) + 1, 0.0, 1.0 * width_));
      if (to <= from) continue;
      const double* const row = &sums_[(std::size_t{width_} + 1) * y];
      sum += row[to] - row[from];
      count += to - from;
    }
    return count == 0 ? 0 : sum / static_cast<double>(count);
  }

  void add_region() {
    Rectangle rectangle = smallest_rectangle(outline());
    if (2 * rectangle.half_width < step_.side) return;
    const auto score = static_cast<float>(mean_inside(rectangle));
    if (!(score >= static_cast<float>(step_.score))) return;
    const double length = 2 * rectangle.half_length;
    const double width = 2 * rectangle.half_width;
    const double grown = length * width * step_.unclip / (2 * (length + width));
    rectangle.half_length += grown;
    rectangle.half_width += grown;
    if (2 * rectangle.half_width < step_.side + kGrownSide) return;
    std::array<Point, 4> corners = corners_of(rectangle);
    const auto start = std::min_element(corners.begin(), corners.end(), [](const Point& a, const Point& b) {
      return a.x + a.y != b.x + b.y ? a.x + a.y < b.x + b.y : a.y < b.y;
    });
    std::rotate(corners.begin(), start, corners.end());
    TextBox box{.score = score};
    for (std::size_t i = 0; i < 4; ++i) {
      box.corners[2 * i] = static_cast<float>(corners[i].x);
      box.corners[2 * i + 1] = static_cast<float>(corners[i].y);
    }
    boxes_.push_back(box);
    // A map of noise has more regions than an answer may have.
    if (boxes_.size() > 2 * std::size_t{step_.boxes} + 1024) keep_best();
  }

  void keep_best() {
    std::stable_sort(boxes_.begin(), boxes_.end(), [](const TextBox& a, const TextBox& b) { return a.score > b.score; });
    if (boxes_.size() > step_.boxes) boxes_.resize(step_.boxes);
  }

  const OutputStep& step_;
  const std::span<const float> map_;
  const std::uint32_t width_;
  const std::uint32_t height_;
  std::vector<std::uint8_t> seen_;
  std::vector<double> sums_;
  std::vector<std::uint32_t> region_;
  std::vector<TextBox> boxes_;
};

}  // namespace

Rectangle smallest_rectangle(std::vector<Point> points) {
  const std::vector<Point> hull = convex_hull(std::move(points));
  Rectangle best = rectangle_along(hull, {1, 0});
  const auto area = [](const Rectangle& r) { return r.half_length * r.half_width; };
  for (std::size_t i = 0; hull.size() > 1 && i < hull.size(); ++i) {
    const Point& a = hull[i];
    const Point& b = hull[(i + 1) % hull.size()];
    const double length = std::hypot(b.x - a.x, b.y - a.y);
    const Rectangle along = rectangle_along(hull, {(b.x - a.x) / length, (b.y - a.y) / length});
    // Not for the last digit: a rectangle that stands straight stays straight.
    if (area(along) < area(best) * (1 - 1e-9)) best = along;
  }
  if (best.half_length < best.half_width) {
    std::swap(best.half_length, best.half_width);
    best.direction = {-best.direction.y, best.direction.x};
  }
  return best;
}

std::vector<TextBox> find_text(const OutputStep& step, std::span<const float> map, std::uint32_t width, std::uint32_t height) {
  if (map.empty()) return {};
  return Finder(step, map, width, height).find();
}

}  // namespace tideline
