// The certificate: weak duality at random prices, agreement with the dual's own figure, and refusal of every broken proof.
#include "schedule/certify.h"

#include <gtest/gtest.h>

#include "schedule/policy.h"
#include "schedule/random.h"
#include "schedule/result_file.h"
#include "schedule/test_instances.h"

namespace tideline::schedule {
namespace {

Schedule priced(const Instance& instance) {
  auto answer = run_policy("price", instance, {.time_limit = std::chrono::seconds(20), .search_steps = 1000});
  EXPECT_TRUE(answer) << answer.error().message;
  return answer->schedule;
}

// T3: value <= U(lambda) for the reported multipliers and for 100 random ones.
TEST(Certify, NoScheduleBeatsTheBoundAtAnyPrices) {
  for (const char* kind : {"c2", "single-home", "real", "split-all"}) {
    const Instance instance = tight_instance(kind, 10, 120, 3);
    const Schedule schedule = priced(instance);
    Random random(11);
    for (int trial = 0; trial < 100; ++trial) {
      Multipliers multipliers;
      const double scale = random.uniform(0, 10);
      for (std::size_t i = 0; i < instance.servers.size(); ++i) {
        multipliers.bandwidth.push_back(random.uniform(0, scale));
        multipliers.compute.push_back(random.uniform(0, scale));
      }
      const Bound bound = bound_of(instance, multipliers);
      EXPECT_LE(schedule.deployed(), bound.upper_bound) << kind << " trial " << trial;
      EXPECT_LE(schedule.deployed(), bound.tasks_max) << kind << " trial " << trial;
      EXPECT_GE(bound.upper_bound, schedule.upper_bound * (1 - 1e-6)) << kind << ": the dual was not optimal";
    }
    EXPECT_LE(schedule.deployed(), bound_of(instance, {std::vector<double>(10, 0), std::vector<double>(10, 0)}).upper_bound);
  }
}

TEST(Certify, AgreesWithTheDual) {
  for (const char* kind : {"c2", "single-home", "real", "split-all", "literal"}) {
    const Instance instance = tight_instance(kind, 15, 150, 4);
    const Schedule schedule = priced(instance);
    const auto certificate = certify(instance, schedule);
    ASSERT_TRUE(certificate) << kind << ": " << certificate.error().message;
    EXPECT_EQ(certificate->report.deployed, schedule.deployed());
    EXPECT_NEAR(certificate->bound.upper_bound, schedule.upper_bound, 1e-9 * schedule.upper_bound);
    EXPECT_EQ(certificate->bound.tasks_max, schedule.tasks_max);
  }
}

TEST(Certify, RefusesEveryBrokenProof) {
  const Instance instance = tight_instance("c2", 10, 120, 3);
  const Schedule good = priced(instance);
  const auto refused = [&](const auto& mutate) {
    Schedule broken = good;
    mutate(broken);
    const auto certificate = certify(instance, broken);
    return certificate ? std::string("accepted") : certificate.error().message;
  };
  EXPECT_NE(refused([](Schedule& s) { s.upper_bound -= 0.5; }).find("upper_bound says"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.tasks_max -= 1; }).find("tasks_max says"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.tasks_max = 0; }).find("tasks_max says 0"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.multipliers.bandwidth[3] = -0.1; }).find("multipliers.bandwidth[3]"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.multipliers.compute[3] += 0.1; }).find("upper_bound says"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.multipliers.compute.pop_back(); }).find("9 numbers for 10 servers"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { s.multipliers = {}; }).find("no multipliers"), std::string::npos);
  EXPECT_NE(refused([](Schedule& s) { std::fill(s.layers.begin(), s.layers.end(), 1u); }).find("constraint"), std::string::npos);
}

TEST(ResultFile, WhatIsWrittenReadsBackAndLiesAreRefused) {
  const Instance instance = tight_instance("c2", 5, 30, 2);
  const Schedule schedule = priced(instance);
  const std::string text = write_result(schedule);
  const auto again = parse_result(text, "r.json");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->layers, schedule.layers);
  EXPECT_EQ(again->multipliers.bandwidth, schedule.multipliers.bandwidth);
  EXPECT_EQ(again->upper_bound, schedule.upper_bound);
  EXPECT_EQ(again->tasks_max, schedule.tasks_max);

  const auto with = [&](const std::string& find, const std::string& replace) {
    std::string changed = text;
    const auto at = changed.find(find);
    EXPECT_NE(at, std::string::npos) << find;
    changed.replace(at, find.size(), replace);
    const auto result = parse_result(changed, "r.json");
    return result ? std::string("accepted") : result.error().message;
  };
  EXPECT_NE(with("\"deployed\": ", "\"deployed\": 1").find("r.json: deployed: says"), std::string::npos);
  EXPECT_NE(with("{\"layers\": ", "{\"layers\": -").find("r.json: tasks[0]"), std::string::npos);
  EXPECT_NE(with("\"checked\": true", "\"checked\": false").find("checked"), std::string::npos);
  EXPECT_NE(with("\"policy\"", "\"polices\"").find("policy"), std::string::npos);
}

}  // namespace
}  // namespace tideline::schedule
