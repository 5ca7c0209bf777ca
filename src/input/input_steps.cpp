#include "input/input_steps.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "image/image.h"
#include "tensor/half.h"

namespace tideline {

namespace {

PixelOrder pixel_order(ChannelOrder channels) {
  switch (channels) {
    case ChannelOrder::kRgb: return PixelOrder::kRgb;
    case ChannelOrder::kBgr: return PixelOrder::kBgr;
    case ChannelOrder::kGrey: return PixelOrder::kGrey;
  }
  return PixelOrder::kRgb;
}

Error unexpected(InputStep step, std::string_view expected, const TensorSpec& found) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[input] the step '{}' expects {}, found {}", to_string(step), expected, describe(found))};
}

Status check_bytes(InputStep step, const TensorView& in) {
  TIDELINE_TRY(const Bytes bytes, byte_size(in.spec->dtype, in.spec->shape));
  if (bytes != in.bytes.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[input] the step '{}' got {} bytes for {}", to_string(step), in.bytes.size(), describe(*in.spec))};
  return {};
}

// uint8[height,width,channels] as an image, with nothing empty.
Result<ImageView> pixels_of(InputStep step, const InputSection& section, const TensorView& in) {
  const std::vector<std::int64_t>& shape = in.spec->shape;
  const std::uint32_t channels = section.channel_count();
  constexpr std::int64_t kSideMax = 0x7fffffff;
  if (in.spec->dtype != DType::kUint8 || shape.size() != 3 || shape[0] <= 0 || shape[1] <= 0 || shape[0] > kSideMax ||
      shape[1] > kSideMax || shape[2] != channels)
    return unexpected(step, fmt::format("uint8[height,width,{}]", channels), *in.spec);
  TIDELINE_CHECK_OK(check_bytes(step, in));
  return ImageView{static_cast<std::uint32_t>(shape[1]), static_cast<std::uint32_t>(shape[0]), channels,
                   reinterpret_cast<const std::uint8_t*>(in.bytes.data())};
}

Tensor tensor_of(Image image) {
  Tensor tensor;
  tensor.spec = {"", DType::kUint8, {image.height, image.width, image.channels}};
  tensor.data = std::move(image.pixels);
  return tensor;
}

Result<Tensor> decode(const InputSection& section, const TensorView& in) {
  if (in.spec->dtype != DType::kUint8 || in.spec->shape.size() != 1)
    return unexpected(InputStep::kDecode, "the bytes of an image file, uint8[n]", *in.spec);
  TIDELINE_CHECK_OK(check_bytes(InputStep::kDecode, in));
  const ImageFormat format = image_format(in.bytes);
  const bool is_accepted = section.encoding == ImageEncoding::kAny || format == ImageFormat::kUnknown ||
                           (section.encoding == ImageEncoding::kJpeg) == (format == ImageFormat::kJpeg);
  if (!is_accepted)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[input] the model's input section expects {}, the file is {}; set 'encoding: image' to take both",
                             to_string(section.encoding == ImageEncoding::kJpeg ? ImageFormat::kJpeg : ImageFormat::kPng),
                             to_string(format))};
  int orientation = 1;
  if (section.orientation == Orientation::kExif) {
    TIDELINE_TRY(orientation, exif_orientation(in.bytes));
  }
  TIDELINE_TRY(Image image, decode_image(in.bytes, pixel_order(section.channels)));
  return tensor_of(orient_image(std::move(image), orientation));
}

// Where letterbox puts the picture.
struct Inner {
  InputSection::Size size;
  std::uint32_t left = 0;
  std::uint32_t top = 0;
};
Inner inner_of(const InputSection& section, InputSection::Size size, std::uint32_t width, std::uint32_t height) {
  const double scale = std::min(static_cast<double>(size.width) / width, static_cast<double>(size.height) / height);
  const auto side = [&](std::uint32_t old, std::uint32_t max) {
    return std::clamp(static_cast<std::uint32_t>(std::lround(old * scale)), 1u, max);
  };
  Inner inner{.size = {side(width, size.width), side(height, size.height)}};
  if (section.align == Align::kStart) return inner;
  inner.left = (size.width - inner.size.width) / 2;
  inner.top = (size.height - inner.size.height) / 2;
  return inner;
}

// The whole picture in its own proportions, and padding around it or behind it.
Result<Tensor> letterbox(const InputSection& section, InputSection::Size size, const ImageView& image) {
  const Inner place = inner_of(section, size, image.width, image.height);
  TIDELINE_TRY(const Image inner, resize_image(image, place.size.width, place.size.height, Fit::kStretch));
  Image made{size.width, size.height, image.channels, {}};
  made.pixels = Buffer(std::size_t{made.width} * made.height * made.channels);
  auto* const pixels = reinterpret_cast<std::uint8_t*>(made.pixels.data());
  for (std::size_t i = 0; i < made.pixels.size(); ++i) pixels[i] = section.pad[i % image.channels];
  const std::size_t row_bytes = std::size_t{inner.width} * inner.channels;
  for (std::size_t y = 0; y < inner.height; ++y)
    std::memcpy(pixels + ((place.top + y) * made.width + place.left) * made.channels, inner.view().pixels + y * row_bytes,
                row_bytes);
  return tensor_of(std::move(made));
}

