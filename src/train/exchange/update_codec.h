// UpdateCodec: how a worker's update is written on the wire. A codec with memory: what it leaves out of one update it may add to
// the next, so each worker has one of its own for the whole run. The coordinator only decodes, which needs no memory.
//
// Not thread-safe. update_codecs() is the whole list; a compressor is one more entry of it.
//
//   TIDELINE_TRY(const auto codec, make_update_codec("fp16", update.size()));
//   TIDELINE_TRY(const std::vector<std::byte> bytes, codec->encode(update));
//   TIDELINE_CHECK_OK(codec->decode(bytes, received));
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline::train {

class UpdateCodec {
 public:
  virtual ~UpdateCodec() = default;
  // Numbers that are not finite travel as such where the codec can write them: the receiver judges.
  virtual Result<std::vector<std::byte>> encode(std::span<const float> update) = 0;
  // All of `into` from bytes that a stranger sent: kCorrupt when they are not an update of that many numbers.
  virtual Status decode(std::span<const std::byte> bytes, std::span<float> into) const = 0;
  // What encode() remembers, for a checkpoint; none by default.
  virtual std::vector<float> memory() const { return {}; }
  // kCorrupt when it is not what memory() of such a codec gives.
  virtual Status restore(std::span<const float> memory);
};

struct UpdateCodecInfo {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<UpdateCodec> (*make)(std::size_t numbers);
};
std::span<const UpdateCodecInfo> update_codecs();
// For updates of so many numbers. kNotFound, naming those there are.
Result<std::unique_ptr<UpdateCodec>> make_update_codec(std::string_view name, std::size_t numbers);

}  // namespace tideline::train
