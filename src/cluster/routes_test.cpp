// Goal: the places of a request are exactly the simple paths from the source. Method: chains, trees, diamonds and loops by hand;
// random graphs against a plain recursive walk; the limit on a graph that has more.
#include "cluster/routes.h"

#include <functional>
#include <random>
#include <set>

#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace tideline {
namespace {

using testing::ElementsAre;

Cluster graph(std::uint32_t nodes, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& links, std::uint32_t source = 0) {
  Cluster cluster;
  for (std::uint32_t i = 0; i < nodes; ++i) cluster.nodes.push_back({.name = std::string(1, static_cast<char>('a' + i % 26))});
  for (const auto& [from, to] : links) cluster.links.push_back({.from = NodeId{from}, .to = NodeId{to}});
  cluster.source = NodeId{source};
  return cluster;
}

std::vector<std::string> paths(const Cluster& cluster) {
  const auto routes = routes_of(cluster);
  EXPECT_TRUE(routes && routes->complete);
  std::vector<std::string> list;
  for (std::uint32_t place = 0; place < routes->places.size(); ++place)
    list.push_back(fmt::format("{}", fmt::join(names_along(cluster, *routes, place), "")));
  return list;
}

TEST(Routes, OneNodeIsOnePlace) { EXPECT_THAT(paths(graph(1, {})), ElementsAre("a")); }

TEST(Routes, PlaceIOfAChainIsNodeI) {
  const Cluster chain = graph(4, {{0, 1}, {1, 2}, {2, 3}});
  EXPECT_THAT(paths(chain), ElementsAre("a", "ab", "abc", "abcd"));
  const auto routes = routes_of(chain);
  for (std::uint32_t i = 1; i < 4; ++i) {
    const Place expected{.node = NodeId{i}, .parent = i - 1, .link = i - 1, .depth = i};
    EXPECT_EQ(routes->places[i], expected);
  }
}

TEST(Routes, PlacesOfATreeAreItsNodes) {
  EXPECT_THAT(paths(graph(5, {{0, 2}, {0, 1}, {1, 4}, {2, 3}})), ElementsAre("a", "ab", "ac", "abe", "acd"));
}

TEST(Routes, TheEndOfADiamondIsTwoPlaces) {
  EXPECT_THAT(paths(graph(4, {{0, 1}, {0, 2}, {1, 3}, {2, 3}})), ElementsAre("a", "ab", "ac", "abd", "acd"));
}

TEST(Routes, LinksBackMakeNoLongerPaths) {
  EXPECT_THAT(paths(graph(3, {{0, 1}, {1, 0}, {1, 2}, {2, 0}, {2, 1}})), ElementsAre("a", "ab", "abc"));
  EXPECT_THAT(paths(graph(3, {{0, 1}, {1, 0}, {1, 2}, {2, 0}, {2, 1}}, 1)), ElementsAre("b", "ba", "bc", "bca"));
}

TEST(Routes, NamesWhatNoPathLeadsTo) {
  const Cluster cluster = graph(4, {{0, 1}, {2, 0}, {2, 3}});
  EXPECT_THAT(unreached_nodes(cluster, *routes_of(cluster)), ElementsAre(NodeId{2}, NodeId{3}));
}

TEST(Routes, AreExactlyTheSimplePaths) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 300; ++round) {
    const auto nodes = static_cast<std::uint32_t>(1 + random() % 6);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> links;
    for (std::uint32_t from = 0; from < nodes; ++from)
      for (std::uint32_t to = 0; to < nodes; ++to)
        if (from != to && random() % 2 == 0) links.emplace_back(from, to);
    const Cluster cluster = graph(nodes, links, static_cast<std::uint32_t>(random() % nodes));
    std::set<std::string> expected;
    const std::function<void(std::uint32_t, std::string)> walk = [&](std::uint32_t node, std::string path) {
      path += cluster.nodes[node].name;
      expected.insert(path);
      for (const auto& [from, to] : links)
        if (from == node && path.find(cluster.nodes[to].name) == std::string::npos) walk(to, path);
    };
    walk(static_cast<std::uint32_t>(cluster.source), "");
    const std::vector<std::string> found = paths(cluster);
    ASSERT_EQ(std::set<std::string>(found.begin(), found.end()), expected) << "round " << round;
    ASSERT_EQ(found.size(), expected.size()) << "round " << round;
  }
}

TEST(Routes, TheLimitKeepsTheShortest) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;
  for (std::uint32_t from = 0; from < 10; ++from)
    for (std::uint32_t to = 0; to < 10; ++to)
      if (from != to) links.emplace_back(from, to);
  const auto routes = routes_of(graph(10, links));
  ASSERT_TRUE(routes);
  EXPECT_FALSE(routes->complete);
  EXPECT_EQ(routes->places.size(), limits::kRoutePlacesMax);
  // 1 + 9 + 72 + 504 + 3024 paths of up to five nodes; the rest have six.
  EXPECT_EQ(routes->places[3'609].depth, 4u);
  EXPECT_EQ(routes->places[3'610].depth, 5u);
}

TEST(Routes, ALongChainEndsAtTheLimitOfAPlan) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> links;
  for (std::uint32_t i = 0; i + 1 < limits::kPlanHopsMax; ++i) links.emplace_back(i, i + 1);
  EXPECT_TRUE(routes_of(graph(limits::kPlanHopsMax, links))->complete);
  links.emplace_back(limits::kPlanHopsMax - 1, limits::kPlanHopsMax);
  const auto routes = routes_of(graph(limits::kPlanHopsMax + 1, links));
  EXPECT_FALSE(routes->complete);
  EXPECT_EQ(routes->places.size(), limits::kPlanHopsMax);
}

TEST(Routes, RefusesWhatIsNoCluster) {
  EXPECT_FALSE(routes_of(Cluster{}));
  EXPECT_FALSE(routes_of(graph(2, {{0, 2}})));
  EXPECT_FALSE(routes_of(graph(2, {{1, 1}})));
  EXPECT_FALSE(routes_of(graph(2, {}, 2)));
}

}  // namespace
}  // namespace tideline
