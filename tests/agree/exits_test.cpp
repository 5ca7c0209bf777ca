// Goal: of a model with early outputs the planner finds the best exit and the best walk to it. Method: random profiles on random
// clusters. Each ending is flattened here, by hand, into a profile without exits, and the referee, who knows the cost model
// alone, tries every placement of every ending; tables with exits, whose search is another one, must say the same; and Edgent's
// own algorithm, written down here from the paper's formula, is met by `edgent` and never beats `auto`. Numbers are binary
// fractions.
#include <algorithm>
#include <array>
#include <optional>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cost/totals.h"
#include "planner/planner.h"
#include "planner/search_walks.h"
#include "planner/walk_problem.h"

namespace tideline {
namespace {

struct Instance {
  Cluster cluster;
  std::vector<Profile> profiles;  // with exits

  PlanRequest request(const Question& question) const {
    PlanRequest request{.cost = {.cluster = &cluster, .hop_overhead = Millis{0.25}}, .question = question};
    for (const Profile& profile : profiles) request.cost.profiles.push_back(&profile);
    return request;
  }
  std::size_t endings() const { return 1 + profiles[0].exits.size(); }
  double accuracy(std::size_t ending) const {
    return ending == 0 ? profiles[0].accuracy : profiles[0].exits[ending - 1].accuracy;
  }

  // One ending alone: as if the model had no other.
  Instance at(std::size_t ending) const {
    Instance alone{.cluster = cluster, .profiles = {}};
    for (const Profile& profile : profiles) {
      Profile own = profile;
      own.exits.clear();
      if (ending > 0) {
        const ExitProfile& exit = profile.exits[ending - 1];
        own.accuracy = exit.accuracy;
        own.chain_sha256 = exit.chain_sha256;
        own.blocks.erase(own.blocks.begin() + exit.after, own.blocks.end());
        own.cuts.erase(own.cuts.begin() + exit.after, own.cuts.end());
        for (const BlockProfile& block : exit.blocks) own.blocks.push_back(block);
        for (const CutProfile& cut : exit.cuts) own.cuts.push_back(cut);
        own.codecs = exit.codecs;
      }
      alone.profiles.push_back(std::move(own));
    }
    return alone;
  }
};

struct Generator {
  std::mt19937_64 random;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double bandwidth() {
    constexpr std::array kExact{500.0, 1000.0, 2000.0, 4000.0, 8000.0};
    return kExact[below(5)];
  }
  double accuracy() { return (32 + below(33)) / 64.0; }

  void link(Cluster& cluster, std::uint32_t from, std::uint32_t to) {
    cluster.links.push_back({.from = NodeId{from},
                             .to = NodeId{to},
                             .bytes_per_s = bandwidth(),
                             .back_bytes_per_s = bandwidth(),
                             .rtt = Millis{2.0 * below(2)},
                             .metered = below(3) > 0});
  }

  BlockProfile block(const char* name, std::uint32_t spread) {
    return {
        .name = name, .time = Millis{2.0 + below(spread)}, .parameter_bytes = 1 + below(10), .activation_bytes = 1 + below(10)};
  }

