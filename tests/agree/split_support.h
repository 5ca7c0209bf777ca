// Shared by the split tests: run a model whole, run it in pieces, and say how far apart the answers are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "model/chain.h"
#include "model/model.h"
#include "session/compare.h"

namespace tideline::agree {

using Tensors = std::map<std::string, Tensor>;

// One for all tests of a binary, with one thread.
Engine& engine();

class SplitModel {
 public:
  // Reads, probes and cuts the model; `onnx` is released. Inputs are seeded numbers unless given.
  static Result<std::unique_ptr<SplitModel>> make(Engine& engine, std::string onnx, const std::string& name,
                                                  const ModelOptions& options = {}, std::vector<Tensor> inputs = {});
  const Model& model() const { return model_; }
  const Chain& chain() const { return chain_; }
  const Tensors& inputs() const { return inputs_; }
  // What the unsplit model answers; run once.
  Result<const Tensors*> whole();
  // Another cut list over the same model; with output steps, whole() is still the model's own answer.
  Status recut(std::uint32_t cut_width, std::vector<OutputStep> steps = {});
  // From now on, whole and in pieces.
  void set_optimized(bool is_optimized);

  // Blocks first..last on what crosses cut `first`; gives what crosses cut last+1. Nothing but the tensors of cut `first` is
  // seen.
  Result<Tensors> run_segment(const Tensors& in, std::uint32_t first, std::uint32_t last);
  // The whole model in pieces that end before each of `cuts` (ascending, without 0 and the last).
  Result<Tensors> run_split(const std::vector<std::uint32_t>& cuts);
  Result<Difference> difference(const std::vector<std::uint32_t>& cuts);
  // Of the tensors of cut `cut`.
  Result<Difference> difference_at(std::uint32_t cut, const Tensors& expected, const Tensors& found) const;

 private:
  SplitModel(Engine& engine, Model model) : engine_(engine), model_(std::move(model)) {}
  Engine& engine_;
  Model model_;
  Chain chain_;
  Tensors inputs_;
  Tensors whole_;
  bool is_optimized_ = true;
};

// Runs a loaded session on what it needs of `in`; adds what it makes to `out`.
Status run_session(Session& session, const Tensors& in, Tensors& out);

// Whole numbers below `end` in a seeded order, at most `count` of them.
std::vector<std::uint32_t> sample(std::uint32_t first, std::uint32_t end, std::size_t count, std::uint32_t seed);

// ONNX's own checker; empty when it accepts.
std::string checker_complaint(const std::string& onnx);

// Checks every difference added against the tolerance, and prints what it saw:
//   resnet50: 39 splits, 14 identical bit for bit, largest relative difference 8.3e-07
class Tally {
 public:
  explicit Tally(std::string name) : name_(std::move(name)) {}
  void add(const std::string& where, const Result<Difference>& difference);
  void print() const;
  std::size_t count() const { return count_; }
  std::size_t identical() const { return identical_; }

 private:
  std::string name_;
  std::size_t count_ = 0;
  std::size_t identical_ = 0;
  Difference worst_;
  std::string worst_where_;
};

}  // namespace tideline::agree
