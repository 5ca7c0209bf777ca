#include "train/data/model_files.h"

#include <cstdint>

namespace tideline::train {

std::string pack_files(const ModelFiles& files) {
  std::string packed;
  packed.reserve(sizeof(std::uint64_t) + files.model.size() + files.teacher.size());
  for (std::size_t i = 0; i < sizeof(std::uint64_t); ++i) packed += static_cast<char>(files.model.size() >> (8 * i) & 0xff);
  return packed + files.model + files.teacher;
}

Result<ModelFiles> unpack_files(const std::string& packed) {
  const Error wrong{ErrorCode::kCorrupt, "[train] what was sent is no model with its teacher"};
  if (packed.size() < sizeof(std::uint64_t)) return wrong;
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < sizeof length; ++i)
    length |= static_cast<std::uint64_t>(static_cast<unsigned char>(packed[i])) << (8 * i);
  const std::size_t left = packed.size() - sizeof length;
  if (length == 0 || length >= left) return wrong;
  return ModelFiles{packed.substr(sizeof length, static_cast<std::size_t>(length)),
                    packed.substr(sizeof length + static_cast<std::size_t>(length))};
}

}  // namespace tideline::train
