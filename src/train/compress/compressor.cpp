#include "train/compress/compressor.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/limits.h"
#include "train/compress/bytes.h"

namespace tideline::compress {
namespace {

constexpr std::uint8_t kVersion = 1;

// Of an update ('G') and of a state ('S').
std::vector<std::byte> head_of(char what, std::uint8_t kind, std::size_t numbers) {
  std::vector<std::byte> head;
  for (const std::uint8_t byte : {std::uint8_t{'T'}, static_cast<std::uint8_t>(what), kVersion, kind}) append(head, byte);
  append(head, static_cast<std::uint32_t>(numbers));
  return head;
}

bool has_head(std::span<const std::byte> bytes, const std::vector<std::byte>& head) {
  return bytes.size() >= head.size() && std::equal(head.begin(), head.end(), bytes.begin());
}

std::size_t first_not_finite(std::span<const float> numbers) {
  return static_cast<std::size_t>(std::find_if(numbers.begin(), numbers.end(), [](float x) { return !std::isfinite(x); }) -
                                  numbers.begin());
}

}  // namespace

double CompressorSettings::number(std::string_view key) const {
  const auto found = numbers.find(key);
  TIDELINE_CHECK(found != numbers.end());
  return found->second;
}

Compressor::Compressor(std::uint8_t kind, std::vector<Layer> layers, std::vector<std::size_t> memory)
    : kind_(kind), layers_(std::move(layers)) {
  for (const Layer& layer : layers_) numbers_ += layer.length();
  for (const std::size_t length : memory) memory_.emplace_back(length);
}

void Compressor::confine(std::span<float>, const Step&) const {}

Result<std::vector<std::byte>> Compressor::encode(std::span<const float> gradient, const Step& step) {
  if (gradient.size() != numbers_)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[compress] a gradient has {} numbers, its layers have {}", gradient.size(), numbers_)};
  if (!takes_any_number()) {
    if (const std::size_t i = first_not_finite(gradient); i < gradient.size())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[compress] number {} of a gradient is not finite: take a smaller rate, or compression: none", i)};
  }
  std::vector<std::byte> out = head_of('G', kind_, numbers_);
  TIDELINE_CHECK_OK(write(gradient, step, out));
  return out;
}

Status Compressor::decode(std::span<const std::byte> bytes, std::span<float> into) const {
  if (into.size() != numbers_)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[compress] there is room for {} numbers, the layers have {}", into.size(), numbers_)};
  if (!has_head(bytes, head_of('G', kind_, numbers_)))
    return corrupt(fmt::format("does not begin as one of this compressor for {} numbers", numbers_));
  std::fill(into.begin(), into.end(), 0.0F);
  return read(bytes.subspan(kUpdateHeadBytes), into);
}

std::vector<std::byte> Compressor::state() const {
  std::vector<std::byte> state = head_of('S', kind_, numbers_);
  for (const std::vector<float>& numbers : memory_) append_all(state, std::span(numbers));
  return state;
}

Status Compressor::restore(std::span<const std::byte> state) {
  const auto refuse = [](std::string_view what) {
    return Error{ErrorCode::kCorrupt, fmt::format("[compress] a compressor's state {}", what)};
  };
  if (!has_head(state, head_of('S', kind_, numbers_)))
    return refuse(fmt::format("does not begin as one of this compressor for {} numbers", numbers_));
  Reader reader(state.subspan(kUpdateHeadBytes));
  std::size_t expected = 0;
  for (const std::vector<float>& numbers : memory_) expected += numbers.size() * sizeof(float);
  if (reader.left().size() != expected)
    return refuse(fmt::format("has {} bytes of memory, expected {}", reader.left().size(), expected));
  std::vector<std::vector<float>> memory;
  for (const std::vector<float>& old : memory_) {
    std::vector<float>& numbers = memory.emplace_back(old.size());
    const auto bytes = reader.take_bytes(old.size() * sizeof(float));
    if (!numbers.empty()) std::memcpy(numbers.data(), bytes->data(), bytes->size());
    if (first_not_finite(numbers) < numbers.size()) return refuse("has a number that is not finite");
  }
  if (!is_memory(memory)) return refuse("has numbers that no such compressor remembers");
  memory_ = std::move(memory);
  return {};
}

}  // namespace tideline::compress
