// Which tasks of a site's instance run, and with what: the policies of schedule/ in the model that the options name, by priority.
// Pure; thread-safe. Refers to the fleet and the options.
#pragma once

#include <cstdint>
#include <vector>

#include "fleet/plan_fleet.h"
#include "fleet/site.h"
#include "schedule/queueing/queueing.h"

namespace tideline::fleet {

// The options' policy on an instance: layers by task, 0 for those that are refused.
Result<std::vector<std::uint32_t>> run_one(const schedule::Instance& instance, const FleetPlanOptions& options);

class SitePolicies {
 public:
  SitePolicies(const Fleet& fleet, const FleetPlanOptions& options) : fleet_(fleet), options_(options) {}

  Result<SiteSchedule> decide(const SiteInstance& site, bool with_bound) const;
  bool is_everywhere() const;
  schedule::QueueingOptions queueing() const;

 private:
  std::vector<std::int64_t> priorities(const std::vector<std::uint32_t>& tasks) const;
  std::vector<std::uint32_t> every_task() const;
  // Every task is let in, whether it fits or not; what it takes on average is what it is said to have.
  SiteSchedule decide_everywhere(const SiteInstance& site) const;
  schedule::Multipliers prices(const schedule::Instance& instance) const;
  Result<SiteSchedule> decide_paper(const SiteInstance& site, bool with_bound) const;
  Result<SiteSchedule> decide_extended(const SiteInstance& site, bool with_bound) const;
  Result<SiteSchedule> decide_queueing(const SiteInstance& site, bool with_bound) const;

  const Fleet& fleet_;
  const FleetPlanOptions& options_;
};

}  // namespace tideline::fleet
