// Goal: every output step makes what its formula says. Method: values worked out by hand, properties over seeded numbers, and for
// boxes and suppression a second, plain way that is written here from the papers' formulas.
#include "output/output_steps.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "output/boxes.h"
#include "tensor/half.h"

namespace tideline {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinite = std::numeric_limits<float>::infinity();

// A tensor that may be copied.
struct Given {
  TensorSpec spec;
  std::vector<std::byte> bytes;
  TensorView view() const { return {&spec, bytes}; }
};

template <typename T>
Given given(DType dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {{"", dtype, std::move(shape)}, {bytes.begin(), bytes.end()}};
}
Given tensor(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  return given(DType::kFloat32, std::move(shape), values);
}

template <typename T>
std::vector<T> values_of(const Tensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

std::vector<Tensor> run(const OutputStep& step, const std::vector<Given>& in) {
  std::vector<TensorView> views;
  std::vector<TensorSpec> specs;
  for (const Given& each : in) {
    views.push_back(each.view());
    specs.push_back(each.spec);
  }
  auto made = run_output_step(step, views);
  EXPECT_TRUE(made) << made.error().message;
  if (!made) return {};
  // What was said in advance holds.
  const auto told = output_step_specs(step, specs, OpenSizes::kUnknown);
  const auto most = output_step_specs(step, specs, OpenSizes::kLargest);
  EXPECT_TRUE(told && most);
  EXPECT_EQ(told->size(), made->size());
  for (std::size_t i = 0; i < made->size(); ++i) {
    const TensorSpec& spec = (*made)[i].spec;
    EXPECT_EQ(spec.dtype, (*told)[i].dtype);
    EXPECT_EQ(spec.shape.size(), (*told)[i].shape.size());
    EXPECT_EQ(*byte_size(spec.dtype, spec.shape), (*made)[i].data.size());
    for (std::size_t d = 0; d < spec.shape.size(); ++d) {
      if ((*told)[i].shape[d] != kUnknownDim) {
        EXPECT_EQ(spec.shape[d], (*told)[i].shape[d]);
      }
      EXPECT_LE(spec.shape[d], (*most)[i].shape[d]);
    }
  }
  return std::move(*made);
}

OutputStep step_of(const std::string& json) {
  auto steps = parse_output_steps("[" + json + "]");
  EXPECT_TRUE(steps) << steps.error().message;
  return steps ? steps->front() : OutputStep{};
}

TEST(OutputSteps, SigmoidAndThreshold) {
  const Given in = tensor({2, 3}, {0, 1, -1, 100, -200, kNaN});
  const auto sigmoid = values_of<float>(run(step_of("\"sigmoid\""), {in})[0]);
  EXPECT_EQ(sigmoid[0], 0.5f);
  EXPECT_NEAR(sigmoid[1], 0.7310586, 1e-6);
  EXPECT_NEAR(sigmoid[2], 0.2689414, 1e-6);
  EXPECT_EQ(sigmoid[3], 1.0f);
  EXPECT_EQ(sigmoid[4], 0.0f);
  EXPECT_TRUE(std::isnan(sigmoid[5]));
  const Tensor mask = std::move(run(step_of(R"({"threshold": {"value": 0}})"), {in})[0]);
  EXPECT_EQ(mask.spec.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(values_of<std::uint8_t>(mask), (std::vector<std::uint8_t>{1, 1, 0, 1, 0, 0}));
}

TEST(OutputSteps, SoftmaxAlongAnyAxis) {
  // ln 1, ln 2, ln 3 along the middle axis: 1/6, 2/6, 3/6, whatever is added.
  const float a = std::log(1.0f), b = std::log(2.0f), c = std::log(3.0f);
  const Given in = tensor({1, 3, 2}, {a, c + 500, b, b + 500, c, a + 500});
  const auto made = values_of<float>(run(step_of(R"({"softmax": {"axis": 1}})"), {in})[0]);
  const std::vector<float> expected{1.0f / 6, 3.0f / 6, 2.0f / 6, 2.0f / 6, 3.0f / 6, 1.0f / 6};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(made[i], expected[i], 1e-5) << i;
  const auto last = values_of<float>(run(step_of("\"softmax\""), {tensor({2, 2}, {0, 0, kNaN, 1})})[0]);
  EXPECT_EQ(last[0], 0.5f);
  EXPECT_TRUE(std::isnan(last[2]) && std::isnan(last[3]));
  EXPECT_TRUE(run(step_of("\"softmax\""), {tensor({2, 0}, {})})[0].data.empty());
}

TEST(OutputSteps, ArgmaxTakesTheFirstOfTheLargestAndNeverWhatIsNoNumber) {
  const Given in = tensor({3, 3}, {1, 5, 5, kNaN, -kInfinite, -2, kNaN, kNaN, kNaN});
  const Tensor rows = std::move(run(step_of("\"argmax\""), {in})[0]);
  EXPECT_EQ(rows.spec.shape, std::vector<std::int64_t>{3});
  EXPECT_EQ(values_of<std::int64_t>(rows), (std::vector<std::int64_t>{1, 2, -1}));
  EXPECT_EQ(values_of<std::int64_t>(run(step_of(R"({"argmax": {"axis": 0}})"), {in})[0]), (std::vector<std::int64_t>{0, 0, 0}));
  EXPECT_EQ(values_of<std::int64_t>(run(step_of("\"argmax\""), {tensor({2, 0}, {})})[0]), (std::vector<std::int64_t>{-1, -1}));
}

TEST(OutputSteps, TopkFallsAndBreaksTiesByIndex) {
  const auto made = run(step_of(R"({"topk": {"k": 3}})"), {tensor({2, 4}, {2, 7, 7, 1, kNaN, 3, kNaN, kNaN})});
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(values_of<std::int64_t>(made[1]), (std::vector<std::int64_t>{1, 2, 0, 1, -1, -1}));
  const auto best = values_of<float>(made[0]);
  EXPECT_EQ(best[0], 7);
  EXPECT_EQ(best[2], 2);
  EXPECT_EQ(best[3], 3);
  EXPECT_TRUE(std::isnan(best[4]));
  // Against a full sort.
  std::mt19937 random(7);
  std::vector<float> values(1000);
  for (float& value : values) value = static_cast<float>(random() % 50);
  std::vector<std::int64_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](auto x, auto y) { return values[std::size_t(x)] > values[std::size_t(y)]; });
  order.resize(100);
  EXPECT_EQ(values_of<std::int64_t>(run(step_of(R"({"topk": {"k": 100}})"), {tensor({1000}, values)})[1]), order);
}

TEST(OutputSteps, Float16IsReadAsItsNumbers) {
  std::vector<std::uint16_t> halves;
  for (const float value : {0.25f, -3.0f, 8.0f}) halves.push_back(float16_from_float(value));
  const Given in = given(DType::kFloat16, {3}, halves);
  EXPECT_EQ(values_of<float>(run(step_of(R"({"topk": {"k": 2}})"), {in})[0]), (std::vector<float>{8, 0.25}));
}

// ---- boxes -------------------------------------------------------------------------------------------------------------

double sig(double x) { return 1 / (1 + std::exp(-x)); }

std::vector<Box> boxes_of(const OutputStep& step, const std::vector<Given>& heads) { return values_of<Box>(run(step, heads)[0]); }

void expect_box(const Box& box, double cx, double cy, double w, double h, double score, int label) {
  const double tolerance = 1e-4 * (1 + std::abs(cx) + std::abs(cy) + w + h);
  EXPECT_NEAR(box.x1, cx - w / 2, tolerance);
  EXPECT_NEAR(box.y1, cy - h / 2, tolerance);
  EXPECT_NEAR(box.x2, cx + w / 2, tolerance);
  EXPECT_NEAR(box.y2, cy + h / 2, tolerance);
  EXPECT_NEAR(box.score, score, 1e-5);
  EXPECT_EQ(box.label, label);
}

TEST(Boxes, HeadsWithAnchorsFollowTheirPapers) {
  // One cell of two anchors and three classes is hot: column 2, row 1 of a grid of 4 x 3, the second anchor.
  constexpr std::size_t kCells = 12, kAt = 1 * 4 + 2;
  std::vector<float> head(2 * 8 * kCells, -20);
  const std::vector<float> hot{0.3f, -0.4f, 0.5f, -0.6f, 2, -1, 1.5f, 0.5f};
  for (std::size_t f = 0; f < 8; ++f) head[(8 + f) * kCells + kAt] = hot[f];
  const std::string rest = R"(, "score": 0.1, "anchors": [[[10, 20], [30, 50]]], "strides": [16]}})";
  const auto decode = [&](const std::string& format) {
    std::vector<Given> in;
    in.push_back(tensor({1, 16, 3, 4}, head));
    return boxes_of(step_of(R"({"boxes": {"format": ")" + format + "\"" + rest), in);
  };
  const auto v3 = decode("yolov3");
  ASSERT_EQ(v3.size(), 1u);
  expect_box(v3[0], (2 + sig(0.3)) * 16, (1 + sig(-0.4)) * 16, 30 * std::exp(0.5), 50 * std::exp(-0.6), sig(2) * sig(1.5), 1);
  const auto v5 = decode("yolov5");
  ASSERT_EQ(v5.size(), 1u);
  expect_box(v5[0], (2 + 2 * sig(0.3) - 0.5) * 16, (1 + 2 * sig(-0.4) - 0.5) * 16, 30 * std::pow(2 * sig(0.5), 2),
             50 * std::pow(2 * sig(-0.6), 2), sig(2) * sig(1.5), 1);
  const auto v2 = decode("yolov2");
  ASSERT_EQ(v2.size(), 1u);
  const double sum = std::exp(-1) + std::exp(1.5) + std::exp(0.5);
  expect_box(v2[0], (2 + sig(0.3)) * 16, (1 + sig(-0.4)) * 16, 30 * std::exp(0.5), 50 * std::exp(-0.6),
             sig(2) * std::exp(1.5) / sum, 1);
  // Every class above the score, best first.
  std::vector<Given> in;
  in.push_back(tensor({1, 16, 3, 4}, head));
  const auto all = boxes_of(step_of(R"({"boxes": {"every_class": true, "format": "yolov3")" + rest), in);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].label, 1);
  EXPECT_EQ(all[1].label, 2);
  EXPECT_EQ(all[2].label, 0);
}

