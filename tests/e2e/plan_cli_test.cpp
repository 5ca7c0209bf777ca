// Goal: plan, sweep and config do on the command line what they promise: the JSON keys that others script against, the exit
// codes, and one sentence for each wrong input. Method: the real binary, files in a folder of the test's own, profiles made up by
// hand.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "plan/plan.h"
#include "profile/profile.h"

namespace tideline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

std::string slurp(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class PlanCli : public testing::Test {
 protected:
  void SetUp() override {
    const char* binary = std::getenv("TIDELINE_BINARY");
    const char* source = std::getenv("TIDELINE_SOURCE_DIR");
    ASSERT_NE(binary, nullptr) << "run by ctest";
    ASSERT_NE(source, nullptr) << "run by ctest";
    binary_ = binary;
    source_ = source;
    std::string name = (fs::temp_directory_path() / "tideline-plan-cli-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  Outcome run(const std::string& arguments) const {
    const fs::path out = folder_ / "stdout";
    const fs::path err = folder_ / "stderr";
    const int status =
        std::system(("'" + binary_ + "' " + arguments + " >'" + out.string() + "' 2>'" + err.string() + "'").c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }
  std::string table(const std::string& name) const { return source_ + "/examples/tables/" + name; }

  // Four blocks of 10 ms; the cut after block 0 is small, so with a slow first node a split wins.
  Profile profile() const {
    Profile profile{.model_name = "toy",
                    .model_sha256 = sha256("m"),
                    .chain_sha256 = sha256("c"),
                    .host = "h",
                    .engine = "e",
                    .date = "2026-01-01T00:00:00Z"};
    for (int i = 0; i < 4; ++i)
      profile.blocks.push_back({.name = "b" + std::to_string(i), .time = Millis{10}, .parameter_bytes = 1'000'000});
    for (const Bytes bytes : {1'000'000u, 1'000u, 500'000u, 500'000u, 1'000u}) profile.cuts.push_back({.bytes = bytes});
    profile.whole = Millis{40};
    return profile;
  }
  std::string cluster(const std::string& extra = "") const {
    return write("cluster.yaml", "nodes:\n  - {name: camera, tier: device, address: 'h:1', slowdown: 10" + extra +
                                     "}\n  - {name: server, tier: cloud, address: 'h:2'" + extra +
                                     "}\nlinks:\n  - {from: camera, to: server, bandwidth: 8Mbit/s, rtt: 5ms}\n");
  }

  std::string binary_;
  std::string source_;
  fs::path folder_;
};

TEST_F(PlanCli, TableOfAChain) {
  const Outcome outcome = run("plan --table " + table("alexnet.json") + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["planner"], "aaiot");
  EXPECT_THAT(json["device"].get<std::vector<int>>(), ElementsAre(0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
  EXPECT_NEAR(json["latency_ms"].get<double>(), 373, 1);
  EXPECT_EQ(json["candidates"].size(), 5u);
  const auto referee = run("plan --table " + table("alexnet.json") + " --planner exhaustive -o json").json();
  EXPECT_EQ(referee["planner"], "exhaustive");
  EXPECT_EQ(referee["device"], json["device"]);
  EXPECT_EQ(referee["latency_ms"], json["latency_ms"]);
}

TEST_F(PlanCli, TableOfAGraph) {
  const auto cut = run("plan --table " + table("diamond.json") + " -o json").json();
  EXPECT_EQ(cut["planner"], "min-cut");
  EXPECT_EQ(cut["device"], run("plan --table " + table("diamond.json") + " --planner exhaustive -o json").json()["device"]);
  const Outcome refused = run("plan --table " + table("diamond.json") + " --planner aaiot");
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("min-cut"));
}

TEST_F(PlanCli, ModelSplits) {
  const std::string profile_file = write("toy.profile.json", write_profile(profile()));
  const std::string plan_file = (folder_ / "toy.plan.json").string();
  const Outcome outcome =
      run("plan --profile " + profile_file + " --cluster " + cluster() + " --plan-out " + plan_file + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["planner"], "aaiot");
  ASSERT_EQ(json["segments"].size(), 2u);
  EXPECT_EQ(json["segments"][0], (nlohmann::json{{"node", "camera"}, {"first_block", 0}, {"last_block", 0}}));
  EXPECT_EQ(json["segments"][1], (nlohmann::json{{"node", "server"}, {"first_block", 1}, {"last_block", 3}}));
  // 10 * 10 + 30 ms of compute; 5 ms, 1 kB up and 1 kB back at 1 MB/s.
  EXPECT_NEAR(json["estimate"]["compute_ms"].get<double>(), 130, 1e-9);
  EXPECT_NEAR(json["estimate"]["transfer_ms"].get<double>(), 7, 1e-9);
  EXPECT_NEAR(json["estimate"]["latency_ms"].get<double>(), 137, 1e-9);
  EXPECT_EQ(json["do_not_split"], false);
  ASSERT_EQ(json["candidates"].size(), 3u);
  EXPECT_EQ(json["candidates"][1]["label"], "everything on server: sends the input (1 MB)");
  EXPECT_EQ(json["candidates"][2]["chosen"], true);
  EXPECT_EQ(json["hops"][0]["bytes"], 1000);
  const auto plan = parse_plan(slurp(plan_file), plan_file);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->segments.size(), 2u);
}

TEST_F(PlanCli, ModelDoesNotSplit) {
  Profile small = profile();
  small.cuts[0].bytes = 900;
  const std::string arguments = "plan --profile " + write("p.json", write_profile(small)) + " --cluster " + cluster();
  const auto json = run(arguments + " -o json").json();
  EXPECT_EQ(json["do_not_split"], true);
  EXPECT_EQ(json["segments"].size(), 1u);
  EXPECT_GT(json["best_split_loss_ms"].get<double>(), 0);
  EXPECT_THAT(run(arguments).out, HasSubstr("Do not split: everything on server is best."));
}

// Of two ways to the server the fast one, by name; and the best cut of each two nodes that a request can reach.
TEST_F(PlanCli, AGraphIsPlannedAndItsRouteNamed) {
  const std::string graph = write("graph.yaml", R"(version: 2
nodes:
  - {name: camera, tier: device, address: "h:1", slowdown: 100}
  - {name: near, tier: edge, address: "h:2", slowdown: 50}
  - {name: far, tier: edge, address: "h:3", slowdown: 50}
  - {name: server, tier: cloud, address: "h:4"}
  - {name: alone, tier: edge, address: "h:5"}
links:
  - {from: camera, to: near, bandwidth: 1Mbit/s, rtt: 1ms}
  - {from: camera, to: far, bandwidth: 1Gbit/s, rtt: 1ms}
  - {from: near, to: server, bandwidth: 1Gbit/s, rtt: 1ms}
  - {from: far, to: server, bandwidth: 1Gbit/s, rtt: 1ms}
)");
  const std::string arguments =
      "plan --profile " + write("p.json", write_profile(profile())) + " --cluster " + graph + " --pairs";
  const std::string plan_file = (folder_ / "graph.plan.json").string();
  const auto json = run(arguments + " -o json --plan-out " + plan_file).json();
  EXPECT_EQ(json["planner"], "route");
  EXPECT_EQ(json["route"], (nlohmann::json{"camera", "far", "server", "far", "camera"}));
  EXPECT_EQ(json["stages"][2]["at"], 2);
  EXPECT_EQ(json["pairs"].size(), 12u);
  EXPECT_EQ(json["pairs"][0]["kind"], "pair");
  EXPECT_EQ(parse_plan(slurp(plan_file), plan_file)->route.size(), 5u);
  const Outcome text = run(arguments);
  EXPECT_THAT(text.out, HasSubstr("route camera > far > server > far > camera"));
  EXPECT_THAT(text.out, HasSubstr("* everything on server by far"));
  EXPECT_THAT(text.out, HasSubstr("best cut per pair of nodes"));
  EXPECT_THAT(text.err, HasSubstr("no link leads from 'camera' to 'alone'"));
}

// Two that take as long as each other are both said to; neither is "best".
TEST_F(PlanCli, TiesAreSaid) {
  const std::string twins = write("twins.json", R"({"devices": ["a", "b"], "links": [{"bytes_per_s": 1}],
      "ops": [{"name": "x", "runtime_ms": [2, 2], "output_bytes": 0}, {"name": "y", "runtime_ms": [3, 3], "output_bytes": 0}],
      "input_bytes": 0, "result_bytes": 0})");
  const Outcome text = run("plan --table " + twins);
  EXPECT_THAT(text.out,
              HasSubstr("everything on a is as fast as anything; everything on b and the best split would take as long"));
  EXPECT_THAT(text.out, HasSubstr("= everything on b"));
  const auto json = run("plan --table " + twins + " -o json --pairs").json();
  EXPECT_EQ(json["candidates"][0]["ties"], false);
  EXPECT_EQ(json["candidates"][1]["ties"], true);
  EXPECT_EQ(json["pairs"].size(), 1u);
}

TEST_F(PlanCli, MemoryLimits) {
  const std::string profile_file = write("p.json", write_profile(profile()));
  const auto json = run("plan --profile " + profile_file + " --cluster " + cluster(", memory: 2500kB") + " -o json").json();
  EXPECT_EQ(json["planner"], "chain-exact");
  EXPECT_EQ(json["segments"][0]["last_block"], 1);
  EXPECT_THAT(json["candidates"][1]["infeasible"].get<std::string>(), HasSubstr("server: needs 4 MB, has 2.5 MB"));
  const Outcome none = run("plan --profile " + profile_file + " --cluster " + cluster(", memory: 1500kB") + " -o json");
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_EQ(none.json()["ok"], false);
  EXPECT_THAT(none.err, HasSubstr("camera: needs 4 MB, has 1.5 MB; server: needs 4 MB, has 1.5 MB"));
}

// What is said to make a candidate win does, when it is written into the cluster file.
TEST_F(PlanCli, WhatWouldChangeItReallyDoes) {
  const std::string profile_file = write("p.json", write_profile(profile()));
  const auto site = [&](const std::string& bandwidth) {
    return write("site.yaml",
                 "nodes:\n  - {name: camera, tier: device, address: 'h:1', slowdown: 10}\n"
                 "  - {name: server, tier: cloud, address: 'h:2'}\n"
                 "links:\n  - {from: camera, to: server, bandwidth: " +
                     bandwidth + ", rtt: 5ms}\n");
  };
  const auto planned = [&](const std::string& bandwidth) {
    return run("plan --profile " + profile_file + " --cluster " + site(bandwidth) + " -o json").json();
  };
  const auto json = planned("8Mbit/s");
  EXPECT_EQ(json["what_if_complete"], true);
  EXPECT_TRUE(json["candidates"][2]["would_win_if"].empty());  // the chosen split
  const auto& changes = json["candidates"][1]["would_win_if"];
  const auto link = std::find_if(changes.begin(), changes.end(),
                                 [](const auto& change) { return change["parameter"] == "link:camera-server:bandwidth"; });
  ASSERT_NE(link, changes.end()) << changes.dump();
  // 40 + 5 + 8.008/b against 130 + 5 + 0.016/b milliseconds for b in Gbit/s: from 88.8 Mbit/s on everything runs on the server.
  EXPECT_EQ((*link)["now"], 8e6);
  EXPECT_NEAR((*link)["needed"].get<double>(), 8e9 * 0.999 / 90, 1);
  EXPECT_EQ((*link)["at"], "least");
  EXPECT_EQ((*link)["exact"], true);
  EXPECT_EQ((*link)["text"], "a link of 89 Mbit/s instead of 8 Mbit/s from camera to server");
  EXPECT_EQ(planned("89Mbit/s")["segments"][0]["node"], "server");
  EXPECT_EQ(planned("88.7Mbit/s")["segments"].size(), 2u);
  const Outcome text = run("plan --profile " + profile_file + " --cluster " + site("8Mbit/s"));
  EXPECT_THAT(text.out, HasSubstr("what would change it\n"));
  EXPECT_THAT(
      text.out,
      HasSubstr("everything on server would win with camera 11 times as slow, or with a link of 89 Mbit/s instead of 8 Mbit/s"));
  // Only of the answer of auto.
  const auto other = run("plan --profile " + profile_file + " --cluster " + site("8Mbit/s") + " --planner native -o json").json();
  EXPECT_EQ(other["what_if_complete"], false);
  EXPECT_TRUE(other["candidates"][0]["would_win_if"].is_null());
}

TEST_F(PlanCli, FiguresOfAPlan) {
  const std::string out = (folder_ / "figures").string();
  const std::string profile_file = write("p.json", write_profile(profile()));
  const Outcome outcome = run("plan --profile " + profile_file + " --cluster " + cluster() + " --out " + out);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("wrote site.svg and bars.svg"));
  const std::string site = slurp(out + "/site.svg");
  for (const char* text : {"camera", "server", "blocks 1-3", "up 1 kB: 1.00 ms", "8 Mbit/s, rtt 5.00 ms"})
    EXPECT_THAT(site, HasSubstr(text));
  const std::string bars = slurp(out + "/bars.svg");
  for (const char* text : {"Where the time goes", "camera - server", "everything on camera", ">137 ms<"})
    EXPECT_THAT(bars, HasSubstr(text));
  for (const char* name : {"alexnet.json", "site.json", "diamond.json"}) {
    const std::string folder = (folder_ / name).string();
    const Outcome of_table = run("plan --table " + table(name) + " --out " + folder);
    ASSERT_EQ(of_table.exit_code, 0) << of_table.err;
    EXPECT_THAT(slurp(folder + "/site.svg"), HasSubstr("class=\"node\""));
    EXPECT_THAT(slurp(folder + "/bars.svg"), HasSubstr("* "));
  }
  ASSERT_EQ(run("plan --table " + table("site.json") + " --objective energy --out " + out).exit_code, 0);
  EXPECT_THAT(slurp(out + "/bars.svg"), HasSubstr("Where the energy goes"));
}

// On a graph the best plan along each route is a candidate of its own.
TEST_F(PlanCli, RoutesAreCandidates) {
  const auto json = run("plan --table " + table("site.json") + " -o json").json();
  std::vector<nlohmann::json> ways;
  for (const auto& candidate : json["candidates"])
    if (candidate["kind"] == "route") ways.push_back(candidate["via"]);
  EXPECT_THAT(ways, ElementsAre(nlohmann::json{0, 1, 2}, nlohmann::json{0, 2, 1}));
}

TEST_F(PlanCli, SweepsOverAnyNumber) {
  const std::string out = (folder_ / "figures").string();
  const std::string profile_file = write("p.json", write_profile(profile()));
  const std::string model = "sweep --profile " + profile_file + " --cluster " + cluster();
  const Outcome outcome = run(model + " --vary link:camera-server:bandwidth=1..1000Mbit/s --points 7 --out " + out + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["parameter"], "link:camera-server:bandwidth");
  EXPECT_EQ(json["now"], 8e6);
  ASSERT_EQ(json["points"].size(), 7u);
  EXPECT_EQ(json["points"][0]["value"], 1e6);
  EXPECT_EQ(json["points"][0]["regret"], 0);
  EXPECT_EQ(json["points"][6]["plan"], "everything on server");
  EXPECT_GT(json["points"][6]["regret"].get<double>(), 80);
  const std::string csv = slurp(out + "/sweep.csv");
  EXPECT_THAT(csv, HasSubstr("value_bit_s,best_latency_ms,nominal_latency_ms,regret_latency_ms,plan"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 8);
  EXPECT_THAT(slurp(out + "/sweep.svg"), HasSubstr("the plan of now"));
  EXPECT_THAT(run(model + " --vary load:server=0..0.9 --points 5").out,
              HasSubstr("The plan of now (0: camera 0-0 | server 1-3)"));
  const Outcome deadline =
      run("sweep --table " + table("site.json") + " --vary deadline=50..500ms --objective energy --points 5 -o csv");
  EXPECT_THAT(deadline.out, HasSubstr("none keeps the limits"));
  EXPECT_EQ(run(model + " --vary load:server=0..2").exit_code, 3);
  EXPECT_THAT(run(model + " --vary link:server-camera:bandwidth=1..2Mbit/s").err, HasSubstr("there are camera-server"));
  EXPECT_EQ(run(model + " --vary deadline=1..2ms --from 1Mbit/s").exit_code, 2);
  EXPECT_THAT(run(model + " --objective energy").err, HasSubstr("--vary links:bandwidth"));
  EXPECT_THAT(run("sweep --profile " + profile_file + " --vary links:bandwidth=1..2Mbit/s").err, HasSubstr("--cluster FILE"));
}

// Nodes without power in the cluster file have what was measured with their profile; a file's own word stands.
TEST_F(PlanCli, MeasuredPowerCountsWhereTheClusterHasNone) {
  Profile measured = profile();
  measured.power = PowerProfile{.method = "RAPL (package-0)", .idle_w = 2, .compute_w = 12, .time = Millis{2000}};
  const std::string arguments =
      "plan --profile " + write("p.json", write_profile(measured)) + " --objective energy -o json --cluster ";
  const Outcome outcome = run(arguments + cluster());
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* note :
       {"power of camera is the profile's, measured by RAPL (package-0): 12.00 W computing, 2.00 W idle", "power of server"})
    EXPECT_THAT(outcome.err, HasSubstr(note));
  const auto json = outcome.json();
  // Both idle all the time; what computes takes 10 W more meanwhile.
  EXPECT_NEAR(json["energy_j"].get<double>(),
              2 * 2 * json["latency_ms"].get<double>() / 1000 + 10 * json["estimate"]["compute_ms"].get<double>() / 1000, 1e-6);
  const Outcome own = run(arguments + cluster(", power: {compute: 5W}"));
  EXPECT_EQ(own.err.find("is the profile's"), std::string::npos);
  // A sweep of energies stands on the same power: without any it would have none to show.
  const std::string sweep = "sweep --profile " + write("q.json", write_profile(measured)) +
                            " --objective energy --vary links:bandwidth=1..100Mbit/s --points 3 --cluster ";
  const Outcome varied = run(sweep + cluster());
  ASSERT_EQ(varied.exit_code, 0) << varied.err;
  EXPECT_THAT(varied.err, HasSubstr("power of camera is the profile's"));
  Profile unmeasured = profile();
  const Outcome none = run("sweep --profile " + write("r.json", write_profile(unmeasured)) +
                           " --objective energy --vary links:bandwidth=1..100Mbit/s --points 3 --cluster " + cluster());
  EXPECT_EQ(none.exit_code, 3) << none.err;
}

// Where everything is as accurate, the fastest plan is the answer, of the planners that try every placement too.
TEST_F(PlanCli, EquallyAccuratePlansAreToldApartByLatency) {
  // The server alone is faster than the camera alone, which is the lower place.
  const std::string site = write("slow.yaml",
                                 "nodes:\n  - {name: camera, tier: device, address: 'h:1', slowdown: 1000}\n"
                                 "  - {name: server, tier: cloud, address: 'h:2'}\n"
                                 "links:\n  - {from: camera, to: server, bandwidth: 8Mbit/s, rtt: 5ms}\n");
  const std::string plan = "plan --profile " + write("p.json", write_profile(profile())) + " --cluster " + site + " -o json ";
  for (const char* planner : {"native", "exhaustive", "auto"}) {
    const Outcome fastest = run(plan + "--objective latency --planner " + planner);
    const Outcome accurate = run(plan + "--objective accuracy --planner " + planner);
    ASSERT_EQ(fastest.exit_code, 0) << fastest.err;
    ASSERT_EQ(accurate.exit_code, 0) << accurate.err;
    EXPECT_EQ(accurate.json()["latency_ms"], fastest.json()["latency_ms"]) << planner;
  }
  EXPECT_EQ(run(plan + "--objective accuracy --planner native").json()["segments"][0]["node"], "server");
}

TEST_F(PlanCli, WrongInputsEndWithOneSentence) {
  const std::string good = write("p.json", write_profile(profile()));
  Profile foreign = profile();
  foreign.chain_sha256 = sha256("other");
  const std::string other = write("other.json", write_profile(foreign));
  const std::string yaml = cluster();
  struct Case {
    std::string arguments;
    int exit_code;
    std::string sentence;
  };
  const std::vector<Case> cases{
      {"plan", 3, "--cluster"},
      {"plan --planer x", 2, "planer"},
      {"plan --table /nonexistent.json", 3, "/nonexistent.json"},
      {"plan --table " + write("bad.json", "{\"devices\": [\"a\"], \"ops\": [], \"input_bytes\": 1}"), 3, "at least one op"},
      {"plan --table " + table("alexnet.json") + " --cluster " + yaml, 3, "not both"},
      {"plan --table " + table("alexnet.json") + " --planner aiot", 3, "did you mean 'aaiot'"},
      {"plan --cluster " + yaml, 3, "name the MODEL"},
      {"plan --cluster /nonexistent.yaml --profile " + good, 3, "/nonexistent.yaml"},
      {"plan --cluster " + yaml + " --profile /nonexistent.json", 3, "/nonexistent.json"},
      {"plan --cluster " + yaml + " --profile " + yaml, 3, "cluster.yaml"},
      {"plan --cluster " + yaml + " --profile " + good + " --profile " + good, 3, "NODE=FILE"},
      {"plan --cluster " + yaml + " --profile " + good + " --profile server=" + other, 3, "different models"},
      {"plan --cluster " + yaml + " --profile " + good + " --planner fast", 3, "no planner is named"},
      {"plan /nonexistent.onnx --cluster " + yaml + " --profile " + good, 3, "/nonexistent.onnx"},
      {"sweep --table " + table("alexnet.json") + " --from 1Gbit/s --to 1Mbit/s", 3, "--from"},
      {"sweep --table " + table("alexnet.json") + " --from 10", 3, "unit"},
      {"sweep --table " + table("alexnet.json") + " --points 1", 3, "--points"},
      {"sweep --table " + table("alexnet.json") + " --slowdown 1,2", 3, "not both"},
      {"sweep --profile " + good + " --slowdown 1,x", 3, "--slowdown"},
      {"sweep --profile " + good + " --slowdown 1,2 --devices a", 3, "--devices"},
      {"sweep no-such-network", 3, "no-such-network"},
      {"config validate /nonexistent", 3, "/nonexistent"},
      {"config validate " + write("x.yaml", "a: 1\n"), 3, "not a kind of file"},
      {"config validate " + write("x.json", "{\"a\": 1}"), 3, "not a kind of file"},
      {"config validate " + write("y.json", "[1"), 3, "y.json"},
      {"config validate " + write("z.yaml", "nodes:\n  - {name: a, tier: edge, address: 'h:1', thread: 1}\n"), 3, "z.yaml:2:"},
  };
  for (const Case& wrong : cases) {
    const Outcome outcome = run(wrong.arguments);
    EXPECT_EQ(outcome.exit_code, wrong.exit_code) << wrong.arguments << "\n" << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(wrong.sentence)) << wrong.arguments;
    EXPECT_EQ(outcome.out, "") << wrong.arguments;
  }
}

