#include "output/output_section.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"

namespace tideline {
namespace {

// The words of the file format; the position is the enumerator's number.
constexpr std::array<std::string_view, 8> kKinds{"sigmoid",   "softmax", "argmax", "topk",
                                                 "threshold", "boxes",   "nms",    "text_boxes"};
constexpr std::array<std::string_view, 7> kFormats{"yolov2", "yolov3", "yolov5", "yolox", "yolov8", "rows", "ssd"};
constexpr std::array<std::string_view, 3> kScores{"softmax", "sigmoid", "none"};

constexpr double kLengthMin = 1e-3;

Result<std::size_t> read_word(const YamlNode& node, std::span<const std::string_view> words) {
  TIDELINE_TRY(const std::string word, node.text());
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) return node.error(fmt::format("expected {}, found '{}'", fmt::join(words, ", "), printable(word)));
  return static_cast<std::size_t>(found - words.begin());
}

Result<double> read_number(const YamlNode& node, double min, double max) {
  TIDELINE_TRY(const double value, node.number());
  if (value < min || value > max) return node.error(fmt::format("expected {:g} to {:g}", min, max));
  return value;
}

Status read_optional(const YamlNode& node, double min, double max, double& value) {
  if (!node.present()) return {};
  TIDELINE_TRY(value, read_number(node, min, max));
  return {};
}

Result<std::uint32_t> read_count(const YamlNode& node, std::size_t max) {
  TIDELINE_TRY(const std::int64_t value, node.integer());
  if (value < 1 || static_cast<std::uint64_t>(value) > max) return node.error(fmt::format("expected 1 to {}", max));
  return static_cast<std::uint32_t>(value);
}

Status read_optional_count(const YamlNode& node, std::size_t max, std::uint32_t& value) {
  if (!node.present()) return {};
  TIDELINE_TRY(value, read_count(node, max));
  return {};
}

Status read_axis(YamlMap& map, std::int64_t& axis) {
  const YamlNode node = map.optional("axis");
  TIDELINE_TRY(axis, node.integer_or(-1));
  constexpr auto kRankMax = static_cast<std::int64_t>(limits::kTensorRankMax);
  if (axis < -kRankMax || axis >= kRankMax) return node.error("no tensor has that many dimensions; -1 is the last");
  return {};
}

Result<std::vector<double>> read_numbers(const YamlNode& node, double min, double max, std::size_t count_max) {
  TIDELINE_TRY(const std::vector<YamlNode> items, node.list());
  if (items.size() > count_max) return node.error(fmt::format("more than {} numbers", count_max));
  std::vector<double> values;
  for (const YamlNode& item : items) {
    TIDELINE_TRY(const double value, read_number(item, min, max));
    values.push_back(value);
  }
  return values;
}

Result<std::array<std::uint32_t, 2>> read_size(const YamlNode& node, std::size_t max) {
  TIDELINE_TRY(const std::vector<YamlNode> sides, node.list());
  if (sides.size() != 2) return node.error(fmt::format("expected [width, height], found {} numbers", sides.size()));
  std::array<std::uint32_t, 2> size{};
  for (std::size_t i = 0; i < 2; ++i) {
    TIDELINE_TRY(size[i], read_count(sides[i], max));
  }
  return size;
}

// For each tensor a list of [width, height].
Status read_anchors(const YamlNode& node, OutputStep& step) {
  TIDELINE_TRY(const std::vector<YamlNode> heads, node.list());
  if (heads.empty() || heads.size() > limits::kOutputTensorsMax)
    return node.error(fmt::format("expected 1 to {} lists of anchors, one for each tensor", limits::kOutputTensorsMax));
  for (const YamlNode& head : heads) {
    TIDELINE_TRY(const std::vector<YamlNode> pairs, head.list());
    if (pairs.empty() || pairs.size() > limits::kBoxAnchorsMax)
      return head.error(fmt::format("expected 1 to {} anchors, each [width, height]", limits::kBoxAnchorsMax));
    std::vector<std::array<double, 2>> anchors;
    for (const YamlNode& pair : pairs) {
      TIDELINE_TRY(const std::vector<double> sides, read_numbers(pair, kLengthMin, limits::kBoxLengthMax, 2));
      if (sides.size() != 2) return pair.error("expected [width, height] in pixels of the model's input");
      anchors.push_back({sides[0], sides[1]});
    }
    step.anchors.push_back(std::move(anchors));
  }
  return {};
}

Status read_strides(const YamlNode& node, OutputStep& step) {
  TIDELINE_TRY(step.strides, read_numbers(node, kLengthMin, limits::kBoxLengthMax, limits::kOutputTensorsMax));
  if (step.strides.empty()) return node.error("expected one number for each scale");
  return {};
}

Status read_priors(const YamlNode& node, OutputStep& step) {
  TIDELINE_TRY(const std::vector<YamlNode> maps, node.list());
  if (maps.empty() || maps.size() > limits::kOutputTensorsMax)
    return node.error(fmt::format("expected 1 to {} feature maps", limits::kOutputTensorsMax));
  std::uint64_t count = 0;
  for (const YamlNode& each : maps) {
    TIDELINE_TRY(YamlMap map, each.map());
    PriorMap prior;
    TIDELINE_TRY(prior.cells, read_size(map.required("cells"), limits::kImageSideMax));
    TIDELINE_TRY(prior.min, read_number(map.required("min"), kLengthMin, limits::kBoxLengthMax));
    TIDELINE_CHECK_OK(read_optional(map.optional("max"), kLengthMin, limits::kBoxLengthMax, prior.max));
    if (const YamlNode ratios = map.optional("ratios"); ratios.present()) {
      TIDELINE_TRY(prior.ratios, read_numbers(ratios, 1e-2, 1e2, limits::kBoxAnchorsMax));
    }
    TIDELINE_CHECK_OK(map.finish());
    count += std::uint64_t{prior.cells[0]} * prior.cells[1] * (1 + (prior.max > 0 ? 1 : 0) + 2 * prior.ratios.size());
    if (count > limits::kBoxPriorsMax) return each.error(fmt::format("there are more than {} priors", limits::kBoxPriorsMax));
    step.priors.push_back(std::move(prior));
  }
  return {};
}

Status read_boxes(YamlMap& map, OutputStep& step) {
  TIDELINE_TRY(const std::size_t format, read_word(map.required("format"), kFormats));
  step.format = static_cast<BoxFormat>(format);
  TIDELINE_TRY(step.score, read_number(map.required("score"), 0, 1));
  TIDELINE_CHECK_OK(read_optional_count(map.optional("candidates"), limits::kBoxCandidatesMax, step.candidates));
  TIDELINE_TRY(step.every_class, map.optional("every_class").boolean_or(step.format == BoxFormat::kSsd));
  const bool has_anchors =
      step.format == BoxFormat::kYolov2 || step.format == BoxFormat::kYolov3 || step.format == BoxFormat::kYolov5;
  if (has_anchors) TIDELINE_CHECK_OK(read_anchors(map.required("anchors"), step));
  if (has_anchors || step.format == BoxFormat::kYolox) {
    const YamlNode strides = map.required("strides");
    TIDELINE_CHECK_OK(read_strides(strides, step));
    if (has_anchors && step.strides.size() != step.anchors.size())
      return strides.error(fmt::format("expected one for each of the {} lists of anchors", step.anchors.size()));
  }
  if (step.format == BoxFormat::kYolox || step.format == BoxFormat::kSsd) {
    TIDELINE_TRY(step.size, read_size(map.required("size"), limits::kImageSideMax));
  }
  if (step.format != BoxFormat::kSsd) return {};
  TIDELINE_CHECK_OK(read_priors(map.required("priors"), step));
  if (const YamlNode node = map.optional("variances"); node.present()) {
    TIDELINE_TRY(const std::vector<double> variances, read_numbers(node, 1e-6, 1e3, 2));
    if (variances.size() != 2) return node.error("expected two numbers: of the centre and of the size");
    step.variances = {variances[0], variances[1]};
  }
  if (const YamlNode node = map.optional("scores"); node.present()) {
    TIDELINE_TRY(const std::size_t rule, read_word(node, kScores));
    step.scores = static_cast<ScoreRule>(rule);
  }
  return {};
}

Status read_text_boxes(YamlMap& map, OutputStep& step) {
  step.value = 0.3;
  step.score = 0.6;
  TIDELINE_CHECK_OK(read_optional(map.optional("value"), 0, 1, step.value));
  TIDELINE_CHECK_OK(read_optional(map.optional("score"), 0, 1, step.score));
  TIDELINE_CHECK_OK(read_optional(map.optional("unclip"), 0, 100, step.unclip));
  TIDELINE_CHECK_OK(read_optional(map.optional("side"), 0, limits::kBoxLengthMax, step.side));
  return read_optional_count(map.optional("boxes"), limits::kBoxesMax, step.boxes);
}

Status read_fields(YamlMap& map, OutputStep& step) {
  switch (step.kind) {
    case OutputKind::kSigmoid: break;
    case OutputKind::kSoftmax:
    case OutputKind::kArgmax: TIDELINE_CHECK_OK(read_axis(map, step.axis)); break;
    case OutputKind::kTopk: {
      TIDELINE_TRY(step.k, read_count(map.required("k"), limits::kTopkMax));
      break;
    }
    case OutputKind::kThreshold: {
      TIDELINE_TRY(step.value, map.required("value").number());
      break;
    }
    case OutputKind::kBoxes: TIDELINE_CHECK_OK(read_boxes(map, step)); break;
    case OutputKind::kNms: {
      TIDELINE_TRY(step.iou, read_number(map.required("iou"), 0, 1));
      TIDELINE_CHECK_OK(read_optional_count(map.optional("boxes"), limits::kBoxesMax, step.boxes));
      break;
    }
    case OutputKind::kTextBoxes: TIDELINE_CHECK_OK(read_text_boxes(map, step)); break;
  }
  return map.finish();
}

// `softmax`, or `softmax: {axis: 1}`.
Result<OutputStep> read_step(const YamlNode& node) {
  const auto map = node.map();
  if (!map) {
    TIDELINE_TRY(const std::size_t kind, read_word(node, kKinds));
    OutputStep step{.kind = static_cast<OutputKind>(kind)};
    // What has to be said is missing: its reader says so with the key's name.
    if (step.kind == OutputKind::kSigmoid || step.kind == OutputKind::kSoftmax || step.kind == OutputKind::kArgmax) return step;
    if (step.kind != OutputKind::kTextBoxes)
      return node.error(fmt::format("'{0}' needs its settings: write `- {0}: {{...}}`", kKinds[kind]));
    TIDELINE_TRY(const YamlNode empty, parse_yaml("{}", "text_boxes"));
    TIDELINE_TRY(YamlMap fields, empty.map());
    TIDELINE_CHECK_OK(read_fields(fields, step));
    return step;
  }
  const auto entries = map->entries();
  if (entries.size() != 1)
    return node.error(fmt::format("a step is one of {}, found {} keys", fmt::join(kKinds, ", "), entries.size()));
  const auto& [word, value] = entries.front();
  const auto kind = std::find(kKinds.begin(), kKinds.end(), word);
  if (kind == kKinds.end())
    return value.error(fmt::format("a step is one of {}, found '{}'", fmt::join(kKinds, ", "), printable(word)));
  OutputStep step{.kind = static_cast<OutputKind>(kind - kKinds.begin())};
  TIDELINE_TRY(YamlMap fields, value.map());
  TIDELINE_CHECK_OK(read_fields(fields, step));
  return step;
}

// What a step reads must be what the one before makes: one sentence here, instead of one behind a loaded model.
std::string find_misfit(const OutputStep& before, OutputKind kind) {
  const bool makes_boxes =
      before.kind == OutputKind::kBoxes || before.kind == OutputKind::kNms || before.kind == OutputKind::kTextBoxes;
  if (kind == OutputKind::kNms)
    return before.kind == OutputKind::kBoxes ? "" : "'nms' reads what 'boxes' makes: put it right behind 'boxes'";
  if (makes_boxes || before.kind == OutputKind::kArgmax || before.kind == OutputKind::kThreshold ||
      before.kind == OutputKind::kTopk)
    return fmt::format("nothing but 'nms' (behind 'boxes') comes behind '{}'", to_string(before.kind));
  return "";
}

Result<std::vector<OutputStep>> read_steps(const YamlNode& node) {
  TIDELINE_TRY(const std::vector<YamlNode> items, node.list());
  if (items.empty() || items.size() > limits::kOutputStepsMax)
    return node.error(fmt::format("expected 1 to {} steps", limits::kOutputStepsMax));
  std::vector<OutputStep> steps;
  for (const YamlNode& item : items) {
    TIDELINE_TRY(OutputStep step, read_step(item));
    if (!steps.empty()) {
      if (const std::string misfit = find_misfit(steps.back(), step.kind); !misfit.empty()) return item.error(misfit);
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Result<std::string> read_name(const YamlNode& node) {
  TIDELINE_TRY(std::string name, node.text());
  if (name.empty() || name.size() > limits::kNameBytesMax) return node.error("the name of an output is missing or too long");
  return name;
}

Status check_label(std::string_view label) {
  if (label.size() > limits::kLabelBytesMax)
    return Error{ErrorCode::kInvalidArgument, fmt::format("a label is longer than {} bytes", limits::kLabelBytesMax)};
  if (!is_utf8(label)) return Error{ErrorCode::kInvalidArgument, "a label is not UTF-8"};
  return {};
}

Status read_labels(const YamlNode& node, OutputSection& section) {
  if (!node.present()) return {};
  const auto items = node.list();
  if (!items) {
    TIDELINE_TRY(section.labels_file, node.text());
    if (section.labels_file.empty()) return node.error("expected the name of a file or a list");
    return {};
  }
  if (items->size() > limits::kLabelsMax) return node.error(fmt::format("more than {} labels", limits::kLabelsMax));
  for (const YamlNode& item : *items) {
    TIDELINE_TRY(std::string label, item.text());
    if (const Status fits = check_label(label); !fits) return item.error(fits.error().message);
    section.labels.push_back(std::move(label));
  }
  return {};
}

}  // namespace

std::string_view to_string(OutputKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  return index < kKinds.size() ? kKinds[index] : "unknown";
}

std::string_view to_string(BoxFormat format) {
  const auto index = static_cast<std::size_t>(format);
  return index < kFormats.size() ? kFormats[index] : "unknown";
}

Result<OutputSection> read_output_section(const YamlNode& node) {
  TIDELINE_TRY(YamlMap map, node.map());
  OutputSection section;
  const YamlNode tensor = map.optional("tensor");
  const YamlNode tensors = map.optional("tensors");
  const YamlNode steps = map.required("steps");
  const YamlNode labels = map.optional("labels");
  TIDELINE_CHECK_OK(map.finish());
  if (tensor.present() && tensors.present()) return tensors.error("give 'tensor' or 'tensors', not both");
  if (tensor.present()) {
    TIDELINE_TRY(std::string name, read_name(tensor));
    section.tensors.push_back(std::move(name));
  }
  if (tensors.present()) {
    TIDELINE_TRY(const std::vector<YamlNode> names, tensors.list());
    if (names.empty() || names.size() > limits::kOutputTensorsMax)
      return tensors.error(fmt::format("expected 1 to {} names", limits::kOutputTensorsMax));
    for (const YamlNode& each : names) {
      TIDELINE_TRY(std::string name, read_name(each));
      if (std::find(section.tensors.begin(), section.tensors.end(), name) != section.tensors.end())
        return each.error(fmt::format("'{}' is named twice", printable(name)));
      section.tensors.push_back(std::move(name));
    }
  }
  TIDELINE_TRY(section.steps, read_steps(steps));
  TIDELINE_CHECK_OK(read_labels(labels, section));
  return section;
}

std::string write_output_steps(const std::vector<OutputStep>& steps) {
  using nlohmann::json;
  json list = json::array();
  for (const OutputStep& step : steps) {
    json fields = json::object();
    const bool has_format = step.kind == OutputKind::kBoxes;
    if (step.kind == OutputKind::kSoftmax || step.kind == OutputKind::kArgmax) fields["axis"] = step.axis;
    if (step.kind == OutputKind::kTopk) fields["k"] = step.k;
    if (step.kind == OutputKind::kThreshold) fields["value"] = step.value;
    if (step.kind == OutputKind::kNms) fields = {{"iou", step.iou}, {"boxes", step.boxes}};
    if (step.kind == OutputKind::kTextBoxes)
      fields = {
          {"value", step.value}, {"score", step.score}, {"unclip", step.unclip}, {"side", step.side}, {"boxes", step.boxes}};
    if (has_format) {
      fields = {{"format", to_string(step.format)},
                {"score", step.score},
                {"candidates", step.candidates},
                {"every_class", step.every_class}};
      if (!step.anchors.empty()) fields["anchors"] = step.anchors;
      if (!step.strides.empty()) fields["strides"] = step.strides;
      if (step.size[0] > 0) fields["size"] = step.size;
    }
    if (has_format && step.format == BoxFormat::kSsd) {
      fields["variances"] = step.variances;
      fields["scores"] = kScores[static_cast<std::size_t>(step.scores)];
      for (const PriorMap& prior : step.priors) {
        json map{{"cells", prior.cells}, {"min", prior.min}};
        if (prior.max > 0) map["max"] = prior.max;
        if (!prior.ratios.empty()) map["ratios"] = prior.ratios;
        fields["priors"].push_back(std::move(map));
      }
    }
    list.push_back({{std::string(to_string(step.kind)), std::move(fields)}});
  }
  return list.dump();
}

Result<std::vector<OutputStep>> parse_output_steps(std::string_view json) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(json, "output steps"));
  return read_steps(root);
}

Result<std::vector<std::string>> parse_labels(std::string_view text, std::string_view name) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const auto refused = [&](std::string_view why) {
      return Error{ErrorCode::kInvalidArgument, fmt::format("{}:{}: {}", name, labels.size() + 1, why)};
    };
    if (labels.size() == limits::kLabelsMax) return refused(fmt::format("more than {} labels", limits::kLabelsMax));
    if (const Status fits = check_label(line); !fits) return refused(fits.error().message);
    labels.emplace_back(line);
  }
  return labels;
}

}  // namespace tideline
