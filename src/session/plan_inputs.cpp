#include "session/plan_inputs.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "platform/files.h"
#include "session/measure_model.h"
#include "session/source.h"

namespace tideline {
namespace {

Result<Profile> load_profile(const std::string& path) {
  TIDELINE_TRY(const std::string text, read_source(path, limits::kConfigFileBytesMax));
  return parse_profile(text, source_name(path));
}

// The file of each node; empty: none was given.
Result<std::vector<std::string>> profile_files(const Cluster& cluster, const std::vector<std::string>& options) {
  std::vector<std::string> files;
  std::string everyone;
  for (const Node& node : cluster.nodes) files.push_back(node.profile);
  for (const std::string& option : options) {
    const std::size_t equals = option.find('=');
    const std::string name = option.substr(0, equals);
    const auto node = std::find_if(cluster.nodes.begin(), cluster.nodes.end(), [&](const Node& n) { return n.name == name; });
    if (equals != std::string::npos && node != cluster.nodes.end()) {
      files[static_cast<std::size_t>(node - cluster.nodes.begin())] = option.substr(equals + 1);
    } else if (everyone.empty()) {
      everyone = option;
    } else {
      return Error{
          ErrorCode::kInvalidArgument,
          fmt::format("--profile {}: write NODE=FILE with a node of the cluster, or one FILE for all nodes", printable(option))};
    }
  }
  for (std::string& file : files)
    if (file.empty()) file = everyone;
  return files;
}

std::string input_name_of(const Chain& chain) {
  if (!chain.input || chain.blocks.empty() || !chain.blocks[0].step) return "the input tensor";
  switch (chain.input->encoding) {
    case ImageEncoding::kJpeg: return "the JPEG";
    case ImageEncoding::kPng: return "the PNG";
    case ImageEncoding::kAny: break;
  }
  return "the image file";
}

// Only the model's identity is compared when nothing on the command line says how it is cut: the profile knows that.
bool says_how_to_cut(const ModelArguments& arguments) {
  return !arguments.shapes.empty() || arguments.cut_width != 1 || !arguments.input.empty() || !arguments.values.empty();
}

Error other_model(const PlanInputArguments& arguments, const Profile& profile, std::string_view what) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("the profile ({}) and {} {}: measure it again with `tideline profile`", printable(profile.model_name),
                           printable(arguments.model.model, 400), what)};
}

// Trained again: the same work with other weights and other names.
bool has_same_structure(const Profile& profile, const Chain& chain) {
  return profile.structure_sha256 != Sha256{} && profile.structure_sha256 == chain.structure_sha256 &&
         profile.cuts.size() == chain.cuts.size();
}

// A host that was measured without the exit keeps it out of every plan.
void note_missing(const std::string& exit, PlanInputs& inputs) {
  for (const auto& profile : inputs.profiles)
    if (std::none_of(profile->exits.begin(), profile->exits.end(), [&](const auto& known) { return known.output == exit; }))
      inputs.notes.push_back(
          fmt::format("the profile of {} says nothing of the exit '{}', which no plan uses then: measure again "
                      "with `tideline profile`",
                      printable(profile->host), printable(exit)));
}

// Exits as model.yaml has them now: their accuracies, and the bytes of this input. One that the profile lacks is left to
// note_exits().
void check_exits(const LoadedModel& loaded, Profile& profile) {
  if (loaded.accuracy) profile.accuracy = *loaded.accuracy;
  std::vector<ExitProfile> exits;
  for (const LoadedExit& exit : loaded.exits)
    for (ExitProfile& known : profile.exits) {
      const Chain& chain = exit.chain;
      if (known.output != chain.exit->output || known.structure_sha256 != chain.structure_sha256 ||
          known.after + known.cuts.size() != chain.cuts.size())
        continue;
      known.accuracy = exit.accuracy;
      known.chain_sha256 = chain.sha256;
      for (std::size_t i = 0; i < known.blocks.size(); ++i) known.blocks[i].name = chain.blocks[known.after + i].name;
      for (std::size_t i = 0; i < known.cuts.size(); ++i) known.cuts[i].bytes = chain.cuts[known.after + i].bytes;
      exits.push_back(std::move(known));
      break;
    }
  profile.exits = std::move(exits);
}

