// GraphSession: one ONNX model loaded into ONNX Runtime. Include only from engine/onnxruntime/*.cpp.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "engine/onnxruntime/environment.h"

namespace tideline::ort {

class GraphSession final : public Session {
 public:
  // `environment` is shared because outputs that are lent may outlive both the session and the engine.
  static Result<std::unique_ptr<GraphSession>> load(std::shared_ptr<Environment> environment, std::string_view onnx,
                                                    const SessionOptions& options);
  ~GraphSession() override;

  const std::vector<TensorSpec>& inputs() const override { return inputs_; }
  const std::vector<TensorSpec>& outputs() const override { return outputs_; }
  Status run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) override;
  Result<std::vector<KernelTime>> kernel_times() override;

 private:
  explicit GraphSession(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {
    environment_->process->add_session();
  }
  void create(std::string_view onnx, const Ort::SessionOptions& ort_options);
  void read_specs();
  Status check_inputs(std::span<const TensorView> inputs, std::span<const RunOutput> outputs) const;
  void run_checked(std::span<const TensorView> inputs, std::span<RunOutput> outputs);

  std::shared_ptr<Environment> environment_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> outputs_;
  std::vector<bool> output_is_tensor_;
  std::deque<std::string> engine_names_;   // with safe names: those of inputs and outputs
  std::vector<const char*> input_names_;   // point into inputs_ or engine_names_
  std::vector<const char*> output_names_;  // ... outputs_
  Ort::RunOptions run_options_;
  std::string profile_folder_;   // empty: no kernel profile, or ended
  bool has_safe_names_ = false;  // the engine knows the names as safe_names.h writes them
  Ort::Session session_{nullptr};
};

}  // namespace tideline::ort