  // The same exits on every node, with times of its own.
  void add_exits(Instance& instance, std::uint32_t spread, bool has_corrections) {
    const auto blocks = static_cast<std::uint32_t>(instance.profiles[0].blocks.size());
    const double whole = accuracy();
    for (Profile& profile : instance.profiles) profile.accuracy = whole;
    const std::uint32_t count = 1 + below(3);
    for (std::uint32_t e = 0; e < count; ++e) {
      ExitProfile exit{.output = fmt::format("exit{}", e), .accuracy = accuracy(), .chain_sha256 = sha256(fmt::format("e{}", e))};
      exit.after = below(blocks + 1);
      const std::uint32_t tail = exit.after == 0 ? 1 + below(2) : below(3);
      std::vector<Bytes> bytes;
      for (std::uint32_t k = 0; k < tail; ++k) bytes.push_back(below(k + 1 == tail ? 3 : spread));
      const Bytes own = below(3);
      for (Profile& profile : instance.profiles) {
        ExitProfile mine = exit;
        for (std::uint32_t k = 0; k < tail; ++k) mine.blocks.push_back(block(k == 0 ? "head" : "step", 1 + spread / 2));
        mine.cuts.push_back(profile.cuts[exit.after]);
        if (tail == 0) mine.cuts[0].bytes = own;
        if (tail > 0 && has_corrections && exit.after > 0) mine.cuts[0].start = Millis{below(3) - 1.0};
        for (std::uint32_t k = 0; k < tail; ++k) mine.cuts.push_back({.bytes = bytes[k]});
        profile.exits.push_back(std::move(mine));
      }
    }
  }

  CodecProfile codec(const char* name, const Profile& of, bool is_lossy) {
    CodecProfile codec{.name = name};
    for (const CutProfile& cut : of.cuts) {
      codec.bytes.push_back(static_cast<Bytes>(cut.bytes / (is_lossy ? 4 : 2)));
      codec.encode.push_back(Millis{below(3) / 4.0});
      codec.decode.push_back(Millis{below(3) / 4.0});
      const double error = is_lossy ? below(4) / 64.0 : 0;
      codec.max_abs_error.push_back(error);
      codec.max_rel_error.push_back(error);
      codec.rms_rel_error.push_back(error);
      codec.top1_agreement.push_back(is_lossy ? 1 - below(6) / 64.0 : 1);
    }
    return codec;
  }

  // Measured on each ending's chain, so that losses are those of its own answer.
  void add_codecs(Instance& instance) {
    for (Profile& profile : instance.profiles) {
      for (ExitProfile& exit : profile.exits) {
        const Profile there = at_exit(profile, exit.output).value();
        exit.codecs = {codec("raw+lz4", there, false), codec("int8c", there, true)};
      }
      profile.codecs = {codec("raw+lz4", profile, false), codec("int8c", profile, true)};
    }
  }

