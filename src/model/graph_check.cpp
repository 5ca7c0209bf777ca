// Names, scopes and order of an ONNX file. Recursion over subgraphs is bounded by limits::kSubgraphDepthMax, checked on the way
// down; everything whose depth a file can choose otherwise (chains of ops, calls of functions) is iterative or limited.
#include <algorithm>
#include <queue>
#include <unordered_set>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/graph_build.h"
#include "model/onnx_file.h"

namespace tideline {
namespace {

using Names = std::unordered_set<std::string_view>;
using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

std::string label(const onnx::NodeProto& node) {
  return fmt::format("op '{}' ({})", printable(node.name(), 60), printable(node.op_type(), 40));
}

// The names a scope takes from outside, each once, in the order of first use.
struct FreeNames {
  Names seen;
  std::vector<std::string_view> names;
  void add(std::string_view name) {
    if (seen.insert(name).second) names.push_back(name);
  }
};

Status check_node_texts(const onnx::NodeProto& node) {
  TIDELINE_CHECK_OK(check_name(node.name(), "an op's name"));
  TIDELINE_CHECK_OK(check_name(node.op_type(), "an op's type"));
  TIDELINE_CHECK_OK(check_name(node.domain(), "an op's domain"));
  if (node.op_type().empty()) return model_error("an op has no type", ErrorCode::kCorrupt);
  for (const std::string& name : node.input()) TIDELINE_CHECK_OK(check_name(name, "an input's name"));
  for (const std::string& name : node.output()) TIDELINE_CHECK_OK(check_name(name, "an output's name"));
  Names attributes;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    TIDELINE_CHECK_OK(check_name(attribute.name(), "an attribute's name"));
    if (!attributes.insert(attribute.name()).second)
      return model_error(fmt::format("{} has the attribute '{}' twice", label(node), printable(attribute.name(), 40)));
  }
  return {};
}

Status define(Names& names, std::string_view name) {
  if (!names.insert(name).second) return model_error(fmt::format("two tensors are called '{}'", printable(name)));
  return {};
}

// What checks one file: counts ops over all its graphs.
class Checker {
 public:
  // Checks the texts of `node` and the scopes inside it; `free` gets what its subgraphs use from outside.
  Status check_node(const onnx::NodeProto& node, int depth, FreeNames& free) {
    if (++ops_ > limits::kOpsMax) return model_error(fmt::format("it has more than {} ops", limits::kOpsMax));
    TIDELINE_CHECK_OK(check_node_texts(node));
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) TIDELINE_CHECK_OK(check_subgraph(attribute.g(), depth + 1, free));
      for (const onnx::GraphProto& graph : attribute.graphs()) TIDELINE_CHECK_OK(check_subgraph(graph, depth + 1, free));
    }
    return {};
  }

  // A list of ops that must be in order. `defined`: what it may use; other names go to `free`.
  Status check_ordered(const Nodes& nodes, Names defined, const std::vector<std::string_view>& outputs, int depth,
                       FreeNames& free) {
    Names local = defined;
    for (const onnx::NodeProto& node : nodes)
      for (const std::string& name : node.output())
        if (!name.empty()) TIDELINE_CHECK_OK(define(local, name));
    const auto use = [&](std::string_view name, const onnx::NodeProto* node) -> Status {
      if (name.empty() || defined.contains(name)) return {};
      if (local.contains(name))
        return model_error(fmt::format("{} in a body uses '{}' before it is made", node == nullptr ? "an output" : label(*node),
                                       printable(name)));
      free.add(name);
      return {};
    };
    for (const onnx::NodeProto& node : nodes) {
      FreeNames inner;
      TIDELINE_CHECK_OK(check_node(node, depth, inner));
      for (const std::string& name : node.input()) TIDELINE_CHECK_OK(use(name, &node));
      for (const std::string_view name : inner.names) TIDELINE_CHECK_OK(use(name, &node));
      for (const std::string& name : node.output())
        if (!name.empty()) defined.insert(name);
    }
    for (const std::string_view name : outputs) TIDELINE_CHECK_OK(use(name, nullptr));
    return {};
  }

 private:
  Status check_subgraph(const onnx::GraphProto& graph, int depth, FreeNames& free) {
    if (depth > limits::kSubgraphDepthMax)
      return model_error(fmt::format("its graphs are nested deeper than {}", limits::kSubgraphDepthMax));
    if (++subgraphs_ > limits::kSubgraphsMax)
      return model_error(fmt::format("it has more than {} bodies of If, Loop and Scan, which would take the engine minutes",
                                     limits::kSubgraphsMax),
                         ErrorCode::kUnsupported);
    Names defined;
    for (const onnx::ValueInfoProto& input : graph.input()) {
      TIDELINE_CHECK_OK(check_name(input.name(), "an input's name"));
      TIDELINE_CHECK_OK(define(defined, input.name()));
    }
    // An initialiser may stand for an input of the same name.
    for (const onnx::TensorProto& tensor : graph.initializer()) defined.insert(tensor.name());
    for (const onnx::SparseTensorProto& tensor : graph.sparse_initializer()) defined.insert(tensor.values().name());
    std::vector<std::string_view> outputs;
    for (const onnx::ValueInfoProto& output : graph.output()) outputs.push_back(output.name());
    return check_ordered(graph.node(), std::move(defined), outputs, depth, free);
  }

  std::size_t ops_ = 0;
  std::size_t subgraphs_ = 0;
};

