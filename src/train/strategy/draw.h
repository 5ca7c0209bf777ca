// Seeded draws that are the same on every machine: the standard fixes its engines to the bit, but not its distributions.
// Every draw of a run has a seed of its own, made of the job's seed and of what it is for, so that a run that goes on from a
// checkpoint draws what it would have drawn. Values; not thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <utility>

namespace tideline::train {

enum class DrawFor : std::uint64_t { kBatches = 1, kDropout, kParticipants, kPeers, kWeights, kCompression, kNoise };

// Of the job's seed, the purpose and numbers such as worker and round (splitmix64 over all of them).
inline std::uint64_t seed_of(std::uint64_t job_seed, DrawFor purpose, std::initializer_list<std::uint64_t> numbers) {
  std::uint64_t state = 0;
  const auto mix = [&state](std::uint64_t number) {
    state += 0x9e3779b97f4a7c15 + number;
    std::uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    state = z ^ (z >> 31);
  };
  mix(job_seed);
  mix(static_cast<std::uint64_t>(purpose));
  for (const std::uint64_t number : numbers) mix(number);
  return state;
}

class SeededDraw {
 public:
  explicit SeededDraw(std::uint64_t seed) : engine_(seed) {}
  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  // REQUIRES: bound > 0.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(unit() * static_cast<double>(bound)); }
  void shuffle(auto& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tideline::train
