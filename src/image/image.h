// Images: JPEG and PNG bytes to pixels, and resizing. Everything a camera or a peer can send is checked before memory is taken.
//
// Pure functions; thread-safe. The same input gives the same pixels on every machine: resizing is integer arithmetic, and the
// decoders' fast paths equal their plain ones.
//
//   TIDELINE_TRY(const Image photo, decode_image(bytes, {.channels = PixelOrder::kRgb}));
//   TIDELINE_TRY(const Image small, resize_image(photo, 224, 224, Fit::kStretch));
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer.h"
#include "base/result.h"

namespace tideline {

enum class ImageFormat { kUnknown, kJpeg, kPng };
enum class PixelOrder { kRgb, kBgr, kGrey };
enum class Fit {
  kStretch,  // the whole image, its proportions changed
  kCrop,     // the largest rectangle of the wanted proportions around the centre
};

// Rows from the top, pixels from the left, one byte per channel, no padding.
struct ImageView {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;
  const std::uint8_t* pixels = nullptr;
};

struct Image {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::uint32_t channels = 0;  // 3, or 1 for grey
  Buffer pixels;
  ImageView view() const { return {width, height, channels, reinterpret_cast<const std::uint8_t*>(pixels.data())}; }
};

// By the first bytes alone.
ImageFormat image_format(std::span<const std::byte> file);
std::string_view to_string(ImageFormat format);

struct ImageInfo {
  ImageFormat format = ImageFormat::kUnknown;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
};
// From the header, without decoding. kCorrupt when there is none, kInvalidArgument when the file or the picture is over
// limits::kImageFileBytesMax or kImagePixelsMax.
Result<ImageInfo> image_info(std::span<const std::byte> file);

// Grey files become colour and the other way round (ITU-R BT.601 luma); an alpha channel is dropped and 16 bits become 8, as
// OpenCV and Pillow do; the orientation in EXIF data is not applied (orient_image() does that). kCorrupt for damaged or truncated
// files; kUnsupported for CMYK.
Result<Image> decode_image(std::span<const std::byte> file, PixelOrder order);

// How a camera was held, as the EXIF data of a JPEG says (tag 0x0112 of JEITA CP-3451, "Orientation"): 1 to 8; 1, as it is
// stored, where there is none (PNG too). Reads markers and one directory, whatever the size of the file. kCorrupt where there is
// EXIF data that contradicts itself.
Result<int> exif_orientation(std::span<const std::byte> file);
// The picture as it is to be seen: 2 mirrored, 3 upside down, 4 both, 5 to 8 with width and height exchanged.
// REQUIRES: 1 <= orientation <= 8.
Image orient_image(Image image, int orientation);

// Bilinear with half-pixel centres; where it shrinks, each new pixel is the triangle-weighted mean of all old ones it covers, so
// that nothing aliases (as Pillow's BILINEAR does). Cost: O(pixels read + pixels made x (1 + ratio)).
// kInvalidArgument for an empty image or size, or one over limits::kImagePixelsMax.
Result<Image> resize_image(const ImageView& image, std::uint32_t width, std::uint32_t height, Fit fit);

}  // namespace tideline
