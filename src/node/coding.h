// Tensors in the codecs of a plan's hops, with memory of the pool. A stage decodes what it computes on and encodes what leaves
// it; what only passes by in the same codec is not touched. Functions without state.
#pragma once

#include <vector>

#include "codec/codec.h"
#include "node/buffer_pool.h"
#include "node/stage.h"
#include "wire/messages.h"

namespace tideline {

// Replaces those of `which` (by position) that are encoded by what they hold. kInvalidArgument for one that is not in `codec` or
// has another type or shape than was announced; kCorrupt for bytes that do not decode.
Status decode_tensors(const Codec& codec, const std::vector<bool>& which, BufferPool& buffers, TensorSet& tensors);
// Replaces those that are not encoded yet by their encoded form.
Status encode_tensors(const Codec& codec, BufferPool& buffers, TensorSet& tensors);

// What a frame says of the tensors.
Result<std::vector<wire::WireTensor>> announce(const TensorSet& tensors);

// What the tensors of a frame take once they are decoded.
std::uint64_t decoded_bytes(const std::vector<wire::WireTensor>& tensors);

}  // namespace tideline
