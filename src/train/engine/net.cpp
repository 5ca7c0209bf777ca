#include "train/engine/net.h"

#include <algorithm>
#include <cstring>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include "base/text.h"
#include "train/engine/operators.h"
#include "train/engine/weights_file.h"

namespace tideline::train {
namespace {

Tensor tensor_from(const at::Tensor& from, const std::string& name) {
  const at::Tensor flat = from.detach().contiguous();
  Tensor to{.spec = {.name = name, .dtype = DType::kFloat32, .shape = {flat.sizes().begin(), flat.sizes().end()}},
            .data = Buffer(flat.nbytes())};
  if (flat.nbytes() > 0) std::memcpy(to.data.data(), flat.data_ptr(), flat.nbytes());
  return to;
}

Result<at::Tensor> torch_from(const TensorView& from) {
  TIDELINE_TRY(const Bytes bytes, byte_size(from.spec->dtype, from.spec->shape));
  if (from.spec->dtype != DType::kFloat32 || bytes != from.bytes.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] '{}' is {}; training takes float32", printable(from.spec->name), describe(*from.spec))};
  at::Tensor to = at::empty(from.spec->shape, at::kFloat);
  if (bytes > 0) std::memcpy(to.data_ptr(), from.bytes.data(), bytes);
  return to;
}

// Tensors of one role side by side in one array.
struct Flat {
  at::Tensor numbers;
  std::vector<FlatTensor> list;
  std::vector<std::size_t> index;  // of NetGraph::tensors

  Flat(const NetGraph& graph, TensorRole role) {
    std::size_t total = 0;
    for (std::size_t i = 0; i < graph.tensors.size(); ++i) {
      const NetTensor& tensor = graph.tensors[i];
      if (tensor.role != role) continue;
      list.push_back({tensor.name, tensor.shape, total, tensor.floats.size()});
      index.push_back(i);
      total += tensor.floats.size();
    }
    numbers = at::zeros({static_cast<std::int64_t>(total)}, at::kFloat);
  }
  at::Tensor part(std::size_t k) const {
    return numbers.narrow(0, static_cast<std::int64_t>(list[k].offset), static_cast<std::int64_t>(list[k].count))
        .view(list[k].shape);
  }
  std::span<float> span() const { return {numbers.data_ptr<float>(), static_cast<std::size_t>(numbers.numel())}; }
};

class TorchPass final : public Pass {
 public:
  TorchPass(std::vector<at::Tensor> inputs, std::vector<at::Tensor> made, std::vector<Tensor> outputs,
            std::vector<std::string> names, bool input_gradients)
      : inputs_(std::move(inputs)),
        made_(std::move(made)),
        outputs_(std::move(outputs)),
        input_names_(std::move(names)),
        input_gradients_(input_gradients) {}

  const std::vector<Tensor>& outputs() const override { return outputs_; }

  Result<std::vector<Tensor>> backward(const std::vector<TensorView>& output_gradients) override {
    if (output_gradients.size() != made_.size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[train] a backward run takes {} gradients (one for each output, once), not {}", made_.size(),
                               output_gradients.size())};
    std::vector<at::Tensor> gradients;
    for (std::size_t i = 0; i < made_.size(); ++i) {
      if (output_gradients[i].spec->shape != outputs_[i].spec.shape)
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("[train] the gradient of '{}' is {}, the tensor {}", printable(outputs_[i].spec.name),
                                 describe(*output_gradients[i].spec), describe(outputs_[i].spec))};
      TIDELINE_TRY(at::Tensor gradient, torch_from(output_gradients[i]));
      gradients.push_back(std::move(gradient));
    }
    try {
      run_backward(gradients);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::kOverloaded, "[train] out of memory in a backward run: take a smaller batch"};
    } catch (const std::exception& error) {
      const std::string_view what = error.what();
      return Error{ErrorCode::kInternal, fmt::format("[train] backward: {}", what.substr(0, what.find('\n')))};
    }
    made_.clear();
    std::vector<Tensor> result;
    for (std::size_t i = 0; input_gradients_ && i < inputs_.size(); ++i) {
      const at::Tensor gradient = inputs_[i].grad().defined() ? inputs_[i].grad() : at::zeros_like(inputs_[i]);
      result.push_back(tensor_from(gradient, input_names_[i]));
    }
    return result;
  }

 private:
  void run_backward(const std::vector<at::Tensor>& gradients) {
    if (made_.size() == 1) {
      if (made_.front().requires_grad()) made_.front().backward(gradients.front());
      return;
    }
    // One run for all outputs, so that what they share is walked once.
    at::Tensor sum = at::zeros({}, at::kFloat);
    for (std::size_t i = 0; i < made_.size(); ++i) sum = sum + (made_[i] * gradients[i]).sum();
    if (sum.requires_grad()) sum.backward();
  }

  std::vector<at::Tensor> inputs_;
  std::vector<at::Tensor> made_;
  std::vector<Tensor> outputs_;
  std::vector<std::string> input_names_;
  bool input_gradients_;
};

