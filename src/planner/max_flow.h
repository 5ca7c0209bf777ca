// MaxFlow: a maximum flow and its minimum cut by Dinic's method; capacities are non-negative doubles. O(V^2 E) at worst, far less
// on planning networks. No recursion. Written here because nothing else of the product needs Boost, and this is its only graph
// algorithm. Not thread-safe. Internal to src/plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tideline {

class MaxFlow {
 public:
  explicit MaxFlow(std::size_t vertices) : first_(vertices, kNone) {}

  std::size_t add_vertex();
  // Edges of capacity 0 or less are left out.
  void add_edge(std::size_t from, std::size_t to, double capacity);
  // Call once, after the edges. Returns the value of the flow.
  double run(std::size_t source, std::size_t sink);
  // After run(): the vertices from which the sink can still be reached. Of all minimum cuts, the one with the smallest sink's
  // side.
  std::vector<bool> sink_side(std::size_t sink) const;

 private:
  static constexpr std::uint32_t kNone = 0xffffffffu;
  struct Edge {
    std::uint32_t to = 0;
    std::uint32_t next = kNone;  // of the same vertex; edge e and its reverse are e and e ^ 1
    double left = 0;
  };
  bool find_levels(std::size_t source, std::size_t sink);
  double push_one(std::size_t source, std::size_t sink);

  std::vector<std::uint32_t> first_;
  std::vector<Edge> edges_;
  std::vector<std::uint32_t> level_;
  std::vector<std::uint32_t> current_;
  std::vector<std::uint32_t> path_;
};

}  // namespace tideline
