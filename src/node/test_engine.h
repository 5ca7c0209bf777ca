// HookedEngine: the real engine with the test's own doing before every load and run.
#pragma once

#include <functional>
#include <memory>

#include "engine/engine.h"

namespace tideline {

class HookedEngine final : public Engine {
 public:
  explicit HookedEngine(Engine& inner) : inner_(inner) {}
  // Called on the thread that loads or runs; their error is the load's or run's. Set before the nodes use the engine.
  std::function<Status()> before_load = [] { return Status(); };
  std::function<Status(const RunOptions&)> before_run = [](const RunOptions&) { return Status(); };

  Result<std::unique_ptr<Session>> load(std::string_view package, const SessionOptions& options) override {
    TIDELINE_CHECK_OK(before_load());
    TIDELINE_TRY(auto session, inner_.load(package, options));
    return std::unique_ptr<Session>(std::make_unique<HookedSession>(*this, std::move(session)));
  }
  Result<std::unique_ptr<Session>> load_onnx(std::string_view onnx, const SessionOptions& options) override {
    return inner_.load_onnx(onnx, options);
  }
  std::string version() const override { return inner_.version(); }
  int threads() const override { return inner_.threads(); }

 private:
  class HookedSession final : public Session {
   public:
    HookedSession(HookedEngine& engine, std::unique_ptr<Session> inner) : engine_(engine), inner_(std::move(inner)) {}
    const std::vector<TensorSpec>& inputs() const override { return inner_->inputs(); }
    const std::vector<TensorSpec>& outputs() const override { return inner_->outputs(); }
    Status run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) override {
      TIDELINE_CHECK_OK(engine_.before_run(options));
      return inner_->run(inputs, outputs, options);
    }
    Result<std::vector<KernelTime>> kernel_times() override { return inner_->kernel_times(); }

   private:
    HookedEngine& engine_;
    std::unique_ptr<Session> inner_;
  };

  Engine& inner_;
};

}  // namespace tideline
