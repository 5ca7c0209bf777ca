#include "engine/segment_session.h"

#include <algorithm>
#include <new>
#include <optional>

#include "base/text.h"
#include "input/input_steps.h"
#include "output/output_steps.h"

namespace tideline {
namespace {

// Stands for "made by the input steps" where an index of the package's inputs is expected.
constexpr std::size_t kFromSteps = static_cast<std::size_t>(-1);

std::optional<std::size_t> index_of(const std::vector<TensorSpec>& specs, std::string_view name) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
  }
  return std::nullopt;
}

class SegmentSession final : public Session {
 public:
  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }

  // The steps take memory as large as what a peer sends; what the system does not give is an error like any
  // other.
  Status run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) override {
    try {
      return run_all(inputs, outputs, options);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::kOverloaded, "[engine] out of memory while running the segment"};
    }
  }

  Status run_all(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) {
    if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size()) {
      return Error{ErrorCode::kInvalidArgument, "[engine] the segment has " + std::to_string(inputs_.size()) + " inputs and " +
                                                    std::to_string(outputs_.size()) + " outputs"};
    }
    Tensor prepared;
    if (!steps_.empty()) {
      TIDELINE_TRY(prepared, run_steps(inputs[step_input_], options));
    }
    if (graph_ == nullptr && output_steps_.empty()) return give(std::move(prepared), 0, outputs[0]);
    if (!output_steps_.empty()) return run_to_the_answer(inputs, prepared, outputs, options);
    return run_graph(inputs, prepared, outputs, options);
  }

  Status run_graph(std::span<const TensorView> inputs, const Tensor& prepared, std::span<RunOutput> outputs,
                   const RunOptions& options) {
    std::vector<TensorView> graph_inputs;
    for (std::size_t i = 0; i < graph_inputs_.size(); ++i) {
      graph_inputs.push_back(graph_inputs_[i] == kFromSteps ? view(prepared) : inputs[graph_inputs_[i]]);
    }
    if (in_order_) return graph_->run(graph_inputs, outputs, options);
    std::vector<RunOutput> graph_outputs(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) graph_outputs[graph_outputs_[i]].buffer = outputs[i].buffer;
    TIDELINE_CHECK_OK(graph_->run(graph_inputs, graph_outputs, options));
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = std::move(graph_outputs[graph_outputs_[i]]);
    return {};
  }

  Result<std::vector<KernelTime>> kernel_times() override {
    if (graph_ == nullptr) return Error{ErrorCode::kInvalidArgument, "[engine] a segment of steps has no kernels"};
    return graph_->kernel_times();
  }

  // Decides which of the package's tensors goes where; kCorrupt when they do not fit together.
  Status connect(const SegmentParts& parts, std::unique_ptr<Session> graph) {
    inputs_ = parts.inputs;
    outputs_ = parts.outputs;
    steps_ = parts.steps;
    section_ = parts.input;
    output_steps_ = parts.output_steps;
    graph_ = std::move(graph);
    if (!steps_.empty() && !section_) return mismatch("has input steps and no input section");
    if (!output_steps_.empty()) TIDELINE_CHECK_OK(connect_output_steps(parts));
    if (graph_ == nullptr && !output_steps_.empty()) return {};
    if (graph_ == nullptr) {
      if (steps_.empty() || inputs_.size() != 1 || outputs_.size() != 1) return mismatch("has nothing to run");
      return {};
    }
    std::vector<bool> used(inputs_.size(), false);
    std::size_t from_steps = 0;
    for (const TensorSpec& spec : graph_->inputs()) {
      const auto found = index_of(inputs_, spec.name);
      // The steps' result has the name of the model's input, as has the image it is made from when a cut lies between two steps.
      const bool is_prepared = !steps_.empty() && (!found || spec.name == section_->tensor);
      graph_inputs_.push_back(is_prepared ? kFromSteps : found.value_or(kFromSteps));
      if (!is_prepared && !found) return mismatch("does not list the input " + printable(spec.name));
      if (is_prepared) ++from_steps;
      if (!is_prepared) used[*found] = true;
    }
    for (const StepSource& source : step_sources_)
      if (!source.of_graph) used[source.index] = true;
    if (!steps_.empty()) {
      const auto free = std::find(used.begin(), used.end(), false);
      if (free == used.end() || from_steps != 1) return mismatch("has no input for its input steps");
      step_input_ = static_cast<std::size_t>(free - used.begin());
      used[step_input_] = true;
    }
    if (std::find(used.begin(), used.end(), false) != used.end()) return mismatch("lists an input that its model does not have");
    if (!output_steps_.empty()) return {};
    if (outputs_.size() != graph_->outputs().size()) return mismatch("lists other outputs than its model has");
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto found = index_of(graph_->outputs(), outputs_[i].name);
      if (!found) return mismatch("lists an output that its model does not have");
      graph_outputs_.push_back(*found);
      in_order_ = in_order_ && *found == i;
    }
    return {};
  }

 private:
  static Error mismatch(const std::string& what) { return Error{ErrorCode::kCorrupt, "[engine] the segment " + what}; }

  // What the first output step reads is made by the graph, or passes it by.
  struct StepSource {
    bool of_graph = false;
    std::size_t index = 0;
  };

  Status connect_output_steps(const SegmentParts& parts) {
    std::size_t of_graph = 0;
    for (const std::string& name : parts.output_inputs) {
      if (const auto made = graph_ == nullptr ? std::nullopt : index_of(graph_->outputs(), name)) {
        step_sources_.push_back({true, *made});
        ++of_graph;
      } else if (const auto given = index_of(inputs_, name)) {
        step_sources_.push_back({false, *given});
      } else {
        return mismatch("does not have what its output steps read");
      }
    }
    const std::size_t made = graph_ == nullptr ? 0 : graph_->outputs().size();
    const std::size_t given = graph_ == nullptr ? inputs_.size() : 0;
    if (of_graph != made || step_sources_.size() - of_graph < given)
      return mismatch("has tensors that its output steps do not read");
    const std::size_t answers = output_steps_.back().kind == OutputKind::kTopk ? 2 : 1;
    if (outputs_.size() != answers) return mismatch("lists other outputs than its output steps make");
    return {};
  }

  Status run_to_the_answer(std::span<const TensorView> inputs, const Tensor& prepared, std::span<RunOutput> outputs,
                           const RunOptions& options) {
    std::vector<RunOutput> made(graph_ == nullptr ? 0 : graph_->outputs().size());
    if (graph_ != nullptr) TIDELINE_CHECK_OK(run_graph(inputs, prepared, made, options));
    std::vector<TensorView> read;
    for (const StepSource& source : step_sources_)
      read.push_back(source.of_graph ? TensorView{&made[source.index].spec, made[source.index].bytes} : inputs[source.index]);
    std::vector<Tensor> current;
    for (const OutputStep& step : output_steps_) {
      TIDELINE_CHECK_OK(check_time(options, "output"));
      TIDELINE_TRY(std::vector<Tensor> next, run_output_step(step, read));
      current = std::move(next);
      read.clear();
      for (const Tensor& tensor : current) read.push_back(view(tensor));
    }
    if (current.size() != outputs.size()) return Error{ErrorCode::kInternal, "[engine] the output steps made other tensors"};
    for (std::size_t i = 0; i < outputs.size(); ++i) TIDELINE_CHECK_OK(give(std::move(current[i]), i, outputs[i]));
    return {};
  }

  static Status check_time(const RunOptions& options, const char* which) {
    if (options.cancel != nullptr && options.cancel->cancelled())
      return Error{ErrorCode::kCancelled, "[engine] running the " + std::string(which) + " steps was cancelled"};
    if (options.deadline && *options.deadline <= std::chrono::steady_clock::now())
      return Error{ErrorCode::kDeadlineExceeded,
                   "[engine] running the " + std::string(which) + " steps took longer than the deadline allows"};
    return {};
  }

  Result<Tensor> run_steps(const TensorView& input, const RunOptions& options) const {
    std::optional<Tensor> current;
    for (const InputStep step : steps_) {
      TIDELINE_CHECK_OK(check_time(options, "input"));
      TIDELINE_TRY(Tensor next, run_input_step(step, *section_, current ? view(*current) : input));
      current = std::move(next);
    }
    return std::move(*current);
  }

  Status give(Tensor tensor, std::size_t position, RunOutput& output) const {
    output.spec = outputs_[position];
    output.spec.shape = tensor.spec.shape;
    output.spec.dtype = tensor.spec.dtype;
    if (output.buffer.size() == tensor.data.size() && !tensor.data.empty()) {
      std::memcpy(output.buffer.data(), tensor.data.data(), tensor.data.size());
      output.bytes = output.buffer;
      output.owner.reset();
      return {};
    }
    auto owner = std::make_shared<Tensor>(std::move(tensor));
    output.bytes = owner->data.span();
    output.owner = std::move(owner);
    return {};
  }

  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::vector<InputStep> steps_;
  std::optional<InputSection> section_;
  std::size_t step_input_ = 0;
  std::vector<OutputStep> output_steps_;
  std::vector<StepSource> step_sources_;    // in the order in which the first output step reads them
  std::unique_ptr<Session> graph_;          // null: only steps
  std::vector<std::size_t> graph_inputs_;   // for each input of the graph: which of ours, or kFromSteps
  std::vector<std::size_t> graph_outputs_;  // for each of our outputs: which of the graph's
  bool in_order_ = true;
};

}  // namespace

Result<std::unique_ptr<Session>> load_segment(std::string_view package, const SessionOptions& options, LoadOnnx load_onnx,
                                              void* engine) {
  TIDELINE_TRY(const SegmentParts parts, parse_segment(package));
  std::unique_ptr<Session> graph;
  if (!parts.onnx.empty()) {
    TIDELINE_TRY(graph, load_onnx(engine, parts.onnx, options));
  }
  auto session = std::make_unique<SegmentSession>();
  TIDELINE_CHECK_OK(session->connect(parts, std::move(graph)));
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace tideline