class TorchNet final : public Net {
 public:
  TorchNet(std::string file, NetGraph graph)
      : file_(std::move(file)),
        graph_(std::move(graph)),
        parameters_(graph_, TensorRole::kParameter),
        gradients_(graph_, TensorRole::kParameter),
        buffers_(graph_, TensorRole::kBuffer),
        values_(starting_values(graph_, at::kFloat)) {
    for (std::size_t k = 0; k < parameters_.list.size(); ++k) {
      at::Tensor& value = values_[parameters_.index[k]];
      const at::Tensor part = parameters_.part(k);
      part.copy_(value.detach());
      value = part.detach();
      value.requires_grad_(true);
      // Torch adds to a gradient that is there, in its place: so they gather in the flat array.
      value.mutable_grad() = gradients_.part(k);
    }
    for (std::size_t k = 0; k < buffers_.list.size(); ++k) {
      at::Tensor& value = values_[buffers_.index[k]];
      const at::Tensor part = buffers_.part(k);
      part.copy_(value);
      value = part;
    }
    // The arrays hold them now.
    for (NetTensor& tensor : graph_.tensors)
      if (tensor.role == TensorRole::kParameter || tensor.role == TensorRole::kBuffer) tensor.floats = {};
  }

  const std::vector<FlatTensor>& parameter_list() const override { return parameters_.list; }
  const std::vector<FlatTensor>& buffer_list() const override { return buffers_.list; }
  std::span<float> parameters() override { return parameters_.span(); }
  std::span<float> gradients() override { return gradients_.span(); }
  std::span<float> buffers() override { return buffers_.span(); }

  NodeRange whole() const override { return {0, graph_.nodes.size()}; }
  NodeRange to_logits() const override {
    for (std::size_t k = 0; k < graph_.nodes.size(); ++k)
      if (graph_.nodes[k].output == graph_.logits) return {0, k + 1};
    return whole();
  }

  std::vector<std::string> inputs_of(NodeRange range) const override { return names(boundary(range).inputs); }
  std::vector<std::string> outputs_of(NodeRange range) const override { return names(boundary(range).outputs); }

