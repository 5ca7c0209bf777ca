// Goal: a model with early outputs goes from `zoo` to `run` as its documents say. Method: the real binary on the zoo's B-AlexNet;
// whatever this host measures, every plan of the trade-off is asked for by its own latency, run, and verified.
#include <gmock/gmock.h>

#include "command_line.h"
#include "zoo/zoo.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

constexpr const char* kCluster = R"(nodes:
  - {name: camera, tier: device, address: "127.0.0.1:1", slowdown: 20}
  - {name: server, tier: edge, address: "127.0.0.1:2"}
links:
  - {from: camera, to: server, bandwidth: 8Mbit/s, rtt: 1ms}
)";

constexpr const char* kModel = R"(accuracy: 0.75
exits:
  - {output: exit1, accuracy: 0.5}
  - {output: exit2, accuracy: 0.625}
)";

class ExitsCli : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    write("cluster.yaml", kCluster);
    write("model.yaml", kModel);
    const auto onnx = zoo_model("branchy-alexnet", 1);
    ASSERT_TRUE(onnx);
    write("model.onnx", *onnx);
  }
  std::string model() const { return path("model.onnx") + " --config " + path("model.yaml") + " "; }
  void measure() {
    const Outcome outcome = run("profile " + model() + "--time 0.4s --codecs none --quiet --out " + path("p.json") + " -o json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    profile_ = outcome.json();
    // So short a measurement of such small blocks may say that some segment takes less than no time, which trade-offs refuse.
    const auto clear = [](nlohmann::json& cuts) {
      for (auto& cut : cuts) cut["start_ms"] = cut["end_ms"] = 0;
    };
    clear(profile_["cuts"]);
    for (auto& exit : profile_["exits"]) clear(exit["cuts"]);
    write("p.json", profile_.dump());
  }
  std::string plan(const std::string& options) const {
    return "plan --profile " + path("p.json") + " --cluster " + path("cluster.yaml") + " --quiet -o json " + options;
  }
  nlohmann::json profile_;
};

TEST_F(ExitsCli, InspectShowsThem) {
  const auto json = run("inspect " + model() + "-o json").json();
  EXPECT_EQ(json["accuracy"], 0.75);
  ASSERT_EQ(json["exits"].size(), 2u);
  EXPECT_EQ(json["exits"][0]["output"], "exit1");
  EXPECT_EQ(json["exits"][0]["head_ops"], 11);
  EXPECT_LT(json["exits"][0]["after"], json["exits"][1]["after"]);
  EXPECT_LT(json["exits"][0]["flops"], json["model"]["flops"]);
  EXPECT_EQ(json["cuts"].back()["tensors"].size(), 1u);
  EXPECT_THAT(run("inspect " + model()).out, HasSubstr("exit        exit2 after"));
  // Without its exits the same file is one with three answers, which cross whatever lies between.
  EXPECT_LT(run("inspect " + path("model.onnx") + " -o json").json()["blocks"].size(), json["blocks"].size());
}

TEST_F(ExitsCli, EveryPlanOfTheTradeOffIsFoundByItsDeadlineAndRuns) {
  measure();
  ASSERT_EQ(profile_["exits"].size(), 2u);
  EXPECT_EQ(profile_["accuracy"], 0.75);
  EXPECT_EQ(profile_["exits"][0]["accuracy"], 0.5);
  EXPECT_EQ(profile_["exits"][0]["blocks"][0]["name"], "exit1");
  const auto front = run(plan("--pareto latency,accuracy")).json()["front"];
  ASSERT_GE(front.size(), 1u);
  EXPECT_EQ(front.back()["accuracy"], 0.75);
  EXPECT_TRUE(front.back()["exit"].is_null());
  std::vector<std::string> ran;
  for (const auto& point : front) {
    const std::string deadline = std::to_string(point["latency_ms"].get<double>() * 1.000001) + "ms";
    const Outcome chosen =
        run(plan("--objective accuracy --limit latency=" + deadline + " --plan-out " + path("best.plan.json")));
    ASSERT_EQ(chosen.exit_code, 0) << chosen.err;
    const auto answer = chosen.json();
    EXPECT_EQ(answer["accuracy"], point["accuracy"]);
    EXPECT_EQ(answer["exit"], point["exit"]);
    EXPECT_EQ(answer["exit_output"], point["exit_output"]);
    EXPECT_LE(answer["latency_ms"].get<double>(), point["latency_ms"].get<double>() * 1.000001);
  }
  // Each ending as a plan that runs, whether it is worth it here or not.
  for (const char* least : {"0.5", "0.625", "0.75"}) {
    const Outcome fastest =
        run(plan(std::string("--limit accuracy=") + least + " --objective upload --plan-out " + path("some.plan.json")));
    ASSERT_EQ(fastest.exit_code, 0) << fastest.err;
    const Outcome outcome =
        run("local run " + path("cluster.yaml") + " " + model() + "--links none -n 2 --warmup 1 --verify --quiet " +
            "--profile " + path("p.json") + " -o json --plan " + path("some.plan.json"));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err << outcome.out;
    const auto json = outcome.json();
    EXPECT_EQ(json["verified"], true);
    EXPECT_EQ(json["exit"], fastest.json()["exit_output"]);
    EXPECT_TRUE(json["predicted_ms"].is_number());
  }
}

