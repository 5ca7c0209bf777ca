#include "session/load.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "engine/probe.h"
#include "input/input_steps.h"
#include "model/model_config.h"
#include "model/segment.h"
#include "platform/files.h"
#include "session/inputs.h"
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

Tensor copy_of(const Tensor& tensor) { return {tensor.spec, Buffer::copy_of(tensor.data.span())}; }

// What the model sees of the picture.
Result<Tensor> picture_value(InputSection section, const Sample& image, DType dtype) {
  if (dtype == DType::kFloat16 || dtype == DType::kUint8) section.dtype = dtype;
  const TensorSpec spec = encoded_spec(image.file.size());
  TIDELINE_TRY(const Tensor pixels, run_input_step(InputStep::kDecode, section, {&spec, image.file.span()}));
  TIDELINE_TRY(const Tensor resized, run_input_step(InputStep::kResize, section, view(pixels)));
  return run_input_step(InputStep::kNormalize, section, view(resized));
}

// A value for each of the model's inputs: what was given, the picture through its steps, numbers from a seed for the rest.
Result<std::vector<Tensor>> probe_inputs(const Model& model, const GivenInputs& given, const std::optional<InputSection>& section,
                                         const std::optional<Sample>& image, std::vector<std::string>& made_up) {
  const bool follows = section && section->follow && image;
  TIDELINE_TRY(std::vector<Tensor> values, seeded_inputs(model, 1, follows ? section->tensor : std::string_view()));
  if (follows) {
    const std::vector<TensorId>& inputs = model.graph().inputs;
    const auto place = std::find_if(inputs.begin(), inputs.end(),
                                    [&](TensorId id) { return model.graph().tensor(id).spec.name == section->tensor; });
    TIDELINE_TRY(Tensor picture, picture_value(*section, *image, model.graph().tensor(*place).spec.dtype));
    values.insert(values.begin() + (place - inputs.begin()), std::move(picture));
  }
  for (Tensor& value : values) {
    const std::string& name = value.spec.name;
    if (const auto found = given.values.find(name); found != given.values.end()) {
      value = copy_of(found->second);
    } else if (follows && section->tensor == name) {
      continue;
    } else if (section && section->tensor == name && image) {
      TIDELINE_TRY(Tensor picture, picture_value(*section, *image, value.spec.dtype));
      // A section that does not fit the input is make_chain's to explain.
      if (picture.spec == value.spec) value = std::move(picture);
    } else {
      made_up.push_back(name);
    }
  }
  return values;
}

Result<std::vector<Tensor>> sample_of(const Chain& chain, const std::vector<Tensor>& values, std::optional<Sample> image) {
  const auto encoded = picture_tensor(chain);
  std::vector<Tensor> sample;
  for (std::size_t i = 0; i < chain.cuts[0].tensors.size(); ++i) {
    const TensorSpec& spec = chain.cuts[0].tensors[i];
    if (encoded == i && image) {
      TensorSpec file_spec = encoded_spec(image->file.size());
      file_spec.name = spec.name;
      sample.push_back({std::move(file_spec), std::move(image->file)});
      continue;
    }
    const auto found = std::find_if(values.begin(), values.end(), [&](const Tensor& t) { return t.spec.name == spec.name; });
    if (found == values.end()) return Error{ErrorCode::kInternal, "no value for the input " + printable(spec.name)};
    sample.push_back(copy_of(*found));
  }
  return sample;
}

// The values that the user gave for inputs with defaults, and the sizes of the others where the model leaves them open.
Status settle(Model& model, const GivenInputs& given) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const auto& [name, value] : given.values) {
    const Graph& graph = model.graph();
    const bool has_default = std::any_of(graph.default_inputs.begin(), graph.default_inputs.end(),
                                         [&, &wanted = name](TensorId id) { return graph.tensor(id).spec.name == wanted; });
    if (has_default) {
      TIDELINE_CHECK_OK(model.set_default(value));
    } else {
      shapes.emplace(name, value.spec.shape);
    }
  }
  return shapes.empty() ? Status() : model.fix_shapes(shapes);
}

