// What a protobuf message will cost once parsed, found by walking its fields with the descriptor and building nothing. Two bytes
// of file can become a message object of 200, so the size of a file says little about the memory that parsing it takes.
#include <array>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "base/limits.h"
#include "model/onnx_file.h"

namespace tideline {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// Upper estimates of the objects of the generated classes, with what their containers add.
constexpr Bytes kMessageBytes = 256;
constexpr Bytes kValueBytes = 48;

struct Frame {
  std::size_t end = 0;
  const Descriptor* type = nullptr;
};

bool read_varint(std::string_view bytes, std::size_t& at, std::size_t end, std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && at < end; shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Of a length-delimited field that is no message: packed varints grow, everything else stays as long as it is in the file.
Bytes value_bytes(const FieldDescriptor* field, std::uint64_t length) {
  if (field == nullptr) return kValueBytes + length;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_ENUM: return kValueBytes + 4 * length;
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64: return kValueBytes + 8 * length;
    default: return kValueBytes;
  }
}

}  // namespace

Result<Bytes> estimate_structure_bytes(std::string_view bytes) {
  const Error damaged = model_error("it is not an ONNX file, or is cut short or nested too deep", ErrorCode::kCorrupt);
  std::array<Frame, limits::kProtobufDepthMax + 1> stack;
  std::size_t depth = 0;
  stack[0] = {bytes.size(), onnx::ModelProto::descriptor()};
  std::size_t at = 0;
  Bytes total = kMessageBytes;
  while (true) {
    while (depth > 0 && at == stack[depth].end) --depth;
    const Frame& frame = stack[depth];
    if (at >= frame.end) break;
    std::uint64_t tag = 0;
    std::uint64_t number = 0;
    if (!read_varint(bytes, at, frame.end, tag) || (tag >> 3) == 0 || (tag >> 3) > FieldDescriptor::kMaxNumber) return damaged;
    const FieldDescriptor* field = frame.type->FindFieldByNumber(static_cast<int>(tag >> 3));
    switch (tag & 7) {
      case 0:
        if (!read_varint(bytes, at, frame.end, number)) return damaged;
        total += field != nullptr && !field->is_repeated() ? 0 : sizeof number;
        break;
      case 1:
      case 5: {
        const std::size_t width = (tag & 7) == 1 ? 8 : 4;
        if (frame.end - at < width) return damaged;
        at += width;
        total += field != nullptr && !field->is_repeated() ? 0 : sizeof number;
        break;
      }
      case 2: {
        if (!read_varint(bytes, at, frame.end, number) || number > frame.end - at) return damaged;
        if (field != nullptr && field->type() == FieldDescriptor::TYPE_MESSAGE) {
          total += kMessageBytes;
          if (depth + 1 >= stack.size()) return damaged;
          stack[++depth] = {at + number, field->message_type()};
        } else {
          total += value_bytes(field, number);
          at += number;
        }
        break;
      }
      default: return damaged;  // groups: nothing in ONNX has them
    }
  }
  return total;
}

}  // namespace tideline
