// Namespaces: the network of one local cluster, made of network namespaces of this host. Internal.
//
// Each node has a namespace; each link of the cluster is a veth pair of its own between two of them, whose ends are shaped by
// `tbf` to the link's two rates; a further, unshaped pair joins the source's namespace to this process. So whoever calls reaches
// the source and nobody else, as in life. What runs that were killed have left behind goes when the next one starts. Needs root.
// A resource: the destructor removes everything. Not thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"
#include "platform/descriptor.h"

namespace tideline {

class Namespaces {
 public:
  // With `reach_all` every node is joined to this process and not only the source.
  static Result<std::unique_ptr<Namespaces>> make(const Cluster& cluster, bool reach_all);
  ~Namespaces();
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  // What to put before a command so that it runs where node i is.
  std::vector<std::string> enter(std::size_t node) const;
  // Where this process reaches a node; empty when it does not.
  const std::string& node_address(std::size_t node) const { return node_addresses_[node]; }
  // Where the node that a link begins at reaches the one that it ends at.
  std::string link_address(std::size_t link) const;

 private:
  Namespaces() = default;
  Status take_index();
  Status set_up(const Cluster& cluster, bool reach_all);
  std::string name(std::size_t node) const;

  int index_ = -1;   // which of the address ranges is ours
  Descriptor lock_;  // says that it is
  std::size_t nodes_ = 0;
  std::vector<std::string> node_addresses_;
};

// Whether this process may make network namespaces with tbf; says why not otherwise.
Status namespaces_available();

}  // namespace tideline
