#include "train/engine/operators.h"

#include <limits>

#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline::train {
namespace {

using Inputs = std::vector<at::Tensor>;
using Dims = std::vector<std::int64_t>;

// Thrown and caught in this file, beside what torch throws.
struct Refusal {
  std::string message;
};

struct Call {
  const NetGraph& graph;
  const NetNode& node;
  const Mode& mode;
  const Inputs& in;

  bool has(std::size_t i) const { return i < in.size() && in[i].defined(); }
  const NetTensor& constant(std::size_t i) const {
    if (i >= node.inputs.size() || node.inputs[i] == kNoTensor) throw Refusal{fmt::format("input {} is missing", i)};
    const NetTensor& tensor = graph.tensors[static_cast<std::size_t>(node.inputs[i])];
    if (tensor.role != TensorRole::kConstant) throw Refusal{fmt::format("input {} must be a constant to be trained", i)};
    return tensor;
  }
};

// How a window lies over a picture: padding in front and behind, and what hangs over behind because of ceil_mode.
struct Window {
  Dims kernel, stride, dilation;
  Dims before{0, 0}, after{0, 0}, over{0, 0};
  bool is_even() const { return before == after && over == Dims{0, 0}; }
};

Window window_of(const NetNode& node, const at::Tensor& x, Dims kernel) {
  if (x.dim() != 4) throw Refusal{fmt::format("pictures of {} dimensions do not train; four do (N, C, H, W)", x.dim())};
  if (kernel.size() != 2) throw Refusal{"kernels of two dimensions train, others do not"};
  Window window{.kernel = std::move(kernel),
                .stride = node.integers_or("strides", {1, 1}),
                .dilation = node.integers_or("dilations", {1, 1})};
  const Dims pads = node.integers_or("pads", {0, 0, 0, 0});
  if (window.stride.size() != 2 || window.dilation.size() != 2 || pads.size() != 4)
    throw Refusal{"strides, dilations or pads are not those of two dimensions"};
  const std::string automatic = node.text_or("auto_pad", "NOTSET");
  for (std::size_t i = 0; i < 2; ++i) {
    const std::int64_t size = x.size(static_cast<std::int64_t>(i) + 2);
    const std::int64_t stride = window.stride[i];
    const auto is_size = [](std::int64_t value, std::int64_t least) { return value >= least && value <= limits::kImageSideMax; };
    if (!is_size(stride, 1) || !is_size(window.dilation[i], 1) || !is_size(window.kernel[i], 1) || !is_size(pads[i], 0) ||
        !is_size(pads[i + 2], 0))
      throw Refusal{fmt::format("a kernel, stride, dilation or padding is out of its range (up to {})", limits::kImageSideMax)};

    const std::int64_t reach = (window.kernel[i] - 1) * window.dilation[i] + 1;
    if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
      const std::int64_t total = std::max<std::int64_t>(((size + stride - 1) / stride - 1) * stride + reach - size, 0);
      const std::int64_t less = total / 2;
      window.before[i] = automatic == "SAME_UPPER" ? less : total - less;
      window.after[i] = total - window.before[i];
    } else if (automatic != "VALID") {
      window.before[i] = pads[i];
      window.after[i] = pads[i + 2];
    }
    if (node.integer_or("ceil_mode", 0) != 0) {
      const std::int64_t free = size + window.before[i] + window.after[i] - reach;
      std::int64_t steps = (free + stride - 1) / stride;
      // A window must begin within the picture or the padding before it.
      if (steps * stride >= size + window.before[i]) --steps;
      window.over[i] = std::max<std::int64_t>(steps * stride - free, 0);
    }
  }
  return window;
}

at::Tensor padded(const at::Tensor& x, const Window& window, double value) {
  return at::constant_pad_nd(
      x, Dims{window.before[1], window.after[1] + window.over[1], window.before[0], window.after[0] + window.over[0]}, value);
}

