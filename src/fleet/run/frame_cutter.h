// FrameCutter: frames out of a stream of bytes: JPEG after JPEG and PNG after PNG, as `ffmpeg -f image2pipe` writes them, and
// .npy after .npy, in any order. Each says itself where it ends, so nothing stands between them.
//
// A frame is cut by its structure and not looked into: whether it is a picture its reader finds out. Not thread-safe.
//
//   cutter.add(bytes);
//   for (;;) { TIDELINE_TRY(auto frame, cutter.next()); if (!frame) break; use(*frame); }
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline::fleet {

class FrameCutter {
 public:
  // Frames above `frame_bytes_max` are an error before they are kept.
  explicit FrameCutter(std::size_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  // Takes at most some kilobytes at a time: what is added before next() is kept.
  void add(std::string_view bytes) { bytes_.append(bytes); }
  // The next whole frame; nothing while it is not all there. kCorrupt for bytes that begin no frame or break off its structure,
  // kOverloaded for one that is too large, and what npy_bytes() says: after an error nothing more can be cut.
  Result<std::optional<std::string>> next();
  // Bytes of a frame that is not whole yet: at the end of the stream, of one that was cut off.
  std::size_t pending() const { return bytes_.size(); }

 private:
  enum class Kind : std::uint8_t { kUnknown, kJpeg, kPng, kNpy };
  // Where the frame ends, once that is known, and at_ as far as it is read by then.
  Result<std::optional<std::size_t>> find_end();
  Result<std::optional<std::size_t>> end_of_jpeg();
  Result<std::optional<std::size_t>> end_of_png();
  Result<std::optional<std::size_t>> end_of_npy();
  std::uint8_t byte(std::size_t i) const { return static_cast<std::uint8_t>(bytes_[i]); }
  bool has(std::size_t end) const { return end <= bytes_.size(); }

  const std::size_t frame_bytes_max_;
  std::string bytes_;
  Kind kind_ = Kind::kUnknown;
  std::size_t at_ = 0;
  bool in_scan_ = false;  // of a JPEG: among the coded pixels
};

}  // namespace tideline::fleet
