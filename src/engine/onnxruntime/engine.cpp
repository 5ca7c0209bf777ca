#include "engine/onnxruntime/environment.h"
#include "engine/onnxruntime/graph_session.h"
#include "engine/segment_session.h"

namespace tideline {
namespace ort {
namespace {

// ONNX Runtime's own log: its errors come back as statuses, and the rest is no concern of a user.
void drop_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char*) {}

constexpr int kExtendBySize = 1;  // the arena grows by what is asked for, not to the next power of two
constexpr int kDefault = -1;

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

Environment::Environment(const EngineOptions& engine_options)
    : options(engine_options),
      env(ORT_LOGGING_LEVEL_FATAL, "tideline", drop_log, nullptr),
      memory(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
  env.CreateAndRegisterAllocator(memory, Ort::ArenaCfg(options.memory_bytes, kExtendBySize, kDefault, kDefault));
}

}  // namespace ort

Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options) {
  if (options.threads < 1 || options.threads > limits::kEngineThreadsMax) {
    return Error{ErrorCode::kInvalidArgument, "[engine] threads must be 1 to " + std::to_string(limits::kEngineThreadsMax) +
                                                  ", not " + std::to_string(options.threads)};
  }
  if (options.memory_bytes == 0) return Error{ErrorCode::kInvalidArgument, "[engine] the memory limit must be over zero"};
  return ort::guard("starting", [&]() -> Result<std::unique_ptr<Engine>> {
    return std::unique_ptr<Engine>(std::make_unique<ort::OnnxRuntimeEngine>(std::make_shared<ort::Environment>(options)));
  });
}

}  // namespace tideline
