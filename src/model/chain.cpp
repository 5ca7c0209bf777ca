#include "model/chain.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <unordered_map>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "model/exits.h"
#include "model/order.h"
#include "model/weights.h"
#include "output/output_steps.h"

namespace tideline {
namespace {

Error chain_error(ErrorCode code, std::string message) { return Error{code, "[model] " + std::move(message)}; }

TensorSpec measured_spec(const GraphTensor& tensor) { return {tensor.spec.name, tensor.spec.dtype, tensor.measured_shape}; }

bool can_travel(const GraphTensor& tensor) { return tensor.is_measured && element_bytes(tensor.spec.dtype) > 0; }

Status check_ends(const Graph& graph) {
  const auto check = [&](const std::vector<TensorId>& ids, const char* what) -> Status {
    for (const TensorId id : ids) {
      const GraphTensor& tensor = graph.tensor(id);
      // Before its shape: what is no tensor of ours is not measured either.
      if (tensor.spec.dtype != DType::kUndefined && element_bytes(tensor.spec.dtype) == 0)
        return chain_error(ErrorCode::kUnsupported, fmt::format("{} '{}' holds elements of type {}, which have no fixed size",
                                                                what, printable(tensor.spec.name), to_string(tensor.spec.dtype)));
      if (!tensor.is_measured)
        return chain_error(
            ErrorCode::kUnsupported,
            fmt::format("{} '{}' is a sequence, a map, an optional value or a tensor of a type that no node carries; "
                        "only tensors of numbers and truth values can travel between nodes",
                        what, printable(tensor.spec.name)));
    }
    return {};
  };
  TIDELINE_CHECK_OK(check(graph.inputs, "input"));
  return check(graph.outputs, "output");
}

// Walks an order of ops and knows what crosses after each.
class Walk {
 public:
  Walk(const Graph& graph, const std::vector<OpId>& order) : graph_(graph), last_reader_(graph.tensors.size(), 0) {
    for (std::size_t i = 0; i < order.size(); ++i)
      for (const TensorId input : graph.op(order[i]).inputs) last_reader_[index(input)] = i + 1;
    for (const TensorId output : graph.outputs) last_reader_[index(output)] = kForEver;
    for (const TensorId input : graph.inputs)
      if (last_reader_[index(input)] > 0) enter(input);
  }
  // REQUIRES: positions come in order, from 1.
  void take(std::size_t position, OpId id) {
    for (const TensorId output : graph_.op(id).outputs)
      if (last_reader_[index(output)] > position) enter(output);
    for (const TensorId input : graph_.op(id).inputs)
      if (last_reader_[index(input)] == position) leave(input);
  }
  const std::set<TensorId>& crossing() const { return crossing_; }
  bool can_all_travel() const { return stuck_ == 0; }
  // The position of the op that reads it last; 0: none.
  std::size_t last_reader(TensorId id) const { return last_reader_[index(id)]; }

 private:
  static constexpr std::size_t kForEver = std::numeric_limits<std::size_t>::max();
  void enter(TensorId id) {
    if (graph_.tensor(id).is_constant || !crossing_.insert(id).second) return;
    if (!can_travel(graph_.tensor(id))) ++stuck_;
  }
  void leave(TensorId id) {
    if (crossing_.erase(id) > 0 && !can_travel(graph_.tensor(id))) --stuck_;
  }
  const Graph& graph_;
  std::vector<std::size_t> last_reader_;
  std::set<TensorId> crossing_;
  std::size_t stuck_ = 0;
};

// How many of the first ops lie before each cut of an order of ops, the last one at its end included. Calls `each(position,
// walk)`.
void for_each_cut(const Graph& graph, const std::vector<OpId>& order, std::uint32_t width, const auto& each) {
  Walk walk(graph, order);
  for (std::size_t position = 1; position <= order.size(); ++position) {
    walk.take(position, order[position - 1]);
    if (position == order.size() || (walk.crossing().size() <= width && walk.can_all_travel())) each(position, walk);
  }
}

Cut cut_of(const Graph& graph, const auto& ids) {
  Cut cut;
  for (const TensorId id : ids) {
    cut.tensors.push_back(measured_spec(graph.tensor(id)));
    cut.bytes += graph.tensor(id).bytes;
  }
  return cut;
}

class Maker {
 public:
  Maker(const Graph& graph, const ChainOptions& options) : graph_(graph), options_(options), weights_(graph) {}

