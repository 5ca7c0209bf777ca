// FLOPs of an op from its measured shapes: 2 x multiply-accumulates where an op has them, so that a figure here is twice the
// "MACs" of papers. docs/algorithms/cuts.md repeats this table. Internal to model/.
//
//   Conv            2 x outputs x (channels in / group) x kernel          + outputs when it has a bias
//   ConvTranspose   2 x inputs x (channels out / group) x kernel          + outputs when it has a bias
//   MatMul          2 x outputs x inner dimension (also MatMulInteger, QLinearMatMul, FusedMatMul, MatMulNBits)
//   Gemm            2 x outputs x inner dimension                         + outputs when it has C
//   LSTM, GRU, RNN  directions x steps x batch x gates x hidden x (2 x (input + hidden) + 4), gates 4, 3, 1
//   Attention-like  not known: counted as element-wise
//   pools           outputs x kernel (the whole plane for the global ones)
//   normalisation   2 x outputs for BatchNormalization (a scale and a shift), 8 x outputs for Layer/Instance/Group/LRN
//   Softmax         5 x outputs (maximum, difference, exponential, sum, quotient)
//   Resize          8 x outputs when linear, 0 when nearest
//   Reduce*, Arg*   1 x inputs
//   data movement   0: Reshape, Transpose, Concat, Slice, Gather, Pad, Identity, Cast, Shape, ...
//   anything else   1 x outputs, bodies of If, Loop, Scan and of local functions included: their shapes are not measured
#pragma once

#include <cstdint>

#include "model/graph_build.h"

namespace tideline {

class FlopCounter {
 public:
  // `built` must outlive it and have measured shapes.
  explicit FlopCounter(const BuiltGraph& built) : built_(built) {}
  // 0 when the shapes it needs are not measured; saturates.
  std::uint64_t of(const onnx::NodeProto& node) const;

 private:
  // The measured input or output, or nullptr.
  const GraphTensor* input(const onnx::NodeProto& node, int index) const;
  const GraphTensor* measured(const std::string& name) const;
  std::uint64_t convolution(const onnx::NodeProto& node, const GraphTensor& output) const;
  std::uint64_t matrix_product(const onnx::NodeProto& node, const GraphTensor& output) const;
  std::uint64_t recurrent(const onnx::NodeProto& node) const;
  std::uint64_t pool(const onnx::NodeProto& node, const GraphTensor& output) const;
  const BuiltGraph& built_;
};

}  // namespace tideline