Error with_made_up(Error error, const std::vector<std::string>& made_up) {
  if (error.code != ErrorCode::kCancelled && !made_up.empty())
    error.message += fmt::format(" (made-up numbers were given for {}: give real ones with --input NAME=FILE.npy)",
                                 printable(fmt::format("{}", fmt::join(made_up, ", ")), 200));
  return error;
}

}  // namespace

namespace {

// The sizes and the input section that configuration and options give.
struct Configured {
  Shapes shapes;
  std::optional<InputSection> section;
  std::optional<OutputSection> output;
  std::optional<double> accuracy;
  std::vector<ExitSection> exits;

  std::vector<std::string> exit_names() const {
    std::vector<std::string> names;
    for (const ExitSection& exit : exits) names.push_back(exit.output);
    return names;
  }
  ModelOptions model_options() const {
    return {.shapes = shapes,
            .input = section,
            .outputs = output ? output->tensors : std::vector<std::string>(),
            .exits = exit_names()};
  }
};

// The file of labels lies beside the configuration that names it.
Status read_labels(const std::string& config, OutputSection& output) {
  if (output.labels_file.empty()) return {};
  const std::filesystem::path path = std::filesystem::path(config).parent_path() / output.labels_file;
  TIDELINE_TRY(const std::string text, read_file(path.string(), limits::kConfigFileBytesMax));
  TIDELINE_TRY(output.labels, parse_labels(text, printable(path.string(), 400)));
  return {};
}

Result<Configured> configure(const ModelArguments& arguments) {
  Configured configured;
  if (!arguments.config.empty()) {
    TIDELINE_TRY(const std::string yaml, read_source(arguments.config, limits::kYamlFileBytesMax));
    TIDELINE_TRY(ModelConfig config, parse_model_config(yaml, source_name(arguments.config)));
    configured.section = std::move(config.input);
    configured.output = std::move(config.output);
    configured.accuracy = config.accuracy;
    configured.exits = std::move(config.exits);
    if (configured.output) TIDELINE_CHECK_OK(read_labels(arguments.config, *configured.output));
    for (TensorSpec& spec : config.shapes) configured.shapes[spec.name] = std::move(spec.shape);
  }
  for (const std::string& shape : arguments.shapes) TIDELINE_CHECK_OK(parse_shape(shape, configured.shapes));
  return configured;
}

constexpr std::string_view kReading = "Reading the model";
constexpr std::size_t kReadingSteps = 3;

Result<LoadedModel> load(Model model, Configured configured, const ModelArguments& arguments, const Control& control) {
  std::optional<InputSection> section = std::move(configured.section);
  control.report({kReading, 1, kReadingSteps, "running it once"});
  TIDELINE_TRY(std::unique_ptr<Engine> engine, make_engine({.threads = arguments.threads}));
  ChainOptions options{.cut_width = arguments.cut_width, .exits = configured.exit_names()};
  if (configured.output) options.output_steps = configured.output->steps;
  if (section) {
    TIDELINE_TRY(const TensorSpec* spec, image_input(model, *section));
    section->tensor = spec->name;
  }
  TIDELINE_TRY(const GivenInputs given, gather_inputs(arguments, model, section ? &*section : nullptr));
  TIDELINE_CHECK_OK(settle(model, given));
  std::optional<Sample> image;
  // Before anything is run: what the model sees has no size yet.
  if (section && section->follow && given.picture.empty() && !given.values.contains(section->tensor))
    return Error{ErrorCode::kInvalidArgument, "the sizes of the model follow the picture: give one with --input FILE"};
  // An input that is given as .npy replaces the whole section.
  if (section && !given.values.contains(section->tensor)) {
    options.input = section;
    if (arguments.needs_sample || !given.picture.empty()) {
      TIDELINE_TRY(image, read_sample(*section, given.picture));
      options.sample_file_bytes = image->file.size();
      options.sample_width = image->width;
      options.sample_height = image->height;
    }
  }
  std::vector<std::string> made_up;
  TIDELINE_TRY(const std::vector<Tensor> values, probe_inputs(model, given, section, image, made_up));
  if (Status probed = probe_shapes(*engine, model, values, {.cancel = &control.cancel}); !probed)
    return with_made_up(std::move(probed).error(), made_up);
  control.report({kReading, 2, kReadingSteps, "finding its cuts"});
  TIDELINE_TRY(Chain chain, make_chain(model.graph(), model.sha256(), options));
  std::vector<LoadedExit> exits;
  for (const ExitSection& exit : configured.exits) {
    TIDELINE_TRY(Chain exit_chain, make_exit_chain(model.graph(), chain, options, exit.output));
    exits.push_back({.accuracy = exit.accuracy, .chain = std::move(exit_chain)});
  }
  std::vector<Tensor> sample;
  if (arguments.needs_sample || image || !options.input) {
    TIDELINE_TRY(sample, sample_of(chain, values, std::move(image)));
  }
  return LoadedModel{std::move(engine),
                     std::move(model),
                     std::move(chain),
                     std::move(sample),
                     std::move(made_up),
                     given.named,
                     configured.output ? std::move(configured.output->labels) : std::vector<std::string>(),
                     configured.accuracy,
                     std::move(exits)};
}

}  // namespace

