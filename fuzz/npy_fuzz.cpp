// Any bytes as a .npy file; what is accepted must survive being written and read again.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tensor/npy.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto tensor = parse_npy({reinterpret_cast<const char*>(data), size}, "x");
  if (!tensor) return 0;
  const auto file = write_npy(view(*tensor));
  if (!file) std::abort();
  const auto again = parse_npy(*file, "x");
  if (!again || again->spec != tensor->spec || again->data.size() != tensor->data.size()) std::abort();
  if (!tensor->data.empty() && std::memcmp(again->data.data(), tensor->data.data(), tensor->data.size()) != 0) std::abort();
  return 0;
}
