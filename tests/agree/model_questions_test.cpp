// Goal: a model on a cluster is planned as the cost model says, whatever is asked. Method: random profiles, corrections included,
// on random chains, trees, diamonds and graphs with power and metered links; the label search against the exhaustive referee,
// which knows nothing but cost/. Numbers are binary fractions, so that sums are exact in any order.
#include <algorithm>
#include <limits>
#include <random>
#include <string_view>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cost/totals.h"
#include "planner/planner.h"

namespace tideline {
namespace {

struct Instance {
  Cluster cluster;
  std::vector<Profile> profiles;

  PlanRequest request(const Question& question) const {
    PlanRequest request{.cost = {.cluster = &cluster, .hop_overhead = Millis{0.25}}, .question = question};
    for (const Profile& profile : profiles) request.cost.profiles.push_back(&profile);
    return request;
  }
};

struct Generator {
  std::mt19937_64 random;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double bandwidth() {
    constexpr double kExact[] = {250, 500, 1000, 2000, 4000};
    return kExact[below(5)];
  }

  void link(Cluster& cluster, std::uint32_t from, std::uint32_t to) {
    cluster.links.push_back({.from = NodeId{from},
                             .to = NodeId{to},
                             .bytes_per_s = bandwidth(),
                             .back_bytes_per_s = bandwidth(),
                             .rtt = Millis{2.0 * below(2)},
                             .metered = below(3) > 0});
  }

  // Of some nodes only, and with sizes of their own or the same as others'.
  void add_codecs(Instance& instance) {
    if (below(3) > 0) instance.cluster.nodes[0].slowdown = 8;  // something to send for
    for (const char* name : {"raw+lz4", "int8c"}) {
      const bool is_lossy = std::string_view(name) == "int8c";
      const std::size_t cuts = instance.profiles[0].cuts.size();
      CodecProfile codec{.name = name};
      const bool has_rows = below(4) > 0;
      for (std::size_t cut = 0; cut < cuts; ++cut) {
        const auto bytes = static_cast<std::uint32_t>(instance.profiles[0].cuts[cut].bytes);
        codec.bytes.push_back(below(bytes / (is_lossy ? 4 : 2) + 2));
        const double error = below(5) == 0 ? std::numeric_limits<double>::infinity() : below(4) / 64.0;
        codec.max_abs_error.push_back(is_lossy ? error : 0);
        codec.max_rel_error.push_back(is_lossy ? error : 0);
        codec.rms_rel_error.push_back(is_lossy ? error : 0);
        if (has_rows) codec.top1_agreement.push_back(is_lossy ? 1 - below(4) / 64.0 : 1);
      }
      for (Profile& profile : instance.profiles) {
        if (below(6) == 0) continue;
        CodecProfile own = codec;
        if (below(3) == 0)
          for (Bytes& bytes : own.bytes) bytes += below(3);
        for (std::size_t cut = 0; cut < cuts; ++cut) {
          own.encode.push_back(Millis{below(4) / 4.0});
          own.decode.push_back(Millis{below(4) / 4.0});
        }
        profile.codecs.push_back(std::move(own));
      }
    }
  }

  Instance instance(bool has_memory) {
    Instance instance;
    const std::uint32_t nodes = 2 + below(3);
    const std::uint32_t blocks = 1 + below(4);
    const std::uint32_t spread = 2 + below(16);
    std::vector<Bytes> cut_bytes;
    for (std::uint32_t i = 0; i <= blocks; ++i) cut_bytes.push_back(below(2 * spread));
    for (std::uint32_t j = 0; j < nodes; ++j) {
      Profile profile{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
      for (std::uint32_t i = 0; i < blocks; ++i)
        profile.blocks.push_back({.name = "b",
                                  .time = Millis{2.0 + below(spread)},
                                  .parameter_bytes = 1 + below(10),
                                  .activation_bytes = 1 + below(10)});
      // Corrections may be negative, but no segment takes less than no time.
      for (std::uint32_t i = 0; i <= blocks; ++i)
        profile.cuts.push_back({.bytes = cut_bytes[i],
                                .start = Millis{i == 0 ? 0 : below(3) - 1.0},
                                .end = Millis{i == blocks ? 0 : below(3) - 1.0}});
      profile.segment_overhead = Millis{static_cast<double>(below(3))};
      instance.profiles.push_back(std::move(profile));
      Node node{.name = fmt::format("n{}", j)};
      if (has_memory && below(3) > 0) node.memory_bytes = 8 + below(40);
      if (j == 0 || below(2) == 0) node.power = Power{1.0 + below(6), 1.0 * below(4), 1.0 * below(4), 0.5 * below(3)};
      instance.cluster.nodes.push_back(node);
    }
    const std::uint32_t shape = below(4);
    for (std::uint32_t to = 1; to < nodes; ++to) {
      if (shape == 0) link(instance.cluster, to - 1, to);
      if (shape == 1) link(instance.cluster, below(to), to);
      if (shape == 2 && to + 1 < nodes) link(instance.cluster, 0, to), link(instance.cluster, to, nodes - 1);
      if (shape != 3) continue;
      for (std::uint32_t from = 0; from < nodes; ++from)
        if (from != to && below(2) == 0) link(instance.cluster, from, to);
    }
    std::sort(instance.cluster.links.begin(), instance.cluster.links.end(), [](const Link& left, const Link& right) {
      return std::pair(left.from, left.to) < std::pair(right.from, right.to);
    });
    return instance;
  }
};

constexpr std::array kAsked{Objective::kLatency, Objective::kEnergy, Objective::kPeriod, Objective::kUpload};

double slack(double value) { return 1e-9 * (1 + value); }

TEST(ModelQuestions, AreAnsweredAsByTheReferee) {
  Generator generator{std::mt19937_64(11)};
  int compared = 0;
  int infeasible = 0;
  int splits = 0;
  int memory = 0;
  for (int round = 0; round < 1'500; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const Instance instance = generator.instance(round % 3 == 0);
    Question question{.objective = kAsked[generator.below(4)]};
    if (generator.below(3) == 0) question.keep_on_source = generator.below(2);
    const auto some = run_planner(instance.request({.objective = kAsked[generator.below(4)]}), "exhaustive");
    if (some && round % 2 == 0)
      for (const Objective objective : kAsked)
        if (generator.below(3) == 0)
          question.limits.by[static_cast<std::size_t>(objective)] =
              some->values.of(objective) * (generator.below(4) == 0 ? 0.75 : 1);
    const PlanRequest request = instance.request(question);
    const auto referee = run_planner(request, "exhaustive");
    if (!referee && referee.error().code == ErrorCode::kUnsupported) continue;
    if (referee && !referee->stats.note.empty()) continue;
    const auto labels = run_planner(request, "auto");
    ASSERT_EQ(referee.has_value(), labels.has_value()) << (labels ? "" : labels.error().message);
    if (!referee) {
      ++infeasible;
      ASSERT_EQ(labels.error().code, ErrorCode::kInfeasible);
      continue;
    }
    ++compared;
    memory += referee->stats.pruned_memory > 0;
    splits += labels->plan.segments.size() > 1;
    const double best = referee->values.of(question.objective);
    ASSERT_NEAR(labels->values.of(question.objective), best, slack(best));
    // The tie rule has latency first; the referee's places come first only among equals.
    ASSERT_LE(labels->values.latency_ms, referee->values.latency_ms + slack(referee->values.latency_ms));
  }
  EXPECT_GT(compared, 700);
  EXPECT_GT(infeasible, 50);
  EXPECT_GT(splits, 100);
  EXPECT_GT(memory, 100);
}

// The codec of every move, chosen by the search, against every placement with every codec between every two segments. Lossless
// ones are used without asking; lossy ones within a limit on accuracy, a tolerance, or both.
TEST(ModelQuestions, CodecsAreChosenAsByTheReferee) {
  Generator generator{std::mt19937_64(13)};
  int compared = 0;
  int lossy = 0;
  int lossless = 0;
  int infeasible = 0;
  int several = 0;
  for (int round = 0; round < 900; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Instance instance = generator.instance(round % 5 == 0);
    generator.add_codecs(instance);
    Question question{.objective = kAsked[generator.below(4)]};
    if (generator.below(4) == 0) question.keep_on_source = generator.below(2);
    if (generator.below(2) == 0) question.tolerance = generator.below(5) / 64.0;
    if (generator.below(2) == 0)
      question.limits.by[static_cast<std::size_t>(Objective::kAccuracy)] = 1 - generator.below(5) / 64.0;
    const auto some = run_planner(instance.request({.objective = kAsked[generator.below(4)]}), "exhaustive");
    if (some && round % 2 == 0)
      for (const Objective objective : kAsked)
        if (generator.below(3) == 0)
          question.limits.by[static_cast<std::size_t>(objective)] =
              some->values.of(objective) * (generator.below(4) == 0 ? 0.75 : 1);
    const PlanRequest request = instance.request(question);
    const auto referee = run_planner(request, "exhaustive");
    if (!referee && referee.error().code == ErrorCode::kUnsupported) continue;
    if (referee && !referee->stats.note.empty()) continue;
    const auto labels = run_planner(request, "auto");
    ASSERT_EQ(referee.has_value(), labels.has_value()) << (labels ? referee.error().message : labels.error().message);
    if (!referee) {
      ++infeasible;
      ASSERT_EQ(labels.error().code, ErrorCode::kInfeasible);
      continue;
    }
    ++compared;
    const double best = referee->values.of(question.objective);
    ASSERT_NEAR(labels->values.of(question.objective), best, slack(best));
    ASSERT_LE(labels->values.latency_ms, referee->values.latency_ms + slack(referee->values.latency_ms));
    int coded = 0;
    for (const std::string& codec : labels->plan.codecs) {
      lossy += codec == "int8c";
      lossless += codec == "raw+lz4";
      coded += codec != "raw";
      ASSERT_TRUE(codec != "int8c" || question.tolerance || question.limits.of(Objective::kAccuracy));
    }
    several += coded > 1;
    ASSERT_LE(labels->values.output_error, question.tolerance.value_or(1e300) + 1e-12);
    ASSERT_GE(labels->values.accuracy, question.limits.of(Objective::kAccuracy).value_or(0) - 1e-12);
    // A plan file keeps it all.
    const auto again = parse_plan(write_plan(labels->plan), "p");
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_EQ(*again, labels->plan);
  }
  EXPECT_GT(compared, 450);
  EXPECT_GT(infeasible, 20);
  EXPECT_GT(lossy, 40);
  EXPECT_GT(lossless, 100);
  EXPECT_GT(several, 50);
}

// Faster for less accuracy: each point is the fastest within its own accuracy, and the first and last are the ends.
TEST(ModelQuestions, FrontsOfAccuracyAreExact) {
  Generator generator{std::mt19937_64(14)};
  int points = 0;
  int longer = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    Instance instance = generator.instance(false);
    generator.add_codecs(instance);
    const auto front = plan_front(instance.request({.pareto = {Objective::kLatency, Objective::kAccuracy}}));
    ASSERT_TRUE(front) << front.error().message;
    const auto best = [&](double accuracy) {
      Question within;
      within.limits.by[static_cast<std::size_t>(Objective::kAccuracy)] = accuracy;
      return run_planner(instance.request(within), "exhaustive");
    };
    const auto exact = best(1);
    if (!exact || !exact->stats.note.empty()) continue;
    longer += front->size() > 1;
    ASSERT_NEAR(front->back().values.latency_ms, exact->values.latency_ms, slack(exact->values.latency_ms));
    ASSERT_NEAR(front->front().values.latency_ms, best(0)->values.latency_ms, slack(exact->values.latency_ms));
    for (std::size_t i = 0; i < front->size(); ++i) {
      const Values& values = (*front)[i].values;
      ASSERT_NEAR(best(values.accuracy)->values.latency_ms, values.latency_ms, slack(values.latency_ms));
      ASSERT_TRUE(i == 0 ||
                  (values.accuracy > (*front)[i - 1].values.accuracy && values.latency_ms > (*front)[i - 1].values.latency_ms));
      // Nothing faster in between.
      if (i > 0) {
        ASSERT_NEAR(best((*front)[i - 1].values.accuracy + 1e-6)->values.latency_ms, values.latency_ms, slack(values.latency_ms));
      }
      ++points;
    }
  }
  EXPECT_GT(points, 150);
  EXPECT_GT(longer, 20);
}

// Each point of a front is the best of one quantity within the others' values, and between two neighbours there is nothing.
TEST(ModelQuestions, FrontsAreExact) {
  Generator generator{std::mt19937_64(12)};
  int points = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const Instance instance = generator.instance(round % 3 == 0);
    Question question;
    question.pareto.assign(kAsked.begin(), kAsked.end());
    std::shuffle(question.pareto.begin(), question.pareto.end(), generator.random);
    question.pareto.resize(2);
    const auto front = plan_front(instance.request(question));
    if (!front && front.error().code == ErrorCode::kInfeasible) continue;
    ASSERT_TRUE(front) << front.error().message;
    const auto [first, second] = std::pair(question.pareto[0], question.pareto[1]);
    for (std::size_t i = 0; i < front->size(); ++i) {
      Question within{.objective = first};
      within.limits.by[static_cast<std::size_t>(second)] = (*front)[i].values.of(second);
      const auto best = run_planner(instance.request(within), "exhaustive");
      if (!best && best.error().code == ErrorCode::kUnsupported) break;
      ASSERT_TRUE(best) << best.error().message;
      if (!best->stats.note.empty()) break;
      ASSERT_NEAR(best->values.of(first), (*front)[i].values.of(first), slack(best->values.of(first)));
      if (i > 0) {
        // Just below what this point gains in the second, the one before is the best there is.
        within.limits.by[static_cast<std::size_t>(second)] = (*front)[i - 1].values.of(second);
        const auto before = run_planner(instance.request(within), "exhaustive");
        ASSERT_NEAR(before->values.of(first), (*front)[i - 1].values.of(first), slack(before->values.of(first)));
        ASSERT_LT((*front)[i - 1].values.of(first), (*front)[i].values.of(first));
        ASSERT_GT((*front)[i - 1].values.of(second), (*front)[i].values.of(second));
      }
      ++points;
    }
    // The least of the second quantity is the last point.
    const auto least = run_planner(instance.request({.objective = second}), "exhaustive");
    if (least && least->stats.note.empty()) {
      ASSERT_NEAR(front->back().values.of(second), least->values.of(second), slack(least->values.of(second)));
    }
  }
  EXPECT_GT(points, 300);
}

}  // namespace
}  // namespace tideline