  Instance instance(std::uint32_t nodes, bool has_memory, bool has_corrections, std::uint32_t shape) {
    Instance instance;
    const std::uint32_t blocks = 1 + below(4);
    const std::uint32_t spread = 2 + below(16);
    std::vector<Bytes> cut_bytes;
    // The input is often the largest, and the answer the smallest.
    for (std::uint32_t i = 0; i <= blocks; ++i) cut_bytes.push_back(below(i == 0 ? 6 * spread : i == blocks ? 3 : spread));
    const auto correction = [&](bool is_end) { return Millis{is_end || !has_corrections ? 0 : below(3) - 1.0}; };
    for (std::uint32_t j = 0; j < nodes; ++j) {
      Profile profile{.model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
      for (std::uint32_t i = 0; i < blocks; ++i) profile.blocks.push_back(block("b", spread));
      for (std::uint32_t i = 0; i <= blocks; ++i)
        profile.cuts.push_back({.bytes = cut_bytes[i], .start = correction(i == 0), .end = correction(i == blocks)});
      if (has_corrections) profile.segment_overhead = Millis{1.0 + below(2)};
      instance.profiles.push_back(std::move(profile));
      Node node{.name = fmt::format("n{}", j)};
      if (has_memory && below(3) > 0) node.memory_bytes = 8 + below(40);
      if (j == 0 || below(2) == 0) node.power = Power{1.0 + below(6), 1.0 * below(4), 1.0 * below(4), 0.5 * below(3)};
      if (j == 0 && below(3) > 0) node.slowdown = 2;  // something to send for
      instance.cluster.nodes.push_back(node);
    }
    for (std::uint32_t to = 1; to < nodes; ++to) {
      if (shape == 0) link(instance.cluster, to - 1, to);
      if (shape == 1) link(instance.cluster, below(to), to);
      if (shape == 2 && to + 1 < nodes) link(instance.cluster, 0, to), link(instance.cluster, to, nodes - 1);
    }
    add_exits(instance, spread, has_corrections);
    return instance;
  }
};

constexpr std::array kAsked{Objective::kLatency, Objective::kEnergy, Objective::kPeriod, Objective::kUpload,
                            Objective::kAccuracy};
constexpr auto kAccuracyAt = static_cast<std::size_t>(Objective::kAccuracy);
constexpr auto kLatencyAt = static_cast<std::size_t>(Objective::kLatency);

double slack(double value) { return 1e-9 * (1 + std::abs(value)); }
double cost(Objective objective, const Values& values) {
  return (objective == Objective::kAccuracy ? -1 : 1) * values.of(objective);
}

// The best of all endings by the exhaustive search of each alone. Within an accuracy, by latency: of one ending all placements
// are as accurate.
struct Referee {
  std::optional<Values> best;
  bool is_sure = true;
};
Referee referee(const Instance& instance, const Question& question) {
  Referee found;
  for (std::size_t ending = 0; ending < instance.endings(); ++ending) {
    const auto limit = question.limits.of(Objective::kAccuracy);
    if (limit && instance.accuracy(ending) < *limit - 1e-12) continue;
    Question part = question;
    if (part.objective == Objective::kAccuracy) part.objective = Objective::kLatency;
    if (part.keep_on_source && ending > 0)
      part.keep_on_source = std::min({*part.keep_on_source, instance.profiles[0].exits[ending - 1].after + 1,
                                      static_cast<std::uint32_t>(instance.at(ending).profiles[0].blocks.size())});
    const Instance alone = instance.at(ending);
    const auto plan = run_planner(alone.request(part), "exhaustive");
    if (plan && !plan->stats.note.empty()) found.is_sure = false;
    if (!plan && plan.error().code == ErrorCode::kUnsupported) found.is_sure = false;
    if (!plan) continue;
    const auto rank = [&](const Values& values) { return std::pair(cost(question.objective, values), values.latency_ms); };
    if (!found.best || rank(plan->values) < rank(*found.best)) found.best = plan->values;
  }
  return found;
}

TEST(Exits, TheBestOfAllExitsAndPlacements) {
  Generator generator{std::mt19937_64(21)};
  int compared = 0;
  int infeasible = 0;
  int early = 0;
  int splits = 0;
  int reasons = 0;
  for (int round = 0; round < 1'000; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const Instance instance =
        generator.instance(1 + generator.below(4), round % 4 == 0, generator.below(3) > 0, generator.below(3));
    // Half are Edgent's question: as accurate as possible by a deadline.
    Question question{.objective = round % 2 == 0 ? Objective::kAccuracy : kAsked[generator.below(5)]};
    if (question.objective != Objective::kAccuracy || generator.below(4) == 0)
      question.limits.by[kAccuracyAt] = (32 + generator.below(30)) / 64.0;
    if (generator.below(4) == 0) question.keep_on_source = generator.below(3);
    const auto some = run_planner(instance.at(generator.below(static_cast<std::uint32_t>(instance.endings())))
                                      .request({.objective = kAsked[generator.below(4)]}),
                                  "exhaustive");
    if (some)
      for (const Objective objective : {Objective::kLatency, Objective::kEnergy, Objective::kPeriod, Objective::kUpload})
        if (objective == Objective::kLatency || generator.below(4) == 0)
          question.limits.by[static_cast<std::size_t>(objective)] =
              some->values.of(objective) * (generator.below(3) == 0 ? 0.75 : 1);
    if (question.keep_on_source && *question.keep_on_source > instance.profiles[0].blocks.size()) continue;
    const Referee best = referee(instance, question);
    if (!best.is_sure) continue;
    const auto plan = run_planner(instance.request(question), "auto");
    ASSERT_EQ(best.best.has_value(), plan.has_value()) << (plan ? "" : plan.error().message);
    const auto exhaustive = run_planner(instance.request(question), "exhaustive");
    ASSERT_EQ(exhaustive.has_value(), plan.has_value());
    if (!plan) {
      ++infeasible;
      ASSERT_EQ(plan.error().code, ErrorCode::kInfeasible);
      // Why not is a set of limits that clash.
      const auto why = why_not(instance.request(question));
      reasons += why.has_value();
      if (why) {
        ASSERT_TRUE(std::any_of(why->begin(), why->end(), [](const LimitReport& entry) { return entry.clashes; }));
      }
      continue;
    }
    ++compared;
    ASSERT_NEAR(plan->values.of(question.objective), best.best->of(question.objective), slack(best.best->of(question.objective)));
    ASSERT_NEAR(exhaustive->values.of(question.objective), best.best->of(question.objective),
                slack(best.best->of(question.objective)));
    ASSERT_LE(plan->values.latency_ms, best.best->latency_ms + slack(best.best->latency_ms));
    early += plan->plan.exit.has_value();
    splits += plan->plan.segments.size() > 1;
    // Its file keeps the exit, and the judge says of the file what was said of the plan.
    const auto again = parse_plan(write_plan(plan->plan), "p");
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_EQ(*again, plan->plan);
    const auto judged = estimate(instance.request(question).cost, *again);
    ASSERT_TRUE(judged) << judged.error().message;
    ASSERT_EQ(*judged, plan->estimate);
    if (plan->plan.exit) {
      const auto exit = std::find_if(instance.profiles[0].exits.begin(), instance.profiles[0].exits.end(),
                                     [&](const ExitProfile& one) { return one.output == plan->plan.exit; });
      ASSERT_EQ(plan->values.accuracy, exit->accuracy);
    }
  }
  EXPECT_GT(compared, 500);
  EXPECT_GT(infeasible, 70);
  EXPECT_GT(early, 200);
  EXPECT_GT(reasons, 50);
  EXPECT_GT(splits, 60);
}

// What is lost in codecs is weighed against what is lost by leaving early: a later exit in int8 or an earlier one as it is.
TEST(Exits, CodecsAndExitsTogether) {
  Generator generator{std::mt19937_64(29)};
  int compared = 0;
  int both = 0;
  int whole_in_codecs = 0;
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Instance instance = generator.instance(2 + generator.below(2), round % 4 == 0, false, generator.below(3));
    generator.add_codecs(instance);
    Question question{.objective = round % 2 == 0 ? Objective::kAccuracy : Objective::kLatency};
    if (question.objective == Objective::kAccuracy)
      question.limits.by[kLatencyAt] = 4.0 + generator.below(40);
    else
      question.limits.by[kAccuracyAt] = (28 + generator.below(30)) / 64.0;
    if (generator.below(4) == 0) question.keep_on_source = 1;
    std::optional<Values> best;
    bool is_sure = true;
    for (std::size_t ending = 0; ending < instance.endings(); ++ending) {
      const Instance alone = instance.at(ending);
      const auto plan = run_planner(alone.request(question), "exhaustive");
      is_sure = is_sure && (plan ? plan->stats.note.empty() : plan.error().code == ErrorCode::kInfeasible);
      if (plan && (!best || cost(question.objective, plan->values) < cost(question.objective, *best))) best = plan->values;
    }
    if (!is_sure) continue;
    const auto plan = run_planner(instance.request(question), "auto");
    ASSERT_EQ(best.has_value(), plan.has_value()) << (plan ? "" : plan.error().message);
    if (!plan) continue;
    ++compared;
    ASSERT_NEAR(plan->values.of(question.objective), best->of(question.objective), slack(best->of(question.objective)));
    const bool is_lossy = std::find(plan->plan.codecs.begin(), plan->plan.codecs.end(), "int8c") != plan->plan.codecs.end();
    both += is_lossy && plan->plan.exit;
    whole_in_codecs += is_lossy && !plan->plan.exit;
  }
  EXPECT_GT(compared, 60);
  EXPECT_GT(both, 3);
  EXPECT_GT(whole_in_codecs, 3);
}

// Corrections so large that segments would take less than no time, as a short measurement of tiny blocks may give them.
TEST(Exits, DeadlinesWhereTimesDoNotAddUp) {
  Generator generator{std::mt19937_64(30)};
  int compared = 0;
  int noted = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Instance instance = generator.instance(2 + generator.below(2), round % 4 == 0, true, 0);
    for (Profile& profile : instance.profiles) profile.cuts[profile.cuts.size() / 2].end = Millis{-4.0 * generator.below(4)};
    Question question{.objective = Objective::kAccuracy};
    question.limits.by[kLatencyAt] = 4.0 + generator.below(60);
    const Referee best = referee(instance, question);
    const auto plan = run_planner(instance.request(question), "auto");
    if (!plan && plan.error().code == ErrorCode::kUnsupported) continue;  // the exact planners for latency give up too
    ASSERT_EQ(best.best.has_value(), plan.has_value()) << (plan ? "" : plan.error().message);
    if (!plan) continue;
    ++compared;
    noted += plan->stats.note.starts_with("without lossy codecs");
    ASSERT_EQ(plan->values.accuracy, best.best->accuracy);
  }
  EXPECT_GT(compared, 100);
  EXPECT_GT(noted, 20);
}

// Nobody who says nothing of accuracy gets less of it.
TEST(Exits, AreLeftAloneUnlessAccuracyIsAskedFor) {
  Generator generator{std::mt19937_64(22)};
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const Instance instance = generator.instance(2 + generator.below(2), false, true, 0);
    const Instance whole = instance.at(0);
    const Question question{.objective = kAsked[generator.below(4)]};
    ASSERT_EQ(run_planner(instance.request(question), "auto")->plan, run_planner(whole.request(question), "auto")->plan);
    ASSERT_EQ(candidates(instance.request(question))->size(), candidates(whole.request(question))->size());
  }
}

