// `tideline fleet` as others script it: keys, exit codes, and names that map back.
#include <gmock/gmock.h>

#include "command_line.h"

namespace tideline::e2e {
namespace {

class FleetCommand : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    ASSERT_EQ(run("zoo lenet5 -o " + path("lenet5.onnx")).exit_code, 0);
    ASSERT_EQ(run("profile " + path("lenet5.onnx") + " --time 1s --codecs none --out " + path("digits.profile.json")).exit_code,
              0);
    write("site.yaml",
          "version: 2\nnodes:\n"
          "  - {name: cam1, tier: device, address: 127.0.0.1:7501}\n"
          "  - {name: gw1, tier: edge, address: 127.0.0.1:7502, slowdown: 2}\n"
          "  - {name: gw2, tier: edge, address: 127.0.0.1:7503, slowdown: 2}\n"
          "  - {name: cloud, tier: cloud, address: 127.0.0.1:7504}\n"
          "links:\n"
          "  - {from: cam1, to: gw1, bandwidth: 50Mbit/s, rtt: 1ms}\n"
          "  - {from: gw1, to: cloud, bandwidth: 20Mbit/s, rtt: 2ms}\n"
          "  - {from: gw2, to: cloud, bandwidth: 20Mbit/s, rtt: 2ms}\n"
          "source: cam1\n");
  }
  std::string fleet(const std::string& tasks, const std::string& name = "fleet.yaml") const {
    return write(name,
                 "version: 1\ncluster: site.yaml\nmodels:\n  - {name: digits, file: lenet5.onnx, profiles: digits.profile.json}\n"
                 "tasks:\n" +
                     tasks);
  }
};

constexpr const char* kTasks =
    "  - {name: door, model: digits, source: cam1, rate: 5/s, deadline: 500ms}\n"
    "  - {name: hall, model: digits, source: {gw1: 0.5, gw2: 0.5}, rate: 2/s, deadline: 500ms, count: 2}\n";

TEST_F(FleetCommand, PlansInEveryModel) {
  const std::string file = fleet(kTasks);
  const Outcome valid = run("config validate -o json " + file);
  ASSERT_EQ(valid.exit_code, 0) << valid.err;
  EXPECT_EQ(valid.json()["kind"], "fleet");
  EXPECT_EQ(valid.json()["config"]["tasks"].size(), 3u);
  for (const std::string model : {"paper", "extended", "queueing"}) {
    const Outcome planned = run("fleet plan " + file + " --model " + model + " -o json");
    ASSERT_EQ(planned.exit_code, 0) << planned.err;
    const auto json = planned.json();
    EXPECT_EQ(json["admitted"], 3) << model;
    EXPECT_EQ(json["refused"], 0);
    EXPECT_GE(json["upper_bound"].get<double>(), 2.999);
    ASSERT_EQ(json["tasks"].size(), 3u);
    EXPECT_EQ(json["tasks"][0]["name"], "door");
    EXPECT_TRUE(json["tasks"][0]["cut"].is_string());
    EXPECT_FALSE(json["tasks"][2]["nodes"].empty());
    EXPECT_GT(json["tasks"][2]["predicted_ms"].get<double>(), 0);
    EXPECT_TRUE(json["tasks"][0]["why"].is_null());
    EXPECT_TRUE(json["bottlenecks"].is_array());
  }
  EXPECT_THAT(run("fleet plan " + file).out, testing::HasSubstr("hall-1 and 1 like it"));
}

TEST_F(FleetCommand, TheInstanceIsScheduledAndMapsBackByPosition) {
  const std::string file = fleet(kTasks);
  const Outcome written = run("fleet instance " + file + " --out " + path("city.json") + " -o json");
  ASSERT_EQ(written.exit_code, 0) << written.err;
  EXPECT_EQ(written.json()["tasks"], 3);
  const auto instance = nlohmann::json::parse(slurp(path("city.json")));
  EXPECT_EQ(instance["tasks"][1]["name"], "hall-1");
  EXPECT_EQ(instance["servers"][1]["name"], "gw2");
  EXPECT_EQ(run("config validate " + path("city.json")).exit_code, 0);
  const Outcome scheduled =
      run("schedule " + path("city.json") +
          " --model queueing --arrivals periodic --cloud-gflops 1000 --steps 10 -o json --out " + path("r.json"));
  ASSERT_EQ(scheduled.exit_code, 0) << scheduled.err;
  EXPECT_EQ(scheduled.json()["admitted"], 3);
  EXPECT_EQ(run("config validate " + path("r.json")).exit_code, 0);
  const Outcome certified = run("schedule --certify " + path("r.json") + " --instance " + path("city.json") + " -o json");
  EXPECT_EQ(certified.exit_code, 0) << certified.err;
  const Outcome simulated = run("simulate " + path("city.json") + " --schedule " + path("r.json") + " -o json");
  ASSERT_EQ(simulated.exit_code, 0) << simulated.err;
  EXPECT_EQ(simulated.json()["arrivals"], "periodic");
  EXPECT_EQ(simulated.json()["over_limit_share"], 0);
}

