#include "session/load.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "base/limits.h"
#include "base/text.h"
#include "engine/probe.h"
#include "input/input_steps.h"
#include "model/segment.h"
#include "platform/files.h"
#include "session/source.h"
#include "tensor/npy.h"

namespace tideline {
namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

Error bad_shape(const std::string& text) {
  return Error{ErrorCode::kInvalidArgument, "--shape is NAME=1,3,224,224 (whole numbers), not " + printable(text)};
}

// Names may hold '=' and ':', so the last '=' separates.
Status parse_shape(const std::string& text, Shapes& shapes) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) return bad_shape(text);
  std::vector<std::int64_t> dims;
  for (const std::string& part : split(text.substr(equals + 1), ',')) {
    std::int64_t dim = 0;
    const auto [end, code] = std::from_chars(part.data(), part.data() + part.size(), dim);
    if (code != std::errc() || end != part.data() + part.size() || dim < 0) return bad_shape(text);
    dims.push_back(dim);
  }
  shapes[text.substr(0, equals)] = std::move(dims);
  return {};
}

// The model's input that the section prepares.
Result<const TensorSpec*> image_input(const Model& model, const InputSection& section) {
  const Graph& graph = model.graph();
  for (const TensorId id : graph.inputs) {
    const TensorSpec& spec = graph.tensor(id).spec;
    if (spec.name == section.tensor || (section.tensor.empty() && graph.inputs.size() == 1)) return &spec;
  }
  return Error{ErrorCode::kInvalidArgument,
               section.tensor.empty()
                   ? "the model has several inputs: name the image's in the input section (tensor: NAME)"
                   : "the input section's tensor " + printable(section.tensor) + " is not an input of the model"};
}

struct Sample {
  Buffer file;
  std::uint32_t width = 0;
  std::uint32_t height = 0;
};

TensorSpec encoded_spec(std::size_t bytes) { return {"", DType::kUint8, {static_cast<std::int64_t>(bytes)}}; }

Result<Sample> read_sample(const InputSection& section, const std::string& path) {
  if (path.empty()) {
    return Error{ErrorCode::kInvalidArgument, "the input section needs a sample image: give one with --input FILE"};
  }
  TIDELINE_TRY(const std::string bytes, read_file(path, limits::kImageFileBytesMax));
  Sample sample;
  sample.file = Buffer::copy_of(std::as_bytes(std::span(bytes)));
  const TensorSpec spec = encoded_spec(bytes.size());
  auto pixels = run_input_step(InputStep::kDecode, section, {&spec, sample.file.span()});
  if (!pixels) return with_context(std::move(pixels).error(), path);
  sample.height = static_cast<std::uint32_t>(pixels->spec.shape[0]);
  sample.width = static_cast<std::uint32_t>(pixels->spec.shape[1]);
  return sample;
}

// The tensor of cut 0 that the first input step reads, if there is one: in its place the steps put the model's input.
std::optional<std::size_t> encoded_tensor(const Chain& chain) {
  if (chain.blocks.empty() || !chain.blocks[0].step) return std::nullopt;
  for (std::size_t i = 0; i < chain.cuts[0].tensors.size(); ++i) {
    if (chain.cuts[0].tensors[i].name != chain.cuts[kInputSteps].tensors[i].name) return i;
  }
  return std::nullopt;
}

Result<Tensor> read_npy_file(const std::string& path, const TensorSpec& expected) {
  TIDELINE_TRY(const std::string bytes, read_file(path, limits::kModelFileBytesMax));
  auto tensor = parse_npy(bytes, expected.name);
  if (!tensor) return with_context(std::move(tensor).error(), path);
  if (tensor->spec.dtype != expected.dtype || tensor->spec.shape != expected.shape) {
    return Error{ErrorCode::kInvalidArgument, path + " holds " + describe(tensor->spec) + ", the model's input " +
                                                  printable(expected.name) + " is " + describe(expected) +
                                                  "; give the model's --shape or convert the file"};
  }
  return tensor;
}

Tensor copy_of(const Tensor& tensor) { return {tensor.spec, Buffer::copy_of(tensor.data.span())}; }

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

