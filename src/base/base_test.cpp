// Goal: units, hashes and the two strict readers accept what people write and refuse the rest with a place and a hint.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "base/units.h"
#include "base/yaml.h"

namespace tideline {
namespace {

TEST(Units, BandwidthIsBitsToPeopleAndBytesInside) {
  EXPECT_DOUBLE_EQ(*parse_bandwidth_bytes_per_s("10Mbit/s"), 1.25e6);
  EXPECT_DOUBLE_EQ(*parse_bandwidth_bytes_per_s("10 Mbps"), 1.25e6);
  EXPECT_DOUBLE_EQ(*parse_bandwidth_bytes_per_s("1.25MB/s"), 1.25e6);
  EXPECT_FALSE(parse_bandwidth_bytes_per_s("10"));
  EXPECT_FALSE(parse_bandwidth_bytes_per_s("-1Mbit/s"));
  EXPECT_FALSE(parse_bandwidth_bytes_per_s("nan Mbit/s"));
  EXPECT_FALSE(parse_bandwidth_bytes_per_s("1e999Mbit/s"));
  EXPECT_EQ(format_bandwidth(1.25e6), "10 Mbit/s");
}

TEST(Units, DurationsAndSizes) {
  EXPECT_DOUBLE_EQ(parse_duration("250us")->count(), 0.25);
  EXPECT_DOUBLE_EQ(parse_duration("0")->count(), 0);
  EXPECT_FALSE(parse_duration("4"));
  EXPECT_EQ(*parse_bytes("1MiB"), 1048576u);
  EXPECT_EQ(*parse_bytes("1.5kB"), 1500u);
  EXPECT_EQ(*parse_bytes("17"), 17u);
  EXPECT_FALSE(parse_bytes("1XB"));
  EXPECT_EQ(format_bytes(602112), "602 kB");
  EXPECT_EQ(format_count(569e6), "569 M");
}

TEST(Hash, KnownVector) {
  EXPECT_EQ(sha256("abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*parse_sha256(sha256("abc").hex()), sha256("abc"));
  EXPECT_FALSE(parse_sha256("abc"));
}

TEST(Text, NearestName) {
  const std::vector<std::string_view> words{"bandwidth", "rtt", "from"};
  EXPECT_EQ(nearest("bandwith", words), "bandwidth");
  EXPECT_EQ(nearest("completely_else", words), "");
  EXPECT_EQ(printable("a\x1b[31m"), "a?[31m");
}

TEST(Yaml, ErrorsNameThePlace) {
  const auto root = parse_yaml("nodes:\n  - nmae: pi\n    tier: device\n", "c.yaml");
  ASSERT_TRUE(root);
  auto map = root->map();
  const auto nodes = map->required("nodes").list();
  ASSERT_TRUE(nodes);
  auto node = nodes->front().map();
  EXPECT_EQ(node->required("name").text().error().message, "c.yaml:2:5: nodes[0].name: this key is required (expected text)");
  (void)node->optional("tier");
  EXPECT_EQ(node->finish().error().message, "c.yaml:2:11: nodes[0]: unknown key 'nmae'; did you mean 'name'?");
}

TEST(Yaml, RefusesWhatCouldHurt) {
  EXPECT_FALSE(parse_yaml("a: &x [1]\nb: *x\n", "c.yaml"));
  EXPECT_FALSE(parse_yaml("a: 1\na: 2\n", "c.yaml"));
  EXPECT_FALSE(parse_yaml("", "c.yaml"));
  EXPECT_FALSE(parse_yaml(std::string(100000, '['), "c.yaml"));
  EXPECT_FALSE(parse_yaml("a: !!binary abc\n", "c.yaml"));
  EXPECT_FALSE(parse_yaml("a: [1, 2\n", "c.yaml"));
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_EQ(parse_json("{\"a\": 1,\n \"b\": }", "t.json").error().message, "t.json:2:7: not valid JSON here");
  EXPECT_FALSE(parse_json("{\"a\":1,\"a\":2}", "t.json"));
  EXPECT_FALSE(parse_json(std::string(100000, '['), "t.json"));
  EXPECT_TRUE(parse_json(std::string(60, '[') + std::string(60, ']'), "t.json"));
  EXPECT_FALSE(parse_json("[{\"b\": {\"a\": 1}, \"c\": [{\"a\": 1, \"a\": 2}]}]", "t.json"));
  EXPECT_TRUE(parse_json("[{\"b\": {\"a\": 1}, \"a\": [{\"a\": 1}, {\"a\": 2}]}]", "t.json"));
  const auto json = parse_json("{\"a\": -1, \"wrog\": 2}", "t.json");
  JsonMap map(*json, "t.json", "ops[3]");
  EXPECT_EQ(map.number("a", {.min = 0}).error().message, "t.json: ops[3].a: -1 is too small; it must be at least 0");
  EXPECT_EQ(map.number_or("wrong", 1).value(), 1);
  EXPECT_EQ(map.finish().error().message, "t.json: ops[3]: unknown key 'wrog'; did you mean 'wrong'?");
}

}  // namespace
}  // namespace tideline
