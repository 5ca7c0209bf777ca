// PNG by stb_image, after a walk over its chunks: stb looks neither at checksums nor at the order of things.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "base/limits.h"
#include "image/formats.h"
#include "image/stb_png.h"

namespace tideline::image {

namespace {

constexpr std::size_t kSignatureBytes = 8;
constexpr std::size_t kHeaderBytes = 13;  // of IHDR

Error corrupt(std::string_view reason) { return Error{ErrorCode::kCorrupt, fmt::format("[image] damaged PNG: {}", reason)}; }

std::uint32_t big_endian(const std::byte* at) {
  return std::to_integer<std::uint32_t>(at[0]) << 24 | std::to_integer<std::uint32_t>(at[1]) << 16 |
         std::to_integer<std::uint32_t>(at[2]) << 8 | std::to_integer<std::uint32_t>(at[3]);
}

// CRC-32 of ISO 3309, as PNG's annex gives it.
std::uint32_t crc32(std::span<const std::byte> bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> made{};
    for (std::uint32_t n = 0; n < 256; ++n) {
      std::uint32_t c = n;
      for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
      made[n] = c;
    }
    return made;
  }();
  std::uint32_t crc = 0xffffffffu;
  for (const std::byte byte : bytes) crc = table[(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

struct Chunk {
  std::string_view type;
  std::span<const std::byte> data;
  std::span<const std::byte> checked;  // type and data
  std::uint32_t crc = 0;
  std::size_t end = 0;
};

Result<Chunk> chunk_at(std::span<const std::byte> file, std::size_t at) {
  if (file.size() - at < 12) return corrupt("it ends early");
  const std::uint32_t length = big_endian(file.data() + at);
  if (length > file.size() - at - 12) return corrupt("it ends early");
  Chunk chunk;
  chunk.type = {reinterpret_cast<const char*>(file.data()) + at + 4, 4};
  chunk.data = file.subspan(at + 8, length);
  chunk.checked = file.subspan(at + 4, length + 4);
  chunk.crc = big_endian(file.data() + at + 8 + length);
  chunk.end = at + 12 + length;
  return chunk;
}

// Every chunk whole and with its checksum right, IHDR first, IEND last.
Status check_chunks(std::span<const std::byte> file) {
  std::size_t at = kSignatureBytes;
  for (bool is_first = true;; is_first = false) {
    TIDELINE_TRY(const Chunk chunk, chunk_at(file, at));
    if (crc32(chunk.checked) != chunk.crc) return corrupt("a checksum is wrong");
    if (is_first != (chunk.type == "IHDR")) return corrupt("its header is not where it belongs");
    if (chunk.type == "IEND") return {};
    at = chunk.end;
  }
}

struct StbFree {
  void operator()(unsigned char* data) const { stb_free(data); }
};

}  // namespace

Result<ImageInfo> png_info(std::span<const std::byte> file) {
  TIDELINE_TRY(const Chunk header, chunk_at(file, kSignatureBytes));
  if (header.type != "IHDR" || header.data.size() != kHeaderBytes) return corrupt("it does not begin with a header");
  return ImageInfo{ImageFormat::kPng, big_endian(header.data.data()), big_endian(header.data.data() + 4)};
}

Result<Image> decode_png(std::span<const std::byte> file, const ImageInfo& info, PixelOrder order) {
  TIDELINE_CHECK_OK(check_chunks(file));
  const std::uint64_t pixels = std::uint64_t{info.width} * info.height;
  // At most four channels of 16 bits and a filter byte per row; stb may double its buffer once beyond what is needed. Interlaced
  // files have seven passes, whose rows are twice as many.
  const std::uint64_t inflated = 8 * pixels + 2 * std::uint64_t{info.height} + 64;
  const std::size_t allocation_max = std::max<std::uint64_t>(2 * inflated, 2 * file.size()) + 65'536;

  Image image{info.width, info.height, order == PixelOrder::kGrey ? 1u : 3u, {}};
  const char* reason = "unknown";
  const StbPixels decoded = stb_decode(reinterpret_cast<const unsigned char*>(file.data()), file.size(),
                                       static_cast<int>(image.channels), allocation_max, &reason);
  const std::unique_ptr<unsigned char, StbFree> owner(decoded.data);
  if (!owner) return corrupt(reason);
  if (static_cast<std::uint32_t>(decoded.width) != info.width || static_cast<std::uint32_t>(decoded.height) != info.height)
    return corrupt("its size changed while it was read");

  image.pixels = Buffer(pixels * image.channels);
  auto* out = reinterpret_cast<unsigned char*>(image.pixels.data());
  std::memcpy(out, decoded.data, image.pixels.size());
  if (order == PixelOrder::kBgr)
    for (std::uint64_t i = 0; i < pixels; ++i) std::swap(out[3 * i], out[3 * i + 2]);
  return image;
}

}  // namespace tideline::image