Result<std::vector<Tensor>> sample_of(const Chain& chain, const Model& model, std::optional<Sample> image) {
  TIDELINE_TRY(std::vector<Tensor> seeded, seeded_inputs(model, 1));
  const auto encoded = encoded_tensor(chain);
  std::vector<Tensor> sample;
  for (std::size_t i = 0; i < chain.cuts[0].tensors.size(); ++i) {
    const TensorSpec& spec = chain.cuts[0].tensors[i];
    if (encoded == i && image) {
      TensorSpec file_spec = encoded_spec(image->file.size());
      file_spec.name = spec.name;
      sample.push_back({std::move(file_spec), std::move(image->file)});
      continue;
    }
    const auto found = std::find_if(seeded.begin(), seeded.end(), [&](const Tensor& t) { return t.spec.name == spec.name; });
    if (found == seeded.end()) return Error{ErrorCode::kInternal, "no value for the input " + printable(spec.name)};
    sample.push_back(copy_of(*found));
  }
  return sample;
}

}  // namespace

namespace {

// The sizes and the input section that configuration and options give.
struct Configured {
  Shapes shapes;
  std::optional<InputSection> section;
};

Result<Configured> configure(const ModelArguments& arguments) {
  Configured configured;
  if (!arguments.config.empty()) {
    TIDELINE_TRY(const std::string yaml, read_source(arguments.config, limits::kYamlFileBytesMax));
    TIDELINE_TRY(ModelConfig config, parse_model_config(yaml, source_name(arguments.config)));
    configured.section = std::move(config.input);
    for (TensorSpec& spec : config.shapes) configured.shapes[spec.name] = std::move(spec.shape);
  }
  for (const std::string& shape : arguments.shapes) TIDELINE_CHECK_OK(parse_shape(shape, configured.shapes));
  return configured;
}

constexpr std::string_view kReading = "Reading the model";
constexpr std::size_t kReadingSteps = 3;

Result<LoadedModel> load(Model model, std::optional<InputSection> section, const ModelArguments& arguments,
                         const Control& control) {
  control.report({kReading, 1, kReadingSteps, "running it once"});
  TIDELINE_TRY(std::unique_ptr<Engine> engine, make_engine({.threads = arguments.threads}));
  ChainOptions options{.cut_width = arguments.cut_width};
  std::optional<Sample> image;
  if (section) {
    TIDELINE_TRY(const TensorSpec* spec, image_input(model, *section));
    section->tensor = spec->name;
    // An input that is given as .npy replaces the whole section.
    if (arguments.input.empty() && !arguments.needs_sample) {
      options.input = section;
    } else if (!arguments.input.ends_with(".npy")) {
      // Of a folder: its first file stands for all.
      std::string path = arguments.input;
      if (is_folder(path)) {
        TIDELINE_TRY(const std::vector<std::string> files, list_files(path));
        if (files.empty()) return Error{ErrorCode::kNotFound, "the folder " + path + " has no files"};
        path += "/" + files.front();
      }
      TIDELINE_TRY(image, read_sample(*section, path));
      options.input = section;
      options.sample_file_bytes = image->file.size();
      options.sample_width = image->width;
      options.sample_height = image->height;
    }
  }
  TIDELINE_CHECK_OK(probe_shapes(*engine, model, {.cancel = &control.cancel}));
  control.report({kReading, 2, kReadingSteps, "finding its cuts"});
  TIDELINE_TRY(Chain chain, make_chain(model.graph(), model.sha256(), options));
  std::vector<Tensor> sample;
  if (arguments.needs_sample || image) {
    TIDELINE_TRY(sample, sample_of(chain, model, std::move(image)));
  }
  LoadedModel loaded{std::move(engine), std::move(model), std::move(chain), std::move(sample)};
  if (!arguments.input.empty() && !loaded.chain.input && !is_folder(arguments.input)) {
    TIDELINE_TRY(loaded.sample, read_input(loaded, arguments.input));
  }
  return loaded;
}

}  // namespace

Result<Model> read_model(const std::string& path, const ModelOptions& options) {
  if (path != "-") return Model::load(path, options);
  TIDELINE_TRY(const std::string onnx, read_source(path, limits::kModelFileBytesMax));
  return Model::parse(onnx, source_name(path), "", options);
}

std::vector<TensorView> LoadedModel::sample_views() const {
  std::vector<TensorView> views;
  for (const Tensor& tensor : sample) views.push_back(view(tensor));
  return views;
}

Result<LoadedModel> load_model(const ModelArguments& arguments, const Control& control) {
  TIDELINE_TRY(Configured configured, configure(arguments));
  control.report({kReading, 0, kReadingSteps, ""});
  TIDELINE_TRY(Model model, read_model(arguments.model, {.shapes = std::move(configured.shapes), .input = configured.section}));
  return load(std::move(model), std::move(configured.section), arguments, control);
}

