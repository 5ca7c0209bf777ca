#include "tensor/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline {

namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

struct NumpyType {
  std::string_view descr;
  DType dtype;
};
constexpr std::array<NumpyType, 14> kNumpyTypes{{{"<f4", DType::kFloat32},
                                                 {"<f2", DType::kFloat16},
                                                 {"<f8", DType::kFloat64},
                                                 {"|u1", DType::kUint8},
                                                 {"|i1", DType::kInt8},
                                                 {"<u2", DType::kUint16},
                                                 {"<i2", DType::kInt16},
                                                 {"<u4", DType::kUint32},
                                                 {"<i4", DType::kInt32},
                                                 {"<u8", DType::kUint64},
                                                 {"<i8", DType::kInt64},
                                                 {"|b1", DType::kBool},
                                                 {"<c8", DType::kComplex64},
                                                 {"<c16", DType::kComplex128}}};

Error corrupt(std::string_view reason) { return Error{ErrorCode::kCorrupt, fmt::format("[npy] damaged file: {}", reason)}; }

// The header is a Python dictionary of three known keys: text, truth values and a tuple of whole numbers are all there is in it.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  std::optional<std::string_view> quoted() {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return std::nullopt;
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  std::optional<bool> truth() {
    skip_space();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return word == "True";
      }
    return std::nullopt;
  }
  std::optional<std::vector<std::int64_t>> tuple() {
    if (!take('(')) return std::nullopt;
    std::vector<std::int64_t> numbers;
    while (!take(')')) {
      skip_space();
      std::int64_t number = 0;
      const auto [end, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
      if (status != std::errc() || number < 0 || numbers.size() >= limits::kTensorRankMax) return std::nullopt;
      at_ = static_cast<std::size_t>(end - text_.data());
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2 wrote 3L
      numbers.push_back(number);
      if (take(',')) continue;
      if (!take(')')) return std::nullopt;
      break;
    }
    return numbers;
  }
  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

struct Header {
  std::optional<std::string_view> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;
};

Result<Header> parse_header(std::string_view text) {
  HeaderReader reader(text);
  Header header;
  if (!reader.take('{')) return corrupt("its header is not a dictionary");
  while (!reader.take('}')) {
    const auto key = reader.quoted();
    if (!key || !reader.take(':')) return corrupt("its header has no key where one belongs");
    bool is_read = false;
    if (*key == "descr" && !header.descr) {
      header.descr = reader.quoted();
      if (!header.descr) return Error{ErrorCode::kUnsupported, "[npy] records are not supported; save one plain array"};
      is_read = true;
    } else if (*key == "fortran_order" && !header.fortran_order) {
      header.fortran_order = reader.truth();
      is_read = header.fortran_order.has_value();
    } else if (*key == "shape" && !header.shape) {
      header.shape = reader.tuple();
      is_read = header.shape.has_value();
    }
    if (!is_read) return corrupt(fmt::format("its header's '{}' is not understood", printable(*key)));
    if (reader.take(',')) continue;
    if (!reader.take('}')) return corrupt("its header does not end");
    break;
  }
  if (!reader.at_end()) return corrupt("something follows its header's dictionary");
  if (!header.descr || !header.fortran_order || !header.shape) return corrupt("its header lacks descr, fortran_order or shape");
  return header;
}

Result<DType> dtype_of(std::string_view descr) {
  for (const NumpyType& type : kNumpyTypes) {
    if (type.descr == descr) return type.dtype;
    // One byte has no order; NumPy accepts any mark there.
    if (type.descr[0] == '|' && descr.size() == 3 && descr.substr(1) == type.descr.substr(1)) return type.dtype;
  }
  if (!descr.empty() && descr[0] == '>')
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[npy] big-endian numbers ('{}') are not supported; save x.astype(x.dtype.newbyteorder('<'))",
                             printable(descr))};
  return Error{ErrorCode::kUnsupported,
               fmt::format("[npy] elements of type '{}' are not supported; save numbers or booleans", printable(descr))};
}