  Result<Chain> make(const Sha256& model_sha256) {
    if (options_.cut_width < 1 || options_.cut_width > limits::kFrameTensorsMax)
      return chain_error(ErrorCode::kInvalidArgument,
                         fmt::format("the cut width is {}; it must be 1 to {}", options_.cut_width, limits::kFrameTensorsMax));
    TIDELINE_CHECK_OK(check_ends(graph_));
    const std::vector<OpId> order = cutting_order(graph_, options_.cut_width);
    if (order.empty())
      return chain_error(ErrorCode::kUnsupported,
                         "no op lies between the model's inputs and outputs, so there is nothing to place");
    chain_.model_name = graph_.name;
    chain_.model_sha256 = model_sha256;
    chain_.input = options_.input;
    chain_.cuts.push_back(cut_of(graph_, graph_.inputs));
    if (options_.input) TIDELINE_CHECK_OK(add_input_steps());
    add_blocks(order);
    TIDELINE_CHECK_OK(add_output_steps());
    chain_.sha256 = identity();
    chain_.structure_sha256 = structure();
    return std::move(chain_);
  }

  // `graph_` is for_outputs() of the exit.
  Result<Chain> make_exit(const Chain& trunk) {
    TIDELINE_CHECK_OK(check_ends(graph_));
    const std::string& output = graph_.tensor(graph_.outputs.front()).spec.name;
    const Attachment at = attach(graph_, trunk);
    chain_.model_name = trunk.model_name;
    chain_.model_sha256 = trunk.model_sha256;
    chain_.input = trunk.input;
    chain_.exit = ChainExit{.output = output, .after = at.after};
    chain_.blocks.assign(trunk.blocks.begin(), trunk.blocks.begin() + at.after);
    chain_.cuts.assign(trunk.cuts.begin(), trunk.cuts.begin() + at.after + 1);
    if (at.head.empty()) {
      if (at.after == (trunk.input ? kInputSteps : 0))
        return chain_error(ErrorCode::kInvalidArgument,
                           fmt::format("the exit '{}' is an input of the model that comes out as it went in", printable(output)));
      chain_.cuts.back() = cut_of(graph_, graph_.outputs);
    } else {
      add_block(at.head, 0, at.head.size(), Walk(graph_, at.head));
      chain_.cuts.push_back(cut_of(graph_, graph_.outputs));
    }
    if (Status steps = add_output_steps(); !steps)
      return chain_error(ErrorCode::kInvalidArgument, fmt::format("the output section does not fit the exit '{}': {}",
                                                                  printable(output), steps.error().message));
    chain_.sha256 = identity();
    chain_.structure_sha256 = structure();
    return std::move(chain_);
  }

 private:
  Result<std::size_t> image_input() const {
    const InputSection& section = *options_.input;
    std::vector<std::string_view> names;
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      const std::string& name = graph_.tensor(graph_.inputs[i]).spec.name;
      if (name == section.tensor || (section.tensor.empty() && graph_.inputs.size() == 1)) return i;
      names.push_back(name);
    }
    if (section.tensor.empty())
      return chain_error(ErrorCode::kInvalidArgument,
                         fmt::format("the model has {} inputs; set input.tensor to the one that takes the image: {}",
                                     names.size(), printable(fmt::format("{}", fmt::join(names, ", ")))));
    return chain_error(ErrorCode::kInvalidArgument,
                       fmt::format("input.tensor is '{}', but the model's inputs are: {}", printable(section.tensor),
                                   printable(fmt::format("{}", fmt::join(names, ", ")))));
  }

  // Whether the model's input is what the section can make, with what to do when it is not.
  static Status check_image(const InputSection& section, const std::vector<std::int64_t>& shape, const TensorSpec& input) {
    const auto refused = [&](std::string_view why) {
      return chain_error(ErrorCode::kInvalidArgument,
                         fmt::format("the model's input '{}' is {}; {}", printable(input.name), describe(input), why));
    };
    if (input.dtype != DType::kFloat32 && input.dtype != DType::kFloat16 && input.dtype != DType::kUint8)
      return refused("pictures become float32, float16 or uint8: give this input as .npy");
    if (input.shape.size() == 4 && input.shape[0] != 1)
      return refused(
          "a request carries one picture: export the model with a batch of 1 or a dynamic one, or give batches as .npy");
    const InputSection plain;
    if (input.dtype == DType::kUint8 && (section.mean != plain.mean || section.std != plain.std))
      return refused("bytes are not normalised: leave mean and std out of the input section");
    if (input.shape != shape)
      return refused(
          fmt::format("the input section makes {}: set size, channels and layout", describe({"", input.dtype, shape})));
    return {};
  }

