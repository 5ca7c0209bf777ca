// Goal: the label search answers every question about a table of version 2 as the definition does. Method: 10,000 random tables -
// chains, trees, rings, double links, slow ways back, codecs, exits, ops that stay, memory, power - whose every walk is judged
// one by one; objectives, limits and trade-offs are then looked up in that list by rules written down here again. Half of the
// tables have binary fractions, so that sums are exact in any order and the placements must be the same too. Then what must hold
// without a referee.
#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "planner/pipeline.h"
#include "planner/table_walks.h"

namespace tideline {
namespace {

constexpr int kTables = 10'000;
constexpr std::size_t kWalksMax = 12'000;
constexpr double kClose = 1e-9;

struct Generator {
  std::mt19937_64 random;
  bool whole = true;
  std::uint32_t below(std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }
  double real(double low, double high) { return low + (high - low) * static_cast<double>(random() >> 11) * 0x1.0p-53; }
  // Megabytes in bytes and milliseconds of the links above: everything in millions.
  double number(std::uint32_t limit, double scale = 1e6) { return scale * (whole ? below(limit) : real(0, limit)); }

  void link(Table& table, std::uint32_t from, std::uint32_t to) {
    constexpr double kExact[] = {250, 500, 1000, 2000, 4000};  // 1000 / these is exact
    if (below(2) == 0) std::swap(from, to);
    table.links.push_back({.bytes_per_s = whole ? kExact[below(5)] : real(100, 5000),
                           .rtt_ms = number(4),
                           .from = from,
                           .to = to,
                           .back_bytes_per_s = whole ? kExact[below(5)] : real(100, 5000),
                           .metered = below(3) > 0});
  }

  std::vector<double> each(const Table& table, std::uint32_t limit) {
    std::vector<double> numbers;
    for (std::size_t i = 0; i < table.devices.size(); ++i) numbers.push_back(number(limit));
    return numbers;
  }

  Table table() {
    Table table{.version = 2};
    const std::uint32_t m = 1 + below(4);
    const std::uint32_t n = 1 + below(m > 2 ? 3 : 5);
    const std::uint32_t spread = 1 + below(16);
    for (std::uint32_t j = 0; j < m; ++j) {
      table.devices.push_back("d" + std::to_string(j));
      table.device_memory_bytes.push_back(below(2) == 0 ? std::optional<double>(below(12)) : std::nullopt);
      table.power.emplace_back();
      if (below(3) > 0) table.power.back() = TablePower{number(8, 1), number(4, 1), number(4, 1), number(3, 1)};
      if (j > 0) link(table, below(2) == 0 ? j - 1 : below(j), j);
    }
    if (m > 1 && below(3) == 0) {
      const std::uint32_t from = below(m - 1);
      link(table, from, m - 1);
    }
    if (std::none_of(table.power.begin(), table.power.end(), [](const auto& power) { return power.has_value(); }))
      table.power[below(m)] = TablePower{number(8, 1), number(4, 1), number(4, 1), number(3, 1)};
    table.source = below(m);
    for (std::uint32_t i = 0; i < n; ++i) {
      table.op_names.push_back("op" + std::to_string(i));
      table.output_bytes.push_back(number(spread));
      table.memory_bytes.push_back(below(8));
      table.order.push_back(i);
      if (i > 0) table.edges.emplace_back(i - 1, i);
      for (const double time : each(table, spread)) table.runtime_ms.push_back(time);
    }
    for (std::uint32_t i = 0; below(2) == 0 && i < n; ++i) table.runtime_ms[std::size_t{i} * m + table.source] *= 8;
    table.input_bytes = number(2 * spread);
    table.result_bytes = number(3);
    table.accuracy = 0.5 + 0.0625 * below(6);
    if (below(3) == 0) table.keep_on_source = below(n + 1);
    for (std::uint32_t i = below(3); i-- > 0;) {
      constexpr double kRatios[] = {0.125, 0.25, 1.5};
      table.codecs.push_back({.name = "c" + std::to_string(i),
                              .ratio = whole ? kRatios[below(3)] : real(0.05, 1.2),
                              .encode_ms_per_mb = each(table, 2),
                              .decode_ms_per_mb = each(table, 2),
                              .accuracy_loss = below(3) == 0 ? 0 : 0.0078125 * below(8)});
    }
    for (std::uint32_t i = below(3); i-- > 0;)
      table.exits.push_back(
          {.after_op = below(n), .runtime_ms = each(table, 3), .accuracy = 0.375 + 0.0625 * below(8), .result_bytes = number(3)});
    return table;
  }

