// ClusterClient: deploys a plan on a cluster and runs requests through it; the calling end of the whole route.
//
// deploy() pushes to each node the segments it has not got and installs its stages; run() sends one request to the source's node
// and returns the result with where its time went; a RunStream (client/stream.h) keeps several under way. The caller reaches only
// the source's node: for the others messages are passed on along the route, unless the last link there has an address of its own,
// which says that the node's is the caller's way to it. A resource. run() and streams may be used from many threads, also while
// one deploy() is under way: a request that has begun ends under the plan it began with.
//
//   ClusterClient client(tcp, cluster);
//   TIDELINE_TRY(const auto report, client.deploy(model, chain, plan, cancel, {}));
//   TIDELINE_TRY(const auto answer, client.run(inputs, {.timeout = 1s}));
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/limits.h"
#include "client/peer.h"
#include "client/report.h"
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

// What the plan's requests have of a node, by its name: parts of its engine, and of the link over which it calls the next one.
// Nodes keep to them where others have shares too; kOverloaded when together they are more than there is.
using NodeShares = std::map<std::string, wire::Share, std::less<>>;

struct RunRequest {
  Nanos timeout = limits::kRequestDeadlineDefault;
  CancelToken cancel;
};

class ClusterClient {
 public:
  // Connects when a plan is deployed, at most `connect_timeout` for each node. `transport` must outlive the client.
  ClusterClient(Transport& transport, const Cluster& cluster, std::chrono::nanoseconds connect_timeout = limits::kConnectTimeout);
  ~ClusterClient();

  // May be empty.
  using Progress = std::function<void(const std::string& node, Bytes done, Bytes total)>;
  // The plan before stays until its last request has ended, and is then forgotten by the nodes. Where both do not fit into a
  // node's memory, the old one goes first; it is put back if the new one does not fit alone either.
  Result<DeployReport> deploy(const Model& model, const Chain& chain, const Plan& plan, const CancelToken& cancel,
                              const Progress& progress, const NodeShares& shares = {});
  // `inputs` in the order of cut 0. kInvalidArgument unless a plan is deployed and they fit it; kCorrupt when the result is not
  // what the plan ends with.
  Result<RunAnswer> run(const std::vector<TensorView>& inputs, const RunRequest& request);

  // A request under way. The client must outlive it.
  class Ticket;
  // The first part of run(): sends as soon as the source's node has room. The inputs may go when it has returned.
  Result<std::unique_ptr<Ticket>> start(const std::vector<TensorView>& inputs, const RunRequest& request);
  // The second: the answer, once per ticket, whatever happens.
  Result<RunAnswer> finish(Ticket& ticket);

  // The caller's own way to node i of the cluster: its status, round-trip time and goodput.
  Result<std::shared_ptr<Peer>> peer(std::size_t node, SteadyTime deadline = kNoDeadline);
  // The status of node i, by the way that deploy() takes to it.
  Result<wire::NodeStatus> status(std::size_t node, SteadyTime deadline);

 private:
  // How a node is reached: a peer, and the nodes from there on.
  struct Way {
    std::size_t peer = 0;
    Peer::Path via;
  };
  // A plan on the nodes.
  struct Deployed {
    std::uint64_t epoch = 0;
    // By node of the cluster: what is installed there.
    struct Part {
      std::size_t node = 0;
      std::vector<wire::ProgramStage> stages;
    };
    std::vector<Part> parts;  // in the order of their first stages
    StageRoots roots;
    std::uint32_t stages = 0;
    std::vector<std::string> inputs;
    std::vector<TensorSpec> outputs;  // as the last cut says; unknown dimensions stay open. None: wanted nowhere
    std::size_t running = 0;          // guarded by mutex_
    bool retired = false;             // guarded by mutex_: a later plan has taken over
  };
  // Straight to a node that has an address of its own for us and answers there, otherwise along the route.
  Way way_to(std::size_t node);
  // Calls `call` with the peer of the way, and once more when that turns out to be dead.
  template <class Call>
  auto manage(const Way& way, Call call) -> decltype(call(std::declval<Peer&>()));
  Status install(const Deployed& deployed, const CancelToken& cancel);
  // Forgets the plans up to and with that one on its nodes; what a node answers does not matter.
  void uninstall(const Deployed& deployed);
  // Counts one request less, and forgets a retired plan after its last.
  void finished(const std::shared_ptr<Deployed>& deployed);

  Transport& transport_;
  Cluster cluster_;
  const std::chrono::nanoseconds connect_timeout_;  // of one node
  std::vector<Way> ways_;                           // along the route, by node; empty where the cluster's routes do not lead
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
  // By node: it has an address that none of its neighbours uses, and has not been silent there yet.
  std::vector<bool> has_own_address_;
};

class ClusterClient::Ticket {
 public:
  Ticket(ClusterClient& client, std::shared_ptr<Deployed> plan);
  // Cancels the request when its answer was not fetched.
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

 private:
  friend class ClusterClient;
  // Where tensor `position` of the result goes, when it is what the plan ends with.
  Result<std::span<std::byte>> buffer_for(std::size_t position, const wire::WireTensor& tensor);

  ClusterClient& client_;
  const std::shared_ptr<Deployed> plan_;
  const SteadyTime began_;
  std::shared_ptr<Peer> peer_;
  std::unique_ptr<Peer::Pending> pending_;
  RunAnswer answer_;
};

}  // namespace tideline