// In its place the steps put the model's input.
std::optional<std::size_t> picture_tensor(const Chain& chain) {
  if (chain.blocks.empty() || !chain.blocks[0].step) return std::nullopt;
  for (std::size_t i = 0; i < chain.cuts[0].tensors.size(); ++i) {
    if (chain.cuts[0].tensors[i].name != chain.cuts[kInputSteps].tensors[i].name) return i;
  }
  return std::nullopt;
}

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
  TIDELINE_TRY(Model model, read_model(arguments.model, configured.model_options()));
  return load(std::move(model), std::move(configured), arguments, control);
}

Result<LoadedModel> load_model_bytes(std::string_view onnx, std::string_view name, const ModelArguments& arguments,
                                     const Control& control) {
  TIDELINE_TRY(Configured configured, configure(arguments));
  control.report({kReading, 0, kReadingSteps, ""});
  TIDELINE_TRY(Model model, Model::parse(onnx, name, "", configured.model_options()));
  return load(std::move(model), std::move(configured), arguments, control);
}

Result<const Chain*> chain_to(const LoadedModel& loaded, const std::string& exit) {
  if (exit.empty()) return &loaded.chain;
  std::vector<std::string_view> names;
  for (const LoadedExit& known : loaded.exits) {
    if (known.chain.exit->output == exit) return &known.chain;
    names.push_back(known.chain.exit->output);
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("the plan leaves by the exit '{}', {}", printable(exit),
                           names.empty() ? "but no exits are given: name them in the model.yaml of --config"
                                         : fmt::format("but the exits of model.yaml are: {}",
                                                       printable(fmt::format("{}", fmt::join(names, ", ")), 400)))};
}

Status leave_by(LoadedModel& loaded, const std::string& exit) {
  TIDELINE_TRY(const Chain* chain, chain_to(loaded, exit));
  if (chain != &loaded.chain) loaded.chain = *chain;
  return {};
}

std::optional<std::string> width_hint(const LoadedModel& loaded, std::uint32_t cut_width) {
  ChainOptions options{.cut_width = cut_width, .input = loaded.chain.input};
  for (const LoadedExit& exit : loaded.exits) options.exits.push_back(exit.chain.exit->output);
  const auto wider = wider_cuts(loaded.model.graph(), loaded.chain, options);
  if (!wider) return std::nullopt;
  return fmt::format("--cut-width {} gives {} blocks instead of {}", wider->width, wider->blocks, loaded.chain.blocks.size());
}

