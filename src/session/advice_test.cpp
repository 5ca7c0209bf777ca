// Goal: a run says what its prediction missed, and offers another plan only where one is better. Method: reports and profiles
// made by hand: four blocks of 10 ms on two nodes over a quick link.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/report.h"
#include "session/advice.h"

namespace tideline {
namespace {

using testing::HasSubstr;

class AdviceTest : public testing::Test {
 protected:
  AdviceTest() {
    cluster_.nodes = {{.name = "camera", .host = "127.0.0.1", .port = 1}, {.name = "server", .host = "127.0.0.1", .port = 2}};
    cluster_.links = {{.from = NodeId{0}, .to = NodeId{1}, .bytes_per_s = 1e6, .back_bytes_per_s = 1e6, .rtt = Millis(1)}};
    Profile profile{.model_name = "toy", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c"), .host = "h"};
    for (int k = 0; k < 4; ++k) profile.blocks.push_back({.name = "b", .time = Millis(10)});
    profile.cuts = std::vector<CutProfile>(5, {.bytes = 1000});
    profile.whole = Millis(40);
    chosen_.inputs.profiles.push_back(std::make_unique<Profile>(profile));
    chosen_.inputs.by_node = {chosen_.inputs.profiles[0].get(), chosen_.inputs.profiles[0].get()};
    const auto best = run_planner({.cost = chosen_.inputs.cost(cluster_)}, "auto");
    EXPECT_TRUE(best) << best.error().message;
    chosen_.plan = best->plan;
    chosen_.estimate = best->estimate;
    report_.predicted = best->estimate;
  }
  // Ten requests whose camera takes `factor` times its prediction.
  void measure(double factor) {
    for (int i = 0; i < 10; ++i) {
      RunAnswer answer{.latency = Millis(40 * factor + 0.1 * i)};
      answer.stages.push_back({.node = "camera", .compute = Millis(40 * factor)});
      report_.answers.push_back(std::move(answer));
      report_.waits_ms.push_back(0);
    }
  }
  Advice advice() {
    auto given = advise(report_, chosen_, cluster_, {});
    EXPECT_TRUE(given) << given.error().message;
    return given ? std::move(*given) : Advice{};
  }

  Cluster cluster_;
  ChosenPlan chosen_;
  RunReport report_;
};

TEST_F(AdviceTest, NothingIsSaidWhenAllIsAsPredicted) {
  ASSERT_EQ(chosen_.plan.segments.size(), 1u);
  measure(1.02);
  EXPECT_TRUE(advice().sentences.empty());
  EXPECT_NEAR(advice().ratio, 1.03, 0.02);
}

TEST_F(AdviceTest, ASlowHostIsNamedAndAnotherPlanOffered) {
  measure(1.9);
  const Advice given = advice();
  ASSERT_EQ(given.hosts.size(), 1u);
  EXPECT_EQ(given.hosts[0].node, "camera");
  EXPECT_NEAR(given.hosts[0].factor, 1.9, 0.01);
  ASSERT_TRUE(given.correction);
  EXPECT_EQ(given.correction->plan.segments[0].node, "server");
  EXPECT_LT(given.correction->latency, given.correction->as_it_is);
  EXPECT_NEAR(given.correction->as_it_is.count(), 76, 0.1);
  EXPECT_THAT(given.sentences, testing::Contains(HasSubstr("1.9 times slower")));
  EXPECT_THAT(given.sentences, testing::Contains(HasSubstr("times the predicted latency")));
  EXPECT_THAT(given.sentences, testing::Contains(HasSubstr("the best plan is server 0-3")));
}

TEST_F(AdviceTest, ASlowHostThatIsStillTheBestKeepsItsPlan) {
  cluster_.links[0].bytes_per_s = 1e4;  // 100 ms for a cut: nothing can move
  measure(1.9);
  const Advice given = advice();
  EXPECT_EQ(given.hosts.size(), 1u);
  EXPECT_FALSE(given.correction);
}

TEST_F(AdviceTest, WaitingForOthersIsNotTheHosts) {
  measure(1);
  for (RunAnswer& answer : report_.answers) answer.latency = Millis(400);
  report_.settings.in_flight = 8;
  EXPECT_TRUE(advice().sentences.empty());
  report_.settings.in_flight = 1;
  ASSERT_EQ(advice().sentences.size(), 1u);
  EXPECT_THAT(advice().sentences[0], HasSubstr("10.00 times the predicted latency"));
}

TEST_F(AdviceTest, WithoutAPredictionThereIsNothingToSay) {
  measure(3);
  report_.predicted.reset();
  EXPECT_TRUE(advice().sentences.empty());
  EXPECT_EQ(advice().ratio, 0);
}

TEST(BottleneckTest, IsTheSlowestEngineOrDirection) {
  std::vector<RunAnswer> answers(3);
  for (RunAnswer& answer : answers) {
    answer.stages.push_back({.node = "camera", .compute = Millis(2), .receive = Millis(50), .back = Millis(3)});
    answer.stages.push_back({.node = "server", .compute = Millis(5), .receive = Millis(6)});
  }
  EXPECT_EQ(bottleneck_of(answers).what, "camera -> server");
  EXPECT_EQ(bottleneck_of(answers).time, Millis(6));
  for (RunAnswer& answer : answers) answer.stages[0].back = Millis(7);
  EXPECT_EQ(bottleneck_of(answers).what, "camera <- server");
  // A node that is visited twice computes twice.
  for (RunAnswer& answer : answers) answer.stages.push_back({.node = "camera", .compute = Millis(6)});
  EXPECT_EQ(bottleneck_of(answers).what, "camera computes");
  EXPECT_EQ(bottleneck_of(answers).time, Millis(8));
  // One request that takes long holds the stream back as well.
  answers[1].stages[1].compute = Millis(35);
  EXPECT_EQ(bottleneck_of(answers).what, "server computes");
  EXPECT_EQ(bottleneck_of(answers).time, Millis(15));
}

}  // namespace
}  // namespace tideline
