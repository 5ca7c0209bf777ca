// Goal: where the system gives no threads, whoever wants one is told so, and the program lives. Method: platform/no_threads.h.
#include <atomic>

#include <gtest/gtest.h>

#include "fleet/test_site.h"
#include "fleet/up/node_watch.h"
#include "fleet/up/parallel.h"
#include "platform/no_threads.h"

namespace tideline::fleet {
namespace {

TEST(NoThreads, NobodyIsWatched) {
  const auto transport = make_loopback_transport();
  NodeWatch watch(*transport, *parse_cluster(kSite, "site.yaml"));
  {
    const NoThreads none;
    const Status added = watch.add(0, 0);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::kOverloaded);
  }
  EXPECT_TRUE(watch.add(0, 0)) << "once there are threads again";
}

TEST(NoThreads, WorkIsDoneByWhoHasIt) {
  const NoThreads none;
  std::atomic<int> done{0};
  in_parallel(5, 4, [&](std::size_t) { ++done; });
  EXPECT_EQ(done, 5);
}

TEST(InParallel, EachPieceOnce) {
  std::vector<std::atomic<int>> done(100);
  in_parallel(done.size(), 8, [&](std::size_t n) { ++done[n]; });
  for (const auto& count : done) EXPECT_EQ(count, 1);
  in_parallel(0, 8, [](std::size_t) { FAIL(); });
}

}  // namespace
}  // namespace tideline::fleet
