// StateWriter and StateReader: what goes into a checkpoint, one after another. The reader's bytes may come from anywhere: it
// allocates nothing, because whoever reads knows how much there must be. Values; not thread-safe.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/result.h"
#include "wire/codec.h"

namespace tideline::train {

class StateWriter {
 public:
  void number(std::uint64_t value) {
    std::byte bytes[sizeof value];
    wire::store_le(bytes, value);
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof value);
  }
  void floats(std::span<const float> values) {
    number(values.size());
    const auto raw = std::as_bytes(values);
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void raw(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class StateReader {
 public:
  explicit StateReader(std::span<const std::byte> bytes) : left_(bytes) {}
  Result<std::uint64_t> number() {
    if (left_.size() < sizeof(std::uint64_t)) return short_state();
    const auto value = wire::load_le<std::uint64_t>(left_.data());
    left_ = left_.subspan(sizeof value);
    return value;
  }
  Result<std::span<const std::byte>> raw(std::uint64_t count) {
    if (left_.size() < count) return short_state();
    const auto bytes = left_.first(static_cast<std::size_t>(count));
    left_ = left_.subspan(bytes.size());
    return bytes;
  }
  // Exactly as many as `into` has room for.
  Status floats(std::span<float> into) {
    TIDELINE_TRY(const std::uint64_t count, number());
    if (count != into.size() || left_.size() / sizeof(float) < count) return short_state();
    if (!into.empty()) std::memcpy(into.data(), left_.data(), into.size_bytes());
    left_ = left_.subspan(into.size_bytes());
    return {};
  }
  // As many as there are.
  Result<std::vector<float>> floats() {
    TIDELINE_TRY(const std::uint64_t count, number());
    if (left_.size() / sizeof(float) < count) return short_state();
    std::vector<float> values(static_cast<std::size_t>(count));
    if (!values.empty()) std::memcpy(values.data(), left_.data(), values.size() * sizeof(float));
    left_ = left_.subspan(values.size() * sizeof(float));
    return values;
  }
  Status finish() const {
    if (left_.empty()) return {};
    return Error{ErrorCode::kCorrupt, "[train] a state is longer than what it is the state of"};
  }

 private:
  static Error short_state() { return {ErrorCode::kCorrupt, "[train] a state is not that of this model and strategy"}; }
  std::span<const std::byte> left_;
};

}  // namespace tideline::train
