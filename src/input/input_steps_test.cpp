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

// Shortest side 64, longest at most 96, multiples of 16.
TEST(InputSteps, SizesFollowThePicture) {
  InputSection section = imagenet();
  section.width = section.height = 0;
  section.follow = FollowSize{64, 16, 96};
  using Size = InputSection::Size;
  EXPECT_EQ(section.size_for(64, 64), (Size{64, 64}));
  EXPECT_EQ(section.size_for(640, 480), (Size{80, 64}));  // 85.3 x 64
  EXPECT_EQ(section.size_for(480, 640), (Size{64, 80}));
  EXPECT_EQ(section.size_for(1000, 500), (Size{96, 48}));  // the longer side binds
  EXPECT_EQ(section.size_for(1, 100'000), (Size{16, 96}));
  EXPECT_EQ(section.size_for(30, 20), (Size{96, 64}));  // small ones grow
  for (const ResizeMode mode : {ResizeMode::kStretch, ResizeMode::kLetterbox, ResizeMode::kCrop}) {
    section.resize = mode;
    const auto sized = run_input_step(InputStep::kResize, section, view(pixels(48, 64, 3)));
    ASSERT_TRUE(sized) << sized.error().message;
    EXPECT_EQ(sized->spec.shape, (std::vector<std::int64_t>{64, 80, 3}));
    const auto normal = run_input_step(InputStep::kNormalize, section, view(*sized));
    ASSERT_TRUE(normal) << normal.error().message;
    EXPECT_EQ(normal->spec.shape, (std::vector<std::int64_t>{1, 3, 64, 80}));
  }
  expect_refused(InputStep::kNormalize, section, pixels(64, 81, 3), ErrorCode::kInvalidArgument);
  expect_refused(InputStep::kNormalize, section, pixels(64, 112, 3), ErrorCode::kInvalidArgument);
  // What does not follow is as it was: a fixed size is not looked at for multiples.
  EXPECT_EQ(imagenet().size_for(7, 9), (Size{224, 160}));
}

// Where a mark in the picture comes to lie in what the model sees: a white block of the picture, found again by its centre.
TEST(InputSteps, ThePicturesFrameIsWhereItsPixelsGo) {
  for (const ResizeMode mode : {ResizeMode::kStretch, ResizeMode::kCrop, ResizeMode::kLetterbox})
    for (const Align align : {Align::kCentre, Align::kStart})
      for (const bool follows : {false, true}) {
        InputSection section = imagenet();
        section.resize = mode;
        section.align = align;
        section.pad = {0, 0, 0};
        if (follows) section.follow = FollowSize{96, 32, 160};
        const std::int64_t width = 300, height = 410, x = 120, y = 260, side = 40;
        Tensor picture = pixels(height, width, 3);
        std::memset(picture.data.data(), 0, picture.data.size());
        for (std::int64_t row = y; row < y + side; ++row)
          std::memset(picture.data.data() + (row * width + x) * 3, 255, static_cast<std::size_t>(side) * 3);
        const auto seen = run_input_step(InputStep::kResize, section, view(picture));
        ASSERT_TRUE(seen) << seen.error().message;
        double sum = 0, sum_x = 0, sum_y = 0;
        for (std::int64_t j = 0; j < seen->spec.shape[0]; ++j)
          for (std::int64_t i = 0; i < seen->spec.shape[1]; ++i) {
            const double value = std::to_integer<int>(seen->data.data()[(j * seen->spec.shape[1] + i) * 3]);
            sum += value;
            sum_x += value * (static_cast<double>(i) + 0.5);
            sum_y += value * (static_cast<double>(j) + 0.5);
          }
        const PictureFrame frame = picture_frame(section, static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height));
        EXPECT_NEAR(sum_x / sum, (x + side / 2.0) * frame.scale_x + frame.offset_x, 0.1);
        EXPECT_NEAR(sum_y / sum, (y + side / 2.0) * frame.scale_y + frame.offset_y, 0.1);
        // Its area too.
        EXPECT_NEAR(sum / 255, side * side * frame.scale_x * frame.scale_y, 0.03 * sum / 255 + 1);
      }
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