  // A name that no tensor of the model or of an earlier cut has.
  std::string free_name(std::string name) const {
    const auto taken = [&] {
      for (const Cut& cut : chain_.cuts)
        for (const TensorSpec& spec : cut.tensors)
          if (spec.name == name) return true;
      return std::any_of(graph_.tensors.begin(), graph_.tensors.end(),
                         [&](const GraphTensor& tensor) { return tensor.spec.name == name; });
    };
    while (taken()) name += '_';
    return name;
  }

  Status check_follow(const InputSection& section, const TensorSpec& declared) const {
    if (options_.sample_width == 0 || options_.sample_height == 0)
      return chain_error(ErrorCode::kInvalidArgument, "the sizes of the model follow the picture: give one with --input FILE");
    const std::size_t side = section.layout == ImageLayout::kNchw ? 2 : 1;
    if (declared.shape.size() == 4 && declared.shape[side] == kUnknownDim && declared.shape[side + 1] == kUnknownDim) return {};
    return chain_error(
        ErrorCode::kInvalidArgument,
        fmt::format("size follows the picture, but the model's input '{}' is {}: set size to [width, height], or export "
                    "the model with a dynamic width and height (and give no --shape)",
                    printable(declared.name), describe(declared)));
  }

  Status add_input_steps() {
    const InputSection& section = *options_.input;
    TIDELINE_TRY(const std::size_t image, image_input());
    const TensorSpec model_input = chain_.cuts.front().tensors[image];
    if (section.follow) TIDELINE_CHECK_OK(check_follow(section, graph_.tensor(graph_.inputs[image]).spec));
    const InputSection::Size size = section.size_for(options_.sample_width, options_.sample_height);
    const std::int64_t channels = section.channel_count();
    const std::vector<std::int64_t> shape = section.layout == ImageLayout::kNchw
                                                ? std::vector<std::int64_t>{1, channels, size.height, size.width}
                                                : std::vector<std::int64_t>{1, size.height, size.width, channels};
    TIDELINE_CHECK_OK(check_image(section, shape, model_input));
    chain_.input->dtype = model_input.dtype;
    const std::int64_t width = options_.sample_width > 0 ? options_.sample_width : size.width;
    const std::int64_t height = options_.sample_height > 0 ? options_.sample_height : size.height;
    const std::array<TensorSpec, kInputSteps> before{
        TensorSpec{free_name("image"), DType::kUint8, {static_cast<std::int64_t>(options_.sample_file_bytes)}},
        TensorSpec{free_name("image.pixels"), DType::kUint8, {height, width, channels}},
        TensorSpec{free_name("image.resized"), DType::kUint8, {size.height, size.width, channels}}};
    const Cut last = std::move(chain_.cuts.front());
    chain_.cuts.clear();
    for (const TensorSpec& spec : before) {
      TIDELINE_TRY(const Bytes bytes, byte_size(spec.dtype, spec.shape));
      Cut cut = last;
      cut.bytes = cut.bytes - graph_.tensor(graph_.inputs[image]).bytes + bytes;
      cut.tensors[image] = spec;
      chain_.cuts.push_back(std::move(cut));
    }
    chain_.cuts.push_back(last);
    for (std::uint32_t k = 0; k < kInputSteps; ++k) add_step(static_cast<InputStep>(k), image);
    return {};
  }

  // Two FLOPs for each value that is normalised, eight for each that is resized (a linear mix of four); decoding is no matter of
  // FLOPs and counts none.
  void add_step(InputStep step, std::size_t image) {
    const auto k = static_cast<std::size_t>(step);
    const auto bytes = [&](std::size_t cut) {
      const TensorSpec& spec = chain_.cuts[cut].tensors[image];
      const auto size = byte_size(spec.dtype, spec.shape);
      return size ? *size : Bytes{0};
    };
    const std::uint64_t values = bytes(2);  // one of each pixel's channel
    chain_.blocks.push_back({.name = std::string(to_string(step)),
                             .step = step,
                             .flops = step == InputStep::kDecode   ? 0
                                      : step == InputStep::kResize ? 8 * values
                                                                   : 2 * values,
                             .activation_bytes = bytes(k) + bytes(k + 1)});
  }