at::Tensor conv(const Call& call) {
  const at::Tensor& weight = call.in.at(1);
  if (weight.dim() != 4) throw Refusal{"convolutions of two dimensions train, others do not"};
  const Window window = window_of(call.node, call.in.at(0), {weight.size(2), weight.size(3)});
  const auto bias = call.has(2) ? c10::optional<at::Tensor>(call.in.at(2)) : c10::nullopt;
  const std::int64_t group = call.node.integer_or("group", 1);
  if (window.is_even()) return at::conv2d(call.in.at(0), weight, bias, window.stride, window.before, window.dilation, group);
  return at::conv2d(padded(call.in.at(0), window, 0), weight, bias, window.stride, Dims{0, 0}, window.dilation, group);
}

at::Tensor max_pool(const Call& call) {
  const Window window = window_of(call.node, call.in.at(0), call.node.integers_or("kernel_shape", {}));
  const bool is_plain = window.is_even() && 2 * window.before[0] <= window.kernel[0] && 2 * window.before[1] <= window.kernel[1];
  if (is_plain) return at::max_pool2d(call.in.at(0), window.kernel, window.stride, window.before, window.dilation);
  return at::max_pool2d(padded(call.in.at(0), window, -std::numeric_limits<double>::infinity()), window.kernel, window.stride,
                        Dims{0, 0}, window.dilation);
}

at::Tensor average_pool(const Call& call) {
  const at::Tensor& x = call.in.at(0);
  const Window window = window_of(call.node, x, call.node.integers_or("kernel_shape", {}));
  if (window.dilation != Dims{1, 1}) throw Refusal{"average pools with dilations do not train"};
  if (window.before == Dims{0, 0} && window.is_even()) return at::avg_pool2d(x, window.kernel, window.stride);
  // The mean over what counts: the picture, the padding when the node says so, never what hangs over.
  at::Tensor counts = at::ones({1, 1, x.size(2), x.size(3)}, x.options().requires_grad(false));
  const bool with_padding = call.node.integer_or("count_include_pad", 0) != 0;
  Window padding = window, over = window;
  padding.over = {0, 0};
  over.before = over.after = {0, 0};
  counts = padded(padded(counts, padding, with_padding ? 1 : 0), over, 0);
  return at::avg_pool2d(padded(x, window, 0), window.kernel, window.stride) /
         at::avg_pool2d(counts, window.kernel, window.stride);
}

at::Tensor batch_norm(const Call& call) {
  if (call.in.size() < 5) throw Refusal{"scale, bias, mean and variance are expected"};
  const double epsilon = call.node.number_or("epsilon", 1e-5F);
  if (!call.mode.training)
    return at::batch_norm(call.in.at(0), call.in.at(1), call.in.at(2), call.in.at(3), call.in.at(4), false, 0, epsilon, false);
  // Torch's running variance is that of a sample; ONNX's is that of the population, so both are taken at full weight and mixed
  // here. ONNX's momentum is the part that stays.
  at::Tensor mean = at::zeros_like(call.in.at(3));
  at::Tensor variance = at::zeros_like(call.in.at(4));
  at::Tensor y = at::batch_norm(call.in.at(0), call.in.at(1), call.in.at(2), mean, variance, true, 1.0, epsilon, false);
  const at::NoGradGuard no_gradients;
  const double keep = call.node.number_or("momentum", 0.9F);
  const auto count = static_cast<double>(call.in.at(0).numel() / call.in.at(0).size(1));
  // Not in place: the backward run has taken note of both.
  const at::Tensor population = count < 2 ? at::zeros_like(variance) : variance * ((count - 1) / count);
  at::Tensor running_mean = call.in.at(3), running_variance = call.in.at(4);
  running_mean.mul_(keep).add_(mean, 1 - keep);
  running_variance.mul_(keep).add_(population, 1 - keep);
  return y;
}

at::Tensor lrn(const Call& call) {
  const at::Tensor& x = call.in.at(0);
  const std::int64_t size = call.node.integer_or("size", 1);
  const double alpha = call.node.number_or("alpha", 1e-4F);
  const double beta = call.node.number_or("beta", 0.75F);
  const double bias = call.node.number_or("bias", 1);
  if (x.dim() != 4 || size < 1) throw Refusal{"LRN takes a size of at least 1 and four dimensions (N, C, H, W)"};
  const at::Tensor squares = at::constant_pad_nd((x * x).unsqueeze(1), Dims{0, 0, 0, 0, (size - 1) / 2, size / 2}, 0);
  const at::Tensor mean = at::avg_pool3d(squares, Dims{size, 1, 1}, Dims{1, 1, 1}).squeeze(1);
  return x / (mean * alpha + bias).pow(beta);
}

