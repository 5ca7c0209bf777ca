// Any bytes as an encoded tensor, and any bytes as a tensor to be encoded. The first byte says which; of the second kind the next
// ones say codec, type and shape. What is decoded must survive being encoded and decoded again; what is encoded must come back,
// whole or within the codec's own bound.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "codec/codec.h"

using namespace tideline;

namespace {

constexpr Bytes kBytesMax = 1u << 20;

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.spec == b.spec && a.data.size() == b.data.size() &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0);
}

Tensor through(const Codec& codec, const Tensor& tensor) {
  const auto encoded = encode(codec, view(tensor));
  if (!encoded || encoded->size() > encoded_bytes_max(tensor.spec.dtype, tensor.spec.shape).value()) std::abort();
  const auto head = read_encoded_head(encoded->span());
  if (!head || !may_become(codec, head->used)) std::abort();
  auto decoded = decode(encoded->span(), tensor.spec.name, kBytesMax);
  if (!decoded || decoded->spec != tensor.spec) std::abort();
  return std::move(*decoded);
}

void as_encoded(std::span<const std::byte> bytes) {
  const auto decoded = decode(bytes, "x", kBytesMax);
  if (!decoded) {
    const ErrorCode code = decoded.error().code;
    if (code != ErrorCode::kCorrupt && code != ErrorCode::kUnsupported && code != ErrorCode::kOverloaded) std::abort();
    return;
  }
  const EncodedHead head = *read_encoded_head(bytes);
  if (!same_bytes(through({Scheme::kRaw, head.used.packing}, *decoded), *decoded)) std::abort();
  // Numbers that were float16 once lose nothing a second time, but for the NaN that are made quiet.
  if (head.used.scheme == Scheme::kFloat16) {
    const Tensor once = through({Scheme::kFloat16, Packing::kNone}, *decoded);
    if (!same_bytes(through({Scheme::kFloat16, Packing::kNone}, once), once)) std::abort();
  }
}

void as_tensor(std::span<const std::byte> bytes) {
  if (bytes.size() < 4) return;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const Codec codec = codecs()[at(0) % codecs().size()].codec;
  static constexpr DType kTypes[] = {DType::kFloat32, DType::kFloat32, DType::kUint8, DType::kInt64, DType::kFloat16};
  const DType dtype = kTypes[at(1) % 5];
  const std::int64_t outer = 1 + at(2) % 3;
  const std::int64_t channels = 1 + at(3) % 7;
  bytes = bytes.subspan(4);
  const auto numbers = static_cast<std::int64_t>(bytes.size() / element_bytes(dtype));
  Tensor tensor{{"x", dtype, {outer, channels, numbers / (outer * channels)}}, {}};
  tensor.data = Buffer::copy_of(bytes.first(byte_size(dtype, tensor.spec.shape).value()));
  const Tensor back = through(codec, tensor);
  if (!codec.is_lossy() || dtype != DType::kFloat32) {
    if (!same_bytes(back, tensor)) std::abort();
    return;
  }
  // Twice in a lossy codec: no number that was finite becomes anything else, but what float16 cannot hold.
  for (std::size_t i = 0; i < tensor.data.size(); i += sizeof(float)) {
    float x = 0;
    float y = 0;
    std::memcpy(&x, tensor.data.data() + i, sizeof x);
    std::memcpy(&y, back.data.data() + i, sizeof y);
    if (std::isnan(x) != std::isnan(y)) std::abort();
    if (std::isfinite(x) && !std::isfinite(y) && !(codec.scheme == Scheme::kFloat16 && std::abs(x) >= 65520)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  (data[0] & 1) != 0 ? as_tensor(bytes) : as_encoded(bytes);
  return 0;
}
