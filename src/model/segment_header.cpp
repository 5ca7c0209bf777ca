#include "model/segment_header.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/limits.h"

namespace tideline {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "TLSG";
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kName = "segment header";

Error corrupt(std::string message) { return Error{ErrorCode::kCorrupt, "[segment] " + std::move(message)}; }

template <typename T>
void append_little_endian(std::string& bytes, T value) {
  for (std::size_t i = 0; i < sizeof value; ++i) bytes.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

template <typename T>
bool take_little_endian(std::string_view& bytes, T& value) {
  if (bytes.size() < sizeof value) return false;
  value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) value |= static_cast<T>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  bytes.remove_prefix(sizeof value);
  return true;
}

json specs_json(const std::vector<TensorSpec>& specs) {
  json list = json::array();
  for (const TensorSpec& spec : specs)
    list.push_back({{"name", spec.name}, {"dtype", to_string(spec.dtype)}, {"shape", spec.shape}});
  return list;
}

Result<TensorSpec> read_spec(const json& value, const std::string& path) {
  JsonMap map(value, std::string(kName), path);
  TensorSpec spec;
  TIDELINE_TRY(spec.name, map.text("name"));
  if (spec.name.size() > limits::kNameBytesMax || spec.name.find('\0') != std::string::npos)
    return map.error("name", "is too long or has a NUL in it");
  TIDELINE_TRY(const std::string dtype, map.text("dtype"));
  spec.dtype = dtype_from(dtype);
  if (element_bytes(spec.dtype) == 0) return map.error("dtype", "is not a type with elements of a fixed size");
  TIDELINE_TRY(const json* shape, map.array("shape"));
  if (shape->size() > limits::kTensorRankMax) return map.error("shape", "has too many dimensions");
  if (*shape == json::array({kUnknownRank})) {
    spec.shape = {kUnknownRank};
    TIDELINE_CHECK_OK(map.finish());
    return spec;
  }
  for (const json& dim : *shape) {
    // Unsigned numbers above the range of int64 are refused by their size, not by wrapping.
    const bool fits =
        dim.is_number_integer() && (!dim.is_number_unsigned() || dim.get<std::uint64_t>() <= limits::kTensorBytesMax);
    if (!fits || dim.get<std::int64_t>() < kUnknownDim) return map.error("shape", "has a dimension that is none");
    spec.shape.push_back(dim.get<std::int64_t>());
  }
  TIDELINE_CHECK_OK(map.finish());
  return spec;
}

Result<std::vector<TensorSpec>> read_specs(JsonMap& map, std::string_view key) {
  TIDELINE_TRY(const json* list, map.array(key));
  if (list->size() > limits::kFrameTensorsMax) return map.error(key, "has too many tensors");
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < list->size(); ++i) {
    TIDELINE_TRY(TensorSpec spec, read_spec((*list)[i], fmt::format("{}[{}]", key, i)));
    for (const TensorSpec& other : specs)
      if (other.name == spec.name) return map.error(key, "names a tensor twice");
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<std::vector<InputStep>> read_steps(JsonMap& map) {
  TIDELINE_TRY(const json* list, map.array("steps"));
  if (list->size() > kInputSteps) return map.error("steps", "has too many");
  std::vector<InputStep> steps;
  for (const json& value : *list) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() >= kInputSteps)
      return map.error("steps", "has a number that is no step");
    const auto step = static_cast<InputStep>(value.get<std::uint64_t>());
    if (!steps.empty() && static_cast<int>(step) != static_cast<int>(steps.back()) + 1)
      return map.error("steps", "are not consecutive");
    steps.push_back(step);
  }
  return steps;
}

Status read_output_steps(JsonMap& map, SegmentParts& parts) {
  if (!map.has("output_steps")) return {};
  TIDELINE_TRY(const json* steps, map.array("output_steps"));
  TIDELINE_TRY(parts.output_steps, parse_output_steps(steps->dump(-1, ' ', false, json::error_handler_t::replace)));
  TIDELINE_TRY(const json* names, map.array("output_inputs"));
  if (names->empty() || names->size() > limits::kOutputTensorsMax) return map.error("output_inputs", "has none or too many");
  for (const json& name : *names) {
    if (!name.is_string() || name.get_ref<const std::string&>().size() > limits::kNameBytesMax)
      return map.error("output_inputs", "has a name that is none");
    parts.output_inputs.push_back(name.get<std::string>());
  }
  return {};
}

