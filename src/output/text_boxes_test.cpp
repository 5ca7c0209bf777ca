// Goal: text boxes are where the text is. Method: maps drawn here, rectangles against a search over every direction, and the
// score of a rectangle against a sum over every pixel.
#include "output/text_boxes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace tideline {
namespace {

OutputStep step() {
  OutputStep step{.kind = OutputKind::kTextBoxes};
  step.value = 0.3;
  step.score = 0.6;
  return step;
}

struct Map {
  std::uint32_t width, height;
  std::vector<float> values;
  Map(std::uint32_t w, std::uint32_t h) : width(w), height(h), values(std::size_t{w} * h, 0.01f) {}
  void fill(std::uint32_t x1, std::uint32_t y1, std::uint32_t x2, std::uint32_t y2, float value) {
    for (std::uint32_t y = y1; y < y2; ++y)
      for (std::uint32_t x = x1; x < x2; ++x) values[std::size_t{y} * width + x] = value;
  }
  std::vector<TextBox> find(const OutputStep& how = step()) const { return find_text(how, values, width, height); }
};

TEST(TextBoxes, AStraightTextGrowsByAreaOverCircumference) {
  Map map(100, 60);
  map.fill(20, 10, 60, 20, 0.9f);  // 40 x 10: grows by 400 * 1.5 / 100 = 6
  map.fill(70, 40, 90, 50, 0.7f);  // 20 x 10: by 200 * 1.5 / 60 = 5
  map.fill(5, 40, 25, 50, 0.4f);   // too faint
  map.fill(40, 40, 42, 50, 0.9f);  // too thin
  const auto found = map.find();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_NEAR(found[0].score, 0.9, 1e-6);
  const std::array<float, 8> expected{14, 4, 66, 4, 66, 26, 14, 26};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_NEAR(found[0].corners[i], expected[i], 1e-4) << i;
  EXPECT_NEAR(found[1].corners[0], 65, 1e-4);
  EXPECT_NEAR(found[1].corners[5], 55, 1e-4);
  OutputStep one = step();
  one.boxes = 1;
  ASSERT_EQ(map.find(one).size(), 1u);
  EXPECT_NEAR(map.find(one)[0].score, 0.9, 1e-6);
}

TEST(TextBoxes, TouchingCornersAreOneRegion) {
  Map map(40, 40);
  map.fill(5, 5, 10, 10, 0.9f);
  map.fill(10, 10, 15, 15, 0.9f);
  OutputStep any = step();
  any.score = 0;
  EXPECT_EQ(map.find(any).size(), 1u);
  map.fill(10, 10, 15, 15, 0.01f);
  map.fill(11, 11, 16, 16, 0.9f);
  EXPECT_EQ(map.find(any).size(), 2u);
}

TEST(TextBoxes, ATiltedTextHasATiltedBox) {
  // 60 x 14 around (100, 80), turned by 20 degrees.
  const double angle = 20 * std::acos(-1) / 180;
  Map map(200, 160);
  for (std::uint32_t y = 0; y < map.height; ++y)
    for (std::uint32_t x = 0; x < map.width; ++x) {
      const double dx = x + 0.5 - 100, dy = y + 0.5 - 80;
      const double along = dx * std::cos(angle) + dy * std::sin(angle), across = -dx * std::sin(angle) + dy * std::cos(angle);
      if (std::abs(along) <= 30 && std::abs(across) <= 7) map.values[std::size_t{y} * map.width + x] = 0.95f;
    }
  const auto found = map.find();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_GT(found[0].score, 0.85);
  const auto& c = found[0].corners;
  EXPECT_NEAR((c[0] + c[4]) / 2, 100, 1);
  EXPECT_NEAR((c[1] + c[5]) / 2, 80, 1);
  const double sides[] = {std::hypot(c[2] - c[0], c[3] - c[1]), std::hypot(c[4] - c[2], c[5] - c[3])};
  // Grown by 60 * 14 * 1.5 / 148 = 8.5 on each side.
  EXPECT_NEAR(std::max(sides[0], sides[1]), 60 + 17, 3);
  EXPECT_NEAR(std::min(sides[0], sides[1]), 14 + 17, 3);
  EXPECT_NEAR(std::atan2(c[3] - c[1], c[2] - c[0]), angle, 0.06);
  // Clockwise.
  EXPECT_GT((c[2] - c[0]) * (c[5] - c[3]) - (c[3] - c[1]) * (c[4] - c[2]), 0);
}

TEST(TextBoxes, TheSmallestRectangleIsTheSmallestOfAllDirections) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::vector<Point> points(3 + random() % 40);
    for (Point& p : points) p = {double(random() % 100), double(random() % 30)};
    const Rectangle r = smallest_rectangle(points);
    EXPECT_GE(r.half_length, r.half_width);
    for (const Point& p : points) {
      const double dx = p.x - r.centre.x, dy = p.y - r.centre.y;
      EXPECT_LE(std::abs(dx * r.direction.x + dy * r.direction.y), r.half_length + 1e-9);
      EXPECT_LE(std::abs(-dx * r.direction.y + dy * r.direction.x), r.half_width + 1e-9);
    }
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 3600; ++i) {
      const double a = i * std::acos(-1) / 3600;
      double u1 = 1e9, u2 = -1e9, v1 = 1e9, v2 = -1e9;
      for (const Point& p : points) {
        const double u = p.x * std::cos(a) + p.y * std::sin(a), v = -p.x * std::sin(a) + p.y * std::cos(a);
        u1 = std::min(u1, u), u2 = std::max(u2, u), v1 = std::min(v1, v), v2 = std::max(v2, v);
      }
      least = std::min(least, (u2 - u1) * (v2 - v1));
    }
    EXPECT_LE(4 * r.half_length * r.half_width, least + 1e-6) << "seed " << seed;
    EXPECT_GE(4 * r.half_length * r.half_width, least - 0.01 * least - 5) << "seed " << seed;
  }
}

