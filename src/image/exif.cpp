// The orientation of a picture: where it is written, and how it is applied.
#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/check.h"
#include "base/limits.h"
#include "image/image.h"

namespace tideline {
namespace {

constexpr std::string_view kExif("Exif\0\0", 6);
constexpr unsigned kOrientationTag = 0x0112;
constexpr unsigned kShort = 3;  // the type of 16 bits
constexpr std::size_t kEntryBytes = 12;

Error corrupt(std::string_view what) {
  return Error{
      ErrorCode::kCorrupt,
      fmt::format("[image] damaged EXIF data: {}; take 'orientation: exif' out of the input section, or mend the file", what)};
}

// Whole numbers in the byte order of a TIFF header.
class Tiff {
 public:
  Tiff(std::span<const std::byte> bytes, bool little) : bytes_(bytes), little_(little) {}
  bool has(std::size_t at, std::size_t count) const { return at <= bytes_.size() && count <= bytes_.size() - at; }
  // REQUIRES: has(at, count), count <= 4.
  std::uint32_t number(std::size_t at, std::size_t count) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
      value |= static_cast<std::uint32_t>(bytes_[at + i]) << 8 * (little_ ? i : count - 1 - i);
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool little_;
};

Result<int> orientation_of(std::span<const std::byte> tiff) {
  const auto starts_with = [&](std::string_view magic) {
    return tiff.size() >= magic.size() && std::equal(magic.begin(), magic.end(), tiff.begin(),
                                                     [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
  };
  const bool little = starts_with("II");
  if (!little && !starts_with("MM")) return corrupt("it does not say its byte order");
  const Tiff reader(tiff, little);
  if (!reader.has(0, 8) || reader.number(2, 2) != 42) return corrupt("its header is none");
  const std::size_t directory = reader.number(4, 4);
  if (directory < 8 || !reader.has(directory, 2)) return corrupt("its directory lies outside");
  const std::size_t entries = reader.number(directory, 2);
  if (entries > limits::kExifEntriesMax || !reader.has(directory + 2, entries * kEntryBytes))
    return corrupt(fmt::format("its directory claims {} entries", entries));
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntryBytes;
    if (reader.number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t value = reader.number(entry + 8, 2);
    if (reader.number(entry + 2, 2) != kShort || reader.number(entry + 4, 4) != 1 || value < 1 || value > 8)
      return corrupt("its orientation is none of 1 to 8");
    return static_cast<int>(value);
  }
  return 1;
}

// The EXIF data behind its name, if there is any before the picture's own data.
std::optional<std::span<const std::byte>> find_exif(std::span<const std::byte> file) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(file[i]); };
  std::size_t i = 2;
  while (i + 4 <= file.size() && at(i) == 0xff) {
    const unsigned marker = at(i + 1);
    if (marker == 0xff) {
      ++i;  // padding
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;
    const std::size_t length = at(i + 2) << 8 | at(i + 3);
    if (length < 2 || length > file.size() - i - 2) break;
    const std::span<const std::byte> segment = file.subspan(i + 4, length - 2);
    const bool is_exif = marker == 0xe1 && segment.size() >= kExif.size() &&
                         std::equal(kExif.begin(), kExif.end(), segment.begin(),
                                    [](char a, std::byte b) { return static_cast<std::byte>(a) == b; });
    if (is_exif) return segment.subspan(kExif.size());
    i += 2 + length;
  }
  return std::nullopt;
}

}  // namespace

Result<int> exif_orientation(std::span<const std::byte> file) {
  if (image_format(file) != ImageFormat::kJpeg) return 1;
  const auto exif = find_exif(file);
  if (!exif) return 1;
  return orientation_of(*exif);
}

Image orient_image(Image image, int orientation) {
  TIDELINE_CHECK(orientation >= 1 && orientation <= 8);
  if (orientation == 1) return image;
  const std::uint32_t w = image.width;
  const std::uint32_t h = image.height;
  const bool turned = orientation >= 5;
  Image made{turned ? h : w, turned ? w : h, image.channels, Buffer(image.pixels.size())};
  const auto* const from = image.view().pixels;
  auto* to = reinterpret_cast<std::uint8_t*>(made.pixels.data());
  for (std::uint32_t y = 0; y < made.height; ++y)
    for (std::uint32_t x = 0; x < made.width; ++x) {
      // Exchanged first, mirrored then.
      std::uint32_t sx = turned ? y : x;
      std::uint32_t sy = turned ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) sx = w - 1 - sx;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) sy = h - 1 - sy;
      const std::uint8_t* const pixel = from + (std::size_t{sy} * w + sx) * image.channels;
      to = std::copy_n(pixel, image.channels, to);
    }
  return made;
}

}  // namespace tideline