Result<LoadedModel> load_model_bytes(std::string_view onnx, std::string_view name, const ModelArguments& arguments,
                                     const Control& control) {
  TIDELINE_TRY(Configured configured, configure(arguments));
  control.report({kReading, 0, kReadingSteps, ""});
  TIDELINE_TRY(Model model, Model::parse(onnx, name, "", {.shapes = std::move(configured.shapes), .input = configured.section}));
  return load(std::move(model), std::move(configured.section), arguments, control);
}

Result<std::vector<Tensor>> read_input(const LoadedModel& loaded, const std::string& path) {
  std::vector<Tensor> tensors;
  for (const Tensor& tensor : loaded.sample) tensors.push_back(copy_of(tensor));
  if (const auto encoded = encoded_tensor(loaded.chain)) {
    TIDELINE_TRY(const std::string bytes, read_file(path, limits::kImageFileBytesMax));
    Tensor& image = tensors[*encoded];
    image.data = Buffer::copy_of(std::as_bytes(std::span(bytes)));
    image.spec.shape = {static_cast<std::int64_t>(bytes.size())};
    return tensors;
  }
  const auto& specs = loaded.chain.cuts[0].tensors;
  if (is_folder(path)) {
    for (std::size_t i = 0; i < specs.size(); ++i) {
      // Names come from the model, and a model may be hostile.
      if (specs[i].name.find('/') != std::string::npos)
        return Error{ErrorCode::kInvalidArgument,
                     "the input " + printable(specs[i].name) + " has a name that cannot be a file's"};
      TIDELINE_TRY(tensors[i], read_npy_file(path + "/" + specs[i].name + ".npy", specs[i]));
    }
    return tensors;
  }
  if (!path.ends_with(".npy")) {
    return Error{ErrorCode::kInvalidArgument,
                 path + " is no .npy file; an image needs an input section: give one with --config model.yaml"};
  }
  if (specs.size() != 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "the model has " + std::to_string(specs.size()) + " inputs: give a folder with one NAME.npy for each"};
  }
  TIDELINE_TRY(tensors[0], read_npy_file(path, specs[0]));
  return tensors;
}

Result<std::vector<std::string>> input_files(const LoadedModel& loaded, const std::string& path) {
  // A folder of NAME.npy is one input of a model that has several.
  if (!is_folder(path) || (!loaded.chain.input && loaded.chain.cuts[0].tensors.size() > 1)) return std::vector<std::string>{path};
  TIDELINE_TRY(const std::vector<std::string> names, list_files(path));
  std::vector<std::string> files;
  for (const std::string& name : names) {
    if (loaded.chain.input || name.ends_with(".npy")) files.push_back(path + "/" + name);
  }
  if (files.empty()) return Error{ErrorCode::kNotFound, "the folder " + path + " has no inputs for this model"};
  return files;
}

Result<Unsplit> Unsplit::load(const LoadedModel& loaded) {
  TIDELINE_TRY(const Segment whole, extract_segment(loaded.model, loaded.chain, 0, loaded.chain.block_count() - 1));
  TIDELINE_TRY(auto session, loaded.engine->load(whole.bytes, {}));
  return Unsplit(loaded, std::move(session));
}

Result<std::vector<Tensor>> Unsplit::run(const std::vector<Tensor>& inputs, const CancelToken& cancel) {
  std::vector<TensorView> views;
  for (const TensorSpec& spec : session_->inputs()) {
    for (const Tensor& tensor : inputs)
      if (tensor.spec.name == spec.name) views.push_back(view(tensor));
  }
  std::vector<RunOutput> outputs(session_->outputs().size());
  TIDELINE_CHECK_OK(session_->run(views, outputs, {.cancel = &cancel}));
  std::vector<Tensor> answer;
  for (const TensorSpec& wanted : loaded_->chain.cuts.back().tensors) {
    for (std::size_t i = 0; i < outputs.size(); ++i)
      if (session_->outputs()[i].name == wanted.name) answer.push_back({outputs[i].spec, Buffer::copy_of(outputs[i].bytes)});
    // A model may hand an input straight through.
    for (const Tensor& tensor : inputs)
      if (tensor.spec.name == wanted.name) answer.push_back(copy_of(tensor));
  }
  return answer;
}

}  // namespace tideline