// Each point is the fastest within its accuracy, and between two neighbours there is nothing.
TEST(Exits, FrontsOfLatencyAndAccuracyAreExact) {
  Generator generator{std::mt19937_64(23)};
  int points = 0;
  int longer = 0;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const Instance instance = generator.instance(1 + generator.below(4), false, generator.below(2) == 0, generator.below(3));
    const auto front = plan_front(instance.request({.pareto = {Objective::kLatency, Objective::kAccuracy}}));
    ASSERT_TRUE(front) << front.error().message;
    longer += front->size() > 1;
    for (std::size_t i = 0; i < front->size(); ++i) {
      Question within;
      within.limits.by[kAccuracyAt] = (*front)[i].values.accuracy;
      const Referee best = referee(instance, within);
      if (!best.is_sure) break;
      ASSERT_NEAR(best.best->latency_ms, (*front)[i].values.latency_ms, slack(best.best->latency_ms));
      if (i > 0) {
        ASSERT_GT((*front)[i].values.accuracy, (*front)[i - 1].values.accuracy);
        within.limits.by[kAccuracyAt] = (*front)[i - 1].values.accuracy + 1e-6;
        ASSERT_NEAR(referee(instance, within).best->latency_ms, (*front)[i].values.latency_ms,
                    slack((*front)[i].values.latency_ms));
      }
      ++points;
    }
    Question most;
    most.objective = Objective::kAccuracy;
    ASSERT_EQ(front->back().values.accuracy, referee(instance, most).best->accuracy);
  }
  EXPECT_GT(points, 400);
  EXPECT_GT(longer, 100);
}

