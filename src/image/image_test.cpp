// Images: real photographs, made-up PNGs, and files that lie.
#include "image/image.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline {
namespace {

std::span<const std::byte> as_span(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string photo(const std::string& name) {
  const char* folder = std::getenv("TIDELINE_THIRD_PARTY");
  EXPECT_NE(folder, nullptr);
  auto bytes = read_file(fmt::format("{}/photos/{}.jpg", folder == nullptr ? "" : folder, name), limits::kImageFileBytesMax);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes ? *bytes : std::string();
}

const std::uint8_t* pixels(const Image& image) { return image.view().pixels; }

// An encoder of PNGs, written from the specification, with stored (uncompressed) blocks: an independent judge of the decoder.
class PngWriter {
 public:
  PngWriter(std::uint32_t width, std::uint32_t height, int bit_depth, int colour_type) {
    std::string header = big_endian(width) + big_endian(height);
    for (const int value : {bit_depth, colour_type, 0, 0, 0}) header.push_back(static_cast<char>(value));
    add("IHDR", header);
  }
  void add(const std::string& type, const std::string& data) {
    bytes += big_endian(static_cast<std::uint32_t>(data.size())) + type + data + big_endian(crc(type + data));
  }
  // `rows`: each with its filter byte in front.
  std::string finish(const std::string& rows) {
    std::string zlib("\x78\x01", 2);
    for (std::size_t at = 0; at < rows.size() || at == 0;) {
      const std::size_t count = std::min<std::size_t>(rows.size() - at, 65'535);
      zlib.push_back(at + count == rows.size() ? 1 : 0);
      for (const std::size_t length : {count, ~count}) {
        zlib.push_back(static_cast<char>(length & 0xff));
        zlib.push_back(static_cast<char>(length >> 8 & 0xff));
      }
      zlib += rows.substr(at, count);
      at += count;
      if (count == 0) break;
    }
    std::uint32_t a = 1;
    std::uint32_t b = 0;
    for (const char c : rows) {
      a = (a + static_cast<unsigned char>(c)) % 65521;
      b = (b + a) % 65521;
    }
    add("IDAT", zlib + big_endian(b << 16 | a));
    add("IEND", "");
    return bytes;
  }
  static std::string big_endian(std::uint32_t value) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text.push_back(static_cast<char>(value >> shift));
    return text;
  }
  static std::uint32_t crc(const std::string& data) {
    std::uint32_t crc = ~0u;
    for (const char c : data) {
      crc ^= static_cast<unsigned char>(c);
      for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
    }
    return ~crc;
  }
  std::string bytes{"\x89PNG\r\n\x1a\n"};
};

std::string rgb_png(std::uint32_t width, std::uint32_t height) {
  std::string rows;
  for (std::uint32_t y = 0; y < height; ++y) {
    rows.push_back(0);
    for (std::uint32_t x = 0; x < width; ++x)
      for (const std::uint32_t value : {x * 7, y * 11, x + y}) rows.push_back(static_cast<char>(value));
  }
  return PngWriter(width, height, 8, 2).finish(rows);
}

std::string jpeg_of(const std::vector<unsigned char>& pixels, int width, int height, int format, int subsampling, int flags = 0) {
  const std::unique_ptr<void, int (*)(void*)> encoder(tjInitCompress(), tjDestroy);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(encoder.get(), pixels.data(), width, 0, height, format, &out, &size, subsampling, 95, flags), 0);
  std::string bytes(reinterpret_cast<char*>(out), size);
  tjFree(out);
  return bytes;
}

ErrorCode code_of(const std::string& file) {
  const auto image = decode_image(as_span(file), PixelOrder::kRgb);
  return image ? ErrorCode::kInternal : image.error().code;
}

TEST(Jpeg, DecodesTheRealPhotographs) {
  for (const std::string name : {"china", "flower"}) {
    const std::string file = photo(name);
    const auto info = image_info(as_span(file));
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ(info->width, 640u);
    EXPECT_EQ(info->height, 427u);
    const auto image = decode_image(as_span(file), PixelOrder::kRgb);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->channels, 3u);
    EXPECT_EQ(image->pixels.size(), 640u * 427 * 3);
  }
}

