#include "output.h"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <unistd.h>

#include "base/text.h"

namespace tideline::app {
namespace {

// One guarded stream.
struct Guard {
  int fd = -1;
  bool progress = false;  // "\r" and "ESC [ K" pass: the progress bar's
  std::function<bool()> raw;
  std::string held;  // the beginning of a character or a sequence whose rest is still to come
  std::atomic<int> error{0};
};

Guard out;
Guard err;

bool write_all(Guard& guard, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(guard.fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      guard.error = errno;
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// How many bytes at the end may be the beginning of something longer.
std::size_t unfinished(std::string_view text) {
  const auto escape = text.rfind('\x1b');
  if (escape != std::string_view::npos && text.size() - escape < 16 &&
      text.find_first_not_of("[0123456789;", escape + 1) == std::string_view::npos)
    return text.size() - escape;
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back;
  }
  return 0;
}

std::string safe_with_progress(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    constexpr std::string_view kClear = "\x1b[K";
    const std::size_t end = std::min(text.find('\r'), text.find(kClear));
    safe += terminal_safe(text.substr(0, end), true);
    if (end == std::string_view::npos) break;
    const std::size_t length = text[end] == '\r' ? 1 : kClear.size();
    safe += text.substr(end, length);
    text.remove_prefix(end + length);
  }
  return safe;
}

ssize_t write_guarded(void* cookie, const char* bytes, std::size_t size) {
  Guard& guard = *static_cast<Guard*>(cookie);
  if (guard.raw && guard.raw()) return write_all(guard, {bytes, size}) ? static_cast<ssize_t>(size) : -1;
  std::string text = std::move(guard.held);
  text.append(bytes, size);
  const std::size_t held = unfinished(text);
  guard.held = text.substr(text.size() - held);
  text.resize(text.size() - held);
  const std::string safe = guard.progress ? safe_with_progress(text) : terminal_safe(text, ::isatty(guard.fd) == 1);
  return write_all(guard, safe) ? static_cast<ssize_t>(size) : -1;
}

std::FILE* guarded(Guard& guard) {
  cookie_io_functions_t functions{};
  functions.write = &write_guarded;
  return ::fopencookie(&guard, "w", functions);
}

}  // namespace

void guard_output(std::function<bool()> raw) {
  out.fd = STDOUT_FILENO;
  out.raw = std::move(raw);
  err.fd = STDERR_FILENO;
  err.progress = true;
  if (std::FILE* stream = guarded(out); stream != nullptr) {
    std::setvbuf(stream, nullptr, ::isatty(STDOUT_FILENO) == 1 ? _IOLBF : _IOFBF, 1u << 16);
    stdout = stream;
  }
  if (std::FILE* stream = guarded(err); stream != nullptr) {
    std::setvbuf(stream, nullptr, _IONBF, 0);
    stderr = stream;
  }
}

std::string finish_output() {
  const bool flushed = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  // Whoever reads only the first lines (`| head`) has what he wanted.
  if (out.error == EPIPE) return "";
  if (!flushed || out.error != 0) return std::strerror(out.error != 0 ? out.error.load() : errno);
  if (!out.held.empty() && !write_all(out, terminal_safe(out.held))) return std::strerror(out.error);
  return "";
}

}  // namespace tideline::app
