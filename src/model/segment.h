// Segment: consecutive blocks as one self-contained, content-addressed package: the input steps it starts with (if any), a
// valid ONNX model of its ops with their weights and cloned constants, and the output steps it ends with (if any).
//
// The package is what a node stores and loads; its SHA-256 is its name on the wire. Format (little-endian):
//   "TLSG" | u32 version = 1 | u32 header_bytes | header JSON | u64 onnx_bytes | ONNX model (may be empty: only steps)
// header: {"first_block","last_block","input_section":{...}|null,"steps":[0,1,2],"inputs":[spec...],"outputs":[spec...],
//          "output_steps":[...],"output_inputs":[name...]}, the last two only with output steps
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "model/chain.h"
#include "model/model.h"

namespace tideline {

struct Segment {
  std::string bytes;  // the package
  Sha256 hash;        // of `bytes`
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  std::vector<TensorSpec> inputs;   // what it reads of cut `first`; unknown dimensions where only the run tells
  std::vector<TensorSpec> outputs;  // what it makes of cut `last`+1
};

// The package's ONNX part is extract_onnx()'s with layout anchors (model/layout_anchor.h), so that residual networks in parts run
// the kernels of the whole. REQUIRES: chain was made from model. kInvalidArgument when the range is empty or outside;
// kUnsupported when a crossing tensor has no fixed element size or the package would be over limits::kSegmentBytesMax.
Result<Segment> extract_segment(const Model& model, const Chain& chain, std::uint32_t first_block, std::uint32_t last_block);
// The ONNX part alone, as other tools take it. kInvalidArgument when the range has only steps.
Result<std::string> extract_onnx(const Model& model, const Chain& chain, std::uint32_t first_block, std::uint32_t last_block);

// A package taken apart, without copying the ONNX bytes. `bytes` must outlive the result. kCorrupt for anything malformed.
struct SegmentParts {
  std::uint32_t first_block = 0;
  std::uint32_t last_block = 0;
  std::optional<InputSection> input;
  std::vector<InputStep> steps;            // consecutive
  std::vector<OutputStep> output_steps;    // consecutive
  std::vector<std::string> output_inputs;  // what the first of them reads: inputs of the package, or made by the ONNX model
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  std::string_view onnx;
};
Result<SegmentParts> parse_segment(std::string_view bytes);

}  // namespace tideline
