#include "session/inputs.h"

#include <algorithm>
#include <filesystem>

#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "platform/files.h"
#include "tensor/npy.h"

namespace tideline {
namespace {

Error refused(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

// A name whose parts are names of files: nothing empty, nothing that leads out of the folder.
bool is_path_of_names(const std::string& name) {
  const std::vector<std::string> parts = split(name, '/');
  return name.find('\0') == std::string::npos &&
         std::none_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty() || part.front() == '.'; });
}

bool fits(const TensorSpec& expected, const TensorSpec& found) {
  if (expected.dtype != found.dtype) return false;
  // Graphs write an input's rank that is not known as one unknown dimension.
  if (!has_rank(expected.shape) || expected.shape == std::vector<std::int64_t>{kUnknownDim}) return true;
  return std::equal(expected.shape.begin(), expected.shape.end(), found.shape.begin(), found.shape.end(),
                    [](std::int64_t wanted, std::int64_t got) { return wanted == kUnknownDim || wanted == got; });
}

class Gathering {
 public:
  Gathering(const ModelArguments& arguments, const Model& model, const InputSection* section)
      : arguments_(arguments), section_(section) {
    const Graph& graph = model.graph();
    for (const TensorId id : graph.inputs) inputs_.push_back(graph.tensor(id).spec);
    for (const TensorId id : graph.default_inputs) {
      defaults_.push_back(graph.tensor(id).spec);
      // A default may give way to a value of another size where the file allows it; Model::set_default checks.
      defaults_.back().shape = {kUnknownRank};
    }
  }

  Result<GivenInputs> gather() {
    for (const std::string& text : arguments_.values) TIDELINE_CHECK_OK(take_named(text));
    if (arguments_.input.empty()) return std::move(given_);
    if (is_folder(arguments_.input)) {
      TIDELINE_CHECK_OK(take_folder(arguments_.input));
    } else {
      TIDELINE_CHECK_OK(take_file(arguments_.input));
    }
    return std::move(given_);
  }

 private:
  const TensorSpec* find(std::string_view name) const {
    for (const std::vector<TensorSpec>* list : {&inputs_, &defaults_})
      for (const TensorSpec& spec : *list)
        if (spec.name == name) return &spec;
    return nullptr;
  }
  bool is_given(const std::string& name) const { return given_.values.contains(name); }
  bool takes_picture(const std::string& name) const { return section_ != nullptr && name == section_->tensor; }

  Status take(const TensorSpec& spec, const std::string& path, bool named) {
    TIDELINE_TRY(Tensor value, read_value(path, spec));
    given_.values.insert_or_assign(spec.name, std::move(value));
    if (named) given_.named.push_back(spec.name);
    return {};
  }

  // Names may hold '=', and so may files: the first '=' behind the name of an input separates.
  Status take_named(const std::string& text) {
    for (std::size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
      const std::string name = text.substr(0, at);
      const std::string path = text.substr(at + 1);
      const TensorSpec* spec = find(name);
      if (spec == nullptr) continue;
      if (is_given(name) || (takes_picture(name) && !given_.picture.empty()))
        return refused(fmt::format("--input gives {} twice", printable(name)));
      if (takes_picture(name) && !path.ends_with(".npy")) {
        given_.picture = path;
        return {};
      }
      return take(*spec, path, true);
    }
    std::vector<std::string_view> names;
    for (const TensorSpec& spec : inputs_) names.emplace_back(spec.name);
    for (const TensorSpec& spec : defaults_) names.emplace_back(spec.name);
    return refused(fmt::format("--input {}: there is no such file, and no input of that name; the inputs are: {}",
                               printable(text), printable(fmt::format("{}", fmt::join(names, ", ")), 400)));
  }

  // NAME.npy for any input; for the only one that is left, the first of the other files stands for all.
  Status take_folder(const std::string& folder) {
    const bool has_pictures = section_ != nullptr && !is_given(section_->tensor) && given_.picture.empty();
    std::vector<const TensorSpec*> missing;
    for (const std::vector<TensorSpec>* list : {&inputs_, &defaults_})
      for (const TensorSpec& spec : *list) {
        if (is_given(spec.name) || takes_picture(spec.name)) continue;
        const std::string path = find_input_file(folder, spec.name);
        if (!path.empty()) {
          TIDELINE_CHECK_OK(take(spec, path, true));
        } else if (list == &inputs_) {
          missing.push_back(&spec);
        }
      }
    TIDELINE_TRY(const std::vector<std::string> files, stream_files(folder, has_pictures));
    if (has_pictures) {
      if (files.empty()) return Error{ErrorCode::kNotFound, fmt::format("the folder {} has no pictures", printable(folder))};
      given_.picture = files.front();
      return {};
    }
    if (missing.empty()) return {};
    if (missing.size() > 1 || (files.empty() && inputs_.size() > 1))
      return Error{
          ErrorCode::kNotFound,
          fmt::format("the folder {} has no {} for the model's input {}; give it there or as --input NAME=FILE",
                      printable(folder), printable(input_file_name(missing.front()->name)), printable(missing.front()->name))};
    if (files.empty()) return Error{ErrorCode::kNotFound, fmt::format("the folder {} has no .npy files", printable(folder))};
    return take(*missing.front(), files.front(), false);
  }

