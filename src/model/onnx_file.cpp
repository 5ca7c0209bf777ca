#include "model/onnx_file.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include "base/limits.h"
#include "base/text.h"
#include "platform/files.h"
#include "platform/linked_file.h"

namespace tideline {
namespace {

Status visit_graph(onnx::GraphProto& graph, const TensorVisitor& visit);

Status visit_sparse(onnx::SparseTensorProto& sparse, const TensorVisitor& visit) {
  TIDELINE_CHECK_OK(visit(*sparse.mutable_values()));
  return visit(*sparse.mutable_indices());
}

// Recursion is bounded by the parser's limit.
Status visit_node(onnx::NodeProto& node, const TensorVisitor& visit) {
  for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.has_t()) TIDELINE_CHECK_OK(visit(*attribute.mutable_t()));
    if (attribute.has_sparse_tensor()) TIDELINE_CHECK_OK(visit_sparse(*attribute.mutable_sparse_tensor(), visit));
    for (onnx::TensorProto& tensor : *attribute.mutable_tensors()) TIDELINE_CHECK_OK(visit(tensor));
    for (onnx::SparseTensorProto& sparse : *attribute.mutable_sparse_tensors()) TIDELINE_CHECK_OK(visit_sparse(sparse, visit));
    if (attribute.has_g()) TIDELINE_CHECK_OK(visit_graph(*attribute.mutable_g(), visit));
    for (onnx::GraphProto& graph : *attribute.mutable_graphs()) TIDELINE_CHECK_OK(visit_graph(graph, visit));
  }
  return {};
}

Status visit_graph(onnx::GraphProto& graph, const TensorVisitor& visit) {
  for (onnx::TensorProto& tensor : *graph.mutable_initializer()) TIDELINE_CHECK_OK(visit(tensor));
  for (onnx::SparseTensorProto& sparse : *graph.mutable_sparse_initializer()) TIDELINE_CHECK_OK(visit_sparse(sparse, visit));
  for (onnx::NodeProto& node : *graph.mutable_node()) TIDELINE_CHECK_OK(visit_node(node, visit));
  return {};
}

std::string label(const onnx::TensorProto& tensor) { return fmt::format("tensor '{}'", printable(tensor.name())); }

// How many values the typed field of this element type must hold, or -1 when that field is not where they are.
std::int64_t typed_values(const onnx::TensorProto& tensor, Bytes elements, Bytes& expected) {
  using T = onnx::TensorProto;
  expected = elements;
  switch (tensor.data_type()) {
    case T::FLOAT: return tensor.float_data_size();
    case T::COMPLEX64: expected = 2 * elements; return tensor.float_data_size();
    case T::DOUBLE: return tensor.double_data_size();
    case T::COMPLEX128: expected = 2 * elements; return tensor.double_data_size();
    case T::INT64: return tensor.int64_data_size();
    case T::UINT32:
    case T::UINT64: return tensor.uint64_data_size();
    case T::STRING: return tensor.string_data_size();
    default: {
      const int bits = onnx_element_bits(tensor.data_type());
      if (bits < 8) expected = (elements * static_cast<Bytes>(bits) + 7) / 8;
      return tensor.int32_data_size();
    }
  }
}

Status check_tensor(const onnx::TensorProto& tensor) {
  TIDELINE_CHECK_OK(check_name(tensor.name(), "a tensor's name"));
  if (tensor.has_segment())
    return model_error(label(tensor) + " is stored in segments, which nothing writes", ErrorCode::kUnsupported);
  TIDELINE_TRY(const TensorSize size, onnx_tensor_size(tensor));
  if (tensor.has_raw_data()) {
    if (tensor.data_type() == onnx::TensorProto::STRING)
      return model_error(label(tensor) + " holds strings as raw data, which ONNX forbids", ErrorCode::kCorrupt);
    if (tensor.raw_data().size() != size.bytes)
      return model_error(
          fmt::format("{} has {} bytes of data, but its shape needs {}", label(tensor), tensor.raw_data().size(), size.bytes),
          ErrorCode::kCorrupt);
    return {};
  }
  Bytes expected = 0;
  const std::int64_t found = typed_values(tensor, size.elements, expected);
  if (static_cast<Bytes>(found) != expected)
    return model_error(fmt::format("{} has {} values, but its shape needs {}", label(tensor), found, expected),
                       ErrorCode::kCorrupt);
  return {};
}

