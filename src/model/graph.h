// Graph: what a model computes, without its weights. Ops in topological order; tensors with what is known of them.
//
// A value; built by Model (model.h). Constant ops (those that depend on nothing but initialisers) are marked: whoever needs their
// result clones them, so they never count as crossing a cut and belong to no block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "tensor/tensor.h"

namespace tideline {

enum class OpId : std::uint32_t {};
enum class TensorId : std::uint32_t {};
inline constexpr OpId kNoOp{0xffffffffu};
constexpr std::size_t index(OpId id) { return static_cast<std::size_t>(id); }
constexpr std::size_t index(TensorId id) { return static_cast<std::size_t>(id); }

struct GraphTensor {
  TensorSpec spec;                           // name, dtype and declared shape (kUnknownDim where it is not static)
  std::vector<std::int64_t> measured_shape;  // of the probe run
  bool is_measured = false;           // false: shapes are not set yet, or the probe does not see it (a sequence, a dead tensor)
  Bytes bytes = 0;                    // of measured_shape; 0 for elements without a fixed size
  Bytes weight_bytes = 0;             // as stored, of an initialiser or a Constant node's value
  std::uint64_t weight_elements = 0;  // of those, unless int64, bool, string or a scalar: settings, not weights
  OpId producer = kNoOp;              // kNoOp: a model input or an initialiser
  bool is_initializer = false;
  bool is_constant = false;  // an initialiser, or made by a constant op
  std::vector<OpId> consumers;
};

struct Op {
  std::string name;              // unique; made up where the file has none
  std::string type;              // "Conv"
  std::string domain;            // "" is ONNX's own
  std::vector<TensorId> inputs;  // each once, without the optional ones left out, with what subgraphs capture from outside
  std::vector<TensorId> outputs;
  bool is_constant = false;
  bool is_dead = false;     // no output of the model depends on it: in no block
  std::uint64_t flops = 0;  // 2 x multiply-accumulates; model/flops.h
  // Of the weights it reads: initialisers and Constant nodes, also through constant ops (a dequantised weight counts as stored).
  Bytes parameter_bytes = 0;
  std::uint64_t parameters = 0;  // weight_elements of those
};

struct Graph {
  std::string name;     // of the model's file, without ".onnx"; fit for a terminal
  std::vector<Op> ops;  // topological; every op reads only what earlier ones made
  std::vector<GraphTensor> tensors;
  std::vector<TensorId> inputs;  // without initialisers
  std::vector<TensorId> outputs;
  // Initialisers that the file also lists as inputs: defaults, to which the model is fixed unless Model::set_default says
  // otherwise.
  std::vector<TensorId> default_inputs;
  Bytes parameter_bytes = 0;  // of all live ops, each weight once
  std::uint64_t parameters = 0;

  const Op& op(OpId id) const { return ops[static_cast<std::size_t>(id)]; }
  const GraphTensor& tensor(TensorId id) const { return tensors[static_cast<std::size_t>(id)]; }
};

}  // namespace tideline
