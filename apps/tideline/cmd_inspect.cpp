// tideline inspect: what a model consists of and where it can be cut; with --extract, a piece of it as an ONNX file.
#include <charconv>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "commands.h"
#include "model/random_ops.h"
#include "model/segment.h"
#include "model_options.h"
#include "platform/files.h"
#include "report/table.h"

namespace tideline::app {
namespace {

struct InspectArguments {
  ModelArguments model;
  std::string extract;
  std::string out;
};

struct Range {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

Result<Range> parse_range(const std::string& text) {
  Range range;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, range.first);
  const bool colon = first.ec == std::errc() && first.ptr != end && *first.ptr == ':';
  const auto last = colon ? std::from_chars(first.ptr + 1, end, range.last) : first;
  if (!colon || last.ec != std::errc() || last.ptr != end)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--extract is FIRST:LAST, two numbers of blocks such as 0:4, not {}", printable(text))};
  return range;
}

// A picture's size is not the model's: without a sample image cuts 0 and 1 are open.
bool is_open(const LoadedModel& loaded, std::size_t cut) { return loaded.chain.input && loaded.sample.empty() && cut < 2; }

struct Extracted {
  Range range;
  Bytes bytes = 0;
  Sha256 hash;
};

Result<std::optional<Extracted>> extract(const LoadedModel& loaded, const InspectArguments& arguments) {
  if (arguments.extract.empty()) return std::optional<Extracted>();
  TIDELINE_TRY(const Range range, parse_range(arguments.extract));
  TIDELINE_TRY(const std::string bytes, extract_onnx(loaded.model, loaded.chain, range.first, range.last));
  TIDELINE_CHECK_OK(write_file_atomic(arguments.out, bytes));
  return std::optional<Extracted>({range, bytes.size(), sha256(bytes)});
}

// What the block makes that is still needed after it.
Bytes output_bytes(const Chain& chain, std::size_t block) {
  std::set<std::string_view> before;
  for (const TensorSpec& spec : chain.cuts[block].tensors) before.insert(spec.name);
  Bytes sum = 0;
  for (const TensorSpec& spec : chain.cuts[block + 1].tensors)
    if (!before.contains(spec.name))
      if (const auto bytes = byte_size(spec.dtype, spec.shape)) sum += *bytes;
  return sum;
}

std::uint64_t total_flops(const Chain& chain) {
  std::uint64_t sum = 0;
  for (const Block& block : chain.blocks) sum += block.flops;
  return sum;
}

struct OpCounts {
  std::size_t in_blocks = 0;
  std::size_t constant = 0;
  std::size_t dead = 0;
};
OpCounts count_ops(const LoadedModel& loaded) {
  OpCounts counts;
  for (const Op& op : loaded.model.graph().ops) {
    if (op.is_constant)
      ++counts.constant;
    else if (op.is_dead)
      ++counts.dead;
    else
      ++counts.in_blocks;
  }
  return counts;
}

nlohmann::json blocks_json(const LoadedModel& loaded) {
  nlohmann::json blocks = nlohmann::json::array();
  for (std::size_t k = 0; k < loaded.chain.blocks.size(); ++k) {
    const Block& block = loaded.chain.blocks[k];
    nlohmann::json types = nlohmann::json::array();
    for (const OpId id : block.ops) types.push_back(loaded.model.graph().op(id).type);
    nlohmann::json json{{"index", k},
                        {"name", block.name},
                        {"ops", block.ops.size()},
                        {"op_types", std::move(types)},
                        {"flops", block.flops},
                        {"parameter_bytes", block.parameter_bytes},
                        {"activation_bytes", block.activation_bytes},
                        {"output_bytes", output_bytes(loaded.chain, k)}};
    if (block.step) json["input_step"] = to_string(*block.step);
    if (block.output_step) json["output_step"] = block.name;
    if (is_open(loaded, k + 1)) json["output_bytes"] = nullptr;
    if (is_open(loaded, k)) json["activation_bytes"] = nullptr;
    blocks.push_back(std::move(json));
  }
  return blocks;
}

nlohmann::json cuts_json(const LoadedModel& loaded) {
  nlohmann::json cuts = nlohmann::json::array();
  for (std::size_t k = 0; k < loaded.chain.cuts.size(); ++k) {
    const Cut& cut = loaded.chain.cuts[k];
    nlohmann::json tensors = nlohmann::json::array();
    for (const TensorSpec& spec : cut.tensors)
      tensors.push_back({{"name", spec.name}, {"dtype", to_string(spec.dtype)}, {"shape", spec.shape}});
    nlohmann::json json{
        {"index", k}, {"after_block", static_cast<std::int64_t>(k) - 1}, {"tensors", std::move(tensors)}, {"bytes", cut.bytes}};
    if (is_open(loaded, k)) json["bytes"] = nullptr;
    cuts.push_back(std::move(json));
  }
  return cuts;
}

nlohmann::json defaults_json(const Graph& graph) {
  nlohmann::json list = nlohmann::json::array();
  for (const TensorId id : graph.default_inputs) {
    const TensorSpec& spec = graph.tensor(id).spec;
    list.push_back({{"name", spec.name}, {"dtype", to_string(spec.dtype)}, {"shape", spec.shape}});
  }
  return list;
}

// Blocks of an exit's chain behind those of the trunk; the first one is the head where there are ops in it.
std::uint64_t head_flops(const Chain& chain) {
  std::uint64_t flops = 0;
  for (std::uint32_t k = chain.exit->after; k < chain.output_cut(); ++k) flops += chain.blocks[k].flops;
  return flops;
}

nlohmann::json exits_json(const LoadedModel& loaded) {
  nlohmann::json list = nlohmann::json::array();
  for (const LoadedExit& exit : loaded.exits) {
    const Chain& chain = exit.chain;
    std::size_t ops = 0;
    for (std::uint32_t k = chain.exit->after; k < chain.output_cut(); ++k) ops += chain.blocks[k].ops.size();
    list.push_back({{"output", chain.exit->output},
                    {"accuracy", exit.accuracy},
                    {"after", chain.exit->after},
                    {"head_ops", ops},
                    {"head_flops", head_flops(chain)},
                    {"flops", total_flops(chain)},
                    {"output_bytes", chain.cuts.back().bytes},
                    {"chain_sha256", chain.sha256.hex()}});
  }
  return list;
}

nlohmann::json to_json(const LoadedModel& loaded, const std::optional<Extracted>& extracted, const InspectArguments& arguments) {
  const OpCounts counts = count_ops(loaded);
  nlohmann::json json{{"model",
                       {{"name", loaded.model.name()},
                        {"sha256", loaded.model.sha256().hex()},
                        {"ops", counts.in_blocks},
                        {"constant_ops", counts.constant},
                        {"dead_ops", counts.dead},
                        {"flops", total_flops(loaded.chain)},
                        {"parameters", loaded.model.graph().parameters},
                        {"parameter_bytes", loaded.model.graph().parameter_bytes}}},
                      {"chain_sha256", loaded.chain.sha256.hex()},
                      {"blocks", blocks_json(loaded)},
                      {"cuts", cuts_json(loaded)},
                      {"accuracy", loaded.accuracy ? nlohmann::json(*loaded.accuracy) : nlohmann::json(nullptr)},
                      {"exits", exits_json(loaded)},
                      {"inputs_with_defaults", defaults_json(loaded.model.graph())},
                      {"random_ops", random_ops(loaded.model)},
                      {"made_up_inputs", loaded.made_up_inputs}};
  ChainOptions options{.cut_width = arguments.model.cut_width, .input = loaded.chain.input};
  for (const LoadedExit& exit : loaded.exits) options.exits.push_back(exit.chain.exit->output);
  const auto wider = wider_cuts(loaded.model.graph(), loaded.chain, options);
  if (wider) json["wider_cuts"] = {{"cut_width", wider->width}, {"blocks", wider->blocks}};
  if (extracted)
    json["extracted"] = {{"first_block", extracted->range.first},
                         {"last_block", extracted->range.last},
                         {"file", arguments.out},
                         {"bytes", extracted->bytes},
                         {"sha256", extracted->hash.hex()}};
  return json;
}

std::string cut_text(const LoadedModel& loaded, std::size_t k) {
  const Cut& cut = loaded.chain.cuts[k];
  if (is_open(loaded, k)) return fmt::format("{} (size of the picture)", printable(cut.tensors.front().name, 40));
  std::string text = printable(describe(cut.tensors.front()), 40);
  if (cut.tensors.size() > 1) text += fmt::format(" and {} more", cut.tensors.size() - 1);
  return text;
}

report::Table block_table(const LoadedModel& loaded) {
  using report::Table;
  const Chain& chain = loaded.chain;
  Table table({{"block", "block"},
               {"ops", "ops"},
               {"FLOPs", "flops"},
               {"weights", "parameter_bytes"},
               {"cut after", "cut_after_bytes"},
               {"tensors of the cut", "tensors", Table::kLeft},
               {"name", "name", Table::kLeft}});
  const auto bytes = [](Bytes count) { return Table::Cell(format_bytes(count), std::to_string(count)); };
  const auto cut = [&](std::size_t k) {
    return is_open(loaded, k) ? Table::Cell(std::string("?"), std::string()) : bytes(chain.cuts[k].bytes);
  };
  table.add({"input", "", "", "", cut(0), cut_text(loaded, 0), ""});
  for (std::size_t k = 0; k < chain.blocks.size(); ++k) {
    const Block& block = chain.blocks[k];
    table.add({k,
               {block.is_step() ? "-" : std::to_string(block.ops.size()), std::to_string(block.ops.size())},
               {format_count(static_cast<double>(block.flops)), std::to_string(block.flops)},
               bytes(block.parameter_bytes),
               cut(k + 1),
               cut_text(loaded, k + 1),
               {printable(block.name, 48), block.name}});
  }
  return table;
}

void print_model(const Context& context, const LoadedModel& loaded) {
  if (is_csv(context)) return print_table(context, block_table(loaded));
  const Chain& chain = loaded.chain;
  const Graph& graph = loaded.model.graph();
  const OpCounts counts = count_ops(loaded);
  fmt::print("model       {}\n", loaded.model.name());
  fmt::print("sha256      {}\n", loaded.model.sha256().hex());
  fmt::print("ops         {}{}{}\n", counts.in_blocks,
             counts.constant > 0 ? fmt::format(", and {} constant ones", counts.constant) : "",
             counts.dead > 0 ? fmt::format(", and {} that no output needs", counts.dead) : "");
  fmt::print("parameters  {} ({})\n", format_count(static_cast<double>(graph.parameters)), format_bytes(graph.parameter_bytes));
  fmt::print("FLOPs       {} (2 x multiply-accumulates)\n", format_count(static_cast<double>(total_flops(chain))));
  for (const TensorId id : graph.default_inputs)
    fmt::print("default     input {}, {}: fixed to the file's value unless --input gives another\n",
               printable(graph.tensor(id).spec.name, 60), describe(graph.tensor(id).spec));
  if (loaded.accuracy) fmt::print("accuracy    {}\n", *loaded.accuracy);
  for (const LoadedExit& exit : loaded.exits)
    fmt::print("exit        {} after {} block{}, head {} FLOPs, accuracy {}\n", printable(exit.chain.exit->output, 60),
               exit.chain.exit->after, exit.chain.exit->after == 1 ? "" : "s",
               format_count(static_cast<double>(head_flops(exit.chain))), exit.accuracy);
  for (const std::string& op : random_ops(loaded.model)) fmt::print("random      {}: every run gives another answer\n", op);
  fmt::print("\n");
  print_table(context, block_table(loaded));
  std::size_t wide = 0;
  for (std::size_t k = 1; k < chain.blocks.size(); ++k) wide += chain.cuts[k].tensors.size() > 1 ? 1 : 0;
  fmt::print("\n{} blocks; between them {} places to cut: {} with one tensor, {} with more\n", chain.blocks.size(),
             chain.blocks.size() - 1, chain.blocks.size() - 1 - wide, wide);
}

// Whatever a model does while it runs once is a property of the model here: a bad input, not a resource of this host.
Error as_bad_input(Error error) {
  if (error.code == ErrorCode::kDeadlineExceeded || error.code == ErrorCode::kOverloaded) error.code = ErrorCode::kUnsupported;
  return error;
}

Status run_inspect(const Context& context, const InspectArguments& arguments) {
  if (arguments.extract.empty() != arguments.out.empty())
    return Error{ErrorCode::kInvalidArgument, "--extract FIRST:LAST and --out FILE go together"};
  if (!arguments.extract.empty()) TIDELINE_CHECK_OK(parse_range(arguments.extract));
  auto loaded = load_model(arguments.model, StepBar(context).control());
  if (!loaded) return as_bad_input(std::move(loaded).error());
  TIDELINE_TRY(const std::optional<Extracted> extracted, extract(*loaded, arguments));
  note_made_up(context, loaded->made_up_inputs);
  if (context.output == Output::kJson) {
    fmt::print("{}\n", to_json(*loaded, extracted, arguments).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }
  print_model(context, *loaded);
  if (const auto hint = width_hint(*loaded, arguments.model.cut_width)) fmt::print("{}\n", *hint);
  if (extracted && !context.quiet)
    fmt::print(stderr, "blocks {} to {} are in {} ({})\n", extracted->range.first, extracted->range.last,
               printable(arguments.out), format_bytes(extracted->bytes));
  return {};
}

}  // namespace

void add_inspect_command(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("inspect", "Show a model's blocks, their FLOPs and weights, and where it can be cut");
  auto arguments = std::make_shared<InspectArguments>();
  arguments->model.needs_sample = false;
  add_model_options(*command, arguments->model);
  command->add_option("--extract", arguments->extract, "Write blocks FIRST to LAST as an ONNX model of their own")
      ->type_name("FIRST:LAST");
  command->add_option("--out", arguments->out, "Where --extract writes")->type_name("FILE");
  add_output_option(*command, context, true);
  command->footer(
      "Examples:\n"
      "  tideline inspect resnet50.onnx\n"
      "  tideline inspect det.onnx --shape x=1,3,640,640 --cut-width 2 -o json\n"
      "  tideline inspect det.onnx --config det.yaml\n"
      "  tideline inspect resnet50.onnx --extract 0:4 --out head.onnx");
  on_run(*command, context, [&context, arguments] { return run_inspect(context, *arguments); });
}

}  // namespace tideline::app
