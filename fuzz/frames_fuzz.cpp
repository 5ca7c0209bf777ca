// Any bytes as a stream of frames: in whatever pieces it comes, the same frames are cut, and together they are the stream's
// start.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "fleet/run/frame_cutter.h"

using namespace tideline;

namespace {

std::vector<std::string> cut(std::string_view stream, std::size_t piece) {
  fleet::FrameCutter cutter(1 << 16);
  std::vector<std::string> frames;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    cutter.add(stream.substr(at, piece));
    while (true) {
      auto frame = cutter.next();
      if (!frame) return frames;
      if (!*frame) break;
      frames.push_back(std::move(**frame));
    }
  }
  return frames;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  const std::vector<std::string> whole = cut(stream, size + 1);
  if (cut(stream, 1) != whole || cut(stream, 13) != whole) std::abort();
  std::string together;
  for (const std::string& frame : whole) together += frame;
  if (!stream.starts_with(together)) std::abort();
  return 0;
}
