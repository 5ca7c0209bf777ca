// tideline codec: encodes and decodes one array, and says what that costs and loses.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "codec/codec.h"
#include "commands.h"
#include "measure/codecs.h"
#include "model_options.h"
#include "platform/files.h"
#include "report/table.h"
#include "session/source.h"
#include "tensor/npy.h"

namespace tideline::app {
namespace {

using Clock = std::chrono::steady_clock;

struct CodecArguments {
  std::string name;
  std::string file;
  std::string out;
  bool list = false;
};

// Long enough for the processor to be at its speed, short enough to wait for.
constexpr Millis kTime{150};
constexpr int kRunsMax = 2000;

// Of one run of `work`: the lower quartile.
template <class Work>
Result<Millis> time_of(const CancelToken& interrupted, Work work) {
  std::vector<double> samples;
  const auto start = Clock::now();
  do {
    if (interrupted.cancelled()) return Error{ErrorCode::kCancelled, "interrupted"};
    const auto began = Clock::now();
    TIDELINE_CHECK_OK(work());
    samples.push_back(Millis(Clock::now() - began).count());
  } while (Millis(Clock::now() - start) < kTime && samples.size() < kRunsMax);
  if (samples.size() > 1) samples.erase(samples.begin());  // its memory was new
  std::sort(samples.begin(), samples.end());
  return Millis(std::max(samples[(samples.size() - 1) / 4], 1e-6));
}

struct Figures {
  Codec used;
  std::size_t encoded_bytes = 0;
  AnswerDifference difference;
  double encode_mb_per_s = 0;  // of the array, not of what it becomes
  double decode_mb_per_s = 0;
  double memcpy_mb_per_s = 0;
};

Result<Figures> measure(const Codec& codec, const Tensor& tensor, Tensor& decoded, const CancelToken& interrupted) {
  TIDELINE_TRY(const std::size_t room, encoded_bytes_max(tensor.spec.dtype, tensor.spec.shape));
  TIDELINE_TRY(const std::size_t scratch_size, scratch_bytes(codec, tensor.spec.dtype, tensor.spec.shape));
  Buffer encoded(room);
  Buffer scratch(scratch_size);
  decoded = {tensor.spec, Buffer(tensor.data.size())};
  Figures figures;
  const auto rate = [&](Millis time) { return static_cast<double>(tensor.data.size()) / 1e3 / time.count(); };
  TIDELINE_TRY(const Millis copying, time_of(interrupted, [&]() -> Status {
                 if (!tensor.data.empty()) std::memcpy(decoded.data.data(), tensor.data.data(), tensor.data.size());
                 return {};
               }));
  TIDELINE_TRY(const Millis encoding, time_of(interrupted, [&]() -> Status {
                 TIDELINE_TRY(figures.encoded_bytes, encode(codec, view(tensor), encoded.span(), scratch.span()));
                 return {};
               }));
  const auto form = encoded.span().first(figures.encoded_bytes);
  TIDELINE_TRY(const Millis decoding, time_of(interrupted, [&]() -> Status {
                 TIDELINE_TRY(const EncodedHead head, read_encoded_head(form));
                 figures.used = head.used;
                 return decode(head, form, decoded.data.span(), scratch.span());
               }));
  figures.difference = answer_difference(tensor, decoded);
  figures.encode_mb_per_s = rate(encoding);
  figures.decode_mb_per_s = rate(decoding);
  figures.memcpy_mb_per_s = rate(copying);
  return figures;
}

nlohmann::json finite(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(nullptr); }

void print_figures(const Context& context, const CodecArguments& arguments, const Tensor& tensor, const Figures& figures) {
  const double share =
      tensor.data.empty() ? 1 : static_cast<double>(figures.encoded_bytes) / static_cast<double>(tensor.data.size());
  if (context.output == Output::kJson) {
    fmt::print("{}\n", nlohmann::json{{"codec", arguments.name},
                                      {"used", name_of(figures.used)},
                                      {"dtype", to_string(tensor.spec.dtype)},
                                      {"shape", tensor.spec.shape},
                                      {"bytes", tensor.data.size()},
                                      {"encoded_bytes", figures.encoded_bytes},
                                      {"max_abs_error", finite(figures.difference.absolute)},
                                      {"max_rel_error", finite(figures.difference.relative)},
                                      {"encode_mb_per_s", figures.encode_mb_per_s},
                                      {"decode_mb_per_s", figures.decode_mb_per_s},
                                      {"memcpy_mb_per_s", figures.memcpy_mb_per_s}}
                           .dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  report::Table table({{"codec", "codec", report::Table::kLeft},
                       {"array", "bytes"},
                       {"encoded", "encoded_bytes"},
                       {"share", "share"},
                       {"largest error", "max_abs_error"},
                       {"encode", "encode_mb_per_s"},
                       {"decode", "decode_mb_per_s"},
                       {"memcpy", "memcpy_mb_per_s"}});
  const auto rate = [](double value) { return report::Table::Cell(fmt::format("{:.0f} MB/s", value), value); };
  table.add({arguments.name,
             {format_bytes(tensor.data.size()), std::to_string(tensor.data.size())},
             {format_bytes(figures.encoded_bytes), std::to_string(figures.encoded_bytes)},
             {fmt::format("{:.1f}%", 100 * share), share},
             {fmt::format("{:.3g}", figures.difference.absolute), figures.difference.absolute},
             rate(figures.encode_mb_per_s),
             rate(figures.decode_mb_per_s),
             rate(figures.memcpy_mb_per_s)});
  print_table(context, table);
  const Codec asked = find_codec(arguments.name).value();
  if (is_prose(context) && figures.used.scheme != asked.scheme)
    fmt::print("{} does not hold this array: it went as {} ({})\n", arguments.name, name_of(figures.used),
               tensor.spec.dtype != DType::kFloat32  ? "its numbers are not float32"
               : figures.used.scheme == Scheme::kRaw ? "it has numbers that are not finite, or is too small"
                                                     : "its channels are too small for a scale of their own");
}

Status print_list(const Context& context) {
  if (context.output == Output::kJson) {
    nlohmann::json list = nlohmann::json::array();
    for (const NamedCodec& known : codecs()) list.push_back({{"name", known.name}, {"lossless", !known.codec.is_lossy()}});
    fmt::print("{}\n", nlohmann::json{{"codecs", std::move(list)}}.dump(2));
    return {};
  }
  report::Table table({{"codec", "codec", report::Table::kLeft},
                       {"numbers", "numbers", report::Table::kLeft},
                       {"then", "then", report::Table::kLeft}});
  constexpr const char* kSchemes[] = {"as they are", "float16, half the bytes", "a byte each, one scale for the tensor",
                                      "a byte each, one scale for each channel"};
  constexpr const char* kPackings[] = {"", "lz4", "zstd"};
  for (const NamedCodec& known : codecs())
    table.add({known.name, kSchemes[static_cast<std::size_t>(known.codec.scheme)],
               kPackings[static_cast<std::size_t>(known.codec.packing)]});
  print_table(context, table);
  return {};
}

Status run(const Context& context, const CodecArguments& arguments) {
  if (arguments.list) return print_list(context);
  if (arguments.name.empty() || arguments.file.empty())
    return Error{ErrorCode::kInvalidArgument,
                 "codec needs a codec's name and an .npy file; `tideline codec --list` shows the codecs"};
  TIDELINE_TRY(const Codec codec, find_codec(arguments.name));
  TIDELINE_TRY(const std::string bytes, read_source(arguments.file, limits::kFramePayloadBytesMax));
  auto tensor = parse_npy(bytes, "x");
  if (!tensor) return with_context(std::move(tensor).error(), source_name(arguments.file));
  Tensor decoded;
  TIDELINE_TRY(const Figures figures, measure(codec, *tensor, decoded, context.interrupted));
  if (!arguments.out.empty()) {
    TIDELINE_TRY(const std::string file, write_npy(view(decoded)));
    TIDELINE_CHECK_OK(write_file_atomic(arguments.out, file));
    if (!context.quiet) fmt::print(stderr, "wrote {}\n", printable(arguments.out, 400));
  }
  print_figures(context, arguments, *tensor, figures);
  return {};
}

}  // namespace

void add_codec_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("codec", "Encode and decode one array: its bytes, its largest error, the speed here");
  const auto arguments = std::make_shared<CodecArguments>();
  command.add_option("name", arguments->name, "The codec; see --list")->check(CLI::IsMember(codec_names({})))->type_name("NAME");
  command.add_option("file", arguments->file, "The array, as numpy.save writes it; \"-\": standard input")->type_name("FILE.npy");
  command.add_option("--out", arguments->out, "Where to write what comes back (.npy)")->type_name("FILE");
  command.add_flag("--list", arguments->list, "Show all codecs");
  add_output_option(command, context, true);
  command.footer(
      "Rates are of the array's own bytes, with memcpy of the same array beside them; docs/algorithms/codecs.md has the "
      "formulas.\n"
      "Examples:\n"
      "  tideline codec --list\n"
      "  tideline codec int8c activations.npy\n"
      "  tideline codec fp16+zstd x.npy --out y.npy -o json");
  on_run(command, context, [&context, arguments] { return run(context, *arguments); });
}

}  // namespace tideline::app
