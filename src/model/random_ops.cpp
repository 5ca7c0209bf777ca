#include "model/random_ops.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "base/text.h"
#include "model/model_impl.h"

namespace tideline {
namespace {

constexpr std::array<std::string_view, 6> kDrawing{"RandomNormal",      "RandomNormalLike", "RandomUniform",
                                                   "RandomUniformLike", "Multinomial",      "Bernoulli"};

class Finder {
 public:
  Finder(const Model& model, std::size_t max) : model_(model), max_(max) {
    const onnx::ModelProto& proto = model.impl().proto;
    for (const onnx::FunctionProto& function : proto.functions())
      functions_.emplace(function_key(function.domain(), function.name()), &function);
    for (const onnx::OperatorSetIdProto& opset : proto.opset_import())
      if (opset.domain().empty() || opset.domain() == "ai.onnx") opset_ = opset.version();
  }

  std::vector<std::string> find() {
    const Graph& graph = model_.graph();
    for (std::size_t i = 0; i < graph.ops.size(); ++i)
      if (!graph.ops[i].is_dead) look_at(model_.impl().proto.graph().node(static_cast<int>(i)));
    return std::move(found_);
  }

 private:
  // Recursion is bounded as it is in check_and_normalise.
  void look_at(const onnx::NodeProto& node) {
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      for (const onnx::NodeProto& inner : attribute.g().node()) look_at(inner);
      for (const onnx::GraphProto& graph : attribute.graphs())
        for (const onnx::NodeProto& inner : graph.node()) look_at(inner);
    }
    const std::string key = function_key(node.domain(), node.op_type());
    if (const auto function = functions_.find(key); function != functions_.end()) {
      if (!seen_.insert(key).second) return;
      for (const onnx::NodeProto& inner : function->second->node()) look_at(inner);
      return;
    }
    const bool own = node.domain().empty() || node.domain() == "ai.onnx";
    if (own && std::find(kDrawing.begin(), kDrawing.end(), node.op_type()) != kDrawing.end()) {
      add(node, "");
    } else if (own && is_training_dropout(node)) {
      add(node, " (training mode)");
    } else if (node.domain() == "com.microsoft" &&
               (node.op_type().find("Random") != std::string::npos || node.op_type().find("Sampling") != std::string::npos)) {
      add(node, "");
    }
  }

  bool is_training_dropout(const onnx::NodeProto& node) const {
    if (node.op_type() != "Dropout" || opset_ < 12 || node.input_size() < 3 || node.input(2).empty()) return false;
    // Off only where the file says so.
    const BuiltGraph& built = model_.impl().built;
    const auto mode = built.tensor_by_name.find(node.input(2));
    if (mode == built.tensor_by_name.end()) return true;
    const onnx::TensorProto* tensor = built.weights[static_cast<std::size_t>(mode->second)].tensor;
    if (tensor == nullptr) return true;
    return tensor->has_raw_data() ? tensor->raw_data() != std::string_view("\0", 1)
                                  : tensor->int32_data_size() != 1 || tensor->int32_data(0) != 0;
  }

  void add(const onnx::NodeProto& node, std::string_view why) {
    if (found_.size() < max_)
      found_.push_back(fmt::format("{} '{}'{}", printable(node.op_type(), 40), printable(node.name(), 60), why));
  }

  const Model& model_;
  const std::size_t max_;
  std::int64_t opset_ = 0;
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  std::unordered_set<std::string> seen_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<std::string> random_ops(const Model& model, std::size_t max) { return Finder(model, max).find(); }

}  // namespace tideline
