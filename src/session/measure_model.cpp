#include "session/measure_model.h"

#include <algorithm>

#include "measure/measure_exit.h"

namespace tideline {
namespace {

// Of the time and the progress, what all exits together get.
constexpr double kExitsShare = 0.25;

}  // namespace

Result<Profile> measure_model(Engine& engine, const LoadedModel& loaded, const MeasureOptions& options) {
  const double share = loaded.exits.empty() ? 0 : kExitsShare;
  const auto report = [&](double done, std::string_view what) {
    if (options.progress) options.progress(done, what);
  };
  MeasureOptions part = options;
  part.time = options.time * (1 - share);
  part.progress = [&](double done, std::string_view what) { report(done * (1 - share), what); };
  TIDELINE_TRY(Profile profile, measure_profile(engine, loaded.model, loaded.chain, loaded.sample, part));
  profile.made_up_inputs = loaded.made_up_inputs;
  profile.accuracy = loaded.accuracy.value_or(1);
  const auto count = static_cast<double>(loaded.exits.size());
  part.time = options.time * share / std::max(count, 1.0);
  for (std::size_t i = 0; i < loaded.exits.size(); ++i) {
    report(1 - share + share * static_cast<double>(i) / count, "exits");
    const LoadedExit& exit = loaded.exits[i];
    TIDELINE_TRY(ExitProfile measured, measure_exit(engine, loaded.model, exit.chain, loaded.sample, profile, part));
    measured.accuracy = exit.accuracy;
    profile.exits.push_back(std::move(measured));
  }
  report(1, "");
  return profile;
}

}  // namespace tideline
