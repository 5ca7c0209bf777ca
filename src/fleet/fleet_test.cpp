// Goal: a fleet file means what its page says, and every wrong one ends with a sentence that names the key and what to write.
// Method: files by hand.
#include "fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fleet/test_site.h"

namespace tideline::fleet {
namespace {

using testing::HasSubstr;

TEST(FleetFile, MeansWhatItSays) {
  const auto fleet = fleet_with(
      "  - {name: door, model: net, source: cam1, rate: 5/s, deadline: 200ms, priority: 3, drop: oldest}\n"
      "  - {name: yard, model: net, source: {gw2: 0.4, gw1: 0.6}, rate: 30/min, deadline: 1s, count: 3, keep_on_source: 1}",
      "policy: li2018\nmodel: extended\narrivals: poisson");
  ASSERT_TRUE(fleet) << fleet.error().message;
  ASSERT_EQ(fleet->tasks.size(), 4u);
  EXPECT_EQ(fleet->tasks[0].name, "door");
  EXPECT_EQ(fleet->tasks[0].rate_hz, 5);
  EXPECT_EQ(fleet->tasks[0].priority, 3);
  EXPECT_EQ(fleet->tasks[0].drop, "oldest");
  EXPECT_EQ(fleet->tasks[3].name, "yard-3");
  EXPECT_EQ(fleet->tasks[3].rate_hz, 0.5);
  EXPECT_EQ(fleet->tasks[3].sources, (std::vector<FleetSource>{{3, 0.6}, {4, 0.4}}));
  EXPECT_EQ(fleet->model, FleetModelKind::kExtended);
  EXPECT_FALSE(fleet->periodic);
  EXPECT_EQ(fleet->models[0].profile, "p.json");
}

TEST(FleetFile, TheWayIsTheWidestLinkUpwards) {
  const auto cluster = parse_cluster(kSite, "site.yaml");
  const auto way = way_of(*cluster, 0);
  ASSERT_TRUE(way);
  EXPECT_EQ(cluster->nodes[way->gateway].name, "gw1");
  EXPECT_EQ(cluster->nodes[way->cloud].name, "cloud");
  EXPECT_NE(way->access, Way::kNoLink);
  EXPECT_EQ(way_of(*cluster, 3)->access, Way::kNoLink);
}

TEST(FleetFile, EveryWrongTaskNamesKeyAndRemedy) {
  const auto refusal = [](const std::string& task) {
    const auto fleet = fleet_with("  - {" + task + "}");
    return fleet ? std::string("accepted") : fleet.error().message;
  };
  const std::string good = "name: a, model: net, source: cam1, rate: 1/s, deadline: 1s";
  EXPECT_EQ(refusal(good), "accepted");
  EXPECT_THAT(refusal("model: net, source: cam1, rate: 1/s, deadline: 1s"), HasSubstr("tasks[0].name: this key is required"));
  EXPECT_THAT(refusal(good + ", dealine: 1s"), HasSubstr("unknown key 'dealine'; did you mean 'deadline'?"));
  EXPECT_THAT(refusal("name: a, model: nett, source: cam1, rate: 1/s, deadline: 1s"), HasSubstr("did you mean 'net'?"));
  EXPECT_THAT(refusal("name: a, model: net, source: cam9, rate: 1/s, deadline: 1s"),
              HasSubstr("tasks[0].source: no node of the cluster is named 'cam9'; did you mean 'cam1'?"));
  EXPECT_THAT(refusal("name: a, model: net, source: lost, rate: 1/s, deadline: 1s"), HasSubstr("would be its gateway"));
  EXPECT_THAT(refusal("name: a, model: net, source: cloud, rate: 1/s, deadline: 1s"), HasSubstr("'cloud' is of tier cloud"));
  EXPECT_THAT(refusal("name: a, model: net, source: {gw1: 0.6, gw2: 0.6}, rate: 1/s, deadline: 1s"),
              HasSubstr("the shares add up to 1.2; write shares that add up to 1"));
  EXPECT_THAT(refusal("name: a, model: net, source: {gw1: 1.6, gw2: -0.6}, rate: 1/s, deadline: 1s"), HasSubstr("above 0"));
  EXPECT_THAT(refusal("name: a, model: net, source: {gw1: 0.5, cam1: 0.5}, rate: 1/s, deadline: 1s"), HasSubstr("same gateway"));
  EXPECT_THAT(refusal("name: a, model: net, source: cam1, rate: 5, deadline: 1s"),
              HasSubstr("tasks[0].rate: expected a rate such as 5/s"));
  EXPECT_THAT(refusal("name: a, model: net, source: cam1, rate: 0/s, deadline: 1s"), HasSubstr("a rate is"));
  EXPECT_THAT(refusal("name: a, model: net, source: cam1, rate: 1/s, deadline: 0"), HasSubstr("a deadline is above 0"));
  EXPECT_THAT(refusal("name: a, model: net, source: cam1, rate: 1/s, deadline: 200"), HasSubstr("tasks[0].deadline:"));
  EXPECT_THAT(refusal(good + ", count: 0"), HasSubstr("tasks[0].count: expected 1 to"));
  EXPECT_THAT(refusal(good + ", drop: oldst"), HasSubstr("did you mean 'oldest'?"));
  EXPECT_THAT(refusal(good + ", priority: 1e9"), HasSubstr("tasks[0].priority:"));
  EXPECT_THAT(refusal(good + ", keep_on_source: 1"), HasSubstr("'cam1' is a device, which only sends"));
  EXPECT_THAT(refusal(good + "}\n  - {" + good), HasSubstr("the task 'a' appears twice"));
}

TEST(FleetFile, EveryWrongTopLevelKeyIsNamed) {
  const std::string task = "  - {name: a, model: net, source: cam1, rate: 1/s, deadline: 1s}";
  EXPECT_THAT(fleet_with(task, "model: queueng").error().message,
              HasSubstr("model: unknown 'queueng'; did you mean 'queueing'?"));
  EXPECT_THAT(fleet_with(task, "polcy: price").error().message, HasSubstr("did you mean 'policy'?"));
  EXPECT_THAT(fleet_with(task, "arrivals: sometimes").error().message, HasSubstr("arrivals: expected periodic or poisson"));
  const auto no_cluster = [](const std::string&) { return parse_cluster("nodes: []", "site.yaml"); };
  EXPECT_THAT(parse_fleet("version: 1\ncluster: site.yaml\nmodels: []\ntasks: []", "f.yaml", no_cluster).error().message,
              HasSubstr("cluster: site.yaml"));
  EXPECT_THAT(parse_fleet("version: 2\ncluster: s\nmodels: []\ntasks: []", "f.yaml", no_cluster).error().message,
              HasSubstr("this build reads version 1"));
  EXPECT_FALSE(parse_fleet("", "f.yaml", no_cluster));
}

TEST(FleetProfiles, WhatIsMissingIsAskedForByName) {
  const auto fleet = fleet_with("  - {name: door, model: net, source: cam1, rate: 1/s, deadline: 1s}");
  FleetProfiles profiles = everywhere(*fleet, made_up_profile());
  EXPECT_TRUE(check_profiles(*fleet, profiles));
  profiles.of[0][2] = nullptr;  // nobody's
  EXPECT_TRUE(check_profiles(*fleet, profiles));
  profiles.of[0][3] = nullptr;
  const Status missing = check_profiles(*fleet, profiles);
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("no profile of model 'net' for node 'gw1', which task 'door' needs"));
  Profile other = made_up_profile();
  other.model_sha256 = sha256("other");
  profiles.owned.push_back(std::make_unique<Profile>(other));
  profiles.of[0][3] = profiles.owned.back().get();
  EXPECT_THAT(check_profiles(*fleet, profiles).error().message, HasSubstr("different models"));
}

}  // namespace
}  // namespace tideline::fleet