Result<SegmentParts> read_header(const json& document) {
  JsonMap map(document, std::string(kName), "");
  SegmentParts parts;
  constexpr std::int64_t kBlocksMax = limits::kOpsMax + kInputSteps + limits::kOutputStepsMax;
  TIDELINE_TRY(const std::int64_t first, map.integer("first_block", 0, kBlocksMax));
  TIDELINE_TRY(const std::int64_t last, map.integer("last_block", first, kBlocksMax));
  parts.first_block = static_cast<std::uint32_t>(first);
  parts.last_block = static_cast<std::uint32_t>(last);
  TIDELINE_TRY(parts.steps, read_steps(map));
  TIDELINE_TRY(parts.inputs, read_specs(map, "inputs"));
  TIDELINE_TRY(parts.outputs, read_specs(map, "outputs"));
  if (map.has("input_section")) {
    TIDELINE_TRY(const json* section, map.object("input_section"));
    TIDELINE_TRY(parts.input, parse_input_section_json(section->dump()));
  }
  TIDELINE_CHECK_OK(read_output_steps(map, parts));
  TIDELINE_CHECK_OK(map.finish());
  const std::size_t blocks = parts.last_block - parts.first_block + 1;
  if (parts.steps.size() + parts.output_steps.size() > blocks ||
      (!parts.steps.empty() && parts.output_steps.size() + parts.steps.size() == blocks && !parts.output_steps.empty()))
    return map.error("output_steps", "do not fit the blocks");
  if (parts.input.has_value() == parts.steps.empty())
    return map.error("input_section", "must be there exactly when there are steps");
  if (!parts.steps.empty()) {
    const bool fits = static_cast<std::uint32_t>(parts.steps.front()) == parts.first_block &&
                      parts.steps.size() <= parts.last_block - parts.first_block + 1;
    const bool ends_early = parts.steps.back() != InputStep::kNormalize;
    if (!fits || (ends_early && parts.steps.size() != parts.last_block - parts.first_block + 1))
      return map.error("steps", "do not fit the blocks");
  }
  return parts;
}

}  // namespace

Result<std::string> write_segment_header(const SegmentParts& parts, std::uint64_t onnx_bytes) {
  json header{{"first_block", parts.first_block}, {"last_block", parts.last_block}, {"steps", json::array()}};
  for (const InputStep step : parts.steps) header["steps"].push_back(static_cast<int>(step));
  header["inputs"] = specs_json(parts.inputs);
  header["outputs"] = specs_json(parts.outputs);
  if (!parts.output_steps.empty()) {
    header["output_steps"] = json::parse(write_output_steps(parts.output_steps));
    header["output_inputs"] = parts.output_inputs;
  }
  if (parts.input) header["input_section"] = json::parse(write_input_section(*parts.input));
  const std::string text = header.dump();
  if (text.size() > limits::kSegmentHeaderBytesMax)
    return Error{ErrorCode::kUnsupported, fmt::format("[segment] the header would have {} bytes, above the limit of {}",
                                                      text.size(), limits::kSegmentHeaderBytesMax)};
  std::string bytes;
  bytes.reserve(kMagic.size() + 16 + text.size() + onnx_bytes);
  bytes += kMagic;
  append_little_endian(bytes, kVersion);
  append_little_endian(bytes, static_cast<std::uint32_t>(text.size()));
  bytes += text;
  append_little_endian(bytes, onnx_bytes);
  return bytes;
}

Result<SegmentParts> parse_segment(std::string_view bytes) {
  std::uint32_t version = 0;
  std::uint32_t header_bytes = 0;
  std::uint64_t onnx_bytes = 0;
  if (!bytes.starts_with(kMagic)) return corrupt("the package does not begin with \"TLSG\"");
  bytes.remove_prefix(kMagic.size());
  if (!take_little_endian(bytes, version) || !take_little_endian(bytes, header_bytes)) return corrupt("the package is cut short");
  if (version != kVersion)
    return corrupt(fmt::format("the package has version {}; this build reads version {}", version, kVersion));
  if (header_bytes > limits::kSegmentHeaderBytesMax || header_bytes > bytes.size())
    return corrupt(fmt::format("the header claims {} bytes, more than there are or than the limit of {}", header_bytes,
                               limits::kSegmentHeaderBytesMax));
  const std::string_view text = bytes.substr(0, header_bytes);
  bytes.remove_prefix(header_bytes);
  if (!take_little_endian(bytes, onnx_bytes)) return corrupt("the package is cut short");
  if (onnx_bytes != bytes.size() || onnx_bytes > limits::kModelFileBytesMax)
    return corrupt(fmt::format("the package claims {} bytes of ONNX but has {}", onnx_bytes, bytes.size()));
  const Result<json> document = parse_json(text, kName);
  if (!document) return corrupt(document.error().message);
  Result<SegmentParts> parts = read_header(*document);
  if (!parts) return corrupt(parts.error().message);
  const std::size_t blocks = parts->last_block - parts->first_block + 1;
  if (bytes.empty() != (parts->steps.size() + parts->output_steps.size() == blocks))
    return corrupt("the ONNX part must be there exactly when there are blocks of ops");
  parts->onnx = bytes;
  return parts;
}

}  // namespace tideline
