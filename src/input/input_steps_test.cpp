// The input steps on real photographs: shapes, numbers, and what they refuse.
#include "input/input_steps.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "platform/files.h"
#include "tensor/half.h"

namespace tideline {
namespace {

InputSection imagenet() {
  InputSection section;
  section.tensor = "x";
  section.width = 224;
  section.height = 160;
  section.mean = {0.485f, 0.456f, 0.406f};
  section.std = {0.229f, 0.224f, 0.225f};
  return section;
}

Tensor file_tensor(const std::string& bytes) {
  return {{"file", DType::kUint8, {static_cast<std::int64_t>(bytes.size())}}, Buffer::copy_of(std::as_bytes(std::span(bytes)))};
}

Tensor photo() {
  const char* folder = std::getenv("TIDELINE_THIRD_PARTY");
  const auto bytes = read_file(fmt::format("{}/photos/china.jpg", folder == nullptr ? "" : folder), limits::kImageFileBytesMax);
  EXPECT_TRUE(bytes);
  return file_tensor(bytes ? *bytes : std::string());
}

Tensor pixels(std::int64_t height, std::int64_t width, std::int64_t channels) {
  Tensor tensor{{"", DType::kUint8, {height, width, channels}}, Buffer(static_cast<std::size_t>(height * width * channels))};
  for (std::size_t i = 0; i < tensor.data.size(); ++i) tensor.data.data()[i] = static_cast<std::byte>(i * 37 % 256);
  return tensor;
}

float value_at(const Tensor& tensor, std::size_t index) {
  float value = 0;
  std::memcpy(&value, tensor.data.data() + 4 * index, 4);
  return value;
}

void expect_refused(InputStep step, const InputSection& section, const Tensor& in, ErrorCode code) {
  const auto out = run_input_step(step, section, view(in));
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, code) << out.error().message;
}

TEST(InputSteps, TurnAPhotographIntoTheModelsInput) {
  for (const ImageLayout layout : {ImageLayout::kNchw, ImageLayout::kNhwc}) {
    InputSection section = imagenet();
    section.layout = layout;
    const auto decoded = run_input_step(InputStep::kDecode, section, view(photo()));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(decoded->spec.shape, (std::vector<std::int64_t>{427, 640, 3}));
    const auto resized = run_input_step(InputStep::kResize, section, view(*decoded));
    ASSERT_TRUE(resized) << resized.error().message;
    EXPECT_EQ(resized->spec.shape, (std::vector<std::int64_t>{160, 224, 3}));
    const auto normal = run_input_step(InputStep::kNormalize, section, view(*resized));
    ASSERT_TRUE(normal) << normal.error().message;
    EXPECT_EQ(normal->spec.name, "x");
    EXPECT_EQ(normal->spec.dtype, DType::kFloat32);
    const bool is_planar = layout == ImageLayout::kNchw;
    EXPECT_EQ(normal->spec.shape,
              is_planar ? (std::vector<std::int64_t>{1, 3, 160, 224}) : (std::vector<std::int64_t>{1, 160, 224, 3}));
    for (std::size_t i = 0; i < 160 * 224; i += 97)
      for (std::size_t c = 0; c < 3; ++c) {
        const double byte = std::to_integer<int>(resized->data.data()[3 * i + c]);
        EXPECT_NEAR(value_at(*normal, is_planar ? c * 160 * 224 + i : 3 * i + c), (byte / 255 - section.mean[c]) / section.std[c],
                    1e-5);
      }
  }
}

TEST(InputSteps, CropKeepsProportionsAndGreyHasOneChannel) {
  InputSection section = imagenet();
  section.channels = ChannelOrder::kGrey;
  section.width = section.height = 100;
  section.resize = ResizeMode::kCrop;
  const auto decoded = run_input_step(InputStep::kDecode, section, view(photo()));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->spec.shape, (std::vector<std::int64_t>{427, 640, 1}));
  const auto cropped = run_input_step(InputStep::kResize, section, view(*decoded));
  section.resize = ResizeMode::kStretch;
  const auto stretched = run_input_step(InputStep::kResize, section, view(*decoded));
  ASSERT_TRUE(cropped && stretched);
  EXPECT_NE(std::memcmp(cropped->data.data(), stretched->data.data(), cropped->data.size()), 0);
  const auto normal = run_input_step(InputStep::kNormalize, section, view(*cropped));
  ASSERT_TRUE(normal);
  EXPECT_EQ(normal->spec.shape, (std::vector<std::int64_t>{1, 1, 100, 100}));
}