TEST_F(ExitsCli, AnExitSplitOverTwoNodesRunsAndIsVerified) {
  measure();
  // By hand: the trunk on the camera, the head on the server and its answer back.
  const auto& exit = profile_["exits"][1];
  const auto after = exit["after"].get<int>();
  const nlohmann::json by_hand{{"version", 2},
                               {"planner", "hand"},
                               {"model_sha256", profile_["model_sha256"]},
                               {"chain_sha256", exit["chain_sha256"]},
                               {"route", {"camera", "server", "camera"}},
                               {"exit", "exit2"},
                               {"segments",
                                {{{"at", 0}, {"node", "camera"}, {"first_block", 0}, {"last_block", after - 1}},
                                 {{"at", 1}, {"node", "server"}, {"first_block", after}, {"last_block", after}}}}};
  write("hand.plan.json", by_hand.dump());
  const std::string local = "local run " + path("cluster.yaml") + " ";
  const std::string rest = " --links none -n 2 --warmup 1 --verify --quiet -o json --plan " + path("hand.plan.json");
  const Outcome outcome = run(local + model() + rest);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["verified"], true);
  EXPECT_EQ(outcome.json()["exit"], "exit2");
  // Without the configuration nobody knows of exits.
  const Outcome unknown = run(local + path("model.onnx") + rest);
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("name them in the model.yaml of --config"));
  write("other.yaml", "accuracy: 0.75\nexits: [{output: exit1, accuracy: 0.5}]\n");
  const Outcome other = run(local + path("model.onnx") + " --config " + path("other.yaml") + rest);
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_THAT(other.err, HasSubstr("leaves by the exit 'exit2', but the exits of model.yaml are: exit1"));
}

TEST_F(ExitsCli, AnExitIsChosenByNameWithoutAPlanFile) {
  measure();
  const std::string local =
      "local run " + path("cluster.yaml") + " " + model() + "--links none -n 2 --warmup 1 --verify --quiet ";
  // Planned now: as `plan` does for that exit alone.
  const Outcome planned = run(local + "--profile " + path("p.json") + " --exit exit1 -o json");
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  EXPECT_EQ(planned.json()["exit"], "exit1");
  EXPECT_EQ(planned.json()["verified"], true);
  EXPECT_TRUE(planned.json()["predicted_ms"].is_number());
  // Placed by hand, without profiles: the trunk on the camera, the head on the server.
  const auto after = profile_["exits"][1]["after"].get<int>();
  const Outcome placed = run(local + "--exit exit2 -o json --cuts " + std::to_string(after));
  ASSERT_EQ(placed.exit_code, 0) << placed.err;
  EXPECT_EQ(placed.json()["exit"], "exit2");
  EXPECT_EQ(placed.json()["verified"], true);
  EXPECT_EQ(placed.json()["stages"].size(), 2u);

  const Outcome unknown = run(local + "--exit exit9 --cuts 1");
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("exit9', but the exits of model.yaml are: exit1, exit2"));
  EXPECT_EQ(run(local + "--exit exit1 --plan some.plan.json").exit_code, 2);
}

TEST_F(ExitsCli, EdgentsOwnPlannerAndItsLimits) {
  measure();
  const auto best = run(plan("--objective accuracy --limit latency=1000s")).json();
  EXPECT_EQ(best["accuracy"], 0.75);
  const auto edgent = run(plan("--objective accuracy --limit latency=1000s --planner edgent")).json();
  EXPECT_EQ(edgent["planner"], "edgent");
  EXPECT_EQ(edgent["accuracy"], 0.75);
  EXPECT_GE(edgent["latency_ms"].get<double>(), best["latency_ms"].get<double>() * (1 - 1e-9));
  const Outcome late = run(plan("--objective accuracy --limit latency=1us --planner edgent"));
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err + late.out, HasSubstr("use --planner auto"));
  const Outcome never = run(plan("--objective accuracy --limit latency=1us"));
  EXPECT_EQ(never.exit_code, 4);
  EXPECT_THAT(never.err, HasSubstr("latency <= "));
  // Accuracy is asked for, so every ending has its candidates.
  EXPECT_EQ(best["candidates"].size(), 9u);
  EXPECT_THAT(best["candidates"].back()["label"].get<std::string>(), HasSubstr("up to exit exit1"));
}

TEST_F(ExitsCli, SaysWhatIsWrong) {
  const auto refused = [&](const std::string& yaml, const std::string& sentence) {
    write("bad.yaml", yaml);
    const Outcome outcome = run("inspect " + path("model.onnx") + " --config " + path("bad.yaml"));
    EXPECT_EQ(outcome.exit_code, 3) << yaml;
    EXPECT_THAT(outcome.err, HasSubstr(sentence));
  };
  refused("accuracy: 0.9\nexits: [{output: exit3, accuracy: 0.5}]\n",
          "an exit is 'exit3', but the outputs are: exit1, exit2, prob");
  refused("accuracy: 0.9\nexits: [{output: exit1, accuracy: 50}]\n", "bad.yaml:2");
  refused("exits: [{output: exit1, accuracy: 0.5}]\n", "accuracy: 0.9");
  refused("accuracy: 1\nexits: [{output: exit1, accuracy: 1}, {output: exit2, accuracy: 1}, {output: prob, accuracy: 1}]\n",
          "every output is an exit");
  refused("accuracy: 1\nexits: [{output: exit1, accuracy: 1}]\noutput: {tensor: exit1, steps: [softmax]}\n", "which is an exit");
}

}  // namespace
}  // namespace tideline::e2e