// Local functions: no recursion, and no explosion when the engine puts their bodies in place of their calls.
class FunctionCheck {
 public:
  explicit FunctionCheck(const onnx::ModelProto& model) : model_(model) {
    for (const onnx::FunctionProto& function : model.functions())
      functions_[function_key(function.domain(), function.name())].push_back(&function);
  }

  Status check(Checker& checker) {
    for (const onnx::FunctionProto& function : model_.functions()) {
      TIDELINE_CHECK_OK(check_name(function.name(), "a function's name"));
      TIDELINE_CHECK_OK(check_name(function.domain(), "a function's domain"));
      Names defined;
      for (const std::string& name : function.input()) TIDELINE_CHECK_OK(define(defined, name));
      const std::vector<std::string_view> outputs(function.output().begin(), function.output().end());
      FreeNames free;
      TIDELINE_CHECK_OK(checker.check_ordered(function.node(), std::move(defined), outputs, 0, free));
      if (!free.names.empty())
        return model_error(fmt::format("function '{}' uses '{}', which it does not define", printable(function.name(), 60),
                                       printable(free.names.front())));
    }
    Size total;
    for (const onnx::NodeProto& node : model_.graph().node()) TIDELINE_CHECK_OK(add(node, 0, total));
    return {};
  }

 private:
  struct Size {
    std::uint64_t ops = 0;
    int height = 0;
  };

  Status too_large() const {
    return model_error(fmt::format("its local functions call themselves, or stand for more than {} ops or {} levels of calls",
                                   limits::kOpsMax, limits::kSubgraphDepthMax));
  }

  Status add_graph(const onnx::GraphProto& graph, int depth, Size& sum) {
    for (const onnx::NodeProto& node : graph.node()) TIDELINE_CHECK_OK(add(node, depth, sum));
    return {};
  }

  // `depth` counts calls; subgraphs inside are bounded on their own.
  Status add(const onnx::NodeProto& node, int depth, Size& sum) {
    ++sum.ops;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) TIDELINE_CHECK_OK(add_graph(attribute.g(), depth, sum));
      for (const onnx::GraphProto& graph : attribute.graphs()) TIDELINE_CHECK_OK(add_graph(graph, depth, sum));
    }
    const auto function = functions_.empty() ? functions_.end() : functions_.find(function_key(node.domain(), node.op_type()));
    if (function != functions_.end()) {
      TIDELINE_TRY(const Size size, size_of(function->first, function->second, depth + 1));
      sum.ops += size.ops;
      sum.height = std::max(sum.height, size.height + 1);
    }
    if (sum.ops > limits::kOpsMax || depth + sum.height > limits::kSubgraphDepthMax) return too_large();
    return {};
  }

  Result<Size> size_of(const std::string& key, const std::vector<const onnx::FunctionProto*>& overloads, int depth) {
    if (depth > limits::kSubgraphDepthMax) return too_large().error();
    if (const auto known = sizes_.find(key); known != sizes_.end()) return known->second;
    Size largest;
    for (const onnx::FunctionProto* function : overloads) {
      Size size;
      for (const onnx::NodeProto& node : function->node()) TIDELINE_CHECK_OK(add(node, depth, size));
      largest = {std::max(largest.ops, size.ops), std::max(largest.height, size.height)};
    }
    sizes_[key] = largest;
    return largest;
  }

  const onnx::ModelProto& model_;
  std::unordered_map<std::string, std::vector<const onnx::FunctionProto*>> functions_;
  std::unordered_map<std::string, Size> sizes_;
};