TEST(Boxes, RowsColumnsAndGrids) {
  const std::vector<float> rows{10, 20, 4, 6, 0.5f, 0.2f, 0.9f, 1, 2, 3, 4, 1, 0.01f, 0.02f, kNaN, 0, 1, 1, 1, 1, 1};
  std::vector<Given> in;
  in.push_back(tensor({1, 3, 7}, rows));
  const auto found = boxes_of(step_of(R"({"boxes": {"format": "rows", "score": 0.3}})"), in);
  ASSERT_EQ(found.size(), 1u);
  expect_box(found[0], 10, 20, 4, 6, 0.45, 1);

  // The same three, turned, without objectness.
  std::vector<float> columns(3 * 6);
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t f = 0; f < 6; ++f) columns[f * 3 + row] = rows[row * 7 + (f < 4 ? f : f + 1)];
  in.clear();
  in.push_back(tensor({1, 6, 3}, columns));
  const auto turned = boxes_of(step_of(R"({"boxes": {"format": "yolov8", "score": 0.3}})"), in);
  ASSERT_EQ(turned.size(), 1u);
  expect_box(turned[0], 10, 20, 4, 6, 0.9, 1);

  // 64 x 32 at strides of 16 and 32: 4 x 2 cells and 2 x 1; cell 5 is (1, 1) of the first, cell 9 (1, 0) of the second.
  std::vector<float> grid(10 * 6, 0);
  const std::vector<float> hot{0.5f, -0.25f, 0.1f, 0.2f, 0.8f, 0.9f};
  std::copy(hot.begin(), hot.end(), grid.begin() + 5 * 6);
  std::copy(hot.begin(), hot.end(), grid.begin() + 9 * 6);
  in.clear();
  in.push_back(tensor({1, 10, 6}, grid));
  const auto cells =
      boxes_of(step_of(R"({"boxes": {"format": "yolox", "score": 0.5, "size": [64, 32], "strides": [16, 32]}})"), in);
  ASSERT_EQ(cells.size(), 2u);
  expect_box(cells[0], 1.5 * 16, 0.75 * 16, std::exp(0.1) * 16, std::exp(0.2) * 16, 0.72, 0);
  expect_box(cells[1], 1.5 * 32, -0.25 * 32, std::exp(0.1) * 32, std::exp(0.2) * 32, 0.72, 0);
}