  // The files that are no input's own, sorted.
  Result<std::vector<std::string>> stream_files(const std::string& folder, bool pictures) const {
    TIDELINE_TRY(const std::vector<std::string> names, list_files(folder));
    std::vector<std::string> files;
    for (const std::string& name : names)
      if (name.ends_with(".npy") != pictures && !is_own_file(name)) files.push_back(folder + "/" + name);
    return files;
  }
  bool is_own_file(const std::string& file) const {
    const auto owns = [&](const TensorSpec& spec) { return file == spec.name + ".npy" || file == input_file_name(spec.name); };
    return std::any_of(inputs_.begin(), inputs_.end(), owns) || std::any_of(defaults_.begin(), defaults_.end(), owns);
  }

  Status take_file(const std::string& path) {
    if (!path.ends_with(".npy")) {
      if (section_ == nullptr)
        return refused(printable(path, 400) +
                       " is no .npy file; an image needs an input section: give one with --config model.yaml");
      given_.picture = path;
      return {};
    }
    std::vector<const TensorSpec*> open;
    for (const TensorSpec& spec : inputs_)
      if (!is_given(spec.name)) open.push_back(&spec);
    // An input that is given as .npy replaces the whole section.
    const auto picture =
        std::find_if(open.begin(), open.end(), [&](const TensorSpec* spec) { return takes_picture(spec->name); });
    if (picture != open.end()) return take(**picture, path, false);
    if (open.size() == 1) return take(*open.front(), path, false);
    if (open.empty()) return refused(fmt::format("--input {}: every input is given already", printable(path, 400)));
    return refused(
        fmt::format("the model has {} inputs: give a folder with one NAME.npy for each, or --input NAME=FILE", inputs_.size()));
  }

  const ModelArguments& arguments_;
  const InputSection* section_;
  std::vector<TensorSpec> inputs_;
  std::vector<TensorSpec> defaults_;
  GivenInputs given_;
};

}  // namespace

std::vector<TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<TensorView> views;
  for (const Tensor& tensor : tensors) views.push_back(view(tensor));
  return views;
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::string input_file_name(std::string_view input) {
  std::string name;
  for (const char c : input) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '/' || c == '%' || byte < 0x20 || byte == 0x7f || (c == '.' && name.empty()))
      name += fmt::format("%{:02X}", byte);
    else
      name += c;
  }
  return name + ".npy";
}

std::string find_input_file(const std::string& folder, const std::string& input) {
  // Names come from the model, and a model may be hostile: no path of its making leaves the folder.
  std::string path = folder + "/" + input_file_name(input);
  if (exists(path)) return path;
  path = folder + "/" + input + ".npy";
  return is_path_of_names(input) && exists(path) ? path : "";
}

Result<Tensor> read_value(const std::string& path, const TensorSpec& expected) {
  TIDELINE_TRY(const std::string bytes, read_file(path, limits::kModelFileBytesMax));
  return parse_value(bytes, expected, path);
}

Result<Tensor> parse_value(std::string_view bytes, const TensorSpec& expected, const std::string& path) {
  auto tensor = parse_npy(bytes, expected.name);
  if (!tensor) return with_context(std::move(tensor).error(), printable(path, 400));
  // NumPy has no bfloat16: its 16 bits come as a whole number.
  if (expected.dtype == DType::kBfloat16 && tensor->spec.dtype == DType::kUint16) tensor->spec.dtype = DType::kBfloat16;
  if (!fits(expected, tensor->spec))
    return refused(fmt::format("{} holds {}, the model's input {} is {}; give the model's --shape or convert the file",
                               printable(path, 400), describe(tensor->spec), printable(expected.name), describe(expected)));
  return tensor;
}

Result<GivenInputs> gather_inputs(const ModelArguments& arguments, const Model& model, const InputSection* section) {
  return Gathering(arguments, model, section).gather();
}

}  // namespace tideline
