#include "train/data/data_set.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "input/input_steps.h"
#include "platform/files.h"
#include "tensor/npy.h"
#include "train/data/idx.h"

namespace tideline::train {
namespace {

Error data_error(std::string message) { return Error{ErrorCode::kInvalidArgument, "[data] " + std::move(message)}; }

Result<Tensor> read_idx(const std::string& path) {
  auto file = read_file(path, limits::kTensorBytesMax);
  if (!file && file.error().code == ErrorCode::kNotFound) {
    auto packed = read_file(path + ".gz", limits::kTensorBytesMax);
    if (!packed && packed.error().code == ErrorCode::kNotFound)
      return Error{ErrorCode::kNotFound,
                   fmt::format("[data] there is neither '{}' nor '{}.gz'", printable(path), printable(path))};
    file = std::move(packed);
  }
  if (!file) return std::move(file).error();
  auto tensor = parse_idx(*file);
  if (!tensor) return with_context(std::move(tensor).error(), fmt::format("'{}'", printable(path)));
  return tensor;
}

Result<Tensor> read_npy(const std::string& path) {
  TIDELINE_TRY(const std::string file, read_file(path, limits::kTensorBytesMax));
  auto tensor = parse_npy(file, "");
  if (!tensor) return with_context(std::move(tensor).error(), fmt::format("'{}'", printable(path)));
  return tensor;
}

template <typename T>
bool take_labels(const Tensor& from, std::vector<std::int32_t>& to) {
  const auto* numbers = reinterpret_cast<const T*>(from.data.data());
  for (std::size_t i = 0; i < from.data.size() / sizeof(T); ++i) {
    if (!std::in_range<std::int32_t>(numbers[i]) || numbers[i] < T{0}) return false;
    to.push_back(static_cast<std::int32_t>(numbers[i]));
  }
  return true;
}

Result<std::vector<std::int32_t>> labels_from(const Tensor& tensor, const std::string& where) {
  std::vector<std::int32_t> labels;
  bool is_good = tensor.spec.shape.size() == 1;
  switch (tensor.spec.dtype) {
    case DType::kUint8: is_good = is_good && take_labels<std::uint8_t>(tensor, labels); break;
    case DType::kInt8: is_good = is_good && take_labels<std::int8_t>(tensor, labels); break;
    case DType::kUint16: is_good = is_good && take_labels<std::uint16_t>(tensor, labels); break;
    case DType::kInt16: is_good = is_good && take_labels<std::int16_t>(tensor, labels); break;
    case DType::kUint32: is_good = is_good && take_labels<std::uint32_t>(tensor, labels); break;
    case DType::kInt32: is_good = is_good && take_labels<std::int32_t>(tensor, labels); break;
    case DType::kUint64: is_good = is_good && take_labels<std::uint64_t>(tensor, labels); break;
    case DType::kInt64: is_good = is_good && take_labels<std::int64_t>(tensor, labels); break;
    default: is_good = false;
  }
  if (!is_good)
    return data_error(fmt::format("the labels of '{}' are {}; one dimension of integers from 0 up to 2147483647 is expected",
                                  printable(where), describe(tensor.spec)));
  return labels;
}

// A sample's shape without the channel that a grey picture may leave out.
std::vector<std::int64_t> sample_shape(const Tensor& samples) {
  std::vector<std::int64_t> shape(samples.spec.shape.begin() + 1, samples.spec.shape.end());
  if (samples.spec.dtype == DType::kUint8 && shape.size() == 2) shape.insert(shape.begin(), 1);
  return shape;
}

struct Picture {
  std::string path;
  std::int32_t label = 0;
};

bool is_picture(const std::filesystem::path& file) {
  std::string end = file.extension().string();
  std::transform(end.begin(), end.end(), end.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

// One folder for each class; both in the order of their names.
Result<std::vector<Picture>> list_pictures(const std::string& folder) {
  std::error_code status;
  std::vector<std::string> classes;
  for (auto it = std::filesystem::directory_iterator(folder, status); !status && it != std::filesystem::directory_iterator();
       it.increment(status))
    if (it->is_directory(status)) classes.push_back(it->path().filename().string());
  if (status) return Error{ErrorCode::kNotFound, fmt::format("[data] cannot list '{}': {}", printable(folder), status.message())};
  std::sort(classes.begin(), classes.end());
  std::vector<Picture> pictures;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    TIDELINE_TRY(const std::vector<std::string> files, list_files(folder + "/" + classes[label]));
    const std::size_t before = pictures.size();
    for (const std::string& file : files)
      if (is_picture(file)) pictures.push_back({folder + "/" + classes[label] + "/" + file, static_cast<std::int32_t>(label)});
    if (pictures.size() == before)
      return data_error(
          fmt::format("class '{}' of '{}' has no .jpg, .jpeg or .png file", printable(classes[label]), printable(folder)));
  }
  if (pictures.size() > limits::kTrainPicturesMax)
    return data_error(
        fmt::format("'{}' has {} pictures; at most {} are read", printable(folder), pictures.size(), limits::kTrainPicturesMax));
  if (pictures.empty())
    return data_error(fmt::format("'{}' has no folders; one folder of pictures for each class is expected", printable(folder)));
  return pictures;
}

Result<Tensor> prepare_picture(const std::string& path, const InputSection& section) {
  TIDELINE_TRY(const std::string file, read_file(path, limits::kImageFileBytesMax));
  const TensorSpec encoded{"", DType::kUint8, {static_cast<std::int64_t>(file.size())}};
  TensorView in{&encoded, std::as_bytes(std::span(file))};
  Tensor made;
  for (const InputStep step : {InputStep::kDecode, InputStep::kResize, InputStep::kNormalize}) {
    auto next = run_input_step(step, section, in);
    if (!next) return with_context(std::move(next).error(), fmt::format("'{}'", printable(path)));
    made = std::move(next).value();
    in = view(made);
  }
  return made;
}

Result<DataSet> read_pictures(const std::string& folder, const InputSection& section) {
  TIDELINE_TRY(const std::vector<Picture> pictures, list_pictures(folder));
  DataSet data;
  std::size_t filled = 0;
  for (const Picture& picture : pictures) {
    TIDELINE_TRY(const Tensor one, prepare_picture(picture.path, section));
    if (data.labels.empty()) {
      data.samples.spec = one.spec;
      data.samples.spec.shape.front() = static_cast<std::int64_t>(pictures.size());
      TIDELINE_TRY(const Bytes bytes, byte_size(one.spec.dtype, data.samples.spec.shape));
      if (bytes > limits::kTensorBytesMax)
        return data_error(fmt::format("{} pictures of {} are {}, and at most {} are kept in memory: make `size` smaller",
                                      pictures.size(), describe(one.spec), format_bytes(bytes),
                                      format_bytes(limits::kTensorBytesMax)));
      data.samples.data = Buffer(bytes);
    }
    const bool fits = std::equal(one.spec.shape.begin() + 1, one.spec.shape.end(), data.samples.spec.shape.begin() + 1,
                                 data.samples.spec.shape.end());
    if (!fits)
      return data_error(fmt::format("'{}' becomes {} and those before it another size: the input section must give one size",
                                    printable(picture.path), describe(one.spec)));
    std::memcpy(data.samples.data.data() + filled, one.data.data(), one.data.size());
    filled += one.data.size();
    data.labels.push_back(picture.label);
  }
  return data;
}

}  // namespace

Result<DataSet> read_data(const std::string& where, const InputSection* section) {
  if (where.starts_with("images:") && where.size() > 7) {
    if (section == nullptr)
      return data_error("pictures need an input section (model.yaml) that says their size, mean and std: give it with --config");
    return read_pictures(where.substr(7), *section);
  }
  DataSet data;
  Tensor labels;
  if (where.starts_with("idx:") && where.size() > 4) {
    const std::string prefix = where.substr(4);
    TIDELINE_TRY(data.samples, read_idx(prefix + "-images-idx3-ubyte"));
    TIDELINE_TRY(labels, read_idx(prefix + "-labels-idx1-ubyte"));
  } else if (where.starts_with("npy:") && where.size() > 4) {
    const std::string folder = where.substr(4);
    TIDELINE_TRY(data.samples, read_npy(folder + "/x.npy"));
    TIDELINE_TRY(labels, read_npy(folder + "/y.npy"));
  } else {
    return data_error(fmt::format("data is idx:PREFIX, npy:FOLDER or images:FOLDER, not '{}'", printable(where)));
  }
  TIDELINE_TRY(data.labels, labels_from(labels, where));
  const TensorSpec& spec = data.samples.spec;
  if ((spec.dtype != DType::kUint8 && spec.dtype != DType::kFloat32) || spec.shape.size() < 2)
    return data_error(fmt::format("the samples of '{}' are {}; uint8 or float32 of two dimensions or more is expected",
                                  printable(where), describe(spec)));
  if (data.labels.empty() || spec.shape.front() != static_cast<std::int64_t>(data.labels.size()))
    return data_error(fmt::format("'{}' has {} samples and {} labels; as many of both, and at least one, are expected",
                                  printable(where), spec.shape.front(), data.labels.size()));
  return data;
}

Result<Tensor> make_batch(const DataSet& data, std::span<const std::uint32_t> rows, const SampleForm& form) {
  const std::vector<std::int64_t> stored = sample_shape(data.samples);
  const bool is_bytes = data.samples.spec.dtype == DType::kUint8;
  const bool is_padded = is_bytes && form.shape.size() == 3 && stored.size() == 3 && form.shape[0] == 1 && stored[0] == 1 &&
                         stored[1] <= form.shape[1] && stored[2] <= form.shape[2];
  if (stored != form.shape && !is_padded)
    return data_error(
        fmt::format("samples of {} do not fit a model that takes {} (without the batch); only grey pictures of bytes "
                    "may be smaller",
                    describe({"", data.samples.spec.dtype, stored}), describe({"", DType::kFloat32, form.shape})));
  if (!(form.std > 0) || !std::isfinite(form.mean)) return data_error("std must be over zero, and mean a number");
  std::vector<std::int64_t> shape = form.shape;
  shape.insert(shape.begin(), static_cast<std::int64_t>(rows.size()));
  TIDELINE_TRY(const Bytes bytes, byte_size(DType::kFloat32, shape));
  Tensor batch{.spec = {.name = "", .dtype = DType::kFloat32, .shape = std::move(shape)}, .data = Buffer(bytes)};
  auto* to = reinterpret_cast<float*>(batch.data.data());
  const std::size_t stored_bytes = data.samples.data.size() / data.size();
  if (!is_bytes) {
    for (const std::uint32_t row : rows) {
      std::memcpy(to, data.samples.data.data() + row * stored_bytes, stored_bytes);
      to += stored_bytes / sizeof(float);
    }
    return batch;
  }
  float value_of[256];
  for (int byte = 0; byte < 256; ++byte) value_of[byte] = (static_cast<float>(byte) / 255 - form.mean) / form.std;
  const auto* from = reinterpret_cast<const std::uint8_t*>(data.samples.data.data());
  if (stored == form.shape) {
    for (const std::uint32_t row : rows)
      for (std::size_t i = 0; i < stored_bytes; ++i) *to++ = value_of[from[row * stored_bytes + i]];
    return batch;
  }
  const auto height = static_cast<std::size_t>(stored[1]), width = static_cast<std::size_t>(stored[2]);
  const auto wide = static_cast<std::size_t>(form.shape[2]), high = static_cast<std::size_t>(form.shape[1]);
  const std::size_t top = (high - height) / 2, left = (wide - width) / 2;
  std::fill_n(to, rows.size() * high * wide, value_of[0]);
  for (std::size_t k = 0; k < rows.size(); ++k)
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x)
        to[(k * high + top + y) * wide + left + x] = value_of[from[rows[k] * stored_bytes + y * width + x]];
  return batch;
}

}  // namespace tideline::train
