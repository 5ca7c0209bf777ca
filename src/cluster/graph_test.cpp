// Goal: version 2 of cluster.yaml says any graph of nodes and links, refuses what no cluster can be, and what is written is read
// as the same value. Method: the good file and one defect at a time; random clusters from a seed for writing.
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "cluster/cluster.h"

namespace tideline {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A server that two gateways and the camera itself reach; the second gateway comes first in the file, the server calls back.
constexpr const char* kGraph = R"(version: 2
nodes:
  - {name: server, tier: cloud, address: "h:1"}
  - {name: east, tier: edge, address: "h:2"}
  - {name: camera, tier: device, address: "h:3"}
  - {name: west, tier: edge, address: "h:4"}
links:
  - {from: west, to: server, bandwidth: 100Mbit/s, rtt: 20ms}
  - {from: camera, to: west, bandwidth: 20Mbit/s, rtt: 4ms}
  - {from: camera, to: east, bandwidth: 20Mbit/s, rtt: 4ms}
  - {from: east, to: server, bandwidth: 100Mbit/s, rtt: 20ms, address: "h:9"}
  - {from: camera, to: server, bandwidth: 5Mbit/s, rtt: 60ms}
  - {from: server, to: camera, bandwidth: 8Mbit/s, rtt: 60ms}
source: camera
)";

TEST(ClusterGraph, ReadsLinksBetweenAnyTwoNodes) {
  const auto cluster = parse_cluster(kGraph, "c.yaml");
  ASSERT_TRUE(cluster) << cluster.error().message;
  EXPECT_EQ(cluster->source, NodeId{2});
  EXPECT_FALSE(is_chain(*cluster));
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ends;
  for (const Link& link : cluster->links)
    ends.emplace_back(static_cast<std::uint32_t>(link.from), static_cast<std::uint32_t>(link.to));
  EXPECT_THAT(ends, testing::ElementsAre(std::pair(0u, 2u), std::pair(1u, 0u), std::pair(2u, 0u), std::pair(2u, 1u),
                                         std::pair(2u, 3u), std::pair(3u, 0u)));
  EXPECT_EQ(cluster->links[1].port, 9);
}

TEST(ClusterGraph, SourceIsTheFirstNodeUnlessNamed) {
  std::string text = kGraph;
  text.resize(text.find("source:"));
  EXPECT_EQ(parse_cluster(text, "c.yaml")->source, NodeId{0});
}

TEST(ClusterGraph, BothVersionsSayTheSameChain) {
  std::string chain = R"(nodes:
  - {name: a, tier: device, address: "h:1", slowdown: 2}
  - {name: b, tier: edge, address: "h:2"}
  - {name: c, tier: edge, address: "h:3"}
links:
  - {from: b, to: c, bandwidth: 1Mbit/s, rtt: 1ms}
  - {from: a, to: b, bandwidth: 2Mbit/s, bandwidth_back: 3Mbit/s, rtt: 1ms}
)";
  const auto first = parse_cluster(chain, "c.yaml");
  const auto second = parse_cluster("version: 2\n" + chain, "c.yaml");
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
  EXPECT_TRUE(is_chain(*first));
}

// `from` in the graph above replaced by `to` must give an error that starts with `place` and says `sentence`.
struct BadGraph {
  const char* what;
  const char* from;
  const char* to;
  const char* place;
  const char* sentence;
};

class ClusterGraphRefuses : public testing::TestWithParam<BadGraph> {};