Status check_chain(const PlanInputArguments& arguments, const LoadedModel& loaded, PlanInputs& inputs) {
  const Chain& chain = loaded.chain;
  for (const auto& profile : inputs.profiles) {
    if (chain.sha256 == profile->chain_sha256 && chain.cuts.size() == profile->cuts.size()) continue;
    if (!has_same_structure(*profile, chain))
      return other_model(arguments, *profile,
                         chain.model_sha256 != profile->model_sha256
                             ? "are different models"
                             : "are cut differently (shapes, input section or cut width)");
    inputs.notes.push_back(fmt::format("the profile ({}, {}) is of the same structure with other weights; its times are used",
                                       printable(profile->model_name), printable(profile->date)));
    // From here on it is this model's.
    profile->model_sha256 = chain.model_sha256;
    profile->chain_sha256 = chain.sha256;
    for (std::size_t k = 0; k < chain.blocks.size(); ++k) profile->blocks[k].name = chain.blocks[k].name;
  }
  inputs.input_name = input_name_of(chain);
  if (auto hint = width_hint(loaded, arguments.model.cut_width)) inputs.notes.push_back(std::move(*hint));
  // Bytes at the cuts are those of the input given now, for instance of this image's file.
  for (const auto& each : inputs.profiles) {
    check_exits(loaded, *each);
    for (std::size_t cut = 0; cut < each->cuts.size(); ++cut) each->cuts[cut].bytes = chain.cuts[cut].bytes;
  }
  for (const LoadedExit& exit : loaded.exits) note_missing(exit.chain.exit->output, inputs);
  return {};
}

Status check_model(const PlanInputArguments& arguments, const LoadedModel* loaded, const Control& control, PlanInputs& inputs) {
  if (loaded != nullptr) return check_chain(arguments, *loaded, inputs);
  if (says_how_to_cut(arguments.model)) {
    TIDELINE_TRY(const LoadedModel own, load_model(arguments.model, control));
    return check_chain(arguments, own, inputs);
  }
  TIDELINE_TRY(const Model model, read_model(arguments.model.model, {}));
  const Profile& profile = *inputs.profiles.front();
  if (model.sha256() == profile.model_sha256) return {};
  if (profile.structure_sha256 == Sha256{}) return other_model(arguments, profile, "are different models");
  TIDELINE_TRY(const LoadedModel own, load_model(arguments.model, control));
  return check_chain(arguments, own, inputs);
}

Result<Profile> measure(const PlanInputArguments& arguments, const LoadedModel& loaded, int threads, const Control& control) {
  std::unique_ptr<Engine> own;
  if (threads != arguments.model.threads) {
    TIDELINE_TRY(own, make_engine({.threads = threads}));
  }
  constexpr std::size_t kSteps = 100;
  const std::string step = fmt::format("Measuring ({} thread{})", threads, threads == 1 ? "" : "s");
  MeasureOptions options{.time = Millis{arguments.profile_seconds * 1e3}, .codecs = arguments.codecs, .cancel = &control.cancel};
  options.progress = [&](double done, std::string_view what) {
    control.report({step, static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * kSteps), kSteps, what});
  };
  return measure_model(own ? *own : *loaded.engine, loaded, options);
}

// What the times stand on, once for all profiles.
void note_made_up(PlanInputs& inputs) {
  for (const auto& profile : inputs.profiles)
    for (const std::string& name : profile->made_up_inputs)
      if (std::find(inputs.made_up_inputs.begin(), inputs.made_up_inputs.end(), name) == inputs.made_up_inputs.end())
        inputs.made_up_inputs.push_back(name);
}

Status measure_missing(const Cluster& cluster, const PlanInputArguments& arguments, const LoadedModel& loaded,
                       const Control& control, PlanInputs& inputs) {
  inputs.input_name = input_name_of(loaded.chain);
  if (auto hint = width_hint(loaded, arguments.model.cut_width)) inputs.notes.push_back(std::move(*hint));
  std::map<int, const Profile*> measured;
  for (std::size_t node = 0; node < cluster.nodes.size(); ++node) {
    if (inputs.by_node[node] != nullptr) continue;
    const int threads = cluster.nodes[node].threads;
    if (!measured.contains(threads)) {
      TIDELINE_TRY(Profile profile, measure(arguments, loaded, threads, control));
      inputs.profiles.push_back(std::make_unique<Profile>(std::move(profile)));
      measured[threads] = inputs.profiles.back().get();
    }
    inputs.by_node[node] = measured[threads];
  }
  if (arguments.profile_out.empty()) {
    inputs.notes.push_back(
        "measured on this host just now; keep it with --profile-out FILE and give it with --profile FILE next time");
    return {};
  }
  if (measured.size() > 1)
    return Error{
        ErrorCode::kInvalidArgument,
        "--profile-out keeps one profile, but the nodes have different numbers of threads: use `tideline profile` for each"};
  TIDELINE_CHECK_OK(write_file_atomic(arguments.profile_out, write_profile(*measured.begin()->second)));
  inputs.notes.push_back(fmt::format("wrote {0}; give it with --profile {0} next time", printable(arguments.profile_out, 400)));
  return {};
}