TEST(TextBoxes, TheScoreIsTheMeanInsideTheRectangle) {
  std::mt19937 random(5);
  Map map(60, 50);
  // An L: its rectangle holds the empty corner too.
  for (std::uint32_t y = 10; y < 40; ++y)
    for (std::uint32_t x = 10; x < 50; ++x)
      map.values[std::size_t{y} * 60 + x] = (x < 20 || y >= 30) ? 0.3f + static_cast<float>(random() % 700) / 1000 : 0.1f;
  OutputStep any = step();
  any.score = 0;
  any.unclip = 0;
  any.side = 1;
  const auto found = map.find(any);
  ASSERT_EQ(found.size(), 1u);
  const auto& c = found[0].corners;
  double sum = 0;
  int count = 0;
  for (std::uint32_t y = 0; y < 50; ++y)
    for (std::uint32_t x = 0; x < 60; ++x) {
      bool inside = true;
      for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t j = (i + 1) % 4;
        const double edge =
            (c[2 * j] - c[2 * i]) * (y + 0.5 - c[2 * i + 1]) - (c[2 * j + 1] - c[2 * i + 1]) * (x + 0.5 - c[2 * i]);
        inside = inside && edge >= -1e-6;
      }
      if (!inside) continue;
      sum += map.values[std::size_t{y} * 60 + x];
      ++count;
    }
  EXPECT_NEAR(found[0].score, sum / count, 2e-3);
}

TEST(TextBoxes, NoiseAndWhatIsNoNumberAreNoTrouble) {
  Map map(300, 200);
  std::mt19937 random(9);
  for (float& value : map.values) {
    const std::uint32_t kind = random() % 8;
    value = kind == 0   ? std::numeric_limits<float>::quiet_NaN()
            : kind == 1 ? std::numeric_limits<float>::infinity()
                        : static_cast<float>(random() % 1000) / 1000;
  }
  OutputStep any = step();
  any.score = 0;
  any.side = 0;
  any.value = 0.8;
  any.boxes = 20;
  const auto found = map.find(any);
  EXPECT_EQ(found.size(), 20u);
  for (const TextBox& box : found)
    for (const float corner : box.corners) EXPECT_TRUE(std::isfinite(corner));
  Map all(30, 30);
  all.fill(0, 0, 30, 30, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(all.find().empty());
  EXPECT_TRUE(find_text(step(), {}, 0, 7).empty());
}

}  // namespace
}  // namespace tideline