  Status add_output_steps() {
    chain_.output_steps = options_.output_steps;
    if (chain_.output_steps.empty()) return {};
    for (const TensorId id : graph_.outputs)
      if (std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end())
        return chain_error(
            ErrorCode::kInvalidArgument,
            fmt::format("the output section reads '{}', which is an input of the model that comes out as it went in; "
                        "leave it out of output.tensors",
                        printable(graph_.tensor(id).spec.name)));
    for (std::uint32_t k = 0; k < chain_.output_steps.size(); ++k) {
      const OutputStep& step = chain_.output_steps[k];
      const Cut& before = chain_.cuts.back();
      TIDELINE_TRY(std::vector<TensorSpec> made, output_step_specs(step, before.tensors, OpenSizes::kLargest));
      Cut cut;
      std::uint64_t values = 0;
      for (const TensorSpec& spec : before.tensors) {
        TIDELINE_TRY(const Bytes bytes, byte_size(spec.dtype, spec.shape));
        values += bytes / element_bytes(spec.dtype);
      }
      for (std::size_t i = 0; i < made.size(); ++i) {
        made[i].name = free_name(std::string(output_name(step.kind, i)));
        TIDELINE_TRY(const Bytes bytes, byte_size(made[i].dtype, made[i].shape));
        cut.bytes += bytes;
      }
      cut.tensors = std::move(made);
      chain_.blocks.push_back({.name = std::string(to_string(step.kind)),
                               .output_step = k,
                               .flops = output_step_flops(step.kind, values),
                               .activation_bytes = before.bytes + cut.bytes});
      chain_.cuts.push_back(std::move(cut));
    }
    return {};
  }

  void add_blocks(const std::vector<OpId>& order) {
    std::size_t begin = 0;
    for_each_cut(graph_, order, options_.cut_width, [&](std::size_t position, const Walk& walk) {
      add_block(order, begin, position, walk);
      chain_.cuts.push_back(position == order.size() ? cut_of(graph_, graph_.outputs) : cut_of(graph_, walk.crossing()));
      begin = position;
    });
  }

  void add_block(const std::vector<OpId>& order, std::size_t begin, std::size_t end, const Walk& walk) {
    Block block;
    block.ops.assign(order.begin() + static_cast<std::ptrdiff_t>(begin), order.begin() + static_cast<std::ptrdiff_t>(end));
    block.name = graph_.op(block.ops.back()).name;
    for (const OpId id : block.ops)
      if (__builtin_add_overflow(block.flops, graph_.op(id).flops, &block.flops))
        block.flops = std::numeric_limits<std::uint64_t>::max();
    block.parameter_bytes = weights_.of(block.ops).bytes;
    block.activation_bytes = activation_bytes(order, begin, end, walk);
    chain_.blocks.push_back(std::move(block));
  }

  // What the block reads is held by the caller all the while, what it makes for later too; the rest until its last reader.
  Bytes activation_bytes(const std::vector<OpId>& order, std::size_t begin, std::size_t end, const Walk& walk) const {
    std::set<TensorId> made;
    std::set<TensorId> read;
    Bytes alive = 0;
    for (std::size_t i = begin; i < end; ++i) {
      for (const TensorId id : graph_.op(order[i]).inputs)
        if (!graph_.tensor(id).is_constant && !made.contains(id) && read.insert(id).second) alive += graph_.tensor(id).bytes;
      made.insert(graph_.op(order[i]).outputs.begin(), graph_.op(order[i]).outputs.end());
    }
    Bytes peak = alive;
    for (std::size_t i = begin; i < end; ++i) {
      for (const TensorId id : graph_.op(order[i]).outputs) alive += graph_.tensor(id).bytes;
      peak = std::max(peak, alive);
      for (const TensorId id : graph_.op(order[i]).outputs)
        if (walk.last_reader(id) == 0) alive -= graph_.tensor(id).bytes;
      for (const TensorId id : graph_.op(order[i]).inputs)
        if (made.contains(id) && walk.last_reader(id) == i + 1) alive -= graph_.tensor(id).bytes;
    }
    return peak;
  }

  // Lengths in front, so that no two lists give the same bytes.
  static void add_to(Sha256Stream& hash, std::string_view text) {
    hash.update(fmt::format("{}:", text.size()));
    hash.update(text);
  }

