// Layout anchors: a max-pool of one element, which changes nothing, in front of a segment's input that a residual network carries
// on. Internal to model/.
//
// Engines compute convolutions in a blocked layout of their own and fuse Conv + Add + Relu there. An addition joins in only when
// both its sides already have that layout. In the whole model they do; behind a cut the carried side arrives plain, so each
// addition up to the next one with a convolution on both sides stays outside: ResNet-50 in three parts then has four Adds, six
// Relus and twelve reorderings more (2.6 % of its time), and other sums of rounding errors than the unsplit model. A pool is
// something that engines do take into their layout: with it the parts run the kernels of the whole, and their answers agree bit
// for bit.
//
// The pool gives back every finite number and infinity as it came but -infinity (ONNX Runtime starts at the lowest finite
// number), which no convolution survives either.
#pragma once

#include <span>

#include "model/graph.h"
#include "model/onnx_write.h"

namespace tideline {

// Adds them to `parts`, for those of `inputs` that are float images with whole blocks of channels and, directly or through an
// activation, are added to what a convolution of `ops` made or averaged over the whole image.
void add_layout_anchors(const Graph& graph, std::span<const TensorId> inputs, std::span<const OpId> ops, OnnxParts& parts);

}  // namespace tideline
