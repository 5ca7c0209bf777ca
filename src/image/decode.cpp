#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/units.h"
#include "image/formats.h"
#include "image/image.h"

namespace tideline {

ImageFormat image_format(std::span<const std::byte> file) {
  constexpr unsigned char kJpeg[] = {0xff, 0xd8, 0xff};
  constexpr unsigned char kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  const auto starts_with = [&](std::span<const unsigned char> magic) {
    return file.size() >= magic.size() &&
           std::equal(magic.begin(), magic.end(), file.begin(),
                      [](unsigned char expected, std::byte found) { return std::byte{expected} == found; });
  };
  if (starts_with(kJpeg)) return ImageFormat::kJpeg;
  if (starts_with(kPng)) return ImageFormat::kPng;
  return ImageFormat::kUnknown;
}

std::string_view to_string(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg: return "JPEG";
    case ImageFormat::kPng: return "PNG";
    case ImageFormat::kUnknown: break;
  }
  return "neither JPEG nor PNG";
}

Result<ImageInfo> image_info(std::span<const std::byte> file) {
  if (file.size() > limits::kImageFileBytesMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[image] the file has {}, above the limit of {}",
                                                          format_bytes(file.size()), format_bytes(limits::kImageFileBytesMax))};
  ImageInfo info{.format = image_format(file)};
  switch (info.format) {
    case ImageFormat::kJpeg: {
      TIDELINE_TRY(info, image::jpeg_info(file));
      break;
    }
    case ImageFormat::kPng: {
      TIDELINE_TRY(info, image::png_info(file));
      break;
    }
    case ImageFormat::kUnknown:
      return Error{ErrorCode::kCorrupt, file.empty() ? "[image] the file is empty" : "[image] the file is neither JPEG nor PNG"};
  }
  const std::uint64_t pixels = std::uint64_t{info.width} * info.height;
  if (pixels == 0) return Error{ErrorCode::kCorrupt, "[image] the picture has no pixels"};
  if (pixels > limits::kImagePixelsMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[image] the picture has {}x{} pixels, above the limit of {}",
                                                          info.width, info.height, limits::kImagePixelsMax)};
  return info;
}

Result<Image> decode_image(std::span<const std::byte> file, PixelOrder order) {
  TIDELINE_TRY(const ImageInfo info, image_info(file));
  return info.format == ImageFormat::kJpeg ? image::decode_jpeg(file, info, order) : image::decode_png(file, info, order);
}

}  // namespace tideline
