// Goal: a run on a host that is slower than its profile says so, and offers the plan that is best then. Method: two nodes of
// known times and made-up answers.
#include "session/advice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Scene {
  Cluster cluster;
  ChosenPlan chosen;

  // A camera that computes two blocks of 10 ms, and a server five times as fast behind a link of 30 ms.
  Scene() {
    cluster.nodes = {{.name = "camera", .tier = Tier::kDevice, .host = "127.0.0.1", .port = 1},
                     {.name = "server", .tier = Tier::kCloud, .host = "127.0.0.1", .port = 2}};
    cluster.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 1e9, .back_bytes_per_s = 1e9, .rtt = Millis(30)}};
    for (const double factor : {1.0, 0.2}) {
      Profile profile;
      profile.blocks = {{"a", Millis(10)}, {"b", Millis(10)}};
      profile.cuts = {{1000}, {1000}, {100}};
      profile.whole = Millis(20);
      chosen.inputs.profiles.push_back(std::make_unique<Profile>(scaled(profile, factor)));
      chosen.inputs.by_node.push_back(chosen.inputs.profiles.back().get());
    }
    const PlanResult best = run_planner({.cost = chosen.inputs.cost(cluster)}, "auto").value();
    chosen.plan = best.plan;
    chosen.estimate = best.estimate;
  }
  RunReport ran(double camera_ms) const {
    RunReport report{.predicted = chosen.estimate};
    for (int i = 0; i < 5; ++i) {
      RunAnswer answer;
      answer.stages.resize(1);
      answer.stages[0].node = "camera";
      answer.stages[0].compute = Millis(camera_ms);
      report.answers.push_back(std::move(answer));
    }
    return report;
  }
};

TEST(Advice, ASlowHostIsNamedAndTheBetterPlanOffered) {
  const Scene scene;
  ASSERT_EQ(scene.chosen.plan.segments.size(), 1u);
  ASSERT_EQ(scene.chosen.plan.segments[0].node, "camera");
  const auto advice = advise(scene.ran(60), scene.chosen, scene.cluster, {});
  ASSERT_TRUE(advice) << advice.error().message;
  ASSERT_TRUE(advice->better);
  EXPECT_EQ(advice->better->plan.segments[0].node, "server");
  EXPECT_NEAR(advice->now.count(), 60, 1);
  EXPECT_THAT(describe(*advice), ElementsAre("camera is 3 times slower than in the profile", HasSubstr("server blocks 0..1")));
}

TEST(Advice, NothingIsSaidOfHostsThatAreAsTheirProfile) {
  const Scene scene;
  const auto same = advise(scene.ran(20.5), scene.chosen, scene.cluster, {});
  ASSERT_TRUE(same);
  EXPECT_THAT(describe(*same), IsEmpty());
  // Somewhat slower: named, but the plan stays.
  const auto slower = advise(scene.ran(26), scene.chosen, scene.cluster, {});
  ASSERT_TRUE(slower);
  EXPECT_EQ(slower->notable.size(), 1u);
  EXPECT_FALSE(slower->better);
  EXPECT_THAT(describe(*advise(RunReport{}, scene.chosen, scene.cluster, {})), IsEmpty());
}

}  // namespace
}  // namespace tideline
