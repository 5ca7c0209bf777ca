// Goal: the estimate is the header's formula, term by term, and plans that do not fit are refused with the reason.
#include "cost/cost.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;

Profile profile_of(std::vector<double> times, std::vector<Bytes> cut_bytes) {
  Profile profile{.model_name = "m", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  for (const double time : times)
    profile.blocks.push_back({.name = "b", .time = Millis{time}, .parameter_bytes = 100, .activation_bytes = 10});
  for (const Bytes bytes : cut_bytes) profile.cuts.push_back({.bytes = bytes});
  return profile;
}

Cluster cluster_of(std::size_t nodes) {
  Cluster cluster;
  for (std::size_t i = 0; i < nodes; ++i) {
    cluster.nodes.push_back({.name = "n" + std::to_string(i), .host = "h", .port = static_cast<std::uint16_t>(i + 1)});
    if (i > 0)
      cluster.links.push_back({.from = static_cast<NodeId>(i - 1),
                               .to = static_cast<NodeId>(i),
                               .bytes_per_s = 1.25e6,
                               .back_bytes_per_s = 1.25e6,
                               .rtt = Millis{4}});
  }
  return cluster;
}

Plan plan_of(std::vector<PlanSegment> segments) {
  return Plan{.planner = "test", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c"), .segments = std::move(segments)};
}

// The example of cost.h: input 150,528 B, result 4,000 B, 1.25e6 B/s, 4 ms, 10 ms of work on the far node.
TEST(Cost, WorkedExample) {
  const Profile profile = profile_of({10}, {150'528, 4'000});
  const Cluster cluster = cluster_of(2);
  const auto result = estimate({.cluster = &cluster, .profiles = {&profile, &profile}}, plan_of({{0, "n1", 0, 0}}));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency.count(), 137.6224, 1e-9);
  EXPECT_EQ(result->compute, Millis{10});
  ASSERT_EQ(result->stages.size(), 2u);
  EXPECT_FALSE(result->stages[0].has_segment);
  EXPECT_TRUE(result->stages[1].has_segment);
  ASSERT_EQ(result->hops.size(), 1u);
  EXPECT_EQ(result->hops[0].bytes, 150'528u);
  EXPECT_EQ(result->hops[0].result_bytes, 4'000u);
}

// Up to n1 with block 0 done, back with block 1 done, and the last block at home: the way back carries cut 2, at its own
// bandwidth.
TEST(Cost, AWalkThatComesBackWithBlocksLeft) {
  const Profile profile = profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500});
  Cluster cluster = cluster_of(2);
  cluster.links[0].back_bytes_per_s = 0.5e6;
  Plan plan = plan_of({{0, "n0", 0, 0}, {1, "n1", 1, 1}, {2, "n0", 2, 2}});
  plan.route = {"n0", "n1", "n0"};
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile}, .hop_overhead = Millis{0.125}};
  const auto result = estimate(input, plan);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency.count(), 15 + 4 + 1.6 + 2 + 0.125, 1e-12);
  ASSERT_EQ(result->stages.size(), 3u);
  EXPECT_EQ(result->stages[2].at, 2u);
  ASSERT_EQ(result->hops.size(), 1u);
  EXPECT_EQ(result->hops[0].bytes, 2'000u);
  EXPECT_EQ(result->hops[0].result_bytes, 1'000u);
  EXPECT_EQ(result->hops[0].answered, 2u);
  // Both segments of a node count.
  cluster.nodes[0].memory_bytes = 219;
  EXPECT_EQ(estimate(input, plan)->infeasible, "n0: needs 220 B, has 219 B");
}

// On a graph the second hop goes over the link that the route names.
TEST(Cost, ARouteOverAGraph) {
  const Profile profile = profile_of({3, 5}, {9'000, 2'000, 500});
  Cluster cluster = cluster_of(3);
  cluster.links.insert(cluster.links.begin() + 1,
                       {.from = NodeId{0}, .to = NodeId{2}, .bytes_per_s = 1e6, .back_bytes_per_s = 1e5, .rtt = Millis{1}});
  Plan plan = plan_of({{0, "n0", 0, 0}, {1, "n2", 1, 1}});
  plan.route = {"n0", "n2", "n0"};
  const auto result = estimate({.cluster = &cluster, .profiles = {&profile, &profile, &profile}}, plan);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->latency.count(), 8 + 1 + 2 + 5, 1e-12);
  EXPECT_EQ(result->hops[0].link, 1u);
}

