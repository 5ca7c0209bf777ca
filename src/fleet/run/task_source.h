// One source of a task that runs: its way into the cluster, and the requests that it sends at its rate. And what it sends: the
// inputs of its model, read once for all tasks that use it.
//
// Thread-safe: deploy() may be called while stream() runs, which goes on with the new plan.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "client/client.h"
#include "fleet/fleet.h"
#include "fleet/plan_fleet.h"
#include "fleet/run/frame_pipe.h"
#include "session/control.h"
#include "session/load.h"
#include "transport/transport.h"

namespace tideline::fleet {

// What one model's sources send, in turn, and, to verify, what must come back.
struct ModelInputs {
  std::vector<std::vector<Tensor>> values;
  std::vector<std::vector<Tensor>> references;
  DType narrowest = DType::kUndefined;
  std::unique_ptr<FramePipe> frames;  // of a model whose frames come on standard input; `values` are what they are like
  // Whether that is the answer to request `number`; true without references.
  bool is_answer(std::uint64_t number, const std::vector<Tensor>& outputs) const;
};
// kInvalidArgument to verify what comes on standard input.
Result<ModelInputs> read_inputs(const FleetModel& model, const LoadedModel& loaded, bool verify, const Control& control);

// What requests of one source of a task have of the nodes on their way, as the plan reserves it: of the gateway's engine and its
// uplink its share, of a periodic task no more than a quarter over what its rate needs, of the cloud a quarter more than the
// mean, of the link to the gateway the part that the task's data are of all. Nothing where the plan reserves nothing: it must be
// of the queueing model.
NodeShares shares_of(const Fleet& fleet, const FleetProfiles& profiles, const FleetPlan& plan, std::size_t task,
                     std::size_t source);

// When a source sends: sources of one fleet do not start in step.
struct SourceTiming {
  std::size_t number = 0;  // of all sources of a fleet
  Nanos duration{0};       // 0: until it is cancelled
  double times_rate = 1;   // of the rate that the task has said
};
struct SourcePace {
  double rate_hz = 0;
  Millis late_start{0};
  std::uint32_t in_flight = 1;  // at most under way at once
};
SourcePace pace_of(const FleetTask& task, std::size_t source, const SourceTiming& timing);

// What becomes of requests; called from the thread of the stream.
struct RequestSink {
  std::function<void(Millis latency, const RunAnswer& answer, bool is_right)> answered;
  std::function<void(const Error& error)> failed;
  std::function<void(std::uint64_t count)> dropped;
};

class TaskSource {
 public:
  // `inputs` and `transport` must outlive it. `cluster`: with addresses that work from here.
  TaskSource(FleetTask task, std::size_t source, const ModelInputs& inputs, Transport& transport, const Cluster& cluster);

  // Pushes and installs, and has a few answers so that connections are made and engines warm.
  Status deploy(const LoadedModel& loaded, const Plan& plan, const NodeShares& shares, const CancelToken& cancel);

  // A request that is due when no frame has come is none. Sends until the duration is over or it is cancelled. kOverloaded when
  // the system gives no thread to send with.
  Status stream(SteadyTime start, const SourceTiming& timing, const RequestSink& sink, const CancelToken& cancel) const;

 private:
  Result<RunAnswer> ask(const std::vector<Tensor>& values, const CancelToken& cancel) const;

  const FleetTask task_;
  const std::size_t source_;
  const ModelInputs& inputs_;
  std::unique_ptr<ClusterClient> client_;
};

// What answers took of links and nodes, in bytes and milliseconds, is told to `add` by the index of link or node.
void add_use(const Cluster& cluster, const RunAnswer& answer,
             const std::function<void(bool is_link, std::size_t index, double amount)>& add);

}  // namespace tideline::fleet
