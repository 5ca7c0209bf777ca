#include "profile/profile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/text.h"
#include "profile/read_list.h"

namespace tideline {
namespace {

constexpr int kVersion = 1;
constexpr double kInfinite = std::numeric_limits<double>::infinity();

Result<BlockProfile> read_block(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  BlockProfile block;
  TIDELINE_TRY(block.name, map.text("name"));
  TIDELINE_TRY(const double time, map.number("time_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  TIDELINE_TRY(const double spread, map.number("spread_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  TIDELINE_TRY(const std::int64_t parameters, map.integer("parameter_bytes", 0, limits::kProfileBytesMax));
  TIDELINE_TRY(const std::int64_t activations, map.integer("activation_bytes", 0, limits::kProfileBytesMax));
  TIDELINE_CHECK_OK(map.finish());
  block.time = Millis(time);
  block.spread = Millis(spread);
  block.parameter_bytes = static_cast<Bytes>(parameters);
  block.activation_bytes = static_cast<Bytes>(activations);
  return block;
}

Result<CutProfile> read_cut(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  TIDELINE_TRY(const std::int64_t bytes, map.integer("bytes", 0, limits::kProfileBytesMax));
  TIDELINE_TRY(const double start, map.number("start_ms", {.min = -limits::kProfileMillisMax, .max = limits::kProfileMillisMax}));
  TIDELINE_TRY(const double end, map.number("end_ms", {.min = -limits::kProfileMillisMax, .max = limits::kProfileMillisMax}));
  TIDELINE_CHECK_OK(map.finish());
  return CutProfile{.bytes = static_cast<Bytes>(bytes), .start = Millis(start), .end = Millis(end)};
}

Result<PowerProfile> read_power(const nlohmann::json& json, const std::string& file, const std::string& path) {
  // A megawatt is more than a machine takes.
  constexpr NumberRange kWatts{.min = 0, .max = 1e6};
  JsonMap map(json, file, path);
  PowerProfile power;
  TIDELINE_TRY(power.method, map.text("method"));
  TIDELINE_TRY(power.idle_w, map.number("idle_w", kWatts));
  TIDELINE_TRY(power.compute_w, map.number("compute_w", kWatts));
  TIDELINE_TRY(const double time, map.number("time_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  TIDELINE_CHECK_OK(map.finish());
  power.time = Millis(time);
  return power;
}

Result<Prediction> read_prediction(const nlohmann::json& json, const std::string& file, const std::string& path) {
  constexpr NumberRange kError{.min = 0, .max = 1e6};
  JsonMap map(json, file, path);
  Prediction prediction;
  TIDELINE_TRY(prediction.by, map.text("by"));
  TIDELINE_TRY(prediction.calibrated, map.text("calibrated"));
  TIDELINE_TRY(prediction.fused_on, map.text("fused_on"));
  TIDELINE_TRY(prediction.expected_error, map.number("expected_error", kError));
  TIDELINE_TRY(prediction.expected_error_p90, map.number("expected_error_p90", kError));
  TIDELINE_TRY(prediction.unknown_share, map.number("unknown_share", {.min = 0, .max = 1}));
  TIDELINE_CHECK_OK(map.finish());
  return prediction;
}

Result<Sha256> read_hash(JsonMap& map, std::string_view key) {
  TIDELINE_TRY(const std::string hex, map.text(key));
  const auto hash = parse_sha256(hex);
  if (!hash) return map.error(key, "must be a SHA-256 of 64 hexadecimal digits");
  return *hash;
}

// One number for each cut; with `null_is_infinite`, null is one too.
Result<std::vector<double>> read_numbers(JsonMap& map, std::string_view key, double max, bool null_is_infinite = false) {
  TIDELINE_TRY(const nlohmann::json* list, map.array(key));
  if (list->size() > limits::kOpsMax + 1) return map.error(key, "has too many elements");
  std::vector<double> numbers;
  numbers.reserve(list->size());
  for (const nlohmann::json& number : *list) {
    if (null_is_infinite && number.is_null()) {
      numbers.push_back(kInfinite);
      continue;
    }
    const double value = number.is_number() ? number.get<double>() : -1;
    if (!(value >= 0 && value <= max)) return map.error(key, fmt::format("must be numbers of 0 to {:g}", max));
    numbers.push_back(value);
  }
  return numbers;
}

Result<CodecProfile> read_codec(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  CodecProfile codec;
  TIDELINE_TRY(codec.name, map.text("name"));
  if (codec.name.empty() || codec.name.size() > limits::kCodecNameBytesMax)
    return map.error("name", fmt::format("must have 1 to {} characters", limits::kCodecNameBytesMax));
  TIDELINE_TRY(const std::vector<double> bytes, read_numbers(map, "bytes", static_cast<double>(limits::kProfileBytesMax)));
  TIDELINE_TRY(const std::vector<double> encode, read_numbers(map, "encode_ms", limits::kProfileMillisMax));
  TIDELINE_TRY(const std::vector<double> decode, read_numbers(map, "decode_ms", limits::kProfileMillisMax));
  TIDELINE_TRY(codec.max_abs_error, read_numbers(map, "max_abs_error", std::numeric_limits<double>::max(), true));
  TIDELINE_TRY(codec.max_rel_error, read_numbers(map, "max_rel_error", std::numeric_limits<double>::max(), true));
  TIDELINE_TRY(codec.rms_rel_error, read_numbers(map, "rms_rel_error", std::numeric_limits<double>::max(), true));
  if (map.has("top1_agreement")) {
    TIDELINE_TRY(codec.top1_agreement, read_numbers(map, "top1_agreement", 1));
  }
  for (const double value : bytes) codec.bytes.push_back(static_cast<Bytes>(value));
  for (const double value : encode) codec.encode.emplace_back(value);
  for (const double value : decode) codec.decode.emplace_back(value);
  TIDELINE_CHECK_OK(map.finish());
  return codec;
}

Status check_codecs(JsonMap& map, const std::vector<CodecProfile>& codecs, std::size_t cuts) {
  for (std::size_t i = 0; i < codecs.size(); ++i) {
    const CodecProfile& codec = codecs[i];
    if (codec.bytes.size() != cuts || codec.encode.size() != cuts || codec.decode.size() != cuts ||
        codec.max_abs_error.size() != cuts || codec.max_rel_error.size() != cuts || codec.rms_rel_error.size() != cuts ||
        (!codec.top1_agreement.empty() && codec.top1_agreement.size() != cuts))
      return map.error("codecs", fmt::format("must have one value for each of the {} cuts in every list of '{}'", cuts,
                                             printable(codec.name)));
    for (std::size_t k = 0; k < i; ++k)
      if (codecs[k].name == codec.name) return map.error("codecs", fmt::format("has '{}' twice", printable(codec.name)));
  }
  return {};
}

// Above 0: nobody plans for an answer that is never right.
Result<double> read_accuracy(JsonMap& map) { return map.number("accuracy", {.min = 0, .max = 1, .min_is_excluded = true}); }

Result<ExitProfile> read_exit(const nlohmann::json& json, const std::string& file, const std::string& path) {
  JsonMap map(json, file, path);
  ExitProfile exit;
  TIDELINE_TRY(exit.output, map.text("output"));
  if (exit.output.empty() || exit.output.size() > limits::kNameBytesMax) return map.error("output", "is missing or too long");
  TIDELINE_TRY(exit.accuracy, read_accuracy(map));
  TIDELINE_TRY(const std::int64_t after, map.integer("after", 0, static_cast<std::int64_t>(limits::kOpsMax)));
  exit.after = static_cast<std::uint32_t>(after);
  TIDELINE_TRY(exit.chain_sha256, read_hash(map, "chain_sha256"));
  TIDELINE_TRY(exit.structure_sha256, read_hash(map, "structure_sha256"));
  TIDELINE_TRY(const double whole, map.number("whole_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  exit.whole = Millis(whole);
  TIDELINE_CHECK_OK(read_list(map, "blocks", exit.blocks, read_block));
  TIDELINE_CHECK_OK(read_list(map, "cuts", exit.cuts, read_cut));
  if (map.has("codecs")) TIDELINE_CHECK_OK(read_list(map, "codecs", exit.codecs, read_codec, limits::kCodecsMax));
  TIDELINE_CHECK_OK(map.finish());
  if (exit.cuts.size() != exit.blocks.size() + 1)
    return map.error(
        "cuts", fmt::format("must have one element more than blocks ({}), not {}", exit.blocks.size() + 1, exit.cuts.size()));
  if (exit.after == 0 && exit.blocks.empty()) return map.error("blocks", "must not be empty when no block comes before");
  TIDELINE_CHECK_OK(check_codecs(map, exit.codecs, exit.after + exit.cuts.size()));
  return exit;
}

Status check_exits(JsonMap& map, const Profile& profile) {
  for (std::size_t i = 0; i < profile.exits.size(); ++i) {
    const ExitProfile& exit = profile.exits[i];
    if (exit.after > profile.blocks.size())
      return map.error("exits", fmt::format("'{}' is after {} blocks, and the model has {}", printable(exit.output), exit.after,
                                            profile.blocks.size()));
    for (std::size_t k = 0; k < i; ++k)
      if (profile.exits[k].output == exit.output)
        return map.error("exits", fmt::format("has '{}' twice", printable(exit.output)));
  }
  return {};
}

// JSON has no infinity.
nlohmann::ordered_json errors_json(const std::vector<double>& errors) {
  auto list = nlohmann::ordered_json::array();
  for (const double error : errors)
    list.push_back(std::isfinite(error) ? nlohmann::ordered_json(error) : nlohmann::ordered_json(nullptr));
  return list;
}

std::vector<double> counts(const std::vector<Millis>& times) {
  std::vector<double> numbers;
  for (const Millis time : times) numbers.push_back(time.count());
  return numbers;
}

void scale(double factor, std::vector<BlockProfile>& blocks, std::vector<CutProfile>& cuts, std::vector<CodecProfile>& codecs) {
  for (BlockProfile& block : blocks) {
    block.time *= factor;
    block.spread *= factor;
  }
  for (CutProfile& cut : cuts) {
    cut.start *= factor;
    cut.end *= factor;
  }
  for (CodecProfile& codec : codecs) {
    for (Millis& time : codec.encode) time *= factor;
    for (Millis& time : codec.decode) time *= factor;
  }
}

nlohmann::ordered_json blocks_json(const std::vector<BlockProfile>& blocks) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const BlockProfile& block : blocks)
    list.push_back({{"name", block.name},
                    {"time_ms", block.time.count()},
                    {"spread_ms", block.spread.count()},
                    {"parameter_bytes", block.parameter_bytes},
                    {"activation_bytes", block.activation_bytes}});
  return list;
}

nlohmann::ordered_json cuts_json(const std::vector<CutProfile>& cuts) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const CutProfile& cut : cuts)
    list.push_back({{"bytes", cut.bytes}, {"start_ms", cut.start.count()}, {"end_ms", cut.end.count()}});
  return list;
}

// Nothing without codecs: older builds know no such key.
void put_codecs(const std::vector<CodecProfile>& codecs, nlohmann::ordered_json& json) {
  for (const CodecProfile& codec : codecs) {
    nlohmann::ordered_json entry{{"name", codec.name},
                                 {"bytes", codec.bytes},
                                 {"encode_ms", counts(codec.encode)},
                                 {"decode_ms", counts(codec.decode)},
                                 {"max_abs_error", errors_json(codec.max_abs_error)},
                                 {"max_rel_error", errors_json(codec.max_rel_error)},
                                 {"rms_rel_error", errors_json(codec.rms_rel_error)}};
    if (!codec.top1_agreement.empty()) entry["top1_agreement"] = codec.top1_agreement;
    json["codecs"].push_back(std::move(entry));
  }
}

}  // namespace

const CodecProfile* codec_profile(const Profile& profile, std::string_view codec) {
  for (const CodecProfile& known : profile.codecs)
    if (known.name == codec) return &known;
  return nullptr;
}

Result<Profile> at_exit(const Profile& profile, std::string_view output) {
  std::vector<std::string_view> names;
  for (const ExitProfile& exit : profile.exits) {
    names.push_back(exit.output);
    if (exit.output != output) continue;
    Profile result = profile;
    result.exits.clear();
    result.exit = exit.output;
    result.accuracy = exit.accuracy;
    result.chain_sha256 = exit.chain_sha256;
    result.structure_sha256 = exit.structure_sha256;
    result.blocks.resize(exit.after);
    result.blocks.insert(result.blocks.end(), exit.blocks.begin(), exit.blocks.end());
    result.cuts.resize(exit.after);
    result.cuts.insert(result.cuts.end(), exit.cuts.begin(), exit.cuts.end());
    result.codecs = exit.codecs;
    result.whole = exit.whole;
    result.whole_wall = Millis(0);
    return result;
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("[profile] the profile has no exit '{}'; {}", printable(output),
                           names.empty() ? "it has none: measure again with a model.yaml that names exits"
                                         : "it has " + printable(fmt::format("{}", fmt::join(names, ", ")), 400))};
}

Millis segment_time(const Profile& profile, std::uint32_t first_block, std::uint32_t last_block) {
  TIDELINE_CHECK(first_block <= last_block && last_block < profile.blocks.size());
  TIDELINE_CHECK(profile.cuts.size() == profile.blocks.size() + 1);
  Millis time = profile.segment_overhead + profile.cuts[first_block].start + profile.cuts[last_block + 1].end;
  for (std::uint32_t k = first_block; k <= last_block; ++k) time += profile.blocks[k].time;
  return std::max(time, Millis(0));
}

Bytes segment_memory_bytes(const Profile& profile, std::uint32_t first_block, std::uint32_t last_block) {
  TIDELINE_CHECK(first_block <= last_block && last_block < profile.blocks.size());
  Bytes parameters = 0;
  Bytes activations = 0;
  for (std::uint32_t k = first_block; k <= last_block; ++k) {
    parameters += profile.blocks[k].parameter_bytes;
    activations = std::max(activations, profile.blocks[k].activation_bytes);
  }
  return parameters + activations;
}

Profile scaled(Profile profile, double factor) {
  TIDELINE_CHECK(factor > 0);
  scale(factor, profile.blocks, profile.cuts, profile.codecs);
  for (ExitProfile& exit : profile.exits) {
    scale(factor, exit.blocks, exit.cuts, exit.codecs);
    exit.whole *= factor;
  }
  profile.segment_overhead *= factor;
  profile.whole *= factor;
  profile.whole_spread *= factor;
  return profile;
}

std::string write_profile(const Profile& profile) {
  nlohmann::ordered_json json{{"tideline_profile", kVersion},
                              {"model_name", profile.model_name},
                              {"model_sha256", profile.model_sha256.hex()},
                              {"chain_sha256", profile.chain_sha256.hex()},
                              {"host", profile.host},
                              {"threads", profile.threads},
                              {"engine", profile.engine},
                              {"date", profile.date},
                              {"whole_ms", profile.whole.count()},
                              {"whole_spread_ms", profile.whole_spread.count()},
                              {"whole_memory_bytes", profile.whole_memory_bytes},
                              {"segment_overhead_ms", profile.segment_overhead.count()},
                              {"blocks", blocks_json(profile.blocks)},
                              {"cuts", cuts_json(profile.cuts)}};
  // Of later builds of version 1: older ones refuse a file that has them.
  if (profile.structure_sha256 != Sha256{}) json["structure_sha256"] = profile.structure_sha256.hex();
  if (profile.whole_wall > Millis(0)) json["whole_wall_ms"] = profile.whole_wall.count();
  if (!profile.made_up_inputs.empty()) json["made_up_inputs"] = profile.made_up_inputs;
  put_codecs(profile.codecs, json);
  if (profile.accuracy != 1) json["accuracy"] = profile.accuracy;
  for (const ExitProfile& exit : profile.exits) {
    nlohmann::ordered_json entry{{"output", exit.output},
                                 {"accuracy", exit.accuracy},
                                 {"after", exit.after},
                                 {"chain_sha256", exit.chain_sha256.hex()},
                                 {"structure_sha256", exit.structure_sha256.hex()},
                                 {"whole_ms", exit.whole.count()},
                                 {"blocks", blocks_json(exit.blocks)},
                                 {"cuts", cuts_json(exit.cuts)}};
    put_codecs(exit.codecs, entry);
    json["exits"].push_back(std::move(entry));
  }
  if (profile.power)
    json["power"] = {{"method", profile.power->method},
                     {"idle_w", profile.power->idle_w},
                     {"compute_w", profile.power->compute_w},
                     {"time_ms", profile.power->time.count()}};
  if (profile.prediction)
    json["predicted"] = {{"by", profile.prediction->by},
                         {"calibrated", profile.prediction->calibrated},
                         {"fused_on", profile.prediction->fused_on},
                         {"expected_error", profile.prediction->expected_error},
                         {"expected_error_p90", profile.prediction->expected_error_p90},
                         {"unknown_share", profile.prediction->unknown_share}};
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<Profile> parse_profile(std::string_view text, std::string_view name) {
  TIDELINE_TRY(const nlohmann::json document, parse_json(text, name));
  JsonMap map(document, std::string(name), "");
  TIDELINE_TRY(const std::int64_t version, map.integer("tideline_profile", 0, 1 << 30));
  if (version != kVersion) {
    return map.error("tideline_profile", "is version " + std::to_string(version) +
                                             ", this build reads version 1; measure again with: tideline profile");
  }
  Profile profile;
  TIDELINE_TRY(profile.model_name, map.text("model_name"));
  TIDELINE_TRY(profile.model_sha256, read_hash(map, "model_sha256"));
  TIDELINE_TRY(profile.chain_sha256, read_hash(map, "chain_sha256"));
  TIDELINE_TRY(profile.host, map.text("host"));
  TIDELINE_TRY(const std::int64_t threads, map.integer("threads", 1, limits::kEngineThreadsMax));
  TIDELINE_TRY(profile.engine, map.text("engine"));
  TIDELINE_TRY(profile.date, map.text("date"));
  TIDELINE_TRY(const double whole, map.number("whole_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  TIDELINE_TRY(const double whole_spread, map.number("whole_spread_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  TIDELINE_TRY(const std::int64_t memory, map.integer("whole_memory_bytes", 0, limits::kProfileBytesMax));
  TIDELINE_TRY(const double overhead, map.number("segment_overhead_ms", {.min = 0, .max = limits::kProfileMillisMax}));
  if (map.has("structure_sha256")) {
    TIDELINE_TRY(profile.structure_sha256, read_hash(map, "structure_sha256"));
  }
  if (map.has("whole_wall_ms")) {
    TIDELINE_TRY(const double wall, map.number("whole_wall_ms", {.min = 0, .max = limits::kProfileMillisMax}));
    profile.whole_wall = Millis(wall);
  }
  if (map.has("made_up_inputs")) {
    TIDELINE_TRY(const nlohmann::json* names, map.array("made_up_inputs"));
    for (const nlohmann::json& input : *names) {
      if (!input.is_string() || profile.made_up_inputs.size() >= limits::kFrameTensorsMax)
        return map.error("made_up_inputs", "must be names of inputs");
      profile.made_up_inputs.push_back(input.get<std::string>());
    }
  }
  if (map.has("power")) {
    TIDELINE_TRY(const nlohmann::json* power, map.object("power"));
    TIDELINE_TRY(profile.power, read_power(*power, map.file(), map.path_of("power")));
  }
  if (map.has("predicted")) {
    TIDELINE_TRY(const nlohmann::json* predicted, map.object("predicted"));
    TIDELINE_TRY(profile.prediction, read_prediction(*predicted, map.file(), map.path_of("predicted")));
  }
  TIDELINE_CHECK_OK(read_list(map, "blocks", profile.blocks, read_block));
  TIDELINE_CHECK_OK(read_list(map, "cuts", profile.cuts, read_cut));
  if (map.has("codecs")) TIDELINE_CHECK_OK(read_list(map, "codecs", profile.codecs, read_codec, limits::kCodecsMax));
  if (map.has("accuracy")) {
    TIDELINE_TRY(profile.accuracy, read_accuracy(map));
  }
  if (map.has("exits")) TIDELINE_CHECK_OK(read_list(map, "exits", profile.exits, read_exit, limits::kExitsMax));
  TIDELINE_CHECK_OK(map.finish());
  if (profile.blocks.empty()) return map.error("blocks", "must not be empty");
  if (profile.cuts.size() != profile.blocks.size() + 1) {
    return map.error("cuts", "must have one element more than blocks (" + std::to_string(profile.blocks.size() + 1) + "), not " +
                                 std::to_string(profile.cuts.size()));
  }
  TIDELINE_CHECK_OK(check_codecs(map, profile.codecs, profile.cuts.size()));
  TIDELINE_CHECK_OK(check_exits(map, profile));
  profile.threads = static_cast<int>(threads);
  profile.whole = Millis(whole);
  profile.whole_spread = Millis(whole_spread);
  profile.whole_memory_bytes = static_cast<Bytes>(memory);
  profile.segment_overhead = Millis(overhead);
  return profile;
}

}  // namespace tideline
