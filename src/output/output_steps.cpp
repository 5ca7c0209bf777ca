#include "output/output_steps.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "base/limits.h"
#include "output/boxes.h"
#include "output/floats.h"
#include "output/text_boxes.h"

namespace tideline {
namespace {

constexpr std::int64_t kBoxNumbers = sizeof(Box) / sizeof(float);
constexpr std::int64_t kTextNumbers = sizeof(TextBox) / sizeof(float);

Error refused(OutputKind kind, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument, fmt::format("[output] the step '{}' {}", to_string(kind), why)};
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat16; }

// The position of the axis in a shape whose rank is known.
Result<std::size_t> axis_of(const OutputStep& step, const TensorSpec& in) {
  const auto rank = static_cast<std::int64_t>(in.shape.size());
  const std::int64_t axis = step.axis < 0 ? step.axis + rank : step.axis;
  if (axis < 0 || axis >= rank)
    return refused(step.kind, fmt::format("works along axis {}, which {} does not have", step.axis, describe(in)));
  return static_cast<std::size_t>(axis);
}

Status check_only(const OutputStep& step, std::span<const TensorSpec> in) {
  if (in.size() != 1) return refused(step.kind, fmt::format("reads one tensor, found {}: name it with output.tensor", in.size()));
  if (!is_float(in[0].dtype)) return refused(step.kind, fmt::format("reads float32 or float16, found {}", describe(in[0])));
  return {};
}

Result<std::vector<TensorSpec>> topk_specs(const OutputStep& step, const TensorSpec& in) {
  if (!has_rank(in.shape)) return std::vector<TensorSpec>{{"", DType::kFloat32, in.shape}, {"", DType::kInt64, in.shape}};
  if (in.shape.empty()) return refused(step.kind, "needs a dimension to choose from, found a single number");
  if (in.shape.back() != kUnknownDim && in.shape.back() < step.k)
    return refused(step.kind, fmt::format("has k = {}, but the last dimension of {} is smaller", step.k, describe(in)));
  std::vector<std::int64_t> shape = in.shape;
  shape.back() = step.k;
  return std::vector<TensorSpec>{{"", DType::kFloat32, shape}, {"", DType::kInt64, shape}};
}

Result<std::vector<TensorSpec>> box_specs(const OutputStep& step, std::span<const TensorSpec> in, OpenSizes open) {
  for (const TensorSpec& spec : in)
    if (!is_float(spec.dtype)) return refused(step.kind, fmt::format("reads float32 or float16, found {}", describe(spec)));
  TIDELINE_TRY(const HeadShape heads, head_shape(step, in));
  std::int64_t most = step.candidates;
  if (heads.rows != kUnknownDim && heads.classes != kUnknownDim)
    most = std::min(most, heads.rows * (step.every_class ? heads.classes : 1));
  return std::vector<TensorSpec>{{"", DType::kFloat32, {open == OpenSizes::kLargest ? most : kUnknownDim, kBoxNumbers}}};
}

Result<std::vector<TensorSpec>> nms_specs(const OutputStep& step, const TensorSpec& in, OpenSizes open) {
  if (in.dtype != DType::kFloat32 || in.shape.size() != 2 || in.shape[1] != kBoxNumbers)
    return refused(step.kind, fmt::format("reads boxes, float32[?,{}], found {}", kBoxNumbers, describe(in)));
  std::int64_t most = step.boxes;
  if (in.shape[0] != kUnknownDim) most = std::min(most, in.shape[0]);
  return std::vector<TensorSpec>{{"", DType::kFloat32, {open == OpenSizes::kLargest ? most : kUnknownDim, kBoxNumbers}}};
}

// [1,1,h,w], [1,h,w] or [h,w].
Result<std::vector<TensorSpec>> text_specs(const OutputStep& step, const TensorSpec& in, OpenSizes open) {
  const std::size_t rank = in.shape.size();
  const auto is_one = [&](std::size_t i) { return in.shape[i] == 1 || in.shape[i] == kUnknownDim; };
  bool fits = has_rank(in.shape) && rank >= 2 && rank <= 4;
  for (std::size_t i = 0; fits && i + 2 < rank; ++i) fits = is_one(i);
  if (has_rank(in.shape) && !fits)
    return refused(step.kind, fmt::format("reads one map of probabilities, [1,1,height,width], found {}", describe(in)));
  if (fits && in.shape[rank - 1] > 0 && in.shape[rank - 2] > 0 &&
      (in.shape[rank - 1] > limits::kImageSideMax || in.shape[rank - 2] > limits::kImageSideMax ||
       static_cast<std::uint64_t>(in.shape[rank - 1]) * static_cast<std::uint64_t>(in.shape[rank - 2]) >
           limits::kTextMapPixelsMax))
    return refused(step.kind, fmt::format("reads maps of at most {} pixels, {} a side, found {}", limits::kTextMapPixelsMax,
                                          limits::kImageSideMax, describe(in)));
  const std::int64_t most = open == OpenSizes::kLargest ? std::int64_t{step.boxes} : kUnknownDim;
  return std::vector<TensorSpec>{{"", DType::kFloat32, {most, kTextNumbers}}};
}

// Numbers of an answer as a tensor.
template <typename T>
Tensor tensor_of(DType dtype, std::vector<std::int64_t> shape, std::span<const T> values) {
  return {{"", dtype, std::move(shape)}, Buffer::copy_of(std::as_bytes(values))};
}

// The values along one axis: `outer` times `inner` rows of `length` numbers that lie `inner` apart.
struct Axis {
  std::size_t outer = 1;
  std::size_t length = 0;
  std::size_t inner = 1;
  std::size_t first(std::size_t o, std::size_t i) const { return o * length * inner + i; }
};
Axis axis_at(const std::vector<std::int64_t>& shape, std::size_t axis) {
  Axis result{.length = static_cast<std::size_t>(shape[axis])};
  for (std::size_t i = 0; i < axis; ++i) result.outer *= static_cast<std::size_t>(shape[i]);
  for (std::size_t i = axis + 1; i < shape.size(); ++i) result.inner *= static_cast<std::size_t>(shape[i]);
  return result;
}

Result<Tensor> softmax(const OutputStep& step, const TensorSpec& spec, std::span<const float> values) {
  TIDELINE_TRY(const std::size_t position, axis_of(step, spec));
  const Axis axis = axis_at(spec.shape, position);
  std::vector<float> made(values.size());
  for (std::size_t o = 0; o < axis.outer; ++o)
    for (std::size_t i = 0; i < axis.inner; ++i) {
      const std::size_t first = axis.first(o, i);
      float largest = -std::numeric_limits<float>::infinity();
      for (std::size_t k = 0; k < axis.length; ++k) largest = std::max(largest, values[first + k * axis.inner]);
      float sum = 0;
      for (std::size_t k = 0; k < axis.length; ++k) {
        const std::size_t at = first + k * axis.inner;
        made[at] = std::exp(values[at] - largest);
        sum += made[at];
      }
      for (std::size_t k = 0; k < axis.length; ++k) made[first + k * axis.inner] /= sum;
    }
  return tensor_of<float>(DType::kFloat32, spec.shape, made);
}

Result<Tensor> argmax(const OutputStep& step, const TensorSpec& spec, std::span<const float> values) {
  TIDELINE_TRY(const std::size_t position, axis_of(step, spec));
  const Axis axis = axis_at(spec.shape, position);
  std::vector<std::int64_t> made;
  made.reserve(axis.outer * axis.inner);
  for (std::size_t o = 0; o < axis.outer; ++o)
    for (std::size_t i = 0; i < axis.inner; ++i) {
      std::int64_t best = -1;
      float largest = 0;
      for (std::size_t k = 0; k < axis.length; ++k) {
        const float value = values[axis.first(o, i) + k * axis.inner];
        if (std::isnan(value) || (best >= 0 && !(value > largest))) continue;
        best = static_cast<std::int64_t>(k);
        largest = value;
      }
      made.push_back(best);
    }
  std::vector<std::int64_t> shape = spec.shape;
  shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(position));
  return tensor_of<std::int64_t>(DType::kInt64, std::move(shape), made);
}

