// From a checked ONNX file to a Graph: names and scopes, order, captures, constants. Internal to model/.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <onnx/onnx_pb.h>

#include "base/result.h"
#include "model/graph.h"
#include "model/model.h"

namespace tideline {

// Every name is defined once in its scope and before it is used; subgraphs see what lies around them. Puts the nodes of the main
// graph into topological order when they are not (stable: a sorted graph stays as it is), gives every node a unique name, and
// takes initialisers out of the inputs: `default_inputs` gets those that are defaults (all of them, from IR version 4 on).
Status check_and_normalise(onnx::ModelProto& model, std::vector<onnx::ValueInfoProto>& default_inputs);

// The names that the subgraphs of `node` use from outside, without repetition, in the order of first use.
std::vector<std::string> captured_names(const onnx::NodeProto& node);

// False for ops whose result is not the same every time (random ones, and those whose body or local function has one), and for
// ops of unknown domains, of which nothing is known.
class Determinism {
 public:
  explicit Determinism(const onnx::ModelProto& model);
  bool holds(const onnx::NodeProto& node);

 private:
  bool graph_holds(const onnx::GraphProto& graph);
  // By "domain:name"; 2 while being found out.
  std::unordered_map<std::string, const onnx::FunctionProto*> functions_;
  std::unordered_map<std::string, int> known_;
};

std::string function_key(std::string_view domain, std::string_view name);

// Where the weight behind a tensor lies.
struct Weight {
  const onnx::TensorProto* tensor = nullptr;        // an initialiser
  const onnx::SparseTensorProto* sparse = nullptr;  // or a sparse one
};

struct BuiltGraph {
  Graph graph;
  std::unordered_map<std::string, TensorId> tensor_by_name;
  std::vector<Weight> weights;  // by TensorId; empty for what is no initialiser
};

// REQUIRES: check_and_normalise. Op k is node k of the main graph.
Result<BuiltGraph> build_graph(const onnx::ModelProto& model);

// The tensor a typed value says: kUndefined for what is no dense tensor, kUnknownDim for dimensions without a number,
// kUnknownRank where it says no shape.
TensorSpec spec_of(const onnx::ValueInfoProto& value);
// Puts dtype and shape into `value`; a spec without a dtype leaves it untyped.
void set_type(onnx::ValueInfoProto& value, const TensorSpec& spec);

}  // namespace tideline