// System: three blocks on nodes 0 and 2 of three, different slowdowns, corrections at the cut, an asymmetric link and an
// overhead. Expected by hand: n0 2 * (1 + 3 + 5 + end 0.5), n2 3 * (1 + 7 + start 0.25); both links carry cut 2 forward and cut 3
// back.
TEST(Cost, EveryTerm) {
  Profile profile = profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500});
  profile.segment_overhead = Millis{1};
  profile.cuts[2].end = Millis{0.5};
  profile.cuts[2].start = Millis{0.25};
  Cluster cluster = cluster_of(3);
  cluster.nodes[0].slowdown = 2;
  cluster.nodes[2].slowdown = 3;
  cluster.links[0].bytes_per_s = 1e6;
  cluster.links[0].back_bytes_per_s = 0.5e6;
  cluster.links[1].bytes_per_s = cluster.links[1].back_bytes_per_s = 1e5;
  cluster.links[1].rtt = Millis{20};
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile, &profile}, .hop_overhead = Millis{0.125}};
  const auto result = estimate(input, plan_of({{0, "n0", 0, 1}, {0, "n2", 2, 2}}));
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_NEAR(result->stages[0].compute.count(), 2 * 9.5, 1e-12);
  EXPECT_NEAR(result->stages[2].compute.count(), 3 * 8.25, 1e-12);
  EXPECT_EQ(result->stages[1].compute, Millis{0});
  EXPECT_NEAR(result->hops[0].total().count(), 4 + 1 + 1 + 0.125, 1e-12);
  EXPECT_NEAR(result->hops[1].total().count(), 20 + 10 + 5 + 0.125, 1e-12);
  EXPECT_NEAR(result->latency.count(), 19 + 24.75 + 6.125 + 35.125, 1e-12);
  EXPECT_EQ(result->latency, result->compute + result->transfer);
  EXPECT_EQ(result->stages[0].memory_bytes, 210u);
  EXPECT_EQ(result->infeasible, "");
}

// What a codec makes of the four cuts, on a node that is so many times slower than the first.
Profile with_codecs(Profile profile, double factor) {
  const auto times = [&](std::vector<double> list) {
    std::vector<Millis> result;
    for (const double time : list) result.emplace_back(factor * time);
    return result;
  };
  const std::vector<double> none(4, 0);
  profile.codecs = {{"int8", {2'400, 600, 300, 200}, times({4, 3, 2, 1}), times({0.8, 0.6, 0.4, 0.2}), none, none, none, {}},
                    {"fp16", {4'500, 1'000, 500, 250}, times({8, 6, 4, 2}), times({0.4, 0.3, 0.2, 0.1}), none, none, none, {}}};
  return profile;
}

// System: block 0 on n0, the middle node passes on, the rest on n2, which has a profile of its own; up in int8, the result home
// in fp16 to n1 and raw from there. Expected by hand: n0 encodes cut 1 (slowdown 2: 6 ms); n1 touches nothing on the way up, and
// takes the answer out of fp16 (0.1); n2 decodes cut 1 (3 * 0.6) and encodes cut 3 (3 * 2).
TEST(Cost, CodecsChangeBytesAndTakeTimeAtBothEnds) {
  const Profile near = with_codecs(profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500}), 1);
  const Profile far = with_codecs(profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500}), 3);
  Cluster cluster = cluster_of(3);
  cluster.nodes[0].slowdown = 2;
  for (Link& link : cluster.links) link.bytes_per_s = link.back_bytes_per_s = 1e6;
  Plan plan = plan_of({{0, "n0", 0, 0}, {2, "n2", 1, 2}});
  plan.route = {"n0", "n1", "n2", "n1", "n0"};
  plan.codecs = {"int8", "int8", "fp16", "raw"};
  const CostInput input{.cluster = &cluster, .profiles = {&near, &near, &far}};
  const auto result = estimate(input, plan);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->hops.size(), 2u);
  EXPECT_EQ(result->hops[0].bytes, 600u);
  EXPECT_EQ(result->hops[1].bytes, 600u);
  EXPECT_EQ(result->hops[1].result_bytes, 250u);
  EXPECT_EQ(result->hops[0].result_bytes, 500u);
  EXPECT_EQ(result->hops[0].codec, "int8");
  EXPECT_EQ(result->hops[1].back_codec, "fp16");
  EXPECT_NEAR(result->hops[0].coding.count(), 2 * 3, 1e-12);
  EXPECT_NEAR(result->hops[1].coding.count(), 3 * 0.6 + 3 * 2 + 0.1, 1e-12);
  EXPECT_NEAR(result->hops[0].on_link().count(), 4 + 0.6 + 0.5, 1e-12);
  EXPECT_NEAR(result->hops[1].on_link().count(), 4 + 0.6 + 0.25, 1e-12);
  EXPECT_NEAR(result->latency.count(), 2 * 3 + 5 + 7 + 6 + 7.9 + 5.1 + 4.85, 1e-12);
  ASSERT_EQ(result->stages.size(), 3u);
  EXPECT_NEAR(result->stages[0].encode.count(), 6, 1e-12);
  EXPECT_NEAR(result->stages[1].decode.count(), 0.1, 1e-12);
  EXPECT_EQ(result->stages[1].encode.count(), 0);
  EXPECT_NEAR(result->stages[2].decode.count(), 1.8, 1e-12);
  EXPECT_NEAR(result->stages[2].encode.count(), 6, 1e-12);
  // The last hop home in int8 too: n1 changes the codec, n0 decodes.
  plan.codecs[3] = "int8";
  const auto again = estimate(input, plan);
  EXPECT_EQ(again->hops[0].result_bytes, 200u);
  EXPECT_NEAR(again->hops[0].coding.count(), 6 + 1 + 2 * 0.2, 1e-12);
  EXPECT_NEAR(again->stages[1].encode.count(), 1, 1e-12);
  EXPECT_NEAR(again->stages[0].decode.count(), 0.4, 1e-12);
}

