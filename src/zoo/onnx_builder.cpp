#include "zoo/onnx_builder.h"

#include <cmath>
#include <initializer_list>
#include <numeric>
#include <set>

#include <onnx/onnx_pb.h>

#include "base/check.h"
#include "base/limits.h"
#include "zoo/weights.h"

namespace tideline::zoo {

namespace {

constexpr std::int64_t kOpset = 13;
constexpr std::int64_t kIrVersion = 8;

std::uint64_t product(const std::vector<std::int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1},
                         [](std::uint64_t all, std::int64_t dim) { return all * static_cast<std::uint64_t>(dim); });
}

void set_attribute(onnx::NodeProto& node, const std::string& name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void set_attribute(onnx::NodeProto& node, const std::string& name, float value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}

void set_text(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

void set_attribute(onnx::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

void describe_value(onnx::ValueInfoProto& info, const Value& x) {
  info.set_name(x.name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t dim : x.shape) type.mutable_shape()->add_dim()->set_dim_value(dim);
}

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::size_t varint_bytes(std::uint64_t value) {
  std::string text;
  append_varint(text, value);
  return text.size();
}

// Tag of a length-delimited field; all field numbers used here are below 16, so it is one byte.
constexpr char tag_of(int field) { return static_cast<char>(field << 3 | 2); }

}  // namespace

struct OnnxBuilder::Impl {
  // A tensor to be made while finishing: uniform in centre +- spread.
  struct Weight {
    std::string name;
    std::vector<std::int64_t> shape;
    float centre = 0;
    float spread = 0;
  };
  onnx::ModelProto model;  // its graph lacks the weights
  std::vector<Weight> weights;
  std::set<std::string> names;
  ZooCounts counts;
  bool has_relu6_limits = false;

  Value node(const std::string& type, const std::string& name, const std::vector<std::string>& inputs,
             std::vector<std::int64_t> shape) {
    TIDELINE_CHECK(names.insert(name).second);
    onnx::NodeProto& proto = *model.mutable_graph()->add_node();
    proto.set_name(name);
    proto.set_op_type(type);
    for (const std::string& input : inputs) proto.add_input(input);
    proto.add_output(name);
    ++counts.ops;
    Value value{name, std::move(shape)};
    describe_value(*model.mutable_graph()->add_value_info(), value);
    return value;
  }
  onnx::NodeProto& last() { return *model.mutable_graph()->mutable_node(model.graph().node_size() - 1); }

  std::string weight(const std::string& name, std::vector<std::int64_t> shape, double centre, double spread) {
    counts.parameters += product(shape);
    weights.push_back({name, std::move(shape), static_cast<float>(centre), static_cast<float>(spread)});
    return name;
  }
  std::string int64_constant(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor.add_int64_data(value);
    return name;
  }
  void float_scalar(const std::string& name, float value) {
    onnx::TensorProto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_float_data(value);
  }
  Value pool(const std::string& type, const std::string& name, const Value& x, const PoolOptions& options);
};

OnnxBuilder::OnnxBuilder(std::string_view model_name) : impl_(std::make_unique<Impl>()) {
  onnx::ModelProto& model = impl_->model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("tideline zoo");
  model.add_opset_import()->set_version(kOpset);
  model.mutable_graph()->set_name(std::string(model_name));
}

OnnxBuilder::~OnnxBuilder() = default;

Value OnnxBuilder::input(std::string_view name, std::vector<std::int64_t> shape) {
  impl_->names.insert(std::string(name));
  impl_->counts.input_shape = shape;
  Value value{std::string(name), std::move(shape)};
  describe_value(*impl_->model.mutable_graph()->add_input(), value);
  return value;
}

Value OnnxBuilder::conv(const std::string& name, const Value& x, const ConvOptions& options) {
  TIDELINE_CHECK(x.shape.size() == 4 && x.channels() % options.groups == 0 && options.channels % options.groups == 0);
  const std::int64_t in_channels = x.channels() / options.groups;
  std::vector<std::int64_t> shape{1, options.channels, 0, 0};
  for (std::size_t i = 0; i < 2; ++i)
    shape[2 + i] = (x.shape[2 + i] + 2 * options.pad[i] - options.kernel[i]) / options.stride[i] + 1;
  const std::int64_t fan_in = in_channels * options.kernel[0] * options.kernel[1];

  // A uniform variable on +-a has variance a^2/3.
  const double spread = options.gain * std::sqrt(3.0 / static_cast<double>(fan_in));
  std::vector<std::string> inputs{
      x.name, impl_->weight(name + ".weight", {options.channels, in_channels, options.kernel[0], options.kernel[1]}, 0, spread)};
  if (options.bias) inputs.push_back(impl_->weight(name + ".bias", {options.channels}, 0, 0.05));
  impl_->counts.macs += product(shape) * static_cast<std::uint64_t>(fan_in);

  Value y = impl_->node("Conv", name, inputs, shape);
  onnx::NodeProto& node = impl_->last();
  set_attribute(node, "kernel_shape", {options.kernel[0], options.kernel[1]});
  set_attribute(node, "strides", {options.stride[0], options.stride[1]});
  set_attribute(node, "pads", {options.pad[0], options.pad[1], options.pad[0], options.pad[1]});
  set_attribute(node, "dilations", {1, 1});
  set_attribute(node, "group", options.groups);
  return y;
}

Value OnnxBuilder::batch_norm(const std::string& name, const Value& x, double gain, float epsilon) {
  const std::vector<std::int64_t> shape{x.channels()};
  const std::string scale = impl_->weight(name + ".scale", shape, gain, 0.2 * gain);
  const std::string shift = impl_->weight(name + ".shift", shape, 0, 0.1);
  const std::uint64_t trainable = impl_->counts.parameters;
  const std::string mean = impl_->weight(name + ".mean", shape, 0, 0.1);
  const std::string variance = impl_->weight(name + ".variance", shape, 1, 0.2);
  impl_->counts.running_averages += impl_->counts.parameters - trainable;
  impl_->counts.parameters = trainable;
  Value y = impl_->node("BatchNormalization", name, {x.name, scale, shift, mean, variance}, x.shape);
  set_attribute(impl_->last(), "epsilon", epsilon);
  return y;
}

Value OnnxBuilder::fully_connected(const std::string& name, const Value& x, std::int64_t units, double gain) {
  TIDELINE_CHECK(x.shape.size() == 2);
  const double spread = gain * std::sqrt(3.0 / static_cast<double>(x.shape[1]));
  const std::string weight = impl_->weight(name + ".weight", {units, x.shape[1]}, 0, spread);
  const std::string bias = impl_->weight(name + ".bias", {units}, 0, 0.05);
  impl_->counts.macs += static_cast<std::uint64_t>(units * x.shape[1]);
  Value y = impl_->node("Gemm", name, {x.name, weight, bias}, {1, units});
  set_attribute(impl_->last(), "transB", std::int64_t{1});
  return y;
}

Value OnnxBuilder::relu(const std::string& name, const Value& x) { return impl_->node("Relu", name, {x.name}, x.shape); }
Value OnnxBuilder::tanh(const std::string& name, const Value& x) { return impl_->node("Tanh", name, {x.name}, x.shape); }

Value OnnxBuilder::relu6(const std::string& name, const Value& x) {
  if (!impl_->has_relu6_limits) {
    impl_->float_scalar("relu6.min", 0);
    impl_->float_scalar("relu6.max", 6);
    impl_->has_relu6_limits = true;
  }
  return impl_->node("Clip", name, {x.name, "relu6.min", "relu6.max"}, x.shape);
}

Value OnnxBuilder::leaky_relu(const std::string& name, const Value& x, float slope) {
  Value y = impl_->node("LeakyRelu", name, {x.name}, x.shape);
  set_attribute(impl_->last(), "alpha", slope);
  return y;
}

Value OnnxBuilder::softmax(const std::string& name, const Value& x, std::int64_t axis) {
  Value y = impl_->node("Softmax", name, {x.name}, x.shape);
  set_attribute(impl_->last(), "axis", axis);
  return y;
}

Value OnnxBuilder::Impl::pool(const std::string& type, const std::string& name, const Value& x, const PoolOptions& options) {
  std::vector<std::int64_t> shape = x.shape;
  for (std::size_t i = 2; i < 4; ++i) {
    const std::int64_t room = x.shape[i] + 2 * options.pad - options.kernel;
    shape[i] = (options.round_up ? (room + options.stride - 1) / options.stride : room / options.stride) + 1;
  }
  Value y = node(type, name, {x.name}, std::move(shape));
  set_attribute(last(), "kernel_shape", {options.kernel, options.kernel});
  set_attribute(last(), "strides", {options.stride, options.stride});
  set_attribute(last(), "pads", std::vector<std::int64_t>(4, options.pad));
  if (options.round_up) set_attribute(last(), "ceil_mode", std::int64_t{1});
  return y;
}

Value OnnxBuilder::max_pool(const std::string& name, const Value& x, const PoolOptions& options) {
  return impl_->pool("MaxPool", name, x, options);
}

Value OnnxBuilder::average_pool(const std::string& name, const Value& x, const PoolOptions& options) {
  Value y = impl_->pool("AveragePool", name, x, options);
  if (options.count_padding) set_attribute(impl_->last(), "count_include_pad", std::int64_t{1});
  return y;
}

Value OnnxBuilder::global_average_pool(const std::string& name, const Value& x) {
  return impl_->node("GlobalAveragePool", name, {x.name}, {1, x.channels(), 1, 1});
}

Value OnnxBuilder::local_response_norm(const std::string& name, const Value& x, std::int64_t size, float alpha, float beta,
                                       float bias) {
  Value y = impl_->node("LRN", name, {x.name}, x.shape);
  onnx::NodeProto& node = impl_->last();
  set_attribute(node, "size", size);
  set_attribute(node, "alpha", alpha);
  set_attribute(node, "beta", beta);
  set_attribute(node, "bias", bias);
  return y;
}

Value OnnxBuilder::add(const std::string& name, const Value& a, const Value& b) {
  TIDELINE_CHECK(a.shape == b.shape);
  return impl_->node("Add", name, {a.name, b.name}, a.shape);
}

Value OnnxBuilder::concat(const std::string& name, const std::vector<Value>& parts) {
  std::vector<std::int64_t> shape = parts.front().shape;
  shape[1] = 0;
  std::vector<std::string> inputs;
  for (const Value& part : parts) {
    TIDELINE_CHECK(part.shape[2] == shape[2] && part.shape[3] == shape[3]);
    shape[1] += part.channels();
    inputs.push_back(part.name);
  }
  Value y = impl_->node("Concat", name, inputs, std::move(shape));
  set_attribute(impl_->last(), "axis", std::int64_t{1});
  return y;
}

Value OnnxBuilder::flatten(const std::string& name, const Value& x) {
  Value y = impl_->node("Flatten", name, {x.name}, {1, static_cast<std::int64_t>(product(x.shape))});
  set_attribute(impl_->last(), "axis", std::int64_t{1});
  return y;
}

Value OnnxBuilder::reshape(const std::string& name, const Value& x, const std::vector<std::int64_t>& shape) {
  TIDELINE_CHECK(product(shape) == product(x.shape));
  return impl_->node("Reshape", name, {x.name, impl_->int64_constant(name + ".shape", shape)}, shape);
}

Value OnnxBuilder::transpose(const std::string& name, const Value& x, const std::vector<std::int64_t>& order) {
  std::vector<std::int64_t> shape;
  for (const std::int64_t axis : order) shape.push_back(x.shape[static_cast<std::size_t>(axis)]);
  Value y = impl_->node("Transpose", name, {x.name}, std::move(shape));
  set_attribute(impl_->last(), "perm", order);
  return y;
}

Value OnnxBuilder::space_to_depth(const std::string& name, const Value& x, std::int64_t block) {
  TIDELINE_CHECK(x.shape[2] % block == 0 && x.shape[3] % block == 0);
  Value y =
      impl_->node("SpaceToDepth", name, {x.name}, {1, x.channels() * block * block, x.shape[2] / block, x.shape[3] / block});
  set_attribute(impl_->last(), "blocksize", block);
  return y;
}

Value OnnxBuilder::unary(const std::string& type, const std::string& name, const Value& x) {
  return impl_->node(type, name, {x.name}, x.shape);
}

Value OnnxBuilder::binary(const std::string& type, const std::string& name, const Value& a, const Value& b) {
  TIDELINE_CHECK(a.shape.size() == b.shape.size());
  for (std::size_t i = 0; i < a.shape.size(); ++i) TIDELINE_CHECK(b.shape[i] == a.shape[i] || b.shape[i] == 1);
  return impl_->node(type, name, {a.name, b.name}, a.shape);
}

Value OnnxBuilder::matmul(const std::string& name, const Value& x, std::int64_t units, double gain) {
  const std::int64_t inner = x.shape.back();
  const double spread = gain * std::sqrt(3.0 / static_cast<double>(inner));
  const std::string weight = impl_->weight(name + ".weight", {inner, units}, 0, spread);
  std::vector<std::int64_t> shape = x.shape;
  shape.back() = units;
  impl_->counts.macs += product(shape) * static_cast<std::uint64_t>(inner);
  return impl_->node("MatMul", name, {x.name, weight}, std::move(shape));
}

Value OnnxBuilder::matmul(const std::string& name, const Value& a, const Value& b) {
  TIDELINE_CHECK(a.shape.size() == b.shape.size() && a.shape.back() == b.shape[b.shape.size() - 2]);
  std::vector<std::int64_t> shape = a.shape;
  shape.back() = b.shape.back();
  impl_->counts.macs += product(shape) * static_cast<std::uint64_t>(a.shape.back());
  return impl_->node("MatMul", name, {a.name, b.name}, std::move(shape));
}

Value OnnxBuilder::layer_norm(const std::string& name, const Value& x, float epsilon) {
  const std::vector<std::int64_t> shape{x.shape.back()};
  const std::string scale = impl_->weight(name + ".scale", shape, 1, 0.2);
  const std::string shift = impl_->weight(name + ".shift", shape, 0, 0.1);
  Value y = impl_->node("LayerNormalization", name, {x.name, scale, shift}, x.shape);
  set_attribute(impl_->last(), "axis", std::int64_t{-1});
  set_attribute(impl_->last(), "epsilon", epsilon);
  return y;
}

Value OnnxBuilder::slice_channels(const std::string& name, const Value& x, std::int64_t first, std::int64_t last) {
  TIDELINE_CHECK(0 <= first && first < last && last <= x.channels());
  std::vector<std::int64_t> shape = x.shape;
  shape[1] = last - first;
  const std::string starts = impl_->int64_constant(name + ".starts", {first});
  const std::string ends = impl_->int64_constant(name + ".ends", {last});
  return impl_->node("Slice", name, {x.name, starts, ends, impl_->int64_constant(name + ".axes", {1})}, std::move(shape));
}

Value OnnxBuilder::conv_transpose(const std::string& name, const Value& x, const ConvOptions& options) {
  TIDELINE_CHECK(x.shape.size() == 4 && x.channels() % options.groups == 0 && options.channels % options.groups == 0);
  const std::int64_t out_channels = options.channels / options.groups;
  std::vector<std::int64_t> shape{1, options.channels, 0, 0};
  for (std::size_t i = 0; i < 2; ++i)
    shape[2 + i] = (x.shape[2 + i] - 1) * options.stride[i] - 2 * options.pad[i] + options.kernel[i];
  const std::int64_t fan_in = x.channels() / options.groups * options.kernel[0] * options.kernel[1];
  const double spread = options.gain * std::sqrt(3.0 / static_cast<double>(fan_in));
  std::vector<std::string> inputs{
      x.name, impl_->weight(name + ".weight", {x.channels(), out_channels, options.kernel[0], options.kernel[1]}, 0, spread)};
  if (options.bias) inputs.push_back(impl_->weight(name + ".bias", {options.channels}, 0, 0.05));
  impl_->counts.macs += product(x.shape) * static_cast<std::uint64_t>(out_channels * options.kernel[0] * options.kernel[1]);
  Value y = impl_->node("ConvTranspose", name, inputs, shape);
  onnx::NodeProto& node = impl_->last();
  set_attribute(node, "kernel_shape", {options.kernel[0], options.kernel[1]});
  set_attribute(node, "strides", {options.stride[0], options.stride[1]});
  set_attribute(node, "pads", {options.pad[0], options.pad[1], options.pad[0], options.pad[1]});
  set_attribute(node, "group", options.groups);
  return y;
}

Value OnnxBuilder::resize_nearest(const std::string& name, const Value& x, std::int64_t factor) {
  onnx::TensorProto& scales = *impl_->model.mutable_graph()->add_initializer();
  scales.set_name(name + ".scales");
  scales.set_data_type(onnx::TensorProto::FLOAT);
  scales.add_dims(4);
  for (const std::int64_t scale : {std::int64_t{1}, std::int64_t{1}, factor, factor})
    scales.add_float_data(static_cast<float>(scale));
  Value y = impl_->node("Resize", name, {x.name, "", name + ".scales"},
                        {x.shape[0], x.channels(), x.shape[2] * factor, x.shape[3] * factor});
  set_text(impl_->last(), "mode", "nearest");
  set_text(impl_->last(), "coordinate_transformation_mode", "asymmetric");
  set_text(impl_->last(), "nearest_mode", "floor");
  return y;
}

Value OnnxBuilder::reduce_mean(const std::string& name, const Value& x) {
  std::vector<std::int64_t> shape = x.shape;
  shape.back() = 1;
  Value y = impl_->node("ReduceMean", name, {x.name}, std::move(shape));
  set_attribute(impl_->last(), "axes", std::vector<std::int64_t>{-1});
  set_attribute(impl_->last(), "keepdims", std::int64_t{1});
  return y;
}

void OnnxBuilder::early_output(const Value& x) {
  onnx::GraphProto& graph = *impl_->model.mutable_graph();
  TIDELINE_CHECK(impl_->counts.output_shape.empty() && graph.value_info(graph.value_info_size() - 1).name() == x.name);
  graph.mutable_value_info()->RemoveLast();
  describe_value(*graph.add_output(), x);
}

void OnnxBuilder::output(const Value& x) {
  early_output(x);
  impl_->counts.output_shape = x.shape;
}

ZooCounts OnnxBuilder::counts() const { return impl_->counts; }

// Protobuf puts messages together by putting their bytes one after another, so the weights are written by hand behind what
// the classes serialise, each generated in its final place.
Result<std::string> OnnxBuilder::finish(std::uint64_t seed) const {
  TIDELINE_CHECK(!impl_->counts.output_shape.empty());
  const std::string graph = impl_->model.graph().SerializeAsString();
  onnx::ModelProto outside = impl_->model;
  outside.clear_graph();

  std::vector<std::string> heads;  // each weight's TensorProto up to its raw bytes
  std::uint64_t graph_bytes = graph.size();
  for (const Impl::Weight& weight : impl_->weights) {
    onnx::TensorProto tensor;
    tensor.set_name(weight.name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t dim : weight.shape) tensor.add_dims(dim);
    std::string head = tensor.SerializeAsString();
    const std::uint64_t raw_bytes = product(weight.shape) * sizeof(float);
    head.push_back(tag_of(onnx::TensorProto::kRawDataFieldNumber));
    append_varint(head, raw_bytes);
    const std::uint64_t tensor_bytes = head.size() + raw_bytes;
    graph_bytes += 1 + varint_bytes(tensor_bytes) + tensor_bytes;
    heads.push_back(std::move(head));
  }
  if (graph_bytes > limits::kModelFileBytesMax - 1024)
    return Error{ErrorCode::kUnsupported, "[zoo] the model is over 2 GB, which one ONNX file cannot hold"};

  std::string out = outside.SerializeAsString();
  out.reserve(out.size() + 16 + graph_bytes);
  out.push_back(tag_of(onnx::ModelProto::kGraphFieldNumber));
  append_varint(out, graph_bytes);
  out += graph;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const Impl::Weight& weight = impl_->weights[i];
    const std::size_t count = product(weight.shape);
    out.push_back(tag_of(onnx::GraphProto::kInitializerFieldNumber));
    append_varint(out, heads[i].size() + count * sizeof(float));
    out += heads[i];
    const std::size_t at = out.size();
    out.resize(at + count * sizeof(float));
    fill_uniform(tensor_seed(seed, weight.name), weight.centre, weight.spread, count, out.data() + at);
  }
  return out;
}

}  // namespace tideline::zoo
