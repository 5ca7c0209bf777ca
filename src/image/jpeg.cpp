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

// One pass over the pixels and nothing after it: what is missing at its end is seen by the decoder. A file of several passes may
// lack the last ones and still look whole.
bool has_one_pass(std::span<const std::byte> file) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned>(file[i]); };
  bool is_sequential = false;
  std::size_t i = 2;
  for (; i + 4 <= file.size() && at(i) == 0xff && at(i + 1) != 0xda; i += 2 + (at(i + 2) << 8 | at(i + 3)))
    is_sequential = is_sequential || at(i + 1) == 0xc0 || at(i + 1) == 0xc1;
  for (i += 2; i + 1 < file.size(); ++i) {
    const bool is_marker = at(i) == 0xff && at(i + 1) != 0 && at(i + 1) != 0xff && (at(i + 1) < 0xd0 || at(i + 1) > 0xd7);
    if (is_marker) return false;
  }
  return is_sequential;
}

// The file with the end marker that cameras forget or cut off; empty when more than that could be missing.
std::string completed(std::span<const std::byte> file) {
  if (file.size() < 4 || !has_one_pass(file)) return {};
  std::string bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.back() == '\xff') bytes.pop_back();
  return bytes + "\xff\xd9";
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
  const auto decode = [&](std::span<const std::byte> bytes) {
    return tjDecompress2(decoder.get(), bytes_of(bytes), bytes.size(), reinterpret_cast<unsigned char*>(image.pixels.data()),
                         static_cast<int>(info.width), 0, static_cast<int>(info.height), pixel_format(order),
                         TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  };
  const auto warning_is = [&](std::string_view text) {
    return tjGetErrorCode(decoder.get()) == TJERR_WARNING &&
           std::string_view(tjGetErrorStr2(decoder.get())).find(text) != std::string_view::npos;
  };
  int status = decode(file);
  // Where nothing but the end marker is missing, the decoder has no complaint once it is there; where pixels are, it has.
  if (status != 0 && warning_is("Premature end")) {
    const std::string whole = completed(file);
    if (!whole.empty()) status = decode(std::as_bytes(std::span(whole)));
  }
  if (status == 0) return image;
  // Cheap cameras pad their data; every pixel is there all the same. Any other warning means that some are guessed.
  if (!warning_is("extraneous bytes")) return corrupt(decoder);
  return image;
}

}  // namespace tideline::image