Result<std::vector<Tensor>> read_input_bytes(const LoadedModel& loaded, std::string_view bytes, const std::string& name) {
  std::vector<Tensor> tensors;
  for (const Tensor& tensor : loaded.sample) tensors.push_back(copy_of(tensor));
  if (const auto encoded = picture_tensor(loaded.chain)) {
    Tensor& image = tensors[*encoded];
    image.data = Buffer::copy_of(std::as_bytes(std::span(bytes)));
    image.spec.shape = {static_cast<std::int64_t>(bytes.size())};
    return tensors;
  }
  const auto is_named = [&](const TensorSpec& spec) {
    return std::find(loaded.named_inputs.begin(), loaded.named_inputs.end(), spec.name) != loaded.named_inputs.end();
  };
  const auto& specs = loaded.chain.cuts[0].tensors;
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (is_named(specs[i])) continue;
    if (open)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("the model has {} inputs: give a folder with one NAME.npy for each, or "
                               "--input NAME=FILE",
                               specs.size())};
    open = i;
  }
  if (!open) return tensors;
  TIDELINE_TRY(tensors[*open], parse_value(bytes, specs[*open], name));
  return tensors;
}

Result<std::vector<Tensor>> read_input(const LoadedModel& loaded, const std::string& path) {
  const bool is_picture = picture_tensor(loaded.chain).has_value();
  // A folder of NAME.npy is one request, and load_model has read it.
  if (!is_picture && is_folder(path)) {
    std::vector<Tensor> tensors;
    for (const Tensor& tensor : loaded.sample) tensors.push_back(copy_of(tensor));
    return tensors;
  }
  if (!is_picture && !path.ends_with(".npy")) {
    return Error{ErrorCode::kInvalidArgument, printable(path, 400) +
                                                  " is no .npy file; an image needs an input section: give one "
                                                  "with --config model.yaml"};
  }
  TIDELINE_TRY(const std::string bytes, read_file(path, is_picture ? limits::kImageFileBytesMax : limits::kModelFileBytesMax));
  return read_input_bytes(loaded, bytes, path);
}

Result<std::vector<std::string>> input_files(const LoadedModel& loaded, const std::string& path) {
  if (!is_folder(path)) return std::vector<std::string>{path};
  const bool has_pictures = picture_tensor(loaded.chain).has_value();
  const std::vector<TensorSpec>& specs = loaded.chain.cuts[0].tensors;
  const auto open = static_cast<std::size_t>(std::count_if(specs.begin(), specs.end(), [&](const TensorSpec& spec) {
    return std::find(loaded.named_inputs.begin(), loaded.named_inputs.end(), spec.name) == loaded.named_inputs.end();
  }));
  // A folder of NAME.npy is one input of a model that has several.
  if (!has_pictures && open != 1) return std::vector<std::string>{path};
  TIDELINE_TRY(const std::vector<std::string> names, list_files(path));
  const auto is_own = [&](const std::string& file) {
    const auto owns = [&](const std::string& input) { return find_input_file(path, input) == path + "/" + file; };
    const Graph& graph = loaded.model.graph();
    return std::any_of(graph.inputs.begin(), graph.inputs.end(), [&](TensorId id) { return owns(graph.tensor(id).spec.name); }) ||
           std::any_of(graph.default_inputs.begin(), graph.default_inputs.end(),
                       [&](TensorId id) { return owns(graph.tensor(id).spec.name); });
  };
  std::vector<std::string> files;
  for (const std::string& name : names)
    if (name.ends_with(".npy") != has_pictures && !is_own(name)) files.push_back(path + "/" + name);
  if (files.empty()) return Error{ErrorCode::kNotFound, "the folder " + printable(path, 400) + " has no inputs for this model"};
  return files;
}

Result<Unsplit> Unsplit::load(const LoadedModel& loaded, const SessionOptions& options) {
  TIDELINE_TRY(const Segment whole, extract_segment(loaded.model, loaded.chain, 0, loaded.chain.block_count() - 1));
  TIDELINE_TRY(auto session, loaded.engine->load(whole.bytes, options));
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
