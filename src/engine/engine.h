// Engine: runs one segment. ONNX Runtime is behind it (engine/onnxruntime/), with the input steps in front.
//
// An Engine is shared by all sessions of a process and must outlive them; thread-safe. A Session may run from one thread at a
// time unless said otherwise. Nothing a model does ends the process: memory is limited by the arena, time by the deadline.
//
//   TIDELINE_TRY(auto engine, make_engine({.threads = 1}));
//   TIDELINE_TRY(auto session, engine->load(segment.bytes, {}));
//   std::vector<RunOutput> outputs(session->outputs().size());
//   TIDELINE_CHECK_OK(session->run(inputs, outputs, {.deadline = now + 50ms}));
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/units.h"
#include "tensor/tensor.h"

namespace tideline {

struct EngineOptions {
  int threads = 1;  // of one run
  // The arena's limit: activations of all sessions of the process. Weights come on top; limits::kModelFileBytesMax bounds those.
  Bytes memory_bytes = limits::kEngineMemoryBytesDefault;
  bool spinning = false;  // idle threads of a run spin: a little faster alone on the machine, much slower for its neighbours
};

struct SessionOptions {
  bool optimize = true;  // graph optimisations; off for the probe
  bool kernel_profile = false;
  // Loading ends with kDeadlineExceeded or kCancelled at the engine's next step after these.
  std::optional<SteadyTime> deadline;
  const CancelToken* cancel = nullptr;
};

struct RunOptions {
  std::optional<SteadyTime> deadline;   // the run ends with kDeadlineExceeded soon after it, whatever the model does
  const CancelToken* cancel = nullptr;  // kCancelled
};

// Where an output goes. With `buffer` set and its size equal to the output's, the engine writes there and nowhere else; otherwise
// the engine's own memory is lent until `owner` goes.
struct RunOutput {
  std::span<std::byte> buffer;
  TensorSpec spec;                   // filled by run: the real shape
  std::span<const std::byte> bytes;  // filled by run
  std::shared_ptr<void> owner;
};

// The time of one kernel of the engine's optimised graph: the lower quartile of the profiled runs.
struct KernelTime {
  std::string name;  // of the fused node
  std::string op_type;
  Millis time{0};
  // Names of the tensors it reads and makes. Tensors of the original graph keep their names; those that the optimiser made up
  // (other memory layouts) do not occur in it.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  // Their shapes, in the same order: in the kernel's own memory layout, weights as they lie there. Empty where they are not
  // known.
  std::vector<std::vector<std::int64_t>> input_shapes;
  std::vector<std::vector<std::int64_t>> output_shapes;
  bool blocked = false;              // works on channels in blocks
  std::vector<std::int64_t> kernel;  // of convolutions and pools, as the optimised graph has them
  std::vector<std::int64_t> stride;
  std::int64_t groups = 1;
  bool operator==(const KernelTime&) const = default;
};

class Session {
 public:
  virtual ~Session() = default;
  virtual const std::vector<TensorSpec>& inputs() const = 0;  // as in the package
  virtual const std::vector<TensorSpec>& outputs() const = 0;
  // `inputs` in the order of inputs(), read in place; `outputs` in the order of outputs().
  // kInvalidArgument when a dtype or shape does not fit.
  virtual Status run(std::span<const TensorView> inputs, std::span<RunOutput> outputs, const RunOptions& options) = 0;
  // Kernel times since load, in the order of execution, without the first run (it warms up); ends profiling.
  // kInvalidArgument without kernel_profile, or when called twice.
  virtual Result<std::vector<KernelTime>> kernel_times() = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  // A segment package (model/segment.h), checked. `package` need not outlive the call. Errors: kUnsupported for ops or types that
  // the engine does not have, kCorrupt or kInvalidArgument for what is no valid model, kOverloaded when memory_bytes is reached.
  virtual Result<std::unique_ptr<Session>> load(std::string_view package, const SessionOptions& options) = 0;
  // A whole ONNX model, without input steps.
  virtual Result<std::unique_ptr<Session>> load_onnx(std::string_view onnx, const SessionOptions& options) = 0;
  virtual std::string version() const = 0;  // "ONNX Runtime 1.30.0"
  virtual int threads() const = 0;
};

// ONNX Runtime keeps one environment per process: engines that live at the same time share one arena, and memory_bytes is what
// all of them may use together. kInvalidArgument when another engine lives that has another limit; outputs that are still lent
// keep its arena alive.
Result<std::unique_ptr<Engine>> make_engine(const EngineOptions& options);

}  // namespace tideline
