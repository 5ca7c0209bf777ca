#include "fleet/run/frame_pipe.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "base/limits.h"
#include "fleet/run/frame_cutter.h"

namespace tideline::fleet {
namespace {

constexpr int kLookForEndMs = 100;

}  // namespace

Result<std::unique_ptr<FramePipe>> FramePipe::open(int descriptor, Decode decode) {
  std::unique_ptr<FramePipe> pipe(new FramePipe(descriptor, std::move(decode)));
  try {
    pipe->thread_ = std::thread([raw = pipe.get()] {
      try {
        raw->read();
      } catch (const std::exception&) {
        raw->end("[frames] out of memory");
      }
    });
  } catch (const std::system_error&) {
    return Error{ErrorCode::kOverloaded, "[frames] the system gives no thread to read frames with"};
  }
  return pipe;
}

FramePipe::~FramePipe() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void FramePipe::set_rule(DropRule rule) {
  const std::lock_guard lock(mutex_);
  rule_ = rule;
  changed_.notify_all();
}

std::optional<std::vector<Tensor>> FramePipe::take() {
  const std::lock_guard lock(mutex_);
  std::optional<std::vector<Tensor>> taken;
  taken.swap(waiting_);
  changed_.notify_all();
  return taken;
}

FrameCounts FramePipe::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void FramePipe::end(std::string why) {
  const std::lock_guard lock(mutex_);
  counts_.ended = true;
  if (!why.empty()) counts_.why = std::move(why);
}

void FramePipe::put(const std::string& frame) {
  auto values = decode_(frame);
  std::unique_lock lock(mutex_);
  ++counts_.read;
  if (!values) {
    ++counts_.bad;
    counts_.why = values.error().message;
    return;
  }
  changed_.wait(lock, [&] { return stop_ || !waiting_ || rule_ != DropRule::kNone; });
  if (stop_) return;
  if (waiting_) ++counts_.dropped;
  if (!waiting_ || rule_ == DropRule::kOldest) waiting_ = std::move(*values);
}

void FramePipe::read() {
  FrameCutter cutter(limits::kImageFileBytesMax);
  std::string piece(65'536, '\0');
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    pollfd watched{.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (::poll(&watched, 1, kLookForEndMs) == 0) continue;
    const ssize_t got = ::read(descriptor_, piece.data(), piece.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return end(fmt::format("[frames] cannot read frames: {}", std::strerror(errno)));
    if (got == 0)
      return end(cutter.pending() == 0 ? ""
                                       : fmt::format("[frames] the last frame was cut off after {} bytes", cutter.pending()));
    cutter.add({piece.data(), static_cast<std::size_t>(got)});
    while (true) {
      const auto frame = cutter.next();
      if (!frame) return end(frame.error().message);
      if (!*frame) break;
      put(**frame);
    }
  }
}

}  // namespace tideline::fleet