// System: the same way. int8 costs 0.25 of the counted answers and 0.125 of their largest number, fp16 0.0625 of the number, and
// nobody counted. Expectation: n0's int8, which n1 passes on, loses once, and n2's fp16 on top of it; what loses nothing by its
// name loses nothing.
TEST(Cost, LossesAddUpOverTheNodesThatEncode) {
  Profile profile = with_codecs(profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500}), 1);
  profile.codecs[0].top1_agreement.assign(4, 0.75);
  profile.codecs[0].max_rel_error.assign(4, 0.125);
  profile.codecs[1].max_rel_error.assign(4, 0.0625);
  const Cluster cluster = cluster_of(3);
  Plan plan = plan_of({{0, "n0", 0, 0}, {2, "n2", 1, 2}});
  plan.route = {"n0", "n1", "n2", "n1", "n0"};
  plan.codecs = {"int8", "int8", "fp16", "raw"};
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile, &profile}};
  const auto lossy = estimate(input, plan);
  ASSERT_TRUE(lossy) << lossy.error().message;
  EXPECT_EQ(lossy->lost_accuracy, 0.25);
  EXPECT_EQ(lossy->output_error, 0.1875);
  profile.codecs[0].name = "raw+lz4";
  plan.codecs = {"raw+lz4", "raw+lz4", "raw", "raw"};
  const auto lossless = estimate(input, plan);
  ASSERT_TRUE(lossless) << lossless.error().message;
  EXPECT_EQ(lossless->lost_accuracy, 0);
  EXPECT_EQ(lossless->output_error, 0);
}

