// Goal: what planners and the cost model answer stays what it is. Method: every file of plan/ is a case: a cluster, the times and
// bytes of a model, and what came out; a change shows as a difference in one of them. After a wanted change,
//   build/release/bin/golden_plan_test --update
// rewrites the expectations, and the diff says what the change does.
//
// A case: "cluster" as in cluster.yaml; "times_ms" of each block, one list for all nodes or one for each; "cut_bytes" of each
// cut; optional "parameter_bytes" of each block, "planner" (auto), "walks" ("up" for those that come home when all is done).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "planner/planner.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

bool update = false;

Profile profile_of(const Json& test, const std::string& node) {
  const Json& times = test["times_ms"].is_object() ? test["times_ms"][node] : test["times_ms"];
  Profile profile{.model_name = "m", .model_sha256 = sha256("m"), .chain_sha256 = sha256("c")};
  for (std::size_t i = 0; i < times.size(); ++i)
    profile.blocks.push_back({.name = "b" + std::to_string(i),
                              .time = Millis{times[i].get<double>()},
                              .parameter_bytes = test.contains("parameter_bytes") ? test["parameter_bytes"][i].get<Bytes>() : 0});
  for (const Json& bytes : test["cut_bytes"]) profile.cuts.push_back({.bytes = bytes.get<Bytes>()});
  return profile;
}

Json answer_of(const PlanRequest& request, const Json& test) {
  const auto result = run_planner(request, test.value("planner", "auto"));
  if (!result) return {{"error", result.error().message}};
  Json segments = Json::array();
  for (const PlanSegment& segment : result->plan.segments)
    segments.push_back(fmt::format("{} at {}: {}-{}", segment.node, segment.at, segment.first_block, segment.last_block));
  Json hops = Json::array();
  for (const HopEstimate& hop : result->estimate.hops)
    hops.push_back(fmt::format("{} -> {}: {} B up, {} B back, {:.6g} ms", hop.from, hop.to, hop.bytes, hop.result_bytes,
                               hop.total().count()));
  Json candidates_json = Json::object();
  const auto list = candidates(request);
  if (list)
    for (const Candidate& candidate : *list) {
      const bool native = candidate.kind == Candidate::Kind::kNative;
      candidates_json[native ? "everything on " + candidate.plan.segments[0].node : "best split"] =
          fmt::format("{:.6g} ms{}{}", candidate.estimate.latency.count(), candidate.estimate.infeasible.empty() ? "" : "; ",
                      candidate.estimate.infeasible);
    }
  return {{"planner", result->plan.planner},
          {"route", result->plan.route},
          {"segments", std::move(segments)},
          {"hops", std::move(hops)},
          {"latency_ms", fmt::format("{:.6g}", result->estimate.latency.count())},
          {"compute_ms", fmt::format("{:.6g}", result->estimate.compute.count())},
          {"note", result->stats.note},
          {"candidates", std::move(candidates_json)}};
}

class GoldenPlan : public testing::TestWithParam<fs::path> {};

TEST_P(GoldenPlan, IsWhatItWas) {
  std::stringstream text;
  text << std::ifstream(GetParam()).rdbuf();
  Json test = Json::parse(text.str());
  const auto cluster = parse_cluster(test["cluster"].dump(), GetParam().string());
  ASSERT_TRUE(cluster) << cluster.error().message;
  std::vector<Profile> profiles;
  for (const Node& node : cluster->nodes) profiles.push_back(profile_of(test, node.name));
  PlanRequest request{.cost = {.cluster = &*cluster}};
  if (test.value("walks", "any") == "up") request.walks = Walks::kUpOnly;
  for (const Profile& profile : profiles) request.cost.profiles.push_back(&profile);
  const Json answer = answer_of(request, test);
  if (update) {
    test["expect"] = answer;
    std::ofstream(GetParam()) << test.dump(2) << "\n";
    return;
  }
  EXPECT_EQ(test["expect"].dump(2), answer.dump(2));
}

std::vector<fs::path> cases() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(TIDELINE_GOLDEN_PLANS)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Every, GoldenPlan, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.stem().string(); });

}  // namespace
}  // namespace tideline

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i < argc; ++i)
    if (std::string_view(argv[i]) == "--update") tideline::update = true;
  return RUN_ALL_TESTS();
}
