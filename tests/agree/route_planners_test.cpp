// Goal: route finds the best walk of any cluster. Method: random profiles on random chains with fast ways back, trees, diamonds
// and graphs, against the exhaustive referee over every assignment of blocks to places; with binary fractions, so that sums are
// exact in any order, the same plan, ties included. Then what must hold without a referee: a link more, a bandwidth doubled and
// other names never make the answer worse.
#include <algorithm>
#include <numeric>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cluster/routes.h"
#include "planner/planner.h"

namespace tideline {
namespace {

enum class Shape { kChain, kTree, kDiamond, kGraph };

struct Instance {
  Cluster cluster;
  std::vector<Profile> profiles;

  PlanRequest request(Walks walks = Walks::kAny) const {
    PlanRequest request{.cost = {.cluster = &cluster, .hop_overhead = Millis{0.25}}, .walks = walks};
    for (const Profile& profile : profiles) request.cost.profiles.push_back(&profile);
    return request;
  }
};

struct Generator {
  std::mt19937_64 random;
  bool whole = true;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double real(double low, double high) { return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53; }
  Millis time(std::uint32_t limit) { return Millis{whole ? below(limit) : real(0, limit)}; }
  double bandwidth() {
    constexpr double kExact[] = {250, 500, 1000, 2000, 4000};
    return whole ? kExact[below(5)] : real(100, 1e5);
  }

  void link(Cluster& cluster, std::uint32_t from, std::uint32_t to) {
    cluster.links.push_back({.from = NodeId{from},
                             .to = NodeId{to},
                             .bytes_per_s = bandwidth(),
                             .back_bytes_per_s = bandwidth(),
                             .rtt = Millis{whole ? 2 * below(2) : real(0, 2)}});
  }

  void links(Shape shape, Cluster& cluster) {
    const auto nodes = static_cast<std::uint32_t>(cluster.nodes.size());
    for (std::uint32_t to = 1; to < nodes; ++to) {
      if (shape == Shape::kChain) link(cluster, to - 1, to);
      if (shape == Shape::kTree) link(cluster, below(to), to);
      if (shape == Shape::kDiamond && to + 1 < nodes) link(cluster, 0, to), link(cluster, to, nodes - 1);
      if (shape != Shape::kGraph) continue;
      for (std::uint32_t from = 0; from < nodes; ++from)
        if (from != to && below(2) == 0) link(cluster, from, to);
    }
    std::sort(cluster.links.begin(), cluster.links.end(), [](const Link& left, const Link& right) {
      return std::pair(left.from, left.to) < std::pair(right.from, right.to);
    });
  }

