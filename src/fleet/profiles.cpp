#include "fleet/profiles.h"

#include <map>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline::fleet {
namespace {

Error asked(std::string message) { return {ErrorCode::kInvalidArgument, "[fleet] " + std::move(message)}; }

Status check_one(const FleetModel& model, const Profile& profile) {
  if (profile.blocks.empty() || profile.cuts.size() != profile.blocks.size() + 1 || profile.cuts.front().bytes == 0)
    return asked(fmt::format("the profile of model '{}' has no blocks or no input bytes", model.name));
  if (profile.blocks.size() > limits::kInstanceLayersMax)
    return asked(
        fmt::format("model '{}' has {} blocks; at most {}", model.name, profile.blocks.size(), limits::kInstanceLayersMax));
  return {};
}

}  // namespace

Status check_profiles(const Fleet& fleet, const FleetProfiles& profiles) {
  for (const FleetTask& task : fleet.tasks) {
    const FleetModel& model = fleet.models[task.model];
    for (const FleetSource& source : task.sources) {
      TIDELINE_TRY(const Way way, way_of(fleet.cluster, source.node));
      for (const std::size_t node : {way.gateway, way.cloud})
        if (profiles.of[task.model][node] == nullptr)
          return asked(
              fmt::format("no profile of model '{0}' for node '{1}', which task '{2}' needs: measure one there with "
                          "`tideline profile {3} --out FILE` and write profiles: {{{1}: FILE}}, or profiles: FILE for all "
                          "nodes of one speed",
                          model.name, fleet.cluster.nodes[node].name, task.name, model.file));
    }
  }
  for (std::size_t m = 0; m < fleet.models.size(); ++m) {
    const Profile* first = nullptr;
    for (const Profile* profile : profiles.of[m]) {
      if (profile == nullptr) continue;
      TIDELINE_CHECK_OK(check_one(fleet.models[m], *profile));
      if (first == nullptr) first = profile;
      if (profile->model_sha256 != first->model_sha256 || profile->chain_sha256 != first->chain_sha256 ||
          profile->blocks.size() != first->blocks.size())
        return asked(
            fmt::format("the profiles of model '{}' are of different models, or cut differently: measure them again from "
                        "one file",
                        fleet.models[m].name));
    }
  }
  return {};
}

Result<FleetProfiles> load_profiles(const Fleet& fleet) {
  FleetProfiles profiles;
  std::map<std::string, const Profile*> read;
  const auto load = [&](const std::string& file) -> Result<const Profile*> {
    if (const auto known = read.find(file); known != read.end()) return known->second;
    TIDELINE_TRY(const std::string text, read_file(file, limits::kConfigFileBytesMax));
    TIDELINE_TRY(Profile profile, parse_profile(text, file));
    profiles.owned.push_back(std::make_unique<Profile>(std::move(profile)));
    return read[file] = profiles.owned.back().get();
  };
  for (const FleetModel& model : fleet.models) {
    std::vector<const Profile*>& of = profiles.of.emplace_back(fleet.cluster.nodes.size());
    for (std::size_t node = 0; node < of.size(); ++node) {
      const auto own = model.profiles.find(fleet.cluster.nodes[node].name);
      const std::string& file = own != model.profiles.end() ? own->second : model.profile;
      if (file.empty()) continue;
      TIDELINE_TRY(of[node], load(file));
    }
  }
  TIDELINE_CHECK_OK(check_profiles(fleet, profiles));
  return profiles;
}

}  // namespace tideline::fleet
