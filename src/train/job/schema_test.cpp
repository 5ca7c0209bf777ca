// Goal: docs/formats/job.schema.json and the reader are one: what the reader writes the schema accepts, every key of the schema
// is one that the reader knows, and both draw the same limits. Method: a validator of the few keywords that the schema uses;
// every strategy, compressor and choice; each number at and just beyond the ends of its range.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <regex>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "platform/files.h"
#include "train/job/job.h"

namespace tideline::train {
namespace {

using Json = nlohmann::json;
using Pointer = Json::json_pointer;

class Schema : public testing::Test {
 protected:
  void SetUp() override {
    const char* source = std::getenv("TIDELINE_SOURCE_DIR");
    ASSERT_NE(source, nullptr) << "run by ctest";
    const auto text = read_file(std::string(source) + "/docs/formats/job.schema.json", 1 << 20);
    ASSERT_TRUE(text) << text.error().message;
    schema_ = Json::parse(*text);
  }

  // Why `value` is not what `schema` says; empty when it is.
  std::string refusal(const Json& schema, const Json& value, const std::string& at = "") const {
    static const std::set<std::string> kKnown{"$schema",
                                              "title",
                                              "$defs",
                                              "description",
                                              "default",
                                              "$ref",
                                              "type",
                                              "const",
                                              "enum",
                                              "oneOf",
                                              "required",
                                              "properties",
                                              "pattern",
                                              "minimum",
                                              "maximum",
                                              "minLength",
                                              "additionalProperties",
                                              "exclusiveMinimum",
                                              "exclusiveMaximum",
                                              "items",
                                              "minItems",
                                              "maxItems",
                                              "uniqueItems"};
    for (const auto& [word, unused] : schema.items())
      if (!kKnown.contains(word)) return fmt::format("{}: the test does not know the keyword {}", at, word);
    if (schema.contains("$ref")) return refusal(schema_.at(Pointer(schema["$ref"].get<std::string>().substr(1))), value, at);
    if (schema.contains("oneOf")) {
      int fitting = 0;
      for (const Json& one : schema["oneOf"]) fitting += refusal(one, value, at).empty() ? 1 : 0;
      if (fitting != 1) return fmt::format("{}: {} fits {} of its forms", at, value.dump(), fitting);
    }
    const auto wrong = [&](const char* what) { return fmt::format("{}: {} against {}", at, value.dump(), what); };
    if (schema.contains("const") && value != schema["const"]) return wrong("const");
    if (schema.contains("enum") && std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
      return wrong("enum");
    if (schema.contains("type") && !is_type(schema["type"], value)) return wrong("type");
    if (value.is_number()) {
      const double x = value;
      if (schema.contains("minimum") && x < schema["minimum"]) return wrong("minimum");
      if (schema.contains("maximum") && x > schema["maximum"]) return wrong("maximum");
      if (schema.contains("exclusiveMinimum") && x <= schema["exclusiveMinimum"]) return wrong("exclusiveMinimum");
      if (schema.contains("exclusiveMaximum") && x >= schema["exclusiveMaximum"]) return wrong("exclusiveMaximum");
    }
    if (value.is_string()) {
      const std::string text = value;
      if (schema.contains("minLength") && text.size() < schema["minLength"]) return wrong("minLength");
      if (schema.contains("pattern") && !std::regex_search(text, std::regex(schema["pattern"].get<std::string>())))
        return wrong("pattern");
    }
    if (value.is_array()) {
      if (schema.contains("minItems") && value.size() < schema["minItems"]) return wrong("minItems");
      if (schema.contains("maxItems") && value.size() > schema["maxItems"]) return wrong("maxItems");
      if (schema.value("uniqueItems", false) && std::set<Json>(value.begin(), value.end()).size() < value.size())
        return wrong("uniqueItems");
      for (const Json& inner : value)
        if (std::string why = schema.contains("items") ? refusal(schema["items"], inner, at) : ""; !why.empty()) return why;
    }
    if (!value.is_object()) return "";
    for (const Json& key : schema.value("required", Json::array()))
      if (!value.contains(key)) return fmt::format("{} has no {}", at, key.dump());
    if (!schema.contains("properties")) return "";
    for (const auto& [key, inner] : value.items()) {
      const auto known = schema["properties"].find(key);
      if (known == schema["properties"].end()) return fmt::format("{} has {}", at, key);
      if (std::string why = refusal(*known, inner, at + "/" + key); !why.empty()) return why;
    }
    return "";
  }
  static bool is_type(const std::string& type, const Json& value) {
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    if (type == "integer") return value.is_number() && std::floor(value.get<double>()) == value.get<double>();
    return type == "number" && value.is_number();
  }

  // One job that has almost every key.
  static Json base() {
    return Json{{"version", 1},
                {"model", "m.onnx"},
                {"data", {{"train", "npy:d"}, {"test", "npy:t"}, {"divide", {{"rule", "iid"}}}}},
                {"workers", 9},
                {"strategy", {{"name", "fedavg"}}},
                {"optimiser", {{"name", "sgd"}, {"rate", 0.1}}},
                {"rounds", 3}};
  }
  static std::string read(const Json& json) {
    const auto job = parse_job(json.dump(), "job");
    return job ? "" : job.error().message;
  }
  // Read, and its canonical form fits the schema.
  void expect_read(const Json& json) const {
    const auto job = parse_job(json.dump(), "job");
    ASSERT_TRUE(job) << job.error().message << "\n" << json.dump();
    EXPECT_EQ(refusal(schema_, Json::parse(write_job(*job))), "");
    EXPECT_EQ(refusal(schema_, json), "");
  }
  Json strategy_properties() const { return schema_.at("/properties/strategy/properties"_json_pointer); }
  Json compression_properties() const { return schema_.at("/properties/compression/oneOf/1/properties"_json_pointer); }
  static std::set<std::string> names_of(const Json& list) { return list.get<std::set<std::string>>(); }

  // The schema's range of a key, against the widest of those who take it.
  struct Hull {
    double min = INFINITY;
    double max = -INFINITY;
    bool is_whole = true;
    void take(double least, double most, bool whole) {
      min = std::min(min, least), max = std::max(max, most), is_whole = is_whole && whole;
    }
  };
  static void expect_range(const std::string& key, const Json& property, const Hull& hull) {
    SCOPED_TRACE(key);
    if (property.contains("enum")) {
      EXPECT_EQ(property["enum"], (Json{0, 1}));
      EXPECT_TRUE(hull.is_whole && hull.min == 0 && hull.max == 1);
      return;
    }
    EXPECT_EQ(property["type"], hull.is_whole ? "integer" : "number");
    ASSERT_TRUE(property.contains("minimum") && property.contains("maximum")) << hull.min << " to " << hull.max;
    EXPECT_DOUBLE_EQ(property["minimum"].get<double>(), hull.min);
    EXPECT_DOUBLE_EQ(property["maximum"].get<double>(), hull.max);
  }

  Json schema_;
};

TEST_F(Schema, HasTheStrategiesAndTheirKeys) {
  std::set<std::string> names;
  std::map<std::string, Hull> keys;
  for (const StrategyForm& form : strategy_forms()) {
    names.emplace(form.name);
    for (const StrategyKey& key : form.keys) keys[std::string(key.name)].take(key.min, key.max, key.is_whole);
    Json job = base();
    job["workers"] = std::min<std::size_t>(9, form.workers_max);
    job["strategy"] = {{"name", form.name}};
    job["optimiser"]["momentum"] = 0.5;
    for (const Exchange exchange : form.exchanges) {
      job["exchange"] = to_string(exchange);
      SCOPED_TRACE(form.name);
      expect_read(job);
    }
  }
  const Json properties = strategy_properties();
  EXPECT_EQ(names_of(properties["name"]["enum"]), names);
  std::set<std::string> said;
  for (const auto& [key, property] : properties.items()) {
    if (key == "name" || key == "batch") continue;
    said.insert(key);
    ASSERT_TRUE(keys.contains(key)) << key << " is no strategy's";
    expect_range(key, property, keys[key]);
  }
  for (const auto& [key, hull] : keys) EXPECT_TRUE(said.contains(key)) << key << " is not in the schema";
}

TEST_F(Schema, HasTheCompressorsAndTheirKeys) {
  std::set<std::string> names;
  std::map<std::string, Hull> keys;
  for (const compress::CompressorInfo& info : compress::compressors()) {
    SCOPED_TRACE(info.name);
    names.emplace(info.name);
    Json job = base();
    job["compression"] = info.name;
    expect_read(job);
    job["compression"] = {{"name", info.name}};
    for (const compress::CompressorKey& key : info.keys) {
      keys[std::string(key.name)].take(key.min, key.max, key.is_whole);
      job["compression"][std::string(key.name)] = key.fallback;
    }
    expect_read(job);
  }
  EXPECT_EQ(names_of(schema_.at("/$defs/compression/enum"_json_pointer)), names);
  std::set<std::string> said;
  const Json properties = compression_properties();
  for (const auto& [key, property] : properties.items()) {
    if (key == "name") continue;
    said.insert(key);
    ASSERT_TRUE(keys.contains(key)) << key << " is no compressor's";
    expect_range(key, property, keys[key]);
  }
  for (const auto& [key, hull] : keys) EXPECT_TRUE(said.contains(key)) << key << " is not in the schema";
}

TEST_F(Schema, HasEveryChoice) {
  const auto choices = [&](const char* schema_of, const char* in_job,
                           const std::function<void(Json&, const std::string&)>& more) {
    for (const Json& word : schema_.at(Pointer(schema_of))["enum"]) {
      SCOPED_TRACE(word.dump());
      Json job = base();
      job[Pointer(in_job)] = word;
      more(job, word);
      expect_read(job);
    }
    Json job = base();
    job[Pointer(in_job)] = "none-of-these";
    EXPECT_NE(read(job), "");
  };
  choices("/properties/data/properties/divide/properties/rule", "/data/divide/rule", [](Json&, const std::string&) {});
  choices("/$defs/aggregation", "/aggregation", [](Json&, const std::string&) {});
  choices("/$defs/aggregation", "/aggregation/name", [](Json& job, const std::string& word) {
    if (word == "krum" || word == "trimmed-mean") job["aggregation"]["hostile"] = 2;
  });
  choices("/properties/optimiser/properties/name", "/optimiser/name", [](Json&, const std::string&) {});
  choices("/properties/optimiser/properties/schedule", "/optimiser/schedule", [](Json& job, const std::string& word) {
    if (word == "step") job["optimiser"]["step_rounds"] = 2;
  });
  choices("/properties/start", "/start", [](Json&, const std::string&) {});
  choices("/properties/exchange", "/exchange",
          [](Json& job, const std::string& word) { job["strategy"]["name"] = word == "peer-to-peer" ? "gossip" : "sync-sgd"; });
}

// Each number where the reader takes it, at the ends of the schema's range and beyond them.
TEST_F(Schema, DrawsTheSameLimitsAsTheReader) {
  struct At {
    const char* in_schema;  // below /properties
    const char* in_job;
    Json with = Json::object();  // what the key needs beside it
  };
  const Json kPrivate{{"/privacy", {{"clip", 1}, {"noise", 1}, {"delta", 1e-5}}}};
  const std::vector<At> numbers = {
      {"data/properties/mean", "/data/mean"},
      {"data/properties/std", "/data/std"},
      {"data/properties/shared", "/data/shared"},
      {"data/properties/divide/properties/per_worker", "/data/divide/per_worker", {{"/data/divide/rule", "shards"}}},
      {"data/properties/divide/properties/alpha", "/data/divide/alpha", {{"/data/divide/rule", "dirichlet"}}},
      {"data/properties/divide/properties/seed", "/data/divide/seed"},
      {"workers/oneOf/0", "/workers"},
      {"processes", "/processes", {{"/workers", 1000}}},
      {"strategy/properties/batch", "/strategy/batch"},
      {"aggregation/oneOf/1/properties/hostile",
       "/aggregation/hostile",
       {{"/aggregation/name", "trimmed-mean"}, {"/workers", 1000}}},
      {"optimiser/properties/rate", "/optimiser/rate"},
      {"optimiser/properties/momentum", "/optimiser/momentum"},
      {"optimiser/properties/beta1", "/optimiser/beta1", {{"/optimiser/name", "adam"}}},
      {"optimiser/properties/beta2", "/optimiser/beta2", {{"/optimiser/name", "adam"}}},
      {"optimiser/properties/epsilon", "/optimiser/epsilon", {{"/optimiser/name", "adam"}}},
      {"optimiser/properties/weight_decay", "/optimiser/weight_decay"},
      {"optimiser/properties/step_rounds", "/optimiser/step_rounds", {{"/optimiser/schedule", "step"}}},
      {"optimiser/properties/step_factor",
       "/optimiser/step_factor",
       {{"/optimiser/schedule", "step"}, {"/optimiser/step_rounds", 1}}},
      {"optimiser/properties/warmup_rounds", "/optimiser/warmup_rounds"},
      {"rounds", "/rounds"},
      {"epochs", "/epochs", {{"/rounds", nullptr}}},
      {"teacher/properties/temperature", "/teacher/temperature", {{"/teacher/model", "t.onnx"}}},
      {"teacher/properties/weight", "/teacher/weight", {{"/teacher/model", "t.onnx"}}},
      {"privacy/properties/clip", "/privacy/clip", kPrivate},
      {"privacy/properties/noise", "/privacy/noise", kPrivate},
      {"privacy/properties/delta", "/privacy/delta", kPrivate},
      {"privacy/properties/seed", "/privacy/seed", kPrivate},
      {"seed", "/seed"},
      {"evaluate/properties/every", "/evaluate/every"},
      {"deadlines/properties/quorum", "/deadlines/quorum"},
      {"deadlines/properties/spread", "/deadlines/spread"},
      {"deadlines/properties/norm_factor", "/deadlines/norm_factor"},
      {"checkpoint/properties/every", "/checkpoint/every", {{"/checkpoint/folder", "kept"}}},
  };
  std::set<std::string> tried;
  for (const At& at : numbers) {
    SCOPED_TRACE(at.in_job);
    tried.insert(at.in_schema);
    Json property = schema_.at(Pointer(std::string("/properties/") + at.in_schema));
    if (property.contains("$ref")) property = schema_.at(Pointer(property["$ref"].get<std::string>().substr(1)));
    if (property.contains("oneOf")) property = property["oneOf"].back();
    const auto with = [&](double value) {
      Json job = base();
      for (const auto& [where, what] : at.with.items()) {
        if (what.is_null())
          job.erase(where.substr(1));
        else
          job[Pointer(where)] = what;
      }
      if (property["type"] == "integer")
        job[Pointer(at.in_job)] = static_cast<std::int64_t>(value);
      else
        job[Pointer(at.in_job)] = value;
      return job;
    };
    ASSERT_TRUE(property.contains("minimum") && property.contains("maximum"));
    const double least = property["minimum"], most = property["maximum"];
    const bool is_whole = property["type"] == "integer";
    EXPECT_EQ(read(with(least)), "");
    const std::string at_most = read(with(most));
    // How many may be hostile depends on the workers, whatever the range.
    if (std::string_view(at.in_job) != "/aggregation/hostile") EXPECT_EQ(at_most, "");
    EXPECT_NE(read(with(is_whole ? least - 1 : least - std::max(1e-9, std::abs(least) * 1e-3))), "");
    EXPECT_NE(read(with(is_whole ? most + 1 : most + std::max(1e-9, std::abs(most) * 1e-3))), "");
  }
  // No number has been forgotten, but those of strategies and compressors.
  const std::function<void(const Json&, const std::string&)> walk = [&](const Json& schema, const std::string& path) {
    const std::string type = schema.value("type", "");
    if ((type == "number" || type == "integer" || schema.value("$ref", "") == "#/$defs/seed") && !path.starts_with("strategy/") &&
        !path.starts_with("compression/")) {
      EXPECT_TRUE(tried.contains(path)) << path;
    }
    const Json properties = schema.value("properties", Json::object());
    for (const auto& [key, inner] : properties.items()) walk(inner, path.empty() ? key : path + "/properties/" + key);
    for (std::size_t i = 0; schema.contains("oneOf") && i < schema["oneOf"].size(); ++i)
      walk(schema["oneOf"][i], fmt::format("{}/oneOf/{}", path, i));
  };
  walk(schema_, "");
}

// A key that the schema has and the reader does not would be refused by its name; the other way round above.
TEST_F(Schema, HasNoKeyOfItsOwn) {
  Json job = base();
  job["loss"] = "cross-entropy";
  job["processes"] = 2;
  job["exchange"] = "parameter-server";
  job["compression"] = "none";
  job["aggregation"] = "mean";
  job["seed"] = 1;
  job["start"] = "file";
  job["evaluate"] = {{"every", 2}};
  job["deadlines"] = {{"quorum", 0.5}, {"spread", 3}, {"patience", "20s"}, {"norm_factor", 10}};
  job["checkpoint"] = {{"folder", "kept"}, {"every", 2}};
  job["optimiser"] = {{"name", "sgd"}, {"rate", 0.1}, {"momentum", 0.5}, {"nesterov", true}};
  expect_read(job);
  Json epochs = job;
  epochs.erase("rounds");
  epochs["epochs"] = 2;
  expect_read(epochs);
  job["teacher"] = {{"model", "t.onnx"}, {"temperature", 2}, {"weight", 0.5}};
  expect_read(job);
  Json hidden = job;
  hidden.erase("teacher");
  hidden["deadlines"].erase("quorum");
  hidden["privacy"] = {{"clip", 1}, {"noise", 1}, {"delta", 1e-5}, {"seed", 3}};
  expect_read(hidden);
  for (const auto& [key, unused] : schema_["properties"].items())
    EXPECT_TRUE(job.contains(key) || epochs.contains(key) || hidden.contains(key)) << key << " is not tried";
  for (const char* in : {"evaluate", "deadlines", "checkpoint"})
    for (const auto& [key, unused] : schema_["properties"][in]["properties"].items())
      EXPECT_TRUE(job[in].contains(key)) << in << "." << key << " is not tried";
  // And what neither knows, both refuse.
  for (const char* at : {"/surprise", "/data/surprise", "/data/divide/surprise", "/strategy/surprise", "/optimiser/surprise",
                         "/teacher/surprise", "/evaluate/surprise", "/deadlines/surprise", "/checkpoint/surprise"}) {
    Json other = job;
    other[Pointer(at)] = 1;
    EXPECT_NE(read(other).find("unknown key 'surprise'"), std::string::npos) << at << ": " << read(other);
    EXPECT_NE(refusal(schema_, other), "") << at;
  }
}

TEST_F(Schema, DurationsAndDataAreWrittenAsTheReaderTakesThem) {
  for (const auto& [patience, is_good] : {std::pair{"20s", true},
                                          {"500ms", true},
                                          {"1.5 s", true},
                                          {"2min", true},
                                          {"20000us", true},
                                          {"1h", false},
                                          {"1000000000ns", false},
                                          {"20", false},
                                          {"s", false}}) {
    Json job = base();
    job["deadlines"] = {{"patience", patience}};
    EXPECT_EQ(read(job).empty(), is_good) << patience << ": " << read(job);
    EXPECT_EQ(refusal(schema_, job).empty(), is_good) << patience << ": " << refusal(schema_, job);
  }
  for (const auto& [data, is_good] :
       {std::pair{"npy:d", true}, {"idx:d", true}, {"npy:site/{worker}", true}, {"csv:d", false}, {"d", false}}) {
    Json job = base();
    job["data"] = {{"train", data}};
    EXPECT_EQ(read(job).empty(), is_good) << data;
    EXPECT_EQ(refusal(schema_, job).empty(), is_good) << data;
  }
}

}  // namespace
}  // namespace tideline::train
