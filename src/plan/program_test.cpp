// Goal: a plan becomes the program that the header describes, on chains and on graphs; plans that fit no cluster and programs
// that are no walk are refused with their sentence. Method: small clusters by hand; one change at a time to a good program.
#include "plan/program.h"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::HasSubstr;
using From = ProgramStage::From;
using Then = ProgramStage::Then;

Cluster cluster_of(const std::vector<std::string>& names, const std::vector<std::pair<std::uint32_t, std::uint32_t>>& links) {
  Cluster cluster;
  for (const std::string& name : names) cluster.nodes.push_back({.name = name});
  for (const auto& [from, to] : links)
    cluster.links.push_back({.from = NodeId{from}, .to = NodeId{to}, .bytes_per_s = 1, .back_bytes_per_s = 1});
  return cluster;
}

Cluster chain_cluster() { return cluster_of({"camera", "gateway", "server"}, {{0, 1}, {1, 2}}); }

// Blocks between cuts of one tensor each, t0 .. tn; cut 2 has two.
Chain chain_of(std::uint32_t blocks) {
  Chain chain{.model_sha256 = sha256("m"), .sha256 = sha256("c")};
  chain.blocks.resize(blocks);
  for (std::uint32_t cut = 0; cut <= blocks; ++cut) {
    chain.cuts.push_back({.tensors = {{.name = "t" + std::to_string(cut)}}});
    if (cut == 2) chain.cuts.back().tensors.push_back({.name = "skip"});
  }
  return chain;
}

Plan plan_of(std::vector<std::string> route, std::vector<PlanSegment> segments) {
  return {.planner = "test",
          .model_sha256 = sha256("m"),
          .chain_sha256 = sha256("c"),
          .route = std::move(route),
          .segments = std::move(segments)};
}

using Names = std::vector<std::string>;

TEST(Program, AChainIsCallsUpAndAnswersBack) {
  const Plan plan = plan_of({"camera", "gateway", "server", "gateway", "camera"}, {{0, "camera", 0, 1}, {2, "server", 2, 3}});
  const auto program = lower(plan, chain_cluster(), chain_of(4));
  ASSERT_TRUE(program) << program.error().message;
  ASSERT_EQ(program->stages.size(), 5u);
  const Names cut0{"t0"};
  const Names cut2{"t2", "skip"};
  const Names cut4{"t4"};
  const ProgramStage camera{.id = 0,
                            .node = "camera",
                            .blocks = {{0, 1}},
                            .inputs = cut0,
                            .outputs = cut2,
                            .then = Then::kCall,
                            .next = 1,
                            .next_node = "gateway",
                            .link = 0};
  EXPECT_EQ(program->stages[0], camera);
  const ProgramStage gateway{.id = 1,
                             .node = "gateway",
                             .inputs = cut2,
                             .outputs = cut2,
                             .then = Then::kCall,
                             .next = 2,
                             .next_node = "server",
                             .link = 1};
  EXPECT_EQ(program->stages[1], gateway);
  const ProgramStage server{.id = 2, .node = "server", .blocks = {{2, 3}}, .inputs = cut2, .outputs = cut4};
  EXPECT_EQ(program->stages[2], server);
  const ProgramStage back{.id = 3, .node = "gateway", .inputs = cut4, .outputs = cut4, .from = From::kAnswer, .after = 1};
  EXPECT_EQ(program->stages[3], back);
  const ProgramStage home{.id = 4, .node = "camera", .inputs = cut4, .outputs = cut4, .from = From::kAnswer, .after = 0};
  EXPECT_EQ(program->stages[4], home);
}

TEST(Program, WhatIsWantedNowhereDoesNotTravel) {
  Plan plan = plan_of({"camera", "gateway", "server", "gateway", "camera"}, {{0, "camera", 0, 1}, {2, "server", 2, 3}});
  plan.result_to = ResultTo::kNowhere;
  auto program = lower(plan, chain_cluster(), chain_of(4));
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(program->stages[1].outputs, (Names{"t2", "skip"}));
  EXPECT_EQ(program->stages[2].inputs, (Names{"t2", "skip"}));
  EXPECT_EQ(program->stages[2].outputs, Names{});
  EXPECT_EQ(program->stages[3].inputs, Names{});
  EXPECT_EQ(program->stages[4].outputs, Names{});
  const Chain chain = chain_of(4);
  EXPECT_TRUE(verify(*program, chain_cluster(), shape_of(chain)));
  program->stages[3].outputs = {"t4"};
  EXPECT_THAT(verify(*program, chain_cluster(), shape_of(chain)).error().message, HasSubstr("wanted nowhere"));
}

TEST(Program, OneNodeIsOneStage) {
  const auto program = lower(plan_of({"camera"}, {{0, "camera", 0, 3}}), chain_cluster(), chain_of(4));
  ASSERT_TRUE(program) << program.error().message;
  ASSERT_EQ(program->stages.size(), 1u);
  EXPECT_EQ(program->stages[0].then, Then::kAnswer);
}

