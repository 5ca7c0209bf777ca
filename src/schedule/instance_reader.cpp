// The reader of instance files. A streaming one: the tree of a file with a hundred thousand tasks would take gigabytes, and
// the format is small enough to be a state machine with one state per kind of brace.
#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "schedule/instance.h"

namespace tideline::schedule {
namespace {

enum class Place { kTop, kServers, kServer, kModels, kModel, kLayers, kLayer, kTasks, kTask, kData, kRest };

struct PlaceInfo {
  bool is_array;
  std::array<std::string_view, 7> keys;  // of an object; empty ones are not there
  unsigned required;                     // a bit per key
};

const PlaceInfo& info(Place place) {
  static constexpr std::array<PlaceInfo, 11> kInfo{{
      {false, {"bandwidth_share", "servers", "models", "tasks"}, 0b1111},
      {true, {}, 0},
      {false, {"bandwidth_mbit_s", "capacity_gflop_s", "name"}, 0b11},
      {true, {}, 0},
      {false, {"name", "layers", "rest_gflop_per_mb"}, 0b10},
      {true, {}, 0},
      {false, {"ratio", "gflop_per_mb"}, 0b11},
      {true, {}, 0},
      {false, {"model", "latency_s", "data_mb_s", "rate_hz", "fixed_s", "raw_stays", "name"}, 0b111},
      {false, {}, 0},
      {true, {}, 0},
  }};
  return kInfo[static_cast<std::size_t>(place)];
}

// What nlohmann's SAX parser calls. Each function returns false to stop; `problem` then says why.
class Reader {
 public:
  explicit Reader(std::string_view name) : name_(name) {}

  Instance instance;
  std::string problem;

  bool null() { return refuse("null"); }
  bool boolean(bool value) {
    if (!stack_.empty() && place() == Place::kTask && key_ == 5) {
      instance.tasks.back().raw_stays = value;
      return true;
    }
    return refuse(value ? "true" : "false");
  }
  bool number_integer(std::int64_t value) { return refuse_or_store(static_cast<double>(value), false); }
  bool number_unsigned(std::uint64_t value) { return refuse_or_store(static_cast<double>(value), true); }
  bool number_float(double value, const std::string&) { return refuse_or_store(value, false); }
  bool binary(nlohmann::json::binary_t&) { return refuse("bytes"); }

  bool string(std::string& value) {
    std::string* const target = stack_.empty() ? nullptr : text_target();
    if (target == nullptr) return refuse("text");
    if (value.size() > limits::kNameBytesMax) return fail("the name is too long");
    *target = value;
    return true;
  }

  bool key(std::string& value) {
    if (place() == Place::kData) return data_key(value);
    const auto& keys = info(place()).keys;
    for (unsigned k = 0; k < keys.size(); ++k) {
      if (keys[k].empty() || keys[k] != value) continue;
      key_ = static_cast<int>(k);
      if ((seen_.back() & (1u << k)) != 0) return fail("the key appears twice");
      seen_.back() |= 1u << k;
      return true;
    }
    key_ = -1;
    const std::string_view near = nearest(value, keys);
    return fail(near.empty() ? fmt::format("unknown key '{}'", printable(value))
                             : fmt::format("unknown key '{}'; did you mean '{}'?", printable(value), near));
  }

  bool start_object(std::size_t) {
    if (stack_.empty()) return enter(Place::kTop);
    switch (place()) {
      case Place::kServers:
        if (instance.servers.size() >= limits::kInstanceServersMax) return fail("too many servers");
        instance.servers.emplace_back();
        return enter(Place::kServer);
      case Place::kModels:
        if (instance.models.size() >= limits::kInstanceModelsMax) return fail("too many models");
        instance.models.emplace_back().name = fmt::format("model {}", instance.models.size() - 1);
        return enter(Place::kModel);
      case Place::kLayers:
        if (instance.models.back().layers.size() >= limits::kInstanceLayersMax) return fail("too many layers");
        instance.models.back().layers.emplace_back();
        return enter(Place::kLayer);
      case Place::kTasks:
        if (instance.tasks.size() >= limits::kInstanceTasksMax) return fail("too many tasks");
        instance.tasks.emplace_back().first_touch = instance.touches.size();
        return enter(Place::kTask);
      case Place::kTask:
        if (key_ == 2) return enter(Place::kData);
        break;
      default: break;
    }
    return refuse("an object {...}");
  }

  bool start_array(std::size_t) {
    if (!stack_.empty() && place() == Place::kTop && key_ == 1) return enter(Place::kServers);
    if (!stack_.empty() && place() == Place::kTop && key_ == 2) return enter(Place::kModels);
    if (!stack_.empty() && place() == Place::kTop && key_ == 3) return enter(Place::kTasks);
    if (!stack_.empty() && place() == Place::kModel && key_ == 1) return enter(Place::kLayers);
    if (!stack_.empty() && place() == Place::kModel && key_ == 2) return enter(Place::kRest);
    return refuse("a list [...]");
  }

