#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"

namespace tideline {
namespace {

Error invalid(std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; }

std::string join(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

// Walks a document without building it. The parser's own way of watching while it builds takes time with the square of an array's
// length.
class Watcher : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::string problem;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    keys_.emplace_back();
    return enter();
  }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) problem = fmt::format("the key '{}' appears twice", printable(name));
    return problem.empty();
  }
  bool end_object() override {
    keys_.pop_back();
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override { return enter(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  // What is not JSON is the builder's to report, with its place.
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override { return false; }

 private:
  bool enter() {
    if (++depth_ > limits::kConfigDepthMax) problem = fmt::format("nested deeper than {} levels", limits::kConfigDepthMax);
    return problem.empty();
  }

  int depth_ = 0;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

Result<nlohmann::json> parse_json(std::string_view text, std::string_view name) {
  if (text.size() > limits::kConfigFileBytesMax)
    return invalid(fmt::format("{}: larger than {}", name, format_bytes(limits::kConfigFileBytesMax)));
  Watcher watcher;
  // Both parsers keep their own stack on the heap, so deep nesting cannot overflow ours before the watcher sees it.
  try {
    (void)nlohmann::json::sax_parse(text.begin(), text.end(), &watcher);
    if (!watcher.problem.empty()) return invalid(fmt::format("{}: {}", name, watcher.problem));
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    const std::size_t at = std::min<std::size_t>(error.byte == 0 ? 0 : error.byte - 1, text.size());
    const std::size_t line =
        1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    const std::size_t start = text.substr(0, at).rfind('\n');
    const std::size_t column = start == std::string_view::npos ? at + 1 : at - start;
    return invalid(fmt::format("{}:{}:{}: not valid JSON here", name, line, column));
  } catch (const nlohmann::json::exception& error) {
    return invalid(fmt::format("{}: {}", name, error.what()));
  }
}

Result<double> json_number(const nlohmann::json& value, std::string_view file, std::string_view where, NumberRange range) {
  if (!value.is_number())
    return invalid(fmt::format("{}: {}: expected a number, found {}", file, where, printable(value.dump(-1, ' ', true), 40)));
  const double number = value.get<double>();
  if (!std::isfinite(number)) return invalid(fmt::format("{}: {}: the number must be finite", file, where));
  if (number < range.min || (range.min_is_excluded && number == range.min))
    return invalid(fmt::format("{}: {}: {} is too small; it must be {} {}", file, where, number,
                               range.min_is_excluded ? "above" : "at least", range.min));
  if (number > range.max)
    return invalid(fmt::format("{}: {}: {} is too large; it must be at most {}", file, where, number, range.max));
  return number;
}

JsonMap::JsonMap(const nlohmann::json& json, std::string file, std::string path)
    : json_(json), file_(std::move(file)), path_(std::move(path)) {}

std::string JsonMap::path_of(std::string_view key) const { return join(path_, key); }

Error JsonMap::error(std::string_view key, std::string_view message) const {
  return invalid(fmt::format("{}: {}: {}", file_, key.empty() ? (path_.empty() ? "top level" : path_) : path_of(key), message));
}

bool JsonMap::has(std::string_view key) const { return json_.is_object() && json_.contains(key); }

Result<const nlohmann::json*> JsonMap::find(std::string_view key, std::string_view expected) {
  known_.emplace_back(key);
  if (!json_.is_object()) return error("", "expected an object {...}");
  const auto found = json_.find(key);
  if (found == json_.end()) return error(key, fmt::format("this key is required (expected {})", expected));
  return &*found;
}

Result<double> JsonMap::number(std::string_view key, NumberRange range) {
  TIDELINE_TRY(const auto* value, find(key, "a number"));
  return json_number(*value, file_, path_of(key), range);
}

Result<double> JsonMap::number_or(std::string_view key, double fallback, NumberRange range) {
  if (!has(key)) {
    known_.emplace_back(key);
    return fallback;
  }
  return number(key, range);
}

Result<std::int64_t> JsonMap::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  TIDELINE_TRY(const auto* value, find(key, "a whole number"));
  if (!value->is_number_integer() ||
      (value->is_number_unsigned() && value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)))
    return error(key, fmt::format("expected a whole number, found {}", printable(value->dump(-1, ' ', true), 40)));
  const auto number = value->get<std::int64_t>();
  if (number < min || number > max) return error(key, fmt::format("{} is out of range; it must be {} to {}", number, min, max));
  return number;
}

Result<std::int64_t> JsonMap::integer_or(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max) {
  if (!has(key)) {
    known_.emplace_back(key);
    return fallback;
  }
  return integer(key, min, max);
}

Result<std::string> JsonMap::text(std::string_view key) {
  TIDELINE_TRY(const auto* value, find(key, "text"));
  if (!value->is_string()) return error(key, "expected text");
  return value->get<std::string>();
}

Result<std::string> JsonMap::text_or(std::string_view key, std::string fallback) {
  if (!has(key)) {
    known_.emplace_back(key);
    return fallback;
  }
  return text(key);
}

Result<bool> JsonMap::boolean_or(std::string_view key, bool fallback) {
  if (!has(key)) {
    known_.emplace_back(key);
    return fallback;
  }
  TIDELINE_TRY(const auto* value, find(key, "true or false"));
  if (!value->is_boolean()) return error(key, "expected true or false");
  return value->get<bool>();
}

Result<std::vector<double>> JsonMap::numbers(std::string_view key, NumberRange range) {
  TIDELINE_TRY(const auto* values, array(key));
  std::vector<double> numbers;
  for (std::size_t i = 0; i < values->size(); ++i) {
    TIDELINE_TRY(const double number, json_number((*values)[i], file_, fmt::format("{}[{}]", path_of(key), i), range));
    numbers.push_back(number);
  }
  return numbers;
}

Result<const nlohmann::json*> JsonMap::array(std::string_view key) {
  TIDELINE_TRY(const auto* value, find(key, "a list [...]"));
  if (!value->is_array()) return error(key, "expected a list [...]");
  return value;
}

Result<const nlohmann::json*> JsonMap::object(std::string_view key) {
  TIDELINE_TRY(const auto* value, find(key, "an object {...}"));
  if (!value->is_object()) return error(key, "expected an object {...}");
  return value;
}

Status JsonMap::finish() const {
  if (!json_.is_object()) return error("", "expected an object {...}");
  for (const auto& item : json_.items()) {
    if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) continue;
    const std::vector<std::string_view> candidates(known_.begin(), known_.end());
    const std::string_view near = nearest(item.key(), candidates);
    return error("", near.empty() ? fmt::format("unknown key '{}'", printable(item.key()))
                                  : fmt::format("unknown key '{}'; did you mean '{}'?", printable(item.key()), near));
  }
  return {};
}

}  // namespace tideline