TEST_F(FleetCommand, BadInputEndsWithItsExitCode) {
  const auto code = [&](const std::string& task) { return run("fleet plan " + fleet("  - {" + task + "}\n", "bad.yaml")); };
  EXPECT_EQ(code("name: a, model: digits, source: nowhere, rate: 1/s, deadline: 1s").exit_code, 3);
  EXPECT_EQ(code("name: a, model: digits, source: {gw1: 0.5, gw2: 0.4}, rate: 1/s, deadline: 1s").exit_code, 3);
  const Outcome soon = code("name: a, model: digits, source: cam1, rate: 1/s, deadline: 1ms");
  EXPECT_EQ(soon.exit_code, 4);
  EXPECT_THAT(soon.err, testing::HasSubstr("fastest way takes"));
  EXPECT_EQ(code("name: a, model: digits, source: gw1, rate: 100000/s, deadline: 1s").exit_code, 4);
  const std::string unmeasured = write("unmeasured.yaml",
                                       "version: 1\ncluster: site.yaml\nmodels:\n  - {name: digits, file: lenet5.onnx}\n"
                                       "tasks:\n  - {name: a, model: digits, source: gw1, rate: 1/s, deadline: 1s}\n");
  const Outcome missing = run("fleet plan " + unmeasured);
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_THAT(missing.err, testing::HasSubstr("no profile of model 'digits' for node 'gw1', which task 'a' needs"));
}

// A cut in the middle, a task with two gateways, and one that the site has no room for: every answer is the unsplit model's,
// every request is counted, and the refused task sends nothing.
TEST_F(FleetCommand, ALocalFleetRunsWhatWasPlanned) {
  const std::string file = fleet(
      "  - {name: door, model: digits, source: cam1, rate: 5/s, deadline: 2s, drop: oldest}\n"
      "  - {name: hall, model: digits, source: {gw1: 0.5, gw2: 0.5}, rate: 6/s, deadline: 2s, keep_on_source: 3}\n"
      "  - {name: far, model: digits, source: gw2, rate: 2/s, deadline: 2s, priority: -1, count: 2}\n");
  for (const std::string more : {"", " --time-scale 2 --model paper --policy fixed:4"}) {
    const Outcome ran = run("local fleet " + file + " --links transport --duration 3s --verify --simulate -o json" + more);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const auto json = ran.json();
    EXPECT_EQ(json["admitted"], 4);
    EXPECT_GE(json["simulated"]["median_error_max"].get<double>(), json["simulated"]["median_error"].get<double>());
    EXPECT_EQ(json["time_scale"], more.empty() ? 1 : 2);
    ASSERT_EQ(json["tasks"].size(), 4u);
    std::uint64_t on_time = 0;
    for (const auto& task : json["tasks"]) {
      EXPECT_EQ(task["verified"], true) << task.dump();
      EXPECT_EQ(task["failed"], 0) << task.dump();
      EXPECT_GE(task["requests"].get<int>(), more.empty() ? 4 : 2) << task.dump();
      EXPECT_LE(task["latency_ms"]["median"], task["latency_ms"]["p99"]);
      EXPECT_GT(task["predicted_ms"].get<double>(), 0);
      // The same sources: as many requests arise in the simulation, and none faster than the nodes and links allow.
      EXPECT_NEAR(task["simulated"]["requests"].get<double>(), task["requests"].get<double>(), 1) << task.dump();
      EXPECT_GT(task["simulated"]["latency_ms"]["median"].get<double>(), 0);
      on_time += task["on_time"] ? 1 : 0;
    }
    EXPECT_EQ(json["on_time"], on_time);
    EXPECT_EQ(json["links"].size(), 2u);
    // Four blocks on the gateways: what is left crosses their uplinks.
    if (!more.empty()) {
      EXPECT_EQ(json["nodes"].size(), 3u);
      for (const auto& link : json["links"]) EXPECT_GT(link["used_mbit_s"].get<double>(), 0);
      for (const auto& node : json["nodes"]) EXPECT_GT(node["used_cores"].get<double>(), 0);
    }
  }
}

