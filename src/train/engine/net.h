// Net: an ONNX model that trains. Interprets the graph that the rest of the product plans and runs, with gradients over its
// initialisers (libtorch computes; no torch type is seen here).
//
// Parameters, gradients and buffers are three flat arrays, so that strategies, exchanges and compressors need no library:
// an optimiser's step is a loop over two spans. The spans are valid as long as the Net and refer to what it computes with.
// A resource; not thread-safe. The first load sets libtorch to one thread in the whole process: workers are what runs side by
// side. One thread, the same build and the same batches give the same bits.
//
//   TIDELINE_TRY(const std::unique_ptr<Net> net, Net::load(file, "lenet5.onnx"));
//   net->clear_gradients();
//   TIDELINE_TRY(auto pass, net->forward(net->to_logits(), inputs, {.training = true}));
//   TIDELINE_TRY(const Loss loss, cross_entropy(pass->outputs().front(), labels));      // train/data/loss.h
//   TIDELINE_TRY(auto unused, pass->backward({view(loss.gradient)}));
//   for (std::size_t i = 0; i < net->parameters().size(); ++i) net->parameters()[i] -= 0.1f * net->gradients()[i];
//   TIDELINE_TRY(const std::string trained, net->onnx_file());
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline::train {

// Ops [first, last) by their number in Model::graph(), in topological order.
struct NodeRange {
  std::size_t first = 0;
  std::size_t last = 0;
  bool operator==(const NodeRange&) const = default;
};

// One initialiser within parameters() or buffers().
struct FlatTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::size_t offset = 0;
  std::size_t count = 0;
};

struct ForwardOptions {
  // Batch normalisation by the batch, with its running statistics updated, and dropout that drops; false: as in inference.
  bool training = false;
  std::uint64_t seed = 0;        // of dropout: the same seed drops the same
  bool input_gradients = false;  // backward() then returns them; a stage of a pipeline sends them to the one before
  bool gradients = true;         // false: backward() is not wanted, and nothing is kept for it
};

// One forward run of a range, kept for its backward run. Must not outlive its Net.
class Pass {
 public:
  virtual ~Pass() = default;
  // As Net::outputs_of().
  virtual const std::vector<Tensor>& outputs() const = 0;
  // Adds to Net::gradients() what the gradients of the outputs give, and returns those of the inputs (empty without
  // input_gradients). Once per pass, with the parameters of its forward run. kInvalidArgument when shapes do not fit.
  virtual Result<std::vector<Tensor>> backward(const std::vector<TensorView>& output_gradients) = 0;
};

class Net {
 public:
  // `onnx`: a file's bytes with its weights inside. kUnsupported, naming node and operator, for what does not train.
  static Result<std::unique_ptr<Net>> load(std::string_view onnx, std::string_view name);
  virtual ~Net() = default;

  virtual const std::vector<FlatTensor>& parameter_list() const = 0;
  virtual const std::vector<FlatTensor>& buffer_list() const = 0;
  virtual std::span<float> parameters() = 0;
  virtual std::span<float> gradients() = 0;
  // Running means and variances of batch normalisation: no gradient, but part of the model.
  virtual std::span<float> buffers() = 0;
  void clear_gradients();

  virtual NodeRange whole() const = 0;
  // Whole, but without a Softmax that ends the model: what cross_entropy() takes.
  virtual NodeRange to_logits() const = 0;
  // What a range reads from outside it (no weights), and what it makes that is read after it or is the model's answer.
  virtual std::vector<std::string> inputs_of(NodeRange range) const = 0;
  virtual std::vector<std::string> outputs_of(NodeRange range) const = 0;
  // `inputs` in the order of inputs_of(), float32, any batch that the graph allows: a leading constant of a Reshape that equals
  // the file's batch stands for the batch that comes. kInvalidArgument naming the node where shapes do not fit.
  virtual Result<std::unique_ptr<Pass>> forward(NodeRange range, const std::vector<TensorView>& inputs,
                                                const ForwardOptions& options) = 0;

  // The file with today's parameters and buffers: every other byte is as it was.
  virtual Result<std::string> onnx_file() const = 0;
};

}  // namespace tideline::train
