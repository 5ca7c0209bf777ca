// Goal: on random profiles (corrections at the cuts, overheads, slowdowns, asymmetric links, memory limits) aaiot, chain-exact
// and the exhaustive referee, over the plans that go up and come home when all is done, give the same plan. Method: numbers that
// are binary fractions, so that sums are exact in any order and the answers must be equal to the last bit, ties included; then
// arbitrary numbers, equal within rounding.
#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "planner/planner.h"

namespace tideline {
namespace {

struct Problem {
  Cluster cluster;
  std::vector<Profile> profiles;
  ResultTo result_to = ResultTo::kSource;

  PlanRequest request() const {
    PlanRequest request{.cost = {.cluster = &cluster, .result_to = result_to, .hop_overhead = Millis{0.25}},
                        .walks = Walks::kUpOnly};
    for (const Profile& profile : profiles) request.cost.profiles.push_back(&profile);
    return request;
  }
};

struct Generator {
  std::mt19937_64 random;
  bool whole = true;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double real(double low, double high) { return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53; }
  double bandwidth() {
    constexpr double kExact[] = {250, 500, 1000, 2000, 4000};
    return whole ? kExact[below(5)] : real(100, 1e5);
  }
  Millis time(std::uint32_t limit) { return Millis{whole ? below(limit) : real(0, limit)}; }