TEST(Jpeg, BgrIsRgbBackwardsAndGreyIsLuma) {
  const std::string file = photo("china");
  const auto rgb = decode_image(as_span(file), PixelOrder::kRgb);
  const auto bgr = decode_image(as_span(file), PixelOrder::kBgr);
  const auto grey = decode_image(as_span(file), PixelOrder::kGrey);
  ASSERT_TRUE(rgb && bgr && grey);
  EXPECT_EQ(grey->channels, 1u);
  double error = 0;
  for (std::size_t i = 0; i < 640u * 427; ++i) {
    const std::uint8_t* p = pixels(*rgb) + 3 * i;
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(p[c], pixels(*bgr)[3 * i + 2 - c]);
    error += std::abs(0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2] - pixels(*grey)[i]);
  }
  // Colours outside the gamut are clipped on the way to RGB, so the two luma differ a little.
  EXPECT_LT(error / (640 * 427), 1.0);
}

TEST(Jpeg, GreyFilesBecomeColour) {
  std::vector<unsigned char> ramp(64 * 16);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<unsigned char>(4 * (i % 64));
  const auto image = decode_image(as_span(jpeg_of(ramp, 64, 16, TJPF_GRAY, TJSAMP_GRAY)), PixelOrder::kRgb);
  ASSERT_TRUE(image) << image.error().message;
  for (std::size_t i = 0; i < ramp.size(); ++i)
    for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(pixels(*image)[3 * i + c], ramp[i], 4);
}

TEST(Jpeg, CmykIsRefusedWithWhatToDo) {
  const std::vector<unsigned char> flat(16 * 16 * 4, 100);
  const auto image = decode_image(as_span(jpeg_of(flat, 16, 16, TJPF_CMYK, TJSAMP_444)), PixelOrder::kRgb);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(image.error().message.find("convert"), std::string::npos);
}

TEST(Jpeg, TruncatedAndDamagedFilesAreCorrupt) {
  const std::string file = photo("flower");
  for (const std::size_t size : {std::size_t{3}, std::size_t{20}, std::size_t{200}, file.size() / 2, file.size() - 200})
    EXPECT_EQ(code_of(file.substr(0, size)), ErrorCode::kCorrupt) << size;
  std::string damaged = file;
  for (std::size_t i = file.size() / 2; i < file.size() / 2 + 64; ++i) damaged[i] = static_cast<char>(0xff);
  EXPECT_EQ(code_of(damaged), ErrorCode::kCorrupt);
}

TEST(Jpeg, PaddingBetweenMarkersIsTolerated) {
  std::string file = photo("flower");
  const std::size_t end = file.rfind("\xff\xd9");
  ASSERT_NE(end, std::string::npos);
  file.insert(end, "padding");
  EXPECT_TRUE(decode_image(as_span(file), PixelOrder::kRgb));
}

// Cheap cameras forget the end marker, or cut it off. Every pixel is there all the same; where one is missing, the file is
// damaged.
TEST(Jpeg, AMissingEndMarkerIsTolerated) {
  const std::string file = photo("flower");
  const std::size_t end = file.rfind("\xff\xd9");
  ASSERT_NE(end, std::string::npos);
  const auto whole = decode_image(as_span(file), PixelOrder::kRgb);
  for (const std::size_t size : {end, end + 1}) {
    const auto image = decode_image(as_span(file.substr(0, size)), PixelOrder::kRgb);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(std::memcmp(pixels(*image), pixels(*whole), whole->pixels.size()), 0);
  }
  for (const std::size_t missing : {8u, 20u, 100u, 1000u})
    EXPECT_EQ(code_of(file.substr(0, end - missing)), ErrorCode::kCorrupt) << missing;
  // A progressive file may lack whole passes and still look like a picture.
  std::vector<unsigned char> ramp(64 * 64);
  for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<unsigned char>(i * i % 251);
  const std::string progressive = jpeg_of(ramp, 64, 64, TJPF_GRAY, TJSAMP_GRAY, TJFLAG_PROGRESSIVE);
  ASSERT_TRUE(decode_image(as_span(progressive), PixelOrder::kGrey));
  EXPECT_EQ(code_of(progressive.substr(0, progressive.size() - 2)), ErrorCode::kCorrupt);
}