Result<Tensor> resize(const InputSection& section, const TensorView& in) {
  TIDELINE_TRY(const ImageView image, pixels_of(InputStep::kResize, section, in));
  const InputSection::Size size = section.size_for(image.width, image.height);
  if (section.resize == ResizeMode::kLetterbox) return letterbox(section, size, image);
  const Fit fit = section.resize == ResizeMode::kCrop ? Fit::kCrop : Fit::kStretch;
  TIDELINE_TRY(Image resized, resize_image(image, size.width, size.height, fit));
  return tensor_of(std::move(resized));
}

// Every pixel's value through a table of its channel, in the model's layout.
template <typename T>
void spread(const InputSection& section, const ImageView& image, const std::array<std::array<T, 256>, 3>& value_of, Buffer& out) {
  auto* values = reinterpret_cast<T*>(out.data());
  const std::size_t channels = image.channels;
  const std::size_t pixels = std::size_t{image.width} * image.height;
  const bool is_planar = section.layout == ImageLayout::kNchw;
  for (std::size_t c = 0; c < channels; ++c) {
    T* to = is_planar ? values + c * pixels : values + c;
    const std::size_t step = is_planar ? 1 : channels;
    for (std::size_t i = 0; i < pixels; ++i) to[i * step] = value_of[c][image.pixels[i * channels + c]];
  }
}

Result<Tensor> normalize(const InputSection& section, const TensorView& in) {
  TIDELINE_TRY(const ImageView image, pixels_of(InputStep::kNormalize, section, in));
  const auto may_be = [&](std::uint32_t side) { return side % section.follow->multiple == 0 && side <= section.follow->longest; };
  if (section.follow && (!may_be(image.width) || !may_be(image.height)))
    return unexpected(
        InputStep::kNormalize,
        fmt::format("pixels with sides that are multiples of {} up to {}", section.follow->multiple, section.follow->longest),
        *in.spec);
  if (!section.follow && (image.width != section.width || image.height != section.height))
    return unexpected(InputStep::kNormalize, fmt::format("uint8[{},{},{}]", section.height, section.width, image.channels),
                      *in.spec);
  Tensor out;
  out.spec = {section.tensor, section.dtype, {1, image.channels, image.height, image.width}};
  if (section.layout == ImageLayout::kNhwc) out.spec.shape = {1, image.height, image.width, image.channels};
  TIDELINE_TRY(const Bytes bytes, byte_size(out.spec.dtype, out.spec.shape));
  out.data = Buffer(bytes);
  const auto table = [&]<typename T>(T, const auto& of) {
    std::array<std::array<T, 256>, 3> value_of{};
    for (std::size_t c = 0; c < image.channels; ++c)
      for (int v = 0; v < 256; ++v) value_of[c][static_cast<std::size_t>(v)] = of(c, v);
    spread(section, image, value_of, out.data);
  };
  const auto normal = [&](std::size_t c, int v) { return (static_cast<float>(v) / 255.0f - section.mean[c]) / section.std[c]; };
  switch (section.dtype) {
    case DType::kUint8: table(std::uint8_t{}, [](std::size_t, int v) { return static_cast<std::uint8_t>(v); }); break;
    case DType::kFloat16: table(std::uint16_t{}, [&](std::size_t c, int v) { return float16_from_float(normal(c, v)); }); break;
    default: table(float{}, normal);
  }
  return out;
}

}  // namespace

PictureFrame picture_frame(const InputSection& section, std::uint32_t width, std::uint32_t height) {
  const InputSection::Size size = section.size_for(width, height);
  if (section.resize == ResizeMode::kLetterbox) {
    const Inner inner = inner_of(section, size, width, height);
    return {1.0 * inner.size.width / width, 1.0 * inner.size.height / height, 1.0 * inner.left, 1.0 * inner.top};
  }
  PictureFrame frame{.scale_x = 1.0 * size.width / width, .scale_y = 1.0 * size.height / height};
  if (section.resize == ResizeMode::kStretch) return frame;
  // The rectangle that is kept lies around the centre.
  frame.scale_x = frame.scale_y = std::max(frame.scale_x, frame.scale_y);
  frame.offset_x = (size.width - width * frame.scale_x) / 2;
  frame.offset_y = (size.height - height * frame.scale_y) / 2;
  return frame;
}

Result<Tensor> run_input_step(InputStep step, const InputSection& section, const TensorView& in) {
  switch (step) {
    case InputStep::kDecode: return decode(section, in);
    case InputStep::kResize: return resize(section, in);
    case InputStep::kNormalize: return normalize(section, in);
  }
  return Error{ErrorCode::kInvalidArgument, fmt::format("[input] there is no input step {}", static_cast<int>(step))};
}

}  // namespace tideline