// A looser deadline never costs accuracy; a faster link never does either.
TEST(Exits, LooserDeadlinesAndFasterLinksNeverHurt) {
  Generator generator{std::mt19937_64(24)};
  for (int round = 0; round < 200; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Instance instance = generator.instance(2 + generator.below(2), false, true, 0);
    double last = 0;
    for (const double deadline : {8.0, 16.0, 32.0, 64.0, 128.0, 1024.0}) {
      Question question{.objective = Objective::kAccuracy};
      question.limits.by[kLatencyAt] = deadline;
      const auto plan = run_planner(instance.request(question), "auto");
      if (!plan) {
        ASSERT_EQ(last, 0);
        continue;
      }
      ASSERT_LE(plan->values.latency_ms, deadline * (1 + 1e-9));
      ASSERT_GE(plan->values.accuracy, last);
      last = plan->values.accuracy;
      Instance faster = instance;
      for (Link& link : faster.cluster.links) link.bytes_per_s *= 2;
      ASSERT_GE(run_planner(faster.request(question), "auto")->values.accuracy, plan->values.accuracy);
    }
  }
}

// The model as a table of version 2: another search, over labels with exits in it. A table's head runs where the op before it
// ran, a model's anywhere; without a head both are the same question.
Table table_of(const Instance& instance) {
  const auto m = static_cast<std::uint32_t>(instance.profiles.size());
  Table table{.version = 2};
  const auto time = [&](std::uint32_t node, const BlockProfile& block) {
    return instance.cluster.nodes[node].slowdown * block.time.count();
  };
  for (std::uint32_t j = 0; j < m; ++j) {
    table.devices.push_back(instance.cluster.nodes[j].name);
    const auto& power = instance.cluster.nodes[j].power;
    table.power.push_back(power ? std::optional(TablePower{power->compute_w, power->transmit_w, power->receive_w, power->idle_w})
                                : std::nullopt);
  }
  table.device_memory_bytes.resize(m);
  for (const Link& link : instance.cluster.links)
    table.links.push_back({.bytes_per_s = link.bytes_per_s,
                           .rtt_ms = link.rtt.count(),
                           .from = static_cast<std::uint32_t>(link.from),
                           .to = static_cast<std::uint32_t>(link.to),
                           .back_bytes_per_s = link.back_bytes_per_s,
                           .metered = link.metered});
  const Profile& first = instance.profiles[0];
  for (std::uint32_t i = 0; i < first.blocks.size(); ++i) {
    table.op_names.push_back(fmt::format("op{}", i));
    for (std::uint32_t j = 0; j < m; ++j) table.runtime_ms.push_back(time(j, instance.profiles[j].blocks[i]));
    table.output_bytes.push_back(static_cast<double>(first.cuts[i + 1].bytes));
    table.memory_bytes.push_back(0);
    table.order.push_back(i);
    if (i > 0) table.edges.emplace_back(i - 1, i);
  }
  table.input_bytes = static_cast<double>(first.cuts[0].bytes);
  table.result_bytes = static_cast<double>(first.cuts.back().bytes);
  table.accuracy = first.accuracy;
  for (std::size_t e = 0; e < first.exits.size(); ++e) {
    TableExit exit{.after_op = first.exits[e].after - 1,
                   .accuracy = first.exits[e].accuracy,
                   .result_bytes = static_cast<double>(first.exits[e].cuts.back().bytes)};
    for (std::uint32_t j = 0; j < m; ++j) {
      double head = 0;
      for (const BlockProfile& block : instance.profiles[j].exits[e].blocks) head += time(j, block);
      exit.runtime_ms.push_back(head);
    }
    table.exits.push_back(std::move(exit));
  }
  return table;
}

