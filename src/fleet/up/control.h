// What a person or a script asks of a coordinator: one line of JSON there, one line back, over a socket of the coordinator's own
// that only its user can open. Strict and bounded: an unknown command or key is an error that names it.
//
//   {"command": "submit", "task": {"name": "door", "model": "digits", "source": "cam1", "rate": "5/s", "deadline": "200ms"},
//    "moves": 2, "evictions": 0}
//   {"command": "remove", "name": "door"}      {"command": "status"}      {"command": "down"}
//
// The answer is {"ok": true, "result": ..} or {"ok": false, "code": N, "message": ".."} with the codes of base/result.h.
// Pure functions; thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline::fleet {

enum class ControlCommand : std::uint8_t { kStatus, kSubmit, kRemove, kDown };

struct ControlRequest {
  ControlCommand command = ControlCommand::kStatus;
  std::string task;  // of submit: the task's keys, as fleet.yaml has them, as JSON
  std::uint32_t moves = 0;
  std::uint32_t evictions = 0;
  std::string name;  // of remove
  bool operator==(const ControlRequest&) const = default;
};

// kInvalidArgument for lines over limits::kControlLineBytesMax, and for all that write_control() does not write but for spaces.
Result<ControlRequest> parse_control(std::string_view line);
// Without the end of the line.
std::string write_control(const ControlRequest& request);

// `result`: JSON.
std::string write_answer(const Result<std::string>& result);
// The result as JSON, or the coordinator's error.
Result<std::string> parse_answer(std::string_view line);

}  // namespace tideline::fleet