TEST_F(PlanCli, SweepWritesTableAndFigure) {
  const std::string out = (folder_ / "figures").string();
  const Outcome outcome = run("sweep --table " + table("alexnet.json") + " --points 21 --out " + out + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto points = outcome.json()["points"];
  ASSERT_EQ(points.size(), 21u);
  EXPECT_NEAR(points.front()["bandwidth_bit_s"].get<double>(), 1e4, 1e-6);
  EXPECT_NEAR(points.back()["bandwidth_bit_s"].get<double>(), 1e9, 1e-3);
  double before = 1e300;
  for (const auto& point : points) {
    EXPECT_LE(point["latency_ms"].get<double>(), before * (1 + 1e-12));
    before = point["latency_ms"];
    for (const auto& single : point["single_ms"]) EXPECT_LE(before, single.get<double>() * (1 + 1e-12));
  }
  EXPECT_THAT(slurp(out + "/sweep.svg"), HasSubstr("raspberry-pi"));
  const std::string csv = slurp(out + "/sweep.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 22);
}

TEST_F(PlanCli, SweepOfAProfile) {
  const Outcome outcome =
      run("sweep --profile " + write("p.json", write_profile(profile())) + " --slowdown 10,1 --devices a,b --points 5 -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["devices"], (nlohmann::json{"a", "b"}));
  EXPECT_EQ(outcome.json()["points"][0]["single_ms"][0], 400);
}

TEST_F(PlanCli, ConfigValidatePrintsTheRoutes) {
  const std::string path = write("graph.yaml",
                                 "version: 2\nsource: b\nnodes:\n  - {name: a, tier: cloud, address: 'h:1'}\n"
                                 "  - {name: b, tier: device, address: 'h:2'}\n  - {name: c, tier: edge, address: '[::1]:3'}\n"
                                 "  - {name: alone, tier: edge, address: 'h:4'}\nlinks:\n"
                                 "  - {from: b, to: a, bandwidth: 1Mbit/s, rtt: 1ms, address: '[::2]:1'}\n"
                                 "  - {from: c, to: a, bandwidth: 1Mbit/s, rtt: 1ms}\n"
                                 "  - {from: b, to: c, bandwidth: 1Mbit/s, rtt: 1ms}\n");
  const Outcome json = run("config validate -o json " + path);
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto config = json.json()["config"];
  EXPECT_EQ(config["source"], "b");
  EXPECT_EQ(config["routes"], nlohmann::json::parse(R"([["b"], ["b", "a"], ["b", "c"], ["b", "c", "a"]])"));
  EXPECT_EQ(config["routes_complete"], true);
  EXPECT_EQ(config["links"][0]["address"], "[::2]:1");
  ASSERT_EQ(json.json()["notes"].size(), 1u);
  EXPECT_THAT(json.json()["notes"][0].get<std::string>(), HasSubstr("'alone'"));
  const Outcome text = run("config validate " + path);
  EXPECT_THAT(text.out, HasSubstr("  b > c > a\n"));
  EXPECT_THAT(text.err, HasSubstr("note: no link leads from 'b' to 'alone'"));
}

// Every example is right.
TEST_F(PlanCli, ExamplesAreValid) {
  int checked = 0;
  for (const char* folder : {"clusters", "tables", "models"}) {
    if (!fs::exists(source_ + "/examples/" + folder)) continue;
    for (const auto& entry : fs::directory_iterator(source_ + "/examples/" + folder)) {
      if (!entry.is_regular_file()) continue;
      const Outcome outcome = run("config validate -o json " + entry.path().string());
      EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
      EXPECT_EQ(outcome.json()["ok"], true);
      ++checked;
    }
  }
  EXPECT_GE(checked, 3);
}

// Questions about a table of version 2: the documented keys, and the walk that they describe.
TEST_F(PlanCli, AnswersQuestionsAboutASite) {
  const std::string site = "plan --table " + table("site.json") + " -o json ";
  const Outcome energy = run(site + "--objective energy --limit latency=200ms --limit memory");
  ASSERT_EQ(energy.exit_code, 0) << energy.err;
  const nlohmann::json plan = energy.json();
  EXPECT_EQ(plan["objective"], "energy");
  EXPECT_EQ(plan["planner"], "labels");
  EXPECT_EQ(plan["energy_of"], nlohmann::json({"cam"}));
  EXPECT_TRUE(plan["exit"].is_null());
  EXPECT_LE(plan["latency_ms"], 200);
  EXPECT_EQ(plan["accuracy"], 0.9);
  ASSERT_EQ(plan["device"].size(), 6u);
  EXPECT_EQ(plan["codec"].size() + 1, plan["route"].size());
  EXPECT_EQ(plan["link"].size() + 1, plan["route"].size());
  for (std::size_t op = 0; op < 6; ++op) EXPECT_EQ(plan["route"][plan["at"][op].get<std::size_t>()], plan["device"][op]);
  EXPECT_EQ(plan["candidates"][0]["name"], "everything on cam");
  EXPECT_THAT(plan["candidates"][0]["infeasible"].get<std::string>(), HasSubstr("cam needs"));
  EXPECT_TRUE(plan["candidates"][2]["infeasible"].is_null());

  const nlohmann::json edgent = run(site + "--objective accuracy --limit latency=80ms").json();
  EXPECT_EQ(edgent["exit"], 1);
  EXPECT_EQ(edgent["device"].size(), 4u);
  const nlohmann::json kept = run(site + "--keep-on-source conv2").json();
  EXPECT_EQ(kept["device"][2], 0);
  EXPECT_EQ(run(site + "--keep-on-source 3").json()["device"], kept["device"]);
  EXPECT_EQ(run(site + "--keep-on-source input").json()["device"][0], 0);
  EXPECT_EQ(run(site + "--planner labels").json()["latency_ms"], run(site).json()["latency_ms"]);

  const nlohmann::json front = run(site + "--pareto latency,accuracy").json();
  EXPECT_EQ(front["pareto"], nlohmann::json({"latency", "accuracy"}));
  ASSERT_GT(front["front"].size(), 2u);
  for (std::size_t i = 1; i < front["front"].size(); ++i) {
    EXPECT_LT(front["front"][i - 1]["latency_ms"], front["front"][i]["latency_ms"]);
    EXPECT_LT(front["front"][i - 1]["accuracy"], front["front"][i]["accuracy"]);
  }
  EXPECT_THAT(run("plan --table " + table("site.json") + " -o csv").out, HasSubstr("latency_ms,energy_j,period_ms,upload_bytes"));
  // Version 1, read as version 2.
  EXPECT_EQ(run("plan --table " + table("alexnet.json") + " --objective upload -o json").json()["upload_bytes"], 0);
}

// A trade-off as files; a busy device.
TEST_F(PlanCli, WritesATradeOffAndKnowsLoad) {
  const std::string folder = (folder_ / "front").string();
  const Outcome front = run("plan --table " + table("site.json") + " --pareto latency,energy,accuracy --out " + folder);
  ASSERT_EQ(front.exit_code, 0) << front.err;
  EXPECT_THAT(slurp(folder + "/front.csv"), HasSubstr("latency_ms,energy_j"));
  EXPECT_THAT(slurp(folder + "/front.svg"), HasSubstr("that no other beats in latency, energy, accuracy"));
  EXPECT_GT(nlohmann::json::parse(slurp(folder + "/front.json"))["front"].size(), 2u);
  const std::string site = "plan --table " + table("site.json") + " -o json ";
  EXPECT_EQ(run(site).json()["device"][0], 1);
  EXPECT_EQ(run(site + "--load gateway=0.9").json()["device"][5], 2);
  EXPECT_EQ(run(site + "--load gateway=1").exit_code, 2);
  EXPECT_EQ(run(site + "--load gateway").exit_code, 2);
  EXPECT_EQ(run(site + "--load gatewy=0.5").exit_code, 3);
}

// The same questions about a model.
TEST_F(PlanCli, AnswersQuestionsAboutAModel) {
  const std::string site = write("site.yaml", R"(version: 2
nodes:
  - {name: camera, tier: device, address: "h:1", slowdown: 10, power: {compute: 3W, transmit: 1.2W, receive: 0.9W, idle: 0.4W}}
  - {name: server, tier: cloud, address: "h:2"}
links:
  - {from: camera, to: server, bandwidth: 80Mbit/s, rtt: 1ms}
)");
  const std::string plan = "plan --profile " + write("p.json", write_profile(profile())) + " --cluster " + site + " ";
  const nlohmann::json energy = run(plan + "--objective energy -o json").json();
  EXPECT_EQ(energy["objective"], "energy");
  EXPECT_EQ(energy["energy_of"], nlohmann::json({"camera"}));
  EXPECT_EQ(energy["device"].size(), 4u);
  EXPECT_EQ(energy["codec"].size() + 1, energy["route"].size());
  EXPECT_EQ(energy["accuracy"], 1);
  const double least = energy["energy_j"];
  for (const nlohmann::json& candidate : energy["candidates"]) EXPECT_LE(least, candidate["energy_j"].get<double>() * (1 + 1e-9));
  EXPECT_EQ(run(plan + "--objective upload -o json").json()["upload_bytes"], 0);
  const nlohmann::json kept = run(plan + "--keep-on-source input -o json").json();
  EXPECT_EQ(kept["device"][0], "camera");
  EXPECT_EQ(kept["device"][1], "server");
  EXPECT_EQ(run(plan + "--keep-on-source b0 -o json").json()["device"], kept["device"]);
  const nlohmann::json front = run(plan + "--pareto latency,upload -o json").json();
  ASSERT_GE(front["front"].size(), 2u);
  EXPECT_EQ(front["front"].back()["upload_bytes"], 0);
  const Outcome none = run(plan + "--limit latency=1ms --limit upload=0B -o json");
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_EQ(none.json()["limits"][0]["quantity"], "latency");
  EXPECT_EQ(none.json()["limits"][0]["clashes"], true);
  EXPECT_THAT(run(plan + "--objective energy").out, HasSubstr("of camera"));
  EXPECT_EQ(run(plan + "--load camera=0.5 --objective upload -o json").json()["latency_ms"],
            2 * run(plan + "--objective upload -o json").json()["latency_ms"].get<double>());
  EXPECT_EQ(run(plan + "--planner aaiot --objective energy").exit_code, 3);
  EXPECT_EQ(run(plan + "--pareto latency,upload --plan-out x.json").exit_code, 3);
  const Outcome no_power =
      run("plan --profile " + write("p.json", write_profile(profile())) + " --cluster " + cluster() + " --objective energy");
  EXPECT_EQ(no_power.exit_code, 3);
  EXPECT_THAT(no_power.err, HasSubstr("power: {compute: 3W"));
}

TEST_F(PlanCli, SaysWhichLimitsClash) {
  const Outcome none =
      run("plan --table " + table("site.json") + " --limit latency=50ms --limit accuracy=0.88 --limit upload=1MB -o json");
  EXPECT_EQ(none.exit_code, 4);
  const nlohmann::json json = none.json();
  EXPECT_EQ(json["ok"], false);
  EXPECT_EQ(json["error"]["code"], "INFEASIBLE");
  ASSERT_EQ(json["limits"].size(), 3u);
  EXPECT_EQ(json["limits"][0]["quantity"], "latency");
  EXPECT_EQ(json["limits"][0]["clashes"], true);
  EXPECT_LT(json["limits"][0]["alone"], 50);
  EXPECT_EQ(json["limits"][1]["clashes"], false);
  EXPECT_EQ(json["limits"][2]["clashes"], true);
  EXPECT_EQ(json["limits"][2]["alone"], 0.9);
  EXPECT_THAT(none.err, HasSubstr("latency <= 50.0 ms and accuracy >= 0.88"));
  EXPECT_EQ(run("plan --table " + table("site.json") + " --limit latency=50ms --limit accuracy=0.88").exit_code, 4);
}

TEST_F(PlanCli, RefusesQuestionsWithASentence) {
  const std::string site = "plan --table " + table("site.json");
  const auto refused = [&](const std::string& arguments, int exit_code, const std::string& says) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_THAT(outcome.err, HasSubstr(says)) << arguments;
  };
  refused(site + " --objective speed", 2, "latency, energy, period, upload, accuracy");
  refused(site + " --limit latency", 2, "latency=200ms");
  refused(site + " --limit latency=200", 2, "ms");
  refused(site + " --limit energy=-1J", 2, "0 or more");
  refused(site + " --pareto latency", 2, "two or three");
  refused(site + " --keep-on-source conv9", 3, "no block is named 'conv9'");
  refused(site + " --keep-on-source 7", 3, "there are 6");
  refused(site + " --planner aaiot", 3, "labels");
  refused(site + " --pairs", 3, "--pairs");
  refused("plan --table " + table("alexnet.json") + " --objective energy", 3, "compute_w");
  const std::string graph = "plan --table " + table("diamond.json");
  refused(graph + " --pareto latency,period", 3, "edges");
  refused(graph + " --limit latency=1s", 3, "edges");
  refused(graph + " --objective accuracy", 3, "edges");
  refused(graph + " --objective period --planner labels", 3, "down-sets");
}

TEST_F(PlanCli, ThePeriodOfAGraphHasItsBound) {
  const std::string graph = "plan --table " + table("diamond.json") + " --objective period";
  const Outcome outcome = run(graph + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto answer = nlohmann::json::parse(outcome.out);
  const auto best = nlohmann::json::parse(run(graph + " --planner exhaustive -o json").out);
  EXPECT_EQ(answer["planner"], "down-sets");
  EXPECT_NEAR(answer["period_ms"].get<double>(), best["period_ms"].get<double>(), 1e-9);
  EXPECT_EQ(answer["bound"], answer["period_ms"]);
  EXPECT_THAT(run(graph).out, HasSubstr("proven"));
}

}  // namespace
}  // namespace tideline
