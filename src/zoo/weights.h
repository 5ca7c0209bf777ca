// Seeded weights: the same numbers on every machine, fast enough for the 144 million of VGG-19.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tideline::zoo {

// The seed of one tensor: depends on the model's seed and the tensor's name alone, so that an added layer leaves others as they
// are.
std::uint64_t tensor_seed(std::uint64_t model_seed, std::string_view tensor_name);

// Writes `count` little-endian float32, uniform in [centre - spread, centre + spread), to `bytes` (any alignment).
void fill_uniform(std::uint64_t seed, float centre, float spread, std::size_t count, char* bytes);

}  // namespace tideline::zoo
