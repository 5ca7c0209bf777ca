// The command-line options that name a model and its input, and what they become: an engine, the model with its measured shapes,
// its chain of blocks, and sample values of cut 0. Shared by inspect, profile, plan and run.
//
//   const auto arguments = std::make_shared<ModelArguments>();
//   add_model_options(*command, *arguments);
//   ...
//   TIDELINE_TRY(const LoadedModel loaded, load_model(context, *arguments));
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command.h"
#include "engine/engine.h"
#include "model/chain.h"
#include "model/model.h"

namespace tideline::app {

struct ModelArguments {
  std::string model;                // an .onnx file
  std::string config;               // model.yaml; empty: none
  std::vector<std::string> shapes;  // NAME=1,3,224,224
  std::uint32_t cut_width = 1;
  std::string input;  // a JPEG or PNG for an input section, an .npy otherwise; empty: seeded numbers
  int threads = 1;
  // False: an input section is content without a sample image; the sizes of cuts 0 and 1 are then not known, and LoadedModel has
  // no sample.
  bool needs_sample = true;
};

// MODEL, --config, --shape, --cut-width, --input and --threads.
void add_model_options(CLI::App& command, ModelArguments& arguments);

struct LoadedModel {
  std::unique_ptr<Engine> engine;
  Model model;
  Chain chain;
  std::vector<Tensor> sample;  // one value for each tensor of chain.cuts[0], in that order
};

// Loads the model, runs it once to learn its shapes, and cuts it. Shows what it is doing on a terminal; stops at Ctrl-C.
// With an input section the sample image comes from --input: without one kInvalidArgument says so.
Result<LoadedModel> load_model(const Context& context, const ModelArguments& arguments);

// The tensors of cut 0 with the contents of one file: an image when the chain starts with input steps, an .npy otherwise (for a
// model of several inputs: a folder with one NAME.npy for each). Tensors that the file does not give keep their value of
// `sample`.
Result<std::vector<Tensor>> read_input(const LoadedModel& loaded, const std::string& path);

// The files that --input names: itself, or all images and .npy files in a folder, sorted.
Result<std::vector<std::string>> input_files(const LoadedModel& loaded, const std::string& path);

}  // namespace tideline::app
