#include "input/input_section.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"

namespace tideline {

namespace {

// The words of the file format; the position is the enumerator's number.
constexpr std::array<std::string_view, 3> kEncodings{"jpeg", "png", "image"};
constexpr std::array<std::string_view, 3> kResizes{"stretch", "crop", "letterbox"};
constexpr std::array<std::string_view, 2> kAligns{"centre", "start"};
constexpr std::array<DType, 3> kTypes{DType::kFloat32, DType::kFloat16, DType::kUint8};
constexpr std::array<std::string_view, 2> kOrientations{"none", "exif"};
constexpr std::array<std::string_view, 3> kChannels{"rgb", "bgr", "grey"};
constexpr std::array<std::string_view, 2> kLayouts{"nchw", "nhwc"};
constexpr std::array<std::string_view, 3> kSteps{"decode", "resize", "normalize"};

std::size_t index_of(std::span<const std::string_view> words, std::string_view word) {
  return static_cast<std::size_t>(std::find(words.begin(), words.end(), word) - words.begin());
}

template <typename Enum>
Result<Enum> read_word(const YamlNode& node, std::span<const std::string_view> words, Enum fallback) {
  if (!node.present()) return fallback;
  TIDELINE_TRY(const std::string word, node.text());
  const std::size_t index = index_of(words, word);
  if (index == words.size()) return node.error(fmt::format("expected {}, found '{}'", fmt::join(words, ", "), printable(word)));
  return static_cast<Enum>(index);
}

// mean and std: as many numbers as there are channels.
Status read_per_channel(const YamlNode& node, std::uint32_t channels, std::array<float, 3>& values) {
  if (!node.present()) return {};
  TIDELINE_TRY(const std::vector<YamlNode> items, node.list());
  if (items.size() != channels)
    return node.error(fmt::format("expected {} numbers, one per channel, found {}", channels, items.size()));
  for (std::size_t i = 0; i < items.size(); ++i) {
    TIDELINE_TRY(const double value, items[i].number());
    values[i] = static_cast<float>(value);
  }
  return {};
}

// pad: one number for every channel, or one for each.
Status read_pad(const YamlNode& node, InputSection& section) {
  if (!node.present()) return {};
  if (section.resize != ResizeMode::kLetterbox) return node.error("only 'resize: letterbox' pads");
  std::vector<YamlNode> items;
  if (auto list = node.list()) items = std::move(*list);
  if (!items.empty() && items.size() != section.channel_count())
    return node.error(fmt::format("expected one number or {}, one per channel, found {}", section.channel_count(), items.size()));
  for (std::uint32_t c = 0; c < section.channel_count(); ++c) {
    const YamlNode& item = items.empty() ? node : items[c];
    TIDELINE_TRY(const std::int64_t value, item.integer());
    if (value < 0 || value > 255) return item.error("expected 0 to 255");
    section.pad[c] = static_cast<std::uint8_t>(value);
  }
  return {};
}

Result<std::uint32_t> read_side(const YamlNode& node) {
  TIDELINE_TRY(const std::int64_t side, node.integer());
  if (side < 1 || side > limits::kImageSideMax) return node.error(fmt::format("expected 1 to {}", limits::kImageSideMax));
  return static_cast<std::uint32_t>(side);
}

// [width, height], or what follows the picture.
Status read_size(const YamlNode& node, InputSection& section) {
  if (auto map = node.map()) {
    FollowSize follow;
    TIDELINE_TRY(follow.shortest, read_side(map->required("shortest")));
    if (const YamlNode multiple = map->optional("multiple"); multiple.present()) {
      TIDELINE_TRY(follow.multiple, read_side(multiple));
    }
    TIDELINE_TRY(follow.longest, read_side(map->required("longest")));
    TIDELINE_CHECK_OK(map->finish());
    section.follow = follow;
    return {};
  }
  TIDELINE_TRY(const std::vector<YamlNode> sides, node.list());
  if (sides.size() != 2) return node.error(fmt::format("expected [width, height], found {} numbers", sides.size()));
  TIDELINE_TRY(section.width, read_side(sides[0]));
  TIDELINE_TRY(section.height, read_side(sides[1]));
  return {};
}

// What both formats must satisfy; the message is put behind the place where it was found.
Result<std::string> find_problem(const InputSection& section) {
  const auto side_is_wrong = [](std::int64_t side) { return side < 1 || side > limits::kImageSideMax; };
  if (section.follow) {
    const FollowSize& follow = *section.follow;
    if (side_is_wrong(follow.shortest) || side_is_wrong(follow.longest) || side_is_wrong(follow.multiple))
      return fmt::format("sizes must be from 1 to {}", limits::kImageSideMax);
    if (follow.longest < follow.shortest || follow.longest % follow.multiple != 0)
      return std::string("size.longest must be at least size.shortest and a multiple of size.multiple");
  } else if (side_is_wrong(section.width) || side_is_wrong(section.height))
    return fmt::format("size must be [width, height], each from 1 to {}", limits::kImageSideMax);
  for (std::uint32_t c = 0; c < section.channel_count(); ++c) {
    if (!std::isfinite(section.mean[c]) || std::abs(section.mean[c]) > 1e6f) return std::string("mean must lie within +-1e6");
    if (!std::isfinite(section.std[c]) || section.std[c] < 1e-6f || section.std[c] > 1e6f)
      return std::string("std must lie between 1e-6 and 1e6");
  }
  if (section.tensor.size() > limits::kNameBytesMax)
    return fmt::format("the tensor's name is longer than {} bytes", limits::kNameBytesMax);
  if (!is_utf8(section.tensor)) return std::string("the tensor's name is not UTF-8");
  return std::string();
}

}  // namespace

std::string_view to_string(InputStep step) {
  const auto index = static_cast<std::size_t>(step);
  return index < kSteps.size() ? kSteps[index] : "unknown";
}

InputSection::Size InputSection::size_for(std::uint32_t picture_width, std::uint32_t picture_height) const {
  if (!follow) return {width, height};
  const std::uint32_t shorter = std::min(picture_width, picture_height);
  const std::uint32_t longer = std::max(picture_width, picture_height);
  const double scale = std::min(static_cast<double>(follow->shortest) / shorter, static_cast<double>(follow->longest) / longer);
  const auto side = [&](std::uint32_t old) {
    const double multiples = std::round(old * scale / follow->multiple);
    return static_cast<std::uint32_t>(std::clamp(multiples * follow->multiple, 1.0 * follow->multiple, 1.0 * follow->longest));
  };
  return {side(picture_width), side(picture_height)};
}

Result<InputSection> read_input_section(const YamlNode& node) {
  TIDELINE_TRY(YamlMap map, node.map());
  InputSection section;
  TIDELINE_TRY(section.tensor, map.optional("tensor").text_or(""));
  TIDELINE_TRY(section.encoding, read_word(map.optional("encoding"), kEncodings, ImageEncoding::kAny));
  TIDELINE_TRY(section.orientation, read_word(map.optional("orientation"), kOrientations, Orientation::kAsStored));
  const YamlNode size = map.required("size");
  TIDELINE_TRY(section.resize, read_word(map.optional("resize"), kResizes, ResizeMode::kStretch));
  TIDELINE_TRY(section.channels, read_word(map.optional("channels"), kChannels, ChannelOrder::kRgb));
  TIDELINE_CHECK_OK(read_per_channel(map.optional("mean"), section.channel_count(), section.mean));
  TIDELINE_CHECK_OK(read_per_channel(map.optional("std"), section.channel_count(), section.std));
  TIDELINE_TRY(section.layout, read_word(map.optional("layout"), kLayouts, ImageLayout::kNchw));
  TIDELINE_CHECK_OK(read_pad(map.optional("pad"), section));
  const YamlNode align = map.optional("align");
  TIDELINE_TRY(section.align, read_word(align, kAligns, Align::kCentre));
  if (align.present() && section.resize != ResizeMode::kLetterbox) return align.error("only 'resize: letterbox' aligns");
  TIDELINE_CHECK_OK(map.finish());

  TIDELINE_CHECK_OK(read_size(size, section));
  TIDELINE_TRY(const std::string problem, find_problem(section));
  if (!problem.empty()) return node.error(problem);
  return section;
}

std::string write_input_section(const InputSection& section) {
  const std::size_t channels = section.channel_count();
  nlohmann::json json{{"tensor", section.tensor},
                      {"encoding", kEncodings[static_cast<std::size_t>(section.encoding)]},
                      {"size", {section.width, section.height}},
                      {"resize", kResizes[static_cast<std::size_t>(section.resize)]},
                      {"channels", kChannels[static_cast<std::size_t>(section.channels)]},
                      {"mean", std::vector<float>(section.mean.begin(), section.mean.begin() + channels)},
                      {"std", std::vector<float>(section.std.begin(), section.std.begin() + channels)},
                      {"layout", kLayouts[static_cast<std::size_t>(section.layout)]}};
  // Written only where they say something, so that packages without them stay as they were.
  if (section.resize == ResizeMode::kLetterbox) {
    json["pad"] = std::vector<int>(section.pad.begin(), section.pad.begin() + channels);
    json["align"] = kAligns[static_cast<std::size_t>(section.align)];
  }
  if (section.orientation == Orientation::kExif) json["orientation"] = kOrientations[1];
  if (section.follow)
    json["size"] = {
        {"shortest", section.follow->shortest}, {"multiple", section.follow->multiple}, {"longest", section.follow->longest}};
  if (section.dtype != DType::kFloat32) json["dtype"] = to_string(section.dtype);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {

template <typename Enum>
Status read_json_word(JsonMap& map, std::string_view key, std::span<const std::string_view> words, Enum& value) {
  TIDELINE_TRY(const std::string word, map.text(key));
  const std::size_t index = index_of(words, word);
  if (index == words.size())
    return map.error(key, fmt::format("expected {}, found '{}'", fmt::join(words, ", "), printable(word)));
  value = static_cast<Enum>(index);
  return {};
}

Status read_json_numbers(JsonMap& map, std::string_view key, std::uint32_t channels, std::array<float, 3>& values) {
  TIDELINE_TRY(const std::vector<double> numbers, map.numbers(key));
  if (numbers.size() != channels) return map.error(key, fmt::format("expected {} numbers, found {}", channels, numbers.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i) values[i] = static_cast<float>(numbers[i]);
  return {};
}

Status read_json_size(JsonMap& map, const nlohmann::json& json, InputSection& section) {
  if (json.contains("size") && json["size"].is_object()) {
    TIDELINE_TRY(const nlohmann::json* object, map.object("size"));
    JsonMap sizes(*object, "input section", "size");
    FollowSize follow;
    for (const auto& [key, value] :
         {std::pair{"shortest", &follow.shortest}, {"multiple", &follow.multiple}, {"longest", &follow.longest}}) {
      TIDELINE_TRY(const std::int64_t side, sizes.integer(key, 1, limits::kImageSideMax));
      *value = static_cast<std::uint32_t>(side);
    }
    TIDELINE_CHECK_OK(sizes.finish());
    section.follow = follow;
    return {};
  }
  TIDELINE_TRY(const std::vector<double> size, map.numbers("size", {.min = 1, .max = limits::kImageSideMax}));
  if (size.size() != 2 || size[0] != std::floor(size[0]) || size[1] != std::floor(size[1]))
    return map.error("size", "expected [width, height]");
  section.width = static_cast<std::uint32_t>(size[0]);
  section.height = static_cast<std::uint32_t>(size[1]);
  return {};
}

}  // namespace

Result<InputSection> parse_input_section_json(std::string_view text) {
  TIDELINE_TRY(const nlohmann::json json, parse_json(text, "input section"));
  if (!json.is_object()) return Error{ErrorCode::kInvalidArgument, "input section: expected an object"};
  JsonMap map(json, "input section", "");
  InputSection section;
  TIDELINE_TRY(section.tensor, map.text("tensor"));
  TIDELINE_CHECK_OK(read_json_word(map, "encoding", kEncodings, section.encoding));
  TIDELINE_CHECK_OK(read_json_word(map, "resize", kResizes, section.resize));
  TIDELINE_CHECK_OK(read_json_word(map, "channels", kChannels, section.channels));
  TIDELINE_CHECK_OK(read_json_word(map, "layout", kLayouts, section.layout));
  if (map.has("orientation")) TIDELINE_CHECK_OK(read_json_word(map, "orientation", kOrientations, section.orientation));
  TIDELINE_CHECK_OK(read_json_size(map, json, section));
  TIDELINE_CHECK_OK(read_json_numbers(map, "mean", section.channel_count(), section.mean));
  TIDELINE_CHECK_OK(read_json_numbers(map, "std", section.channel_count(), section.std));
  if (section.resize == ResizeMode::kLetterbox) {
    TIDELINE_CHECK_OK(read_json_word(map, "align", kAligns, section.align));
    TIDELINE_TRY(const std::vector<double> pad, map.numbers("pad", {.min = 0, .max = 255}));
    if (pad.size() != section.channel_count()) return map.error("pad", "must have one number per channel");
    for (std::size_t i = 0; i < pad.size(); ++i) section.pad[i] = static_cast<std::uint8_t>(pad[i]);
  }
  if (map.has("dtype")) {
    TIDELINE_TRY(const std::string dtype, map.text("dtype"));
    section.dtype = dtype_from(dtype);
    if (std::find(kTypes.begin(), kTypes.end(), section.dtype) == kTypes.end())
      return map.error("dtype", "must be float32, float16 or uint8");
  }
  TIDELINE_CHECK_OK(map.finish());
  TIDELINE_TRY(const std::string problem, find_problem(section));
  if (!problem.empty()) return Error{ErrorCode::kInvalidArgument, fmt::format("input section: {}", problem)};
  return section;
}

}  // namespace tideline