TEST(Boxes, SsdWithPriors) {
  // A map of 2 x 1 cells on 100 x 60 pixels: of each cell a square of 20, one of sqrt(20 * 45) = 30, and for the ratio 4 boxes of
  // 40 x 10 and 10 x 40. Row 6 is the wide one of the second cell, centre (75, 30).
  std::vector<float> places(8 * 4, 0), scores(8 * 3, 0);
  const std::vector<float> place{0.5f, -1, 0.3f, -0.2f};
  std::copy(place.begin(), place.end(), places.begin() + 6 * 4);
  scores[6 * 3 + 2] = 3;
  std::vector<Given> in;
  in.push_back(tensor({1, 8, 4}, places));
  in.push_back(tensor({1, 8, 3}, scores));
  const std::string step = R"({"boxes": {"format": "ssd", "score": 0.5, "size": [100, 60], "variances": [0.1, 0.2],)"
                           R"( "priors": [{"cells": [2, 1], "min": 20, "max": 45, "ratios": [4]}]}})";
  const auto found = boxes_of(step_of(step), in);
  ASSERT_EQ(found.size(), 1u);
  expect_box(found[0], 75 + 0.1 * 0.5 * 40, 30 - 0.1 * 10, 40 * std::exp(0.2 * 0.3), 10 * std::exp(-0.2 * 0.2),
             std::exp(3) / (std::exp(3) + 2), 1);
  std::string plain = step;
  plain.replace(plain.find("\"score\": 0.5"), 12, R"("score": 0.7, "scores": "none")");
  EXPECT_EQ(boxes_of(step_of(plain), in).size(), 1u);
}

