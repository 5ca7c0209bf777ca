#include "plan_question.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace tideline::app {
namespace {

void read_loads(const std::vector<std::string>& list, std::vector<QuestionArguments::Load>& loads) {
  for (const std::string& text : list) {
    const std::size_t equals = text.find('=');
    QuestionArguments::Load load;
    const char* const end = text.data() + text.size();
    const bool is_number = equals != std::string::npos && [&] {
      const auto [stop, error] = std::from_chars(text.data() + equals + 1, end, load.share);
      return error == std::errc{} && stop == end;
    }();
    if (!is_number || !(load.share >= 0 && load.share <= 0.99))
      CLI::refuse("--load",
                  fmt::format("expected NODE=SHARE with a share from 0 to 0.99, as in server=0.7, found '{}'", printable(text)));
    load.node = text.substr(0, equals);
    for (const QuestionArguments::Load& other : loads)
      if (other.node == load.node) CLI::refuse("--load", fmt::format("'{}' is named twice", printable(load.node)));
    loads.push_back(std::move(load));
  }
}

double read_share(const std::string& text) {
  double share = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, share);
  if (error != std::errc{} || stop != end || !(share >= 0 && share <= 1e9))
    CLI::refuse("--tolerance",
                fmt::format("expected a share of the answer's largest number, as in 0.01, found '{}'", printable(text)));
  return share;
}

}  // namespace

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
          "--tolerance",
          [&](const std::string& text) {
            question.tolerance = read_share(text);
            arguments.is_given = true;
          },
          "How much codecs that lose something may change a model's answer, as a share of its largest number, by what the "
          "profiles measured; without it, and without asking for accuracy, only lossless ones are used")
      ->type_name("SHARE");
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
      .add_option_function<std::vector<std::string>>(
          "--load", [&](const std::vector<std::string>& list) { read_loads(list, arguments.loads); },
          "How busy a node is with other work (repeatable), as in server=0.7: its times are divided by 1 - 0.7")
      ->type_name("NODE=SHARE")
      ->take_all();
}

void add_front_options(CLI::App& command, QuestionArguments& arguments) {
  Question& question = arguments.question;
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
  command
      .add_option("--out", arguments.out,
                  "Folder for figures: site.svg (what runs where) and bars.svg (where the time or energy goes); with --pareto "
                  "front.csv, front.json and front.svg")
      ->type_name("DIR");
}

Status print_why_not(Context& context, const Result<std::vector<LimitReport>>& report) {
  if (!report) return report.error();
  const std::string message = describe(*report);
  if (context.output != Output::kJson) return Error{ErrorCode::kInfeasible, message};
  context.exit_code = kExitInfeasible;
  fmt::print(stderr, "tideline: {}\n", printable(message, kMessageBytesMax));
  using Json = nlohmann::ordered_json;
  const std::string_view code = to_string(ErrorCode::kInfeasible);
  Json json{{"ok", false}, {"code", code}, {"message", message}, {"error", {{"code", code}, {"message", message}}}};
  json["limits"] = Json::array();
  for (const LimitReport& entry : *report)
    json["limits"].push_back({{"quantity", entry.quantity},
                              {"limit", entry.quantity == "memory" ? Json(nullptr) : Json(entry.limit)},
                              {"alone", entry.alone ? Json(*entry.alone) : Json(nullptr)},
                              {"clashes", entry.clashes}});
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  return {};
}

Result<std::vector<double>> loads_of(const std::vector<QuestionArguments::Load>& loads, std::span<const std::string> names) {
  std::vector<double> shares(loads.empty() ? 0 : names.size());
  for (const QuestionArguments::Load& load : loads) {
    const auto found = std::find(names.begin(), names.end(), load.node);
    if (found == names.end())
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("--load: no node is named '{}': there are {}", printable(load.node), fmt::join(names, ", "))};
    shares[static_cast<std::size_t>(found - names.begin())] = load.share;
  }
  return shares;
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
