#include "output/boxes.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "output/floats.h"

namespace tideline {
namespace {

// x, y, width, height and objectness in front of the classes.
constexpr std::int64_t kRowHead = 5;
constexpr std::int64_t kCorners = 4;

Error refused(const OutputStep& step, std::span<const TensorSpec> in, std::string_view expected) {
  std::vector<std::string> found;
  for (const TensorSpec& spec : in) found.push_back(describe(spec));
  return Error{ErrorCode::kInvalidArgument, fmt::format("[output] boxes of the format '{}' are read from {}, found {}",
                                                        to_string(step.format), expected, fmt::join(found, " and "))};
}

bool has_maps(BoxFormat format) {
  return format == BoxFormat::kYolov2 || format == BoxFormat::kYolov3 || format == BoxFormat::kYolov5;
}

std::int64_t prior_count(const OutputStep& step) {
  std::int64_t count = 0;
  for (const PriorMap& map : step.priors)
    count +=
        std::int64_t{map.cells[0]} * map.cells[1] * static_cast<std::int64_t>(1 + (map.max > 0 ? 1 : 0) + 2 * map.ratios.size());
  return count;
}

// Cells of a grid of this stride, to the right and down.
std::array<std::int64_t, 2> grid_of(const OutputStep& step, double stride) {
  return {static_cast<std::int64_t>(step.size[0] / stride), static_cast<std::int64_t>(step.size[1] / stride)};
}

std::int64_t grid_cells(const OutputStep& step) {
  std::int64_t count = 0;
  for (const double stride : step.strides) {
    const auto [width, height] = grid_of(step, stride);
    count += width * height;
  }
  return count;
}

// A dimension is as expected, or not known yet.
bool fits(std::int64_t dim, std::int64_t expected) { return dim == kUnknownDim || dim == expected; }

Status check_classes(const OutputStep& step, std::span<const TensorSpec> in, std::int64_t classes) {
  if (classes == kUnknownDim || (classes >= 1 && classes <= static_cast<std::int64_t>(limits::kBoxClassesMax))) return {};
  return refused(step, in, fmt::format("heads of 1 to {} classes", limits::kBoxClassesMax));
}

Result<HeadShape> maps_shape(const OutputStep& step, std::span<const TensorSpec> in) {
  if (in.size() != step.anchors.size())
    return refused(step, in, fmt::format("{} tensors, one for each list of anchors", step.anchors.size()));
  HeadShape heads{.rows = 0, .classes = kUnknownDim};
  for (std::size_t t = 0; t < in.size(); ++t) {
    if (!has_rank(in[t].shape)) return HeadShape{kUnknownDim, kUnknownDim};
    const auto anchors = static_cast<std::int64_t>(step.anchors[t].size());
    const std::string expected = fmt::format("maps [1, {} x (5 + classes), height, width]", anchors);
    if (in[t].shape.size() != 4 || !fits(in[t].shape[0], 1)) return refused(step, in, expected);
    const std::int64_t depth = in[t].shape[1];
    if (depth != kUnknownDim) {
      const std::int64_t classes = depth / anchors - kRowHead;
      if (depth % anchors != 0 || classes < 1 || (heads.classes != kUnknownDim && heads.classes != classes))
        return refused(step, in, expected);
      heads.classes = classes;
    }
    const bool known = in[t].shape[2] != kUnknownDim && in[t].shape[3] != kUnknownDim && heads.rows != kUnknownDim;
    if (known) TIDELINE_CHECK_OK(byte_size(in[t].dtype, std::array{anchors, in[t].shape[2], in[t].shape[3]}));
    heads.rows = known ? heads.rows + anchors * in[t].shape[2] * in[t].shape[3] : kUnknownDim;
  }
  return heads;
}

Result<HeadShape> rows_shape(const OutputStep& step, std::span<const TensorSpec> in) {
  const bool columns = step.format == BoxFormat::kYolov8;
  const std::string expected =
      columns ? "one tensor [1, 4 + classes, n]"
      : step.format == BoxFormat::kYolox
          ? fmt::format("one tensor [1, {}, 5 + classes] (the cells of size / strides)", grid_cells(step))
          : "one tensor [1, n, 5 + classes]";
  if (in.size() != 1) return refused(step, in, expected);
  if (!has_rank(in[0].shape)) return HeadShape{kUnknownDim, kUnknownDim};
  if (in[0].shape.size() != 3 || !fits(in[0].shape[0], 1)) return refused(step, in, expected);
  const std::int64_t depth = in[0].shape[columns ? 1 : 2];
  const std::int64_t head = columns ? kCorners : kRowHead;
  if (depth != kUnknownDim && depth <= head) return refused(step, in, expected);
  const HeadShape heads{in[0].shape[columns ? 2 : 1], depth == kUnknownDim ? kUnknownDim : depth - head};
  if (step.format == BoxFormat::kYolox && !fits(heads.rows, grid_cells(step))) return refused(step, in, expected);
  return heads;
}

Result<HeadShape> ssd_shape(const OutputStep& step, std::span<const TensorSpec> in) {
  const std::int64_t priors = prior_count(step);
  const std::string expected = fmt::format("two tensors, [1, {0}, 4] and [1, {0}, 1 + classes], of {0} priors", priors);
  if (in.size() != 2) return refused(step, in, expected);
  for (const TensorSpec& spec : in)
    if (!has_rank(spec.shape)) return HeadShape{priors, kUnknownDim};
  const auto& places = in[0].shape;
  const auto& scores = in[1].shape;
  if (places.size() != 3 || scores.size() != 3 || !fits(places[0], 1) || !fits(scores[0], 1) || !fits(places[1], priors) ||
      !fits(scores[1], priors) || !fits(places[2], kCorners))
    return refused(step, in, expected);
  if (scores[2] != kUnknownDim && scores[2] < 2) return refused(step, in, expected);
  return HeadShape{priors, scores[2] == kUnknownDim ? kUnknownDim : scores[2] - 1};
}

// The best candidates seen so far, at most as many as wanted.
class Best {
 public:
  Best(std::size_t most, double score) : most_(most), score_(static_cast<float>(score)) {}

