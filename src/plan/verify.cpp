#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "codec/codec.h"
#include "plan/program.h"

namespace tideline {
namespace {

using From = ProgramStage::From;
using Then = ProgramStage::Then;

class Verifier {
 public:
  Verifier(const Program& program, const Cluster& cluster, const ProgramShape& shape)
      : stages_(program.stages), result_to_(program.result_to), cluster_(cluster), shape_(shape) {}

  Status run() {
    if (stages_.empty() || stages_.size() > limits::kPlanStagesMax)
      return wrong(0, fmt::format("a program has 1 to {} stages, found {}", limits::kPlanStagesMax, stages_.size()));
    if (std::size_t(cluster_.source) >= cluster_.nodes.size()) return wrong(0, "the cluster has no source");
    std::uint32_t done = 0;
    for (std::uint32_t i = 0; i < stages_.size(); ++i) {
      TIDELINE_CHECK_OK(check_arrival(i));
      TIDELINE_CHECK_OK(check_blocks(i, done));
      TIDELINE_CHECK_OK(check_departure(i));
    }
    if (!calls_.empty()) return wrong(calls_.back(), "its call is never answered");
    if (done != shape_.block_count)
      return wrong(static_cast<std::uint32_t>(stages_.size() - 1),
                   fmt::format("the program ends after {} blocks, but the model has {}", done, shape_.block_count));
    return {};
  }

 private:
  static Error wrong(std::uint32_t stage, const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("[plan] stage {} of the program: {}", stage, what)};
  }

  const std::string& source() const { return cluster_.nodes[std::size_t(cluster_.source)].name; }

  Status check_arrival(std::uint32_t i) {
    const ProgramStage& stage = stages_[i];
    if (stage.id != i) return wrong(i, fmt::format("its id is {}", stage.id));
    if (i == 0) {
      if (stage.node != source()) return wrong(i, fmt::format("it is on '{}', not on the source", printable(stage.node)));
      return stage.from == From::kRequest ? Status() : Status(wrong(i, "it waits for an answer before any call"));
    }
    if (stages_[i - 1].then == Then::kCall) {
      if (stage.from != From::kRequest) return wrong(i, "it is called, but waits for an answer");
      return {};
    }
    if (calls_.empty()) return wrong(i, "the request was answered before it");
    const ProgramStage& caller = stages_[calls_.back()];
    if (stage.from != From::kAnswer || stage.after != caller.id)
      return wrong(i, fmt::format("it must go on with the answer to stage {}", caller.id));
    if (stage.node != caller.node)
      return wrong(i, fmt::format("the answer arrives on '{}', but it is on '{}'", caller.node, printable(stage.node)));
    calls_.pop_back();
    return {};
  }

  Status check_blocks(std::uint32_t i, std::uint32_t& done) const {
    const ProgramStage& stage = stages_[i];
    TIDELINE_CHECK_OK(check_names(i, stage.inputs, done));
    if (stage.blocks) {
      const auto [first, last] = *stage.blocks;
      if (first != done || last < first || last >= shape_.block_count)
        return wrong(i, fmt::format("it runs blocks {}..{}; {} of {} are done", first, last, done, shape_.block_count));
      done = last + 1;
    }
    return check_names(i, stage.outputs, done);
  }

  // What arrives and leaves is the cut that is in force; of the last one nothing where nobody wants the result.
  Status check_names(std::uint32_t i, const std::vector<std::string>& names, std::uint32_t cut) const {
    if (cut == shape_.block_count && result_to_ == ResultTo::kNowhere)
      return names.empty() ? Status() : Status(wrong(i, "tensors of a result that is wanted nowhere are under way"));
    bool same = true;
    if (shape_.chain != nullptr) {
      const std::vector<TensorSpec>& tensors = shape_.chain->cuts[cut].tensors;
      same = names.size() == tensors.size();
      for (std::size_t k = 0; same && k < names.size(); ++k) same = names[k] == tensors[k].name;
    }
    return same ? Status() : Status(wrong(i, fmt::format("its tensors are not those of cut {}", cut)));
  }

  Status check_departure(std::uint32_t i) {
    const ProgramStage& stage = stages_[i];
    if (const auto codec = find_codec(stage.codec); !codec)
      return with_context(codec.error(), fmt::format("[plan] stage {} of the program", i));
    else if (i + 1 == stages_.size() && !codec->is_raw())
      return wrong(i, fmt::format("the result leaves as '{}', but whoever sent the request gets it raw", stage.codec));
    if (stage.then == Then::kAnswer) return {};
    if (i + 1 == stages_.size() || stage.next != i + 1) return wrong(i, fmt::format("it calls stage {}", stage.next));
    if (stage.next_node != stages_[i + 1].node)
      return wrong(i, fmt::format("it calls '{}', but stage {} is on '{}'", printable(stage.next_node), stage.next,
                                  printable(stages_[i + 1].node)));
    if (stage.link >= cluster_.links.size()) return wrong(i, fmt::format("the cluster has no link {}", stage.link));
    const Link& link = cluster_.links[stage.link];
    if (cluster_.nodes[std::size_t(link.from)].name != stage.node || cluster_.nodes[std::size_t(link.to)].name != stage.next_node)
      return wrong(i, fmt::format("link {} does not lead from '{}' to '{}'", stage.link, printable(stage.node),
                                  printable(stage.next_node)));
    for (const std::uint32_t call : calls_)
      if (stages_[call].node == stage.next_node)
        return wrong(i, fmt::format("'{}' is called while its own call waits", stages_[call].node));
    if (calls_.size() + 1 >= limits::kPlanHopsMax)
      return wrong(i, fmt::format("its call is more than {} deep", limits::kPlanHopsMax));
    calls_.push_back(i);
    return {};
  }

  const std::vector<ProgramStage>& stages_;
  const ResultTo result_to_;
  const Cluster& cluster_;
  const ProgramShape& shape_;
  std::vector<std::uint32_t> calls_;  // stages whose call waits for its answer
};

}  // namespace

Status verify(const Program& program, const Cluster& cluster, const ProgramShape& shape) {
  return Verifier(program, cluster, shape).run();
}

}  // namespace tideline