// Up one branch of a tree, back with blocks left, up the other, and the end at home.
TEST(Program, AWalkVisitsTwoBranchesAndComesBackWithBlocksLeft) {
  const Cluster tree = cluster_of({"camera", "left", "right"}, {{0, 1}, {0, 2}});
  const Plan plan = plan_of({"camera", "left", "camera", "right", "camera"},
                            {{0, "camera", 0, 0}, {1, "left", 1, 1}, {3, "right", 2, 2}, {4, "camera", 3, 3}});
  const auto program = lower(plan, tree, chain_of(4));
  ASSERT_TRUE(program) << program.error().message;
  const ProgramStage& between = program->stages[2];
  EXPECT_EQ(between.from, From::kAnswer);
  EXPECT_EQ(between.after, 0u);
  EXPECT_EQ(between.then, Then::kCall);
  EXPECT_EQ(between.next_node, "right");
  EXPECT_EQ(between.link, 1u);
  EXPECT_EQ(program->stages[4].after, 2u);
  EXPECT_EQ(program->stages[4].blocks, (std::pair<std::uint32_t, std::uint32_t>(3, 3)));
  EXPECT_EQ(program->stages[4].outputs, Names{"t4"});
}

TEST(Program, TheSourceNeedNotBeTheFirstNode) {
  Cluster cluster = cluster_of({"server", "camera"}, {{1, 0}});
  cluster.source = NodeId{1};
  EXPECT_TRUE(lower(plan_of({"camera", "server", "camera"}, {{1, "server", 0, 3}}), cluster, chain_of(4)));
  EXPECT_FALSE(lower(plan_of({"server"}, {{0, "server", 0, 3}}), cluster, chain_of(4)));
}

// What version 1 says means what it meant.
TEST(Program, APlanWithoutRouteGoesUpToItsLastNodeAndBack) {
  const Cluster chain = chain_cluster();
  const auto split = complete_plan(plan_of({}, {{0, "camera", 0, 1}, {0, "server", 2, 3}}), chain);
  ASSERT_TRUE(split) << split.error().message;
  EXPECT_EQ(split->route, (Names{"camera", "gateway", "server", "gateway", "camera"}));
  EXPECT_EQ(split->segments[1].at, 2u);
  EXPECT_EQ(complete_plan(plan_of({}, {{0, "gateway", 0, 3}}), chain)->route, (Names{"camera", "gateway", "camera"}));
  EXPECT_EQ(complete_plan(plan_of({}, {{0, "camera", 0, 3}}), chain)->route, Names{"camera"});
  // On a graph the shortest path through all of them.
  const Cluster graph = cluster_of({"a", "b", "c", "d"}, {{0, 1}, {0, 2}, {0, 3}, {1, 3}, {2, 3}});
  EXPECT_EQ(complete_plan(plan_of({}, {{0, "d", 0, 3}}), graph)->route, (Names{"a", "d", "a"}));
  EXPECT_EQ(complete_plan(plan_of({}, {{0, "c", 0, 1}, {0, "d", 2, 3}}), graph)->route, (Names{"a", "c", "d", "c", "a"}));
  EXPECT_FALSE(complete_plan(plan_of({}, {{0, "c", 0, 1}, {0, "b", 2, 3}}), graph));
}

