#include "engine/onnxruntime/graph_session.h"

#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "engine/onnxruntime/kernel_profile.h"
#include "engine/onnxruntime/safe_names.h"

namespace tideline::ort {
namespace {

// A node folded into a constant costs memory outside the arena, and for ever: above this it is computed at each run instead.
constexpr const char* kFoldedBytesMax = "67108864";

Ort::SessionOptions make_options(const Environment& environment, const SessionOptions& options,
                                 const std::string& profile_folder) {
  Ort::SessionOptions result;
  result.SetIntraOpNumThreads(environment.options.threads);
  result.SetInterOpNumThreads(1);
  result.SetExecutionMode(ORT_SEQUENTIAL);
  result.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);
  result.SetGraphOptimizationLevel(options.optimize ? ORT_ENABLE_ALL : ORT_DISABLE_ALL);
  result.AddConfigEntry("session.use_env_allocators", "1");
  result.AddConfigEntry("session.intra_op.allow_spinning", environment.options.spinning ? "1" : "0");
  result.AddConfigEntry("session.inter_op.allow_spinning", "0");
  // Weights bypass the arena, so that unloading a session gives their memory back to the system.
  result.AddConfigEntry("session.use_device_allocator_for_initializers", "1");
  result.AddConfigEntry("optimization.constant_folding_max_output_size_in_bytes", kFoldedBytesMax);
  if (!profile_folder.empty()) {
    result.EnableProfiling((profile_folder + "/kernels").c_str());
    result.SetOptimizedModelFilePath((profile_folder + "/optimized.onnx").c_str());
    // The graph is wanted, not its weights.
    result.AddConfigEntry("session.optimized_model_external_initializers_file_name", "weights.bin");
    result.AddConfigEntry("session.optimized_model_external_initializers_min_size_in_bytes", "256");
  }
  return result;
}

TensorSpec spec_of(std::string name, const Ort::TypeInfo& type) {
  TensorSpec spec;
  spec.name = std::move(name);
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) return spec;
  const auto info = type.GetTensorTypeAndShapeInfo();
  spec.dtype = dtype_of(info.GetElementType());
  spec.shape = info.GetShape();
  for (std::int64_t& dim : spec.shape) dim = std::max(dim, kUnknownDim);
#if ORT_API_VERSION >= 24
  if (!info.HasShape()) spec.shape = {kUnknownRank};
#endif
  return spec;
}

Error stopped(Watchdog::Reason reason, std::string_view doing) {
  if (reason == Watchdog::Reason::kCancelled) {
    return Error{ErrorCode::kCancelled, "[engine] " + std::string(doing) + " the model was cancelled"};
  }
  return Error{ErrorCode::kDeadlineExceeded,
               "[engine] " + std::string(doing) + " the model took longer than its deadline allows"};
}

bool fits(const TensorSpec& declared, const TensorSpec& given) {
  if (declared.dtype != given.dtype) return false;
  if (!has_rank(declared.shape)) return std::all_of(given.shape.begin(), given.shape.end(), [](auto dim) { return dim >= 0; });
  if (declared.shape.size() != given.shape.size()) return false;
  for (std::size_t i = 0; i < declared.shape.size(); ++i) {
    if (given.shape[i] < 0 || (declared.shape[i] != kUnknownDim && declared.shape[i] != given.shape[i])) return false;
  }
  return true;
}

}  // namespace

GraphSession::~GraphSession() {
  // Profiling ends before its folder goes, and the session before what it took of the arena.
  session_ = Ort::Session(nullptr);
  environment_->process->remove_session();
  if (!profile_folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(profile_folder_, ignored);
  }
}

Result<std::unique_ptr<GraphSession>> GraphSession::load(std::shared_ptr<Environment> environment, std::string_view onnx,
                                                         const SessionOptions& options) {
  if (onnx.empty()) return Error{ErrorCode::kCorrupt, "[engine] the model is empty"};
  std::unique_ptr<GraphSession> session(new GraphSession(std::move(environment)));
  if (options.kernel_profile) {
    TIDELINE_TRY(session->profile_folder_, make_profile_folder());
  }
  Watchdog::Reason reason = Watchdog::Reason::kNone;
  const Status loaded = guard("loading", [&]() -> Status {
    Ort::SessionOptions ort_options = make_options(*session->environment_, options, session->profile_folder_);
    Watchdog::Watch watch(session->environment_->watchdog, options.deadline, options.cancel, [&ort_options] {
      try {
        ort_options.SetLoadCancellationFlag(true);
      } catch (const Ort::Exception&) {  // Nothing more can be done to stop it.
      }
    });
    const Status status = guard("loading", [&]() -> Status {
      session->create(onnx, ort_options);
      return {};
    });
    reason = watch.finish();
    return status;
  });
  if (reason != Watchdog::Reason::kNone) return stopped(reason, "loading");
  if (!loaded) return loaded.error();
  return session;
}