  Profile profile(std::uint32_t blocks, std::uint32_t spread, const std::vector<Bytes>& cut_bytes, double correction) {
    Profile profile{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
    for (std::uint32_t i = 0; i < blocks; ++i)
      profile.blocks.push_back(
          {.name = "b", .time = time(spread), .parameter_bytes = 1 + below(10), .activation_bytes = 1 + below(10)});
    for (std::uint32_t i = 0; i <= blocks; ++i)
      profile.cuts.push_back({.bytes = cut_bytes[i],
                              .start = i == 0 ? Millis{0} : correction * (time(4) - Millis{2}),
                              .end = i == blocks ? Millis{0} : correction * (time(4) - Millis{2})});
    profile.segment_overhead = time(3);
    return profile;
  }

  // `correction` scales what it costs or saves to cut; `limits`: nodes have little memory.
  Problem problem(double correction, bool limits) {
    Problem problem;
    if (below(4) == 0) problem.result_to = ResultTo::kNowhere;
    const std::uint32_t nodes = 1 + below(4);
    const std::uint32_t blocks = 1 + below(7);
    const std::uint32_t spread = 1 + below(12);
    std::vector<Bytes> cut_bytes;
    for (std::uint32_t i = 0; i <= blocks; ++i) cut_bytes.push_back(below(2 * spread));
    for (std::uint32_t j = 0; j < nodes; ++j) {
      problem.profiles.push_back(profile(blocks, spread, cut_bytes, correction));
      Node node{.name = "n" + std::to_string(j), .slowdown = whole ? 1 + below(3) : real(1, 8)};
      if (limits && below(3) > 0) node.memory_bytes = 5 + below(40);
      problem.cluster.nodes.push_back(node);
      if (j > 0)
        problem.cluster.links.push_back({.from = static_cast<NodeId>(j - 1),
                                         .to = static_cast<NodeId>(j),
                                         .bytes_per_s = bandwidth(),
                                         .back_bytes_per_s = bandwidth(),
                                         .rtt = time(3)});
    }
    return problem;
  }
};

struct Case {
  const char* name;
  bool whole;
  double correction;
  bool limits;
};

class ModelPlannersAgree : public testing::TestWithParam<Case> {};

TEST_P(ModelPlannersAgree, WithTheReferee) {
  const Case& test = GetParam();
  Generator generator{.random = std::mt19937_64(42), .whole = test.whole};
  int splits = 0;
  int infeasible = 0;
  int handed_over = 0;
  for (int round = 0; round < 2'000; ++round) {
    const Problem problem = generator.problem(test.correction, test.limits);
    const PlanRequest request = problem.request();
    const auto referee = run_planner(request, "exhaustive");
    const auto fast = run_planner(request, "aaiot");
    const auto exact = run_planner(request, "chain-exact");
    ASSERT_EQ(referee.has_value(), fast.has_value()) << "round " << round;
    ASSERT_EQ(referee.has_value(), exact.has_value()) << "round " << round;
    if (!referee) {
      ASSERT_EQ(fast.error().code, ErrorCode::kInfeasible) << fast.error().message;
      ASSERT_EQ(exact.error().code, ErrorCode::kInfeasible) << exact.error().message;
      ++infeasible;
      continue;
    }
    splits += referee->plan.segments.size() > 1 ? 1 : 0;
    handed_over += fast->stats.note.empty() ? 0 : 1;
    if (test.whole) {
      ASSERT_EQ(fast->plan.segments, referee->plan.segments) << "round " << round;
      ASSERT_EQ(exact->plan.segments, referee->plan.segments) << "round " << round;
      ASSERT_EQ(fast->estimate, referee->estimate) << "round " << round;
    }
    const double slack = 1e-9 * (1 + referee->estimate.latency.count());
    ASSERT_NEAR(fast->estimate.latency.count(), referee->estimate.latency.count(), slack) << "round " << round;
    ASSERT_NEAR(exact->estimate.latency.count(), referee->estimate.latency.count(), slack) << "round " << round;
  }
  EXPECT_GT(splits, 100);
  if (test.limits) {
    EXPECT_GT(infeasible, 10);
    EXPECT_GT(handed_over, 100);
  } else if (test.correction <= 1) {
    EXPECT_LT(handed_over, 2'000);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ModelPlannersAgree,
                         testing::Values(Case{"plain", true, 0, false}, Case{"corrections", true, 1, false},
                                         Case{"cut_off_at_zero", true, 8, false}, Case{"limits", true, 1, true},
                                         Case{"any_numbers", false, 1, false}, Case{"any_numbers_limits", false, 1, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ModelPlanners, Invariants) {
  Generator generator{.random = std::mt19937_64(5), .whole = false};
  for (int round = 0; round < 1'000; ++round) {
    Problem problem = generator.problem(0.5, false);
    const auto best = run_planner(problem.request(), "aaiot");
    ASSERT_TRUE(best);
    const double slack = 1e-9 * (1 + best->estimate.latency.count());
    const auto list = candidates(problem.request());
    ASSERT_TRUE(list);
    double least = list->front().estimate.latency.count();
    for (const Candidate& candidate : *list) {
      ASSERT_LE(best->estimate.latency.count(), candidate.estimate.latency.count() + slack) << "round " << round;
      least = std::min(least, candidate.estimate.latency.count());
    }
    ASSERT_NEAR(best->estimate.latency.count(), least, slack) << "round " << round;
    for (Link& link : problem.cluster.links) {
      const Link before = link;
      link.bytes_per_s *= 2;
      ASSERT_LE(run_planner(problem.request(), "aaiot")->estimate.latency.count(), best->estimate.latency.count() + slack);
      link = before;
    }
  }
}

// The best real split against every plan with two segments or more.
TEST(ModelPlanners, BestSplit) {
  Generator generator{.random = std::mt19937_64(9)};
  int found = 0;
  for (int round = 0; round < 500; ++round) {
    const Problem problem = generator.problem(1, true);
    const PlanRequest request = problem.request();
    const auto nodes = static_cast<std::uint32_t>(problem.cluster.nodes.size());
    const std::size_t blocks = problem.profiles[0].blocks.size();
    double best = -1;
    std::vector<std::uint32_t> placement(blocks, 0);
    for (bool more = true; more;) {
      if (std::is_sorted(placement.begin(), placement.end()) && placement.front() != placement.back()) {
        Plan plan{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c"), .result_to = problem.result_to};
        for (std::uint32_t i = 0; i < blocks; ++i) {
          if (i > 0 && placement[i] == placement[i - 1])
            plan.segments.back().last_block = i;
          else
            plan.segments.push_back({.node = problem.cluster.nodes[placement[i]].name, .first_block = i, .last_block = i});
        }
        const auto value = estimate(request.cost, plan);
        ASSERT_TRUE(value);
        if (value->infeasible.empty() && (best < 0 || value->latency.count() < best)) best = value->latency.count();
      }
      std::size_t i = 0;
      while (i < blocks && ++placement[i] == nodes) placement[i++] = 0;
      more = i < blocks;
    }
    const auto split = plan_best_split(request);
    ASSERT_EQ(split.has_value(), best >= 0) << "round " << round;
    if (!split) continue;
    ++found;
    ASSERT_EQ(split->estimate.latency.count(), best) << "round " << round;
    ASSERT_GT(split->plan.segments.size(), 1u) << "round " << round;
  }
  EXPECT_GT(found, 50);
}

TEST(ModelPlanners, RefuseWhatDoesNotFit) {
  Generator generator{.random = std::mt19937_64(3)};
  Problem problem = generator.problem(0, false);
  while (problem.cluster.nodes.size() < 2) problem = generator.problem(0, false);
  EXPECT_EQ(run_planner(problem.request(), "chain-exct").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(run_planner(PlanRequest{}, "aaiot").error().code, ErrorCode::kInvalidArgument);
  problem.profiles.back().chain_sha256 = sha256("other");
  EXPECT_EQ(run_planner(problem.request(), "aaiot").error().code, ErrorCode::kInvalidArgument);
}

TEST(ModelPlanners, ExhaustiveGivesUp) {
  Generator generator{.random = std::mt19937_64(3)};
  Problem problem;
  for (std::uint32_t j = 0; j < 4; ++j) {
    problem.profiles.push_back(generator.profile(300, 4, std::vector<Bytes>(301, 1), 0));
    problem.cluster.nodes.push_back({.name = "n" + std::to_string(j)});
    if (j > 0) problem.cluster.links.push_back({.from = NodeId{j - 1}, .to = NodeId{j}, .bytes_per_s = 1, .back_bytes_per_s = 1});
  }
  EXPECT_EQ(run_planner(problem.request(), "exhaustive").error().code, ErrorCode::kUnsupported);
  EXPECT_TRUE(run_planner(problem.request(), "chain-exact"));
}

}  // namespace
}  // namespace tideline