  Result<std::unique_ptr<Pass>> forward(NodeRange range, const std::vector<TensorView>& inputs,
                                        const ForwardOptions& options) override {
    if (range.first >= range.last || range.last > graph_.nodes.size())
      return Error{ErrorCode::kInvalidArgument, fmt::format("[train] nodes [{}, {}) are none of the model's {}", range.first,
                                                            range.last, graph_.nodes.size())};
    const Boundary edge = boundary(range);
    if (inputs.size() != edge.inputs.size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[train] nodes [{}, {}) read {} tensors ({}), not {}", range.first, range.last, edge.inputs.size(),
                               fmt::join(names(edge.inputs), ", "), inputs.size())};
    const at::AutoGradMode gradients(options.gradients);
    Values values = values_;
    std::vector<at::Tensor> given;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      TIDELINE_TRY(at::Tensor input, torch_from(inputs[i]));
      if (options.input_gradients) input.requires_grad_(true);
      values[static_cast<std::size_t>(edge.inputs[i])] = input;
      given.push_back(std::move(input));
    }
    Mode mode{.training = options.training};
    if (options.training) mode.random = at::detail::createCPUGenerator(options.seed);
    std::vector<char> keep(graph_.tensors.size(), 0);
    for (const int output : edge.outputs) keep[static_cast<std::size_t>(output)] = 1;
    TIDELINE_CHECK_OK(run_nodes(graph_, range, mode, keep, values));
    std::vector<at::Tensor> made;
    std::vector<Tensor> outputs;
    for (const int output : edge.outputs) {
      made.push_back(values[static_cast<std::size_t>(output)]);
      outputs.push_back(tensor_from(made.back(), name(output)));
    }
    return std::unique_ptr<Pass>(std::make_unique<TorchPass>(std::move(given), std::move(made), std::move(outputs),
                                                             names(edge.inputs), options.input_gradients));
  }

  Result<std::string> onnx_file() const override {
    std::vector<NamedNumbers> all;
    for (const Flat* flat : {&parameters_, &buffers_})
      for (const FlatTensor& part : flat->list) all.push_back({part.name, flat->span().subspan(part.offset, part.count)});
    return write_initializers(file_, all);
  }

 private:
  struct Boundary {
    std::vector<int> inputs, outputs;
  };

  Boundary boundary(NodeRange range) const {
    Boundary edge;
    std::vector<char> made(graph_.tensors.size(), 0), wanted(graph_.tensors.size(), 0), seen(graph_.tensors.size(), 0);
    range.last = std::min(range.last, graph_.nodes.size());
    for (const int output : graph_.outputs) wanted[static_cast<std::size_t>(output)] = 1;
    for (std::size_t k = range.last; k < graph_.nodes.size(); ++k)
      for (const int input : graph_.nodes[k].inputs)
        if (input != kNoTensor) wanted[static_cast<std::size_t>(input)] = 1;
    for (std::size_t k = range.first; k < range.last; ++k) {
      const NetNode& node = graph_.nodes[k];
      for (const int input : node.inputs) {
        if (input == kNoTensor || made[static_cast<std::size_t>(input)] != 0 || seen[static_cast<std::size_t>(input)] != 0)
          continue;
        const TensorRole role = graph_.tensors[static_cast<std::size_t>(input)].role;
        if (role != TensorRole::kActivation && role != TensorRole::kInput) continue;
        seen[static_cast<std::size_t>(input)] = 1;
        edge.inputs.push_back(input);
      }
      made[static_cast<std::size_t>(node.output)] = 1;
      const bool is_fixed = graph_.tensors[static_cast<std::size_t>(node.output)].role == TensorRole::kConstant;
      if (wanted[static_cast<std::size_t>(node.output)] != 0 && !is_fixed) edge.outputs.push_back(node.output);
    }
    return edge;
  }
  const std::string& name(int tensor) const { return graph_.tensors[static_cast<std::size_t>(tensor)].name; }
  std::vector<std::string> names(const std::vector<int>& tensors) const {
    std::vector<std::string> all;
    for (const int tensor : tensors) all.push_back(name(tensor));
    return all;
  }

  std::string file_;
  NetGraph graph_;
  Flat parameters_, gradients_, buffers_;
  Values values_;
};

}  // namespace

void Net::clear_gradients() { std::fill(gradients().begin(), gradients().end(), 0.0F); }

Result<std::unique_ptr<Net>> Net::load(std::string_view onnx, std::string_view name) {
  TIDELINE_TRY(NetGraph graph, read_net_graph(onnx, name));
  try {
    at::set_num_threads(1);
    return std::unique_ptr<Net>(std::make_unique<TorchNet>(std::string(onnx), std::move(graph)));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOverloaded, "[train] out of memory while loading the model"};
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    return Error{ErrorCode::kInvalidArgument, fmt::format("[train] loading: {}", what.substr(0, what.find('\n')))};
  }
}

}  // namespace tideline::train