// What external_data says, with nothing believed yet.
struct ExternalRange {
  std::string location;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

Result<std::uint64_t> parse_count(const onnx::TensorProto& tensor, const std::string& key, const std::string& value) {
  std::uint64_t number = 0;
  const auto [end, status] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (status != std::errc() || end != value.data() + value.size())
    return model_error(fmt::format("{}: external data has {} '{}', which is not a whole number of 0 or more", label(tensor), key,
                                   printable(value, 40)));
  return number;
}

Result<ExternalRange> external_range(const onnx::TensorProto& tensor) {
  if (tensor.data_type() == onnx::TensorProto::STRING)
    return model_error(label(tensor) + " holds strings as external data, which ONNX forbids");
  TIDELINE_TRY(const TensorSize size, onnx_tensor_size(tensor));
  ExternalRange range{.location = "", .offset = 0, .length = size.bytes};
  std::set<std::string> seen;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (!seen.insert(entry.key()).second)
      return model_error(fmt::format("{}: external data names '{}' twice", label(tensor), printable(entry.key(), 40)));
    if (entry.key() == "location") {
      range.location = entry.value();
    } else if (entry.key() == "offset") {
      TIDELINE_TRY(range.offset, parse_count(tensor, "offset", entry.value()));
    } else if (entry.key() == "length") {
      TIDELINE_TRY(const std::uint64_t length, parse_count(tensor, "length", entry.value()));
      if (length != size.bytes)
        return model_error(
            fmt::format("{}: external data has length {}, but the shape needs {}", label(tensor), length, size.bytes),
            ErrorCode::kCorrupt);
    } else if (entry.key() != "checksum") {
      return model_error(fmt::format("{}: external data has the key '{}'; only location, offset, length and checksum are read",
                                     label(tensor), printable(entry.key(), 40)));
    }
  }
  TIDELINE_CHECK_OK(check_name(range.location, "the location of external data"));
  // Engines mark memory addresses by such a location; in a file it is an attack.
  if (range.location.starts_with("*/_ORT_MEM_ADDR_/"))
    return model_error(label(tensor) + ": external data points into memory, which no file may do");
  return range;
}

struct DataFile {
  std::string folder;
  std::string name;
  std::uint64_t size = 0;
};

// The file that `location` stands for, after every check of platform/files.h.
Result<DataFile> find_data(const DataFolders& folders, const std::string& location) {
  DataFile file{folders.folder, location};
  if (folders.behind_link) {
    if (auto name = name_behind_link(folders.folder, location, *folders.behind_link))
      file = {*folders.behind_link, std::move(*name)};
  }
  auto size = size_beneath(file.folder, file.name);
  if (!size) {
    Error error = std::move(size).error();
    if (is_linked(file.folder + "/" + file.name))
      error.message += "; a copy of the model's folder without links is read: cp -rL --no-preserve=links FOLDER COPY";
    return error;
  }
  file.size = *size;
  return file;
}