// Times that nobody measured are called so, with what is to be expected of them.
void note_prediction(PlanInputs& inputs, const Profile& profile, const std::string& file) {
  if (!profile.prediction) return;
  inputs.notes.push_back(
      fmt::format("{}: the times of {} on {} are predicted ({}), not measured: half of such are within {:.0f} %, nine of "
                  "ten within {:.0f} %",
                  printable(file, 400), printable(profile.model_name), printable(profile.host), printable(profile.prediction->by),
                  100 * profile.prediction->expected_error, 100 * profile.prediction->expected_error_p90));
}

Result<PlanInputs> load_inputs(const Cluster& cluster, const PlanInputArguments& arguments, const LoadedModel* model,
                               const Control& control) {
  TIDELINE_TRY(const std::vector<std::string> files, profile_files(cluster, arguments.profiles));
  PlanInputs inputs{.input_name = "the input"};
  std::map<std::string, const Profile*> loaded;
  for (std::size_t node = 0; node < cluster.nodes.size(); ++node) {
    const Profile* profile = nullptr;
    if (!files[node].empty()) {
      if (!loaded.contains(files[node])) {
        TIDELINE_TRY(Profile read, load_profile(files[node]));
        inputs.profiles.push_back(std::make_unique<Profile>(std::move(read)));
        loaded[files[node]] = inputs.profiles.back().get();
        note_prediction(inputs, *loaded[files[node]], files[node]);
      }
      profile = loaded[files[node]];
      if (profile->threads != cluster.nodes[node].threads)
        inputs.notes.push_back(fmt::format("{} was measured with {} threads, but {} has {}", printable(files[node], 400),
                                           profile->threads, cluster.nodes[node].name, cluster.nodes[node].threads));
    }
    inputs.by_node.push_back(profile);
  }
  const bool is_complete = std::find(inputs.by_node.begin(), inputs.by_node.end(), nullptr) == inputs.by_node.end();
  if (!is_complete && model != nullptr) {
    TIDELINE_CHECK_OK(measure_missing(cluster, arguments, *model, control, inputs));
  } else if (!is_complete) {
    if (arguments.model.model.empty())
      return Error{ErrorCode::kInvalidArgument, "name the MODEL to measure, or give a --profile for every node"};
    TIDELINE_TRY(const LoadedModel own, load_model(arguments.model, control));
    TIDELINE_CHECK_OK(measure_missing(cluster, arguments, own, control, inputs));
  } else {
    if (!inputs.profiles[0]->blocks.empty() && inputs.profiles[0]->blocks[0].name == to_string(InputStep::kDecode))
      inputs.input_name = "the image file";
    if (!arguments.model.model.empty()) TIDELINE_CHECK_OK(check_model(arguments, model, control, inputs));
  }
  note_made_up(inputs);
  return inputs;
}

}  // namespace

Status PlanInputs::leave_by(const std::string& exit) {
  for (const auto& profile : profiles) {
    TIDELINE_TRY(*profile, at_exit(*profile, exit));
  }
  return {};
}

Result<PlanInputs> load_plan_inputs(const Cluster& cluster, const PlanInputArguments& arguments, const Control& control) {
  return load_inputs(cluster, arguments, nullptr, control);
}

Result<PlanInputs> load_plan_inputs(const Cluster& cluster, const PlanInputArguments& arguments, const LoadedModel& loaded,
                                    const Control& control) {
  return load_inputs(cluster, arguments, &loaded, control);
}

void use_measured_power(Cluster& cluster, PlanInputs& inputs) {
  for (std::size_t i = 0; i < cluster.nodes.size(); ++i) {
    Node& node = cluster.nodes[i];
    const auto& measured = inputs.by_node[i]->power;
    if (node.power || !measured) continue;
    // Of links nothing was measured: sending and receiving count as idling.
    node.power = Power{.compute_w = std::max(measured->compute_w, measured->idle_w),
                       .transmit_w = measured->idle_w,
                       .receive_w = measured->idle_w,
                       .idle_w = measured->idle_w};
    inputs.notes.push_back(
        fmt::format("power of {} is the profile's, measured by {}: {:.2f} W computing, {:.2f} W idle and on links; "
                    "give it `power` in the cluster file to say otherwise",
                    node.name, printable(measured->method), node.power->compute_w, measured->idle_w));
  }
}

}  // namespace tideline
