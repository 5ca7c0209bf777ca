// The figures of a plan: what runs where on the site with what the links carry, and where the time or the energy of each
// candidate goes. For models on a cluster and for tables. Values in, figures out; any thread.
//
//   const report::SiteFigure site = site_figure(cluster, *profiles[0], chosen.plan, chosen.estimate);
//   const report::BarsFigure bars = bars_figure(cluster, Objective::kLatency, {{"everything on camera", estimate, "", true}});
#pragma once

#include <string>
#include <vector>

#include "cost/cost.h"
#include "planner/question.h"
#include "planner/table_walks.h"
#include "report/bars_figure.h"
#include "report/site_figure.h"

namespace tideline {

// `profile` is the model's, or that of the plan's exit.
report::SiteFigure site_figure(const Cluster& cluster, const Profile& profile, const Plan& plan, const Estimate& estimate);
// Of a table of version 2.
report::SiteFigure site_figure(const Table& table, const TableWalk& walk);

// Where something goes, in named parts that add up.
struct Shares {
  struct Part {
    std::string name;  // "camera computes", "camera - server"
    double value = 0;
    bool is_link = false;
  };
  std::vector<Part> parts;
  double sum() const;
};
// Milliseconds: computing and coding of each node, the time on each link.
Shares time_shares(const Estimate& estimate);
Shares time_shares(const Table& table, const TableWalk& walk);
// Joules, of the nodes with power numbers: computing, sending and receiving beyond idling, and idling.
Shares energy_shares(const Cluster& cluster, const Estimate& estimate);
Shares energy_shares(const Table& table, const TableWalk& walk);

struct BarOf {
  std::string name;
  Shares shares;
  std::string why_not;  // empty: possible
  bool chosen = false;
};
// Energy where it is planned for, otherwise time. The fastest (or most frugal) first.
report::BarsFigure bars_figure(Objective objective, std::vector<BarOf> bars);

}  // namespace tideline
