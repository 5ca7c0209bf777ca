// What a model and its input are named by, and what they become: an engine, the model with its measured shapes, its chain of
// blocks, and sample values of cut 0. Where everything about a model begins: inspecting, profiling, planning, running.
//
//   TIDELINE_TRY(const LoadedModel loaded, load_model({.model = "det.onnx", .config = "det.yaml", .input = "photo.jpg"}, {}));
//   TIDELINE_TRY(const std::vector<Tensor> inputs, read_input(loaded, "other.jpg"));
//   TIDELINE_TRY(Unsplit unsplit, Unsplit::load(loaded));
//   TIDELINE_TRY(const std::vector<Tensor> outputs, unsplit.run(inputs, {}));
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "model/chain.h"
#include "model/model.h"
#include "session/control.h"

namespace tideline {

// As on the command line.
struct ModelArguments {
  std::string model;                // an .onnx file; "-": standard input
  std::string config;               // model.yaml; empty: none
  std::vector<std::string> shapes;  // NAME=1,3,224,224
  std::uint32_t cut_width = 1;
  // A JPEG or PNG for an input section, an .npy otherwise, or a folder (session/inputs.h); empty: seeded numbers.
  std::string input;
  std::vector<std::string> values;  // NAME=FILE, for any input, beside a picture too
  int threads = 1;
  // False: an input section is content without a sample image; the sizes of cuts 0 and 1 are then not known, and LoadedModel has
  // no sample.
  bool needs_sample = true;
};

// An early output that model.yaml names, and the blocks up to it.
struct LoadedExit {
  double accuracy = 1;
  Chain chain;
};

// A resource; move-only. Const use from several threads is safe as far as its parts are.
struct LoadedModel {
  std::unique_ptr<Engine> engine;
  Model model;
  Chain chain;
  std::vector<Tensor> sample;  // one value for each tensor of chain.cuts[0], in that order
  // The inputs for which nobody gave a value: seeded numbers took their place, in the probe and in `sample`.
  std::vector<std::string> made_up_inputs;
  std::vector<std::string> named_inputs;  // given by name: the same in every request
  std::vector<std::string> labels = {};   // of the output section's classes; empty: none were given
  std::optional<double> accuracy = {};    // of the whole model, where model.yaml says it
  std::vector<LoadedExit> exits = {};     // in the order of model.yaml

  // Of `sample`, as ClusterClient::run takes them.
  std::vector<TensorView> sample_views() const;
};

// Loads the model, runs it once to learn its shapes, and cuts it. With an input section the sample image comes from
// `arguments.input`: without one kInvalidArgument says so.
Result<LoadedModel> load_model(const ModelArguments& arguments, const Control& control);
// The same for a model in memory; `arguments.model` is not looked at, and external data is refused.
Result<LoadedModel> load_model_bytes(std::string_view onnx, std::string_view name, const ModelArguments& arguments,
                                     const Control& control);

// What runs when the model is left by that exit (empty: the whole model). Valid as long as `loaded`. kInvalidArgument when
// model.yaml names no such exit.
Result<const Chain*> chain_to(const LoadedModel& loaded, const std::string& exit);
// From here on the model ends at that exit: `chain` is the exit's. kInvalidArgument when model.yaml names no such exit.
Status leave_by(LoadedModel& loaded, const std::string& exit);

// Model::load() of a file that a person names: "-" is standard input, without external data.
Result<Model> read_model(const std::string& path, const ModelOptions& options);

// The tensor of cut 0 that is a picture's file, if there is one.
std::optional<std::size_t> picture_tensor(const Chain& chain);

// "--cut-width 4 gives 116 blocks instead of 17", or nothing when wider cuts give few more.
std::optional<std::string> width_hint(const LoadedModel& loaded, std::uint32_t cut_width);

// The tensors of cut 0 with the contents of one file: an image when the chain starts with input steps, an .npy otherwise (for a
// model of several inputs: a folder with one NAME.npy for each). Tensors that the file does not give, and those given by name,
// keep their value of `sample`.
Result<std::vector<Tensor>> read_input(const LoadedModel& loaded, const std::string& path);

// The same with the bytes of one file in memory; `name` is for errors.
Result<std::vector<Tensor>> read_input_bytes(const LoadedModel& loaded, std::string_view bytes, const std::string& name);

// The files that a path of inputs names: itself, or all images and .npy files in a folder, sorted.
Result<std::vector<std::string>> input_files(const LoadedModel& loaded, const std::string& path);

// The whole chain as one segment in this process: what a split run must answer. Loaded once, run for each input.
class Unsplit {
 public:
  // `loaded` must outlive this.
  static Result<Unsplit> load(const LoadedModel& loaded, const SessionOptions& options = {});
  // `inputs` in the order of cut 0; the answer in the order of the last cut.
  Result<std::vector<Tensor>> run(const std::vector<Tensor>& inputs, const CancelToken& cancel);
  Session& session() { return *session_; }

 private:
  Unsplit(const LoadedModel& loaded, std::unique_ptr<Session> session) : loaded_(&loaded), session_(std::move(session)) {}
  const LoadedModel* loaded_;
  std::unique_ptr<Session> session_;
};

}  // namespace tideline
