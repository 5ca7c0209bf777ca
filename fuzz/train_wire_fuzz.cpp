// Any bytes as each message of training, as a checkpoint, as an update in every compression and as a worker's state. The first
// byte says which; a checkpoint's checksum is made right first, as a liar would. What is accepted must be written again as it was
// read.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "train/exchange/update_codec.h"
#include "train/protocol/messages.h"
#include "train/run/checkpoint.h"
#include "train/strategy/optimiser.h"
#include "wire/codec.h"

using namespace tideline;
using namespace tideline::train;

namespace {

constexpr std::size_t kNumbers = 12;

template <class Message>
void as_message(std::span<const std::byte> meta) {
  for (const std::uint64_t payload : {std::uint64_t{0}, std::uint64_t{48}, std::uint64_t{1} << 31}) {
    const auto message = decode_train<Message>(meta, payload);
    if (!message) {
      if (message.error().code != ErrorCode::kCorrupt) std::abort();
      continue;
    }
    std::vector<std::byte> again;
    if (!encode_train(*message, again) || !std::equal(again.begin(), again.end(), meta.begin(), meta.end())) std::abort();
  }
}

void as_checkpoint(std::span<const std::byte> bytes) {
  std::vector<std::byte> repaired(bytes.begin(), bytes.end());
  if (repaired.size() >= 4)
    wire::store_le(repaired.data() + repaired.size() - 4, wire::crc32c(std::span(repaired).first(repaired.size() - 4)));
  const auto checkpoint = parse_checkpoint(repaired);
  if (!checkpoint) return;
  const auto again = parse_checkpoint(write_checkpoint(*checkpoint));
  if (!again || write_checkpoint(*again) != write_checkpoint(*checkpoint)) std::abort();
}

void as_update(std::span<const std::byte> bytes) {
  std::vector<float> numbers(kNumbers);
  for (const compress::CompressorInfo& info : compress::compressors()) {
    const auto codec = make_update_codec(*compress::parse_compressor(info.name), {.parameters = kNumbers - 2, .buffers = 2});
    const Status status = (*codec)->decode(bytes, numbers);
    if (!status && status.error().code != ErrorCode::kCorrupt) std::abort();
  }
}

void as_state(std::span<const std::byte> bytes) {
  StateReader from(bytes);
  Optimiser optimiser({.name = OptimiserSettings::Name::kAdam}, kNumbers);
  if (!optimiser.load(from) || !from.finish()) return;
  StateWriter to;
  optimiser.save(to);
  const auto again = to.take();
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  switch (data[0] % 10) {
    case 0: as_message<TrainSetup>(bytes); break;
    case 1: as_message<TrainReady>(bytes); break;
    case 2: as_message<TrainWork>(bytes); break;
    case 3: as_message<TrainUpdate>(bytes); break;
    case 4: as_message<TrainFetch>(bytes); break;
    case 5: as_message<TrainState>(bytes); break;
    case 6: as_message<TrainPiece>(bytes); break;
    case 7: as_checkpoint(bytes); break;
    case 8: as_update(bytes); break;
    default: as_state(bytes); break;
  }
  return 0;
}