void GraphSession::create(std::string_view onnx, const Ort::SessionOptions& ort_options) {
  std::string renamed;
  if (onnx::ModelProto model;
      !profile_folder_.empty() && model.ParseFromArray(onnx.data(), static_cast<int>(onnx.size())) && has_unsafe_names(model)) {
    make_names_safe(model);
    renamed = model.SerializeAsString();
    has_safe_names_ = !renamed.empty();
    if (has_safe_names_) onnx = renamed;
  }
  session_ = Ort::Session(environment_->process->env, onnx.data(), onnx.size(), ort_options);
  read_specs();
}

void GraphSession::read_specs() {
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t i = 0; i < session_.GetInputCount(); ++i) {
    inputs_.push_back(spec_of(session_.GetInputNameAllocated(i, allocator).get(), session_.GetInputTypeInfo(i)));
  }
  for (std::size_t i = 0; i < session_.GetOutputCount(); ++i) {
    const Ort::TypeInfo type = session_.GetOutputTypeInfo(i);
    outputs_.push_back(spec_of(session_.GetOutputNameAllocated(i, allocator).get(), type));
    output_is_tensor_.push_back(type.GetONNXType() == ONNX_TYPE_TENSOR);
  }
  if (has_safe_names_) {
    for (std::vector<TensorSpec>* specs : {&inputs_, &outputs_})
      for (TensorSpec& spec : *specs) {
        engine_names_.push_back(spec.name);
        spec.name = original_name(spec.name);
      }
    std::size_t at = 0;
    for (std::size_t i = 0; i < inputs_.size(); ++i) input_names_.push_back(engine_names_[at++].c_str());
    for (std::size_t i = 0; i < outputs_.size(); ++i) output_names_.push_back(engine_names_[at++].c_str());
    return;
  }
  for (const TensorSpec& spec : inputs_) input_names_.push_back(spec.name.c_str());
  for (const TensorSpec& spec : outputs_) output_names_.push_back(spec.name.c_str());
}

Status GraphSession::check_inputs(std::span<const TensorView> inputs, std::span<const RunOutput> outputs) const {
  if (inputs.size() != inputs_.size() || outputs.size() != outputs_.size()) {
    return Error{ErrorCode::kInvalidArgument, "[engine] the model has " + std::to_string(inputs_.size()) + " inputs and " +
                                                  std::to_string(outputs_.size()) + " outputs, given are " +
                                                  std::to_string(inputs.size()) + " and " + std::to_string(outputs.size())};
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].spec == nullptr || !fits(inputs_[i], *inputs[i].spec)) {
      return Error{ErrorCode::kInvalidArgument,
                   "[engine] input " + printable(inputs_[i].name) + " must be " + describe(inputs_[i]) + ", not " +
                       (inputs[i].spec == nullptr ? std::string("missing") : describe(*inputs[i].spec))};
    }
    TIDELINE_TRY(const Bytes expected, byte_size(inputs[i].spec->dtype, inputs[i].spec->shape));
    if (expected != inputs[i].bytes.size()) {
      return Error{ErrorCode::kInvalidArgument, "[engine] input " + printable(inputs_[i].name) + " has " +
                                                    std::to_string(inputs[i].bytes.size()) + " bytes, its shape needs " +
                                                    std::to_string(expected)};
    }
  }
  return {};
}