std::vector<Tensor> topk(const OutputStep& step, const TensorSpec& spec, std::span<const float> values) {
  const auto length = static_cast<std::size_t>(spec.shape.back());
  std::vector<float> best;
  std::vector<std::int64_t> indices;
  std::vector<std::int64_t> order;
  for (std::size_t row = 0; length > 0 && row < values.size() / length; ++row) {
    const float* const numbers = values.data() + row * length;
    order.clear();
    for (std::size_t i = 0; i < length; ++i)
      if (!std::isnan(numbers[i])) order.push_back(static_cast<std::int64_t>(i));
    const std::size_t count = std::min<std::size_t>(step.k, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                      [&](std::int64_t a, std::int64_t b) { return numbers[a] != numbers[b] ? numbers[a] > numbers[b] : a < b; });
    for (std::size_t i = 0; i < step.k; ++i) {
      indices.push_back(i < count ? order[i] : -1);
      best.push_back(i < count ? numbers[order[i]] : std::numeric_limits<float>::quiet_NaN());
    }
  }
  std::vector<std::int64_t> shape = spec.shape;
  shape.back() = step.k;
  std::vector<Tensor> made;
  made.push_back(tensor_of<float>(DType::kFloat32, shape, best));
  made.push_back(tensor_of<std::int64_t>(DType::kInt64, shape, indices));
  return made;
}

Tensor boxes_tensor(std::span<const Box> boxes) {
  return {{"", DType::kFloat32, {static_cast<std::int64_t>(boxes.size()), kBoxNumbers}}, Buffer::copy_of(std::as_bytes(boxes))};
}

Result<Tensor> nms(const OutputStep& step, const TensorView& in) {
  TIDELINE_TRY(const Floats floats, Floats::of(in));
  std::vector<Box> candidates(floats.values().size() / kBoxNumbers);
  if (!candidates.empty())
    std::memcpy(static_cast<void*>(candidates.data()), floats.values().data(), candidates.size() * sizeof(Box));
  return boxes_tensor(suppress(candidates, step.iou, step.boxes));
}

