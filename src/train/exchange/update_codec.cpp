#include "train/exchange/update_codec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "base/text.h"
#include "tensor/half.h"

namespace tideline::train {
namespace {

Error wrong_size(std::size_t bytes, std::size_t numbers) {
  return {ErrorCode::kCorrupt, fmt::format("[train] {} bytes are no update of {} numbers", bytes, numbers)};
}

class PlainCodec final : public UpdateCodec {
 public:
  Result<std::vector<std::byte>> encode(std::span<const float> update) override {
    const auto bytes = std::as_bytes(update);
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  }
  Status decode(std::span<const std::byte> bytes, std::span<float> into) const override {
    if (bytes.size() != into.size_bytes()) return wrong_size(bytes.size(), into.size());
    if (!bytes.empty()) std::memcpy(into.data(), bytes.data(), bytes.size());
    return {};
  }
};

// What float16 cannot hold becomes its largest number, so that a long step arrives as a long step and not as an infinity.
class HalfCodec final : public UpdateCodec {
 public:
  Result<std::vector<std::byte>> encode(std::span<const float> update) override {
    std::vector<std::byte> bytes(update.size() * sizeof(std::uint16_t));
    for (std::size_t i = 0; i < update.size(); ++i) {
      constexpr float kLargest = 65504;
      const float value = std::isfinite(update[i]) ? std::clamp(update[i], -kLargest, kLargest) : update[i];
      const std::uint16_t half = float16_from_float(value);
      std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
    }
    return bytes;
  }
  Status decode(std::span<const std::byte> bytes, std::span<float> into) const override {
    if (bytes.size() != into.size() * sizeof(std::uint16_t)) return wrong_size(bytes.size(), into.size());
    for (std::size_t i = 0; i < into.size(); ++i) {
      std::uint16_t half = 0;
      std::memcpy(&half, bytes.data() + i * sizeof half, sizeof half);
      into[i] = float_from_float16(half);
    }
    return {};
  }
};

constexpr std::array<UpdateCodecInfo, 2> kUpdateCodecs{{
    {"none", "float32 as it is", [](std::size_t) -> std::unique_ptr<UpdateCodec> { return std::make_unique<PlainCodec>(); }},
    {"fp16", "rounded to float16", [](std::size_t) -> std::unique_ptr<UpdateCodec> { return std::make_unique<HalfCodec>(); }},
}};

}  // namespace

Status UpdateCodec::restore(std::span<const float> memory) {
  if (memory.empty()) return {};
  return Error{ErrorCode::kCorrupt, "[train] a state has a memory for a compression that has none"};
}

std::span<const UpdateCodecInfo> update_codecs() { return kUpdateCodecs; }

Result<std::unique_ptr<UpdateCodec>> make_update_codec(std::string_view name, std::size_t numbers) {
  std::vector<std::string_view> names;
  for (const UpdateCodecInfo& info : kUpdateCodecs) {
    if (info.name == name) return info.make(numbers);
    names.push_back(info.name);
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("[train] there is no compression '{}'; there are {}", printable(name), fmt::join(names, ", "))};
}

}  // namespace tideline::train
