#include "engine/probe.h"

#include <cstring>
#include <random>
#include <unordered_map>

#include "base/text.h"

namespace tideline {
namespace {

// Small and positive, so that nothing overflows in a deep network, and nobody divides by zero or takes a negative root.
void fill(Tensor& tensor, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::byte* const data = tensor.data.data();
  const auto each = [&]<typename T>(T) {
    for (std::size_t i = 0; i < tensor.data.size() / sizeof(T); ++i) {
      T value{};
      if constexpr (std::is_floating_point_v<T>) {
        value = static_cast<T>(static_cast<double>(random() >> 11) * 0x1p-53);
      } else {
        value = static_cast<T>(random() & 1);
      }
      std::memcpy(data + i * sizeof(T), &value, sizeof(T));
    }
  };
  switch (tensor.spec.dtype) {
    case DType::kFloat32: each(float{}); break;
    case DType::kFloat64: each(double{}); break;
    case DType::kInt64:
    case DType::kUint64: each(std::int64_t{}); break;
    case DType::kInt32:
    case DType::kUint32: each(std::int32_t{}); break;
    case DType::kInt16:
    case DType::kUint16: each(std::int16_t{}); break;
    case DType::kInt8:
    case DType::kUint8:
    case DType::kBool: each(std::int8_t{}); break;
    // 2^-14 .. 1 in float16, and small powers in bfloat16: bit patterns that are finite and positive.
    case DType::kFloat16:
      each(std::uint16_t{});
      for (std::size_t i = 0; i < tensor.data.size() / 2; ++i) {
        const auto bits = static_cast<std::uint16_t>(0x3000 | (random() & 0x0bff));
        std::memcpy(data + i * 2, &bits, 2);
      }
      break;
    case DType::kBfloat16:
      for (std::size_t i = 0; i < tensor.data.size() / 2; ++i) {
        const auto bits = static_cast<std::uint16_t>(0x3e00 | (random() & 0x00ff));
        std::memcpy(data + i * 2, &bits, 2);
      }
      break;
    default: std::memset(data, 0, tensor.data.size());
  }
}

// What a first load already knows: where a dimension is left to the run, the file says so.
Result<std::vector<Model::KnownShape>> run_all(Engine& engine, const Model& model, const std::vector<Tensor>& inputs,
                                               const RunOptions& options) {
  std::unique_ptr<Session> session;
  {
    TIDELINE_TRY(const std::string bytes, model.onnx_bytes(true));
    TIDELINE_TRY(session, engine.load_onnx(bytes, {.optimize = false, .deadline = options.deadline, .cancel = options.cancel}));
  }
  std::unordered_map<std::string_view, const Tensor*> by_name;
  for (const Tensor& input : inputs) by_name.emplace(input.spec.name, &input);
  std::vector<TensorView> views;
  std::vector<Model::KnownShape> shapes;
  for (const TensorSpec& spec : session->inputs()) {
    const auto found = by_name.find(spec.name);
    if (found == by_name.end()) {
      return Error{ErrorCode::kInvalidArgument, "[engine] no value given for the model's input " + printable(spec.name)};
    }
    views.push_back(view(*found->second));
    shapes.push_back({spec.name, spec.dtype, spec.shape, found->second->spec.shape});
  }
  std::vector<RunOutput> outputs(session->outputs().size());
  TIDELINE_CHECK_OK(session->run(views, outputs, options));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const RunOutput& output = outputs[i];
    // Sequences, optionals and strings have no place in a cut: they stay without a shape.
    if (output.owner == nullptr) continue;
    shapes.push_back({output.spec.name, output.spec.dtype, session->outputs()[i].shape, output.spec.shape});
  }
  return shapes;
}

}  // namespace

Status check_input_types(const Model& model) {
  for (const TensorId id : model.graph().inputs) {
    const TensorSpec& spec = model.graph().tensor(id).spec;
    if (element_bytes(spec.dtype) > 0) continue;
    return Error{ErrorCode::kUnsupported,
                 "[engine] the model's input '" + printable(spec.name) + "' " +
                     (spec.dtype == DType::kUndefined
                          ? "is a sequence, a map, an optional value or a tensor of a type that no node carries; only tensors of "
                            "numbers and truth values can be given"
                          : "holds elements of type " + std::string(to_string(spec.dtype)) + ", which have no fixed size")};
  }
  return {};
}

Result<std::vector<Tensor>> seeded_inputs(const Model& model, std::uint64_t seed, std::string_view except) {
  TIDELINE_CHECK_OK(check_input_types(model));
  std::vector<Tensor> inputs;
  std::string unknown;
  for (const TensorId id : model.graph().inputs) {
    const TensorSpec& spec = model.graph().tensor(id).spec;
    for (const std::int64_t dim : spec.shape) {
      if (dim != kUnknownDim || spec.name == except) continue;
      unknown += (unknown.empty() ? "" : ", ") + printable(spec.name) + " is " + describe(spec);
      break;
    }
  }
  if (!unknown.empty()) {
    return Error{ErrorCode::kInvalidArgument, "[engine] the size of these inputs is not in the model: " + unknown +
                                                  "; give them with --shape NAME=1,3,224,224"};
  }
  for (const TensorId id : model.graph().inputs) {
    Tensor tensor;
    tensor.spec = model.graph().tensor(id).spec;
    if (tensor.spec.name == except) {
      ++seed;
      continue;
    }
    TIDELINE_TRY(const Bytes bytes, byte_size(tensor.spec.dtype, tensor.spec.shape));
    if (bytes > limits::kEngineMemoryBytesDefault) {
      return Error{ErrorCode::kOverloaded, "[engine] input " + describe(tensor.spec) + " is over " +
                                               format_bytes(limits::kEngineMemoryBytesDefault) + "; give a smaller --shape"};
    }
    tensor.data = Buffer(bytes);
    fill(tensor, seed++);
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

Status probe_shapes(Engine& engine, Model& model, const RunOptions& options) {
  TIDELINE_TRY(const std::vector<Tensor> inputs, seeded_inputs(model, 1));
  return probe_shapes(engine, model, inputs, options);
}

Status probe_shapes(Engine& engine, Model& model, const std::vector<Tensor>& inputs, const RunOptions& options) {
  TIDELINE_CHECK_OK(check_input_types(model));
  RunOptions limited = options;
  if (!limited.deadline) limited.deadline = std::chrono::steady_clock::now() + limits::kProbeDeadline;
  TIDELINE_TRY(const std::vector<Model::KnownShape> shapes, run_all(engine, model, inputs, limited));
  return model.set_shapes(shapes);
}

}  // namespace tideline
