// Fleet: many tasks on one site, as fleet.yaml says it (docs/formats/fleet.md). A value.
//
//   version: 1
//   cluster: site.yaml
//   models:
//     - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}
//   tasks:
//     - {name: door, model: digits, source: cam1, rate: 5/s, deadline: 200ms}
//     - {name: yard, model: digits, source: {gw1: 0.6, gw2: 0.4}, rate: 1/s, deadline: 400ms, count: 4}   # yard-1 .. yard-4
//   policy: price
//   model: queueing
//
// What a site is here: devices have a link to a node of tier edge, their gateway, and gateways one to a node of tier cloud. Data
// arise at a device or at a gateway; the gateway runs the first layers, the cloud the rest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"
#include "cluster/cluster.h"

namespace tideline::fleet {

struct FleetModel {
  std::string name;      // as in base/name.h, unique
  std::string file;      // an .onnx file
  std::string config;    // model.yaml; empty: none
  std::string input;     // what sources send: a picture, an .npy, or a folder of them; empty: made-up numbers
  bool is_live = false;  // one task sends frames that come on standard input; `input` says what they are like
  std::string profile;   // a *.profile.json for every node; empty: none
  std::map<std::string, std::string> profiles;  // ... for single nodes
  bool operator==(const FleetModel&) const = default;
};

// Where a task's data arise, and the part of its requests that does there.
struct FleetSource {
  std::size_t node = 0;  // of the cluster
  double share = 1;
  bool operator==(const FleetSource&) const = default;
};

struct FleetTask {
  std::string name;  // unique, the number of its group in it
  std::size_t model = 0;
  std::vector<FleetSource> sources;  // by rising node; the shares add up to 1
  double rate_hz = 0;                // requests per second, of all sources together
  Millis deadline{0};
  std::int64_t priority = 0;         // higher ones are admitted first
  std::uint32_t keep_on_source = 0;  // blocks that no node behind the gateway may run
  std::string drop = "none";         // of requests that wait at the source: none, oldest, newest
  bool operator==(const FleetTask&) const = default;
};

enum class FleetModelKind : std::uint8_t { kPaper, kExtended, kQueueing };
std::string_view to_string(FleetModelKind kind);

struct Fleet {
  std::string cluster_file;
  Cluster cluster;
  std::vector<FleetModel> models;
  std::vector<FleetTask> tasks;
  std::string policy = "price";
  FleetModelKind model = FleetModelKind::kQueueing;
  bool periodic = true;  // requests come evenly spaced, else at random
  bool operator==(const Fleet&) const = default;
};

// How the reader gets the cluster that the file names.
using ClusterOf = std::function<Result<Cluster>(const std::string& file)>;
// Every error names line, column and key, and says what to write: an unknown key or name, a source that is no node or reaches no
// cloud, shares that do not add up, rates, deadlines and counts out of range, groups that give a name twice.
Result<Fleet> parse_fleet(std::string_view yaml, std::string_view name, const ClusterOf& cluster_of);
// Tasks that come later, as the list of the file has them: one, or a group, for a fleet that is there. Errors as above.
Result<std::vector<FleetTask>> parse_tasks(std::string_view yaml, std::string_view name, const Fleet& fleet);
// Relative names in the file are relative to it.
Result<Fleet> load_fleet(const std::string& path);

// "5/s", "30/min", "0.5/h" -> per second.
Result<double> parse_rate_hz(std::string_view text);

// The links of a site that a source's data take.
struct Way {
  std::size_t gateway = 0;  // node
  std::size_t cloud = 0;
  std::size_t access = kNoLink;  // link from the device to its gateway; kNoLink: they arise at the gateway
  std::size_t uplink = 0;
  static constexpr std::size_t kNoLink = static_cast<std::size_t>(-1);
};
// kInvalidArgument in words for people when there is none: the node is of tier cloud, or a link is missing. The widest link wins,
// of equal ones the first.
Result<Way> way_of(const Cluster& cluster, std::size_t source);

}  // namespace tideline::fleet