  bool end_object() {
    const PlaceInfo& now = info(place());
    for (unsigned k = 0; k < now.keys.size(); ++k) {
      if ((now.required & (1u << k)) == 0 || (seen_.back() & (1u << k)) != 0) continue;
      key_ = static_cast<int>(k);
      return fail("this key is required");
    }
    if (place() == Place::kData && !finish_touches()) return false;
    leave();
    return true;
  }

  bool end_array() {
    leave();
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) {
    position_ = position;
    // 406 is a number such as 1e999, which is JSON but no double.
    if (error.id == 406) return fail("the number is too large");
    is_syntax_error_ = true;
    return false;
  }

  // The place of a syntax error in the text, or of none.
  bool is_syntax_error() const { return is_syntax_error_; }
  std::size_t position() const { return position_; }

 private:
  Place place() const { return stack_.back(); }

  bool enter(Place place) {
    stack_.push_back(place);
    seen_.push_back(0);
    key_ = -1;
    return true;
  }

  void leave() {
    stack_.pop_back();
    seen_.pop_back();
    key_ = -1;
    // The key under which the finished value stands, for messages about what follows.
  }

  bool data_key(const std::string& value) {
    std::uint32_t server = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), server);
    const bool is_canonical = value.size() == 1 || (!value.empty() && value[0] != '0');
    data_key_ = value;
    if (code != std::errc() || end != value.data() + value.size() || !is_canonical)
      return fail("the key must be a server's index, such as \"3\"");
    if (instance.touches.size() >= limits::kInstanceTouchesMax) return fail("too many task-server pairs");
    instance.touches.push_back({.server = server});
    return true;
  }

  // Sorts the servers of the task just read, so that the order of keys in the file does not matter.
  bool finish_touches() {
    Task& task = instance.tasks.back();
    const auto first = instance.touches.begin() + static_cast<std::ptrdiff_t>(task.first_touch);
    task.touch_count = static_cast<std::uint32_t>(instance.touches.end() - first);
    const auto by_server = [](const Touch& a, const Touch& b) { return a.server < b.server; };
    if (!std::is_sorted(first, instance.touches.end(), by_server)) std::sort(first, instance.touches.end(), by_server);
    const auto same =
        std::adjacent_find(first, instance.touches.end(), [](const Touch& a, const Touch& b) { return a.server == b.server; });
    if (same == instance.touches.end()) return true;
    data_key_ = fmt::to_string(same->server);
    return fail("the server appears twice");
  }

  bool refuse_or_store(double value, bool is_index) {
    if (stack_.empty()) return refuse("a number");
    double* const target = number_target();
    if (target != nullptr) {
      *target = value;
      return true;
    }
    if (place() == Place::kTask && key_ == 0) {
      if (!is_index || value > UINT32_MAX) return fail(fmt::format("expected the index of a model, found {}", value));
      instance.tasks.back().model = static_cast<std::uint32_t>(value);
      return true;
    }
    return refuse("a number");
  }

  std::string* text_target() {
    if (place() == Place::kModel && key_ == 0) return &instance.models.back().name;
    if (place() == Place::kServer && key_ == 2) return &named(instance.server_names, instance.servers.size());
    if (place() == Place::kTask && key_ == 6) return &named(instance.task_names, instance.tasks.size());
    return nullptr;
  }

  // The name of the last of `count`; validate() finds those that have none.
  static std::string& named(std::vector<std::string>& names, std::size_t count) {
    names.resize(count);
    return names.back();
  }

  double* number_target() {
    switch (place()) {
      case Place::kTop: return key_ == 0 ? &instance.bandwidth_share : nullptr;
      case Place::kServer:
        return key_ == 0   ? &instance.servers.back().bandwidth_mbit_s
               : key_ == 1 ? &instance.servers.back().capacity_gflop_s
                           : nullptr;
      case Place::kLayer: {
        Layer& layer = instance.models.back().layers.back();
        return key_ == 0 ? &layer.ratio : &layer.gflop_per_mb;
      }
      case Place::kTask: {
        Task& task = instance.tasks.back();
        return key_ == 1 ? &task.latency_s : key_ == 3 ? &task.rate_hz : key_ == 4 ? &task.fixed_s : nullptr;
      }
      case Place::kRest: {
        std::vector<double>& rest = instance.models.back().rest_gflop_per_mb;
        return rest.size() > limits::kInstanceLayersMax ? nullptr : &rest.emplace_back();
      }
      case Place::kData: return &instance.touches.back().data_mb_s;
      default: return nullptr;
    }
  }