TEST(Boxes, TheBestCandidatesStayAndEqualOnesKeepTheirOrder) {
  std::mt19937 random(3);
  std::vector<float> rows;
  std::vector<std::pair<float, std::size_t>> expected;
  for (std::size_t i = 0; i < 500; ++i) {
    const float score = static_cast<float>(random() % 20) / 20;
    rows.insert(rows.end(), {static_cast<float>(i), 0, 2, 2, 1, score});
    if (score >= 0.3f) expected.emplace_back(-score, i);
  }
  std::stable_sort(expected.begin(), expected.end(), [](auto a, auto b) { return a.first < b.first; });
  std::vector<Given> in;
  in.push_back(tensor({1, 500, 6}, rows));
  const auto found = boxes_of(step_of(R"({"boxes": {"format": "rows", "score": 0.3, "candidates": 40}})"), in);
  ASSERT_EQ(found.size(), 40u);
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].x1 + 1, static_cast<float>(expected[i].second));
}

TEST(Boxes, NothingThatIsNoNumberBecomesABox) {
  std::vector<float> rows;
  for (const float bad : {kNaN, kInfinite, -kInfinite})
    for (std::size_t f = 0; f < 6; ++f) {
      std::vector<float> row{10, 10, 4, 4, 1, 1};
      row[f] = bad;
      rows.insert(rows.end(), row.begin(), row.end());
    }
  rows.insert(rows.end(), {10, 10, -4, 4, 1, 1});  // of negative width
  std::vector<Given> in;
  in.push_back(tensor({1, 19, 6}, rows));
  EXPECT_TRUE(boxes_of(step_of(R"({"boxes": {"format": "rows", "score": 0}})"), in).empty());
}

// Suppression in the plainest way: take the best of what is left, again and again.
std::vector<Box> suppress_plainly(std::vector<Box> left, double iou, std::size_t most) {
  std::vector<Box> kept;
  while (!left.empty() && kept.size() < most) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < left.size(); ++i)
      if (left[i].score > left[best].score) best = i;
    const Box box = left[best];
    kept.push_back(box);
    std::vector<Box> rest;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (i == best) continue;
      const double w = std::max(0.0, double(std::min(box.x2, left[i].x2)) - double(std::max(box.x1, left[i].x1)));
      const double h = std::max(0.0, double(std::min(box.y2, left[i].y2)) - double(std::max(box.y1, left[i].y1)));
      const double both = double(box.x2 - box.x1) * double(box.y2 - box.y1) +
                          double(left[i].x2 - left[i].x1) * double(left[i].y2 - left[i].y1) - w * h;
      if (left[i].label != box.label || both <= 0 || w * h / both <= iou) rest.push_back(left[i]);
    }
    left = rest;
  }
  return kept;
}

TEST(Nms, IsThePlainGreedyOne) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<Box> boxes(random() % 60);
    for (Box& box : boxes) {
      box.x1 = static_cast<float>(random() % 40);
      box.y1 = static_cast<float>(random() % 40);
      box.x2 = box.x1 + static_cast<float>(random() % 20);
      box.y2 = box.y1 + static_cast<float>(random() % 20);
      box.score = static_cast<float>(random() % 1000) / 1000;
      box.label = static_cast<float>(random() % 3);
    }
    for (const double iou : {0.0, 0.25, 0.5, 1.0})
      for (const std::size_t most : {3u, 100u})
        EXPECT_EQ(suppress(boxes, iou, most), suppress_plainly(boxes, iou, most)) << "seed " << seed << " iou " << iou;
  }
}

TEST(Nms, ReadsAndWritesRows) {
  const std::vector<float> rows{0, 0, 10, 10, 0.6f, 1, 1, 0, 11, 10, 0.9f, 1, 1, 0, 11, 10, 0.7f, 2, 0, 0, 1, kNaN, 1, 1};
  std::vector<Given> in;
  in.push_back(tensor({4, 6}, rows));
  const auto kept = values_of<Box>(run(step_of(R"({"nms": {"iou": 0.5}})"), in)[0]);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0], (Box{1, 0, 11, 10, 0.9f, 1}));
  EXPECT_EQ(kept[1], (Box{1, 0, 11, 10, 0.7f, 2}));
  in.clear();
  in.push_back(tensor({0, 6}, {}));
  EXPECT_EQ(run(step_of(R"({"nms": {"iou": 0.5}})"), in)[0].spec.shape, (std::vector<std::int64_t>{0, 6}));
}

