// Chain: a model as blocks in a row with cuts between them; the view that is profiled, planned and placed.
//
// Cut 0 is the input, cut n the outputs of the model, cut k what crosses between block k-1 and block k. A segment is the blocks
// first..last; it turns cut `first` into cut `last`+1. A tensor of a cut that a segment neither makes nor needs passes it by.
// A value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "input/input_section.h"
#include "model/graph.h"
#include "output/output_section.h"

namespace tideline {

struct Cut {
  std::vector<TensorSpec> tensors;  // measured shapes
  Bytes bytes = 0;                  // of all of them; of cut 0 of an image input: of the sample image's file
};

struct Block {
  std::string name;                          // of its last op, or of its step
  std::optional<InputStep> step;             // set: this block is an input step and has no ops
  std::optional<std::uint32_t> output_step;  // set: it is this one of the chain's output steps, and has no ops
  std::vector<OpId> ops;                     // topological
  std::uint64_t flops = 0;
  Bytes parameter_bytes = 0;
  Bytes activation_bytes = 0;  // the largest sum of tensors alive at once while it runs

  bool is_step() const { return step || output_step; }
};

struct Chain {
  std::string model_name;
  Sha256 model_sha256;
  Sha256 sha256;  // of everything that decides the cuts: model, shapes, input section, cut list
  // Of everything that decides how long its blocks run: ops, edges, types, shapes, input section and cut list, but neither names
  // nor the values of weights. A model that was trained again has the same.
  Sha256 structure_sha256;
  std::optional<InputSection> input;
  std::vector<OutputStep> output_steps;  // the last blocks
  std::vector<Block> blocks;
  std::vector<Cut> cuts;  // blocks.size() + 1

  std::uint32_t block_count() const { return static_cast<std::uint32_t>(blocks.size()); }
  // The cut behind the last op: the model's outputs, which the first output step reads.
  std::uint32_t output_cut() const { return block_count() - static_cast<std::uint32_t>(output_steps.size()); }
};

struct ChainOptions {
  // Cuts of up to this many tensors; 1 gives every single-tensor cut and no other.
  std::uint32_t cut_width = 1;
  std::optional<InputSection> input;
  // Behind the model's outputs. What they make has as many rows as a run finds boxes; the cuts behind them count the most that
  // there can be.
  std::vector<OutputStep> output_steps;
  // Of a sample image: the bytes of cut 0 and the pixels of cut 1.
  Bytes sample_file_bytes = 0;
  std::uint32_t sample_width = 0;
  std::uint32_t sample_height = 0;
};

// All cuts of the graph in topological order and the blocks between them. REQUIRES: measured shapes are set (engine/probe.h).
// A cut is a prefix of the topological order whose crossing tensors are at most cut_width; constants never cross, and model
// outputs made early do. kInvalidArgument when the input section does not fit the model's input, or an output step not what it
// reads.
Result<Chain> make_chain(const Graph& graph, const Sha256& model_sha256, const ChainOptions& options);

// A wider cut width, up to 4, with which the model would have many more blocks than `chain` has (twice as many or more); nullopt
// when there is none. `options`: what chain was made with.
struct WiderCuts {
  std::uint32_t width = 0;
  std::size_t blocks = 0;
};
std::optional<WiderCuts> wider_cuts(const Graph& graph, const Chain& chain, const ChainOptions& options);

}  // namespace tideline
