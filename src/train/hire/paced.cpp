#include "train/hire/paced.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "cluster/routes.h"
#include "train/hire/hire.h"

namespace tideline::train {
namespace {

class PacedTransport final : public Transport {
 public:
  PacedTransport(Transport& inner, const std::vector<std::pair<Address, LinkShape>>& links) : inner_(inner) {
    for (const auto& [address, shape] : links) links_[to_string(address)] = make_shaped_transport(inner, shape);
  }
  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline, const CancelToken* cancel) override {
    const auto found = links_.find(to_string(address));
    return (found == links_.end() ? inner_ : *found->second).connect(address, deadline, cancel);
  }
  Result<std::unique_ptr<Listener>> listen(const Address& address) override { return inner_.listen(address); }

 private:
  Transport& inner_;
  std::map<std::string, std::unique_ptr<Transport>> links_;
};

// 0 is no limit.
double narrower(double a, double b) { return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b); }

}  // namespace

Result<std::vector<WorkerPlace>> places_on(const Cluster& cluster, const Job& job) {
  TIDELINE_TRY(const std::vector<NodeShare> shares, share_workers(cluster, job));
  TIDELINE_TRY(const Routes routes, routes_of(cluster));
  std::vector<WorkerPlace> places;
  for (const NodeShare& share : shares) {
    // Sorted by depth, so that the first one is the nearest.
    const auto found = std::find_if(routes.places.begin(), routes.places.end(),
                                    [&](const Place& place) { return static_cast<std::size_t>(place.node) == share.node; });
    const Node& node = cluster.nodes[share.node];
    if (found == routes.places.end())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("[train] no link leads from '{}' to node '{}'",
                               cluster.nodes[static_cast<std::size_t>(cluster.source)].name, node.name)};
    WorkerPlace place{.slowdown = node.slowdown};
    for (const Place* at = &*found; at->depth > 0; at = &routes.places[at->parent]) {
      const Link& link = cluster.links[at->link];
      place.link.up_bytes_per_s = narrower(place.link.up_bytes_per_s, link.bytes_per_s);
      place.link.down_bytes_per_s = narrower(place.link.down_bytes_per_s, link.back_bytes_per_s);
      place.link.round_trip += std::chrono::duration_cast<Nanos>(link.rtt);
    }
    places.insert(places.end(), share.count, place);
  }
  return places;
}

std::string to_word(const WorkerPlace& place) {
  return fmt::format("{}:{}:{}:{}", place.slowdown, place.link.up_bytes_per_s, place.link.down_bytes_per_s,
                     place.link.round_trip.count());
}

Result<WorkerPlace> parse_place(const std::string& word) {
  double slowdown = 0, up = 0, down = 0, round_trip = 0;
  int end = 0;
  const int read = std::sscanf(word.c_str(), "%lf:%lf:%lf:%lf%n", &slowdown, &up, &down, &round_trip, &end);
  const auto is_rate = [](double rate) { return rate >= 0 && rate <= 1e15; };
  constexpr double kRoundTripMax = 1e12;  // 1000 s
  if (read != 4 || static_cast<std::size_t>(end) != word.size() || !(slowdown >= 1 && slowdown <= limits::kNodeSlowdownMax) ||
      !is_rate(up) || !is_rate(down) || !(round_trip >= 0 && round_trip <= kRoundTripMax))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] '{}' is no place of a worker: SLOWDOWN:UP:DOWN:NANOSECONDS", printable(word))};
  return WorkerPlace{{up, down, Nanos(static_cast<std::int64_t>(round_trip))}, slowdown};
}

std::unique_ptr<Transport> make_paced_transport(Transport& inner, const std::vector<std::pair<Address, LinkShape>>& links) {
  return std::make_unique<PacedTransport>(inner, links);
}

}  // namespace tideline::train