  // Names and the values of weights leave the time of a run as it is; a tensor is the number of its first appearance.
  Sha256 structure() const {
    Sha256Stream hash;
    std::unordered_map<std::uint32_t, std::size_t> numbers;
    const auto add_tensor = [&](TensorId id) {
      const GraphTensor& tensor = graph_.tensor(id);
      const std::size_t number = numbers.emplace(static_cast<std::uint32_t>(id), numbers.size()).first->second;
      add_to(hash, fmt::format("{} {} {} {}", number, tensor.is_constant ? "constant" : "value", tensor.weight_bytes,
                               describe(measured_spec(tensor))));
    };
    add_to(hash, "tideline structure 1");
    add_to(hash, chain_.input ? write_input_section(*chain_.input) : "");
    for (const TensorId id : graph_.inputs) add_tensor(id);
    for (const Block& block : chain_.blocks) {
      add_to(hash, fmt::format("block {}", block.ops.size()));
      for (const OpId id : block.ops) {
        const Op& op = graph_.op(id);
        add_to(hash, fmt::format("{} {} {} {} {} {}", op.domain, op.type, op.flops, op.parameter_bytes, op.inputs.size(),
                                 op.outputs.size()));
        for (const TensorId input : op.inputs) add_tensor(input);
        for (const TensorId output : op.outputs) add_tensor(output);
      }
    }
    for (const TensorId id : graph_.outputs) add_tensor(id);
    if (!chain_.output_steps.empty()) add_to(hash, write_output_steps(chain_.output_steps));
    return hash.finish();
  }

  Sha256 identity() const {
    Sha256Stream hash;
    const auto add = [&](std::string_view text) { add_to(hash, text); };
    add("tideline chain 1");
    add(chain_.model_sha256.hex());
    add(chain_.input ? write_input_section(*chain_.input) : "");
    for (const TensorId id : graph_.inputs) add(describe(measured_spec(graph_.tensor(id))));
    for (std::size_t k = chain_.input ? kInputSteps : 0; k < chain_.cuts.size(); ++k) {
      add(fmt::format("{}", chain_.cuts[k].tensors.size()));
      for (const TensorSpec& spec : chain_.cuts[k].tensors) {
        add(spec.name);
        add(describe(spec));
      }
    }
    for (const Block& block : chain_.blocks) add(block.name);
    if (!chain_.output_steps.empty()) add(write_output_steps(chain_.output_steps));
    if (chain_.exit) add(fmt::format("exit after {}", chain_.exit->after));
    return hash.finish();
  }

  const Graph& graph_;
  const ChainOptions& options_;
  WeightCounter weights_;
  Chain chain_;
};

// A hint is worth its line when there is much to gain.
constexpr std::size_t kManyTimes = 2;
constexpr std::size_t kManyMore = 4;
constexpr std::uint32_t kHintWidthMax = 4;

}  // namespace

std::optional<WiderCuts> wider_cuts(const Graph& whole, const Chain& chain, const ChainOptions& options) {
  const Graph graph = options.exits.empty() ? whole : for_outputs(whole, outputs_without(whole, options.exits));
  const std::size_t steps = (options.input ? kInputSteps : 0) + chain.output_steps.size();
  const std::size_t now = chain.blocks.size() - steps;
  std::vector<WiderCuts> widths;
  for (std::uint32_t width = options.cut_width + 1; width <= kHintWidthMax; ++width) {
    std::size_t blocks = 0;
    for_each_cut(graph, cutting_order(graph, width), width, [&](std::size_t, const Walk&) { ++blocks; });
    if (blocks >= kManyTimes * now && blocks >= now + kManyMore) widths.push_back({width, blocks + steps});
  }
  if (widths.empty()) return std::nullopt;
  const auto most =
      std::max_element(widths.begin(), widths.end(), [](const auto& a, const auto& b) { return a.blocks < b.blocks; });
  // The narrowest that comes near: every tensor more is one more to send.
  for (const WiderCuts& one : widths)
    if (10 * one.blocks >= 9 * most->blocks) return one;
  return *most;
}

Result<Chain> make_chain(const Graph& graph, const Sha256& model_sha256, const ChainOptions& options) {
  if (options.exits.empty()) return Maker(graph, options).make(model_sha256);
  const Graph trunk = for_outputs(graph, outputs_without(graph, options.exits));
  return Maker(trunk, options).make(model_sha256);
}

Result<Chain> make_exit_chain(const Graph& graph, const Chain& trunk, const ChainOptions& options, const std::string& exit) {
  TIDELINE_TRY(const TensorId output, output_named(graph, exit));
  const Graph ending = for_outputs(graph, {output});
  return Maker(ending, options).make_exit(trunk);
}

}  // namespace tideline
