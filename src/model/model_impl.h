// What a Model holds. Internal to model/.
#pragma once

#include <string>

#include "model/graph_build.h"
#include "model/model.h"

namespace tideline {

struct Model::Impl {
  std::string name;
  Sha256 sha256;
  onnx::ModelProto proto;                            // checked, normalised, with the dynamic inputs fixed
  std::vector<onnx::ValueInfoProto> default_inputs;  // as the file declares them
  BuiltGraph built;
};

}  // namespace tideline
