#include "measure/power_bench.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace tideline {
namespace {

using PowerClock = std::chrono::steady_clock;

// Counters are renewed every millisecond or so, monitors average over some tens.
constexpr std::chrono::milliseconds kPowerStep{50};

// Reads the meter in a thread of its own from construction to finish().
class PowerSampler {
 public:
  explicit PowerSampler(const PowerMeter& meter) : meter_(meter), thread_([this] { sample(); }) {}
  ~PowerSampler() { stop(); }

  // The mean power, weighted with time.
  Result<double> finish() {
    stop();
    if (error_) return *error_;
    if (seconds_ <= 0) return Error{ErrorCode::kInternal, "[power] no time passed between two readings"};
    return joules_ / seconds_;
  }

 private:
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      is_done_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  void sample() {
    std::optional<PowerReading> before;
    bool is_last = false;
    while (true) {
      auto reading = meter_.read();
      if (!reading) {
        error_ = reading.error();
        return;
      }
      if (before) {
        const double seconds = std::chrono::duration<double>(reading->at - before->at).count();
        joules_ += meter_.watts(*before, *reading) * seconds;
        seconds_ += seconds;
      }
      before = std::move(*reading);
      if (is_last) return;
      std::unique_lock lock(mutex_);
      is_last = wake_.wait_for(lock, kPowerStep, [&] { return is_done_; });
    }
  }

  const PowerMeter& meter_;
  // Of the thread until it has ended.
  double joules_ = 0;
  double seconds_ = 0;
  std::optional<Error> error_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool is_done_ = false;  // by mutex_
  std::thread thread_;    // last: it uses all of the above
};

Status wait_idle(const PowerBenchOptions& options, PowerClock::time_point end) {
  while (PowerClock::now() < end) {
    if (options.cancel != nullptr && options.cancel->cancelled()) return Error{ErrorCode::kCancelled, "[power] interrupted"};
    std::this_thread::sleep_for(std::min<PowerClock::duration>(kPowerStep, end - PowerClock::now()));
  }
  return {};
}

}  // namespace

Result<PowerProfile> measure_power(const PowerMeter& meter, const std::function<Status()>& load,
                                   const PowerBenchOptions& options) {
  const auto time = std::chrono::duration_cast<PowerClock::duration>(options.time);
  PowerProfile power{.method = meter.method(), .time = options.time};
  {
    PowerSampler sampler(meter);
    TIDELINE_CHECK_OK(wait_idle(options, PowerClock::now() + time));
    TIDELINE_TRY(power.idle_w, sampler.finish());
  }
  PowerSampler sampler(meter);
  const auto end = PowerClock::now() + time;
  do {
    TIDELINE_CHECK_OK(load());
  } while (PowerClock::now() < end);
  TIDELINE_TRY(power.compute_w, sampler.finish());
  return power;
}

}  // namespace tideline
