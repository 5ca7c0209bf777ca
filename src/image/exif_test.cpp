// Goal: the orientation that a JPEG's EXIF data says, and no other; applied as the standard's picture of the eight shows it.
// Method: EXIF data written here in both byte orders, damaged in every way that the reader checks; the eight orientations of a
// picture of six pixels by hand.
#include <gtest/gtest.h>
#include <turbojpeg.h>

#include <cstring>
#include <string>
#include <vector>

#include "image/image.h"

namespace tideline {
namespace {

using Bytes8 = std::vector<std::uint8_t>;

Bytes8 number(std::uint32_t value, int count, bool little) {
  Bytes8 bytes;
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<std::uint8_t>(value >> 8 * (little ? i : count - 1 - i)));
  return bytes;
}

void append(Bytes8& to, const Bytes8& more) { to.insert(to.end(), more.begin(), more.end()); }

struct Exif {
  bool little = true;
  std::uint32_t orientation = 6;
  std::uint32_t type = 3;
  std::uint32_t count = 1;
  std::uint32_t offset = 8;
  std::uint32_t entries = 2;
  std::string order;  // instead of II or MM
  std::uint32_t magic = 42;

  Bytes8 tiff() const {
    Bytes8 bytes;
    const std::string word = order.empty() ? (little ? "II" : "MM") : order;
    bytes.assign(word.begin(), word.end());
    append(bytes, number(magic, 2, little));
    append(bytes, number(offset, 4, little));
    for (std::uint32_t i = 8; i < offset && offset < 100; ++i) bytes.push_back(0);
    append(bytes, number(entries, 2, little));
    // The maker's name, then the orientation.
    for (const auto& [tag, kind, n, value] :
         {std::tuple{0x010fu, 2u, 4u, 0x41424300u}, std::tuple{0x0112u, type, count, little ? orientation : orientation << 16}}) {
      append(bytes, number(tag, 2, little));
      append(bytes, number(kind, 2, little));
      append(bytes, number(n, 4, little));
      append(bytes, number(value, 4, little));
    }
    append(bytes, number(0, 4, little));
    return bytes;
  }
};

Bytes8 jpeg(std::uint32_t width = 16, std::uint32_t height = 8) {
  Bytes8 pixels(std::size_t{width} * height * 3, 200);
  const auto handle = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(handle, pixels.data(), static_cast<int>(width), 0, static_cast<int>(height), TJPF_RGB, &bytes, &size,
                        TJSAMP_444, 90, 0),
            0);
  Bytes8 file(bytes, bytes + size);
  tjFree(bytes);
  tjDestroy(handle);
  return file;
}

Bytes8 segment(std::uint8_t marker, const Bytes8& content) {
  Bytes8 bytes{0xff, marker};
  append(bytes, number(static_cast<std::uint32_t>(content.size() + 2), 2, false));
  append(bytes, content);
  return bytes;
}

Bytes8 with(const Bytes8& tiff, const Bytes8& before = {}) {
  Bytes8 exif{'E', 'x', 'i', 'f', 0, 0};
  append(exif, tiff);
  Bytes8 file = jpeg();
  Bytes8 head = before;
  append(head, segment(0xe1, exif));
  file.insert(file.begin() + 2, head.begin(), head.end());
  return file;
}

Result<int> read(const Bytes8& file) { return exif_orientation(std::as_bytes(std::span(file))); }

TEST(Exif, BothByteOrdersAndEveryOrientation) {
  for (const bool little : {true, false})
    for (std::uint32_t o = 1; o <= 8; ++o) {
      const auto found = read(with(Exif{.little = little, .orientation = o}.tiff()));
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_EQ(*found, static_cast<int>(o));
    }
  EXPECT_EQ(*read(with(Exif{.orientation = 3, .offset = 20}.tiff())), 3);
  // Behind other segments, one of which looks alike: APP1 with XMP.
  const std::string xmp = "http://ns.adobe.com/xap/1.0/";
  EXPECT_EQ(*read(with(Exif{.orientation = 8}.tiff(), segment(0xe1, Bytes8(xmp.begin(), xmp.end())))), 8);
  EXPECT_EQ(*read(with(Exif{.orientation = 8}.tiff(), {0xff})), 8);
}

TEST(Exif, WithoutItAPictureIsAsItIsStored) {
  EXPECT_EQ(*read(jpeg()), 1);
  EXPECT_EQ(*read({}), 1);
  EXPECT_EQ(*read({0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'}), 1);
  EXPECT_EQ(*read(with(Exif{.entries = 1}.tiff())), 1);
  // Behind the picture's data it is not looked for.
  Bytes8 late = jpeg();
  const Bytes8 head = with(Exif{}.tiff());
  late.insert(late.end(), head.begin() + 2, head.end());
  EXPECT_EQ(*read(late), 1);
}

TEST(Exif, WhatContradictsItselfIsRefused) {
  for (const Exif& bad : {Exif{.order = "IM"}, Exif{.magic = 43}, Exif{.offset = 7}, Exif{.offset = 0xfffffff0},
                          Exif{.offset = 1000}, Exif{.entries = 3}, Exif{.entries = 0xffff}, Exif{.orientation = 0},
                          Exif{.orientation = 9}, Exif{.type = 4}, Exif{.count = 2}}) {
    const auto found = read(with(bad.tiff()));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(found.error().message.find("EXIF"), std::string::npos);
  }
  // Cut anywhere it says something or nothing, and reads nothing behind its end.
  const Bytes8 tiff = Exif{}.tiff();
  for (std::size_t size = 0; size < tiff.size(); ++size) (void)read(with(Bytes8(tiff.begin(), tiff.begin() + size)));
  const Bytes8 file = with(tiff);
  for (std::size_t size = 0; size < 80; ++size) (void)read(Bytes8(file.begin(), file.begin() + size));
}

TEST(Exif, TheEightOrientations) {
  // a b c
  // d e f
  const char* const expected[] = {"abc/def", "cba/fed", "fed/cba", "def/abc", "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad"};
  for (int o = 1; o <= 8; ++o) {
    Image image{3, 2, 1, Buffer(6)};
    std::memcpy(image.pixels.data(), "abcdef", 6);
    const Image made = orient_image(std::move(image), o);
    std::string text;
    for (std::uint32_t y = 0; y < made.height; ++y) {
      if (y > 0) text += '/';
      text.append(reinterpret_cast<const char*>(made.pixels.data()) + std::size_t{y} * made.width, made.width);
    }
    EXPECT_EQ(text, expected[o - 1]) << o;
  }
  Image colour{1, 2, 3, Buffer(6)};
  std::memcpy(colour.pixels.data(), "rgbRGB", 6);
  EXPECT_EQ(std::memcmp(orient_image(std::move(colour), 6).pixels.data(), "RGBrgb", 6), 0);
}

}  // namespace
}  // namespace tideline
