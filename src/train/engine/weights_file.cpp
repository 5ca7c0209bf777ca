#include "train/engine/weights_file.h"

#include <cstring>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "base/text.h"

namespace tideline::train {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kModelGraph = 7;
constexpr std::uint64_t kGraphInitializer = 5;
constexpr std::uint64_t kTensorFloatData = 4;
constexpr std::uint64_t kTensorName = 8;
constexpr std::uint64_t kTensorRawData = 9;

struct Field {
  std::uint64_t number = 0;
  std::uint64_t wire = 0;
  std::size_t begin = 0;  // of its content
  std::size_t end = 0;
};

// The fields of one protobuf message that lies at [at, end) of the file.
class Fields {
 public:
  Fields(std::string_view bytes, std::size_t begin, std::size_t end) : bytes_(bytes), at_(begin), end_(end) {}

  // Nothing at the end; is_broken() then says whether the end was reached properly.
  std::optional<Field> next() {
    if (at_ >= end_) return std::nullopt;
    const auto tag = varint();
    if (!tag) return broken();
    Field field{.number = *tag >> 3, .wire = *tag & 7};
    std::uint64_t length = 0;
    field.begin = at_;
    switch (field.wire) {
      case 0:
        if (!varint()) return broken();
        field.end = at_;
        return field;
      case 1: length = 8; break;
      case 5: length = 4; break;
      case 2: {
        const auto stated = varint();
        if (!stated) return broken();
        length = *stated;
        break;
      }
      default: return broken();
    }
    if (length > end_ - at_) return broken();
    field.begin = at_;
    at_ += length;
    field.end = at_;
    return field;
  }
  bool is_broken() const { return is_broken_; }

 private:
  std::optional<Field> broken() {
    is_broken_ = true;
    return std::nullopt;
  }
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64 && at_ < end_; shift += 7) {
      const auto byte = static_cast<std::uint8_t>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
  }

  std::string_view bytes_;
  std::size_t at_;
  std::size_t end_;
  bool is_broken_ = false;
};

// A graph or tensor may be split over several fields of the same number; protobuf then merges them. No writer does that to an
// initialiser, and one that did is refused by its count.
struct Place {
  std::string name;
  std::vector<Field> numbers;
  std::size_t bytes = 0;
};

Result<Place> place_of(std::string_view file, const Field& tensor) {
  Place place;
  Fields fields(file, tensor.begin, tensor.end);
  while (const auto field = fields.next()) {
    if (field->number == kTensorName && field->wire == 2) place.name = file.substr(field->begin, field->end - field->begin);
    const bool is_numbers = (field->number == kTensorRawData && field->wire == 2) ||
                            (field->number == kTensorFloatData && (field->wire == 2 || field->wire == 5));
    if (!is_numbers) continue;
    place.numbers.push_back(*field);
    place.bytes += field->end - field->begin;
  }
  if (fields.is_broken()) return Error{ErrorCode::kCorrupt, "[train] an initialiser is no protobuf message"};
  return place;
}

}  // namespace

Result<std::string> write_initializers(std::string_view onnx, const std::vector<NamedNumbers>& weights) {
  std::unordered_map<std::string, std::span<const float>> wanted;
  for (const NamedNumbers& weight : weights) wanted[weight.name] = weight.numbers;
  std::string file(onnx);
  Fields model(onnx, 0, onnx.size());
  while (const auto graph = model.next()) {
    if (graph->number != kModelGraph || graph->wire != 2) continue;
    Fields fields(onnx, graph->begin, graph->end);
    while (const auto field = fields.next()) {
      if (field->number != kGraphInitializer || field->wire != 2) continue;
      TIDELINE_TRY(const Place place, place_of(onnx, *field));
      const auto found = wanted.find(place.name);
      if (found == wanted.end()) continue;
      if (place.bytes != found->second.size_bytes())
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("[train] initialiser '{}' holds {} bytes in the file, {} are to be written",
                                 printable(place.name), place.bytes, found->second.size_bytes())};
      const auto* from = reinterpret_cast<const char*>(found->second.data());
      for (const Field& part : place.numbers) {
        std::memcpy(file.data() + part.begin, from, part.end - part.begin);
        from += part.end - part.begin;
      }
      wanted.erase(found);
    }
    if (fields.is_broken()) return Error{ErrorCode::kCorrupt, "[train] the graph is no protobuf message"};
  }
  if (model.is_broken()) return Error{ErrorCode::kCorrupt, "[train] the file is no protobuf message"};
  if (!wanted.empty())
    return Error{ErrorCode::kNotFound,
                 fmt::format("[train] the file has no initialiser '{}' to write to", printable(wanted.begin()->first))};
  return file;
}

}  // namespace tideline::train
