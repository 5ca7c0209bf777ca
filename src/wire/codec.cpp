#include "wire/codec.h"

#include <algorithm>
#include <limits>

#include "base/name.h"
#include "base/text.h"

namespace tideline::wire {

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

void Writer::name(std::string_view value, bool may_be_empty) {
  require(is_name(value) || (may_be_empty && value.empty()),
          "a name must be 1 to 63 of A-Z a-z 0-9 . _ - that begin with a letter or a digit");
  if (problem_ != nullptr) return;
  number(static_cast<std::uint8_t>(value.size()));
  raw(std::as_bytes(std::span(value)));
}

void Writer::text(std::string_view value, std::size_t max) {
  require(value.size() <= max && value.size() <= std::numeric_limits<std::uint16_t>::max(), "a text is too long");
  if (problem_ != nullptr) return;
  number(static_cast<std::uint16_t>(value.size()));
  raw(std::as_bytes(std::span(value)));
}

void Writer::message(std::string_view value, std::size_t max) {
  // printable() appends dots to what it cuts.
  text(printable(value, value.size() <= max ? max : max - 3), max);
}

Status Writer::status() const {
  if (problem_ == nullptr) return {};
  return Error{ErrorCode::kInvalidArgument, std::string("[wire] cannot be sent: ") + problem_};
}

std::span<const std::byte> Reader::take(std::size_t count) {
  require(count <= left_.size(), "ends too early");
  if (problem_ != nullptr) return {};
  const auto taken = left_.first(count);
  left_ = left_.subspan(count);
  return taken;
}

void Reader::flag(bool& value) {
  std::uint8_t number_value = 0;
  number(number_value);
  require(number_value <= 1, "a flag is neither 0 nor 1");
  value = number_value == 1;
}

void Reader::hash(Sha256& value) {
  const auto bytes = take(value.bytes.size());
  if (!bytes.empty()) std::memcpy(value.bytes.data(), bytes.data(), bytes.size());
}

void Reader::name(std::string& value, bool may_be_empty) {
  std::uint8_t size = 0;
  number(size);
  const auto bytes = take(size);
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(is_name(value) || (may_be_empty && value.empty()),
          "a name is none: 1 to 63 of A-Z a-z 0-9 . _ - that begin with a letter or a digit");
}

void Reader::text(std::string& value, std::size_t max) {
  std::uint16_t size = 0;
  number(size);
  require(size <= max, "a text is too long");
  const auto bytes = take(size);
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void Reader::message(std::string& value, std::size_t max) {
  text(value, max);
  require(is_printable(value), "a message has characters that are not printable");
}

Status Reader::status() const {
  if (problem_ != nullptr) return Error{ErrorCode::kCorrupt, std::string("[wire] a message ") + problem_};
  if (!left_.empty()) return Error{ErrorCode::kCorrupt, "[wire] a message has bytes left over"};
  return {};
}

}  // namespace tideline::wire