TEST_P(ClusterGraphRefuses, WithPlaceAndSentence) {
  const BadGraph& bad = GetParam();
  std::string text = kGraph;
  const std::size_t at = text.find(bad.from);
  ASSERT_NE(at, std::string::npos);
  text.replace(at, std::string_view(bad.from).size(), bad.to);
  const auto cluster = parse_cluster(text, "c.yaml");
  ASSERT_FALSE(cluster);
  EXPECT_EQ(cluster.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(cluster.error().message, StartsWith(bad.place));
  EXPECT_THAT(cluster.error().message, HasSubstr(bad.sentence));
}

INSTANTIATE_TEST_SUITE_P(
    Every, ClusterGraphRefuses,
    testing::Values(BadGraph{"self_link", "from: camera, to: west", "from: camera, to: camera",
                             "c.yaml:9:", "from 'camera' to itself"},
                    BadGraph{"double_link", "from: camera, to: west", "from: camera, to: east",
                             "c.yaml:10:", "a second link from 'camera' to 'east'"},
                    BadGraph{"unknown_end", "to: west", "to: wst", "c.yaml:9:", "did you mean 'west'"},
                    BadGraph{"unknown_source", "source: camera", "source: camra", "c.yaml:14:", "did you mean 'camera'"},
                    BadGraph{"double_name", "name: east", "name: west", "c.yaml:6:", "appears twice"},
                    BadGraph{"double_address", "\"h:2\"", "\"h:1\"", "c.yaml:4:", "'server' already has"},
                    BadGraph{"bandwidth_zero", "bandwidth: 8Mbit/s", "bandwidth: 0Mbit/s", "c.yaml:13:", "above 0"},
                    BadGraph{"unknown_key", "source:", "sources:", "c.yaml:14:", "did you mean 'source'"}),
    [](const auto& test) { return std::string(test.param.what); });

TEST(ClusterGraph, LimitsNodesAndLinks) {
  std::string nodes = "version: 2\nnodes:\n";
  for (std::size_t i = 0; i <= limits::kClusterNodesMax; ++i)
    nodes += fmt::format("  - {{name: n{}, tier: edge, address: 'h:{}'}}\n", i, i + 1);
  const auto many = parse_cluster(nodes, "c.yaml");
  ASSERT_FALSE(many);
  EXPECT_THAT(many.error().message, HasSubstr("at most 1024 nodes"));
  std::string links =
      "version: 2\nnodes: [{name: a, tier: edge, address: 'h:1'}, {name: b, tier: edge, address: 'h:2'}]\nlinks:\n";
  for (std::size_t i = 0; i <= limits::kClusterLinksMax; ++i) links += "  - {}\n";
  const auto too_many = parse_cluster(links, "c.yaml");
  ASSERT_FALSE(too_many);
  EXPECT_THAT(too_many.error().message, HasSubstr("at most 4096 links"));
}

TEST(ClusterGraph, WhatIsWrittenIsReadAsTheSame) {
  std::mt19937_64 random(11);
  const auto below = [&](std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); };
  const std::string hosts[] = {"127.0.0.1", "::1", "fe80::1%eth0", "server.example"};
  int chains = 0;
  for (int round = 0; round < 500; ++round) {
    Cluster cluster;
    const std::uint32_t nodes = 1 + below(6);
    for (std::uint32_t i = 0; i < nodes; ++i) {
      Node node{.name = fmt::format("n{}", i), .host = hosts[below(4)], .port = static_cast<std::uint16_t>(i + 1)};
      node.tier = static_cast<Tier>(below(3));
      node.threads = static_cast<int>(1 + below(8));
      node.slowdown = below(2) == 0 ? 1 : 1 + 1e-3 * below(1'000'000);
      if (below(2) == 0) node.memory_bytes = 65'536 + below(2'000'000'000);
      if (below(3) == 0) node.profile = "a \"b\" \\c\t\x01 \xc3\xa9: {#}.json";
      if (below(3) == 0) node.power = Power{below(100) / 7.0, below(100) / 7.0, below(100) / 7.0, below(100) / 7.0};
      cluster.nodes.push_back(std::move(node));
    }
    const bool chain = below(3) == 0;
    for (std::uint32_t from = 0; from < nodes; ++from)
      for (std::uint32_t to = 0; to < nodes; ++to) {
        if (from == to || (chain ? to != from + 1 : below(2) == 0)) continue;
        Link link{.from = NodeId{from}, .to = NodeId{to}, .bytes_per_s = 0.1 + below(1'000'000) / 3.0};
        link.back_bytes_per_s = 1e18 / (1 + below(1000));
        link.rtt = Millis{below(1000) / 7.0};
        if (below(3) == 0) link.host = hosts[below(4)], link.port = 65'535;
        link.metered = below(3) > 0;
        cluster.links.push_back(std::move(link));
      }
    if (!chain) cluster.source = NodeId{below(nodes)};
    const std::string text = write_cluster(cluster);
    const auto again = parse_cluster(text, "c.yaml");
    ASSERT_TRUE(again) << again.error().message << "\n" << text;
    ASSERT_EQ(*again, cluster) << text;
    chains += text.starts_with("version: 1") ? 1 : 0;
  }
  EXPECT_GT(chains, 20);
}

}  // namespace
}  // namespace tideline
