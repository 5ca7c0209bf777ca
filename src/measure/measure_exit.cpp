#include "measure/measure_exit.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/check.h"
#include "measure/codecs.h"
#include "measure/samples.h"

namespace tideline {
namespace {

// Of the time, what the answers of coded cuts may take where nobody asked for all of them.
constexpr double kExitAnswersShare = 0.15;

class ExitMeasure {
 public:
  ExitMeasure(const Chain& chain, const Profile& profile)
      : chain_(chain), profile_(profile), after_(chain.exit->after), end_(chain.output_cut()) {}

  bool has_head() const { return end_ > after_; }

  // The head alone, with all of the trunk, with half of it and with its last block; each of those without the head; each output
  // step alone.
  std::vector<SegmentRange> ranges() const {
    std::set<SegmentRange> ranges;
    if (has_head()) {
      ranges.insert({after_, after_});
      for (const std::uint32_t from : beginnings()) {
        ranges.insert({from, after_});
        ranges.insert({from, after_ - 1});
      }
    }
    for (std::uint32_t k = end_; k < chain_.block_count(); ++k) ranges.insert({k, k});
    return {ranges.begin(), ranges.end()};
  }

  void add(const SegmentTiming& timing) { times_[timing.range] = timing; }

  void fill(ExitProfile& exit) const {
    for (std::uint32_t k = after_; k < chain_.block_count(); ++k) {
      const Block& block = chain_.blocks[k];
      exit.blocks.push_back({.name = block.name,
                             .time = k < end_ ? head() : alone(k),
                             .spread = times_.at({k, k}).spread,
                             .parameter_bytes = block.parameter_bytes,
                             .activation_bytes = block.activation_bytes});
    }
    for (std::size_t cut = after_; cut < chain_.cuts.size(); ++cut) exit.cuts.push_back({.bytes = chain_.cuts[cut].bytes});
    exit.cuts.front().end = profile_.cuts[after_].end;
    if (has_head()) exit.cuts.front().start = alone(after_) - head();
  }

 private:
  // Blocks of the trunk from which segments with the head are measured.
  std::vector<std::uint32_t> beginnings() const {
    const std::uint32_t first = chain_.input ? kInputSteps : 0;
    if (after_ <= first) return {};
    return {first, first + (after_ - first) / 2, after_ - 1};
  }

  Millis alone(std::uint32_t block) const {
    return std::max<Millis>(times_.at({block, block}).time - profile_.segment_overhead, Millis(0));
  }

  // Behind a trunk; alone where there is none.
  Millis head() const {
    std::vector<double> differences;
    for (const std::uint32_t from : beginnings()) {
      const Millis without = times_.at({from, after_ - 1}).time - profile_.cuts[after_].end;
      differences.push_back((times_.at({from, after_}).time - without).count());
    }
    if (differences.empty()) return alone(after_);
    return std::max<Millis>(Millis(median_of(differences)), Millis(0));
  }

  const Chain& chain_;
  const Profile& profile_;
  const std::uint32_t after_;
  const std::uint32_t end_;  // the cut behind the head
  std::map<SegmentRange, SegmentTiming> times_;
};

}  // namespace

Result<ExitProfile> measure_exit(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                 const Profile& profile, const MeasureOptions& options) {
  TIDELINE_CHECK(chain.exit && chain.exit->after <= profile.blocks.size());
  ExitProfile exit{.output = chain.exit->output,
                   .after = chain.exit->after,
                   .chain_sha256 = chain.sha256,
                   .structure_sha256 = chain.structure_sha256};
  SegmentBench bench(engine, model, chain, options.cancel);
  TIDELINE_CHECK_OK(bench.fill_cuts(sample));
  TIDELINE_TRY([[maybe_unused]] const SegmentBench::Reference reference, bench.load_reference());
  CodecMeasureOptions coding{.codecs = options.codecs,
                             .answers_time = options.all_answers ? Millis(-1) : kExitAnswersShare * options.time,
                             .threads = engine.threads(),
                             .cancel = options.cancel};
  TIDELINE_TRY(exit.codecs, measure_codecs(bench, chain, coding));
  SegmentBench::Effort effort;
  effort.time_max = std::clamp<Millis>(options.time, Millis(20), Millis(2000));
  ExitMeasure measure(chain, profile);
  TIDELINE_TRY(const std::vector<SegmentTiming> timings, bench.measure(measure.ranges(), effort));
  for (const SegmentTiming& timing : timings) measure.add(timing);
  exit.whole = timings.back().time;
  measure.fill(exit);
  return exit;
}

}  // namespace tideline