// A flat picture twice as wide as high in a square: grey above and below, nothing stretched.
TEST(InputSteps, LetterboxKeepsTheWholePictureAndPadsTheRest) {
  InputSection section = imagenet();
  section.width = section.height = 8;
  section.resize = ResizeMode::kLetterbox;
  section.pad = {10, 20, 30};
  Tensor flat = pixels(3, 6, 3);
  std::memset(flat.data.data(), 200, flat.data.size());
  for (const Align align : {Align::kCentre, Align::kStart}) {
    section.align = align;
    const auto made = run_input_step(InputStep::kResize, section, view(flat));
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->spec.shape, (std::vector<std::int64_t>{8, 8, 3}));
    const std::size_t top = align == Align::kCentre ? 2 : 0;
    for (std::size_t y = 0; y < 8; ++y)
      for (std::size_t x = 0; x < 8; ++x)
        for (std::size_t c = 0; c < 3; ++c) {
          const bool inside = y >= top && y < top + 4;
          ASSERT_EQ(std::to_integer<int>(made->data.data()[(y * 8 + x) * 3 + c]), inside ? 200 : 10 * (static_cast<int>(c) + 1))
              << x << ',' << y;
        }
  }
  // A picture that fits is only copied, and one that is a thread stays one pixel wide.
  const auto same = run_input_step(InputStep::kResize, section, view(pixels(8, 8, 3)));
  EXPECT_EQ(std::memcmp(same->data.data(), pixels(8, 8, 3).data.data(), 192), 0);
  EXPECT_TRUE(run_input_step(InputStep::kResize, section, view(pixels(500, 1, 3))));
}

TEST(InputSteps, HalfFloatsAndBytesAreMadeWhereTheModelWantsThem) {
  InputSection section = imagenet();
  section.width = 5;
  section.height = 4;
  const Tensor in = pixels(4, 5, 3);
  for (const ImageLayout layout : {ImageLayout::kNchw, ImageLayout::kNhwc}) {
    section.layout = layout;
    section.dtype = DType::kFloat32;
    const auto wide = run_input_step(InputStep::kNormalize, section, view(in));
    section.dtype = DType::kFloat16;
    const auto half = run_input_step(InputStep::kNormalize, section, view(in));
    ASSERT_TRUE(wide && half);
    EXPECT_EQ(half->spec.dtype, DType::kFloat16);
    ASSERT_EQ(half->data.size(), 120u);
    for (std::size_t i = 0; i < 60; ++i) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, half->data.data() + 2 * i, 2);
      EXPECT_NEAR(float_from_float16(bits), value_at(*wide, i), 0x1p-10 * std::abs(value_at(*wide, i)));
    }
    section.dtype = DType::kUint8;
    const auto bytes = run_input_step(InputStep::kNormalize, section, view(in));
    ASSERT_TRUE(bytes);
    for (std::size_t i = 0; i < 20; ++i)
      for (std::size_t c = 0; c < 3; ++c)
        EXPECT_EQ(bytes->data.data()[layout == ImageLayout::kNchw ? c * 20 + i : 3 * i + c], in.data.data()[3 * i + c]);
  }
}

TEST(InputSteps, AFileOfAnotherEncodingIsRefusedUnlessBothAreTaken) {
  InputSection section = imagenet();
  section.encoding = ImageEncoding::kPng;
  expect_refused(InputStep::kDecode, section, photo(), ErrorCode::kInvalidArgument);
  section.encoding = ImageEncoding::kJpeg;
  EXPECT_TRUE(run_input_step(InputStep::kDecode, section, view(photo())));
  section.encoding = ImageEncoding::kAny;
  EXPECT_TRUE(run_input_step(InputStep::kDecode, section, view(photo())));
  expect_refused(InputStep::kDecode, section, file_tensor("no image at all"), ErrorCode::kCorrupt);
  expect_refused(InputStep::kDecode, section, file_tensor(""), ErrorCode::kCorrupt);
}

TEST(InputSteps, TensorsThatDoNotFitAreRefused) {
  const InputSection section = imagenet();
  expect_refused(InputStep::kDecode, section, pixels(4, 4, 3), ErrorCode::kInvalidArgument);
  expect_refused(InputStep::kResize, section, file_tensor("1234"), ErrorCode::kInvalidArgument);
  expect_refused(InputStep::kResize, section, pixels(4, 4, 1), ErrorCode::kInvalidArgument);
  expect_refused(InputStep::kNormalize, section, pixels(224, 160, 3), ErrorCode::kInvalidArgument);  // the sides swapped
  Tensor wrong = pixels(4, 4, 3);
  wrong.spec.dtype = DType::kInt8;
  expect_refused(InputStep::kResize, section, wrong, ErrorCode::kInvalidArgument);
  wrong = pixels(4, 4, 3);
  wrong.spec.shape = {4, 5, 3};  // more than its bytes
  expect_refused(InputStep::kResize, section, wrong, ErrorCode::kInvalidArgument);
  wrong.spec.shape = {0, 4, 3};
  expect_refused(InputStep::kResize, section, wrong, ErrorCode::kInvalidArgument);
  wrong.spec.shape = {-4, -4, 3};
  expect_refused(InputStep::kResize, section, wrong, ErrorCode::kInvalidArgument);
  wrong.spec.shape = {std::int64_t{1} << 40, 4, 3};
  expect_refused(InputStep::kResize, section, wrong, ErrorCode::kInvalidArgument);
  expect_refused(static_cast<InputStep>(7), section, pixels(4, 4, 3), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline
