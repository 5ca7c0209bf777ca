// Goal: the simulated site does what engines and links do to each other's requests.
// Method: traces worked out by hand for each rule; D/D/1 and M/D/1 closed forms; what goes in comes out.
#include "sim/site_queues.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline::sim {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

SiteStep compute(std::size_t engine, double seconds) { return {.where = engine, .amount = seconds}; }
SiteStep send(std::size_t link, double bytes, double then_s = 0) {
  return {.is_link = true, .where = link, .amount = bytes, .then_s = then_s};
}
// One request only, at that time.
SiteStream once(double at, std::vector<SiteStep> steps, double deadline_s = 1) {
  return {.first_s = at, .gap_s = 1000, .deadline_s = deadline_s, .in_flight = 1, .steps = std::move(steps)};
}
std::vector<StreamOutcome> run(SiteQueues site) {
  auto result = simulate_site(site);
  EXPECT_TRUE(result) << result.error().message;
  return result ? std::move(*result) : std::vector<StreamOutcome>(site.streams.size());
}
auto near(double value) { return DoubleNear(value, 1e-9); }

TEST(SiteQueues, ALoneRequestTakesWhatItsStepsTake) {
  const auto seen = run({.engines = 2,
                         .link_bytes_per_s = {1000, 500},
                         .streams = {once(3, {compute(0, 0.25), send(0, 100, 0.01), compute(1, 0.5), send(1, 50, 0.01)})},
                         .duration_s = 10});
  EXPECT_THAT(seen[0].latency_s, ElementsAre(near(0.25 + 0.1 + 0.01 + 0.5 + 0.1 + 0.01)));
}

TEST(SiteQueues, AnEngineIsNotInterruptedAndThenTakesTheEarliestDeadline) {
  // The first runs from 0 to 1; of the two that come meanwhile the later one is due earlier (0.3 + 1 against 0.1 + 5).
  const auto seen = run({.engines = 1,
                         .link_bytes_per_s = {},
                         .streams = {once(0, {compute(0, 1)}, 9), once(0.1, {compute(0, 1)}, 5), once(0.3, {compute(0, 1)}, 1)},
                         .duration_s = 10});
  EXPECT_THAT(seen[0].latency_s, ElementsAre(near(1)));
  EXPECT_THAT(seen[2].latency_s, ElementsAre(near(1.7)));
  EXPECT_THAT(seen[1].latency_s, ElementsAre(near(2.9)));
}

TEST(SiteQueues, EqualDeadlinesGoByArrival) {
  const auto seen = run({.engines = 1,
                         .link_bytes_per_s = {},
                         .streams = {once(0.5, {compute(0, 1)}, 1), once(0, {compute(0, 1)}, 9), once(0.5, {compute(0, 1)}, 1)},
                         .duration_s = 10});
  EXPECT_THAT(seen[0].latency_s, ElementsAre(near(1.5)));
  EXPECT_THAT(seen[2].latency_s, ElementsAre(near(2.5)));
}

TEST(SiteQueues, StreamsShareALinkAndEachKeepsItsOrder) {
  // 1000 bytes/s. Alone from 0 to 1: 1000 of 1500 bytes; then two share: 500 left of the first are through at 2, when the other
  // has 500 of 1000 and the link alone: 2.5.
  const auto two = run({.engines = 0,
                        .link_bytes_per_s = {1000},
                        .streams = {once(0, {send(0, 1500)}), once(1, {send(0, 1000)})},
                        .duration_s = 10});
  EXPECT_THAT(two[0].latency_s, ElementsAre(near(2)));
  EXPECT_THAT(two[1].latency_s, ElementsAre(near(1.5)));
  // Two requests of one stream are one after the other: no sharing among them.
  SiteStream stream{.first_s = 0, .gap_s = 0.5, .deadline_s = 1, .in_flight = 9, .steps = {send(0, 1000)}};
  const auto one = run({.engines = 0, .link_bytes_per_s = {1000}, .streams = {stream}, .duration_s = 0.9});
  EXPECT_THAT(one[0].latency_s, ElementsAre(near(1), near(1.5)));
}

TEST(SiteQueues, MoreThanMayBeUnderWayWaitsOrIsDropped) {
  // One at a time takes 1 s and one arises every 0.4 s: at 0, .4, .8, 1.2, 1.6.
  SiteStream stream{.first_s = 0, .gap_s = 0.4, .deadline_s = 1, .in_flight = 1, .steps = {compute(0, 1)}};
  SiteQueues site{.engines = 1, .link_bytes_per_s = {}, .streams = {stream}, .duration_s = 1.9};
  const auto waits = run(site);
  EXPECT_THAT(waits[0].latency_s, ElementsAre(near(1), near(1.6), near(2.2), near(2.8), near(3.4)));
  EXPECT_EQ(waits[0].dropped, 0u);
  // At 1 the one of .8 goes (that of .4 was dropped for it), at 2 that of 1.6.
  site.streams[0].drop = SiteDrop::kOldest;
  const auto freshest = run(site);
  EXPECT_THAT(freshest[0].latency_s, ElementsAre(near(1), near(1.2), near(1.4)));
  EXPECT_EQ(freshest[0].dropped, 2u);
  // At 1 the one of .4 goes, at 2 that of 1.2; .8 and 1.6 found one waiting.
  site.streams[0].drop = SiteDrop::kNewest;
  const auto first = run(site);
  EXPECT_THAT(first[0].latency_s, ElementsAre(near(1), near(1.6), near(1.8)));
  EXPECT_EQ(first[0].dropped, 2u);
}