TEST(Exits, TablesSayTheSame) {
  Generator generator{std::mt19937_64(25)};
  int compared = 0;
  int equal = 0;
  int heads = 0;
  for (int round = 0; round < 1'500; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Instance instance = generator.instance(1 + generator.below(4), false, false, 0);
    const bool has_heads = round % 2 == 0;
    // A table's exit comes after an op.
    for (Profile& profile : instance.profiles)
      std::erase_if(profile.exits,
                    [&](const ExitProfile& exit) { return exit.after == 0 || (!has_heads && !exit.blocks.empty()); });
    const Table table = table_of(instance);
    Question question{.objective = Objective::kAccuracy};
    question.limits.by[kLatencyAt] = 2.0 + generator.below(100);
    if (generator.below(3) == 0) {
      question.objective = kAsked[generator.below(2)];
      question.limits.by[kAccuracyAt] = (32 + generator.below(30)) / 64.0;
    }
    PlanRequest request = instance.request(question);
    request.cost.hop_overhead = Millis{0};
    const auto plan = run_planner(request, "auto");
    const WalkProblem walks = make_walk_problem(table, question);
    const auto found = best_walk(walks, question, {});
    if (!has_heads) {
      ASSERT_EQ(plan.has_value(), found.has_value()) << (plan ? "" : plan.error().message);
    } else if (found) {
      ASSERT_TRUE(plan) << plan.error().message;  // what a table can do, a model can
    }
    if (!plan || !found) continue;
    ++compared;
    const Values table_values = walk_value(table, table_walk(walks, found->walks[0].steps))->total;
    const double best = cost(question.objective, table_values);
    ASSERT_LE(cost(question.objective, plan->values), best + slack(best));
    const std::uint32_t last = plan->plan.segments.back().first_block;
    const auto exit = std::find_if(instance.profiles[0].exits.begin(), instance.profiles[0].exits.end(),
                                   [&](const ExitProfile& one) { return one.output == plan->plan.exit; });
    // Its head is with the block before it: a walk of the table too.
    if (exit != instance.profiles[0].exits.end() && !exit->blocks.empty() && last >= exit->after) continue;
    ++equal;
    heads += exit != instance.profiles[0].exits.end() && !exit->blocks.empty();
    ASSERT_NEAR(cost(question.objective, plan->values), best, slack(best));
    ASSERT_NEAR(plan->values.latency_ms, table_values.latency_ms, slack(table_values.latency_ms));
    ASSERT_NEAR(plan->values.energy_j, table_values.energy_j, slack(table_values.energy_j));
  }
  EXPECT_GT(compared, 800);
  EXPECT_GT(equal, 700);
  EXPECT_GT(heads, 50);
}

