// Deployment and the search for partners against their definitions, on random lives of a tight instance.
#include "schedule/online/partners.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "schedule/random.h"
#include "schedule/test_instances.h"

namespace tideline::schedule {
namespace {

// What every server's account should be, from the layers alone.
void expect_account(const Deployment& deployment) {
  const Instance& instance = deployment.instance();
  for (std::uint32_t server = 0; server < instance.servers.size(); ++server) {
    std::map<std::uint32_t, Use> expected;
    double bandwidth = 0, compute = 0;
    for (std::uint32_t task = 0; task < instance.tasks.size(); ++task) {
      if (deployment.layers_of(task) == 0) continue;
      const Layer& cut = deployment.layer(task, deployment.layers_of(task));
      for (const Touch& touch : instance.touches_of(instance.tasks[task])) {
        if (touch.server != server) continue;
        const UnitDemand unit = deployment.unit_demand(instance.tasks[task], touch);
        expected[task] = {unit.bandwidth * cut.ratio, unit.compute * cut.gflop_per_mb};
        bandwidth += expected[task].bandwidth;
        compute += expected[task].compute;
      }
    }
    EXPECT_NEAR(deployment.used_bandwidth(server), bandwidth, 1e-9);
    EXPECT_NEAR(deployment.used_compute(server), compute, 1e-9);
    const auto [tasks, uses] = deployment.tenants(server);
    ASSERT_TRUE(std::is_sorted(tasks.begin(), tasks.end()));
    std::size_t present = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      if (uses[i].is_gone()) continue;
      ++present;
      ASSERT_TRUE(expected.contains(tasks[i]));
      EXPECT_DOUBLE_EQ(uses[i].bandwidth, expected[tasks[i]].bandwidth);
      EXPECT_DOUBLE_EQ(uses[i].compute, expected[tasks[i]].compute);
    }
    EXPECT_EQ(present, expected.size());
  }
}

// Everyone without whom, or with less of whom, the newcomer fits on the servers that it would overfill.
std::map<std::uint32_t, Partner> partners_by_definition(const Deployment& deployment, std::uint32_t newcomer,
                                                        std::uint32_t layers) {
  const Instance& instance = deployment.instance();
  const Layer& cut = deployment.layer(newcomer, layers);
  std::map<std::uint32_t, Partner> partners;
  for (std::uint32_t task = 0; task < instance.tasks.size(); ++task) {
    if (deployment.layers_of(task) == 0) continue;
    const Layer& held = deployment.layer(task, deployment.layers_of(task));
    Partner partner{.task = task};
    bool helps = true;
    for (const Touch& touch : instance.touches_of(instance.tasks[newcomer])) {
      const UnitDemand unit = deployment.unit_demand(instance.tasks[newcomer], touch);
      const double bandwidth = deployment.used_bandwidth(touch.server) + unit.bandwidth * cut.ratio - 1 - kUtilisationSlack;
      const double compute = deployment.used_compute(touch.server) + unit.compute * cut.gflop_per_mb - 1 - kUtilisationSlack;
      Use use;
      for (const Touch& own : instance.touches_of(instance.tasks[task])) {
        if (own.server != touch.server) continue;
        const UnitDemand of = deployment.unit_demand(instance.tasks[task], own);
        use = {of.bandwidth * held.ratio, of.compute * held.gflop_per_mb};
      }
      if (bandwidth > 0) partner.bandwidth_share = std::max(partner.bandwidth_share, bandwidth / use.bandwidth);
      if (compute > 0) partner.compute_share = std::max(partner.compute_share, compute / use.compute);
      helps = helps && use.bandwidth >= bandwidth && use.compute >= compute;
    }
    if (helps) partners[task] = partner;
  }
  return partners;
}

TEST(Deployment, KeepsTheAccountThroughARandomLife) {
  const Instance instance = tight_instance("c2", 8, 200, 5, 0.3);
  Deployment deployment(instance);
  Random random(3);
  for (int step = 0; step < 3000; ++step) {
    const std::uint32_t task = random.below(200);
    const auto layers = 1 + random.below(static_cast<std::uint32_t>(instance.model_of(instance.tasks[task]).layers.size()));
    if (deployment.layers_of(task) == 0) {
      if (deployment.fits(task, layers)) deployment.place(task, layers);
    } else if (random.unit() < 0.7) {
      deployment.remove(task);
    } else {
      deployment.recut(task, layers);
      if (deployment.utilisation_after(task, layers) > 2) deployment.remove(task);
    }
    if (step % 100 == 0) expect_account(deployment);
  }
  for (std::uint32_t task = 0; task < 200; ++task)
    if (deployment.layers_of(task) > 0) deployment.remove(task);
  for (std::uint32_t server = 0; server < 8; ++server) EXPECT_EQ(deployment.used_bandwidth(server), 0);
}

TEST(PartnerSearch, FindsEveryoneWhoCouldMakeRoom) {
  std::size_t found = 0, on_several = 0;
  for (const char* kind : {"c2", "single-home", "real"}) {
    const Instance instance = tight_instance(kind, 6, 300, 4, 0.3);
    Deployment deployment(instance);
    PartnerSearch search(deployment);
    Random random(9);
    for (std::uint32_t task = 0; task < 300; ++task) {
      const auto layers = 1 + random.below(static_cast<std::uint32_t>(instance.model_of(instance.tasks[task]).layers.size()));
      if (deployment.fits(task, layers)) {
        deployment.place(task, layers);
        if (task % 5 == 0) deployment.remove(task);
        continue;
      }
      SearchBudget budget{.visits = 10'000, .partners = 10'000};
      const auto partners = search.find(task, layers, budget);
      auto expected = partners_by_definition(deployment, task, layers);
      ASSERT_EQ(partners.size(), expected.size()) << kind << " task " << task;
      for (const Partner& partner : partners) {
        ASSERT_TRUE(expected.contains(partner.task));
        EXPECT_NEAR(partner.bandwidth_share, expected[partner.task].bandwidth_share, 1e-9);
        EXPECT_NEAR(partner.compute_share, expected[partner.task].compute_share, 1e-9);
        on_several += partner.bandwidth_share > 0 && partner.compute_share > 0 ? 1 : 0;
      }
      found += partners.size();
    }
  }
  EXPECT_GT(found, 100u) << "the test needs instances with partners";
  EXPECT_GT(on_several, 0u) << "and some that lack both resources";
}

TEST(PartnerSearch, StaysWithinItsBudget) {
  const Instance instance = tight_instance("single-home", 2, 300, 4, 0.3);
  Deployment deployment(instance);
  PartnerSearch search(deployment);
  bool is_full = false;
  for (std::uint32_t task = 0; task < 300; ++task) {
    if (deployment.fits(task, 1)) {
      deployment.place(task, 1);
      continue;
    }
    SearchBudget budget{.visits = 10, .partners = 2};
    EXPECT_LE(search.find(task, 1, budget).size(), 2u);
    EXPECT_LE(budget.visits, 10u);
    EXPECT_LE(budget.partners, 2u);
    SearchBudget nothing;
    EXPECT_TRUE(search.find(task, 1, nothing).empty());
    is_full = true;
  }
  EXPECT_TRUE(is_full);
}

}  // namespace
}  // namespace tideline::schedule