TEST(Cost, ACodecThatWasNotMeasuredIsNamed) {
  const Profile profile = with_codecs(profile_of({3, 5, 7}, {9'000, 2'000, 1'000, 500}), 1);
  const Cluster cluster = cluster_of(2);
  Plan plan = plan_of({{0, "n0", 0, 0}, {1, "n1", 1, 2}});
  plan.route = {"n0", "n1", "n0"};
  plan.codecs = {"int8c", "raw"};
  const auto result = estimate({.cluster = &cluster, .profiles = {&profile, &profile}}, plan);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("--codecs int8c"));
}

TEST(Cost, EachNodeHasItsProfile) {
  const Profile slow = profile_of({10, 10}, {1, 1, 1});
  const Profile fast = profile_of({1, 2}, {1, 1, 1});
  const Cluster cluster = cluster_of(2);
  const auto result = estimate({.cluster = &cluster, .profiles = {&slow, &fast}}, plan_of({{0, "n0", 0, 0}, {0, "n1", 1, 1}}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->compute, Millis{12});
}

TEST(Cost, SaysWhoLacksMemory) {
  const Profile profile = profile_of({1, 1}, {1, 1, 1});
  Cluster cluster = cluster_of(2);
  cluster.nodes[0].memory_bytes = 109;
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile}};
  EXPECT_EQ(estimate(input, plan_of({{0, "n0", 0, 0}, {0, "n1", 1, 1}}))->infeasible, "n0: needs 110 B, has 109 B");
  EXPECT_EQ(estimate(input, plan_of({{0, "n1", 0, 1}}))->infeasible, "");
  cluster.nodes[0].memory_bytes = 110;
  EXPECT_EQ(estimate(input, plan_of({{0, "n0", 0, 0}, {0, "n1", 1, 1}}))->infeasible, "");
}

// 10 B there over 1 kB/s each way; home come 5 B, or nothing.
TEST(Cost, AResultThatIsWantedNowhereHasNoBytes) {
  const Profile profile = profile_of({1, 1}, {10, 7, 5});
  const Cluster cluster = cluster_of(2);
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile}};
  Plan plan = plan_of({{0, "n1", 0, 1}});
  const auto wanted = estimate(input, plan);
  plan.result_to = ResultTo::kNowhere;
  const auto unwanted = estimate(input, plan);
  ASSERT_TRUE(wanted && unwanted);
  EXPECT_EQ(wanted->hops[0].result_bytes, 5u);
  EXPECT_EQ(unwanted->hops[0].result_bytes, 0u);
  EXPECT_EQ(unwanted->hops[0].back, Millis{0});
  EXPECT_NEAR((wanted->latency - unwanted->latency).count(), wanted->hops[0].back.count(), 1e-9);
}

TEST(Cost, RefusesPlansThatDoNotFit) {
  const Profile profile = profile_of({1, 1, 1}, {1, 1, 1, 1});
  const Cluster cluster = cluster_of(3);
  const CostInput input{.cluster = &cluster, .profiles = {&profile, &profile, &profile}};
  const auto refused = [&](const Plan& plan, const char* sentence) {
    const auto result = estimate(input, plan);
    ASSERT_FALSE(result) << sentence;
    EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(result.error().message, HasSubstr(sentence));
  };
  refused(plan_of({}), "no segments");
  refused(plan_of({{0, "n7", 0, 2}}), "'n7', which the cluster does not have");
  refused(plan_of({{0, "n1", 0, 1}, {0, "n0", 2, 2}}), "in this order");
  refused(plan_of({{0, "n1", 0, 1}, {0, "n1", 2, 2}}), "in this order");
  refused(plan_of({{0, "n0", 1, 2}}), "expected it to begin with block 0");
  refused(plan_of({{0, "n0", 0, 0}, {0, "n1", 2, 2}}), "expected it to begin with block 1");
  refused(plan_of({{0, "n0", 0, 1}}), "ends after block 1");
  refused(plan_of({{0, "n0", 0, 3}}), "but the model has 3");
  refused(plan_of({{0, "n0", 0, 1}, {0, "n1", 2, 1}}), "blocks 2..1");
  Plan other = plan_of({{0, "n0", 0, 2}});
  other.chain_sha256 = sha256("other");
  refused(other, "another model");
}

TEST(Cost, RefusesProfilesThatDoNotFit) {
  const Profile profile = profile_of({1, 1}, {1, 1, 1});
  Profile other = profile;
  other.chain_sha256 = sha256("other");
  Profile broken = profile;
  broken.cuts.pop_back();
  const Cluster cluster = cluster_of(2);
  const Plan plan = plan_of({{0, "n0", 0, 1}});
  EXPECT_FALSE(estimate({.cluster = &cluster, .profiles = {&profile}}, plan));
  EXPECT_FALSE(estimate({.cluster = &cluster, .profiles = {&profile, nullptr}}, plan));
  EXPECT_FALSE(estimate({.cluster = &cluster, .profiles = {&profile, &other}}, plan));
  EXPECT_FALSE(estimate({.cluster = &cluster, .profiles = {&broken, &broken}}, plan));
  EXPECT_FALSE(estimate({.profiles = {&profile, &profile}}, plan));
}

}  // namespace
}  // namespace tideline
