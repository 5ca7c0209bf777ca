// FramePipe: a source's frames, read from a descriptor by a thread of its own: what a camera's program writes into our standard
// input. One frame waits at a time; the task's rule says what becomes of the next one meanwhile: with `none` the writer waits,
// with `oldest` the newer one takes its place, with `newest` it goes. Thread-safe.
//
//   TIDELINE_TRY(auto pipe, FramePipe::open(STDIN_FILENO, [&](std::string frame) { return read_frame(loaded, frame); }));
//   if (auto frame = pipe->take()) send(*frame);
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "session/stream.h"
#include "tensor/tensor.h"

namespace tideline::fleet {

struct FrameCounts {
  std::uint64_t read = 0;
  std::uint64_t bad = 0;      // of them: no input of the model
  std::uint64_t dropped = 0;  // by the rule
  bool ended = false;
  std::string why;  // it ended before its writer did, or the last bad one is bad; empty: neither
};

class FramePipe {
 public:
  // A frame as the values of the model's inputs; an error drops it.
  using Decode = std::function<Result<std::vector<Tensor>>(const std::string& frame)>;
  // `descriptor` stays the caller's and must stay open. kOverloaded when the system gives no thread.
  static Result<std::unique_ptr<FramePipe>> open(int descriptor, Decode decode);
  // Within a tenth of a second, whatever the writer does.
  ~FramePipe();
  FramePipe(const FramePipe&) = delete;
  FramePipe& operator=(const FramePipe&) = delete;

  void set_rule(DropRule rule);
  // The frame that waits, if one does; never waits itself.
  std::optional<std::vector<Tensor>> take();
  FrameCounts counts() const;

 private:
  FramePipe(int descriptor, Decode decode) : descriptor_(descriptor), decode_(std::move(decode)) {}
  void read();
  void put(const std::string& frame);
  void end(std::string why);

  const int descriptor_;
  const Decode decode_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  bool stop_ = false;
  DropRule rule_ = DropRule::kNone;
  std::optional<std::vector<Tensor>> waiting_;
  FrameCounts counts_;
  std::thread thread_;
};

}  // namespace tideline::fleet
