// tideline zoo: writes the papers' networks as ONNX files.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/hash.h"
#include "base/units.h"
#include "commands.h"
#include "platform/files.h"
#include "zoo/zoo.h"

namespace tideline::app {

namespace {

struct ZooArguments {
  std::string name;
  std::string file;
  std::uint64_t seed = 1;
  bool list = false;
  bool json = false;
};

std::string shape_text(const std::vector<std::int64_t>& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

Status print_list(const ZooArguments& arguments) {
  nlohmann::json all = nlohmann::json::array();
  if (!arguments.json)
    fmt::print("{:<15} {:<12} {:>12} {:>16} {:>8} {:>5}  {}\n", "name", "input", "parameters", "mult.-acc.", "file", "ops",
               "network");
  for (const ZooEntry& entry : zoo_entries()) {
    TIDELINE_TRY(const ZooCounts counts, zoo_counts(entry.name));
    const Bytes bytes = 4 * (counts.parameters + counts.running_averages);
    if (arguments.json)
      all.push_back({{"name", entry.name},
                     {"summary", entry.summary},
                     {"input_shape", counts.input_shape},
                     {"output_shape", counts.output_shape},
                     {"parameters", counts.parameters},
                     {"parameter_bytes", bytes},
                     {"macs", counts.macs},
                     {"flops", 2 * counts.macs},
                     {"ops", counts.ops}});
    else
      fmt::print("{:<15} {:<12} {:>12} {:>16} {:>8} {:>5}  {}\n", entry.name, shape_text(counts.input_shape), counts.parameters,
                 counts.macs, format_bytes(bytes), counts.ops, entry.summary);
  }
  if (arguments.json) fmt::print("{}\n", nlohmann::json{{"networks", all}}.dump(2));
  return {};
}

Status write_network(const Context& context, const ZooArguments& arguments) {
  TIDELINE_TRY(const ZooCounts counts, zoo_counts(arguments.name));
  const std::string file = arguments.file.empty() ? arguments.name + ".onnx" : arguments.file;
  TIDELINE_TRY(const std::string onnx, zoo_model(arguments.name, arguments.seed));
  if (context.interrupted.cancelled()) return Error{ErrorCode::kCancelled, "interrupted; nothing was written"};
  TIDELINE_CHECK_OK(write_file_atomic(file, onnx));
  if (arguments.json)
    fmt::print("{}\n", nlohmann::json{{"name", arguments.name},
                                      {"file", file},
                                      {"seed", arguments.seed},
                                      {"bytes", onnx.size()},
                                      {"sha256", sha256(onnx).hex()},
                                      {"input_shape", counts.input_shape},
                                      {"parameters", counts.parameters},
                                      {"macs", counts.macs}}
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  else if (!context.quiet)
    fmt::print(stderr, "{}: {}, {} parameters, {} multiply-accumulates, random weights of seed {}\n", file,
               format_bytes(onnx.size()), counts.parameters, counts.macs, arguments.seed);
  return {};
}

}  // namespace

void add_zoo_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("zoo", "Write one of the papers' networks as an ONNX file, with random weights");
  auto arguments = std::make_shared<ZooArguments>();
  command.add_option("name", arguments->name, "The network; see --list")->type_name("NAME");
  command.add_option("-o,--output", arguments->file, "The file to write (default: NAME.onnx)")->type_name("FILE");
  command.add_option("--seed", arguments->seed, "Seed of the weights: the same seed gives the same bytes everywhere")
      ->type_name("N")
      ->capture_default_str();
  command.add_flag("--list", arguments->list, "Show all networks with their parameters and multiply-accumulates");
  command.add_flag("--json", arguments->json, "Print the list, or what was written, as JSON");
  command.footer(
      "The layers and counts are those of the published networks, the weights are not: use them for timing, splitting and\n"
      "planning, not for answers.\n\n"
      "Examples:\n"
      "  tideline zoo --list\n"
      "  tideline zoo resnet50 -o resnet50.onnx\n"
      "  tideline zoo alexnet -o alexnet.onnx --seed 7");
  on_run(command, context, [&context, arguments]() -> Status {
    if (arguments->list) return print_list(*arguments);
    if (arguments->name.empty())
      return Error{ErrorCode::kInvalidArgument, "zoo needs the name of a network; `tideline zoo --list` shows all of them"};
    return write_network(context, *arguments);
  });
}

}  // namespace tideline::app