// For each node of the main graph, in file order, the nodes that wait for it; and how many each waits for.
struct Waiting {
  std::vector<std::vector<int>> followers;
  std::vector<int> missing;
};

Result<Waiting> waiting_of(const onnx::GraphProto& graph, const Names& given, const std::vector<FreeNames>& captures) {
  std::unordered_map<std::string_view, int> maker;
  for (int i = 0; i < graph.node_size(); ++i)
    for (const std::string& name : graph.node(i).output())
      if (!name.empty()) maker.emplace(name, i);
  Waiting waiting{.followers = std::vector<std::vector<int>>(static_cast<std::size_t>(graph.node_size())),
                  .missing = std::vector<int>(static_cast<std::size_t>(graph.node_size()), 0)};
  for (int i = 0; i < graph.node_size(); ++i) {
    const auto use = [&](std::string_view name) -> Status {
      if (name.empty() || given.contains(name)) return {};
      const auto found = maker.find(name);
      if (found == maker.end())
        return model_error(fmt::format("{} reads '{}', which nothing makes", label(graph.node(i)), printable(name)),
                           ErrorCode::kCorrupt);
      waiting.followers[static_cast<std::size_t>(found->second)].push_back(i);
      ++waiting.missing[static_cast<std::size_t>(i)];
      return {};
    };
    for (const std::string& name : graph.node(i).input()) TIDELINE_CHECK_OK(use(name));
    for (const std::string_view name : captures[static_cast<std::size_t>(i)].names) TIDELINE_CHECK_OK(use(name));
  }
  return waiting;
}

// Kahn's algorithm, always taking the first in file order: a sorted file keeps its order.
Result<std::vector<int>> sorted_order(const onnx::GraphProto& graph, Waiting waiting) {
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int i = 0; i < graph.node_size(); ++i)
    if (waiting.missing[static_cast<std::size_t>(i)] == 0) ready.push(i);
  std::vector<int> order;
  order.reserve(static_cast<std::size_t>(graph.node_size()));
  while (!ready.empty()) {
    const int node = ready.top();
    ready.pop();
    order.push_back(node);
    for (const int follower : waiting.followers[static_cast<std::size_t>(node)])
      if (--waiting.missing[static_cast<std::size_t>(follower)] == 0) ready.push(follower);
  }
  if (order.size() == static_cast<std::size_t>(graph.node_size())) return order;
  const auto stuck = std::find_if(waiting.missing.begin(), waiting.missing.end(), [](int count) { return count > 0; });
  return model_error(fmt::format("its ops form a cycle through or before {}",
                                 label(graph.node(static_cast<int>(stuck - waiting.missing.begin())))),
                     ErrorCode::kCorrupt);
}

void reorder(onnx::GraphProto& graph, const std::vector<int>& order) {
  if (std::is_sorted(order.begin(), order.end())) return;
  std::vector<onnx::NodeProto*> nodes(order.size());
  graph.mutable_node()->ExtractSubrange(0, graph.node_size(), nodes.data());
  for (const int index : order) graph.mutable_node()->AddAllocated(nodes[static_cast<std::size_t>(index)]);
}

void make_names_unique(onnx::GraphProto& graph) {
  std::unordered_set<std::string> taken;
  std::vector<int> nameless;
  for (int i = 0; i < graph.node_size(); ++i)
    if (graph.node(i).name().empty() || !taken.insert(graph.node(i).name()).second) nameless.push_back(i);
  for (const int i : nameless) {
    const std::string base = fmt::format("{}_{}", graph.node(i).op_type(), i);
    std::string name = base;
    for (int k = 1; !taken.insert(name).second; ++k) name = fmt::format("{}_{}", base, k);
    graph.mutable_node(i)->set_name(name);
  }
}

