// What encode.cpp and decode.cpp share: the sizes of a body.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "codec/codec.h"

namespace tideline {

// A channel of fewer numbers is not worth the five bytes of its own scale and zero point.
inline constexpr std::uint64_t kChannelNumbersMin = 16;

// The groups of a tensor that have a scale of their own, and where they lie: `outer` times all groups one after another, each
// `inner` numbers long.
struct Groups {
  std::uint64_t count = 1;
  std::uint64_t outer = 1;
  std::uint64_t inner = 0;
};
// Per channel: dimension 1 of a tensor of two or more; null when the channels are too small.
inline std::optional<Groups> channels_of(std::span<const std::int64_t> shape) {
  if (shape.size() < 2) return std::nullopt;
  Groups groups{static_cast<std::uint64_t>(shape[1]), static_cast<std::uint64_t>(shape[0]), 1};
  for (std::size_t i = 2; i < shape.size(); ++i) groups.inner *= static_cast<std::uint64_t>(shape[i]);
  if (groups.count == 0 || groups.outer * groups.inner < kChannelNumbersMin) return std::nullopt;
  return groups;
}

inline Bytes int8_body_bytes(std::uint64_t groups, std::uint64_t numbers) { return groups * 5 + numbers; }

}  // namespace tideline
