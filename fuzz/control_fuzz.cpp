// Any line as a request to a coordinator, and the task in it as one of a fleet on a site that never changes; any text as a stored
// list of latencies and as an answer.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fleet/fleet.h"
#include "fleet/up/control.h"
#include "fleet/up/latencies.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const fleet::Fleet site = *fleet::parse_fleet(
      "version: 1\ncluster: s\nmodels:\n  - {name: digits, file: a.onnx}\ntasks:\n"
      "  - {name: door, model: digits, source: cam1, rate: 1/s, deadline: 1s}\n",
      "fleet.yaml", [](const std::string&) {
        return parse_cluster(
            "version: 2\nnodes:\n  - {name: cam1, tier: device, address: 127.0.0.1:1}\n  - {name: gw1, tier: edge, address: "
            "127.0.0.1:2}\n  - {name: cloud, tier: cloud, address: 127.0.0.1:4}\nlinks:\n"
            "  - {from: cam1, to: gw1, bandwidth: 10Mbit/s, rtt: 1ms}\n  - {from: gw1, to: cloud, bandwidth: 10Mbit/s, rtt: "
            "1ms}\n",
            "site.yaml");
      });
  if (const auto request = fleet::parse_control(text)) {
    // What was understood can be said again, and means the same.
    const auto again = fleet::parse_control(fleet::write_control(*request));
    if (!again || *again != *request) std::abort();
    if (request->command == fleet::ControlCommand::kSubmit)
      if (const auto tasks = fleet::parse_tasks(request->task, "the task", site))
        for (const fleet::FleetTask& task : *tasks)
          if (task.name == "door" || task.model >= site.models.size() || !(task.rate_hz > 0)) std::abort();
  }
  if (const auto latencies = fleet::Latencies::parse(text))
    if (fleet::Latencies::parse(latencies->text())->text() != latencies->text()) std::abort();
  (void)fleet::parse_answer(text);
  return 0;
}