// Edgent (Li, Zhou, Chen 2018, Algorithm 1) from its formula. Exits i = 1..M with N_i layers; D_p the output of layer p, ES and
// ED times of a layer on the edge server and on the device: for i = M..1 the p with the least
//   A_{i,p} = sum_{j < p} ES_j + sum_{k >= p} ED_k + Input / B + D_{p-1} / B
// is taken, and (i, p) is the answer when A_{i,p} is within the deadline. p = 1 is the device alone, which sends nothing; behind
// the last layer only the result comes back.
struct EdgentAnswer {
  double accuracy = 0;
  double latency_ms = 0;
};
std::optional<EdgentAnswer> edgent_of_the_paper(const Instance& instance, double deadline) {
  std::vector<std::size_t> endings(instance.endings());
  for (std::size_t i = 0; i < endings.size(); ++i) endings[i] = i;
  std::stable_sort(endings.begin(), endings.end(),
                   [&](std::size_t left, std::size_t right) { return instance.accuracy(left) > instance.accuracy(right); });
  const Link& link = instance.cluster.links[0];
  std::optional<EdgentAnswer> answer;
  for (const std::size_t ending : endings) {
    if (answer && instance.accuracy(ending) < answer->accuracy) break;
    const Instance alone = instance.at(ending);
    const Profile& device = alone.profiles[0];
    const Profile& server = alone.profiles[1];
    const std::size_t layers = device.blocks.size();
    double least = 1e300;
    for (std::size_t p = 1; p <= layers + 1; ++p) {
      double a = 0;
      for (std::size_t j = 1; j < p; ++j) a += alone.cluster.nodes[1].slowdown * server.blocks[j - 1].time.count();
      for (std::size_t k = p; k <= layers; ++k) a += alone.cluster.nodes[0].slowdown * device.blocks[k - 1].time.count();
      if (p > 1)
        a += 1000 * static_cast<double>(device.cuts[0].bytes) / link.bytes_per_s +
             1000 * static_cast<double>(device.cuts[p - 1].bytes) / link.back_bytes_per_s;
      least = std::min(least, a);
    }
    if (least <= deadline && (!answer || least < answer->latency_ms)) answer = {instance.accuracy(ending), least};
  }
  return answer;
}

