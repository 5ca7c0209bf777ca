#include "schedule/parts.h"

#include <numeric>

namespace tideline::schedule {

Parts find_parts(const Instance& instance) {
  // Union-find with path halving; the lower server is always the root.
  std::vector<std::uint32_t> parent(instance.servers.size());
  std::iota(parent.begin(), parent.end(), 0u);
  const auto root = [&](std::uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  for (const Task& task : instance.tasks) {
    const auto touches = instance.touches_of(task);
    std::uint32_t a = root(touches.front().server);
    for (const Touch& touch : touches) {
      const std::uint32_t b = root(touch.server);
      parent[std::max(a, b)] = std::min(a, b);
      a = std::min(a, b);
    }
  }
  Parts parts;
  parts.of_server.resize(parent.size());
  for (std::uint32_t i = 0; i < parent.size(); ++i)
    parts.of_server[i] = parent[i] == i ? parts.count++ : parts.of_server[root(i)];
  return parts;
}

}  // namespace tideline::schedule