Status GraphSession::run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) {
  TIDELINE_CHECK_OK(check_inputs(inputs, outputs));
  if (options.cancel != nullptr && options.cancel->cancelled()) return stopped(Watchdog::Reason::kCancelled, "running");
  if (options.deadline && *options.deadline <= std::chrono::steady_clock::now()) {
    return stopped(Watchdog::Reason::kDeadline, "running");
  }
  Watchdog::Reason reason = Watchdog::Reason::kNone;
  const Status done = guard("running", [&]() -> Status {
    run_options_.UnsetTerminate();
    Watchdog::Watch watch(environment_->watchdog, options.deadline, options.cancel, [this] {
      try {
        run_options_.SetTerminate();
      } catch (const Ort::Exception&) {  // Nothing more can be done to stop it.
      }
    });
    const Status status = guard("running", [&]() -> Status {
      run_checked(inputs, outputs);
      return {};
    });
    reason = watch.finish();
    return status;
  });
  // A run that came to its end just before it was stopped is a result all the same.
  if (!done && reason != Watchdog::Reason::kNone) return stopped(reason, "running");
  return done;
}

void GraphSession::run_checked(std::span<const TensorView> inputs, std::span<RunOutput> outputs) {
  std::vector<Ort::Value> values;
  values.reserve(inputs.size());
  for (const TensorView& input : inputs) {
    // The engine only reads its inputs; its interface does not say so. Empty tensors need an address all the same.
    static std::byte nothing{};
    std::byte* data = input.bytes.empty() ? &nothing : const_cast<std::byte*>(input.bytes.data());
    values.push_back(Ort::Value::CreateTensor(environment_->process->memory, data, input.bytes.size(), input.spec->shape.data(),
                                              input.spec->shape.size(),
                                              static_cast<ONNXTensorElementDataType>(input.spec->dtype)));
  }
  std::vector<Ort::Value> results;
  results.reserve(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TensorSpec& spec = outputs_[i];
    const auto bytes = byte_size(spec.dtype, spec.shape);
    if (bytes && *bytes > 0 && outputs[i].buffer.size() == *bytes) {
      results.push_back(Ort::Value::CreateTensor(environment_->process->memory, outputs[i].buffer.data(),
                                                 outputs[i].buffer.size(), spec.shape.data(), spec.shape.size(),
                                                 static_cast<ONNXTensorElementDataType>(spec.dtype)));
    } else {
      results.emplace_back(nullptr);
    }
  }
  session_.Run(run_options_, input_names_.data(), values.data(), values.size(), output_names_.data(), results.data(),
               results.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    RunOutput& output = outputs[i];
    output.spec = outputs_[i];
    output.bytes = {};
    output.owner.reset();
    if (!output_is_tensor_[i] || !results[i].IsTensor() || spec_of({}, results[i].GetTypeInfo()).dtype == DType::kString)
      continue;
    const auto info = results[i].GetTensorTypeAndShapeInfo();
    output.spec.dtype = dtype_of(info.GetElementType());
    output.spec.shape = info.GetShape();
    const auto bytes = byte_size(output.spec.dtype, output.spec.shape);
    if (!bytes) continue;
    output.bytes = {static_cast<const std::byte*>(results[i].GetTensorRawData()), *bytes};
    // An empty tensor may lie at no address, as the buffer of a caller who gave none.
    if (!output.buffer.empty() && output.bytes.data() == output.buffer.data()) continue;
    struct Lent {
      std::shared_ptr<Environment> environment;
      Ort::Value value;
    };
    output.owner = std::make_shared<Lent>(Lent{environment_, std::move(results[i])});
  }
}

Result<std::vector<KernelTime>> GraphSession::kernel_times() {
  if (profile_folder_.empty())
    return Error{ErrorCode::kInvalidArgument, "[engine] the session was loaded without kernel_profile"};
  return guard("profiling", [&]() -> Result<std::vector<KernelTime>> {
    Ort::AllocatorWithDefaultOptions allocator;
    const std::string file = session_.EndProfilingAllocated(allocator).get();
    auto times = read_kernel_profile(file, profile_folder_ + "/optimized.onnx");
    if (times && has_safe_names_) {
      for (KernelTime& kernel : *times) {
        kernel.name = original_name(kernel.name);
        for (std::vector<std::string>* names : {&kernel.inputs, &kernel.outputs})
          for (std::string& name : *names) name = original_name(name);
      }
    }
    std::error_code ignored;
    std::filesystem::remove_all(profile_folder_, ignored);
    profile_folder_.clear();
    return times;
  });
}

}  // namespace tideline::ort