  // A limit near what some walk has.
  void limit(Objective objective, const WalkPlan& walk, Limits& limits) {
    const double factor = whole ? 1 : real(0.9, 1.3);
    limits.by[static_cast<std::size_t>(objective)] =
        objective == Objective::kAccuracy ? walk.value.total.accuracy : factor * walk.value.total.of(objective);
  }
};

// The rules once more: nothing lossy unless accuracy is asked for, and every limit kept.
bool answers(const Table& table, const Question& question, const WalkPlan& plan) {
  const bool asks = question.limits.of(Objective::kAccuracy) || question.objective == Objective::kAccuracy ||
                    std::count(question.pareto.begin(), question.pareto.end(), Objective::kAccuracy) > 0;
  if (!asks) {
    if (plan.walk.exit && table.exits[*plan.walk.exit].accuracy < table.accuracy) return false;
    for (const std::uint32_t codec : plan.walk.codecs)
      if (codec > 0 && table.codecs[codec - 1].accuracy_loss > 0) return false;
  }
  for (const Objective objective : kObjectives) {
    const auto limit = question.limits.of(objective);
    if (!limit) continue;
    const double value = plan.value.total.of(objective);
    if (objective == Objective::kAccuracy ? value < *limit - kClose : value > *limit * (1 + kClose)) return false;
  }
  if (!question.limits.memory) return true;
  std::vector<double> used(table.devices.size());
  for (std::size_t i = 0; i < plan.walk.devices.size(); ++i) used[plan.walk.devices[i]] += table.memory_bytes[table.order[i]];
  for (std::size_t device = 0; device < used.size(); ++device)
    if (table.device_memory_bytes[device] && used[device] > *table.device_memory_bytes[device]) return false;
  return true;
}

double cost(Objective objective, const WalkPlan& plan) {
  return (objective == Objective::kAccuracy ? -1 : 1) * plan.value.total.of(objective);
}

bool is_close(double left, double right) { return std::abs(left - right) <= kClose * (1 + std::abs(left)); }

// Less latency, the whole model, the first exit, the lower device on the last op, ...
bool comes_first(const WalkPlan& left, const WalkPlan& right) {
  const double ms = left.value.total.latency_ms - right.value.total.latency_ms;
  if (ms != 0) return ms < 0;
  const auto leave = [](const WalkPlan& plan) { return plan.walk.exit ? 1 + static_cast<int>(*plan.walk.exit) : 0; };
  if (leave(left) != leave(right)) return leave(left) < leave(right);
  return std::lexicographical_compare(left.walk.devices.rbegin(), left.walk.devices.rend(), right.walk.devices.rbegin(),
                                      right.walk.devices.rend());
}

struct Counts {
  int splits = 0;
  int back = 0;
  int coded = 0;
  int exits = 0;
  int infeasible = 0;
  int fronts = 0;
  int combined = 0;  // a codec, an exit and ops that stay
};

void count(const Table& table, const WalkPlan& plan, Counts& counts) {
  const auto& devices = plan.walk.devices;
  counts.splits += std::any_of(devices.begin(), devices.end(), [&](std::uint32_t device) { return device != devices[0]; });
  const auto home = std::adjacent_find(devices.begin(), devices.end(), [&](std::uint32_t left, std::uint32_t right) {
    return left != table.source && right == table.source;
  });
  counts.back += home != devices.end();
  const bool coded = std::any_of(plan.walk.codecs.begin(), plan.walk.codecs.end(), [](std::uint32_t codec) { return codec > 0; });
  counts.coded += coded;
  counts.exits += plan.walk.exit.has_value();
  counts.combined += coded && plan.walk.exit && table.keep_on_source > 0;
}

void check_best(const Table& table, const Question& question, const std::vector<WalkPlan>& walks, bool whole, Counts& counts) {
  const WalkPlan* best = nullptr;
  for (const WalkPlan& walk : walks) {
    if (!answers(table, question, walk)) continue;
    const double goal = cost(question.objective, walk);
    if (best == nullptr || goal < cost(question.objective, *best) ||
        (goal == cost(question.objective, *best) && comes_first(walk, *best)))
      best = &walk;
  }
  const auto plan = plan_walk(table, question, "auto", {});
  ASSERT_EQ(plan.has_value(), best != nullptr) << (plan ? "" : plan.error().message);
  if (best == nullptr) {
    ++counts.infeasible;
    ASSERT_EQ(plan.error().code, ErrorCode::kInfeasible) << plan.error().message;
    return;
  }
  count(table, *plan, counts);
  ASSERT_TRUE(answers(table, question, *plan));
  ASSERT_TRUE(is_close(cost(question.objective, *best), cost(question.objective, *plan)))
      << cost(question.objective, *best) << " " << cost(question.objective, *plan);
  if (!whole) return;
  ASSERT_EQ(plan->value.total.latency_ms, best->value.total.latency_ms);
  ASSERT_EQ(plan->walk.exit, best->walk.exit);
  ASSERT_EQ(plan->walk.devices, best->walk.devices);
}

void check_front(const Table& table, const Question& question, const std::vector<WalkPlan>& walks, Counts& counts) {
  const auto is_no_worse = [&](const WalkPlan& left, const WalkPlan& right) {
    return std::all_of(question.pareto.begin(), question.pareto.end(), [&](Objective objective) {
      return cost(objective, left) <= cost(objective, right) + kClose * (1 + std::abs(cost(objective, right)));
    });
  };
  const auto front = walk_front(table, question, "auto", {});
  std::vector<const WalkPlan*> allowed;
  for (const WalkPlan& walk : walks)
    if (answers(table, question, walk)) allowed.push_back(&walk);
  ASSERT_EQ(front.has_value(), !allowed.empty()) << (front ? "" : front.error().message);
  if (allowed.empty()) return;
  // Everything that can be is no better than some of the front; every one of the front can be; none beats another.
  for (const WalkPlan* walk : allowed)
    ASSERT_TRUE(std::any_of(front->begin(), front->end(), [&](const WalkPlan& plan) { return is_no_worse(plan, *walk); }));
  for (const WalkPlan& plan : *front) {
    count(table, plan, counts);
    ASSERT_TRUE(answers(table, question, plan));
    for (const WalkPlan& other : *front) ASSERT_TRUE(&plan == &other || !is_no_worse(other, plan));
  }
  counts.fronts += front->size() > 1;
}

TEST(TableWalksAgree, WithEveryWalk) {
  Generator generator{.random = std::mt19937_64(20260101)};
  Counts counts;
  for (int round = 0; round < kTables; ++round) {
    generator.whole = round % 2 == 0;
    Table table;
    Result<std::vector<WalkPlan>> walks = std::vector<WalkPlan>{};
    do {
      table = generator.table();
      walks = all_walks(table, kWalksMax, {});
    } while (!walks);
    SCOPED_TRACE("round " + std::to_string(round));
    const auto any = [&]() -> const WalkPlan& { return (*walks)[generator.below(static_cast<std::uint32_t>(walks->size()))]; };
    for (int question_number = 0; question_number < 3; ++question_number) {
      Question question{.objective = kObjectives[generator.below(5)]};
      if (question_number > 0) {
        const WalkPlan& aim = any();
        for (const Objective objective : kObjectives)
          if (generator.below(3) == 0) generator.limit(objective, generator.below(4) == 0 ? any() : aim, question.limits);
        question.limits.memory = generator.below(3) == 0;
      }
      ASSERT_NO_FATAL_FAILURE(check_best(table, question, *walks, generator.whole, counts));
    }
    Question question;
    question.pareto.assign(kObjectives.begin(), kObjectives.end());
    std::shuffle(question.pareto.begin(), question.pareto.end(), generator.random);
    question.pareto.resize(2 + generator.below(2));
    if (generator.below(3) == 0) generator.limit(kObjectives[generator.below(5)], any(), question.limits);
    ASSERT_NO_FATAL_FAILURE(check_front(table, question, *walks, counts));
  }
  // The tables are not all trivial.
  EXPECT_GT(counts.splits, kTables / 10);
  EXPECT_GT(counts.back, kTables / 50);
  EXPECT_GT(counts.coded, kTables / 20);
  EXPECT_GT(counts.exits, kTables / 10);
  EXPECT_GT(counts.infeasible, kTables / 50);
  EXPECT_GT(counts.fronts, kTables / 10);
  EXPECT_GT(counts.combined, 20);
}

// Whether a walk visits no device twice before its result goes home.
bool is_simple(const TableWalk& walk) {
  std::vector<std::uint32_t> out(walk.route.begin(), walk.route.begin() + walk.at.back() + 1);
  std::sort(out.begin(), out.end());
  return std::adjacent_find(out.begin(), out.end()) == out.end();
}

// The two searches that larger tables fall back to, over the routes that they promise: the programme over sets of devices, and
// labels that do not return.
TEST(TableWalksAgree, OverRoutesThatVisitNoDeviceTwice) {
  Generator generator{.random = std::mt19937_64(17)};
  int pipelines = 0;
  int limited = 0;
  for (int round = 0; round < 3'000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    generator.whole = round % 2 == 0;
    Table table = generator.table();
    if (round % 3 > 0) table.codecs.clear();
    const auto walks = all_walks(table, kWalksMax, {});
    if (!walks) continue;
    const Question question{.objective = Objective::kPeriod};
    const WalkProblem problem = make_walk_problem(table, question);
    const WalkPlan* best = nullptr;
    double limit = 0;
    for (const WalkPlan& walk : *walks) {
      if (!answers(table, question, walk) || !is_simple(walk.walk)) continue;
      if (limit == 0 || generator.below(8) == 0) limit = walk.value.total.period_ms;
      const auto rank = [](const WalkPlan& plan) { return std::pair(plan.value.total.period_ms, plan.value.total.latency_ms); };
      if (best == nullptr || rank(walk) < rank(*best)) best = &walk;
    }
    ASSERT_NE(best, nullptr);
    if (is_pipeline(problem, {})) {
      const auto found = least_period_pipeline(problem, {});
      if (found) {
        // The shortest walk, where it begins, may come back to a device and be better.
        if (measure(problem, found->steps).returns) {
          ASSERT_LE(found->period, best->value.total.period_ms * (1 + kClose));
        } else {
          ++pipelines;
          ASSERT_TRUE(is_close(best->value.total.period_ms, found->period))
              << best->value.total.period_ms << " " << found->period;
          // Sums of any numbers may put another walk within the last digits of the period.
          if (generator.whole) {
            ASSERT_EQ(best->value.total.latency_ms, found->sums[kTime]);
          }
        }
      } else {
        ASSERT_EQ(found.error().code, ErrorCode::kUnsupported) << found.error().message;
      }
    }
    double least = std::numeric_limits<double>::infinity();
    for (const WalkPlan& walk : *walks)
      if (answers(table, question, walk) && is_simple(walk.walk) && walk.value.total.period_ms <= limit * (1 + kClose))
        least = std::min(least, walk.value.total.latency_ms);
    LabelQuestion labels{.minimise = {kTime}, .period = limit};
    labels.no_return = true;
    const auto found = search_labels(problem, labels, {});
    ASSERT_TRUE(found);
    ASSERT_TRUE(is_close(least, (*found)[0].sums[kTime])) << least << " " << (*found)[0].sums[kTime];
    limited += least > plan_walk(table, {}, "auto", {})->value.total.latency_ms * (1 + kClose);
  }
  EXPECT_GT(pipelines, 500);
  EXPECT_GT(limited, 200);
}

// On a chain of devices, going up and home is worth what version 1 says.
TEST(TableWalksAgree, WithVersionOneOnChains) {
  Generator generator{.random = std::mt19937_64(3), .whole = false};
  for (int round = 0; round < 2'000; ++round) {
    Table first;
    const std::uint32_t m = 1 + generator.below(4);
    const std::uint32_t n = 1 + generator.below(6);
    for (std::uint32_t j = 0; j < m; ++j) {
      first.devices.push_back("d" + std::to_string(j));
      if (j > 0) first.links.push_back({generator.real(10, 1e5), generator.number(20, 1)});
    }
    std::vector<std::uint32_t> devices;
    for (std::uint32_t i = 0; i < n; ++i) {
      first.op_names.push_back("op");
      first.output_bytes.push_back(generator.number(2000, 1));
      first.memory_bytes.push_back(0);
      first.order.push_back(i);
      if (i > 0) first.edges.emplace_back(i - 1, i);
      for (std::uint32_t j = 0; j < m; ++j) first.runtime_ms.push_back(generator.number(100, 1) / (j + 1));
      devices.push_back(generator.below(m));
    }
    first.input_bytes = generator.number(4000, 1);
    first.result_bytes = generator.number(100, 1);
    std::sort(devices.begin(), devices.end());
    TableWalk walk{.route = {0}, .devices = devices};
    for (const std::uint32_t device : devices) {
      for (std::uint32_t at = walk.route.back(); at < device; ++at) {
        walk.links.push_back(at);
        walk.route.push_back(at + 1);
      }
      walk.at.push_back(device);
    }
    for (std::uint32_t at = devices.back(); at-- > 0;) {
      walk.links.push_back(at);
      walk.route.push_back(at);
    }
    walk.codecs.assign(walk.links.size(), kRawCodec);
    const Table second = version_2(first);
    const auto value = walk_value(second, walk);
    ASSERT_TRUE(value) << value.error().message;
    ASSERT_TRUE(is_close(table_value(first, devices)->latency_ms, value->total.latency_ms)) << "round " << round;
    // More walks are never worse than AAIoT's.
    const auto best = plan_walk(second, {}, "auto", {});
    ASSERT_TRUE(best);
    ASSERT_LE(best->value.total.latency_ms, plan_table(first, "aaiot")->value.latency_ms * (1 + kClose)) << "round " << round;
  }
}

// No referee: what must hold of any exact answer. Larger tables than a referee could take.
TEST(TableWalksAgree, Metamorphic) {
  Generator generator{.random = std::mt19937_64(5)};
  for (int round = 0; round < 1'000; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const Table table = generator.table();
    for (const Objective objective : kObjectives) {
      Question question{.objective = objective};
      const auto free = plan_walk(table, question, "auto", {});
      ASSERT_TRUE(free) << free.error().message;
      const double value = cost(objective, *free);
      // A limit never helps, and a looser one never hurts.
      const auto quickest = plan_walk(table, {}, "auto", {});
      double before = std::numeric_limits<double>::infinity();
      for (const double factor : {1.0, 1.5, 4.0}) {
        question.limits = {};
        question.limits.by[std::size_t(Objective::kLatency)] = quickest->value.total.latency_ms * factor;
        const auto limited = plan_walk(table, question, "auto", {});
        ASSERT_TRUE(limited);
        ASSERT_GE(cost(objective, *limited), value - kClose * (1 + std::abs(value)));
        ASSERT_LE(cost(objective, *limited), before + kClose * (1 + std::abs(before)));
        before = cost(objective, *limited);
      }
    }
    // A faster link never makes the best latency worse.
    const double latency = plan_walk(table, {}, "auto", {})->value.total.latency_ms;
    for (std::size_t i = 0; i < table.links.size(); ++i) {
      Table faster = table;
      faster.links[i].bytes_per_s *= 1.5;
      faster.links[i].back_bytes_per_s *= 3;
      ASSERT_LE(plan_walk(faster, {}, "auto", {})->value.total.latency_ms, latency * (1 + kClose));
    }
    // All times twice as long: the same plan, everything twice as long.
    Table slower = table;
    for (double& time : slower.runtime_ms) time *= 2;
    for (TableLink& link : slower.links) {
      link.bytes_per_s /= 2;
      link.back_bytes_per_s /= 2;
      link.rtt_ms *= 2;
    }
    for (TableCodec& codec : slower.codecs)
      for (auto* times : {&codec.encode_ms_per_mb, &codec.decode_ms_per_mb})
        for (double& time : *times) time *= 2;
    for (TableExit& exit : slower.exits)
      for (double& time : exit.runtime_ms) time *= 2;
    for (const Objective objective : {Objective::kLatency, Objective::kEnergy, Objective::kPeriod}) {
      const auto once = plan_walk(table, {.objective = objective}, "auto", {});
      const auto twice = plan_walk(slower, {.objective = objective}, "auto", {});
      ASSERT_TRUE(once && twice);
      ASSERT_TRUE(is_close(2 * cost(objective, *once), cost(objective, *twice)));
      ASSERT_EQ(once->walk.devices, twice->walk.devices);
    }
  }
}

}  // namespace
}  // namespace tideline
