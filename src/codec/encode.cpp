#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include "codec/body.h"
#include "codec/codec.h"
#include "codec/kernels.h"

namespace tideline {
namespace {

// Level 1 of zstd: on a link that is worth a codec, its speed counts for more than the last percent.
constexpr int kZstdLevel = 1;

// The scheme that fits, and how long its body is: less than what was asked for where that saves nothing.
struct Choice {
  Scheme scheme = Scheme::kRaw;
  Bytes bytes = 0;
  Groups groups;
};

Choice choose(Scheme scheme, DType dtype, std::span<const std::int64_t> shape, Bytes raw_bytes) {
  const Choice raw{Scheme::kRaw, raw_bytes, {}};
  if (dtype != DType::kFloat32 || raw_bytes == 0) return raw;
  const std::uint64_t numbers = raw_bytes / sizeof(float);
  Choice choice{scheme, raw_bytes, {.inner = numbers}};
  switch (scheme) {
    case Scheme::kRaw: return raw;
    case Scheme::kFloat16: choice.bytes = 2 * numbers; break;
    case Scheme::kInt8PerChannel:
      if (const auto channels = channels_of(shape)) {
        choice.groups = *channels;
      } else {
        choice.scheme = Scheme::kInt8;
      }
      [[fallthrough]];
    case Scheme::kInt8: choice.bytes = int8_body_bytes(choice.groups.count, numbers); break;
  }
  return choice.bytes < raw_bytes ? choice : raw;
}

struct Scale {
  float scale = 1;
  float inverse = 1;
  std::int8_t zero_point = 0;
};

// Jacob et al. 2018, eq. 1: x = scale * (q - zero_point), the range widened to hold 0 and 0 met exactly.
Scale scale_of(float low, float high) {
  const double step = (static_cast<double>(high) - static_cast<double>(low)) / 255;
  if (step < static_cast<double>(FLT_MIN)) return {};  // nothing but 0, or as good as that
  Scale result;
  result.scale = static_cast<float>(step);
  result.inverse = static_cast<float>(1 / step);
  const double zero = std::clamp(std::nearbyint(-128 - static_cast<double>(low) / step), -128.0, 127.0);
  result.zero_point = static_cast<std::int8_t>(zero);
  return result;
}

// False when a number is not finite, or as good as that.
bool write_int8(const float* from, const Groups& groups, std::byte* body) {
  auto* const zero_points = reinterpret_cast<std::int8_t*>(body + groups.count * sizeof(float));
  auto* const numbers = zero_points + groups.count;
  for (std::uint64_t group = 0; group < groups.count; ++group) {
    kernels::Range all;
    for (std::uint64_t outer = 0; outer < groups.outer; ++outer) {
      const kernels::Range range = kernels::range_of(from + (outer * groups.count + group) * groups.inner, groups.inner);
      if (!range.finite) return false;
      all.low = std::min(all.low, range.low);
      all.high = std::max(all.high, range.high);
    }
    // Half a step beyond the range must still be a number.
    if (static_cast<double>(all.high) - static_cast<double>(all.low) > static_cast<double>(FLT_MAX) / 2) return false;
    const Scale scale = scale_of(all.low, all.high);
    std::memcpy(body + group * sizeof(float), &scale.scale, sizeof(float));
    zero_points[group] = scale.zero_point;
    for (std::uint64_t outer = 0; outer < groups.outer; ++outer) {
      const std::uint64_t at = (outer * groups.count + group) * groups.inner;
      kernels::quantize(from + at, groups.inner, scale.inverse, scale.zero_point, numbers + at);
    }
  }
  return true;
}

// The body without packing; writes what it became into `choice`.
void write_body(const TensorView& tensor, std::byte* body, Choice& choice) {
  const auto* numbers = reinterpret_cast<const float*>(tensor.bytes.data());
  if (choice.scheme == Scheme::kFloat16)
    return kernels::to_float16(numbers, tensor.bytes.size() / sizeof(float), reinterpret_cast<std::uint16_t*>(body));
  if (choice.scheme != Scheme::kRaw) {
    if (write_int8(numbers, choice.groups, body)) return;
    choice = {Scheme::kRaw, tensor.bytes.size(), {}};
  }
  if (!tensor.bytes.empty()) std::memcpy(body, tensor.bytes.data(), tensor.bytes.size());
}

// 0 when it saves nothing.
std::size_t pack(Packing packing, std::span<const std::byte> body, std::byte* into) {
  // Never more than what it saves by; so the room for the unpacked body is always enough.
  if (body.size() < 2) return 0;
  const std::size_t room = body.size() - 1;
  if (packing == Packing::kLz4) {
    if (body.size() > LZ4_MAX_INPUT_SIZE) return 0;
    const int packed = LZ4_compress_default(reinterpret_cast<const char*>(body.data()), reinterpret_cast<char*>(into),
                                            static_cast<int>(body.size()), static_cast<int>(room));
    return static_cast<std::size_t>(std::max(0, packed));
  }
  const std::size_t packed = ZSTD_compress(into, room, body.data(), body.size(), kZstdLevel);
  return ZSTD_isError(packed) != 0 ? 0 : packed;
}

void write_head(const Codec& used, const TensorSpec& spec, std::uint64_t body_bytes, std::byte* to) {
  const std::uint8_t start[8] = {'T',
                                 'L',
                                 'C',
                                 1,
                                 static_cast<std::uint8_t>(used.scheme),
                                 static_cast<std::uint8_t>(used.packing),
                                 static_cast<std::uint8_t>(spec.dtype),
                                 static_cast<std::uint8_t>(spec.shape.size())};
  std::memcpy(to, start, sizeof start);
  if (!spec.shape.empty()) std::memcpy(to + 8, spec.shape.data(), 8 * spec.shape.size());
  std::memcpy(to + 8 + 8 * spec.shape.size(), &body_bytes, 8);
}

Error no_room() { return Error{ErrorCode::kInternal, "[codec] the memory given is too small for the encoded tensor"}; }

}  // namespace

Result<std::size_t> encoded_bytes_max(DType dtype, std::span<const std::int64_t> shape) {
  TIDELINE_TRY(const Bytes bytes, byte_size(dtype, shape));
  return static_cast<std::size_t>(bytes) + encoded_head_bytes(shape.size());
}

Result<std::size_t> scratch_bytes(const Codec& codec, DType dtype, std::span<const std::int64_t> shape) {
  TIDELINE_TRY(const Bytes bytes, byte_size(dtype, shape));
  return codec.packing == Packing::kNone ? 0 : static_cast<std::size_t>(bytes);
}

Result<std::size_t> encode(const Codec& codec, const TensorView& tensor, std::span<std::byte> into,
                           std::span<std::byte> scratch) {
  const TensorSpec& spec = *tensor.spec;
  TIDELINE_TRY(const Bytes raw_bytes, byte_size(spec.dtype, spec.shape));
  if (raw_bytes != tensor.bytes.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[codec] a tensor of {} has {} bytes, expected {}", describe(spec), tensor.bytes.size(), raw_bytes)};
  const std::size_t head = encoded_head_bytes(spec.shape.size());
  if (into.size() < head + raw_bytes) return no_room();
  Choice choice = choose(codec.scheme, spec.dtype, spec.shape, raw_bytes);
  std::byte* const body = into.data() + head;
  Codec used{choice.scheme, Packing::kNone};
  std::size_t body_bytes = 0;
  if (codec.packing != Packing::kNone) {
    std::span<const std::byte> plain = tensor.bytes;
    if (choice.scheme != Scheme::kRaw) {
      if (scratch.size() < raw_bytes) return no_room();
      write_body(tensor, scratch.data(), choice);
      plain = scratch.first(choice.bytes);
    }
    body_bytes = pack(codec.packing, plain, body);
    used.packing = body_bytes > 0 ? codec.packing : Packing::kNone;
    if (body_bytes == 0 && !plain.empty()) std::memcpy(body, plain.data(), plain.size());
  } else {
    write_body(tensor, body, choice);
  }
  used.scheme = choice.scheme;
  if (used.packing == Packing::kNone) body_bytes = choice.bytes;
  write_head(used, spec, body_bytes, into.data());
  return head + body_bytes;
}

Result<Buffer> encode(const Codec& codec, const TensorView& tensor) {
  TIDELINE_TRY(const std::size_t room, encoded_bytes_max(tensor.spec->dtype, tensor.spec->shape));
  TIDELINE_TRY(const std::size_t scratch, scratch_bytes(codec, tensor.spec->dtype, tensor.spec->shape));
  Buffer buffer(room);
  Buffer working(scratch);
  TIDELINE_TRY(const std::size_t bytes, encode(codec, tensor, buffer.span(), working.span()));
  return bytes == room ? std::move(buffer) : Buffer::copy_of(buffer.span().first(bytes));
}

}  // namespace tideline
