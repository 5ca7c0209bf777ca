#include "plan_question.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/text.h"

namespace tideline::app {

void add_question_options(CLI::App& command, QuestionArguments& arguments) {
  Question& question = arguments.question;
  command
      .add_option_function<std::string>(
          "--objective",
          [&](const std::string& text) {
            const auto objective = parse_objective(text);
            if (!objective) CLI::refuse("--objective", objective.error().message);
            question.objective = *objective;
            arguments.is_given = true;
          },
          "What to plan for: latency (the default), energy, period (the time between the results of a stream), upload, accuracy")
      ->type_name("QUANTITY");
  command
      .add_option_function<std::vector<std::string>>(
          "--limit",
          [&](const std::vector<std::string>& list) {
            for (const std::string& text : list)
              if (const Status status = add_limit(text, question.limits); !status) CLI::refuse("--limit", status.error().message);
            arguments.is_given = true;
          },
          "What a plan must keep (repeatable): latency=200ms, energy=0.5J, period=50ms, upload=20kB, accuracy=0.85, memory")
      ->type_name("LIMIT")
      ->take_all();
  command
      .add_option_function<std::string>(
          "--keep-on-source",
          [&](const std::string& text) {
            arguments.keep_on_source = text;
            arguments.is_given = true;
          },
          "What must run where the input is: that many first blocks, `input` for the first, or up to the block of that name")
      ->type_name("N|input|NAME");
  command
      .add_option_function<std::string>(
          "--pareto",
          [&](const std::string& text) {
            auto objectives = parse_objectives(text);
            if (!objectives) CLI::refuse("--pareto", objectives.error().message);
            question.pareto = std::move(*objectives);
            arguments.is_given = true;
          },
          "Instead of one answer, all plans that no other beats in each of two or three quantities, as in latency,energy")
      ->type_name("A,B[,C]");
}

Result<std::optional<std::uint32_t>> blocks_to_keep(const std::string& text, std::span<const std::string> names) {
  if (text.empty()) return std::optional<std::uint32_t>();
  if (text == "input") return std::optional<std::uint32_t>(1);
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size()) {
    if (number <= names.size()) return std::optional<std::uint32_t>(number);
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--keep-on-source: {} blocks cannot stay on the source, there are {}", number, names.size())};
  }
  const auto found = std::find(names.begin(), names.end(), text);
  if (found != names.end()) return std::optional(static_cast<std::uint32_t>(found - names.begin()) + 1);
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view near = nearest(text, known);
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("--keep-on-source: no block is named '{}'{}; expected a number, `input` or a block's name",
                           printable(text), near.empty() ? "" : fmt::format(", did you mean '{}'?", near))};
}

}  // namespace tideline::app
