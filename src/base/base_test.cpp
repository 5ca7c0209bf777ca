// Goal: units, hashes and the two strict readers accept what people write and refuse the rest with a place and a hint.
#include <atomic>
#include <condition_variable>
#include <thread>

#include <gtest/gtest.h>

#include "base/address.h"
#include "base/cancel.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/name.h"
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
  // More than anybody can wait is as long as can be counted.
  EXPECT_GT(*parse_duration("1e10s"), std::chrono::hours(24 * 365));
  EXPECT_LT(2 * *parse_duration("1e300min"), std::chrono::duration_cast<Millis>(Nanos::max()));
  EXPECT_EQ(*parse_memory("512MB"), 512'000'000u);
  EXPECT_NE(parse_memory("10").error().message.find("512MB"), std::string::npos);
  EXPECT_EQ(*parse_bytes("1MiB"), 1048576u);
  EXPECT_EQ(*parse_bytes("1.5kB"), 1500u);
  EXPECT_EQ(*parse_bytes("17"), 17u);
  EXPECT_FALSE(parse_bytes("1XB"));
  EXPECT_EQ(format_bytes(602112), "602 kB");
  EXPECT_EQ(format_count(569e6), "569 M");
}

TEST(Log, LinesThatRepeatWithoutEndAreCounted) {
  LogLimit limit;
  const SteadyTime start = SteadyTime(std::chrono::hours(1));
  EXPECT_EQ(limit.allow(start), 0u);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(limit.allow(start + std::chrono::milliseconds(i)));
  EXPECT_EQ(limit.allow(start + std::chrono::seconds(10)), 1000u);
  EXPECT_EQ(limit.allow(start + std::chrono::seconds(20)), 0u);
}

TEST(Address, GoodOnesAreReadAndWrittenBack) {
  EXPECT_EQ(parse_address("127.0.0.1:7411").value(), (Address{"127.0.0.1", 7411}));
  EXPECT_EQ(parse_address(":7411").value(), (Address{"127.0.0.1", 7411}));
  EXPECT_EQ(parse_address("edge-1.local:0").value(), (Address{"edge-1.local", 0}));
  EXPECT_EQ(parse_address("[::1]:65535").value(), (Address{"::1", 65535}));
  for (const char* text : {"10.0.0.1:80", "[fe80::1]:1", "name:7", "my_host:1", "[fe80::1%eth0]:1", "[::ffff:127.0.0.1]:1",
                           "4.example:1", "255.255.255.255:1"})
    EXPECT_EQ(to_string(parse_address(text).value()), text);
}

TEST(Address, BadOnesAreRefusedWithAnExample) {
  for (const char* text :
       {"",        "host",         "host:",        "host:x",        "host:-1",      "host:65536",  "host: 1",
        "host:1 ", "::1:7411",     "[::1]",        "[::1]:",        "[]:1",         "[host]:1",    "[::1:1",
        "a b:1",   "a/b:1",        "a\x1b[31m:1",  "http://x:1",    "x:123456",     "[::1%]:1",    "[::1%a b]:1",
        "127.1:1", "2130706433:1", "0x7f000001:1", "127.0.0.256:1", "127.0.0.01:1", "1.2.3.0x4:1", "1.2.3.4.:1"}) {
    const auto address = parse_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(address.error().message.find("127.0.0.1:7411"), std::string::npos) << address.error().message;
  }
  EXPECT_FALSE(parse_address(std::string(300, 'a') + ":1"));
}

TEST(Address, LoopbackIsKnown) {
  for (const char* text : {"127.0.0.1:1", ":1", "127.5.5.5:1", "[::1]:1", "localhost:1"})
    EXPECT_TRUE(is_loopback(parse_address(text).value())) << text;
  for (const char* text : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.org:1", "127.0.0.1.example:1"})
    EXPECT_FALSE(is_loopback(parse_address(text).value())) << text;
}

TEST(Name, OneGrammar) {
  for (const char* name : {"a", "camera", "edge-1.local", "A_b", "7", "x..y"}) EXPECT_TRUE(is_name(name)) << name;
  for (const char* name : {"", ".", "..", ".a", "-x", "--help", "_a", "a b", "a/b", "../x", "\x1b[31mred", "\xc3\xbc", "a\n"})
    EXPECT_FALSE(is_name(name)) << name;
  EXPECT_TRUE(is_name(std::string(63, 'n')));
  EXPECT_FALSE(is_name(std::string(64, 'n')));
}

TEST(Cancel, AWatchWaitsForItsCallbackAndIsSafeAfterIt) {
  const CancelToken token;
  std::mutex mutex;
  std::condition_variable changed;
  bool begun = false;
  std::atomic<bool> over{false};
  std::atomic<bool> gone{false};
  auto watch = std::make_unique<CancelToken::Watch>(token.source(), [&] {
    {
      const std::lock_guard lock(mutex);
      begun = true;
    }
    changed.notify_all();
    // Long enough for the other thread to be in the destructor if that did not wait.
    for (int i = 0; i < 20; ++i) std::this_thread::yield();
    EXPECT_FALSE(gone);
    over = true;
  });
  std::thread canceller([&] { token.cancel(); });
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return begun; });
  }
  watch.reset();
  gone = true;
  EXPECT_TRUE(over);
  canceller.join();

  // Cancelled already: at once. Gone before: never.
  int calls = 0;
  const auto late = token.watch([&] { ++calls; });
  EXPECT_EQ(calls, 1);
  const CancelToken other;
  {
    const auto early = other.watch([&] { ++calls; });
  }
  other.cancel();
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(token.wait_for(std::chrono::hours(1)));
  EXPECT_FALSE(CancelToken().wait_for(std::chrono::milliseconds(1)));
}

TEST(Text, NothingThatSteersATerminalPasses) {
  EXPECT_EQ(terminal_safe("plain\tline\n"), "plain\tline\n");
  EXPECT_EQ(terminal_safe("\xc3\xbc \xe6\xb0\xb4"), "\xc3\xbc \xe6\xb0\xb4");
  EXPECT_EQ(terminal_safe("a\x1b]0;owned\x07z"), "a?]0;owned?z");
  EXPECT_EQ(terminal_safe(std::string_view("\0\r\x7f", 3)), "???");
  EXPECT_EQ(terminal_safe("\xc2\x9b"
                          "31m"),
            "?31m");
  EXPECT_EQ(terminal_safe("\xe2\x80\xae"
                          "abc \xff"),
            "?abc ?");
  EXPECT_EQ(terminal_safe("\x1b[1;31mred"), "?[1;31mred");
  EXPECT_EQ(terminal_safe("\x1b[1;31mred\x1b[2J", true), "\x1b[1;31mred?[2J");
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

TEST(Yaml, ManyKeysAreReadAtOnceAndOneDocumentOnly) {
  std::string many;
  for (int i = 0; i < 60'000; ++i) many += "k" + std::to_string(i) + ": 1\n";
  const auto read = parse_yaml(many, "m.yaml");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->map()->entries().size(), 60'000u);
  EXPECT_NE(parse_yaml(many + "k7: 2\n", "m.yaml").error().message.find("'k7' appears twice"), std::string::npos);
  const auto two = parse_yaml("---\na: 1\n---\nb: 2\n", "m.yaml");
  ASSERT_FALSE(two);
  EXPECT_NE(two.error().message.find("m.yaml:3"), std::string::npos) << two.error().message;
  EXPECT_TRUE(parse_yaml("---\na: 1\n...\n", "m.yaml"));
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
