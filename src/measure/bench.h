// Times many segments fairly on a machine that is not quiet: several are loaded at once and run in turn, with the whole model in
// every round, so that what slows the machine down slows all of them down, and is divided out.
//
// Running in turn also means that a segment finds its weights and inputs out of the cache as far as the others have pushed them
// out: that is what happens on a node between two requests.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "engine/engine.h"
#include "model/chain.h"
#include "model/model.h"

namespace tideline {

struct SegmentRange {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  auto operator<=>(const SegmentRange&) const = default;
};

struct SegmentTiming {
  SegmentRange range;
  Millis time{0};              // lower quartile of its runs
  Millis spread{0};            // half the distance between the quartiles
  Millis reference{0};         // lower quartile of the whole model's runs in between
  double reference_error = 0;  // its relative standard error
  Millis wall{0};              // lower quartile of its runs by the clock: what a busy host makes of `time`
};

class SegmentBench {
 public:
  // All must outlive this. `sample`: values of cut 0.
  SegmentBench(Engine& engine, const Model& model, const Chain& chain, const CancelToken* cancel)
      : engine_(engine), model_(model), chain_(chain), cancel_(cancel) {}

  // Runs the input steps, then the model once with every tensor as an output, and keeps the tensors of every cut: the inputs of
  // the segments to come.
  Status fill_cuts(const std::vector<Tensor>& sample);

  // Loads the whole model and keeps it loaded as the reference.
  struct Reference {
    Millis load{0};
    Millis time{0};  // of a run alone, to plan with
    Bytes memory_bytes = 0;
  };
  Result<Reference> load_reference();

  struct Effort {
    std::uint32_t rounds_min = 5;
    std::uint32_t rounds_max = 25;
    // Rounds end when the median of every segment of the batch is known to this relative standard error.
    double relative_error = 0.01;
    // Or when the batch has taken this long and has rounds_min.
    Millis time_max{2000};
  };
  // Loads the segments, measures them, unloads them. The last of the answer is the whole model.
  // REQUIRES: fill_cuts and load_reference.
  Result<std::vector<SegmentTiming>> measure(const std::vector<SegmentRange>& segments, const Effort& effort);

  // The values of a cut's tensors, in its order; they live as long as this. REQUIRES: fill_cuts.
  Result<std::vector<const Tensor*>> cut_values(std::size_t cut) const;

  // The blocks from a cut to the end as one segment, to be run on other values of the cut's tensors. This must outlive it.
  class Tail;
  Result<Tail> load_tail(std::uint32_t cut) const;

  // The engine's kernel times of the ops among these blocks as one segment; none when all of them are steps. REQUIRES: fill_cuts.
  Result<std::vector<KernelTime>> kernel_times(SegmentRange range, std::uint32_t runs);

 private:
  struct Loaded {
    SegmentRange range;
    std::unique_ptr<Session> session;
    std::vector<TensorView> inputs;
    std::vector<RunOutput> outputs;
    std::vector<double> samples;  // milliseconds
    std::vector<double> wall;     // the same runs by the clock
  };
  struct Times {
    Millis time{0};
    Millis wall{0};
  };
  Result<Loaded> load(SegmentRange range, const SessionOptions& options) const;
  Result<Times> run(Loaded& loaded) const;
  Status fill_from_model();
  // Runs one block of a step on the values that there are.
  Status fill_from_step(std::uint32_t block);
  Status check_cancelled() const;

  Engine& engine_;
  const Model& model_;
  const Chain& chain_;
  const CancelToken* cancel_;
  std::map<std::string, Tensor, std::less<>> values_;  // by name
  std::unique_ptr<Loaded> reference_;
};

class SegmentBench::Tail {
 public:
  // What the blocks make; an input that is not among `values` has the sample's.
  Result<std::vector<Tensor>> run(const std::vector<Tensor>& values);

 private:
  friend class SegmentBench;
  Tail(const SegmentBench& bench, Loaded loaded) : bench_(&bench), loaded_(std::move(loaded)) {}
  const SegmentBench* bench_;
  Loaded loaded_;
};

}  // namespace tideline
