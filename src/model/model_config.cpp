#include "model/model_config.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/yaml.h"

namespace tideline {
namespace {

Result<std::vector<std::int64_t>> read_shape(const YamlNode& node) {
  TIDELINE_TRY(const std::vector<YamlNode> items, node.list());
  if (items.size() > limits::kTensorRankMax) return node.error(fmt::format("more than {} dimensions", limits::kTensorRankMax));
  std::vector<std::int64_t> shape;
  for (const YamlNode& item : items) {
    TIDELINE_TRY(const std::int64_t dim, item.integer());
    if (dim < 0) return item.error("a dimension must be 0 or more");
    shape.push_back(dim);
  }
  return shape;
}

Result<double> read_accuracy(const YamlNode& node) {
  TIDELINE_TRY(const double accuracy, node.number());
  if (!(accuracy > 0 && accuracy <= 1)) return node.error("an accuracy is a share of right answers: above 0 and at most 1");
  return accuracy;
}

Result<std::vector<ExitSection>> read_exits(const YamlNode& node) {
  TIDELINE_TRY(const std::vector<YamlNode> items, node.list());
  if (items.empty()) return node.error("an empty list: leave exits out, or name an output of the model");
  if (items.size() > limits::kExitsMax) return node.error(fmt::format("more than {} exits", limits::kExitsMax));
  std::vector<ExitSection> exits;
  for (const YamlNode& item : items) {
    TIDELINE_TRY(YamlMap map, item.map());
    const YamlNode output = map.required("output");
    const YamlNode accuracy = map.required("accuracy");
    TIDELINE_CHECK_OK(map.finish());
    ExitSection exit;
    TIDELINE_TRY(exit.output, output.text());
    if (exit.output.empty() || exit.output.size() > limits::kNameBytesMax)
      return output.error("the name of an output is missing or too long");
    for (const ExitSection& other : exits)
      if (other.output == exit.output) return output.error(fmt::format("'{}' is an exit twice", printable(exit.output)));
    TIDELINE_TRY(exit.accuracy, read_accuracy(accuracy));
    exits.push_back(std::move(exit));
  }
  return exits;
}

}  // namespace

Result<ModelConfig> parse_model_config(std::string_view yaml, std::string_view name) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, name));
  TIDELINE_TRY(YamlMap map, root.map());
  ModelConfig config;
  const YamlNode version = map.optional("version");
  TIDELINE_TRY(const std::int64_t version_number, version.integer_or(1));
  if (version_number != 1) return version.error(fmt::format("version {} is newer than this program; it reads 1", version_number));
  const YamlNode input = map.optional("input");
  const YamlNode output = map.optional("output");
  const YamlNode accuracy = map.optional("accuracy");
  const YamlNode exits = map.optional("exits");
  const YamlNode shapes = map.optional("shapes");
  TIDELINE_CHECK_OK(map.finish());
  if (input.present()) {
    TIDELINE_TRY(config.input, read_input_section(input));
  }
  if (output.present()) {
    TIDELINE_TRY(config.output, read_output_section(output));
  }
  if (accuracy.present()) {
    TIDELINE_TRY(config.accuracy, read_accuracy(accuracy));
  }
  if (exits.present()) {
    TIDELINE_TRY(config.exits, read_exits(exits));
    if (!config.accuracy)
      return exits.error("exits are weighed against the whole model: write its own accuracy too, as in accuracy: 0.9");
  }
  if (!shapes.present()) return config;
  // The keys are the model's own names, so they are read in the order of the file instead of being asked for.
  TIDELINE_TRY(const YamlMap entries, shapes.map());
  for (const auto& [tensor, node] : entries.entries()) {
    if (tensor.empty() || tensor.size() > limits::kNameBytesMax) return node.error("the name of an input is missing or too long");
    TensorSpec spec;
    spec.name = tensor;
    TIDELINE_TRY(spec.shape, read_shape(node));
    config.shapes.push_back(std::move(spec));
  }
  return config;
}

}  // namespace tideline
