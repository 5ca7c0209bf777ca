// Goal: a node is called dead when it is, and not when somebody else is; one that starts anew is noticed; several dead ones are
// waited for together. Method: the rule on tables of answers; a node over the loopback transport.
#include "fleet/up/node_watch.h"

#include <gtest/gtest.h>

#include "fleet/test_site.h"

namespace tideline::fleet {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kCam1 = 0, kCam2 = 1, kGateway = 3;

TEST(NodesSeen, AGatewayBehindADeadCameraIsNotDead) {
  const NodesSeen seen =
      seen_on({{{kCam1, kCam1}, false}, {{kCam1, kGateway}, false}, {{kCam2, kCam2}, true}, {{kCam2, kGateway}, true}});
  EXPECT_EQ(seen.dead, std::set<std::size_t>{kCam1});
  EXPECT_TRUE(seen.broken.contains({kCam1, kGateway}));
  EXPECT_FALSE(seen.broken.contains({kCam2, kGateway}));
}

TEST(NodesSeen, OfAGatewayWhoseOnlyCameraIsDeadNothingIsKnown) {
  EXPECT_EQ(seen_on({{{kCam1, kCam1}, false}, {{kCam1, kGateway}, false}}).dead, std::set<std::size_t>{kCam1});
}

TEST(NodesSeen, AGatewayThatNoLivingSourceReachesIsDead) {
  const NodesSeen seen =
      seen_on({{{kCam1, kCam1}, true}, {{kCam1, kGateway}, false}, {{kCam2, kCam2}, false}, {{kCam2, kGateway}, false}});
  EXPECT_EQ(seen.dead, (std::set<std::size_t>{kCam2, kGateway}));
  // One broken way is none that is dead.
  EXPECT_TRUE(seen_on({{{kCam1, kCam1}, true}, {{kCam1, kGateway}, false}, {{kCam2, kCam2}, true}, {{kCam2, kGateway}, true}})
                  .dead.empty());
}

TEST(StartTime, OnlyALaterStartIsARestart) {
  const SteadyTime t0{1000s};
  StartTime started;
  EXPECT_FALSE(started.has_restarted(t0, t0 + 100ms, Millis(5'000)));
  // The answer took its time, and so did the next one: it may be the same start.
  EXPECT_FALSE(started.has_restarted(t0 + 1s, t0 + 2s, Millis(5'950)));
  EXPECT_FALSE(started.has_restarted(t0 + 3s, t0 + 3s, Millis(8'000)));
  // Up for longer than when it was asked last, and still not since then.
  EXPECT_TRUE(started.has_restarted(t0 + 60s, t0 + 60s, Millis(20'000)));
  EXPECT_FALSE(started.has_restarted(t0 + 61s, t0 + 61s, Millis(21'000)));
}

TEST(NodeWatch, WaysThatNobodyAnswersOnAreWaitedForTogether) {
  // Nobody listens anywhere in it.
  const auto transport = make_loopback_transport();
  NodeWatch watch(*transport, *parse_cluster(kSite, "site.yaml"));
  for (const std::size_t camera : {kCam1, kCam2}) {
    ASSERT_TRUE(watch.add(camera, camera));
    ASSERT_TRUE(watch.add(kGateway + camera, camera));
  }
  watch.settle(deadline_in(60s));
  EXPECT_EQ(watch.seen().dead, (std::set<std::size_t>{kCam1, kCam2}));
  EXPECT_EQ(watch.seen().broken.size(), 4u);
}

}  // namespace
}  // namespace tideline::fleet
