// Any bytes as a model file: they are refused, or give a graph that can be written again and, once its shapes are set, cut and
// extracted without a crash. Shapes are invented, because running what a fuzzer wrote is the engine's affair.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "model/random_ops.h"
#include "model/segment.h"

namespace {

using namespace tideline;

void must(bool condition) {
  if (!condition) std::abort();
}

// Every tensor is float32[2,3], or what the file says where that is complete.
std::vector<Model::KnownShape> invented_shapes(const Graph& graph) {
  std::vector<Model::KnownShape> shapes;
  for (const GraphTensor& tensor : graph.tensors) {
    if (tensor.is_initializer) continue;
    const bool known = byte_size(tensor.spec.dtype, tensor.spec.shape).has_value();
    const TensorSpec spec = known ? tensor.spec : TensorSpec{tensor.spec.name, DType::kFloat32, {2, 3}};
    shapes.push_back({spec.name, spec.dtype, spec.shape, spec.shape});
  }
  return shapes;
}

void cut_and_extract(Model& model) {
  must(model.set_shapes(invented_shapes(model.graph())).has_value());
  must(random_ops(model).size() <= 3);
  for (const std::uint32_t width : {1u, 3u}) {
    const Result<Chain> chain = make_chain(model.graph(), model.sha256(), {.cut_width = width});
    if (!chain) return;
    (void)wider_cuts(model.graph(), *chain, {.cut_width = width});
    must(chain->cuts.size() == chain->blocks.size() + 1);
    const std::uint32_t last = chain->block_count() - 1;
    for (const std::uint32_t cut : {0u, last / 2, last}) {
      const Result<Segment> head = extract_segment(model, *chain, 0, cut);
      if (!head) continue;
      const Result<SegmentParts> parts = parse_segment(head->bytes);
      must(parts.has_value() && parts->inputs == head->inputs && parts->outputs == head->outputs);
      // What was taken out of a valid model is a valid model.
      must(Model::parse(parts->onnx, "segment", "").has_value());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Result<Model> model = Model::parse({reinterpret_cast<const char*>(data), size}, "fuzz.onnx", "");
  if (!model) return 0;
  const Result<std::string> bytes = model->onnx_bytes();
  must(bytes.has_value());
  must(Model::parse(*bytes, "again", "").has_value());
  cut_and_extract(*model);
  return 0;
}
