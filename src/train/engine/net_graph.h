// NetGraph: what the training engine interprets, as plain values: nodes with their attributes, tensors with their roles and the
// numbers they start with. Internal to train/engine/.
//
// Op k of Model::graph() is node k, so block and cut numbers of a chain name the same things here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tideline::train {

enum class TensorRole {
  kActivation,
  kInput,
  kParameter,  // float32 of rank 1 or more, read as weight or bias by Conv, Gemm, MatMul, BatchNormalization or Add
  kBuffer,     // a BatchNormalization's running mean or variance
  kConstant,   // every other initialiser and Constant node
};

struct NetTensor {
  std::string name;
  TensorRole role = TensorRole::kActivation;
  bool is_integer = false;
  bool has_batch = false;  // depends on a model input, so its first dimension is the batch
  std::vector<std::int64_t> shape;
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
};

inline constexpr int kNoTensor = -1;

struct NetNode {
  std::string name;
  std::string type;
  std::vector<int> inputs;  // kNoTensor where an optional one is left out
  int output = kNoTensor;
  std::map<std::string, std::int64_t> integer;
  std::map<std::string, float> number;
  std::map<std::string, std::vector<std::int64_t>> integers;
  std::map<std::string, std::string> text;

  std::int64_t integer_or(const std::string& key, std::int64_t fallback) const;
  float number_or(const std::string& key, float fallback) const;
  std::string text_or(const std::string& key, const std::string& fallback) const;
  std::vector<std::int64_t> integers_or(const std::string& key, std::vector<std::int64_t> fallback) const;
};

struct NetGraph {
  std::vector<NetNode> nodes;
  std::vector<NetTensor> tensors;
  std::vector<int> inputs;
  std::vector<int> outputs;
  std::int64_t opset = 0;
  std::int64_t declared_batch = -1;  // of the first input; -1 where the file leaves it open
  int logits = kNoTensor;            // the last Softmax's input, or the first output where no Softmax ends the model
};

// Reads and checks a whole file (through Model::parse). kUnsupported, naming node and operator, for what cannot be trained;
// weights outside the file are refused.
Result<NetGraph> read_net_graph(std::string_view onnx, std::string_view name);

}  // namespace tideline::train
