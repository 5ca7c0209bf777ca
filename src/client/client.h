// ClusterClient: deploys a plan on a cluster and runs requests through it; the calling end of the whole chain.
//
// deploy() pushes to each node the segments it has not got and installs the stages from the last to the first; run() sends one
// request to the first node and returns the result with where its time went. A resource; run() may be called from many threads,
// also while one deploy() is under way: a request that has begun ends under the plan it began with.
//
//   ClusterClient client(tcp, cluster);
//   TIDELINE_TRY(const auto report, client.deploy(model, chain, plan, cancel, {}));
//   TIDELINE_TRY(const auto answer, client.run(inputs, {.timeout = 1s}));
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/peer.h"
#include "cluster/cluster.h"
#include "model/chain.h"
#include "model/model.h"
#include "plan/plan.h"
#include "transport/transport.h"

namespace tideline {

struct DeployReport {
  std::uint32_t segments = 0;
  std::uint32_t segments_pushed = 0;
  Bytes bytes_pushed = 0;
};

struct RunRequest {
  Nanos timeout = limits::kRequestDeadlineDefault;
  CancelToken cancel;
};

// Where the time of one request went, in the order of the chain.
struct StageReport {
  std::string node;
  Millis queue{0};     // waiting for the engine
  Millis compute{0};   // in it
  Millis send{0};      // to the next node and its result back, without that node's own time; of the last stage 0
  Millis overhead{0};  // the rest of this node's own time
  Bytes bytes = 0;     // forward to the next node
};

struct RunAnswer {
  std::vector<Tensor> outputs;  // in the order of the last cut
  std::vector<StageReport> stages;
  Millis latency{0};  // from the caller's send to the last byte of the result
  Millis inject{0};   // of that, to and from the first node
};

class ClusterClient {
 public:
  // Connects when a plan is deployed, and only to the nodes that it uses. `transport` must outlive the client.
  ClusterClient(Transport& transport, const Cluster& cluster);
  ~ClusterClient();

  // May be empty.
  using Progress = std::function<void(const std::string& node, Bytes done, Bytes total)>;
  // The plan before stays until its last request has ended, and is then forgotten by the nodes. Where both do not fit into a
  // node's memory, the old one goes first; it is put back if the new one does not fit alone either.
  Result<DeployReport> deploy(const Model& model, const Chain& chain, const Plan& plan, const CancelToken& cancel,
                              const Progress& progress);
  // `inputs` in the order of cut 0. kInvalidArgument unless a plan is deployed and they fit it.
  Result<RunAnswer> run(const std::vector<TensorView>& inputs, const RunRequest& request);
  // The caller's own way to node i of the cluster: its status, round-trip time and goodput.
  Result<std::shared_ptr<Peer>> peer(std::size_t node, SteadyTime deadline = kNoDeadline);

 private:
  // A plan on the nodes.
  struct Deployed {
    std::uint64_t epoch = 0;
    std::vector<wire::Install> stages;
    std::vector<std::size_t> nodes;  // of the cluster, by stage
    std::vector<std::string> inputs;
    std::vector<TensorSpec> outputs;  // as the last cut says; unknown dimensions stay open
    std::size_t running = 0;          // guarded by mutex_
    bool retired = false;             // guarded by mutex_: a later plan has taken over
  };
  Status install(const Deployed& deployed, const CancelToken& cancel);
  // Forgets the plans up to and with that one on its nodes; what a node answers does not matter.
  void uninstall(const Deployed& deployed);
  // Counts one request less, and forgets a retired plan after its last.
  void finished(const std::shared_ptr<Deployed>& deployed);

  Transport& transport_;
  Cluster cluster_;
  wire::SessionId session_;
  std::uint64_t epochs_ = 0;  // of the deploying thread
  std::mutex mutex_;
  // Guarded by mutex_:
  std::shared_ptr<Deployed> deployed_;
  std::condition_variable connected_;
  // By node, null until used; `connecting` while one thread connects and the others wait for it, each until its own deadline.
  struct Slot {
    std::shared_ptr<Peer> peer;
    bool connecting = false;
  };
  std::vector<Slot> peers_;
};

}  // namespace tideline