// What is beyond a task's share is answered all the same.
TEST_F(FleetCommand, ATaskMaySendMoreThanItHasSaid) {
  const std::string file = fleet(kTasks);
  for (const std::string more : {"", " --no-shares"}) {
    const Outcome ran =
        run("local fleet " + file + " --links transport --duration 2s --overdrive door=4 --verify -o json" + more);
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const auto json = ran.json();
    EXPECT_EQ(json["admitted"], 3);
    EXPECT_GT(json["tasks"][0]["requests"].get<int>(), 20);
    EXPECT_LE(json["tasks"][1]["requests"].get<int>(), 5);
    for (const auto& task : json["tasks"]) {
      EXPECT_EQ(task["failed"], 0) << task.dump();
      EXPECT_EQ(task["verified"], true) << task.dump();
    }
  }
}

TEST_F(FleetCommand, ALocalFleetRefusesWhatItCannotRun) {
  const std::string file = fleet(kTasks);
  EXPECT_EQ(run("local fleet " + file + " --duration 0 --links none").exit_code, 3);
  EXPECT_EQ(run("local fleet " + file + " --time-scale 0.5").exit_code, 2);
  EXPECT_EQ(run("local fleet " + file + " --duration 1s --links none --overdrive nobody=2").exit_code, 3);
  EXPECT_EQ(run("local fleet " + file + " --duration 1s --links none --overdrive door").exit_code, 3);
  // Another model than the one that was measured.
  ASSERT_EQ(run("zoo lenet5 --seed 2 -o " + path("lenet5.onnx")).exit_code, 0);
  const Outcome other = run("local fleet " + file + " --duration 1s --links none");
  EXPECT_EQ(other.exit_code, 3);
  EXPECT_THAT(other.err, testing::HasSubstr("a profile of model 'digits' is of another file"));
}

TEST_F(FleetCommand, TheExampleIsAFleet) {
  const Outcome valid = run("config validate -o json " + source_ + "/examples/fleets/gateways.yaml");
  ASSERT_EQ(valid.exit_code, 0) << valid.err;
  EXPECT_EQ(valid.json()["config"]["tasks"].size(), 40u);
}

// Three cameras of the paper: their key frames fit into the link that it names, and every frame of one of them does not.
TEST_F(FleetCommand, ThePapersThreeCamerasArePlanned) {
  const std::string file = source_ + "/examples/fleets/three-cameras.yaml";
  const Outcome valid = run("config validate -o json " + file);
  ASSERT_EQ(valid.exit_code, 0) << valid.err;
  const Outcome planned = run("fleet plan -o json " + file);
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  const nlohmann::json plan = planned.json();
  EXPECT_EQ(plan["admitted"], 3);
  for (const nlohmann::json& task : plan["tasks"]) {
    const bool is_keys = task["name"].get<std::string>().starts_with("keys");
    EXPECT_EQ(task["admitted"], is_keys) << task.dump();
    // A JPEG of the camera is smaller than what the first layers make of it.
    if (is_keys) EXPECT_EQ(task["cut"], "the input");
  }
}

TEST_F(FleetCommand, FramesOnStandardInputAreOneTasks) {
  const auto fleet = [&](const std::string& frames, const std::string& task) {
    return write("live.yaml", "version: 1\ncluster: " + source_ +
                                  "/examples/fleets/site.yaml\nmodels:\n  - {name: live, file: l.onnx, frames: " + frames +
                                  "}\n  - {name: other, file: l.onnx, frames: stdin}\ntasks:\n" + task);
  };
  const std::string one = "  - {name: door, model: other, source: cam1, rate: 5/s, deadline: 1s}\n";
  EXPECT_THAT(run("config validate " + fleet("camera", one)).err, testing::HasSubstr("expected stdin"));
  EXPECT_THAT(run("config validate " + fleet("stdin", one)).err, testing::HasSubstr("come on standard input already"));
  for (const std::string task : {"  - {name: door, model: live, source: cam1, rate: 5/s, deadline: 1s, count: 2}\n",
                                 "  - {name: door, model: live, source: {gw1: 0.5, gw2: 0.5}, rate: 5/s, deadline: 1s}\n",
                                 "  - {name: door, model: live, source: cam1, rate: 5/s, deadline: 1s}\n  - {name: hall, model: "
                                 "live, source: gw1, rate: 5/s, deadline: 1s}\n"}) {
    const std::string file = write("live.yaml", "version: 1\ncluster: " + source_ +
                                                    "/examples/fleets/site.yaml\nmodels:\n  - {name: live, file: l.onnx, frames: "
                                                    "stdin}\ntasks:\n" +
                                                    task);
    const Outcome refused = run("config validate " + file);
    EXPECT_EQ(refused.exit_code, 3);
    EXPECT_THAT(refused.err, testing::HasSubstr("one task with one source")) << task;
  }
}

}  // namespace
}  // namespace tideline::e2e
