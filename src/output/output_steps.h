// Output steps: sigmoid to boxes, the blocks at the tail of a chain that has an output section.
//
// Pure and thread-safe; they read float32 or float16 and compute in float32 (places of pixels in double). The same bytes give the
// same tensors wherever they run, so a cut between two steps changes nothing.
//
// What is not a number never wins: it is below every threshold, no candidate and no maximum.
//
//   step       reads                      makes
//   sigmoid    any                        float32 of the same shape: 1 / (1 + e^-x)
//   softmax    any                        float32 of the same shape: e^(x - max) / sum along `axis`
//   argmax     any                        int64 without `axis`: the first of the largest; -1 where nothing is a number
//   topk       any                        float32 and int64 [..., k]: along the last dimension, falling, equal ones by index;
//                                         what is missing because it is not a number has index -1
//   threshold  any                        uint8 of the same shape: 1 where x >= value
//   boxes      a detector's heads         float32 [n, 6]: output/boxes.h
//   nms        those                      float32 [n, 6]: output/boxes.h
//   text_boxes a map of probabilities     float32 [n, 9]: output/text_boxes.h
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "output/output_section.h"
#include "tensor/tensor.h"

namespace tideline {

// What a dimension that only the run tells is called in advance: unknown, or the most that it can be.
enum class OpenSizes { kUnknown, kLargest };

// Types and shapes of what the step makes of tensors of these types and shapes (either of which may have unknown dimensions),
// without names. kInvalidArgument and a sentence when the step cannot read them.
Result<std::vector<TensorSpec>> output_step_specs(const OutputStep& step, std::span<const TensorSpec> in, OpenSizes open);

// The tensors, without names. kInvalidArgument when types, shapes or bytes are not what the step reads.
Result<std::vector<Tensor>> run_output_step(const OutputStep& step, std::span<const TensorView> in);

// What describes a step's tensor in a list of names: "softmax", "topk.values", "candidates", "boxes".
std::string_view output_name(OutputKind kind, std::size_t position);

// An estimate of its FLOPs for planning where nothing was measured: 4 for each value that is read (an exponential and a
// division), 1 where values are only compared.
std::uint64_t output_step_flops(OutputKind kind, std::uint64_t values);

}  // namespace tideline
