// Writer and Reader: fixed-width little-endian fields, one by one.
//
// They have the same members, so that one function per message (visit in messages.cpp) both writes and reads it, with the same
// checks. Neither fails at once: the first problem is kept, and everything after it does nothing. Not thread-safe; values.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/hash.h"
#include "base/limits.h"
#include "base/result.h"

namespace tideline::wire {

static_assert(std::endian::native == std::endian::little, "store_le and load_le copy bytes as they are");

template <std::integral T>
void store_le(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}
template <std::integral T>
T load_le(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Only 0x20..0x7e.
bool is_printable(std::string_view text);
// crc32c() without the processor's instruction: for processors that have none, and for the test that both agree.
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t seed);

class Writer {
 public:
  static constexpr bool kReading = false;
  explicit Writer(std::vector<std::byte>& out) : out_(out) {}

  void require(bool condition, const char* what) {
    if (!condition && problem_ == nullptr) problem_ = what;
  }
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void number(T value) {
    if constexpr (std::is_enum_v<T>) {
      number(static_cast<std::underlying_type_t<T>>(value));
    } else {
      std::byte bytes[sizeof(T)];
      store_le(bytes, value);
      out_.insert(out_.end(), bytes, bytes + sizeof(T));
    }
  }
  void flag(bool value) { number(static_cast<std::uint8_t>(value)); }
  void hash(const Sha256& value) { raw({reinterpret_cast<const std::byte*>(value.bytes.data()), value.bytes.size()}); }
  // A node's name; empty only where allowed.
  void name(std::string_view value, bool may_be_empty = false);
  // Any bytes.
  void text(std::string_view value, std::size_t max);
  // Printable ASCII. Cut and cleaned rather than refused: an error must always be sayable.
  void message(std::string_view value, std::size_t max);
  // Any bytes, with their number before them.
  void blob(const std::vector<std::byte>& value) {
    require(value.size() <= limits::kFrameMetaBytesMax, "a part is too long");
    if (problem_ != nullptr) return;
    number(static_cast<std::uint32_t>(value.size()));
    raw(value);
  }
  template <class T, class Each>
  void list(const std::vector<T>& values, std::size_t max, Each each) {
    require(values.size() <= max, "a list is too long");
    if (problem_ != nullptr) return;
    number(static_cast<std::uint16_t>(values.size()));
    for (const T& value : values) each(*this, value);
  }
  Status status() const;  // kInvalidArgument

 private:
  void raw(std::span<const std::byte> bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  std::vector<std::byte>& out_;
  const char* problem_ = nullptr;
};

class Reader {
 public:
  static constexpr bool kReading = true;
  explicit Reader(std::span<const std::byte> bytes) : left_(bytes) {}

  void require(bool condition, const char* what) {
    if (!condition && problem_ == nullptr) problem_ = what;
  }
  template <class T>
  requires std::integral<T> || std::is_enum_v<T>
  void number(T& value) {
    if constexpr (std::is_enum_v<T>) {
      std::underlying_type_t<T> plain{};
      number(plain);
      value = static_cast<T>(plain);
    } else {
      value = {};
      if (const auto bytes = take(sizeof(T)); !bytes.empty()) value = load_le<T>(bytes.data());
    }
  }
  void flag(bool& value);
  void hash(Sha256& value);
  void name(std::string& value, bool may_be_empty = false);
  void text(std::string& value, std::size_t max);
  void message(std::string& value, std::size_t max);
  void blob(std::vector<std::byte>& value) {
    std::uint32_t size = 0;
    number(size);
    const auto bytes = take(size);
    value.assign(bytes.begin(), bytes.end());
  }
  // Every element has at least one byte, so that a short meta cannot announce a long list.
  template <class T, class Each>
  void list(std::vector<T>& values, std::size_t max, Each each) {
    std::uint16_t count = 0;
    number(count);
    require(count <= max, "a list is too long");
    require(count <= left_.size(), "a list is longer than its bytes");
    for (std::uint16_t i = 0; i < count && problem_ == nullptr; ++i) each(*this, values.emplace_back());
  }
  bool at_end() const { return left_.empty(); }
  Status status() const;  // kCorrupt; also when bytes are left over

 private:
  // Empty, and a problem, when there are not that many.
  std::span<const std::byte> take(std::size_t count);

  std::span<const std::byte> left_;
  const char* problem_ = nullptr;
};

}  // namespace tideline::wire
