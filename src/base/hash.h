// SHA-256: the identity of models and segments.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline {

struct Sha256 {
  std::array<std::uint8_t, 32> bytes{};
  auto operator<=>(const Sha256&) const = default;
  // 64 lower-case hexadecimal digits.
  std::string hex() const;
};

Sha256 sha256(std::string_view bytes);
// kInvalidArgument unless `hex` is 64 hexadecimal digits.
Result<Sha256> parse_sha256(std::string_view hex);

// For data that arrives in pieces. Not thread-safe.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void update(std::string_view bytes);
  // Call once.
  Sha256 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tideline
