// NodeOptions: the one struct of configuration of a node. A value.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/units.h"
#include "transport/transport.h"

namespace tideline {

struct NodeOptions {
  std::string name;
  Address listen;
  std::string store_folder;
  Bytes store_bytes = Bytes{20} << 30;
  Bytes memory_bytes = 0;                // of loaded segments; 0: no limit of ours
  Bytes request_bytes = Bytes{1} << 30;  // of one request's tensors, and of one result's
  double slowdown = 1;
  // Emulated links: what carries the calls to the next nodes of these names, instead of `onward`. They outlive the server.
  std::map<std::string, Transport*> links;
  std::size_t connections_max = limits::kNodeConnectionsMax;
  std::size_t connections_per_address_max = limits::kNodeConnectionsPerAddressMax;
  // Where stages may lead: "host" or "host:port", compared as written. Empty: anywhere.
  std::vector<std::string> allow_next;
  // Folder of the data that workers of training may read; empty: this node does not train. And the program that they are.
  std::string train_folder;
  std::string train_program = "tideline-train";
  // See limits::kNodeSilence.
  std::chrono::milliseconds silence = limits::kNodeSilence;
  // A data connection that says nothing for this long is closed, unless its caller's control connection beats.
  std::chrono::milliseconds idle_timeout{600'000};
};

}  // namespace tideline
