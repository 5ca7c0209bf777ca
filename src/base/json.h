// Strict reading of JSON files with nlohmann-json: limits on size and depth before parsing, errors that name the file,
// the place ("ops[3].runtime_ms[1]") and what was expected. Values; not thread-safe while being read.
//
//   TIDELINE_TRY(const nlohmann::json document, parse_json(text, "table.json"));
//   JsonMap map(document, "table.json", "");
//   TIDELINE_TRY(const double bytes, map.number("input_bytes", {.min = 0}));
//   TIDELINE_CHECK_OK(map.finish());
//
// Include only from .cpp files: nlohmann/json.hpp is slow to compile.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace tideline {

// kInvalidArgument with line and column for text that is not JSON, is over limits::kConfigFileBytesMax, is nested deeper than
// limits::kConfigDepthMax, or has a duplicate key.
Result<nlohmann::json> parse_json(std::string_view text, std::string_view name);

struct NumberRange {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool min_is_excluded = false;
};

// One JSON object being read. Each getter marks its key as known; finish() refuses the unknown ones.
class JsonMap {
 public:
  // `json` must outlive this. `file` and `path` are for errors.
  JsonMap(const nlohmann::json& json, std::string file, std::string path);

  bool has(std::string_view key) const;
  // A finite number within the range.
  Result<double> number(std::string_view key, NumberRange range = {});
  Result<double> number_or(std::string_view key, double fallback, NumberRange range = {});
  Result<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
  Result<std::int64_t> integer_or(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max);
  Result<std::string> text(std::string_view key);
  Result<std::string> text_or(std::string_view key, std::string fallback);
  Result<bool> boolean_or(std::string_view key, bool fallback);
  Result<std::vector<double>> numbers(std::string_view key, NumberRange range = {});
  // The elements of an array; a pointer to the raw value for anything else. Both point into the document.
  Result<const nlohmann::json*> array(std::string_view key);
  Result<const nlohmann::json*> object(std::string_view key);
  Status finish() const;

  // kInvalidArgument: "table.json: ops[3].name: <message>".
  Error error(std::string_view key, std::string_view message) const;
  const std::string& file() const { return file_; }
  std::string path_of(std::string_view key) const;

 private:
  Result<const nlohmann::json*> find(std::string_view key, std::string_view expected);
  const nlohmann::json& json_;
  std::string file_;
  std::string path_;
  std::vector<std::string> known_;
};

// The number in `value`, or an error that names `where`.
Result<double> json_number(const nlohmann::json& value, std::string_view file, std::string_view where, NumberRange range = {});

}  // namespace tideline
