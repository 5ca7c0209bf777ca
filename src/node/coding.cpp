#include "node/coding.h"

#include <fmt/format.h>

namespace tideline {
namespace {

BufferPool::Lent scratch_for(const Codec& codec, const TensorSpec& spec, BufferPool& buffers) {
  const auto bytes = scratch_bytes(codec, spec.dtype, spec.shape);
  return bytes && *bytes > 0 ? buffers.take(*bytes) : BufferPool::Lent{};
}

Status decode_one(const Codec& codec, BufferPool& buffers, TensorSet& tensors, std::size_t i) {
  const TensorSpec& spec = tensors.specs[i];
  TIDELINE_TRY(const EncodedHead head, read_encoded_head(tensors.bytes[i]));
  if (!may_become(codec, head.used))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[node] a tensor came as {}, but the plan says {}", name_of(head.used), name_of(codec))};
  if (head.dtype != spec.dtype || head.shape != spec.shape)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[node] a tensor was announced as {}, but its encoded form is {}",
                             describe({"", spec.dtype, spec.shape}), describe({"", head.dtype, head.shape}))};
  auto lent = buffers.take(head.bytes);
  const auto scratch = scratch_for(head.used, spec, buffers);
  TIDELINE_CHECK_OK(decode(head, tensors.bytes[i], lent.bytes, scratch.bytes));
  tensors.bytes[i] = lent.bytes;
  tensors.owners[i] = std::move(lent.owner);
  tensors.encodings[i] = wire::Encoding::kRaw;
  return {};
}

Status encode_one(const Codec& codec, BufferPool& buffers, TensorSet& tensors, std::size_t i) {
  const TensorSpec& spec = tensors.specs[i];
  TIDELINE_TRY(const std::size_t room, encoded_bytes_max(spec.dtype, spec.shape));
  auto lent = buffers.take(room);
  const auto scratch = scratch_for(codec, spec, buffers);
  TIDELINE_TRY(const std::size_t bytes, encode(codec, TensorView{&spec, tensors.bytes[i]}, lent.bytes, scratch.bytes));
  tensors.bytes[i] = lent.bytes.first(bytes);
  tensors.owners[i] = std::move(lent.owner);
  tensors.encodings[i] = wire::Encoding::kCoded;
  return {};
}

}  // namespace

Status decode_tensors(const Codec& codec, const std::vector<bool>& which, BufferPool& buffers, TensorSet& tensors) {
  for (std::size_t i = 0; i < tensors.specs.size(); ++i)
    if (which[i] && tensors.encodings[i] == wire::Encoding::kCoded) TIDELINE_CHECK_OK(decode_one(codec, buffers, tensors, i));
  return {};
}

Status encode_tensors(const Codec& codec, BufferPool& buffers, TensorSet& tensors) {
  for (std::size_t i = 0; i < tensors.specs.size(); ++i)
    if (tensors.encodings[i] == wire::Encoding::kRaw) TIDELINE_CHECK_OK(encode_one(codec, buffers, tensors, i));
  return {};
}

Result<std::vector<wire::WireTensor>> announce(const TensorSet& tensors) {
  std::vector<wire::WireTensor> list;
  for (std::size_t i = 0; i < tensors.specs.size(); ++i) {
    const TensorSpec& spec = tensors.specs[i];
    const auto index = static_cast<std::uint16_t>(i);
    TIDELINE_TRY(auto tensor, tensors.encodings[i] == wire::Encoding::kRaw
                                  ? wire::wire_tensor(index, spec.dtype, spec.shape)
                                  : wire::coded_tensor(index, spec.dtype, spec.shape, tensors.bytes[i].size()));
    list.push_back(std::move(tensor));
  }
  return list;
}

std::uint64_t decoded_bytes(const std::vector<wire::WireTensor>& tensors) {
  std::uint64_t sum = 0;
  // Each was checked when the frame was decoded.
  for (const wire::WireTensor& tensor : tensors)
    if (const auto bytes = byte_size(tensor.dtype, tensor.shape)) sum += *bytes;
  return sum;
}

}  // namespace tideline
