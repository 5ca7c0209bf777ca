#include "fleet/run/frame_cutter.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/units.h"
#include "tensor/npy.h"

namespace tideline::fleet {
namespace {

constexpr std::string_view kJpegStart("\xff\xd8", 2);
constexpr std::string_view kPngStart("\x89PNG\r\n\x1a\n", 8);
constexpr std::string_view kNpyStart("\x93NUMPY", 6);
// Markers of a JPEG (ITU T.81, table B.1).
constexpr std::uint8_t kJpegEnd = 0xd9, kJpegScan = 0xda, kJpegRestart0 = 0xd0, kJpegRestart7 = 0xd7, kJpegTemporary = 0x01;

Error broken(std::string what) { return {ErrorCode::kCorrupt, "[frames] " + std::move(what)}; }

bool is_restart(std::uint8_t code) { return code >= kJpegRestart0 && code <= kJpegRestart7; }

}  // namespace

Result<std::optional<std::string>> FrameCutter::next() {
  TIDELINE_TRY(const auto end, find_end());
  // What is promised counts before it has come.
  if (std::max(end.value_or(0), std::min(at_, bytes_.size())) > frame_bytes_max_ || at_ > frame_bytes_max_)
    return Error{ErrorCode::kOverloaded, fmt::format("[frames] a frame is larger than {}", format_bytes(frame_bytes_max_))};
  if (!end) return std::optional<std::string>();
  std::string frame = bytes_.substr(0, *end);
  bytes_.erase(0, *end);
  kind_ = Kind::kUnknown;
  at_ = 0;
  in_scan_ = false;
  return std::optional(std::move(frame));
}

Result<std::optional<std::size_t>> FrameCutter::find_end() {
  if (kind_ == Kind::kUnknown) {
    bool may_begin_one = bytes_.empty();
    for (const auto& [start, kind] : {std::pair{kJpegStart, Kind::kJpeg}, {kPngStart, Kind::kPng}, {kNpyStart, Kind::kNpy}}) {
      const std::size_t known = std::min(start.size(), bytes_.size());
      if (std::string_view(bytes_).substr(0, known) != start.substr(0, known)) continue;
      may_begin_one = true;
      if (known < start.size()) continue;
      kind_ = kind;
      at_ = start.size();
    }
    if (!may_begin_one) return broken("expected a JPEG, a PNG or an .npy array, and something else begins here");
  }
  switch (kind_) {
    case Kind::kJpeg: return end_of_jpeg();
    case Kind::kPng: return end_of_png();
    case Kind::kNpy: return end_of_npy();
    case Kind::kUnknown: break;
  }
  return std::optional<std::size_t>();
}

Result<std::optional<std::size_t>> FrameCutter::end_of_jpeg() {
  while (has(at_ + 2)) {
    if (in_scan_) {
      at_ = std::min(bytes_.find('\xff', at_), bytes_.size());
      if (!has(at_ + 2)) break;
      const std::uint8_t code = byte(at_ + 1);
      if (code == 0 || is_restart(code))
        at_ += 2;
      else if (code == 0xff)
        ++at_;
      else
        in_scan_ = false;
      continue;
    }
    if (byte(at_) != 0xff) return broken("a JPEG has no marker where one belongs");
    const std::uint8_t code = byte(at_ + 1);
    if (code == kJpegEnd) return std::optional(at_ + 2);
    if (code == 0xff) {
      ++at_;
    } else if (is_restart(code) || code == kJpegTemporary) {
      at_ += 2;
    } else {
      if (!has(at_ + 4)) break;
      const std::size_t length = std::size_t{byte(at_ + 2)} << 8 | byte(at_ + 3);
      if (code == 0 || code == 0xd8 || length < 2) return broken("a JPEG has a marker that cannot be there");
      at_ += 2 + length;
      in_scan_ = code == kJpegScan;
    }
  }
  return std::optional<std::size_t>();
}

Result<std::optional<std::size_t>> FrameCutter::end_of_png() {
  while (has(at_ + 8)) {
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length << 8 | byte(at_ + i);
    const std::string_view type = std::string_view(bytes_).substr(at_ + 4, 4);
    if (length > 0x7fffffff || !std::all_of(type.begin(), type.end(), [](unsigned char c) { return std::isalpha(c) != 0; }))
      return broken("a PNG has a chunk that cannot be there");
    const bool is_last = type == "IEND";
    if (is_last && length > 0) return broken("a PNG has a last chunk with something in it");
    if (is_last && !has(at_ + 12)) break;
    at_ += 12 + length;
    if (is_last) return std::optional(at_);
  }
  return std::optional<std::size_t>();
}

Result<std::optional<std::size_t>> FrameCutter::end_of_npy() {
  if (at_ == kNpyStart.size()) {
    TIDELINE_TRY(const auto whole, npy_bytes(bytes_));
    if (!whole) return std::optional<std::size_t>();
    at_ = static_cast<std::size_t>(*whole);
  }
  return has(at_) ? std::optional(at_) : std::nullopt;
}

}  // namespace tideline::fleet