// What stands before the numbers.
struct NpyStart {
  TensorSpec spec;
  std::size_t bytes = 0;  // of all that
  Bytes data_bytes = 0;
};

// Nothing: `bytes` end before they have said it.
Result<std::optional<NpyStart>> parse_start(std::string_view bytes) {
  const std::size_t known = std::min(bytes.size(), kMagic.size());
  if (bytes.substr(0, known) != kMagic.substr(0, known)) return corrupt("it does not begin as .npy files do");
  if (bytes.size() < 10) return std::optional<NpyStart>();
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    return Error{ErrorCode::kUnsupported, fmt::format("[npy] version {} of the format is not supported (1 to 3 are)", version)};
  std::size_t start = 10;
  std::size_t header_bytes = byte(8) | byte(9) << 8;
  if (version >= 2) {
    start = 12;
    if (bytes.size() < start) return std::optional<NpyStart>();
    header_bytes |= byte(10) << 16 | byte(11) << 24;
  }
  if (header_bytes > limits::kNpyHeaderBytesMax) return corrupt("its header is too long");
  if (header_bytes > bytes.size() - start) return std::optional<NpyStart>();
  TIDELINE_TRY(Header header, parse_header(bytes.substr(start, header_bytes)));
  NpyStart found{.spec = {}, .bytes = start + header_bytes};
  TIDELINE_TRY(found.spec.dtype, dtype_of(*header.descr));
  found.spec.shape = std::move(*header.shape);
  if (*header.fortran_order && found.spec.shape.size() > 1)
    return Error{ErrorCode::kUnsupported, "[npy] Fortran order is not supported; save numpy.ascontiguousarray(x)"};
  TIDELINE_TRY(found.data_bytes, byte_size(found.spec.dtype, found.spec.shape));
  return std::optional(std::move(found));
}

}  // namespace

Result<Tensor> parse_npy(std::string_view bytes, std::string_view tensor_name) {
  TIDELINE_TRY(auto start, parse_start(bytes));
  if (!start) return corrupt("it ends early");
  Tensor tensor;
  tensor.spec = std::move(start->spec);
  tensor.spec.name = tensor_name;
  const std::string_view data = bytes.substr(start->bytes);
  if (data.size() != start->data_bytes)
    return corrupt(fmt::format("{} needs {} bytes, the file holds {}", describe(tensor.spec), start->data_bytes, data.size()));
  tensor.data = Buffer::copy_of(std::as_bytes(std::span(data)));
  return tensor;
}

Result<std::optional<Bytes>> npy_bytes(std::string_view bytes) {
  TIDELINE_TRY(const auto start, parse_start(bytes));
  if (!start) return std::optional<Bytes>();
  return std::optional<Bytes>(start->bytes + start->data_bytes);
}

Result<std::string> write_npy(const TensorView& tensor) {
  std::string_view descr;
  for (const NumpyType& type : kNumpyTypes)
    if (type.dtype == tensor.spec->dtype) descr = type.descr;
  if (descr.empty())
    return Error{ErrorCode::kUnsupported, fmt::format("[npy] NumPy has no elements of type {}", to_string(tensor.spec->dtype))};
  TIDELINE_TRY(const Bytes expected, byte_size(tensor.spec->dtype, tensor.spec->shape));
  if (expected != tensor.bytes.size())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[npy] {} needs {} bytes, got {}", describe(*tensor.spec), expected, tensor.bytes.size())};
  std::string shape;
  for (const std::int64_t dim : tensor.spec->shape) shape += fmt::format("{},", dim);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  // The numbers start at a multiple of 64, and the header ends in a new line.
  const std::size_t unpadded = kMagic.size() + 4 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';
  std::string out(kMagic);
  out += '\x01';
  out += '\x00';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  return out;
}

}  // namespace tideline
