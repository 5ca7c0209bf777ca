#include "zoo/weights.h"

#include <bit>
#include <cstring>

namespace tideline::zoo {

namespace {

static_assert(std::endian::native == std::endian::little, "weights are written as the machine holds them");

// splitmix64: its output is a bijection of a counter, so there is no state to carry from one number to the next.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;

// 24 bits make a float in [-1, 1) without rounding.
float unit(std::uint32_t bits) { return static_cast<float>(static_cast<std::int32_t>(bits) >> 8) * 0x1p-23f; }

}  // namespace

std::uint64_t tensor_seed(std::uint64_t model_seed, std::string_view tensor_name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : tensor_name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix(mix(model_seed + kGolden) ^ hash);
}

void fill_uniform(std::uint64_t seed, float centre, float spread, std::size_t count, char* bytes) {
  std::uint64_t counter = seed;
  for (std::size_t i = 0; i < count; i += 2) {
    counter += kGolden;
    const std::uint64_t random = mix(counter);
    const float pair[2] = {centre + spread * unit(static_cast<std::uint32_t>(random)),
                           centre + spread * unit(static_cast<std::uint32_t>(random >> 32))};
    std::memcpy(bytes + i * sizeof(float), pair, (i + 1 < count ? 2 : 1) * sizeof(float));
  }
}

}  // namespace tideline::zoo
