#include "fleet/up/control.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/name.h"
#include "base/text.h"

namespace tideline::fleet {
namespace {

constexpr std::array<std::string_view, 4> kCommandNames{"status", "submit", "remove", "down"};
constexpr const char* kWhere = "the request";

}  // namespace

Result<ControlRequest> parse_control(std::string_view line) {
  if (line.size() > limits::kControlLineBytesMax)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[fleet] a request of {} bytes; at most {}", line.size(), limits::kControlLineBytesMax)};
  TIDELINE_TRY(const nlohmann::json document, parse_json(line, kWhere));
  if (!document.is_object()) return Error{ErrorCode::kInvalidArgument, "[fleet] a request is a JSON object"};
  JsonMap map(document, kWhere, "");
  TIDELINE_TRY(const std::string command, map.text("command"));
  const auto known = std::find(kCommandNames.begin(), kCommandNames.end(), command);
  if (known == kCommandNames.end())
    return map.error("command", fmt::format("expected {}, found '{}'", fmt::join(kCommandNames, ", "), printable(command)));
  ControlRequest request{.command = static_cast<ControlCommand>(known - kCommandNames.begin()), .task = "", .name = ""};
  if (request.command == ControlCommand::kSubmit) {
    TIDELINE_TRY(const nlohmann::json* task, map.object("task"));
    if (!task->is_object()) return map.error("task", "expected the keys of a task");
    request.task = task->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    TIDELINE_TRY(const std::int64_t moves, map.integer_or("moves", 0, 0, limits::kFleetMovesMax));
    TIDELINE_TRY(const std::int64_t evictions, map.integer_or("evictions", 0, 0, limits::kFleetMovesMax));
    request.moves = static_cast<std::uint32_t>(moves);
    request.evictions = static_cast<std::uint32_t>(evictions);
  }
  if (request.command == ControlCommand::kRemove) {
    TIDELINE_TRY(request.name, map.text("name"));
    if (!is_name(request.name)) return map.error("name", fmt::format("a name is {}", kNameRule));
  }
  TIDELINE_CHECK_OK(map.finish());
  return request;
}

std::string write_control(const ControlRequest& request) {
  nlohmann::ordered_json json{{"command", kCommandNames[static_cast<std::size_t>(request.command)]}};
  if (request.command == ControlCommand::kSubmit) {
    json["task"] = nlohmann::ordered_json::parse(request.task, nullptr, false);
    json["moves"] = request.moves;
    json["evictions"] = request.evictions;
  }
  if (request.command == ControlCommand::kRemove) json["name"] = request.name;
  return json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
}

std::string write_answer(const Result<std::string>& result) {
  // The result is JSON already, and may be large.
  if (result) return "{\"ok\":true,\"result\":" + *result + "}";
  return nlohmann::json{{"ok", false}, {"code", static_cast<int>(result.error().code)}, {"message", result.error().message}}.dump(
      -1, ' ', true, nlohmann::json::error_handler_t::replace);
}

Result<std::string> parse_answer(std::string_view line) {
  const Error wrong{ErrorCode::kCorrupt, "[fleet] what answers at the control socket is no coordinator of this version"};
  const auto document = nlohmann::ordered_json::parse(line, nullptr, false);
  if (!document.is_object() || !document.contains("ok") || !document["ok"].is_boolean()) return wrong;
  if (document["ok"].get<bool>()) {
    if (!document.contains("result")) return wrong;
    return document["result"].dump();
  }
  if (!document.contains("code") || !document["code"].is_number_integer() || !document.contains("message") ||
      !document["message"].is_string())
    return wrong;
  const auto code = document["code"].get<std::int64_t>();
  if (code < static_cast<int>(ErrorCode::kInvalidArgument) || code > static_cast<int>(ErrorCode::kInfeasible)) return wrong;
  return Error{static_cast<ErrorCode>(code), document["message"].get<std::string>()};
}

}  // namespace tideline::fleet