  bool refuse(std::string_view found) { return fail(fmt::format("expected {}, found {}", expected(), found)); }

  std::string_view expected() const {
    if (stack_.empty()) return "an object {...}";
    switch (place()) {
      case Place::kTop: return key_ == 0 ? "a number" : "a list [...]";
      case Place::kServers:
      case Place::kModels:
      case Place::kLayers:
      case Place::kTasks: return "an object {...}";
      case Place::kModel: return key_ == 0 ? "text" : "a list [...]";
      case Place::kServer: return key_ == 2 ? "text" : "a number";
      case Place::kTask:
        return key_ == 0   ? "the index of a model"
               : key_ == 2 ? "an object {...}"
               : key_ == 5 ? "true or false"
               : key_ == 6 ? "text"
                           : "a number";
      default: return "a number";
    }
  }

  // "tasks[17].data_mb_s.3": from the stack, the sizes of the lists read so far, and the current key.
  std::string where() const {
    std::string path;
    const auto append = [&path](std::string_view part) {
      if (!path.empty() && part.front() != '[') path += '.';
      path += part;
    };
    for (const Place at : stack_) {
      switch (at) {
        case Place::kServers: append("servers"); break;
        case Place::kModels: append("models"); break;
        case Place::kTasks: append("tasks"); break;
        case Place::kLayers: append("layers"); break;
        case Place::kData: append("data_mb_s"); break;
        case Place::kRest: append("rest_gflop_per_mb"); break;
        case Place::kServer: append(fmt::format("[{}]", instance.servers.size() - 1)); break;
        case Place::kModel: append(fmt::format("[{}]", instance.models.size() - 1)); break;
        case Place::kTask: append(fmt::format("[{}]", instance.tasks.size() - 1)); break;
        case Place::kLayer: append(fmt::format("[{}]", instance.models.back().layers.size() - 1)); break;
        case Place::kTop: break;
      }
    }
    if (!stack_.empty()) append_key(path);
    return path.empty() ? "top level" : path;
  }

  void append_key(std::string& path) const {
    const auto next = [&path](std::size_t index) { path += fmt::format("[{}]", index); };
    switch (place()) {
      case Place::kServers: return next(instance.servers.size());
      case Place::kModels: return next(instance.models.size());
      case Place::kTasks: return next(instance.tasks.size());
      case Place::kLayers: return next(instance.models.back().layers.size());
      case Place::kRest: return next(instance.models.back().rest_gflop_per_mb.size());
      case Place::kData: path += "." + printable(data_key_, 40); return;
      default: break;
    }
    if (key_ < 0) return;
    if (!path.empty()) path += '.';
    path += info(place()).keys[static_cast<std::size_t>(key_)];
  }

  bool fail(std::string_view message) {
    problem = fmt::format("{}: {}: {}", name_, where(), message);
    return false;
  }

  std::string_view name_;
  std::vector<Place> stack_;
  std::vector<unsigned> seen_;  // per open brace: the keys it has had
  int key_ = -1;                // the current key of the innermost object
  std::string data_key_;
  std::size_t position_ = 0;
  bool is_syntax_error_ = false;
};

std::string syntax_error(std::string_view json, std::string_view name, std::size_t position) {
  const std::size_t at = std::min(position == 0 ? 0 : position - 1, json.size());
  const auto line = 1 + std::count(json.begin(), json.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  const std::size_t start = json.substr(0, at).rfind('\n');
  const std::size_t column = start == std::string_view::npos ? at + 1 : at - start;
  return fmt::format("{}:{}:{}: not valid JSON here", name, line, column);
}

}  // namespace

Result<Instance> parse_instance(std::string_view json, std::string_view name) {
  const auto invalid = [](std::string message) { return Error{ErrorCode::kInvalidArgument, std::move(message)}; };
  if (json.size() > limits::kInstanceFileBytesMax)
    return invalid(fmt::format("{}: larger than {} MB", name, limits::kInstanceFileBytesMax >> 20));
  Reader reader(name);
  // SAX callbacks of ours do not throw; the parser itself may (out of memory inside a token).
  try {
    if (!nlohmann::json::sax_parse(json.begin(), json.end(), &reader)) {
      if (reader.is_syntax_error()) return invalid(syntax_error(json, name, reader.position()));
      return invalid(std::move(reader.problem));
    }
  } catch (const nlohmann::json::exception& error) {
    return invalid(fmt::format("{}: {}", name, error.what()));
  }
  TIDELINE_CHECK_OK(validate(reader.instance, name));
  return std::move(reader.instance);
}

}  // namespace tideline::schedule