TEST(Jpeg, HugeSizesAreRefusedFromTheHeader) {
  std::string file = jpeg_of(std::vector<unsigned char>(256, 100), 16, 16, TJPF_GRAY, TJSAMP_GRAY);
  const std::size_t frame = file.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  for (std::size_t i = 5; i < 9; ++i) file[frame + i] = static_cast<char>(0xf0);  // 61680 x 61680
  const auto image = decode_image(as_span(file), PixelOrder::kRgb);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(image.error().message.find("61680x61680"), std::string::npos) << image.error().message;
}

// A progressive file may repeat its scans for ever, each of them a pass over the whole picture.
TEST(Jpeg, EndlessScansAreRefused) {
  const std::vector<unsigned char> flat(4000 * 4000, 100);
  std::string file = jpeg_of(flat, 4000, 4000, TJPF_GRAY, TJSAMP_GRAY, TJFLAG_PROGRESSIVE);
  ASSERT_TRUE(decode_image(as_span(file), PixelOrder::kGrey));
  const std::size_t first = file.find("\xff\xda");
  const std::size_t second = file.find("\xff\xda", first + 2);
  const std::string scan = file.substr(first, second - first);
  for (int i = 0; i < 200; ++i) file.insert(second, scan);
  const auto image = decode_image(as_span(file), PixelOrder::kGrey);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(image.error().message.find("scans"), std::string::npos) << image.error().message;
}

TEST(Png, DecodesWhatWasWritten) {
  const std::string file = rgb_png(31, 17);
  for (const PixelOrder order : {PixelOrder::kRgb, PixelOrder::kBgr}) {
    const auto image = decode_image(as_span(file), order);
    ASSERT_TRUE(image) << image.error().message;
    ASSERT_EQ(image->width, 31u);
    ASSERT_EQ(image->height, 17u);
    for (std::uint32_t y = 0; y < 17; ++y)
      for (std::uint32_t x = 0; x < 31; ++x) {
        const std::uint8_t* p = pixels(*image) + 3 * (y * 31 + x);
        const std::uint8_t red = order == PixelOrder::kRgb ? p[0] : p[2];
        const std::uint8_t blue = order == PixelOrder::kRgb ? p[2] : p[0];
        ASSERT_EQ(red, static_cast<std::uint8_t>(x * 7));
        ASSERT_EQ(p[1], static_cast<std::uint8_t>(y * 11));
        ASSERT_EQ(blue, static_cast<std::uint8_t>(x + y));
      }
  }
}

TEST(Png, AlphaIsDroppedGreyIsSpreadAndSixteenBitsBecomeEight) {
  const auto rgba = decode_image(as_span(PngWriter(1, 1, 8, 6).finish(std::string("\0\x0a\x14\x1e\x80", 5))), PixelOrder::kRgb);
  ASSERT_TRUE(rgba) << rgba.error().message;
  EXPECT_EQ(std::vector<int>(pixels(*rgba), pixels(*rgba) + 3), (std::vector<int>{10, 20, 30}));
  const auto grey = decode_image(as_span(PngWriter(1, 1, 8, 0).finish(std::string("\0\x21", 2))), PixelOrder::kBgr);
  ASSERT_TRUE(grey);
  EXPECT_EQ(std::vector<int>(pixels(*grey), pixels(*grey) + 3), (std::vector<int>{33, 33, 33}));
  const auto deep = decode_image(as_span(PngWriter(1, 1, 16, 0).finish(std::string("\0\x42\x99", 3))), PixelOrder::kGrey);
  ASSERT_TRUE(deep);
  EXPECT_EQ(pixels(*deep)[0], 0x42);
}