  Instance instance(Shape shape, double correction, bool limits, std::uint32_t blocks_max = 4) {
    Instance instance;
    const std::uint32_t nodes = 2 + below(3);
    const std::uint32_t blocks = 1 + below(blocks_max);
    const std::uint32_t spread = 1 + below(16);
    std::vector<Bytes> cut_bytes;
    for (std::uint32_t i = 0; i <= blocks; ++i) cut_bytes.push_back(below(2 * spread));
    for (std::uint32_t j = 0; j < nodes; ++j) {
      Profile profile{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
      for (std::uint32_t i = 0; i < blocks; ++i)
        profile.blocks.push_back(
            {.name = "b", .time = time(spread), .parameter_bytes = 1 + below(10), .activation_bytes = 1 + below(10)});
      for (std::uint32_t i = 0; i <= blocks; ++i)
        profile.cuts.push_back({.bytes = cut_bytes[i],
                                .start = i == 0 ? Millis{0} : correction * (time(4) - Millis{2}),
                                .end = i == blocks ? Millis{0} : correction * (time(4) - Millis{2})});
      profile.segment_overhead = time(3);
      instance.profiles.push_back(std::move(profile));
      Node node{.name = fmt::format("n{}", j), .slowdown = whole ? 1 : real(1, 4)};
      if (limits && below(3) > 0) node.memory_bytes = 8 + below(40);
      instance.cluster.nodes.push_back(node);
    }
    links(shape, instance.cluster);
    return instance;
  }
};

bool comes_back(const Plan& plan) {
  const auto turn = std::max_element(plan.segments.begin(), plan.segments.end(), [](const auto& left, const auto& right) {
                      return left.at < right.at;
                    })->at;
  for (std::uint32_t at = 2; at <= turn; ++at)
    if (plan.route[at] == plan.route[at - 2]) return true;
  return false;
}

struct Case {
  const char* name;
  Shape shape;
  bool whole;
  double correction;
  bool limits;
};

class RouteAgrees : public testing::TestWithParam<Case> {};

TEST_P(RouteAgrees, WithTheReferee) {
  const Case& test = GetParam();
  Generator generator{.random = std::mt19937_64(7), .whole = test.whole};
  int back = 0;
  int restricted = 0;
  for (int round = 0; round < 600; ++round) {
    const Instance instance = generator.instance(test.shape, test.correction, test.limits);
    const PlanRequest request = instance.request();
    const auto referee = run_planner(request, "exhaustive");
    if (!referee && referee.error().code == ErrorCode::kUnsupported) continue;
    if (referee && !referee->stats.note.empty()) continue;
    const auto route = run_planner(request, "route");
    if (!route && route.error().code == ErrorCode::kUnsupported) {
      ++restricted;
      continue;
    }
    ASSERT_EQ(referee.has_value(), route.has_value()) << "round " << round << ": " << (route ? "" : route.error().message);
    if (!referee) {
      ASSERT_EQ(route.error().code, ErrorCode::kInfeasible);
      continue;
    }
    back += comes_back(referee->plan) ? 1 : 0;
    const double slack = 1e-9 * (1 + referee->estimate.latency.count());
    if (route->stats.note.find("come home") != std::string::npos) {
      ++restricted;
      ASSERT_GE(route->estimate.latency.count(), referee->estimate.latency.count() - slack) << "round " << round;
      continue;
    }
    ASSERT_NEAR(route->estimate.latency.count(), referee->estimate.latency.count(), slack) << "round " << round;
    if (!test.whole) continue;
    ASSERT_EQ(route->plan.route, referee->plan.route) << "round " << round;
    ASSERT_EQ(route->plan.segments, referee->plan.segments) << "round " << round;
  }
  EXPECT_GT(back, 10);
  EXPECT_LT(restricted, test.limits ? 60 : 1);
}

// Over the walks that come home when all is done, on any graph: the search state by state and the one segment by segment.
TEST_P(RouteAgrees, WithTheRefereeUpOnly) {
  const Case& test = GetParam();
  Generator generator{.random = std::mt19937_64(8), .whole = test.whole};
  for (int round = 0; round < 300; ++round) {
    const Instance instance = generator.instance(test.shape, test.correction, test.limits);
    const PlanRequest request = instance.request(Walks::kUpOnly);
    const auto referee = run_planner(request, "exhaustive");
    if (!referee && referee.error().code == ErrorCode::kUnsupported) continue;
    for (const char* planner : {"route", "chain-exact", "auto"}) {
      const auto found = run_planner(request, planner);
      ASSERT_EQ(referee.has_value(), found.has_value()) << planner << " round " << round;
      if (!referee) continue;
      ASSERT_NEAR(found->estimate.latency.count(), referee->estimate.latency.count(),
                  1e-9 * (1 + referee->estimate.latency.count()))
          << planner << " round " << round;
      ASSERT_FALSE(comes_back(found->plan)) << planner << " round " << round;
      if (test.whole) {
        ASSERT_EQ(found->plan.segments, referee->plan.segments) << planner << " round " << round;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Every, RouteAgrees,
    testing::Values(Case{"chain", Shape::kChain, true, 0, false}, Case{"chain_corrections", Shape::kChain, true, 1, false},
                    Case{"chain_cut_off_at_zero", Shape::kChain, true, 8, false},
                    Case{"chain_limits", Shape::kChain, true, 1, true}, Case{"tree", Shape::kTree, true, 1, false},
                    Case{"tree_limits", Shape::kTree, true, 0, true}, Case{"diamond", Shape::kDiamond, true, 1, false},
                    Case{"graph", Shape::kGraph, true, 1, false}, Case{"graph_limits", Shape::kGraph, true, 1, true},
                    Case{"graph_any_numbers", Shape::kGraph, false, 1, false}),
    [](const auto& test) { return std::string(test.param.name); });

// The best plan with two segments or more, against every assignment that has them.
TEST(RoutePlanners, BestSplitAndBestPairs) {
  Generator generator{.random = std::mt19937_64(9)};
  int found = 0;
  for (int round = 0; round < 300; ++round) {
    const Instance instance = generator.instance(round % 2 == 0 ? Shape::kTree : Shape::kGraph, 1, round % 3 == 0, 3);
    const PlanRequest request = instance.request();
    const auto list = candidates(request);
    const auto pairs = best_pairs(request);
    ASSERT_TRUE(list && pairs) << "round " << round;
    const auto auto_plan = run_planner(request, "auto");
    double least = std::numeric_limits<double>::infinity();
    for (const Candidate& candidate : *list)
      if (candidate.estimate.infeasible.empty()) least = std::min(least, candidate.estimate.latency.count());
    if (auto_plan && auto_plan->stats.note.empty()) {
      ASSERT_NEAR(auto_plan->estimate.latency.count(), least, 1e-9 * (1 + least)) << "round " << round;
    }
    double best_pair = std::numeric_limits<double>::infinity();
    for (const Candidate& pair : *pairs) {
      ASSERT_EQ(pair.plan.segments.size(), 2u);
      ASSERT_EQ(pair.estimate.infeasible, "");
      best_pair = std::min(best_pair, pair.estimate.latency.count());
    }
    const auto split = plan_best_split(request);
    if (!split) {
      ASSERT_TRUE(pairs->empty() || split.error().code == ErrorCode::kUnsupported) << "round " << round;
      continue;
    }
    ++found;
    ASSERT_GT(split->plan.segments.size(), 1u);
    if (split->stats.note.find("come home") == std::string::npos) {
      ASSERT_LE(split->estimate.latency.count(), best_pair + 1e-9 * (1 + best_pair)) << "round " << round;
    }
  }
  EXPECT_GT(found, 100);
}

TEST(RoutePlanners, MoreLinksAndMoreBandwidthNeverWorsen) {
  Generator generator{.random = std::mt19937_64(10), .whole = false};
  int better = 0;
  for (int round = 0; round < 300; ++round) {
    Instance instance = generator.instance(Shape::kGraph, 1, false, 6);
    const double before = run_planner(instance.request(), "route")->estimate.latency.count();
    const double slack = 1e-9 * (1 + before);
    for (Link& link : instance.cluster.links) {
      for (double* bandwidth : {&link.bytes_per_s, &link.back_bytes_per_s}) {
        *bandwidth *= 2;
        ASSERT_LE(run_planner(instance.request(), "route")->estimate.latency.count(), before + slack) << "round " << round;
        *bandwidth /= 2;
      }
    }
    const auto nodes = static_cast<std::uint32_t>(instance.cluster.nodes.size());
    for (std::uint32_t from = 0; from < nodes; ++from)
      for (std::uint32_t to = 0; to < nodes; ++to) {
        const auto& links = instance.cluster.links;
        const bool is_there = std::any_of(links.begin(), links.end(),
                                          [&](const Link& link) { return link.from == NodeId{from} && link.to == NodeId{to}; });
        if (from == to || is_there) continue;
        Instance more = instance;
        generator.link(more.cluster, from, to);
        const double after = run_planner(more.request(), "route")->estimate.latency.count();
        ASSERT_LE(after, before + slack) << "round " << round;
        better += after < before - slack ? 1 : 0;
      }
  }
  EXPECT_GT(better, 50);
}

TEST(RoutePlanners, OtherNamesAndAnotherOrderChangeNothingElse) {
  Generator generator{.random = std::mt19937_64(12), .whole = false};
  for (int round = 0; round < 300; ++round) {
    const Instance instance = generator.instance(Shape::kGraph, 1, round % 2 == 0, 6);
    const std::size_t nodes = instance.cluster.nodes.size();
    std::vector<std::uint32_t> moved_to(nodes);
    std::iota(moved_to.begin(), moved_to.end(), 0u);
    for (std::size_t i = nodes; i > 1; --i) std::swap(moved_to[i - 1], moved_to[generator.below(static_cast<std::uint32_t>(i))]);
    Instance other = instance;
    for (std::size_t i = 0; i < nodes; ++i) {
      other.cluster.nodes[moved_to[i]] = instance.cluster.nodes[i];
      other.cluster.nodes[moved_to[i]].name = "other-" + instance.cluster.nodes[i].name;
      other.profiles[moved_to[i]] = instance.profiles[i];
    }
    for (Link& link : other.cluster.links) {
      link.from = NodeId{moved_to[std::size_t(link.from)]};
      link.to = NodeId{moved_to[std::size_t(link.to)]};
    }
    other.cluster.source = NodeId{moved_to[std::size_t(instance.cluster.source)]};
    for (const char* planner : {"route", "chain-exact", "native"}) {
      const auto before = run_planner(instance.request(), planner);
      const auto after = run_planner(other.request(), planner);
      ASSERT_EQ(before.has_value(), after.has_value()) << planner << " round " << round;
      if (!before) continue;
      ASSERT_NEAR(before->estimate.latency.count(), after->estimate.latency.count(),
                  1e-9 * (1 + before->estimate.latency.count()))
          << planner << " round " << round;
      std::vector<std::string> route = before->plan.route;
      for (std::string& name : route) name = "other-" + name;
      ASSERT_EQ(after->plan.route, route) << planner << " round " << round;
    }
  }
}

// Forty blocks on three nodes have more walks than can be tried, but few that come home when all is done.
TEST(RoutePlanners, TheRefereeOfALongChainTriesWhatGoesUp) {
  Generator generator{.random = std::mt19937_64(15)};
  Instance instance = generator.instance(Shape::kChain, 0, false, 40);
  while (instance.cluster.nodes.size() != 3 || instance.profiles[0].blocks.size() < 30)
    instance = generator.instance(Shape::kChain, 0, false, 40);
  const auto referee = run_planner(instance.request(), "exhaustive");
  ASSERT_TRUE(referee) << referee.error().message;
  EXPECT_NE(referee->stats.note, "");
  EXPECT_EQ(referee->plan.segments, run_planner(instance.request(), "aaiot")->plan.segments);
}

// A chain whose file names the far end first is a chain.
TEST(RoutePlanners, TheOrderOfTheFileDoesNotMakeAChainAGraph) {
  Generator generator{.random = std::mt19937_64(13)};
  Instance instance = generator.instance(Shape::kChain, 0, false);
  while (instance.cluster.nodes.size() != 3) instance = generator.instance(Shape::kChain, 0, false);
  std::swap(instance.cluster.nodes[0], instance.cluster.nodes[2]);
  std::swap(instance.profiles[0], instance.profiles[2]);
  for (Link& link : instance.cluster.links) {
    link.from = NodeId{2 - static_cast<std::uint32_t>(link.from)};
    link.to = NodeId{2 - static_cast<std::uint32_t>(link.to)};
  }
  instance.cluster.source = NodeId{2};
  EXPECT_TRUE(run_planner(instance.request(), "aaiot"));
}

TEST(RoutePlanners, AaiotRefusesAGraph) {
  Generator generator{.random = std::mt19937_64(14)};
  Instance instance = generator.instance(Shape::kDiamond, 0, false);
  while (instance.cluster.nodes.size() != 4) instance = generator.instance(Shape::kDiamond, 0, false);
  EXPECT_EQ(run_planner(instance.request(), "aaiot").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(run_planner(instance.request(), "auto")->plan.planner, "route");
}

}  // namespace
}  // namespace tideline