TEST(SiteQueues, WaitsAsInMD1) {
  // A Poisson process as a thousand streams of one request each at random times of equal density.
  std::mt19937_64 random(7);
  constexpr double kDuration = 40'000, kLoad = 0.7;
  std::uniform_real_distribution<double> when(0, kDuration);
  SiteQueues site{.engines = 1, .link_bytes_per_s = {}, .streams = {}, .duration_s = kDuration};
  std::vector<double> times(static_cast<std::size_t>(kLoad * kDuration));
  for (double& time : times) time = when(random);
  for (const double time : times)
    site.streams.push_back({.first_s = time, .gap_s = 2 * kDuration, .deadline_s = 0, .in_flight = 1, .steps = {compute(0, 1)}});
  double wait = 0;
  for (const StreamOutcome& outcome : run(site)) {
    ASSERT_THAT(outcome.latency_s, SizeIs(1));
    wait += outcome.latency_s[0] - 1;
  }
  // Pollaczek-Khinchine: load / (2 (1 - load)) services.
  EXPECT_NEAR(wait / static_cast<double>(times.size()), kLoad / (2 * (1 - kLoad)), 0.1);
}

TEST(SiteQueues, WhatArisesIsFinishedOrDropped) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 200; ++round) {
    const auto number = [&](double least, double most) { return std::uniform_real_distribution<double>(least, most)(random); };
    SiteQueues site{.engines = 3, .link_bytes_per_s = {1e3, 1e9}, .streams = {}, .duration_s = 20};
    std::vector<std::uint64_t> arises;
    for (int s = 0; s < 5; ++s) {
      SiteStream stream{.first_s = number(0, 5),
                        .gap_s = number(0.05, 2),
                        .deadline_s = number(0, 3),
                        .in_flight = 1 + static_cast<std::uint32_t>(random() % 4),
                        .drop = static_cast<SiteDrop>(random() % 3)};
      for (std::size_t i = random() % 6; i > 0; --i)
        stream.steps.push_back(random() % 2 == 0 ? compute(random() % 3, number(0, 0.5))
                                                 : send(random() % 2, number(0, 500), number(0, 0.1)));
      std::uint64_t count = 0;
      while (stream.first_s + stream.gap_s * static_cast<double>(count) < site.duration_s) ++count;
      arises.push_back(count);
      site.streams.push_back(std::move(stream));
    }
    const auto seen = run(site);
    for (std::size_t s = 0; s < seen.size(); ++s) {
      EXPECT_EQ(seen[s].latency_s.size() + seen[s].dropped, arises[s]);
      double least = 0;
      for (const SiteStep& step : site.streams[s].steps)
        least += step.then_s + (step.is_link ? step.amount / site.link_bytes_per_s[step.where] : step.amount);
      for (const double latency : seen[s].latency_s) EXPECT_GE(latency, least - 1e-6);
    }
  }
}

TEST(SiteQueues, WrongNumbersAreSentences) {
  const auto refused = [](SiteQueues site) { return simulate_site(site).error().message; };
  const SiteQueues good{.engines = 1, .link_bytes_per_s = {1}, .streams = {once(0, {compute(0, 1)})}, .duration_s = 1};
  ASSERT_TRUE(simulate_site(good));
  SiteQueues site = good;
  site.streams[0].gap_s = 0;
  EXPECT_THAT(refused(site), HasSubstr("its gap above 0"));
  site = good;
  site.streams[0].steps[0].where = 1;
  EXPECT_THAT(refused(site), HasSubstr("nowhere"));
  site = good;
  site.streams[0].steps[0].amount = std::nan("");
  EXPECT_THAT(refused(site), HasSubstr("seconds or bytes"));
  site = good;
  site.link_bytes_per_s[0] = 0;
  EXPECT_THAT(refused(site), HasSubstr("speed above 0"));
  site = good;
  site.duration_s = 1e12;
  site.streams[0].gap_s = 1e-3;
  EXPECT_THAT(refused(site), HasSubstr("too many requests"));
  site = good;
  site.cancel = {};
  site.cancel.cancel();
  EXPECT_THAT(refused(site), HasSubstr("interrupted"));
}

}  // namespace
}  // namespace tideline::sim
