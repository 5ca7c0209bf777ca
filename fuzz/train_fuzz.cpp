// Any bytes as an ONNX file to be trained; writing the weights that are in it must give the same bytes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "train/engine/net_graph.h"
#include "train/engine/weights_file.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  std::vector<train::NamedNumbers> weights;
  const auto graph = train::read_net_graph(file, "model.onnx");
  if (!graph) {
    // The walk over the bytes has to stand any file, too.
    (void)train::write_initializers(file, weights);
    return 0;
  }
  for (const train::NetTensor& tensor : graph->tensors)
    if (tensor.role == train::TensorRole::kParameter || tensor.role == train::TensorRole::kBuffer)
      weights.push_back({tensor.name, tensor.floats});
  const auto written = train::write_initializers(file, weights);
  if (written && *written != file) std::abort();
  return 0;
}
