// Which deployed tasks could make room for a newcomer by giving up some of what they use.
//
// A newcomer that does not fit overfills some servers. A partner is deployed on all of them and uses at least the excess of
// each, so that its going, or its running with another k, could be enough. Found by one scan along the tenants of the
// overfull server with the fewest, then by looking the few that are left up on the others.
//
// Not thread-safe. Keeps a reference to the deployment, which must outlive it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "schedule/online/deployment.h"

namespace tideline::schedule {

struct Partner {
  std::uint32_t task = 0;
  // Of what it uses now, the share that would have to go, up to 1; 0: it may use more, no server lacks any.
  double bandwidth_share = 0;
  double compute_share = 0;
};

// What one arrival may cost.
struct SearchBudget {
  std::size_t visits = 0;    // tenants scanned
  std::size_t partners = 0;  // found
};

class PartnerSearch {
 public:
  explicit PartnerSearch(const Deployment& deployment) : deployment_(deployment) {}

  // By rising task, for `newcomer` at `layers`; valid until the next call. Stays within the budget, and takes what it needed
  // off it. REQUIRES: the newcomer does not fit.
  std::span<const Partner> find(std::uint32_t newcomer, std::uint32_t layers, SearchBudget& budget);

 private:
  // A server that the newcomer would overfill: by how much, as shares of its resources.
  struct Excess {
    std::uint32_t server = 0;
    double bandwidth = 0;  // 0: not overfull
    double compute = 0;
    // Without a branch: in a scan it would be mispredicted every other time.
    bool relieved_by(const Use& use) const {
      return static_cast<unsigned>(use.bandwidth >= bandwidth) & static_cast<unsigned>(use.compute >= compute);
    }
  };

  void find_excess(std::uint32_t newcomer, std::uint32_t layers);
  void scan(const Excess& excess, std::size_t& visits_left);
  void keep_those_on(const Excess& excess);
  void add_shares(const Excess& excess);

  const Deployment& deployment_;
  // Kept between calls for their memory only.
  std::vector<Excess> excess_;
  std::vector<std::uint32_t> found_;
  std::vector<Partner> partners_;
};

}  // namespace tideline::schedule
