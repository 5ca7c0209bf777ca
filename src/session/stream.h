// Streams: requests of one source with several in flight, answers in the order of the frames, and a rule for what is dropped when
// the source is faster than the route.
//
// StreamSource and InOrder are pure: time is what the caller says it is. run_stream() adds the threads.
//
//   StreamSource source({.rate_per_s = 30, .drop = DropRule::kOldest, .frames = 300}, now);
//   while (!source.over(now)) if (auto frame = source.take(now)) send(*frame);
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "base/units.h"
#include "client/client.h"

namespace tideline {

// What a source with a rate does with a frame when the waiting room is full.
enum class DropRule {
  kNone,    // nothing: frames wait as long as it takes, and their latency says so
  kOldest,  // the frame that has waited longest goes: the freshest picture counts
  kNewest,  // the frame that has just come goes: what has begun to wait is served
};
// kInvalidArgument names the rules.
Result<DropRule> drop_rule_from(std::string_view name);

struct StreamFrame {
  std::uint64_t number = 0;  // of all frames of the source, the dropped ones too
  SteadyTime arrived;        // when the source made it
};

struct SourceOptions {
  double rate_per_s = 0;  // of the source; 0: a frame whenever the route can take one
  DropRule drop = DropRule::kNone;
  std::size_t waiting_max = 1;  // frames that wait before one is dropped; with kNone no limit
  std::uint64_t frames = 0;     // the source ends after so many; 0: never
  Nanos duration{0};            // ... and after so long; 0: never
};

// A source of frames as a state machine. Frame n of a source with a rate arises at start + n / rate. Not thread-safe.
class StreamSource {
 public:
  StreamSource(const SourceOptions& options, SteadyTime start);

  // The next frame to send, if there is one at `now`. `now` never goes back.
  std::optional<StreamFrame> take(SteadyTime now);
  // When take() may have a frame that it has not got yet; nothing when there will be none.
  std::optional<SteadyTime> next_due() const;
  // Nothing waits and nothing will come.
  bool over(SteadyTime now);
  std::uint64_t dropped() const { return dropped_; }

 private:
  SteadyTime due(std::uint64_t number) const;
  bool ends_before(std::uint64_t number, SteadyTime arrives) const;
  // Lets every frame arise that is due, and drops what has no room.
  void advance(SteadyTime now);

  SourceOptions options_;
  SteadyTime start_;
  std::uint64_t next_ = 0;  // the next frame to arise
  std::deque<StreamFrame> waiting_;
  std::uint64_t dropped_ = 0;
};

// Gives back in order what is done in any order. Not thread-safe.
template <typename T>
class InOrder {
 public:
  // `position`: 0, 1, 2 in the order wanted, each once.
  void put(std::uint64_t position, T value) { done_.emplace(position, std::move(value)); }
  // The next one, when it is there.
  std::optional<T> next() {
    const auto first = done_.begin();
    if (first == done_.end() || first->first != next_) return std::nullopt;
    std::optional<T> value(std::move(first->second));
    done_.erase(first);
    ++next_;
    return value;
  }

 private:
  std::uint64_t next_ = 0;
  std::map<std::uint64_t, T> done_;
};

struct StreamAnswer {
  StreamFrame frame;
  SteadyTime sent;
  SteadyTime answered;
  RunAnswer answer;
};

struct StreamEnd {
  std::uint64_t dropped = 0;
  // Why it ended before its source did; the answers before that were all given to the sink.
  std::optional<Error> error;
};

// Runs a stream with up to `in_flight` frames under way: `run` is called for them on threads of this call, `sink` on the calling
// thread with each answer in the order of the frames. The first error of either ends the stream: what is under way is cancelled
// (`run` is given a token for it), and the rest is not sent. So does `cancel`. Where the system gives fewer threads, fewer frames
// are under way; kOverloaded when it gives none.
StreamEnd run_stream(const SourceOptions& options, std::uint32_t in_flight,
                     const std::function<Result<RunAnswer>(const StreamFrame&, const CancelToken&)>& run,
                     const std::function<Status(StreamAnswer&&)>& sink, const CancelToken& cancel);

}  // namespace tideline
