// ClusterClient: deploys a plan on a cluster and runs requests through it; the calling end of the whole chain.
//
// deploy() pushes to each node the segments it has not got and installs the stages from the last to the first; run() sends one
// request to the first node and returns the result with where its time went. A resource; run() may be called from many threads
// while no deploy() is under way.
//
//   TIDELINE_TRY(auto client, ClusterClient::connect(tcp, cluster));
//   TIDELINE_TRY(const auto report, client->deploy(model, chain, plan, cancel, on_progress));
//   TIDELINE_TRY(const auto answer, client->run(inputs, {.timeout = 1s}));
#pragma once

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

  using Progress = std::function<void(const std::string& node, Bytes done, Bytes total)>;
  Result<DeployReport> deploy(const Model& model, const Chain& chain, const Plan& plan, const CancelToken& cancel,
                              const Progress& progress);
  // `inputs` in the order of cut 0. kInvalidArgument unless a plan is deployed and they fit it.
  Result<RunAnswer> run(const std::vector<TensorView>& inputs, const RunRequest& request);
  // Round-trip time and goodput of the caller's own way to node i of the cluster.
  Result<std::shared_ptr<Peer>> peer(std::size_t node);

 private:
  Transport& transport_;
  Cluster cluster_;
  wire::SessionId session_;
  std::uint64_t epoch_ = 0;
  std::vector<std::string> inputs_;  // of the deployed plan
  std::vector<std::string> outputs_;
  std::mutex mutex_;
  // Guarded by mutex_: by node, null until used.
  std::vector<std::shared_ptr<Peer>> peers_;
};

}  // namespace tideline
