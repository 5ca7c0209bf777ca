#include "model/onnx_write.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "base/units.h"

namespace tideline {
namespace {

using google::protobuf::MessageLite;

std::uint64_t varint_bytes(std::uint64_t value) {
  std::uint64_t bytes = 1;
  for (; value >= 0x80; value >>= 7) ++bytes;
  return bytes;
}

void append_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
  bytes.push_back(static_cast<char>(value));
}

// Every field here has a number below 16 and a message in it, so its tag is one byte.
std::uint64_t field_bytes(std::uint64_t length) { return 1 + varint_bytes(length) + length; }

void append_head(std::string& bytes, int field, std::uint64_t length) {
  bytes.push_back(static_cast<char>(field << 3 | 2));
  append_varint(bytes, length);
}

template <typename Message>
std::uint64_t fields_bytes(const std::vector<const Message*>& messages) {
  std::uint64_t sum = 0;
  for (const Message* message : messages) sum += field_bytes(message->ByteSizeLong());
  return sum;
}

std::uint64_t graph_bytes(const OnnxParts& parts) {
  return parts.shell.graph().ByteSizeLong() + fields_bytes(parts.nodes) + fields_bytes(parts.initializers) +
         fields_bytes(parts.sparse_initializers);
}

template <typename Message>
bool append_fields(std::string& bytes, int field, const std::vector<const Message*>& messages) {
  for (const Message* message : messages) {
    append_head(bytes, field, message->ByteSizeLong());
    if (!message->AppendToString(&bytes)) return false;
  }
  return true;
}

}  // namespace

void copy_origin(const onnx::ModelProto& from, onnx::ModelProto& to) {
  *to.mutable_metadata_props() = from.metadata_props();
  if (from.has_doc_string()) to.set_doc_string(from.doc_string());
  if (from.has_domain()) to.set_domain(from.domain());
  if (from.has_model_version()) to.set_model_version(from.model_version());
  if (from.graph().has_doc_string()) to.mutable_graph()->set_doc_string(from.graph().doc_string());
}

std::uint64_t onnx_size(const OnnxParts& parts) {
  const std::uint64_t shell = parts.shell.ByteSizeLong() - field_bytes(parts.shell.graph().ByteSizeLong());
  return shell + field_bytes(graph_bytes(parts));
}

Status append_onnx(const OnnxParts& parts, std::string& bytes) {
  const std::uint64_t size = onnx_size(parts);
  if (size > limits::kModelFileBytesMax)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[model] {} of ONNX would be above the format's limit of 2 GB; cut the model into more segments",
                             format_bytes(size))};
  bytes.reserve(bytes.size() + size);
  onnx::ModelProto head = parts.shell;
  head.clear_graph();
  using Model = onnx::ModelProto;
  using Graph = onnx::GraphProto;
  bool ok = head.AppendToString(&bytes);
  append_head(bytes, Model::kGraphFieldNumber, graph_bytes(parts));
  ok = ok && parts.shell.graph().AppendToString(&bytes);
  ok = ok && append_fields(bytes, Graph::kNodeFieldNumber, parts.nodes);
  ok = ok && append_fields(bytes, Graph::kInitializerFieldNumber, parts.initializers);
  ok = ok && append_fields(bytes, Graph::kSparseInitializerFieldNumber, parts.sparse_initializers);
  if (!ok) return Error{ErrorCode::kInternal, "[model] protobuf could not write the model"};
  return {};
}

}  // namespace tideline
