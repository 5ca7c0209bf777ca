// Why no plan keeps the limits of a question: which of them clash, and what each quantity could be alone. For tables and models.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "planner/question.h"

namespace tideline {

// One limit of a question that no plan answers.
struct LimitReport {
  std::string quantity;         // "latency", ..., "memory", "keep-on-source"
  double limit = 0;             // of no meaning for memory; blocks for keep-on-source
  std::optional<double> alone;  // the best that this quantity can be when the other limits are dropped; none for the last two
  bool clashes = false;         // one of a smallest set of limits that no plan keeps together
  bool operator==(const LimitReport&) const = default;
};

// The values of the best plan, or kInfeasible.
using AnswerTo = std::function<Result<Values>(const Question&)>;
// `keep`: how many first blocks stay on the source. Some searches for each limit.
Result<std::vector<LimitReport>> why_not(const Question& question, std::uint32_t keep, const AnswerTo& answer_to);
// "no plan keeps latency <= 20 ms and energy <= 0.1 J together; alone, the best possible is latency 18 ms, energy 80 mJ".
std::string describe(const std::vector<LimitReport>& report);

}  // namespace tideline
