// Chain: a model as blocks in a row with cuts between them; the view that is profiled, planned and placed.
//
// Cut 0 is the input, cut n the outputs of the model, cut k what crosses between block k-1 and block k. A segment is the blocks
// first..last; it turns cut `first` into cut `last`+1. A tensor of a cut that a segment neither makes nor needs passes it by.
//
// Of a model with early outputs (exits) the chain follows the others, the *trunk*; what an exit alone needs is in none of its
// blocks and none of its cuts. Each exit has a chain of its own: the trunk's first blocks as they are, then its *head* as one
// block. So the trunk has the cuts that it would have without exits, and a plan for an exit is a plan like any other.
//
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

// Where a chain leaves the trunk.
struct ChainExit {
  std::string output;  // of the model
  std::uint32_t after =
      0;  // how many first blocks are the trunk's; behind them the head, unless the trunk makes the output itself
  bool operator==(const ChainExit&) const = default;
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
  std::optional<ChainExit> exit;         // set: the chain of an early output
  std::vector<Block> blocks;
  std::vector<Cut> cuts;  // blocks.size() + 1

  std::uint32_t block_count() const { return static_cast<std::uint32_t>(blocks.size()); }
  // The cut behind the last op: the model's outputs (or the exit's), which the first output step reads.
  std::uint32_t output_cut() const { return block_count() - static_cast<std::uint32_t>(output_steps.size()); }
};

struct ChainOptions {
  // Cuts of up to this many tensors; 1 gives every single-tensor cut and no other.
  std::uint32_t cut_width = 1;
  std::optional<InputSection> input;
  // Behind the model's outputs. What they make has as many rows as a run finds boxes; the cuts behind them count the most that
  // there can be.
  std::vector<OutputStep> output_steps;
  // Names of outputs that are early ones: the chain is that of the others.
  std::vector<std::string> exits;
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

// The chain of an early output: attached to the trunk where its head is smallest. `trunk` and `options` as make_chain() had them.
// The same output steps stand behind it. kInvalidArgument when it is no output, an input that comes out as it went in, or nothing
// that the output steps can read.
Result<Chain> make_exit_chain(const Graph& graph, const Chain& trunk, const ChainOptions& options, const std::string& exit);

// A wider cut width, up to 4, with which the model would have many more blocks than `chain` has (twice as many or more); nullopt
// when there is none. `options`: what chain was made with.
struct WiderCuts {
  std::uint32_t width = 0;
  std::size_t blocks = 0;
};
std::optional<WiderCuts> wider_cuts(const Graph& graph, const Chain& chain, const ChainOptions& options);

}  // namespace tideline