// Reads every external file once, hashes it, and puts its bytes into the tensors, so that what was hashed is what runs.
Status read_external_data(onnx::ModelProto& model, const DataFolders& folders, Sha256Stream& hash) {
  std::map<std::string, std::vector<std::pair<onnx::TensorProto*, ExternalRange>>> files;
  const Status collected = for_each_tensor(model, [&](onnx::TensorProto& tensor) -> Status {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return {};
    TIDELINE_TRY(ExternalRange range, external_range(tensor));
    std::string location = range.location;
    files[std::move(location)].emplace_back(&tensor, std::move(range));
    return {};
  });
  TIDELINE_CHECK_OK(collected);
  if (files.empty()) return {};
  if (folders.folder.empty())
    return model_error("the weights are in other files, which cannot be read from here: put them into the model");
  Bytes total = 0;
  for (auto& [location, parts] : files) {
    TIDELINE_TRY(const DataFile file, find_data(folders, location));
    const std::uint64_t size = file.size;
    total += std::min(size, limits::kModelWeightsBytesMax);
    if (size > limits::kModelWeightsBytesMax || total > limits::kModelWeightsBytesMax)
      return model_error(
          fmt::format("the external data has more than the limit of {}", format_bytes(limits::kModelWeightsBytesMax)));
    for (const auto& [tensor, range] : parts)
      if (range.offset > size || range.length > size - range.offset)
        return model_error(fmt::format("{} needs {} bytes at {} of '{}', which has {}", label(*tensor), range.length,
                                       range.offset, printable(location), size),
                           ErrorCode::kCorrupt);
    TIDELINE_TRY(const std::string bytes, read_beneath(file.folder, file.name, 0, size, limits::kModelWeightsBytesMax));
    hash.update(bytes);
    for (auto& [tensor, range] : parts) {
      tensor->set_raw_data(bytes.data() + range.offset, range.length);
      tensor->clear_external_data();
      tensor->clear_data_location();
    }
  }
  return {};
}

Status check_versions(const onnx::ModelProto& model) {
  if (model.ir_version() < 1 || model.ir_version() > limits::kIrVersionMax)
    return model_error(fmt::format("its IR version {} does not exist", model.ir_version()), ErrorCode::kUnsupported);
  std::set<std::string> domains;
  for (const onnx::OperatorSetIdProto& opset : model.opset_import()) {
    const bool own = opset.domain().empty() || opset.domain() == "ai.onnx";
    TIDELINE_CHECK_OK(check_name(opset.domain(), "the domain of an operator set"));
    if (!domains.insert(own ? "" : opset.domain()).second)
      return model_error(fmt::format("it imports the operator set '{}' twice", printable(opset.domain())));
    if (!own) continue;
    if (opset.version() < limits::kOpsetMin)
      return model_error(fmt::format("its operator set {} is older than {}; convert it with onnx.version_converter",
                                     opset.version(), limits::kOpsetMin),
                         ErrorCode::kUnsupported);
    if (opset.version() > limits::kOpsetMax)
      return model_error(fmt::format("its operator set {} does not exist", opset.version()), ErrorCode::kUnsupported);
  }
  if (domains.empty()) return model_error("it names no operator set");
  return {};
}

}  // namespace

Status for_each_tensor(onnx::ModelProto& model, const TensorVisitor& visit) {
  TIDELINE_CHECK_OK(visit_graph(*model.mutable_graph(), visit));
  for (onnx::FunctionProto& function : *model.mutable_functions())
    for (onnx::NodeProto& node : *function.mutable_node()) TIDELINE_CHECK_OK(visit_node(node, visit));
  return {};
}

int onnx_element_bits(int onnx_type) {
  if (onnx_type >= 1 && onnx_type <= 16) return 8 * static_cast<int>(element_bytes(static_cast<DType>(onnx_type)));
  switch (onnx_type) {
    case 17:            // FLOAT8E4M3FN
    case 18:            // FLOAT8E4M3FNUZ
    case 19:            // FLOAT8E5M2
    case 20:            // FLOAT8E5M2FNUZ
    case 24: return 8;  // FLOAT8E8M0
    case 21:            // UINT4
    case 22:            // INT4
    case 23: return 4;  // FLOAT4E2M1
    case 25:            // UINT2
    case 26: return 2;  // INT2
    default: return -1;
  }
}

