// Model: an ONNX file that has been read, checked and made a Graph; the source of segments.
//
// Reading is hostile-safe: size, recursion and structure are checked before anything is believed, external data stays inside the
// model's folder, and every refusal is one sentence with kInvalidArgument, kCorrupt or kUnsupported (exit code 3).
// A resource: holds the weights; move-only; const methods are thread-safe.
//
//   TIDELINE_TRY(Model model, Model::load("det.onnx", {.shapes = {{"x", {1, 3, 640, 640}}}}));
//   TIDELINE_CHECK_OK(probe_shapes(engine, model));              // engine/probe.h
//   TIDELINE_TRY(const Chain chain, make_chain(model.graph(), model.sha256(), {}));
//   TIDELINE_TRY(const Segment head, extract_segment(model, chain, 0, 4));
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "input/input_section.h"
#include "model/chain.h"
#include "model/graph.h"

namespace tideline {

struct ModelOptions {
  // Sizes for dynamic inputs, by input name; must agree with the static dimensions of the file.
  std::map<std::string, std::vector<std::int64_t>> shapes;
  // Gives the dynamic dimensions of its input tensor their size, where `shapes` does not.
  std::optional<InputSection> input;
  // The outputs that are wanted, in this order; empty: all of the file's, in its order. The others are none of the model's then,
  // and what only they need is not computed.
  std::vector<std::string> outputs;
  // Early outputs (model.yaml): behind the others among the graph's outputs, in this order. Without `outputs` the others are all
  // but these.
  std::vector<std::string> exits;
};

class Model {
 public:
  // External data is read from regular files of one name inside the model's folder; when `path` is a symbolic link, also from
  // those in the folder of the file behind it that links in the model's folder name, as download caches have them.
  static Result<Model> load(const std::string& path, const ModelOptions& options = {});
  // `folder` is where external data may lie; empty: external data is refused.
  static Result<Model> parse(std::string_view bytes, std::string_view name, const std::string& folder,
                             const ModelOptions& options = {});
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const std::string& name() const;
  // Of the file's bytes, followed by those of its external data files in the order of their names.
  const Sha256& sha256() const;
  const Graph& graph() const;
  // Gives an input of graph().default_inputs another value than its default; the model is then another one (sha256). To be called
  // before set_shapes. kInvalidArgument when it is no such input, or type and shape do not fit.
  Status set_default(const Tensor& value);
  // Gives inputs whose dimensions the file leaves open their sizes, as ModelOptions::shapes does. Before set_shapes.
  Status fix_shapes(const std::map<std::string, std::vector<std::int64_t>>& shapes);
  // Sets measured shapes (and declared ones that the engine inferred) by tensor name, makes Shape ops that they settle constants,
  // and computes FLOPs; see engine/probe.h.
  struct KnownShape {
    std::string tensor;
    DType dtype;
    std::vector<std::int64_t> declared;  // kUnknownDim or {kUnknownRank} where only the run tells
    std::vector<std::int64_t> measured;
  };
  Status set_shapes(const std::vector<KnownShape>& shapes);

  // The whole model as ONNX bytes with its weights inside and the dynamic inputs fixed; `all_outputs` also makes every
  // intermediate tensor an output. kUnsupported above 2 GB.
  Result<std::string> onnx_bytes(bool all_outputs = false) const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tideline
