// A small site with made-up profiles, for the tests of a fleet.
#pragma once

#include <memory>
#include <string>

#include <fmt/format.h>

#include "fleet/fleet.h"
#include "fleet/profiles.h"

namespace tideline::fleet {

inline constexpr const char* kSite = R"(version: 2
nodes:
  - {name: cam1, tier: device, address: 127.0.0.1:1}
  - {name: cam2, tier: device, address: 127.0.0.1:2}
  - {name: lost, tier: device, address: 127.0.0.1:3}
  - {name: gw1, tier: edge, address: 127.0.0.1:4, slowdown: 2}
  - {name: gw2, tier: edge, address: 127.0.0.1:5}
  - {name: cloud, tier: cloud, address: 127.0.0.1:6}
links:
  - {from: cam1, to: gw1, bandwidth: 80Mbit/s, rtt: 2ms}
  - {from: cam2, to: gw2, bandwidth: 80Mbit/s, rtt: 2ms}
  - {from: gw1, to: cloud, bandwidth: 8Mbit/s, rtt: 4ms}
  - {from: gw2, to: cloud, bandwidth: 8Mbit/s, rtt: 4ms}
source: cam1
)";

// 100 kB in, 10 kB after conv, 1 kB after dense, 100 B out; 4, 6 and 2 ms.
inline Profile made_up_profile() {
  Profile profile{.model_name = "net", .host = "test"};
  for (const auto& [name, ms] : {std::pair{"conv", 4.0}, std::pair{"dense", 6.0}, std::pair{"last", 2.0}})
    profile.blocks.push_back({.name = name, .time = Millis(ms)});
  for (const Bytes bytes : {100'000, 10'000, 1'000, 100}) profile.cuts.push_back({.bytes = bytes});
  return profile;
}

inline FleetProfiles everywhere(const Fleet& fleet, const Profile& profile) {
  FleetProfiles profiles;
  profiles.owned.push_back(std::make_unique<Profile>(profile));
  for (std::size_t m = 0; m < fleet.models.size(); ++m)
    profiles.of.emplace_back(fleet.cluster.nodes.size(), profiles.owned.front().get());
  return profiles;
}

inline Result<Fleet> fleet_with(const std::string& tasks, const std::string& more = "") {
  return parse_fleet(fmt::format("version: 1\ncluster: site.yaml\nmodels:\n  - {{name: net, file: net.onnx, profiles: "
                                 "p.json}}\n{}\ntasks:\n{}\n",
                                 more, tasks),
                     "fleet.yaml", [](const std::string&) { return parse_cluster(kSite, "site.yaml"); });
}

}  // namespace tideline::fleet