TEST(OutputSteps, WhatDoesNotFitIsRefusedInASentence) {
  struct Case {
    std::string step;
    std::vector<TensorSpec> in;
    std::string part;
  };
  const auto f32 = [](std::vector<std::int64_t> shape) { return TensorSpec{"", DType::kFloat32, std::move(shape)}; };
  for (const Case& test : std::vector<Case>{
           {"\"softmax\"", {{"", DType::kInt64, {3}}}, "float32 or float16"},
           {"\"softmax\"", {f32({3}), f32({3})}, "output.tensor"},
           {"\"softmax\"", {f32({})}, "axis -1"},
           {R"({"argmax": {"axis": 2}})", {f32({3, 3})}, "axis 2"},
           {R"({"topk": {"k": 5}})", {f32({2, 4})}, "k = 5"},
           {R"({"topk": {"k": 5}})", {f32({})}, "single number"},
           {R"({"nms": {"iou": 0.5}})", {f32({2, 5})}, "float32[?,6]"},
           {"\"text_boxes\"", {f32({1, 2, 8, 8})}, "[1,1,height,width]"},
           {"\"text_boxes\"", {f32({1, 1, 8000, 8000})}, "at most"},
           {R"({"boxes": {"format": "rows", "score": 0}})", {f32({2, 10, 7})}, "[1, n, 5 + classes]"},
           {R"({"boxes": {"format": "rows", "score": 0}})", {f32({1, 10, 5})}, "[1, n, 5 + classes]"},
           {R"({"boxes": {"format": "yolov8", "score": 0}})", {f32({1, 4, 10})}, "[1, 4 + classes, n]"},
           {R"({"boxes": {"format": "rows", "score": 0}})", {f32({1, 10, 4})}, "[1, n, 5 + classes]"},
           {R"({"boxes": {"format": "yolov8", "score": 0}})", {f32({1, 3, 10})}, "[1, 4 + classes, n]"},
           {R"({"boxes": {"format": "yolov8", "score": 0}})", {f32({1, 20000, 10})}, "1 to 10000 classes"},
           {R"({"boxes": {"format": "yolox", "score": 0, "size": [64, 64], "strides": [32]}})",
            {f32({1, 5, 6})},
            "[1, 4, 5 + classes]"},
           {R"({"boxes": {"format": "yolov3", "score": 0, "anchors": [[[1, 1], [2, 2]]], "strides": [8]}})",
            {f32({1, 13, 4, 4})},
            "2 x (5 + classes)"},
           {R"({"boxes": {"format": "yolov3", "score": 0, "anchors": [[[1, 1]]], "strides": [8]}})",
            {f32({1, 6, 4, 4}), f32({1, 6, 4, 4})},
            "1 tensors"},
           {R"({"boxes": {"format": "ssd", "score": 0, "size": [9, 9], "priors": [{"cells": [2, 2], "min": 3}]}})",
            {f32({1, 4, 4}), f32({1, 5, 3})},
            "4 priors"},
       }) {
    const auto made = output_step_specs(step_of(test.step), test.in, OpenSizes::kUnknown);
    ASSERT_FALSE(made) << test.step;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(made.error().message.find(test.part), std::string::npos) << made.error().message;
  }
  // Bytes that do not fit the shape.
  const Given wrong = tensor({4}, {1, 2});
  const TensorView views[] = {wrong.view()};
  EXPECT_FALSE(run_output_step(step_of("\"sigmoid\""), views));
  // Nothing is known yet: nothing is refused.
  for (const char* step :
       {"\"softmax\"", R"({"topk": {"k": 3}})", "\"text_boxes\"", R"({"boxes": {"format": "rows", "score": 0}})"})
    EXPECT_TRUE(output_step_specs(step_of(step), std::vector<TensorSpec>{f32({kUnknownRank})}, OpenSizes::kUnknown)) << step;
  EXPECT_EQ((*output_step_specs(step_of(R"({"boxes": {"format": "rows", "score": 0}})"), std::vector<TensorSpec>{f32({1, -1, 7})},
                                OpenSizes::kLargest))[0]
                .shape,
            (std::vector<std::int64_t>{1000, 6}));
}

}  // namespace
}  // namespace tideline
