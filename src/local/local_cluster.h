// LocalCluster: a whole cluster on this machine, one daemon for each node of a cluster file.
//
// As root, each node lives in a network namespace of its own, joined to the others by its links alone, which are shaped to their
// bandwidths by the kernel. Without root, or where namespaces are not to be had, the nodes listen on loopback and their transport
// shapes each link. Round-trip times are always the transport's work. Slower nodes stretch their measured compute time.
//
// A resource: the destructor ends the daemons and removes the namespaces; when this process is killed, its daemons die with it,
// and the next local cluster removes the namespaces. Not thread-safe.
//
//   TIDELINE_TRY(auto local, LocalCluster::start(cluster, {.binary = "/proc/self/exe", .store_folder = folder.path()}, cancel));
//   run(local->cluster());   // the same nodes and links, with addresses that work from here
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/cancel.h"
#include "base/result.h"
#include "cluster/cluster.h"
#include "local/namespaces.h"
#include "platform/process.h"

namespace tideline {

enum class LinkEmulation {
  kAuto,        // kNamespaces where it works, otherwise kTransport
  kNamespaces,  // network namespaces and tbf; needs root
  kTransport,   // loopback and a token bucket in the transport
  kNone,        // loopback, unshaped
};

struct LocalOptions {
  std::string binary = "/proc/self/exe";  // the tideline binary
  std::string store_folder;               // segments are kept below it, one folder for each node
  LinkEmulation emulation = LinkEmulation::kAuto;
  std::string log_folder;  // NODE.log for each daemon; empty: their logs go to standard error
  // In namespaces: whether this process reaches every node, or the source alone.
  bool reach_all = true;
};

class LocalCluster {
 public:
  // kUnsupported when kNamespaces is asked for and cannot be had; kDisconnected when a daemon does not come up.
  static Result<std::unique_ptr<LocalCluster>> start(const Cluster& cluster, const LocalOptions& options,
                                                     const CancelToken& cancel);
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;
  LocalCluster& operator=(const LocalCluster&) = delete;

  const Cluster& cluster() const { return cluster_; }
  LinkEmulation emulation() const { return emulation_; }
  // Daemons that have ended since the last call, each with how: "node 'camera' has ended: signal 9 (Killed)".
  std::vector<std::string> news();
  // For fault tests: the daemon of node i.
  pid_t process(std::size_t node) const { return processes_[node].id(); }

 private:
  LocalCluster() = default;
  Status start_daemon(std::size_t node, const LocalOptions& options, const CancelToken& cancel);

  Cluster cluster_;
  LinkEmulation emulation_ = LinkEmulation::kNone;
  std::unique_ptr<Namespaces> namespaces_;
  std::vector<Process> processes_;
  std::vector<bool> reported_;
};

}  // namespace tideline
