#include "split_support.h"

#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>

#include "engine/probe.h"
#include "model/segment.h"

namespace tideline::agree {

namespace {

Tensor copy_of(const Tensor& tensor) { return {tensor.spec, Buffer::copy_of(tensor.data.span())}; }

Tensors only(const Tensors& from, const Cut& cut) {
  Tensors kept;
  for (const TensorSpec& spec : cut.tensors)
    if (const auto it = from.find(spec.name); it != from.end()) kept.emplace(spec.name, copy_of(it->second));
  return kept;
}

}  // namespace

Engine& engine() {
  static const auto made = make_engine({.threads = 1});
  EXPECT_TRUE(made);
  return **made;
}

Status run_session(Session& session, const Tensors& in, Tensors& out) {
  std::vector<TensorView> views;
  for (const TensorSpec& spec : session.inputs()) {
    const auto it = in.find(spec.name);
    if (it == in.end())
      return Error{ErrorCode::kInternal, fmt::format("the segment reads '{}', which does not cross", spec.name)};
    views.push_back(view(it->second));
  }
  std::vector<RunOutput> outputs(session.outputs().size());
  TIDELINE_CHECK_OK(session.run(views, outputs, {}));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    Tensor tensor{outputs[i].spec, Buffer::copy_of(outputs[i].bytes)};
    tensor.spec.name = session.outputs()[i].name;
    out.insert_or_assign(tensor.spec.name, std::move(tensor));
  }
  return {};
}

Result<std::unique_ptr<SplitModel>> SplitModel::make(Engine& engine, std::string onnx, const std::string& name,
                                                     const ModelOptions& options, std::vector<Tensor> inputs) {
  TIDELINE_TRY(Model model, Model::parse(onnx, name, "", options));
  std::string().swap(onnx);
  auto split = std::unique_ptr<SplitModel>(new SplitModel(engine, std::move(model)));
  if (inputs.empty()) {
    TIDELINE_TRY(inputs, seeded_inputs(split->model_, 42));
  }
  TIDELINE_CHECK_OK(probe_shapes(engine, split->model_, inputs));
  for (Tensor& input : inputs) {
    const std::string input_name = input.spec.name;
    split->inputs_.emplace(input_name, std::move(input));
  }
  TIDELINE_CHECK_OK(split->recut(1));
  return split;
}

Status SplitModel::recut(std::uint32_t cut_width, std::vector<OutputStep> steps) {
  TIDELINE_TRY(chain_, make_chain(model_.graph(), model_.sha256(),
                                  {.cut_width = cut_width, .input = std::nullopt, .output_steps = std::move(steps)}));
  return {};
}

void SplitModel::set_optimized(bool is_optimized) {
  if (is_optimized_ != is_optimized) whole_.clear();
  is_optimized_ = is_optimized;
}

Result<const Tensors*> SplitModel::whole() {
  if (whole_.empty()) {
    TIDELINE_TRY(const std::string onnx, model_.onnx_bytes());
    TIDELINE_TRY(const auto session, engine_.load_onnx(onnx, {.optimize = is_optimized_}));
    TIDELINE_CHECK_OK(run_session(*session, inputs_, whole_));
  }
  return &whole_;
}

Result<Tensors> SplitModel::run_segment(const Tensors& in, std::uint32_t first, std::uint32_t last) {
  TIDELINE_TRY(const Segment segment, extract_segment(model_, chain_, first, last));
  TIDELINE_TRY(const auto session, engine_.load(segment.bytes, {.optimize = is_optimized_}));
  Tensors all = only(in, chain_.cuts[first]);
  TIDELINE_CHECK_OK(run_session(*session, all, all));
  Tensors out = only(all, chain_.cuts[last + 1]);
  if (out.size() != chain_.cuts[last + 1].tensors.size())
    return Error{ErrorCode::kInternal, fmt::format("blocks {}..{} do not give every tensor of the cut behind them", first, last)};
  return out;
}

Result<Tensors> SplitModel::run_split(const std::vector<std::uint32_t>& cuts) {
  std::vector<std::uint32_t> ends = cuts;
  ends.push_back(chain_.block_count());
  Tensors now = only(inputs_, chain_.cuts[0]);
  std::uint32_t first = 0;
  for (const std::uint32_t end : ends) {
    TIDELINE_TRY(now, run_segment(now, first, end - 1));
    first = end;
  }
  return now;
}

Result<Difference> SplitModel::difference_at(std::uint32_t cut, const Tensors& expected, const Tensors& found) const {
  Difference difference;
  for (const TensorSpec& spec : chain_.cuts[cut].tensors) {
    const auto a = expected.find(spec.name);
    const auto b = found.find(spec.name);
    if (a == expected.end() || b == found.end()) return Error{ErrorCode::kInternal, fmt::format("'{}' was not made", spec.name)};
    difference.merge(compare(a->second, b->second));
  }
  return difference;
}

Result<Difference> SplitModel::difference(const std::vector<std::uint32_t>& cuts) {
  TIDELINE_TRY(const Tensors* expected, whole());
  TIDELINE_TRY(const Tensors found, run_split(cuts));
  return difference_at(chain_.block_count(), *expected, found);
}

std::vector<std::uint32_t> sample(std::uint32_t first, std::uint32_t end, std::size_t count, std::uint32_t seed) {
  std::vector<std::uint32_t> all;
  for (std::uint32_t i = first; i < end; ++i) all.push_back(i);
  std::mt19937 random(seed);
  // Not std::shuffle, whose order differs between standard libraries.
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random() % i]);
  if (all.size() > count) all.resize(count);
  return all;
}

std::string checker_complaint(const std::string& onnx) {
  onnx::ModelProto model;
  if (!model.ParseFromString(onnx)) return "it is no protobuf";
  try {
    onnx::checker::check_model(model);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

void Tally::add(const std::string& where, const Result<Difference>& difference) {
  if (!difference) {
    ADD_FAILURE() << name_ << ": split " << where << ": " << difference.error().message;
    return;
  }
  ++count_;
  identical_ += difference->is_identical ? 1 : 0;
  if (difference->relative > worst_.relative) {
    worst_ = *difference;
    worst_where_ = where;
  }
  EXPECT_TRUE(difference->is_within_tolerance)
      << name_ << ": split " << where << ": " << difference->absolute << " apart, relative " << difference->relative;
}

void Tally::print() const {
  fmt::print("{}: {} splits, {} identical bit for bit, largest relative difference {:.2g}{}\n", name_, count_, identical_,
             worst_.relative, worst_where_.empty() ? "" : fmt::format(" ({:.2g} absolute) {}", worst_.absolute, worst_where_));
}

}  // namespace tideline::agree
