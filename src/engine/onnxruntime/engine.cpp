#include "engine/onnxruntime/environment.h"
#include "engine/onnxruntime/graph_session.h"
#include "engine/segment_session.h"

namespace tideline {
namespace ort {
namespace {

class OnnxRuntimeEngine final : public Engine {
 public:
  explicit OnnxRuntimeEngine(std::shared_ptr<Environment> environment) : environment_(std::move(environment)) {}

  Result<std::unique_ptr<Session>> load(std::string_view package, const SessionOptions& options) override {
    return load_segment(
        package, options,
        [](void* engine, std::string_view onnx, const SessionOptions& onnx_options) {
          return static_cast<OnnxRuntimeEngine*>(engine)->load_onnx(onnx, onnx_options);
        },
        this);
  }

  Result<std::unique_ptr<Session>> load_onnx(std::string_view onnx, const SessionOptions& options) override {
    TIDELINE_TRY(std::unique_ptr<Session> session, GraphSession::load(environment_, onnx, options));
    return session;
  }

  std::string version() const override { return "ONNX Runtime " + Ort::GetVersionString(); }
  int threads() const override { return environment_->options.threads; }

 private:
  std::shared_ptr<Environment> environment_;
};

}  // namespace

}  // namespace ort

Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options) {
  if (options.threads < 1 || options.threads > limits::kEngineThreadsMax) {
    return Error{ErrorCode::kInvalidArgument, "[engine] threads must be 1 to " + std::to_string(limits::kEngineThreadsMax) +
                                                  ", not " + std::to_string(options.threads)};
  }
  if (options.memory_bytes == 0) return Error{ErrorCode::kInvalidArgument, "[engine] the memory limit must be over zero"};
  return ort::guard("starting", [&]() -> Result<std::unique_ptr<Engine>> {
    TIDELINE_TRY(auto process, ort::ProcessEnvironment::get(options.memory_bytes));
    return std::unique_ptr<Engine>(
        std::make_unique<ort::OnnxRuntimeEngine>(std::make_shared<ort::Environment>(options, std::move(process))));
  });
}

}  // namespace tideline