TEST(Exits, EdgentsOwnSearchIsMetAndNeverBetter) {
  Generator generator{std::mt19937_64(26)};
  int found = 0;
  int none = 0;
  int beaten = 0;
  int met = 0;
  for (int round = 0; round < 4'000; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    Instance instance = generator.instance(2, false, false, 0);
    // The paper knows no round trips.
    for (Link& link : instance.cluster.links) link.rtt = Millis{0};
    Question question{.objective = Objective::kAccuracy};
    const double deadline = 2.0 + generator.below(80);
    question.limits.by[kLatencyAt] = deadline;
    PlanRequest request = instance.request(question);
    request.cost.hop_overhead = Millis{0};
    const auto paper = edgent_of_the_paper(instance, deadline);
    const auto edgent = run_planner(request, "edgent");
    const auto best = run_planner(request, "auto");
    ASSERT_EQ(paper.has_value(), edgent.has_value()) << (edgent ? "" : edgent.error().message);
    none += !paper;
    if (!paper) {
      ASSERT_EQ(edgent.error().code, ErrorCode::kInfeasible);
      beaten += best.has_value();
      continue;
    }
    ++found;
    ASSERT_EQ(edgent->values.accuracy, paper->accuracy);
    ASSERT_NEAR(edgent->values.latency_ms, paper->latency_ms, slack(paper->latency_ms));
    ASSERT_EQ(edgent->plan.planner, "edgent");
    ASSERT_TRUE(best) << best.error().message;
    ASSERT_GE(best->values.accuracy, paper->accuracy);
    if (best->values.accuracy == paper->accuracy) {
      ASSERT_LE(best->values.latency_ms, paper->latency_ms + slack(paper->latency_ms));
      ++met;
    } else {
      ++beaten;
    }
  }
  EXPECT_GT(found, 800);
  EXPECT_GT(none, 100);
  EXPECT_GT(beaten, 50);
  EXPECT_GT(met, 500);
  // Its two nodes.
  Generator three{std::mt19937_64(27)};
  const Instance site = three.instance(3, false, false, 0);
  const auto refused = run_planner(site.request({.objective = Objective::kAccuracy}), "edgent");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
}

// A host that was measured without an exit, or with another head, keeps it out of the plans.
TEST(Exits, OnlyThoseThatEveryProfileHas) {
  Generator generator{std::mt19937_64(28)};
  Instance instance = generator.instance(2, false, false, 0);
  Question question{.pareto = {Objective::kLatency, Objective::kAccuracy}};
  for (Profile& profile : instance.profiles) profile.accuracy = 0.25;  // so that every exit beats it
  ASSERT_TRUE(run_planner(instance.request({.objective = Objective::kAccuracy}), "auto")->plan.exit);
  Instance other = instance;
  for (ExitProfile& exit : other.profiles[1].exits) exit.chain_sha256 = sha256("another head");
  EXPECT_FALSE(run_planner(other.request({.objective = Objective::kAccuracy}), "auto")->plan.exit);
  instance.profiles[1].exits.clear();
  EXPECT_FALSE(run_planner(instance.request({.objective = Objective::kAccuracy}), "auto")->plan.exit);
  ASSERT_TRUE(plan_front(instance.request(question)));
  Plan plan = run_planner(instance.request({}), "auto")->plan;
  plan.exit = "exit0";
  EXPECT_EQ(estimate(instance.request({}).cost, plan).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline
