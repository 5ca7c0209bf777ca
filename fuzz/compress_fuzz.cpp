// Any bytes as an update (second byte even) or as a compressor's state (odd); the first byte chooses the compressor. What is
// accepted as an update has finite numbers, but for those that send any; what is accepted as a state is what state() gives back,
// and goes on.
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "compress_variants.h"

using namespace tideline;
using namespace tideline::compress;

namespace {

void as_update(const Compressor& compressor, std::span<const std::byte> bytes, bool sends_any) {
  std::vector<float> numbers(compressor.numbers());
  if (const Status status = compressor.decode(bytes, numbers); !status) {
    if (status.error().code != ErrorCode::kCorrupt) std::abort();
    return;
  }
  for (const float x : numbers)
    if (!sends_any && !std::isfinite(x)) std::abort();
}

void as_state(Compressor& compressor, std::span<const std::byte> bytes) {
  if (const Status status = compressor.restore(bytes); !status) {
    if (status.error().code != ErrorCode::kCorrupt) std::abort();
    return;
  }
  const auto state = compressor.state();
  if (state.size() != bytes.size() || std::memcmp(state.data(), bytes.data(), bytes.size()) != 0) std::abort();
  std::vector<float> gradient(compressor.numbers(), 0.25F), back(compressor.numbers());
  const auto update = compressor.encode(gradient, {.step = 5, .seed = 1, .loss = 1.0F});
  if (!update) {
    // What it remembers is too large for one more gradient.
    if (update.error().code != ErrorCode::kInvalidArgument || compressor.state() != state) std::abort();
    return;
  }
  if (!compressor.decode(*update, back)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::span bytes(reinterpret_cast<const std::byte*>(data) + 2, size - 2);
  const auto compressor = make_variant(data[0]);
  if ((data[1] & 1) != 0)
    as_state(*compressor, bytes);
  else
    as_update(*compressor, bytes, data[0] % variants().size() < 2);
  return 0;
}