at::Tensor gemm(const Call& call) {
  const at::Tensor a = call.node.integer_or("transA", 0) != 0 ? call.in.at(0).t() : call.in.at(0);
  const at::Tensor b = call.node.integer_or("transB", 0) != 0 ? call.in.at(1).t() : call.in.at(1);
  const double alpha = call.node.number_or("alpha", 1);
  const double beta = call.node.number_or("beta", 1);
  if (call.has(2)) return at::addmm(call.in.at(2), a, b, beta, alpha);
  const at::Tensor product = at::mm(a, b);
  return alpha == 1 ? product : product * alpha;
}

at::Tensor clip(const Call& call) {
  c10::optional<at::Scalar> low, high;
  if (call.node.number.count("min") != 0) low = call.node.number.at("min");
  if (call.node.number.count("max") != 0) high = call.node.number.at("max");
  if (call.has(1)) low = call.in.at(1).item();
  if (call.has(2)) high = call.in.at(2).item();
  if (!low && !high) return call.in.at(0);
  return at::clamp(call.in.at(0), low, high);
}

at::Tensor reshape(const Call& call) {
  const NetTensor& wanted = call.constant(1);
  if (!wanted.is_integer) throw Refusal{"the shape is not int64"};
  if (call.node.integer_or("allowzero", 0) != 0) throw Refusal{"allowzero is not trained"};
  Dims shape = wanted.integers;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 0) continue;
    if (static_cast<std::int64_t>(i) >= call.in.at(0).dim()) throw Refusal{"a zero of the shape stands for no dimension"};
    shape[i] = call.in.at(0).size(static_cast<std::int64_t>(i));
  }
  // Files of a fixed batch have it in their shapes: there it stands for the batch that came.
  const bool has_batch = call.graph.tensors[static_cast<std::size_t>(call.node.inputs[0])].has_batch;
  if (has_batch && !shape.empty() && shape[0] > 0 && shape[0] == call.graph.declared_batch) shape[0] = call.in.at(0).size(0);
  return call.in.at(0).reshape(shape);
}

at::Tensor flattened(const at::Tensor& x, std::int64_t axis) {
  if (axis < 0) axis += x.dim();
  if (axis < 0 || axis > x.dim()) throw Refusal{"the axis lies outside the tensor"};
  std::int64_t rows = 1;
  for (std::int64_t i = 0; i < axis; ++i) rows *= x.size(i);
  return x.reshape({rows, rows == 0 ? 0 : x.numel() / rows});
}

at::Tensor softmax(const Call& call) {
  if (call.graph.opset >= 13) return at::softmax(call.in.at(0), call.node.integer_or("axis", -1));
  return at::softmax(flattened(call.in.at(0), call.node.integer_or("axis", 1)), 1).reshape(call.in.at(0).sizes());
}

at::Tensor transpose(const Call& call) {
  Dims order = call.node.integers_or("perm", {});
  if (order.empty())
    for (std::int64_t i = call.in.at(0).dim(); i-- > 0;) order.push_back(i);
  return call.in.at(0).permute(order);
}

at::Tensor space_to_depth(const Call& call) {
  const at::Tensor& x = call.in.at(0);
  const std::int64_t block = call.node.integer_or("blocksize", 1);
  if (x.dim() != 4 || block < 1 || x.size(2) % block != 0 || x.size(3) % block != 0)
    throw Refusal{"height and width must be multiples of the block"};
  return x.reshape({x.size(0), x.size(1), x.size(2) / block, block, x.size(3) / block, block})
      .permute({0, 3, 5, 1, 2, 4})
      .reshape({x.size(0), x.size(1) * block * block, x.size(2) / block, x.size(3) / block});
}

at::Tensor dropout(const Call& call) {
  double ratio = call.node.number_or("ratio", 0.5F);
  if (call.has(1)) ratio = call.in.at(1).item().toDouble();
  if (!call.mode.training || ratio <= 0) return call.in.at(0);
  if (ratio >= 1) throw Refusal{"a ratio of 1 drops everything"};
  const at::Tensor mask = at::empty_like(call.in.at(0).detach()).bernoulli_(1 - ratio, call.mode.random);
  return call.in.at(0) * mask / (1 - ratio);
}

