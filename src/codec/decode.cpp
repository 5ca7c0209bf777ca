#include <bit>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include "codec/body.h"
#include "codec/codec.h"
#include "codec/kernels.h"

namespace tideline {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

Error corrupt(const std::string& what) { return Error{ErrorCode::kCorrupt, "[codec] an encoded tensor " + what}; }

// The groups of what the head says, which has been checked.
Groups groups_of(const EncodedHead& head) {
  if (head.used.scheme == Scheme::kInt8PerChannel) return *channels_of(head.shape);
  return {.inner = head.bytes / sizeof(float)};
}

Status unpack(Packing packing, std::span<const std::byte> packed, std::span<std::byte> into) {
  bool whole = false;
  if (packing == Packing::kLz4) {
    const int bytes = LZ4_decompress_safe(reinterpret_cast<const char*>(packed.data()), reinterpret_cast<char*>(into.data()),
                                          static_cast<int>(packed.size()), static_cast<int>(into.size()));
    whole = bytes >= 0 && static_cast<std::size_t>(bytes) == into.size();
  } else {
    const std::size_t bytes = ZSTD_decompress(into.data(), into.size(), packed.data(), packed.size());
    whole = ZSTD_isError(bytes) == 0 && bytes == into.size();
  }
  return whole ? Status() : Status(corrupt("does not unpack to what its type and shape need"));
}

Status read_int8(const EncodedHead& head, std::span<const std::byte> body, float* to) {
  const Groups groups = groups_of(head);
  const auto* const zero_points = reinterpret_cast<const std::int8_t*>(body.data() + groups.count * sizeof(float));
  const auto* const numbers = zero_points + groups.count;
  for (std::uint64_t group = 0; group < groups.count; ++group) {
    float scale = 0;
    std::memcpy(&scale, body.data() + group * sizeof(float), sizeof scale);
    if (!std::isfinite(scale) || scale <= 0) return corrupt(fmt::format("has a scale of {}", scale));
    for (std::uint64_t outer = 0; outer < groups.outer; ++outer) {
      const std::uint64_t at = (outer * groups.count + group) * groups.inner;
      kernels::dequantize(numbers + at, groups.inner, scale, zero_points[group], to + at);
    }
  }
  return {};
}

}  // namespace

Result<EncodedHead> read_encoded_head(std::span<const std::byte> encoded) {
  if (encoded.size() < encoded_head_bytes(0)) return corrupt(fmt::format("of {} bytes ends in its head", encoded.size()));
  const auto* start = reinterpret_cast<const std::uint8_t*>(encoded.data());
  if (std::memcmp(start, "TLC", 3) != 0) return corrupt("does not begin with TLC");
  if (start[3] != 1)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[codec] an encoded tensor is version {}, this build reads version 1", start[3])};
  if (start[4] > static_cast<std::uint8_t>(Scheme::kInt8PerChannel) || start[5] > static_cast<std::uint8_t>(Packing::kZstd))
    return corrupt(fmt::format("is in scheme {} with packing {}, which there are not", start[4], start[5]));
  EncodedHead head;
  head.used = {static_cast<Scheme>(start[4]), static_cast<Packing>(start[5])};
  head.dtype = static_cast<DType>(start[6]);
  const std::size_t rank = start[7];
  if (rank > limits::kTensorRankMax) return corrupt(fmt::format("has {} dimensions", rank));
  const std::size_t head_bytes = encoded_head_bytes(rank);
  if (encoded.size() < head_bytes) return corrupt(fmt::format("of {} bytes ends in its head", encoded.size()));
  head.shape.resize(rank);
  if (rank > 0) std::memcpy(head.shape.data(), start + 8, 8 * rank);
  const auto bytes = byte_size(head.dtype, head.shape);
  if (!bytes) return corrupt("has a type or shape that there is not");
  head.bytes = *bytes;
  const std::uint64_t numbers = head.bytes / sizeof(float);
  if (head.used.is_lossy() && head.dtype != DType::kFloat32) return corrupt("of that type can only be raw");
  switch (head.used.scheme) {
    case Scheme::kRaw: head.body_bytes = head.bytes; break;
    case Scheme::kFloat16: head.body_bytes = 2 * numbers; break;
    case Scheme::kInt8: head.body_bytes = int8_body_bytes(1, numbers); break;
    case Scheme::kInt8PerChannel: {
      const auto channels = channels_of(head.shape);
      if (!channels) return corrupt("has no channels that are large enough for a scale of their own");
      head.body_bytes = int8_body_bytes(channels->count, numbers);
      break;
    }
  }
  if (head.used.is_lossy() && head.body_bytes >= head.bytes) return corrupt("is larger than its numbers");
  std::uint64_t stored = 0;
  std::memcpy(&stored, start + 8 + 8 * rank, sizeof stored);
  if (stored != encoded.size() - head_bytes)
    return corrupt(fmt::format("has {} bytes after its head, which says {}", encoded.size() - head_bytes, stored));
  if (head.used.packing == Packing::kNone ? stored != head.body_bytes : stored >= head.body_bytes)
    return corrupt(fmt::format("has a body of {} bytes for one of {}", stored, head.body_bytes));
  if (head.used.packing == Packing::kLz4 && head.body_bytes > LZ4_MAX_INPUT_SIZE) return corrupt("is too large for lz4");
  return head;
}

Status decode(const EncodedHead& head, std::span<const std::byte> encoded, std::span<std::byte> into,
              std::span<std::byte> scratch) {
  std::span<const std::byte> body = encoded.subspan(encoded_head_bytes(head.shape.size()));
  const bool is_packed = head.used.packing != Packing::kNone;
  if (reinterpret_cast<std::uintptr_t>(encoded.data()) % 8 != 0 || into.size() != head.bytes ||
      (is_packed && head.used.is_lossy() && scratch.size() < head.body_bytes))
    return Error{ErrorCode::kInternal, "[codec] the memory given does not fit the encoded tensor"};
  if (is_packed) {
    const std::span<std::byte> plain = head.used.is_lossy() ? scratch.first(head.body_bytes) : into;
    TIDELINE_CHECK_OK(unpack(head.used.packing, body, plain));
    body = plain;
  }
  auto* const numbers = reinterpret_cast<float*>(into.data());
  switch (head.used.scheme) {
    case Scheme::kRaw:
      if (!is_packed && !into.empty()) std::memcpy(into.data(), body.data(), into.size());
      return {};
    case Scheme::kFloat16:
      kernels::from_float16(reinterpret_cast<const std::uint16_t*>(body.data()), into.size() / sizeof(float), numbers);
      return {};
    default: return read_int8(head, body, numbers);
  }
}

Result<Tensor> decode(std::span<const std::byte> encoded, std::string_view name, Bytes bytes_max) {
  TIDELINE_TRY(const EncodedHead head, read_encoded_head(encoded));
  if (head.bytes > bytes_max)
    return Error{ErrorCode::kOverloaded, fmt::format("[codec] an encoded tensor of {} is above the limit of {}",
                                                     format_bytes(head.bytes), format_bytes(bytes_max))};
  Buffer aligned;
  if (reinterpret_cast<std::uintptr_t>(encoded.data()) % 8 != 0) {
    aligned = Buffer::copy_of(encoded);
    encoded = aligned.span();
  }
  Tensor tensor{{std::string(name), head.dtype, head.shape}, Buffer(head.bytes)};
  Buffer scratch(head.used.packing == Packing::kNone ? 0 : head.body_bytes);
  TIDELINE_CHECK_OK(decode(head, encoded, tensor.data.span(), scratch.span()));
  return tensor;
}

}  // namespace tideline
