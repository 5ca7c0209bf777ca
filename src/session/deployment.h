// Deployment: a model running on a cluster, for a program that embeds this library. (experimental)
//
// open() loads the model, plans unless a plan is given, pushes what the nodes lack and installs it; run() answers one request and
// may be called from several threads. A resource; movable. The nodes run `tideline node` (or `tideline local up`). Costs: open()
// measures this host for some seconds when it has to plan and a node has no profile; run() is one walk over the route.
//
//   TIDELINE_TRY(Deployment deployment, Deployment::open({.model = "det.onnx", .cluster = "cluster.yaml"}, {}));
//   TIDELINE_TRY(Deployment::Answer answer, deployment.run(deployment.sample(), {}));
//   use(answer.outputs[0]);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "session/control.h"
#include "tensor/tensor.h"

namespace tideline {

struct DeploymentOptions {
  std::string model{};                // an .onnx file
  std::string config{};               // model.yaml: how the input arrives; empty: none
  std::string sample{};               // an input to measure with: an image with an input section, otherwise .npy; empty: numbers
  std::vector<std::string> shapes{};  // of inputs that the model leaves open: "x=1,3,480,640"
  std::string cluster{};              // cluster.yaml: the nodes with their addresses, and the links
  // How to place it: a *.plan.json, or the first block of each next node of a chain, or (neither) the best plan by the profiles.
  std::string plan{};
  std::vector<std::uint32_t> cuts{};
  std::vector<std::string> codecs{};    // by hand, as `run --codec` takes them; empty: as the plan says
  std::vector<std::string> profiles{};  // FILE for every node, or NODE=FILE
  double profile_seconds = 5;           // how long to measure where a profile is missing
  Millis timeout{30'000};               // of one request
};

class Deployment {
 public:
  struct Placed {
    std::string node;
    std::uint32_t first_block = 0;
    std::uint32_t last_block = 0;
  };
  struct Answer {
    std::vector<Tensor> outputs;
    Millis latency{0};
  };
  struct StreamOptions {
    std::uint32_t in_flight = 4;  // requests under way at once
    double rate_per_s = 0;        // of the source; 0: a frame whenever the route takes one
    bool drop_oldest = false;     // when the source is too fast, the frame that waits goes; otherwise frames wait
    std::uint64_t frames = 0;     // 0: until `cancel`
  };
  struct StreamResult {
    std::uint64_t answers = 0;
    std::uint64_t dropped = 0;
  };

  // kInvalidArgument, kNotFound and the like name what to correct; kDisconnected the node that is not there.
  static Result<Deployment> open(const DeploymentOptions& options, const Control& control);
  Deployment(Deployment&&) noexcept;
  Deployment& operator=(Deployment&&) noexcept;
  ~Deployment();

  const std::vector<Placed>& placed() const;
  std::optional<Millis> predicted() const;  // the latency of a request; nothing without profiles
  // The input that was loaded: one tensor for each of the model's (or the image file's bytes).
  const std::vector<Tensor>& sample() const;
  std::vector<Tensor> copy_of_sample() const;  // a copy of it, for a frame of its own
  // The input that a file holds, as `sample` above.
  Result<std::vector<Tensor>> read(const std::string& file) const;

  Result<Answer> run(const std::vector<Tensor>& inputs, const CancelToken& cancel) const;
  // Many requests with several in flight: `source` gives the inputs of frame n, on a thread of this call; `sink` takes the
  // answers on the calling thread, in order. The first error of a request, of `source` or of `sink` ends it and is returned.
  Result<StreamResult> stream(const StreamOptions& options,
                              const std::function<Result<std::vector<Tensor>>(std::uint64_t)>& source,
                              const std::function<Status(std::uint64_t, Answer)>& sink, const CancelToken& cancel) const;
  // The unsplit model's answer, computed in this process: what run() must agree with.
  Result<std::vector<Tensor>> run_unsplit(const std::vector<Tensor>& inputs) const;

 private:
  struct State;
  explicit Deployment(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tideline