  float score() const { return score_; }
  // False also for what is not a number.
  bool wants(float score) const { return score >= score_ && std::isfinite(score); }

  void add(double cx, double cy, double width, double height, float score, std::size_t label) {
    const Box box{static_cast<float>(cx - width / 2),
                  static_cast<float>(cy - height / 2),
                  static_cast<float>(cx + width / 2),
                  static_cast<float>(cy + height / 2),
                  score,
                  static_cast<float>(label)};
    if (!std::isfinite(box.x1) || !std::isfinite(box.y1) || !std::isfinite(box.x2) || !std::isfinite(box.y2)) return;
    if (box.x2 < box.x1 || box.y2 < box.y1) return;
    const Candidate candidate{box, count_++};
    if (heap_.size() == most_) {
      if (!better(candidate, heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.push_back(candidate);
    std::push_heap(heap_.begin(), heap_.end(), better);
  }

  std::vector<Box> take() {
    std::sort(heap_.begin(), heap_.end(), better);
    std::vector<Box> boxes;
    for (const Candidate& candidate : heap_) boxes.push_back(candidate.box);
    return boxes;
  }

 private:
  struct Candidate {
    Box box;
    std::uint64_t order = 0;
  };
  // Equal ones in the network's order.
  static bool better(const Candidate& a, const Candidate& b) {
    return a.box.score != b.box.score ? a.box.score > b.box.score : a.order < b.order;
  }

  const std::size_t most_;
  const float score_;
  std::uint64_t count_ = 0;
  std::vector<Candidate> heap_;  // the worst in front
};

// Calls `emit(score, label)` for the best class, or for every class above the score. `of(c)`: the raw number of class c;
// `score_of(raw)`: its score, which must not fall as the raw number rises.
void for_classes(const OutputStep& step, std::size_t classes, const Best& best, const auto& of, const auto& score_of,
                 const auto& emit) {
  if (step.every_class) {
    for (std::size_t c = 0; c < classes; ++c)
      if (const float score = score_of(of(c)); best.wants(score)) emit(score, c);
    return;
  }
  std::size_t winner = classes;
  float largest = 0;
  for (std::size_t c = 0; c < classes; ++c) {
    const float raw = of(c);
    if (std::isnan(raw) || (winner < classes && !(raw > largest))) continue;
    winner = c;
    largest = raw;
  }
  if (winner == classes) return;
  if (const float score = score_of(largest); best.wants(score)) emit(score, winner);
}

// e^(x - largest) / sum, with any number's place taken by `of`.
struct Softmax {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0;
  Softmax(std::size_t count, const auto& of) {
    for (std::size_t c = 0; c < count; ++c) largest = std::max(largest, of(c));
    for (std::size_t c = 0; c < count; ++c) sum += std::exp(of(c) - largest);
  }
  float operator()(float raw) const { return std::exp(raw - largest) / sum; }
};

void decode_map(const OutputStep& step, std::size_t t, const TensorSpec& spec, std::span<const float> values, std::size_t classes,
                Best& best) {
  const auto height = static_cast<std::size_t>(spec.shape[2]);
  const auto width = static_cast<std::size_t>(spec.shape[3]);
  const std::size_t cells = width * height;
  const double stride = step.strides[t];
  for (std::size_t a = 0; a < step.anchors[t].size(); ++a) {
    const double anchor_width = step.anchors[t][a][0];
    const double anchor_height = step.anchors[t][a][1];
    const float* const head = values.data() + a * (static_cast<std::size_t>(kRowHead) + classes) * cells;
    for (std::size_t cell = 0; cell < cells; ++cell) {
      const auto field = [&](std::size_t f) { return head[f * cells + cell]; };
      const float objectness = sigmoid(field(4));
      // No class makes more of it.
      if (!best.wants(objectness)) continue;
      const auto emit = [&](float score, std::size_t label) {
        const auto i = static_cast<double>(cell % width);
        const auto j = static_cast<double>(cell / width);
        const double sx = sigmoid(field(0));
        const double sy = sigmoid(field(1));
        if (step.format == BoxFormat::kYolov5) {
          const double sw = 2 * sigmoid(field(2));
          const double sh = 2 * sigmoid(field(3));
          best.add((i + 2 * sx - 0.5) * stride, (j + 2 * sy - 0.5) * stride, anchor_width * sw * sw, anchor_height * sh * sh,
                   score, label);
        } else {
          best.add((i + sx) * stride, (j + sy) * stride, anchor_width * std::exp(field(2)), anchor_height * std::exp(field(3)),
                   score, label);
        }
      };
      const auto of = [&](std::size_t c) { return field(static_cast<std::size_t>(kRowHead) + c); };
      if (step.format == BoxFormat::kYolov2) {
        const Softmax softmax(classes, of);
        for_classes(
            step, classes, best, of, [&](float raw) { return objectness * softmax(raw); }, emit);
      } else {
        for_classes(
            step, classes, best, of, [&](float raw) { return objectness * sigmoid(raw); }, emit);
      }
    }
  }
}

void decode_rows(const OutputStep& step, std::span<const float> values, std::size_t rows, std::size_t classes, Best& best) {
  const bool columns = step.format == BoxFormat::kYolov8;
  const auto head = static_cast<std::size_t>(columns ? kCorners : kRowHead);
  std::size_t scale = 0;
  std::size_t begin = 0;  // of that scale's grid
  for (std::size_t row = 0; row < rows; ++row) {
    const auto field = [&](std::size_t f) { return columns ? values[f * rows + row] : values[row * (head + classes) + f]; };
    std::array<double, 4> box{field(0), field(1), field(2), field(3)};
    if (step.format == BoxFormat::kYolox) {
      auto grid = grid_of(step, step.strides[scale]);
      while (row - begin >= static_cast<std::size_t>(grid[0] * grid[1])) {
        begin += static_cast<std::size_t>(grid[0] * grid[1]);
        grid = grid_of(step, step.strides[++scale]);
      }
      const double stride = step.strides[scale];
      const auto width = static_cast<std::size_t>(grid[0]);
      box = {(static_cast<double>((row - begin) % width) + box[0]) * stride,
             (static_cast<double>((row - begin) / width) + box[1]) * stride, std::exp(box[2]) * stride,
             std::exp(box[3]) * stride};
    }
    const auto of = [&](std::size_t c) { return field(head + c); };
    const auto emit = [&](float score, std::size_t label) { best.add(box[0], box[1], box[2], box[3], score, label); };
    const float objectness = columns ? 1.0F : field(4);
    for_classes(
        step, classes, best, of, [&](float raw) { return objectness * raw; }, emit);
  }
}

// Calls `each(cx, cy, width, height)` for every prior, in pixels.
void for_priors(const OutputStep& step, const auto& each) {
  for (const PriorMap& map : step.priors)
    for (std::uint32_t j = 0; j < map.cells[1]; ++j)
      for (std::uint32_t i = 0; i < map.cells[0]; ++i) {
        const double cx = (i + 0.5) / map.cells[0] * step.size[0];
        const double cy = (j + 0.5) / map.cells[1] * step.size[1];
        each(cx, cy, map.min, map.min);
        if (map.max > 0) each(cx, cy, std::sqrt(map.min * map.max), std::sqrt(map.min * map.max));
        for (const double ratio : map.ratios) {
          each(cx, cy, map.min * std::sqrt(ratio), map.min / std::sqrt(ratio));
          each(cx, cy, map.min / std::sqrt(ratio), map.min * std::sqrt(ratio));
        }
      }
}

void decode_ssd(const OutputStep& step, std::span<const float> places, std::span<const float> scores, std::size_t classes,
                Best& best) {
  std::size_t row = 0;
  for_priors(step, [&](double cx, double cy, double width, double height) {
    const float* const place = places.data() + row * static_cast<std::size_t>(kCorners);
    const float* const raw = scores.data() + row * (classes + 1);
    ++row;
    const auto emit = [&](float score, std::size_t label) {
      best.add(cx + step.variances[0] * place[0] * width, cy + step.variances[0] * place[1] * height,
               width * std::exp(step.variances[1] * place[2]), height * std::exp(step.variances[1] * place[3]), score, label);
    };
    const auto of = [&](std::size_t c) { return raw[1 + c]; };
    switch (step.scores) {
      case ScoreRule::kSoftmax: {
        const Softmax softmax(classes + 1, [&](std::size_t c) { return raw[c]; });
        return for_classes(step, classes, best, of, softmax, emit);
      }
      case ScoreRule::kSigmoid: return for_classes(step, classes, best, of, sigmoid, emit);
      case ScoreRule::kAsTheyAre:
        return for_classes(
            step, classes, best, of, [](float value) { return value; }, emit);
    }
  });
}

float area(const Box& box) { return (box.x2 - box.x1) * (box.y2 - box.y1); }

bool overlaps(const Box& a, const Box& b, double iou) {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return false;
  const double common = double{width} * height;
  return common > iou * (double{area(a)} + area(b) - common);
}

bool is_box(const Box& box) {
  return std::isfinite(box.x1) && std::isfinite(box.y1) && std::isfinite(box.x2) && std::isfinite(box.y2) &&
         std::isfinite(box.score) && std::isfinite(box.label);
}

}  // namespace

Result<HeadShape> head_shape(const OutputStep& step, std::span<const TensorSpec> in) {
  HeadShape heads;
  if (has_maps(step.format)) {
    TIDELINE_TRY(heads, maps_shape(step, in));
  } else if (step.format == BoxFormat::kSsd) {
    TIDELINE_TRY(heads, ssd_shape(step, in));
  } else {
    TIDELINE_TRY(heads, rows_shape(step, in));
  }
  TIDELINE_CHECK_OK(check_classes(step, in, heads.classes));
  return heads;
}

Result<std::vector<Box>> decode_boxes(const OutputStep& step, std::span<const TensorView> in) {
  std::vector<TensorSpec> specs;
  std::vector<Floats> heads;
  for (const TensorView& tensor : in) {
    specs.push_back(*tensor.spec);
    TIDELINE_TRY(Floats values, Floats::of(tensor));
    heads.push_back(std::move(values));
  }
  TIDELINE_TRY(const HeadShape shape, head_shape(step, specs));
  const auto classes = static_cast<std::size_t>(shape.classes);
  Best best(step.candidates, step.score);
  if (has_maps(step.format)) {
    for (std::size_t t = 0; t < heads.size(); ++t) decode_map(step, t, specs[t], heads[t].values(), classes, best);
  } else if (step.format == BoxFormat::kSsd) {
    decode_ssd(step, heads[0].values(), heads[1].values(), classes, best);
  } else {
    decode_rows(step, heads[0].values(), static_cast<std::size_t>(shape.rows), classes, best);
  }
  return best.take();
}

std::vector<Box> suppress(std::span<const Box> candidates, double iou, std::size_t boxes_max) {
  std::vector<Box> sorted;
  std::copy_if(candidates.begin(), candidates.end(), std::back_inserter(sorted), is_box);
  std::stable_sort(sorted.begin(), sorted.end(), [](const Box& a, const Box& b) { return a.score > b.score; });
  if (sorted.size() > limits::kBoxCandidatesMax) sorted.resize(limits::kBoxCandidatesMax);
  std::vector<Box> kept;
  for (const Box& box : sorted) {
    if (kept.size() == boxes_max) break;
    const bool is_taken = std::any_of(kept.begin(), kept.end(),
                                      [&](const Box& better) { return better.label == box.label && overlaps(better, box, iou); });
    if (!is_taken) kept.push_back(box);
  }
  return kept;
}

}  // namespace tideline
