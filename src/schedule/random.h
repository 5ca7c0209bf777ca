// Random: a small seeded generator with the same numbers on every platform (std::uniform_real_distribution promises none).
// xoshiro256** by Blackman and Vigna, seeded through splitmix64. A value; not thread-safe; not for secrets.
//
//   Random random(seed, stream);          // streams of one seed are independent of each other
//   const double mb = random.uniform(0.1, 1.0);
#pragma once

#include <bit>
#include <cstdint>

namespace tideline::schedule {

class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) {
    std::uint64_t x = seed ^ mix(stream + 0x9e3779b97f4a7c15u);
    for (auto& word : state_) word = mix(x += 0x9e3779b97f4a7c15u);
  }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // In [0, 1), 53 bits.
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  double uniform(double low, double high) { return low + (high - low) * unit(); }
  // In [0, bound), REQUIRES: bound > 0. The bias of at most bound / 2^32 does not matter here.
  std::uint32_t below(std::uint32_t bound) { return static_cast<std::uint32_t>(((next() >> 32) * bound) >> 32); }

 private:
  static std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t state_[4];
};

}  // namespace tideline::schedule
