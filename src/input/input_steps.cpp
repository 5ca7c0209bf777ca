#include "input/input_steps.h"

#include <array>
#include <cstring>

#include <fmt/format.h>

#include "image/image.h"

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
  TIDELINE_TRY(Image image, decode_image(in.bytes, pixel_order(section.channels)));
  return tensor_of(std::move(image));
}

Result<Tensor> resize(const InputSection& section, const TensorView& in) {
  TIDELINE_TRY(const ImageView image, pixels_of(InputStep::kResize, section, in));
  const Fit fit = section.resize == ResizeMode::kCrop ? Fit::kCrop : Fit::kStretch;
  TIDELINE_TRY(Image resized, resize_image(image, section.width, section.height, fit));
  return tensor_of(std::move(resized));
}

Result<Tensor> normalize(const InputSection& section, const TensorView& in) {
  TIDELINE_TRY(const ImageView image, pixels_of(InputStep::kNormalize, section, in));
  if (image.width != section.width || image.height != section.height)
    return unexpected(InputStep::kNormalize, fmt::format("uint8[{},{},{}]", section.height, section.width, image.channels),
                      *in.spec);

  const std::size_t channels = image.channels;
  std::array<std::array<float, 256>, 3> value_of{};
  for (std::size_t c = 0; c < channels; ++c)
    for (int v = 0; v < 256; ++v)
      value_of[c][static_cast<std::size_t>(v)] = (static_cast<float>(v) / 255.0f - section.mean[c]) / section.std[c];

  Tensor out;
  out.spec = {section.tensor, DType::kFloat32, {1, image.channels, image.height, image.width}};
  if (section.layout == ImageLayout::kNhwc) out.spec.shape = {1, image.height, image.width, image.channels};
  TIDELINE_TRY(const Bytes bytes, byte_size(out.spec.dtype, out.spec.shape));
  out.data = Buffer(bytes);
  auto* values = reinterpret_cast<float*>(out.data.data());
  const std::size_t pixels = std::size_t{image.width} * image.height;
  const bool is_planar = section.layout == ImageLayout::kNchw;
  for (std::size_t c = 0; c < channels; ++c) {
    float* to = is_planar ? values + c * pixels : values + c;
    const std::size_t step = is_planar ? 1 : channels;
    for (std::size_t i = 0; i < pixels; ++i) to[i * step] = value_of[c][image.pixels[i * channels + c]];
  }
  return out;
}

}  // namespace

Result<Tensor> run_input_step(InputStep step, const InputSection& section, const TensorView& in) {
  switch (step) {
    case InputStep::kDecode: return decode(section, in);
    case InputStep::kResize: return resize(section, in);
    case InputStep::kNormalize: return normalize(section, in);
  }
  return Error{ErrorCode::kInvalidArgument, fmt::format("[input] there is no input step {}", static_cast<int>(step))};
}

}  // namespace tideline
