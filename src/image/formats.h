// One decoder per format, behind decode.cpp. Internal to image/.
#pragma once

#include "image/image.h"

namespace tideline::image {

// Width and height as the header claims them; the caller checks the limits.
Result<ImageInfo> jpeg_info(std::span<const std::byte> file);
Result<ImageInfo> png_info(std::span<const std::byte> file);

// REQUIRES: `info` is what image_info() returned for `file`.
Result<Image> decode_jpeg(std::span<const std::byte> file, const ImageInfo& info, PixelOrder order);
Result<Image> decode_png(std::span<const std::byte> file, const ImageInfo& info, PixelOrder order);

}  // namespace tideline::image
