// Routes: where a request can be in a cluster. A value, made from the cluster.
//
// Place 0 is the source; every other place is one simple path from the source along links, so on a tree a place is a node, and on
// a diamond the node at its end has two. A request moves up a link, to a child place, or back down the link that it came by, and
// ends at place 0 again: what a node sends on is a call, and every call has one answer on the same connection.
//
//   TIDELINE_TRY(const Routes routes, routes_of(cluster));
//   for (std::uint32_t place = 0; place < routes.places.size(); ++place)
//     fmt::print("{}\n", fmt::join(names_along(cluster, routes, place), " > "));   // "camera > gateway > server"
//
// Places are sorted by depth, then by their parent, then by the index of their node: a parent stands before its children, and on
// a chain place i is node i.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/cluster.h"

namespace tideline {

struct Place {
  NodeId node{};
  std::uint32_t parent = 0;  // index in places; of no meaning at place 0
  std::uint32_t link = 0;    // index in the cluster's links, from the parent's node to this one; of no meaning at place 0
  std::uint32_t depth = 0;   // links from the source
  bool operator==(const Place&) const = default;
};

struct Routes {
  std::vector<Place> places;
  // False: there are more simple paths than limits::kRoutePlacesMax, or longer ones than limits::kPlanHopsMax nodes. Those that
  // are here are the shortest.
  bool complete = true;
  bool operator==(const Routes&) const = default;
};

// O(places x (depth + links of a node)). kInvalidArgument for a cluster without nodes, or a link or source out of range: what a
// program may have put together and no file can say.
Result<Routes> routes_of(const Cluster& cluster);

// The names of the nodes from the source to the place, both included.
std::vector<std::string> names_along(const Cluster& cluster, const Routes& routes, std::uint32_t place);

// The nodes that no path leads to from the source: nothing can run there.
std::vector<NodeId> unreached_nodes(const Cluster& cluster, const Routes& routes);
// What somebody who plans on the cluster should know, a sentence each: those nodes, and routes that the limit cut off.
std::vector<std::string> notes_on(const Cluster& cluster, const Routes& routes);

}  // namespace tideline
