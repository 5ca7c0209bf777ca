// Goal: a cluster.yaml that is right is read as written; every way of being wrong is refused with its line, column and sentence.
#include "cluster/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kGood = R"(nodes:
  - {name: camera, tier: device, address: 127.0.0.1:7411, threads: 2, slowdown: 8, memory: 512MB, profile: pi.profile.json}
  - {name: gateway, tier: edge, address: "[::1]:7412", slowdown: 2.5, power: {compute: 3W, transmit: 900mW, idle: 0.4 W}}
  - {name: server, tier: cloud, address: server.example:7413}
links:
  - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 20ms, address: 10.0.1.2:7413, metered: false}
  - {from: camera, to: gateway, bandwidth: 20Mbit/s, bandwidth_back: 5Mbit/s, rtt: 4ms}
)";

TEST(Cluster, ReadsEveryKeyAndOrdersLinks) {
  const auto cluster = parse_cluster(kGood, "c.yaml");
  ASSERT_TRUE(cluster) << cluster.error().message;
  ASSERT_EQ(cluster->nodes.size(), 3u);
  const Node camera{.name = "camera",
                    .tier = Tier::kDevice,
                    .host = "127.0.0.1",
                    .port = 7411,
                    .threads = 2,
                    .memory_bytes = 512'000'000,
                    .slowdown = 8,
                    .profile = "pi.profile.json"};
  EXPECT_EQ(cluster->nodes[0], camera);
  const Node gateway{
      .name = "gateway", .tier = Tier::kEdge, .host = "::1", .port = 7412, .slowdown = 2.5, .power = Power{3, 0.9, 0, 0.4}};
  EXPECT_EQ(cluster->nodes[1], gateway);
  EXPECT_EQ(cluster->nodes[2].host, "server.example");
  ASSERT_EQ(cluster->links.size(), 2u);
  const Link first{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 2.5e6, .back_bytes_per_s = 625'000, .rtt = Millis{4}};
  EXPECT_EQ(cluster->links[0], first);
  const Link second{.from = NodeId{1},
                    .to = NodeId{2},
                    .bytes_per_s = 12.5e6,
                    .back_bytes_per_s = 12.5e6,
                    .rtt = Millis{20},
                    .host = "10.0.1.2",
                    .port = 7413,
                    .metered = false};
  EXPECT_EQ(cluster->links[1], second);
}

TEST(Cluster, OneNodeNeedsNoLinks) {
  EXPECT_TRUE(parse_cluster("nodes: [{name: a, tier: cloud, address: localhost:1}]\n", "c.yaml"));
  EXPECT_TRUE(parse_cluster("version: 1\nnodes: [{name: a, tier: cloud, address: localhost:1}]\nlinks: []\n", "c.yaml"));
}

// `from` in the good file replaced by `to` must give an error that starts with `place` and says `sentence`.
struct Bad {
  const char* what;
  const char* from;
  const char* to;
  const char* place;
  const char* sentence;
};

class ClusterRefuses : public testing::TestWithParam<Bad> {};

TEST_P(ClusterRefuses, WithPlaceAndSentence) {
  const Bad& bad = GetParam();
  std::string text = kGood;
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
    Every, ClusterRefuses,
    testing::Values(
        Bad{"unknown_key", "threads: 2", "thread: 2", "c.yaml:2:", "did you mean 'threads'"},
        Bad{"power_unit", "compute: 3W", "compute: 3J", "c.yaml:3:", "must be one of mW, W, kW"},
        Bad{"power_negative", "compute: 3W", "compute: -3W", "c.yaml:3:", "0 or more"},
        Bad{"power_absurd", "compute: 3W", "compute: 3000000kW", "c.yaml:3:", "at most 1 MW"},
        Bad{"power_key", "compute: 3W", "computes: 3W", "c.yaml:3:", "did you mean 'compute'"},
        Bad{"metered", "metered: false", "metered: perhaps", "c.yaml:6:", "true or false"},
        Bad{"unknown_top_key", "links:", "lines: []\nlinks:", "c.yaml:5:", "unknown key 'lines'"},
        Bad{"version", "nodes:", "version: 3\nnodes:", "c.yaml:1:", "versions 1 and 2, found 3"},
        Bad{"source_of_version_1", "nodes:", "source: server\nnodes:", "c.yaml:1:", "write version: 2"},
        Bad{"bad_name", "name: camera", "name: 'cam era'", "c.yaml:2:", "a name is"},
        Bad{"empty_name", "name: camera", "name: ''", "c.yaml:2:", "a name is"},
        Bad{"double_name", "name: gateway", "name: camera", "c.yaml:3:", "appears twice"},
        Bad{"unknown_tier", "tier: edge", "tier: edg", "c.yaml:3:", "did you mean 'edge'"},
        Bad{"tiers_back", "tier: device", "tier: cloud", "c.yaml:3:", "go back from cloud to edge"},
        Bad{"missing_tier", "tier: edge, ", "", "c.yaml:3:", "tier"},
        Bad{"missing_address", "address: 127.0.0.1:7411, ", "", "c.yaml:2:", "address"},
        Bad{"no_port", "127.0.0.1:7411", "127.0.0.1", "c.yaml:2:", "HOST:PORT"},
        Bad{"port_zero", "127.0.0.1:7411", "127.0.0.1:0", "c.yaml:2:", "1 to 65535"},
        Bad{"port_large", "127.0.0.1:7411", "127.0.0.1:65536", "c.yaml:2:", "65535"},
        Bad{"port_text", "127.0.0.1:7411", "127.0.0.1:http", "c.yaml:2:", "HOST:PORT"},
        Bad{"bare_ipv6", "\"[::1]:7412\"", "\"::1:7412\"", "c.yaml:3:", "HOST:PORT"},
        Bad{"double_address", "server.example:7413", "127.0.0.1:7411", "c.yaml:4:", "'camera' already has"},
        Bad{"threads_zero", "threads: 2", "threads: 0", "c.yaml:2:", "1 to 1024"},
        Bad{"threads_text", "threads: 2", "threads: two", "c.yaml:2:", "whole number"},
        Bad{"slowdown_low", "slowdown: 8", "slowdown: 0.5", "c.yaml:2:", "1 or more"},
        Bad{"slowdown_nan", "slowdown: 8", "slowdown: .nan", "c.yaml:2:", "finite"},
        Bad{"memory_zero", "memory: 512MB", "memory: 0", "c.yaml:2:", "too little"},
        Bad{"memory_unit", "memory: 512MB", "memory: 512MX", "c.yaml:2:", "memory"},
        Bad{"unknown_node", "to: server", "to: serve", "c.yaml:6:", "did you mean 'server'"},
        Bad{"not_neighbours", "from: gateway, to: server", "from: camera, to: server", "c.yaml:6:", "not neighbours"},
        Bad{"self_link", "from: gateway, to: server", "from: server, to: server", "c.yaml:6:", "to itself"},
        Bad{"link_down", "from: gateway, to: server", "from: server, to: gateway", "c.yaml:6:", "up the chain"},
        Bad{"double_link", "from: gateway, to: server", "from: camera, to: gateway", "c.yaml:7:", "a second link"},
        Bad{"no_link",
            "  - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 20ms, address: 10.0.1.2:7413, metered: false}\n", "",
            "c.yaml:", "no link from 'gateway'"},
        Bad{"bandwidth_zero", "bandwidth: 100Mbit/s", "bandwidth: 0Mbit/s", "c.yaml:6:", "above 0"},
        Bad{"bandwidth_negative", "bandwidth: 100Mbit/s", "bandwidth: -1Mbit/s", "c.yaml:6:", "bandwidth"},
        Bad{"bandwidth_unit", "bandwidth: 100Mbit/s", "bandwidth: 100", "c.yaml:6:", "bandwidth"},
        Bad{"back_zero", "bandwidth_back: 5Mbit/s", "bandwidth_back: 0bit/s", "c.yaml:7:", "above 0"},
        Bad{"rtt_missing", ", rtt: 20ms", "", "c.yaml:6:", "rtt"},
        Bad{"rtt_negative", "rtt: 20ms", "rtt: -20ms", "c.yaml:6:", "rtt"},
        Bad{"link_address", "10.0.1.2:7413", "10.0.1.2", "c.yaml:6:", "HOST:PORT"},
        Bad{"double_key", "threads: 2", "threads: 2, threads: 3", "c.yaml:2:", "threads"},
        Bad{"alias", "threads: 2", "threads: &x 2", "c.yaml:2:", "anchor"}, Bad{"not_yaml", "links:", "links: [", "c.yaml:", ""}),
    [](const auto& test) { return std::string(test.param.what); });

TEST(Cluster, RefusesNoNodesAndTooMany) {
  EXPECT_FALSE(parse_cluster("nodes: []\n", "c.yaml"));
  EXPECT_FALSE(parse_cluster("", "c.yaml"));
  EXPECT_FALSE(parse_cluster("- 1\n", "c.yaml"));
  std::string many = "nodes:\n";
  for (int i = 0; i < 65; ++i)
    many += "  - {name: n" + std::to_string(i) + ", tier: edge, address: 'h:" + std::to_string(i + 1) + "'}\n";
  const auto cluster = parse_cluster(many, "c.yaml");
  ASSERT_FALSE(cluster);
  EXPECT_THAT(cluster.error().message, HasSubstr("at most 64"));
}

// What version 1 refuses and version 2 takes is said to be so.
TEST(Cluster, NamesTheVersionThatCanSayIt) {
  for (const char* link : {"from: camera, to: server", "from: server, to: gateway"}) {
    std::string text = kGood;
    text.replace(text.find("from: gateway, to: server"), std::string_view("from: gateway, to: server").size(), link);
    const auto cluster = parse_cluster(text, "c.yaml");
    ASSERT_FALSE(cluster);
    EXPECT_THAT(cluster.error().message, HasSubstr("version: 2")) << link;
  }
}

TEST(Cluster, LoadNamesAMissingFile) {
  const auto cluster = load_cluster("/nonexistent/cluster.yaml");
  ASSERT_FALSE(cluster);
  EXPECT_EQ(cluster.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline
