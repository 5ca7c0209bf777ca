// Codecs: how a tensor is written on a link. A scheme turns numbers into fewer bytes, a packing squeezes those without loss; a
// codec is one of each, and codecs() is the list of them. docs/algorithms/codecs.md has the formulas, their sources and what they
// do to real models' answers.
//
//   TIDELINE_TRY(const Codec codec, find_codec("int8c+zstd"));
//   TIDELINE_TRY(const Buffer encoded, encode(codec, view(tensor)));
//   TIDELINE_TRY(const Tensor again, decode(encoded.span(), "x"));
//
// The encoded form says itself what it is (version 1, little-endian):
//   "TLC" | u8 version | u8 scheme | u8 packing | u8 dtype | u8 rank | i64 each dimension | u64 bytes of the body | body
// The body, unpacked: raw: the tensor's bytes. fp16: two bytes for each number. int8: for each of K groups an f32 scale, then for
// each an i8 zero point, then a byte for each number; K is 1 per tensor, dimension 1 per channel.
//
// What a codec does not change:
// - A lossy scheme takes float32. Every other type travels raw within it, and so does a tensor that would not become smaller.
// - int8 of a tensor with a NaN or an infinity among its numbers (or a range of more than half the largest float): the whole
//   tensor travels raw, nothing is clipped in silence.
// - fp16 rounds to the nearest, ties to even; what is beyond 65504 becomes infinity as IEEE 754 says; infinities and NaN stay.
// - A packing that saves nothing is left out.
// So an encoded body is never larger than the tensor.
//
// Pure functions, thread-safe, the same bytes on every machine. A decoder reads what a stranger sent: all sizes follow from type
// and shape, which are checked first; nothing in the bytes says how much to allocate, and unpacking ends at what is due.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/result.h"
#include "tensor/tensor.h"

namespace tideline {

// The numbers are in the encoded form.
enum class Scheme : std::uint8_t { kRaw = 0, kFloat16 = 1, kInt8 = 2, kInt8PerChannel = 3 };
enum class Packing : std::uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };

struct Codec {
  Scheme scheme = Scheme::kRaw;
  Packing packing = Packing::kNone;
  // Tensors travel as they are, without an encoded form around them.
  bool is_raw() const { return scheme == Scheme::kRaw && packing == Packing::kNone; }
  bool is_lossy() const { return scheme != Scheme::kRaw; }
  bool operator==(const Codec&) const = default;
};

struct NamedCodec {
  std::string_view name;  // at most limits::kCodecNameBytesMax
  Codec codec;
};
// All there are, "raw" first.
std::span<const NamedCodec> codecs();
// kUnsupported, with the names there are.
Result<Codec> find_codec(std::string_view name);
std::string_view name_of(const Codec& codec);
// Whether its numbers, which may come from a later build, are those of one of codecs().
bool is_known(const Codec& codec);

// Bytes before the body.
constexpr std::size_t encoded_head_bytes(std::size_t rank) { return 16 + 8 * rank; }
inline constexpr std::size_t kEncodedHeadBytesMax = encoded_head_bytes(limits::kTensorRankMax);

// Encoding into memory of the caller's: `into` of encoded_bytes_max(), `scratch` of scratch_bytes() (none without a packing); the
// answer is how many bytes of `into` are the encoded form. kInvalidArgument when the tensor's bytes do not fit its shape; as
// byte_size() for types without a size.
Result<std::size_t> encode(const Codec& codec, const TensorView& tensor, std::span<std::byte> into, std::span<std::byte> scratch);
// The tensor's own bytes and a head.
Result<std::size_t> encoded_bytes_max(DType dtype, std::span<const std::int64_t> shape);
// The same for encode() and for decoding what it makes, and for anything else that claims to be this codec's.
Result<std::size_t> scratch_bytes(const Codec& codec, DType dtype, std::span<const std::int64_t> shape);

// What the head says, all of it checked: kCorrupt for what no encoder writes, kUnsupported for a later version.
struct EncodedHead {
  Codec used;  // what this tensor is in: its codec, or less of it
  DType dtype = DType::kUndefined;
  std::vector<std::int64_t> shape;
  Bytes bytes = 0;       // of the tensor
  Bytes body_bytes = 0;  // of the body, unpacked
};
Result<EncodedHead> read_encoded_head(std::span<const std::byte> encoded);
// Whether a tensor that is sent in `codec` may arrive as `used`.
bool may_become(const Codec& codec, const Codec& used);

// `encoded` at an address that is a multiple of 8, `into` of head.bytes, `scratch` of at least head.body_bytes when the body is
// packed. kCorrupt when the body is not what the head says.
Status decode(const EncodedHead& head, std::span<const std::byte> encoded, std::span<std::byte> into,
              std::span<std::byte> scratch);

// With memory of their own. kOverloaded when the tensor would take more than `bytes_max`: a few bytes may honestly be a large
// one.
Result<Buffer> encode(const Codec& codec, const TensorView& tensor);
Result<Tensor> decode(std::span<const std::byte> encoded, std::string_view name, Bytes bytes_max = limits::kFramePayloadBytesMax);

}  // namespace tideline
