#include "node/slow_engine.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "base/check.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

// Sleeps until `until`, but wakes for cancellation and the deadline.
Status sleep_until(SteadyTime until, const RunOptions& options) {
  struct Wake {
    std::mutex mutex;
    std::condition_variable changed;
  };
  const auto wake = std::make_shared<Wake>();
  const CancelToken never;
  const CancelToken& cancel = options.cancel != nullptr ? *options.cancel : never;
  const auto watch = cancel.watch([wake] {
    const std::lock_guard lock(wake->mutex);
    wake->changed.notify_all();
  });
  const SteadyTime end = options.deadline ? std::min(until, *options.deadline) : until;
  std::unique_lock lock(wake->mutex);
  wake->changed.wait_until(lock, end, [&] { return cancel.cancelled(); });
  if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "[node] the caller gave up"};
  if (end < until) return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed in the engine"};
  return {};
}

class SlowSession final : public Session {
 public:
  SlowSession(std::unique_ptr<Session> inner, double factor) : inner_(std::move(inner)), factor_(factor) {}
  const std::vector<TensorSpec>& inputs() const override { return inner_->inputs(); }
  const std::vector<TensorSpec>& outputs() const override { return inner_->outputs(); }
  Status run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) override {
    const SteadyTime started = Clock::now();
    TIDELINE_CHECK_OK(inner_->run(inputs, outputs, options));
    return stretch(started, factor_, options);
  }
  Result<std::vector<KernelTime>> kernel_times() override { return inner_->kernel_times(); }

 private:
  const std::unique_ptr<Session> inner_;
  const double factor_;
};

class SlowEngine final : public Engine {
 public:
  SlowEngine(Engine& inner, double factor) : inner_(inner), factor_(factor) {}
  Result<std::unique_ptr<Session>> load(std::string_view package, const SessionOptions& options) override {
    return slow(inner_.load(package, options));
  }
  Result<std::unique_ptr<Session>> load_onnx(std::string_view onnx, const SessionOptions& options) override {
    return slow(inner_.load_onnx(onnx, options));
  }
  std::string version() const override { return inner_.version(); }
  int threads() const override { return inner_.threads(); }

 private:
  Result<std::unique_ptr<Session>> slow(Result<std::unique_ptr<Session>> loaded) const {
    if (!loaded) return loaded;
    return std::unique_ptr<Session>(std::make_unique<SlowSession>(std::move(*loaded), factor_));
  }

  Engine& inner_;
  const double factor_;
};

}  // namespace

Status stretch(SteadyTime began, double factor, const RunOptions& options) {
  // Longer than a day nobody waits, and the clock's arithmetic holds.
  const auto longer = std::min<std::chrono::duration<double>>((Clock::now() - began) * factor, std::chrono::hours(24));
  return sleep_until(began + std::chrono::duration_cast<Clock::duration>(longer), options);
}

std::unique_ptr<Engine> make_slow_engine(Engine& inner, double factor) {
  TIDELINE_CHECK(factor >= 1);
  return std::make_unique<SlowEngine>(inner, factor);
}

}  // namespace tideline