TEST(Program, PlansThatDoNotFitAreRefused) {
  const Cluster cluster = cluster_of({"a", "b", "c"}, {{0, 1}, {1, 2}, {2, 0}});
  const Chain chain = chain_of(4);
  const auto refused = [&](const Plan& plan, const char* sentence, ErrorCode code = ErrorCode::kInvalidArgument) {
    const auto program = lower(plan, cluster, chain);
    ASSERT_FALSE(program) << sentence;
    EXPECT_EQ(program.error().code, code);
    EXPECT_THAT(program.error().message, HasSubstr(sentence));
  };
  refused(plan_of({"a"}, {}), "no segments");
  refused(plan_of({"x"}, {{0, "x", 0, 3}}), "'x', which the cluster does not have");
  refused(plan_of({}, {{0, "x", 0, 3}}), "'x', which the cluster does not have");
  refused(plan_of({}, {{0, "b", 0, 1}, {0, "a", 2, 3}}), "in this order");
  refused(plan_of({"b"}, {{0, "b", 0, 3}}), "begin at the source");
  refused(plan_of({"a", "c", "a"}, {{1, "c", 0, 3}}), "no link leads there");
  refused(plan_of({"a", "b"}, {{1, "b", 0, 3}}), "returns to the source");
  refused(plan_of({"a", "b", "c", "a"}, {{1, "b", 0, 3}}), "still waits for its answer");
  refused(plan_of({"a", "b", "a"}, {{0, "a", 1, 3}}), "begin with block 0");
  refused(plan_of({"a", "b", "a"}, {{0, "a", 0, 0}, {1, "b", 2, 3}}), "begin with block 1");
  refused(plan_of({"a", "b", "a"}, {{0, "a", 0, 1}, {1, "b", 2, 1}}), "blocks 2..1");
  refused(plan_of({"a"}, {{0, "a", 0, 2}}), "ends after block 2");
  refused(plan_of({"a"}, {{0, "a", 0, 4}}), "but the model has 4");
  refused(plan_of({"a", "b", "a"}, {{1, "a", 0, 3}}), "the route is at 'b' there");
  refused(plan_of({"a", "b", "a"}, {{0, "a", 0, 1}, {3, "a", 2, 3}}), "at position 3");
  refused(plan_of({"a", "b", "a"}, {{1, "b", 0, 1}, {0, "a", 2, 3}}), "at position 0");
  Plan other = plan_of({"a"}, {{0, "a", 0, 3}});
  other.chain_sha256 = sha256("other");
  refused(other, "another model");
  Plan coded = plan_of({"a", "b", "a"}, {{1, "b", 0, 3}});
  coded.codecs = {"raw"};
  refused(coded, "1 codecs for the 2 moves");
  coded.codecs = {"raw", "zstd"};
  refused(coded, "no codec 'zstd'", ErrorCode::kUnsupported);
  coded.codecs = {"int8c+zstd", "fp16"};
  const auto lowered = lower(coded, cluster, shape_of(chain));
  ASSERT_TRUE(lowered) << lowered.error().message;
  EXPECT_EQ(lowered->stages[0].codec, "int8c+zstd");
  EXPECT_EQ(lowered->stages[1].codec, "fp16");
  EXPECT_EQ(lowered->stages[2].codec, "raw");
  EXPECT_TRUE(verify(*lowered, cluster, shape_of(chain)));
}

// Every change to a good program that makes it another walk is found.
TEST(Program, VerifyFindsEveryDefect) {
  const Cluster cluster = cluster_of({"a", "b", "c"}, {{0, 1}, {0, 2}, {1, 2}, {2, 0}});
  const Chain chain = chain_of(4);
  const Plan plan =
      plan_of({"a", "b", "c", "b", "a", "c", "a"}, {{0, "a", 0, 0}, {2, "c", 1, 1}, {3, "b", 2, 2}, {5, "c", 3, 3}});
  const auto good = lower(plan, cluster, chain);
  ASSERT_TRUE(good) << good.error().message;
  ASSERT_TRUE(verify(*good, cluster, shape_of(chain))) << verify(*good, cluster, shape_of(chain)).error().message;
  const std::vector<std::function<void(std::vector<ProgramStage>&)>> defects{
      [](auto& s) { s.clear(); },
      [](auto& s) { s.pop_back(); },
      [](auto& s) { s[2].id = 7; },
      [](auto& s) { s[0].node = "b"; },
      [](auto& s) { s[0].from = From::kAnswer; },
      [](auto& s) { s[1].from = From::kAnswer; },
      [](auto& s) { s[3].from = From::kRequest; },
      [](auto& s) { s[3].after = 0; },
      [](auto& s) { s[3].node = "a"; },
      [](auto& s) { s[4].after = 1; },
      [](auto& s) { s[4].then = Then::kAnswer; },
      [](auto& s) { s[6].then = Then::kCall; },
      [](auto& s) { s[0].next = 2; },
      [](auto& s) { s[0].next_node = "c"; },
      [](auto& s) { s[0].link = 1; },
      [](auto& s) { s[0].link = 9; },
      [](auto& s) { s[2].blocks.reset(); },
      [](auto& s) {
        s[2].blocks = {{1, 2}};
      },
      [](auto& s) {
        s[5].blocks = {{3, 4}};
      },
      [](auto& s) { s[5].blocks.reset(), s[5].outputs = s[5].inputs, s[6].inputs = s[6].outputs = s[5].inputs; },
      [](auto& s) { s[1].inputs[0] = "other"; },
      [](auto& s) { s[1].outputs.clear(); },
      [](auto& s) { s[1].codec = "zstd"; },
      [](auto& s) { s.back().codec = "fp16"; },
  };
  for (std::size_t i = 0; i < defects.size(); ++i) {
    Program program = *good;
    defects[i](program.stages);
    EXPECT_FALSE(verify(program, cluster, shape_of(chain))) << "defect " << i;
  }
  // a -> b -> c -> a: a call back to a node whose own call waits.
  Program loop = *good;
  loop.stages[2].then = Then::kCall;
  loop.stages[2].next = 3;
  loop.stages[2].next_node = "a";
  loop.stages[2].link = 3;
  loop.stages[3] = loop.stages[0];
  loop.stages[3].id = 3;
  EXPECT_FALSE(verify(loop, cluster, shape_of(chain)));
}

}  // namespace
}  // namespace tideline
