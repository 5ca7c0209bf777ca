// The input section of model.yaml: how the bytes a camera sends become the model's input tensor.
//
// Decode, resize and normalise are ordinary blocks at the head of the chain, so that "all in the cloud" sends the JPEG, as in
// life, and a cut after "resize" sends bytes, not floats. docs/formats/model.md has the file format.
//
//   input:
//     tensor: x                     # the model's input; may be left out when there is one
//     encoding: jpeg                # jpeg | png | image (the default: either, told apart by its first bytes)
//     orientation: none             # none | exif: turned as the EXIF data of a JPEG says
//     size: [224, 224]              # width, height; or {shortest: 736, multiple: 32, longest: 1600}: as the picture has it
//     resize: stretch               # stretch | crop | letterbox
//     pad: [114, 114, 114]          # of letterbox
//     align: centre                 # of letterbox: centre | start
//     channels: rgb                 # rgb | bgr | grey
//     mean: [0.485, 0.456, 0.406]   # of values in 0..1, in the order of `channels`
//     std: [0.229, 0.224, 0.225]
//     layout: nchw                  # nchw | nhwc
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "tensor/tensor.h"

namespace tideline {

enum class ImageEncoding { kJpeg, kPng, kAny };
enum class ResizeMode { kStretch, kCrop, kLetterbox };
enum class Align { kCentre, kStart };
enum class Orientation { kAsStored, kExif };
enum class ChannelOrder { kRgb, kBgr, kGrey };
enum class ImageLayout { kNchw, kNhwc };

// Sizes that follow the picture: both sides scaled by the same number, so that the shorter one is `shortest` or the longer one
// `longest`, whichever is smaller; then each to the nearest multiple, at least one of it and at most `longest`.
struct FollowSize {
  std::uint32_t shortest = 0;
  std::uint32_t multiple = 1;
  std::uint32_t longest = 0;  // a multiple of `multiple`
  bool operator==(const FollowSize&) const = default;
};

struct InputSection {
  std::string tensor;
  ImageEncoding encoding = ImageEncoding::kAny;
  Orientation orientation = Orientation::kAsStored;
  // What the model sees; 0 where it follows the picture.
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  std::optional<FollowSize> follow;
  ResizeMode resize = ResizeMode::kStretch;
  ChannelOrder channels = ChannelOrder::kRgb;
  std::array<float, 3> mean{0, 0, 0};
  std::array<float, 3> std{1, 1, 1};
  ImageLayout layout = ImageLayout::kNchw;
  std::array<std::uint8_t, 3> pad{114, 114, 114};  // of letterbox
  Align align = Align::kCentre;                    // of letterbox
  // What the model's input holds: float32, float16 or uint8 (nothing is normalised then). No key of the file: make_chain sets it.
  DType dtype = DType::kFloat32;
  bool operator==(const InputSection&) const = default;

  struct Size {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    bool operator==(const Size&) const = default;
  };
  // Of what the model sees of a picture of this size, none of whose sides is 0.
  Size size_for(std::uint32_t picture_width, std::uint32_t picture_height) const;
  std::uint32_t channel_count() const { return channels == ChannelOrder::kGrey ? 1 : 3; }
};

// The steps in order; each is one block of the chain. Step k turns cut k into cut k+1:
//   encoded  uint8[n]  --decode-->  uint8[h,w,c]  --resize-->  uint8[height,width,c]  --normalize-->  the model's input
enum class InputStep : std::uint8_t { kDecode = 0, kResize = 1, kNormalize = 2 };
inline constexpr std::uint32_t kInputSteps = 3;
std::string_view to_string(InputStep step);

Result<InputSection> read_input_section(const YamlNode& node);
// The same section as one JSON object, for the segment container, and back (hostile-safe).
std::string write_input_section(const InputSection& section);
Result<InputSection> parse_input_section_json(std::string_view json);

}  // namespace tideline