// What the main graph has before its first op.
Result<Names> given_names(const onnx::GraphProto& graph) {
  Names initialisers;
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    if (tensor.name().empty()) return model_error("an initialiser has no name", ErrorCode::kCorrupt);
    TIDELINE_CHECK_OK(define(initialisers, tensor.name()));
  }
  for (const onnx::SparseTensorProto& tensor : graph.sparse_initializer()) {
    if (tensor.values().name().empty()) return model_error("a sparse initialiser has no name", ErrorCode::kCorrupt);
    TIDELINE_CHECK_OK(define(initialisers, tensor.values().name()));
  }
  Names inputs;
  for (const onnx::ValueInfoProto& input : graph.input()) {
    TIDELINE_CHECK_OK(check_name(input.name(), "an input's name"));
    if (input.name().empty()) return model_error("an input has no name", ErrorCode::kCorrupt);
    TIDELINE_CHECK_OK(define(inputs, input.name()));
  }
  inputs.merge(initialisers);
  return inputs;
}

Status check_outputs(const onnx::GraphProto& graph, const Names& known) {
  Names outputs;
  if (graph.output_size() == 0) return model_error("it has no output");
  for (const onnx::ValueInfoProto& output : graph.output()) {
    TIDELINE_CHECK_OK(check_name(output.name(), "an output's name"));
    TIDELINE_CHECK_OK(define(outputs, output.name()));
    if (!known.contains(output.name()))
      return model_error(fmt::format("its output '{}' is made by nothing", printable(output.name())), ErrorCode::kCorrupt);
  }
  return {};
}

// IR 3 lists initialisers among the inputs; from IR 4 on such an input is one that may be left out. Both become plain constants.
void drop_initialised_inputs(onnx::ModelProto& model, std::vector<onnx::ValueInfoProto>& default_inputs) {
  onnx::GraphProto& graph = *model.mutable_graph();
  Names initialisers;
  for (const onnx::TensorProto& tensor : graph.initializer()) initialisers.insert(tensor.name());
  for (const onnx::SparseTensorProto& tensor : graph.sparse_initializer()) initialisers.insert(tensor.values().name());
  int kept = 0;
  for (int i = 0; i < graph.input_size(); ++i)
    if (!initialisers.contains(graph.input(i).name()))
      graph.mutable_input()->SwapElements(kept++, i);
    else if (model.ir_version() >= 4)
      default_inputs.push_back(graph.input(i));
  graph.mutable_input()->DeleteSubrange(kept, graph.input_size() - kept);
  model.set_ir_version(std::max<std::int64_t>(model.ir_version(), 4));
}

}  // namespace

std::string function_key(std::string_view domain, std::string_view name) {
  return fmt::format("{}:{}", domain == "ai.onnx" ? "" : domain, name);
}

Status check_and_normalise(onnx::ModelProto& model, std::vector<onnx::ValueInfoProto>& default_inputs) {
  onnx::GraphProto& graph = *model.mutable_graph();
  {
    Checker checker;
    TIDELINE_TRY(const Names given, given_names(graph));
    Names known = given;
    for (const onnx::NodeProto& node : graph.node())
      for (const std::string& name : node.output())
        if (!name.empty()) TIDELINE_CHECK_OK(define(known, name));
    std::vector<FreeNames> captures(static_cast<std::size_t>(graph.node_size()));
    for (int i = 0; i < graph.node_size(); ++i)
      TIDELINE_CHECK_OK(checker.check_node(graph.node(i), 0, captures[static_cast<std::size_t>(i)]));
    TIDELINE_CHECK_OK(FunctionCheck(model).check(checker));
    TIDELINE_CHECK_OK(check_outputs(graph, known));
    TIDELINE_TRY(Waiting waiting, waiting_of(graph, given, captures));
    TIDELINE_TRY(const std::vector<int> order, sorted_order(graph, std::move(waiting)));
    reorder(graph, order);
  }
  make_names_unique(graph);
  drop_initialised_inputs(model, default_inputs);
  return {};
}

std::vector<std::string> captured_names(const onnx::NodeProto& node) {
  FreeNames free;
  // The file has passed check_and_normalise, so this cannot fail.
  if (Checker checker; !checker.check_node(node, 0, free)) return {};
  return {free.names.begin(), free.names.end()};
}

}  // namespace tideline