Result<Tensor> text_boxes(const OutputStep& step, const TensorSpec& spec, std::span<const float> values) {
  const std::vector<TextBox> boxes = find_text(step, values, static_cast<std::uint32_t>(spec.shape.back()),
                                               static_cast<std::uint32_t>(spec.shape[spec.shape.size() - 2]));
  return Tensor{{"", DType::kFloat32, {static_cast<std::int64_t>(boxes.size()), kTextNumbers}},
                Buffer::copy_of(std::as_bytes(std::span(boxes)))};
}

template <typename T, typename Function>
Tensor each(const TensorSpec& spec, DType dtype, std::span<const float> values, Function function) {
  std::vector<T> made(values.size());
  std::transform(values.begin(), values.end(), made.begin(), function);
  return tensor_of<T>(dtype, spec.shape, made);
}

}  // namespace

Result<std::vector<TensorSpec>> output_step_specs(const OutputStep& step, std::span<const TensorSpec> in, OpenSizes open) {
  if (step.kind == OutputKind::kBoxes) return box_specs(step, in, open);
  TIDELINE_CHECK_OK(check_only(step, in));
  const TensorSpec& only = in[0];
  switch (step.kind) {
    case OutputKind::kSigmoid: return std::vector<TensorSpec>{{"", DType::kFloat32, only.shape}};
    case OutputKind::kThreshold: return std::vector<TensorSpec>{{"", DType::kUint8, only.shape}};
    case OutputKind::kTopk: return topk_specs(step, only);
    case OutputKind::kNms: return nms_specs(step, only, open);
    case OutputKind::kTextBoxes: return text_specs(step, only, open);
    case OutputKind::kBoxes:
    case OutputKind::kSoftmax:
    case OutputKind::kArgmax: break;
  }
  const DType dtype = step.kind == OutputKind::kSoftmax ? DType::kFloat32 : DType::kInt64;
  if (!has_rank(only.shape)) return std::vector<TensorSpec>{{"", dtype, only.shape}};
  TIDELINE_TRY(const std::size_t axis, axis_of(step, only));
  std::vector<std::int64_t> shape = only.shape;
  if (step.kind == OutputKind::kArgmax) shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(axis));
  return std::vector<TensorSpec>{{"", dtype, std::move(shape)}};
}

Result<std::vector<Tensor>> run_output_step(const OutputStep& step, std::span<const TensorView> in) {
  std::vector<TensorSpec> specs;
  for (const TensorView& tensor : in) specs.push_back(*tensor.spec);
  // Checks what there is; with every dimension known nothing is left open but how many boxes there will be.
  TIDELINE_TRY([[maybe_unused]] const auto made, output_step_specs(step, specs, OpenSizes::kUnknown));
  std::vector<Tensor> answer;
  if (step.kind == OutputKind::kBoxes) {
    TIDELINE_TRY(const std::vector<Box> boxes, decode_boxes(step, in));
    answer.push_back(boxes_tensor(boxes));
    return answer;
  }
  TIDELINE_TRY(const Floats floats, Floats::of(in[0]));
  const std::span<const float> values = floats.values();
  const TensorSpec& spec = specs[0];
  switch (step.kind) {
    case OutputKind::kSigmoid: answer.push_back(each<float>(spec, DType::kFloat32, values, sigmoid)); break;
    case OutputKind::kThreshold: {
      const auto least = static_cast<float>(step.value);
      answer.push_back(each<std::uint8_t>(spec, DType::kUint8, values,
                                          [least](float value) { return static_cast<std::uint8_t>(value >= least ? 1 : 0); }));
      break;
    }
    case OutputKind::kTopk: return topk(step, spec, values);
    case OutputKind::kSoftmax: {
      TIDELINE_TRY(Tensor tensor, softmax(step, spec, values));
      answer.push_back(std::move(tensor));
      break;
    }
    case OutputKind::kArgmax: {
      TIDELINE_TRY(Tensor tensor, argmax(step, spec, values));
      answer.push_back(std::move(tensor));
      break;
    }
    case OutputKind::kNms: {
      TIDELINE_TRY(Tensor tensor, nms(step, in[0]));
      answer.push_back(std::move(tensor));
      break;
    }
    case OutputKind::kTextBoxes: {
      TIDELINE_TRY(Tensor tensor, text_boxes(step, spec, values));
      answer.push_back(std::move(tensor));
      break;
    }
    case OutputKind::kBoxes: break;
  }
  return answer;
}

std::string_view output_name(OutputKind kind, std::size_t position) {
  switch (kind) {
    case OutputKind::kTopk: return position == 0 ? "topk.values" : "topk.indices";
    case OutputKind::kBoxes: return "candidates";
    case OutputKind::kNms: return "boxes";
    default: return to_string(kind);
  }
}

std::uint64_t output_step_flops(OutputKind kind, std::uint64_t values) {
  switch (kind) {
    case OutputKind::kSigmoid:
    case OutputKind::kSoftmax:
    case OutputKind::kBoxes: return 4 * values;
    default: return values;
  }
}

}  // namespace tideline
