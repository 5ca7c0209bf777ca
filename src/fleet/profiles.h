// The measured times of a fleet's models. A value; thread-safe once loaded.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "fleet/fleet.h"
#include "profile/profile.h"

namespace tideline::fleet {

struct FleetProfiles {
  // [model][node of the cluster]; null where none is named and none is needed.
  std::vector<std::vector<const Profile*>> of;
  std::vector<std::unique_ptr<Profile>> owned;
};

// Reads what the fleet names. kInvalidArgument names model and node for a profile that a task needs and nobody named, and for
// profiles of one model that are of different models or cuts.
Result<FleetProfiles> load_profiles(const Fleet& fleet);
// The same checks on profiles that are there already.
Status check_profiles(const Fleet& fleet, const FleetProfiles& profiles);

}  // namespace tideline::fleet
