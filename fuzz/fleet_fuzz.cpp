// Any text as a fleet file, on a site that never changes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fleet/fleet.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const Cluster site = *parse_cluster(
      "version: 2\nnodes:\n  - {name: cam1, tier: device, address: 127.0.0.1:1}\n  - {name: gw1, tier: edge, address: "
      "127.0.0.1:2}\n"
      "  - {name: gw2, tier: edge, address: 127.0.0.1:3}\n  - {name: cloud, tier: cloud, address: 127.0.0.1:4}\nlinks:\n"
      "  - {from: cam1, to: gw1, bandwidth: 10Mbit/s, rtt: 1ms}\n  - {from: gw1, to: cloud, bandwidth: 10Mbit/s, rtt: 1ms}\n"
      "  - {from: gw2, to: cloud, bandwidth: 10Mbit/s, rtt: 1ms}\n",
      "site.yaml");
  const auto fleet = fleet::parse_fleet(text, "fleet.yaml", [](const std::string&) -> Result<Cluster> { return site; });
  if (!fleet) return 0;
  // What later code relies on.
  for (const fleet::FleetTask& task : fleet->tasks) {
    double shares = 0;
    for (const fleet::FleetSource& source : task.sources) {
      if (!fleet::way_of(fleet->cluster, source.node)) std::abort();
      shares += source.share;
    }
    if (task.model >= fleet->models.size() || !(shares > 0.99 && shares < 1.01) || !(task.rate_hz > 0) ||
        task.deadline.count() <= 0)
      std::abort();
  }
  return 0;
}
