#include "session/stream.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

using RunFrame = std::function<Result<RunAnswer>(const StreamFrame&, const CancelToken&)>;

// What the threads of a stream share.
class Runner {
 public:
  Runner(const SourceOptions& options, std::uint32_t in_flight, const RunFrame& run)
      : run_(run), source_(options, Clock::now()), unread_max_(2 * std::uint64_t{in_flight} + 2) {}

  // Sends frames one after the other until the stream ends; as many threads as may be in flight do.
  void send() {
    std::unique_lock lock(mutex_);
    while (!stopped_) {
      // Answers that nobody has taken yet hold memory: a slow sink holds the source up.
      if (sent_ - given_ >= unread_max_) {
        changed_.wait(lock);
        continue;
      }
      const SteadyTime now = Clock::now();
      if (const auto frame = source_.take(now)) {
        const std::uint64_t position = sent_++;
        ++under_way_;
        lock.unlock();
        auto answer = run_one(*frame);
        const SteadyTime answered = Clock::now();
        const bool failed = !answer;
        lock.lock();
        --under_way_;
        if (answer)
          answers_.put(position, StreamAnswer{*frame, now, answered, std::move(*answer)});
        else
          end(std::move(answer).error());
        changed_.notify_all();
        if (!failed) continue;
        // What else is under way would only fail too, later.
        lock.unlock();
        stop_.cancel();
        return;
      }
      if (source_.over(now)) break;
      if (const auto due = source_.next_due())
        changed_.wait_until(lock, *due);
      else
        changed_.wait(lock);
    }
    changed_.notify_all();
  }

  // The next answer in order; none when there will be no more.
  std::optional<StreamAnswer> next() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (auto answer = answers_.next()) {
        ++given_;
        changed_.notify_all();
        return answer;
      }
      if (under_way_ == 0 && (stopped_ || source_.over(Clock::now()))) return std::nullopt;
      changed_.wait(lock);
    }
  }

  void stop(Error error) {
    {
      const std::lock_guard lock(mutex_);
      end(std::move(error));
      changed_.notify_all();
    }
    stop_.cancel();
  }

  StreamEnd result() {
    const std::lock_guard lock(mutex_);
    return {source_.dropped(), error_};
  }

 private:
  Result<RunAnswer> run_one(const StreamFrame& frame) {
    try {
      return run_(frame, stop_);
    } catch (const std::exception&) {
      return Error{ErrorCode::kOverloaded, "[stream] out of memory or threads"};
    }
  }

  // REQUIRES: the lock. The first error is the cause; those after it are its consequences.
  void end(Error error) {
    if (!error_) error_ = std::move(error);
    stopped_ = true;
  }

  const RunFrame& run_;
  CancelToken stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  StreamSource source_;
  InOrder<StreamAnswer> answers_;
  std::uint64_t unread_max_;
  std::uint64_t sent_ = 0;
  std::uint64_t given_ = 0;
  std::uint64_t under_way_ = 0;
  bool stopped_ = false;
  std::optional<Error> error_;
};

}  // namespace

Result<DropRule> drop_rule_from(std::string_view name) {
  if (name == "none") return DropRule::kNone;
  if (name == "oldest") return DropRule::kOldest;
  if (name == "newest") return DropRule::kNewest;
  return Error{ErrorCode::kInvalidArgument, "a drop rule is none, oldest or newest"};
}

StreamSource::StreamSource(const SourceOptions& options, SteadyTime start) : options_(options), start_(start) {
  options_.waiting_max = std::max<std::size_t>(1, options_.waiting_max);
}

SteadyTime StreamSource::due(std::uint64_t number) const {
  // A lifetime away is never; more would not fit a clock.
  constexpr double kNeverMs = 3e12;
  return start_ +
         std::chrono::duration_cast<Nanos>(Millis(std::min(kNeverMs, 1e3 * static_cast<double>(number) / options_.rate_per_s)));
}

bool StreamSource::ends_before(std::uint64_t number, SteadyTime arrives) const {
  return (options_.frames > 0 && number >= options_.frames) ||
         (options_.duration > Nanos(0) && arrives >= start_ + options_.duration);
}

void StreamSource::advance(SteadyTime now) {
  if (options_.rate_per_s <= 0) return;
  while (true) {
    const SteadyTime arrives = due(next_);
    if (arrives > now || ends_before(next_, arrives)) return;
    // Without a drop rule the frames to come need no room: what they are is known when they are taken.
    const bool full = waiting_.size() >= (options_.drop == DropRule::kNone ? 1 : options_.waiting_max);
    if (full && options_.drop == DropRule::kNone) return;
    if (full) ++dropped_;
    if (full && options_.drop == DropRule::kOldest) waiting_.pop_front();
    if (!full || options_.drop == DropRule::kOldest) waiting_.push_back({next_, arrives});
    ++next_;
  }
}

std::optional<StreamFrame> StreamSource::take(SteadyTime now) {
  if (options_.rate_per_s <= 0) {
    if (ends_before(next_, now)) return std::nullopt;
    return StreamFrame{next_++, now};
  }
  advance(now);
  if (waiting_.empty()) return std::nullopt;
  const StreamFrame frame = waiting_.front();
  waiting_.pop_front();
  return frame;
}

std::optional<SteadyTime> StreamSource::next_due() const {
  if (options_.rate_per_s <= 0) return std::nullopt;
  const SteadyTime arrives = due(next_);
  if (ends_before(next_, arrives)) return std::nullopt;
  return arrives;
}

bool StreamSource::over(SteadyTime now) {
  if (options_.rate_per_s <= 0) return ends_before(next_, now);
  advance(now);
  return waiting_.empty() && ends_before(next_, due(next_));
}

StreamEnd run_stream(const SourceOptions& options, std::uint32_t in_flight,
                     const std::function<Result<RunAnswer>(const StreamFrame&, const CancelToken&)>& run,
                     const std::function<Status(StreamAnswer&&)>& sink, const CancelToken& cancel) {
  const std::uint32_t count = std::max(1U, in_flight);
  // Shared: a cancellation that has begun may end after this call.
  const auto runner = std::make_shared<Runner>(options, count, run);
  const auto watch = cancel.watch([runner] { runner->stop(Error{ErrorCode::kCancelled, "interrupted"}); });
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    while (threads.size() < count) threads.emplace_back([&runner] { runner->send(); });
  } catch (const std::system_error&) {
    // Fewer than wanted make a slower stream, and none makes none.
    if (threads.empty()) runner->stop(Error{ErrorCode::kOverloaded, "[stream] the system gives no thread to send with"});
  }
  while (auto answer = runner->next()) {
    if (Status taken = sink(std::move(*answer)); !taken) runner->stop(std::move(taken).error());
  }
  for (std::thread& thread : threads) thread.join();
  return runner->result();
}

}  // namespace tideline
