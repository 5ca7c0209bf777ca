// Any bytes as a picture, through all three input steps. Mutated PNGs get their checksums repaired most of the time: nothing
// would come past those otherwise.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "image/image.h"
#include "input/input_steps.h"

using namespace tideline;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

namespace {

std::uint32_t crc32(const std::uint8_t* data, std::size_t size) {
  std::uint32_t crc = ~0u;
  for (std::size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return ~crc;
}

void repair_checksums(std::uint8_t* png, std::size_t size) {
  for (std::size_t at = 8; size - at >= 12;) {
    const std::size_t length = std::size_t{png[at]} << 24 | png[at + 1] << 16 | png[at + 2] << 8 | png[at + 3];
    if (length > size - at - 12) return;
    const std::uint32_t crc = crc32(png + at + 4, length + 4);
    for (std::size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max, unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, size_max);
  if (seed % 8 != 0 && size > 8 && std::memcmp(data, "\x89PNG", 4) == 0) repair_checksums(data, size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  const auto info = image_info(file);
  // Legal but slow; the limits themselves have unit tests.
  if (!info || std::uint64_t{info->width} * info->height > 1'000'000) return 0;

  InputSection section;
  section.channels = static_cast<ChannelOrder>(size % 3);
  section.resize = static_cast<ResizeMode>(size / 3 % 3);
  section.width = 1 + size % 67;
  section.height = 1 + size % 41;
  section.orientation = static_cast<Orientation>(size / 9 % 2);
  if (size / 18 % 2 == 0)
    section.follow = FollowSize{static_cast<std::uint32_t>(1 + size % 67), static_cast<std::uint32_t>(1 + size % 5),
                                static_cast<std::uint32_t>((1 + size % 5) * 30)};
  if (section.follow) section.follow->longest = std::max(section.follow->longest, section.follow->multiple * 70);
  const TensorSpec spec{"", DType::kUint8, {static_cast<std::int64_t>(size)}};
  const auto pixels = run_input_step(InputStep::kDecode, section, {&spec, file});
  if (!pixels) return 0;
  const auto orientation = section.orientation == Orientation::kExif ? exif_orientation(file) : Result<int>(1);
  if (!orientation || *orientation < 1 || *orientation > 8) std::abort();
  const bool turned = *orientation >= 5;
  if (pixels->spec.shape[turned ? 1 : 0] != info->height || pixels->spec.shape[turned ? 0 : 1] != info->width) std::abort();
  const auto resized = run_input_step(InputStep::kResize, section, view(*pixels));
  // Only proportions beyond the limit may stop it here.
  if (!resized) return 0;
  const auto frame = picture_frame(section, turned ? info->height : info->width, turned ? info->width : info->height);
  if (!(frame.scale_x > 0) || !(frame.scale_y > 0)) std::abort();
  if (!run_input_step(InputStep::kNormalize, section, view(*resized))) std::abort();
  return 0;
}