TEST(Png, DamageIsFound) {
  const std::string file = rgb_png(31, 17);
  for (std::size_t size = 0; size < file.size(); size += 13)
    EXPECT_EQ(code_of(file.substr(0, size)), ErrorCode::kCorrupt) << size;
  for (std::size_t at = 16; at < file.size(); at += 7) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    const ErrorCode code = code_of(damaged);
    EXPECT_TRUE(code == ErrorCode::kCorrupt || code == ErrorCode::kInvalidArgument) << at;
  }
  EXPECT_EQ(code_of(PngWriter(4, 4, 8, 2).finish("")), ErrorCode::kCorrupt);          // no pixels
  EXPECT_EQ(code_of(PngWriter(4, 4, 3, 9).finish("\0\0\0\0")), ErrorCode::kCorrupt);  // no such type
}

TEST(Png, HugeSizesAreRefusedFromTheHeader) {
  EXPECT_EQ(code_of(PngWriter(100'000, 100'000, 8, 2).finish("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(PngWriter(0xffffffffu, 0xffffffffu, 16, 6).finish("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(PngWriter(0, 5, 8, 2).finish("")), ErrorCode::kCorrupt);
}

// A deflate stream of 13 bits for each 258 zeros: one megabyte becomes 166. The decoder would take it all and then use the first
// fourteen bytes.
TEST(Png, InflatingBeyondThePromisedSizeIsRefused) {
  const auto zlib_of_zeros = [](std::size_t matches) {
    std::string zlib("\x78\x01", 2);
    std::uint32_t held = 0;
    int count = 0;
    const auto bit = [&](std::uint32_t value) {
      held |= value << count;
      if (++count == 8) {
        zlib.push_back(static_cast<char>(held));
        held = 0;
        count = 0;
      }
    };
    const auto code = [&](std::uint32_t value, int bits) {
      for (int i = bits - 1; i >= 0; --i) bit(value >> i & 1);
    };
    for (const std::uint32_t value : {1u, 1u, 0u}) bit(value);  // last block, fixed codes
    code(0x30, 8);                                              // a zero
    for (std::size_t i = 0; i < matches; ++i) {
      code(0xc5, 8);  // 258 times
      code(0, 5);     // the byte before
    }
    code(0, 7);  // the end
    while (count != 0) bit(0);
    return zlib + "sum.";  // stb does not look at it, but must find it
  };
  const auto png = [&](std::size_t matches) {
    PngWriter writer(2, 2, 8, 2);
    writer.add("IDAT", zlib_of_zeros(matches));
    writer.add("IEND", "");
    return writer.bytes;
  };
  EXPECT_TRUE(decode_image(as_span(png(1)), PixelOrder::kRgb));
  EXPECT_EQ(code_of(png(640'000)), ErrorCode::kCorrupt);
}

TEST(Format, IsToldByTheFirstBytes) {
  EXPECT_EQ(image_format(as_span(photo("china"))), ImageFormat::kJpeg);
  EXPECT_EQ(image_format(as_span(rgb_png(1, 1))), ImageFormat::kPng);
  EXPECT_EQ(code_of(""), ErrorCode::kCorrupt);
  EXPECT_EQ(code_of("GIF89a........"), ErrorCode::kCorrupt);
}

// The definition, in floating point and two dimensions at once: triangle weights around each new pixel's centre.
double reference(const ImageView& image, std::uint32_t width, std::uint32_t height, double x0, double y0, double sx, double sy,
                 std::uint32_t x, std::uint32_t y, std::uint32_t c) {
  (void)width;
  (void)height;
  double sum = 0;
  double weights = 0;
  for (std::uint32_t v = 0; v < image.height; ++v)
    for (std::uint32_t u = 0; u < image.width; ++u) {
      const double wx = 1 - std::abs(u + 0.5 - (x0 + (x + 0.5) * sx)) / std::max(sx, 1.0);
      const double wy = 1 - std::abs(v + 0.5 - (y0 + (y + 0.5) * sy)) / std::max(sy, 1.0);
      if (wx <= 0 || wy <= 0) continue;
      sum += wx * wy * image.pixels[(std::size_t{v} * image.width + u) * image.channels + c];
      weights += wx * wy;
    }
  return sum / weights;
}

TEST(Resize, EqualsTheDefinition) {
  const auto image = decode_image(as_span(rgb_png(37, 23)), PixelOrder::kRgb);
  ASSERT_TRUE(image);
  struct Case {
    std::uint32_t width, height;
    Fit fit;
  };
  for (const Case& test : std::vector<Case>{{37, 23, Fit::kStretch},
                                            {12, 9, Fit::kStretch},
                                            {80, 50, Fit::kStretch},
                                            {5, 60, Fit::kStretch},
                                            {16, 16, Fit::kCrop},
                                            {64, 20, Fit::kCrop},
                                            {1, 1, Fit::kStretch}}) {
    const auto made = resize_image(image->view(), test.width, test.height, test.fit);
    ASSERT_TRUE(made) << made.error().message;
    double sx = 37.0 / test.width;
    double sy = 23.0 / test.height;
    if (test.fit == Fit::kCrop) sx = sy = std::min(sx, sy);
    for (std::uint32_t y = 0; y < test.height; ++y)
      for (std::uint32_t x = 0; x < test.width; ++x)
        for (std::uint32_t c = 0; c < 3; ++c)
          ASSERT_NEAR(pixels(*made)[(y * test.width + x) * 3 + c],
                      reference(image->view(), test.width, test.height, (37 - test.width * sx) / 2, (23 - test.height * sy) / 2,
                                sx, sy, x, y, c),
                      1.01)  // rounded once per axis
              << test.width << "x" << test.height << " at " << x << "," << y;
  }
}

TEST(Resize, SameSizeIsTheSamePictureAndFlatStaysFlat) {
  const auto image = decode_image(as_span(photo("china")), PixelOrder::kRgb);
  ASSERT_TRUE(image);
  const auto same = resize_image(image->view(), 640, 427, Fit::kStretch);
  ASSERT_TRUE(same);
  EXPECT_EQ(std::memcmp(same->pixels.data(), image->pixels.data(), image->pixels.size()), 0);
  const std::vector<std::uint8_t> flat(100 * 70, 201);
  const auto made = resize_image({100, 70, 1, flat.data()}, 33, 91, Fit::kCrop);
  ASSERT_TRUE(made);
  for (std::size_t i = 0; i < made->pixels.size(); ++i) ASSERT_EQ(pixels(*made)[i], 201);
}

TEST(Resize, SenselessSizesAreRefused) {
  const std::vector<std::uint8_t> one(3, 0);
  EXPECT_FALSE(resize_image({1, 1, 3, one.data()}, 0, 5, Fit::kStretch));
  EXPECT_FALSE(resize_image({0, 1, 3, one.data()}, 5, 5, Fit::kStretch));
  EXPECT_FALSE(resize_image({1, 1, 2, one.data()}, 5, 5, Fit::kStretch));
  EXPECT_FALSE(resize_image({1, 1, 3, one.data()}, 100'000, 100'000, Fit::kStretch));
  const std::vector<std::uint8_t> tall(2'000'000, 0);
  EXPECT_FALSE(resize_image({1, 2'000'000, 1, tall.data()}, 16'000, 16, Fit::kStretch));
}

}  // namespace
}  // namespace tideline
