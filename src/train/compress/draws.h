// Seeded draws by number: draw i of a key is the same whoever asks, in whatever order, on every machine (splitmix64). A receiver
// can repeat a sender's draws from the eight bytes of the key.
//
// Values; thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

namespace tideline::compress {

inline std::uint64_t mix64(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline std::uint64_t key_of(std::initializer_list<std::uint64_t> numbers) {
  std::uint64_t state = 0;
  for (const std::uint64_t number : numbers) state = mix64(state + 0x9e3779b97f4a7c15 + number);
  return state;
}

class Draws {
 public:
  explicit Draws(std::uint64_t key) : key_(key) {}
  std::uint64_t bits(std::uint64_t i) const { return mix64(key_ + (i + 1) * 0x9e3779b97f4a7c15); }
  // In [0, 1), of 53 bits: `unit(i) < p` holds with probability p to within 2^-53.
  double unit(std::uint64_t i) const { return static_cast<double>(bits(i) >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t key_;
};

// `count` of the positions 0 .. numbers - 1, ascending, each set of them as likely as any other (Knuth's Algorithm S).
inline std::vector<std::uint32_t> draw_positions(const Draws& draws, std::size_t numbers, std::size_t count) {
  std::vector<std::uint32_t> positions;
  positions.reserve(count);
  for (std::size_t i = 0; i < numbers && positions.size() < count; ++i) {
    const std::uint64_t below = (draws.bits(i) >> 32) * (numbers - i) >> 32;
    if (below < count - positions.size()) positions.push_back(static_cast<std::uint32_t>(i));
  }
  return positions;
}

}  // namespace tideline::compress