Result<TensorSize> onnx_tensor_size(const onnx::TensorProto& tensor) {
  const int bits = onnx_element_bits(tensor.data_type());
  if (bits < 0)
    return model_error(fmt::format("{} has element type {}, which does not exist", label(tensor), tensor.data_type()));
  if (tensor.dims_size() > static_cast<int>(limits::kTensorRankMax))
    return model_error(
        fmt::format("{} has {} dimensions, above the limit of {}", label(tensor), tensor.dims_size(), limits::kTensorRankMax));
  TensorSize size{.elements = 1, .bytes = 0};
  for (const std::int64_t dim : tensor.dims())
    if (dim < 0) return model_error(fmt::format("{} has a dimension of {}", label(tensor), dim), ErrorCode::kCorrupt);
  const bool empty = std::find(tensor.dims().begin(), tensor.dims().end(), 0) != tensor.dims().end();
  if (empty) return TensorSize{};
  for (const std::int64_t dim : tensor.dims()) {
    // Bits of the whole are at most 128 times the elements, so this limit keeps that product in range too.
    if (__builtin_mul_overflow(size.elements, static_cast<Bytes>(dim), &size.elements) || size.elements > limits::kTensorBytesMax)
      return model_error(fmt::format("{} has more elements than the limit allows", label(tensor)));
  }
  size.bytes = (size.elements * static_cast<Bytes>(bits) + 7) / 8;
  if (bits == 0)
    for (const std::string& text : tensor.string_data()) size.bytes += text.size();
  if (size.bytes > limits::kTensorBytesMax)
    return model_error(fmt::format("{} has {}, above the limit of {}", label(tensor), format_bytes(size.bytes),
                                   format_bytes(limits::kTensorBytesMax)));
  return size;
}

Status check_name(std::string_view name, std::string_view what) {
  if (name.size() > limits::kNameBytesMax)
    return model_error(fmt::format("{} has {} bytes, above the limit of {}", what, name.size(), limits::kNameBytesMax));
  if (name.find('\0') != std::string_view::npos) return model_error(fmt::format("{} has a NUL in it", what), ErrorCode::kCorrupt);
  if (!is_utf8(name)) return model_error(fmt::format("{} is not UTF-8 text", what), ErrorCode::kCorrupt);
  return {};
}

Result<onnx::ModelProto> read_onnx(std::string_view bytes, const DataFolders& folders, Sha256& sha256) {
  if (bytes.empty()) return model_error("the file is empty", ErrorCode::kCorrupt);
  if (bytes.size() > limits::kModelFileBytesMax)
    return model_error(fmt::format("the file has {}, but ONNX files end at 2 GB; keep the weights as external data",
                                   format_bytes(bytes.size())));
  TIDELINE_TRY(const Bytes structure, estimate_structure_bytes(bytes));
  if (structure > limits::kModelStructureBytesMax)
    return model_error(fmt::format("reading it would take {} beside its weights, above the limit of {}", format_bytes(structure),
                                   format_bytes(limits::kModelStructureBytesMax)));
  onnx::ModelProto model;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetRecursionLimit(limits::kProtobufDepthMax);
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage())
    return model_error("it is not an ONNX file, or is cut short or nested too deep", ErrorCode::kCorrupt);
  if (!model.has_graph() || !model.has_ir_version())
    return model_error("it is not an ONNX file: it has no graph or no IR version", ErrorCode::kCorrupt);
  TIDELINE_CHECK_OK(check_versions(model));
  // Training graphs are no part of inference.
  model.clear_training_info();

  Sha256Stream hash;
  hash.update(bytes);
  TIDELINE_CHECK_OK(read_external_data(model, folders, hash));
  sha256 = hash.finish();
  Bytes total = 0;
  const Status checked = for_each_tensor(model, [&](onnx::TensorProto& tensor) -> Status {
    TIDELINE_CHECK_OK(check_tensor(tensor));
    TIDELINE_TRY(const TensorSize size, onnx_tensor_size(tensor));
    total += size.bytes;  // each below 2^36, and there are fewer than 2^27
    return {};
  });
  TIDELINE_CHECK_OK(checked);
  if (total > limits::kModelWeightsBytesMax)
    return model_error(fmt::format("its weights have {}, above the limit of {}", format_bytes(total),
                                   format_bytes(limits::kModelWeightsBytesMax)));
  return model;
}

}  // namespace tideline
