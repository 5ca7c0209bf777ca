#include "cluster/routes.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

Error invalid(std::string message) { return Error{ErrorCode::kInvalidArgument, "[cluster] " + std::move(message)}; }

Status check(const Cluster& cluster) {
  const std::size_t nodes = cluster.nodes.size();
  if (nodes == 0) return invalid("a cluster has at least one node");
  if (std::size_t(cluster.source) >= nodes) return invalid("the source is not one of the nodes");
  for (std::size_t i = 0; i < cluster.links.size(); ++i) {
    const Link& link = cluster.links[i];
    if (std::size_t(link.from) >= nodes || std::size_t(link.to) >= nodes || link.from == link.to)
      return invalid(fmt::format("link {} does not join two of the nodes", i));
  }
  return {};
}

bool is_on_path(const std::vector<Place>& places, std::size_t place, NodeId node) {
  while (places[place].node != node && place != 0) place = places[place].parent;
  return places[place].node == node;
}

}  // namespace

Result<Routes> routes_of(const Cluster& cluster) {
  TIDELINE_CHECK_OK(check(cluster));
  std::vector<std::vector<std::uint32_t>> links_of(cluster.nodes.size());
  for (std::uint32_t i = 0; i < cluster.links.size(); ++i) links_of[std::size_t(cluster.links[i].from)].push_back(i);
  for (auto& list : links_of)
    std::stable_sort(list.begin(), list.end(),
                     [&](std::uint32_t left, std::uint32_t right) { return cluster.links[left].to < cluster.links[right].to; });
  Routes routes;
  routes.places.push_back({.node = cluster.source});
  // Breadth first, so that what the limit cuts off is what is furthest away.
  for (std::uint32_t parent = 0; parent < routes.places.size(); ++parent) {
    const Place from = routes.places[parent];
    for (const std::uint32_t link : links_of[std::size_t(from.node)]) {
      const NodeId to = cluster.links[link].to;
      if (is_on_path(routes.places, parent, to)) continue;
      if (routes.places.size() == limits::kRoutePlacesMax || from.depth + 1 == limits::kPlanHopsMax) {
        // Every path not looked at yet is as long or longer.
        routes.complete = false;
        return routes;
      }
      routes.places.push_back({.node = to, .parent = parent, .link = link, .depth = from.depth + 1});
    }
  }
  return routes;
}

std::vector<std::string> names_along(const Cluster& cluster, const Routes& routes, std::uint32_t place) {
  std::vector<std::string> names;
  for (; place != 0; place = routes.places[place].parent)
    names.push_back(cluster.nodes[std::size_t(routes.places[place].node)].name);
  names.push_back(cluster.nodes[std::size_t(routes.places[0].node)].name);
  std::reverse(names.begin(), names.end());
  return names;
}

std::vector<NodeId> unreached_nodes(const Cluster& cluster, const Routes& routes) {
  std::vector<bool> reached(cluster.nodes.size(), false);
  for (const Place& place : routes.places) reached[std::size_t(place.node)] = true;
  std::vector<NodeId> list;
  for (std::size_t i = 0; i < reached.size(); ++i)
    if (!reached[i]) list.push_back(static_cast<NodeId>(i));
  return list;
}

std::vector<std::string> notes_on(const Cluster& cluster, const Routes& routes) {
  std::vector<std::string> notes;
  if (!routes.complete)
    notes.push_back(
        fmt::format("there are more routes than the {} shortest, which are all that planners look at", routes.places.size()));
  for (const NodeId node : unreached_nodes(cluster, routes))
    notes.push_back(fmt::format("no link leads from '{}' to '{}', so nothing can run there",
                                cluster.nodes[std::size_t(cluster.source)].name, cluster.nodes[std::size_t(node)].name));
  return notes;
}

}  // namespace tideline
