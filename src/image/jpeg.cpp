// JPEG by libjpeg-turbo.
#include <memory>
#include <string>

#include <fmt/format.h>
#include <turbojpeg.h>

#include "base/limits.h"
#include "base/text.h"
#include "image/formats.h"

namespace tideline::image {

namespace {

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Decoder = std::unique_ptr<void, Destroy>;

const unsigned char* bytes_of(std::span<const std::byte> file) { return reinterpret_cast<const unsigned char*>(file.data()); }

Error corrupt(const Decoder& decoder) {
  return Error{ErrorCode::kCorrupt, fmt::format("[image] damaged JPEG: {}", printable(tjGetErrorStr2(decoder.get())))};
}

// An upper bound on the number of passes over the picture. Inside compressed data 0xff is always followed by 0 or a restart
// marker, so only markers (and thumbnails inside metadata) are counted.
std::uint64_t scans_at_most(std::span<const std::byte> file) {
  std::uint64_t scans = 0;
  for (std::size_t i = 1; i < file.size(); ++i) scans += file[i - 1] == std::byte{0xff} && file[i] == std::byte{0xda} ? 1 : 0;
  return scans;
}

Result<ImageInfo> read_header(const Decoder& decoder, std::span<const std::byte> file) {
  if (!decoder) return Error{ErrorCode::kInternal, "[image] the JPEG decoder cannot be created"};
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colours = 0;
  if (tjDecompressHeader3(decoder.get(), bytes_of(file), file.size(), &width, &height, &subsampling, &colours) != 0)
    return corrupt(decoder);
  if (width <= 0 || height <= 0) return Error{ErrorCode::kCorrupt, "[image] damaged JPEG: no size"};
  if (colours == TJCS_CMYK || colours == TJCS_YCCK)
    return Error{ErrorCode::kUnsupported, "[image] the JPEG has CMYK colours; convert it to RGB"};
  return ImageInfo{ImageFormat::kJpeg, static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height)};
}

int pixel_format(PixelOrder order) {
  switch (order) {
    case PixelOrder::kRgb: return TJPF_RGB;
    case PixelOrder::kBgr: return TJPF_BGR;
    case PixelOrder::kGrey: return TJPF_GRAY;
  }
  return TJPF_RGB;
}

}  // namespace

Result<ImageInfo> jpeg_info(std::span<const std::byte> file) {
  const Decoder decoder(tjInitDecompress());
  return read_header(decoder, file);
}

Result<Image> decode_jpeg(std::span<const std::byte> file, const ImageInfo& info, PixelOrder order) {
  const std::uint64_t pixels = std::uint64_t{info.width} * info.height;
  if (scans_at_most(file) > limits::kImageScanPixelsMax / pixels)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[image] the JPEG has too many scans for its {}x{} pixels", info.width, info.height)};
  const Decoder decoder(tjInitDecompress());
  if (!decoder) return Error{ErrorCode::kInternal, "[image] the JPEG decoder cannot be created"};
  Image image{info.width, info.height, order == PixelOrder::kGrey ? 1u : 3u, {}};
  image.pixels = Buffer(pixels * image.channels);
  const int status = tjDecompress2(decoder.get(), bytes_of(file), file.size(),
                                   reinterpret_cast<unsigned char*>(image.pixels.data()), static_cast<int>(info.width), 0,
                                   static_cast<int>(info.height), pixel_format(order), TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  if (status == 0) return image;
  // Cheap cameras pad their data; every pixel is there all the same. Any other warning means that some are guessed.
  const bool is_padding = tjGetErrorCode(decoder.get()) == TJERR_WARNING &&
                          std::string_view(tjGetErrorStr2(decoder.get())).find("extraneous bytes") != std::string_view::npos;
  if (!is_padding) return corrupt(decoder);
  return image;
}

}  // namespace tideline::image
