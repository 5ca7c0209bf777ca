// Any bytes as an IDX file, plain or gzipped; what is accepted has the bytes that its shape says.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "train/data/idx.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tensor = train::parse_idx({reinterpret_cast<const char*>(data), size});
  if (!tensor) return 0;
  const auto bytes = byte_size(tensor->spec.dtype, tensor->spec.shape);
  if (!bytes || *bytes != tensor->data.size()) std::abort();
  return 0;
}
