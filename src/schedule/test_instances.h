// Instances for tests: small ones on which not everything fits.
#pragma once

#include <string>

#include "schedule/generator.h"

namespace tideline::schedule {

// `tightness`: how many times the tasks' data fit on the servers, roughly; below 1, some must stay out.
inline Instance tight_instance(const std::string& kind, std::uint32_t servers, std::uint32_t tasks, std::uint64_t seed,
                               double tightness = 0.5) {
  Instance instance =
      *generate_instance({.kind = kind, .servers = servers, .tasks = tasks, .seed = seed, .servers_per_task = (servers + 1) / 2});
  for (Server& server : instance.servers) {
    const double share = tightness * tasks / servers / 10;
    server.bandwidth_mbit_s *= share * 0.2;
    server.capacity_gflop_s *= share * 0.5;
  }
  return instance;
}

}  // namespace tideline::schedule
