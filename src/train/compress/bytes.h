// What the compressors' files share in writing and reading bytes: fields, arrays, and which numbers of a long array are meant.
//
// Little-endian. A Reader never looks beyond its bytes. Pure; values.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline::compress {

template <class T>
void append(std::vector<std::byte>& out, const T& value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}
template <class T>
void append_all(std::vector<std::byte>& out, std::span<const T> values) {
  const std::size_t at = out.size();
  out.resize(at + values.size_bytes());
  if (!values.empty()) std::memcpy(out.data() + at, values.data(), values.size_bytes());
}

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}
  template <class T>
  std::optional<T> take() {
    if (left_.size() < sizeof(T)) return {};
    T value;
    std::memcpy(&value, left_.data(), sizeof value);
    left_ = left_.subspan(sizeof value);
    return value;
  }
  std::optional<std::span<const std::byte>> take_bytes(std::uint64_t count) {
    if (left_.size() < count) return {};
    const auto taken = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> left() const { return left_; }

 private:
  std::span<const std::byte> left_;
};

// kCorrupt: "[compress] an update <what>".
Error corrupt(std::string_view what);

// Number i of an array that lies at any address.
template <class T>
T number_at(std::span<const std::byte> bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

// Ascending positions in an array of `numbers`: how many (4 bytes), Rice's parameter (1 byte), then the gaps between them less
// one, up to the end of a byte. Where one position in d is meant at random that takes about log2(d) + 1.5 bits each, and never
// more than the better of a bit per number and a plain list (within a few bytes).
void append_positions(std::vector<std::byte>& out, std::span<const std::uint32_t> positions, std::size_t numbers);
// kCorrupt unless there are that many, each below `numbers`. Allocates four bytes for each bit that has come at most.
Result<std::vector<std::uint32_t>> take_positions(Reader& reader, std::size_t numbers);

// Positions, then a float32 for each.
void append_sparse(std::vector<std::byte>& out, std::span<const std::uint32_t> positions, std::span<const float> all);
// Writes them into `into`, which is all zeros. kCorrupt for a number that is not finite.
Status take_sparse(Reader& reader, std::span<float> into);

}  // namespace tideline::compress