at::Tensor apply(const Call& call) {
  const std::string& type = call.node.type;
  const at::Tensor& x = call.in.at(0);
  if (type == "Conv") return conv(call);
  if (type == "Gemm") return gemm(call);
  if (type == "MatMul") return at::matmul(x, call.in.at(1));
  if (type == "BatchNormalization") return batch_norm(call);
  if (type == "Relu") return at::relu(x);
  if (type == "Clip") return clip(call);
  if (type == "LeakyRelu") return at::leaky_relu(x, call.node.number_or("alpha", 0.01F));
  if (type == "Sigmoid") return at::sigmoid(x);
  if (type == "Tanh") return at::tanh(x);
  if (type == "Softmax") return softmax(call);
  if (type == "MaxPool") return max_pool(call);
  if (type == "AveragePool") return average_pool(call);
  if (type == "GlobalAveragePool") return x.mean(Dims{2, 3}, true);
  if (type == "LRN") return lrn(call);
  if (type == "Flatten") return flattened(x, call.node.integer_or("axis", 1));
  if (type == "Reshape") return reshape(call);
  if (type == "Transpose") return transpose(call);
  if (type == "SpaceToDepth") return space_to_depth(call);
  if (type == "Concat") return at::cat(call.in, call.node.integer_or("axis", 0));
  if (type == "Add") return x + call.in.at(1);
  if (type == "Mul") return x * call.in.at(1);
  if (type == "Dropout") return dropout(call);
  if (type == "Identity") return x;
  throw Refusal{"the operator is not written"};
}

}  // namespace

Values starting_values(const NetGraph& graph, at::ScalarType type) {
  Values values(graph.tensors.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const NetTensor& tensor = graph.tensors[i];
    if (tensor.role == TensorRole::kActivation || tensor.role == TensorRole::kInput) continue;
    if (tensor.is_integer)
      values[i] = at::tensor(tensor.integers, at::kLong).reshape(tensor.shape);
    else
      values[i] = at::tensor(tensor.floats, at::kFloat).to(type).reshape(tensor.shape).clone();
    if (tensor.role == TensorRole::kParameter) values[i].requires_grad_(true);
  }
  return values;
}

Status run_nodes(const NetGraph& graph, NodeRange range, const Mode& mode, const std::vector<char>& keep, Values& values) {
  std::vector<std::size_t> last_use(graph.tensors.size(), 0);
  for (std::size_t k = range.first; k < range.last; ++k)
    for (const int input : graph.nodes[k].inputs)
      if (input != kNoTensor) last_use[static_cast<std::size_t>(input)] = k;
  for (std::size_t k = range.first; k < range.last; ++k) {
    const NetNode& node = graph.nodes[k];
    if (node.type == "Constant") continue;
    Inputs inputs;
    for (const int input : node.inputs)
      inputs.push_back(input == kNoTensor ? at::Tensor() : values[static_cast<std::size_t>(input)]);
    const auto failed = [&](std::string_view why) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[train] {} '{}': {}", node.type, printable(node.name), why.substr(0, why.find('\n')))};
    };
    try {
      values[static_cast<std::size_t>(node.output)] = apply({graph, node, mode, inputs});
    } catch (const Refusal& refusal) {
      return failed(refusal.message);
    } catch (const c10::Error& error) {
      return failed(error.what_without_backtrace());
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::kOverloaded,
                   fmt::format("[train] out of memory in {} '{}': take a smaller batch", node.type, printable(node.name))};
    } catch (const std::exception& error) {
      return failed(error.what());
    }
    for (const int input : node.inputs) {
      if (input == kNoTensor) continue;
      const auto i = static_cast<std::size_t>(input);
      const bool is_fixed = graph.tensors[i].role != TensorRole::kActivation && graph.tensors[i].role != TensorRole::kInput;
      if (!is_fixed && keep[i] == 0 && last_use[i] == k) values[i] = at::Tensor();
    }
  }
  return {};
}

}  // namespace tideline::train
