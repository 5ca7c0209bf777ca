#include "measure/measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>
#include <string>

#include "measure/attribute.h"
#include "measure/calibrate.h"
#include "measure/codecs.h"
#include "measure/samples.h"
#include "platform/host.h"
#include "profile/fit.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kKernelRuns = 12;
// Weights of the segments that are loaded at the same time.
constexpr Bytes kBatchBytes = Bytes{1} << 30;
// More in one batch would put the reference too far apart.
constexpr std::size_t kBatchSegments = 24;
// Rounds that planning counts with; a quiet machine needs fewer.
constexpr double kRoundsExpected = 8;
// Blocks that are measured alone and cuts whose segments are measured whatever the time: without some of both the fit is blind.
constexpr std::size_t kSinglesMin = 8;
constexpr std::size_t kCutsMin = 1;
// Of the time, what blocks alone may take before there are longer segments.
constexpr double kSinglesShare = 0.5;
// Of the time, what one batch may take: between batches measuring can end.
constexpr double kBatchShare = 0.2;
// Of the time, what measuring gets when loading has taken it all.
constexpr double kTimeMin = 0.3;
// What the parts of measuring take of the progress bar.
constexpr double kProgressCuts = 0.1;
constexpr double kProgressKernels = 0.15;
constexpr double kProgressCodecs = 0.3;
// Of the time, what the answers of coded cuts may take where nobody asked for all of them.
constexpr double kAnswersShare = 0.15;

// A single block that is alone fuses with nothing: it says little about longer segments.
double weight_of(const SegmentRange& range, std::uint32_t blocks) {
  if (range.last + 1 - range.first == blocks) return 4;
  return range.first == range.last ? 0.5 : 1;
}

// A number below `end` from one of std::mt19937_64's, whose sequence the C++ standard fixes; its distributions and shuffles are
// each library's own. The bias is below end / 2^32.
std::uint32_t below(std::uint32_t end, std::mt19937_64& random) {
  return static_cast<std::uint32_t>((random() >> 32) * end >> 32);
}

// Fisher and Yates: the same order on every machine for the same seed.
void shuffle(std::vector<SegmentRange>& ranges, std::mt19937_64& random) {
  for (std::size_t i = ranges.size(); i > 1; --i) std::swap(ranges[i - 1], ranges[below(static_cast<std::uint32_t>(i), random)]);
}

// 1..n-1 so that any beginning of the list is spread evenly: halves, quarters, eighths.
std::vector<std::uint32_t> spread_positions(std::uint32_t n) {
  std::vector<std::uint32_t> positions;
  std::set<std::uint32_t> seen;
  for (std::uint32_t parts = 2; seen.size() + 1 < n; parts *= 2) {
    for (std::uint32_t k = 1; k < parts; k += 2) {
      const auto position = static_cast<std::uint32_t>(std::uint64_t{k} * n / parts);
      if (position > 0 && position < n && seen.insert(position).second) positions.push_back(position);
    }
    if (parts > 2 * n) {
      for (std::uint32_t k = 1; k < n; ++k) {
        if (seen.insert(k).second) positions.push_back(k);
      }
    }
  }
  return positions;
}

class Chooser {
 public:
  Chooser(const Chain& chain, const std::vector<Millis>& priors, const SegmentBench::Reference& reference)
      : chain_(chain), priors_(priors), reference_(reference) {
    for (const Block& block : chain.blocks) {
      bytes_ += block.parameter_bytes;
      ops_ += block.ops.size();
    }
  }

  // About how long it takes to load and measure one segment.
  Millis cost(const SegmentRange& range) const {
    Millis run(0.02);
    Bytes bytes = 0;
    std::size_t ops = 0;
    for (std::uint32_t k = range.first; k <= range.last; ++k) {
      run += priors_[k];
      bytes += chain_.blocks[k].parameter_bytes;
      ops += chain_.blocks[k].ops.size();
    }
    const double share = 0.5 * static_cast<double>(bytes) / static_cast<double>(std::max<Bytes>(bytes_, 1)) +
                         0.5 * static_cast<double>(ops) / static_cast<double>(std::max<std::size_t>(ops_, 1));
    // The reference runs once for each batch and round.
    const Millis shared = reference_.time / static_cast<double>(kBatchSegments) * kRoundsExpected;
    return Millis(2) + reference_.load * share + kRoundsExpected * run + shared;
  }

  Bytes bytes(const SegmentRange& range) const {
    Bytes bytes = 0;
    for (std::uint32_t k = range.first; k <= range.last; ++k) bytes += chain_.blocks[k].parameter_bytes;
    return bytes;
  }

  // Single blocks, then prefixes and suffixes that meet at the same cut, random segments and pairs, until the time is used up.
  // Models of very many or very slow blocks have only some of them measured alone, evenly spread.
  std::vector<SegmentRange> choose(Millis budget, std::uint64_t seed) const {
    const std::uint32_t n = chain_.block_count();
    std::set<SegmentRange> chosen{{0, n - 1}};  // the reference itself
    std::vector<SegmentRange> result;
    const auto add = [&](SegmentRange range) {
      if (!chosen.insert(range).second) return;
      result.push_back(range);
      budget -= cost(range);
    };
    const Millis kept = budget * (1 - kSinglesShare);
    std::vector<std::uint32_t> singles = spread_positions(n);
    singles.insert(singles.begin(), 0);
    for (const std::uint32_t k : singles) {
      if (budget <= kept && result.size() >= kSinglesMin && !chain_.blocks[k].is_step()) continue;
      add({k, k});
    }
    std::mt19937_64 random(seed);
    std::size_t cuts = 0;
    for (const std::uint32_t cut : spread_positions(n)) {
      if (budget <= Millis(0) && cuts >= kCutsMin) break;
      ++cuts;
      add({0, cut - 1});
      add({cut, n - 1});
      add({cut - 1, cut});
      for (int i = 0; i < 2; ++i) add(random_range(n, random));
    }
    // Short models have few cuts: what is left goes to more random segments.
    for (int tries = 0; tries < 200 && budget > Millis(0); ++tries) add(random_range(n, random));
    return result;
  }

  static SegmentRange random_range(std::uint32_t n, std::mt19937_64& random) {
    const std::uint32_t a = below(n, random);
    const std::uint32_t b = below(n, random);
    return {std::min(a, b), std::max(a, b)};
  }

  // In random order, so that a slow minute does not fall on all prefixes, and cut into batches; never none.
  std::vector<std::vector<SegmentRange>> batches(std::vector<SegmentRange> ranges, Millis batch_max, std::uint64_t seed) const {
    std::mt19937_64 random(seed);
    shuffle(ranges, random);
    std::vector<std::vector<SegmentRange>> result;
    Bytes loaded = 0;
    Millis taken(0);
    for (const SegmentRange& range : ranges) {
      const Bytes weight = bytes(range);
      const bool is_full = result.empty() || result.back().size() >= kBatchSegments || loaded + weight > kBatchBytes ||
                           taken + cost(range) > batch_max;
      if (is_full) {
        result.emplace_back();
        loaded = 0;
        taken = Millis(0);
      }
      loaded += weight;
      taken += cost(range);
      result.back().push_back(range);
    }
    // A chain of one block has nothing to measure but the whole, which is in every batch.
    if (result.empty()) result.emplace_back();
    return result;
  }

 private:
  const Chain& chain_;
  const std::vector<Millis>& priors_;
  SegmentBench::Reference reference_;
  Bytes bytes_ = 0;
  std::size_t ops_ = 0;
};

// All timings with the reference at its median over the batches: what slowed a batch down slowed its reference down too.
struct Timings {
  std::vector<SegmentTiming> segments;
  SegmentTiming whole;
};

Timings normalized(std::vector<SegmentTiming> timings, std::uint32_t blocks) {
  std::vector<double> references;
  std::vector<double> walls;
  for (const SegmentTiming& timing : timings) {
    references.push_back(timing.reference.count());
    if (timing.range.last + 1 - timing.range.first == blocks) walls.push_back(timing.wall.count());
  }
  const Millis reference(median_of(references));
  Timings result;
  std::vector<double> errors;
  std::vector<double> spreads;
  for (SegmentTiming& timing : timings) {
    const double drift = real_drift(timing.reference / reference, timing.reference_error);
    errors.push_back(timing.reference_error);
    timing.time /= drift;
    timing.spread /= drift;
    if (timing.range.last + 1 - timing.range.first == blocks) {
      spreads.push_back(timing.spread.count());
    } else {
      result.segments.push_back(timing);
    }
  }
  result.whole = {{0, blocks - 1}, reference, Millis(median_of(spreads)), reference, median_of(errors), Millis(median_of(walls))};
  return result;
}

void report(const MeasureOptions& options, double done, std::string_view what) {
  if (options.progress) options.progress(done, what);
}

Result<Timings> measure_batches(SegmentBench& bench, const Chooser& chooser, const std::vector<SegmentRange>& ranges,
                                std::uint32_t blocks, const MeasureOptions& options, Clock::time_point end,
                                double progress_from) {
  std::vector<SegmentTiming> timings;
  Millis total(0);
  for (const SegmentRange& range : ranges) total += chooser.cost(range);
  Millis done(0);
  for (const std::vector<SegmentRange>& batch : chooser.batches(ranges, options.time * kBatchShare, options.seed)) {
    // What was chosen took longer than planned: the batches are in random order, so that the first ones speak for all.
    if (!timings.empty() && Clock::now() >= end) break;
    report(options, progress_from + (1 - progress_from) * (done / std::max(total, Millis(1e-9))), "segments");
    Millis share(0);
    for (const SegmentRange& range : batch) share += chooser.cost(range);
    done += share;
    // A slow machine gets its rounds_min and no more.
    SegmentBench::Effort effort;
    effort.time_max = std::clamp<Millis>(options.time * (share / std::max(total, Millis(1e-9))), Millis(20), Millis(2000));
    TIDELINE_TRY(const std::vector<SegmentTiming> measured, bench.measure(batch, effort));
    timings.insert(timings.end(), measured.begin(), measured.end());
  }
  report(options, 1, "");
  return normalized(std::move(timings), blocks);
}

// Kernel times of the blocks, input steps from their own measurement, scaled so that they add up to the whole.
std::vector<Millis> scaled_priors(std::vector<Millis> priors, Millis whole) {
  Millis sum(0);
  for (const Millis prior : priors) sum += prior;
  if (sum <= Millis(0)) return std::vector<Millis>(priors.size(), whole / static_cast<double>(priors.size()));
  for (Millis& prior : priors) prior *= whole / sum;
  return priors;
}

Profile to_profile(const Engine& engine, const Chain& chain, const Timings& timings, const SegmentFit& fit, Bytes memory) {
  Profile profile;
  profile.model_name = chain.model_name;
  profile.model_sha256 = chain.model_sha256;
  profile.chain_sha256 = chain.sha256;
  profile.structure_sha256 = chain.structure_sha256;
  profile.host = host_name();
  profile.threads = engine.threads();
  profile.engine = engine.version();
  profile.date = utc_now();
  for (std::uint32_t k = 0; k < chain.block_count(); ++k) {
    const Block& block = chain.blocks[k];
    profile.blocks.push_back({block.name, fit.blocks[k], Millis(0), block.parameter_bytes, block.activation_bytes});
  }
  for (const SegmentTiming& timing : timings.segments) {
    if (timing.range.first == timing.range.last) profile.blocks[timing.range.first].spread = timing.spread;
  }
  // Blocks that were not measured alone are as sure as the whole.
  for (BlockProfile& block : profile.blocks)
    if (block.spread <= Millis(0))
      block.spread = timings.whole.spread * (block.time / std::max(timings.whole.time, Millis(1e-9)));
  for (std::size_t cut = 0; cut < chain.cuts.size(); ++cut) {
    profile.cuts.push_back({chain.cuts[cut].bytes, fit.starts[cut], fit.ends[cut]});
  }
  profile.segment_overhead = fit.overhead;
  profile.whole = timings.whole.time;
  profile.whole_spread = timings.whole.spread;
  profile.whole_wall = timings.whole.wall;
  // The process had memory to spare when the model was loaded, so resident memory alone says too little.
  profile.whole_memory_bytes = std::max(memory, segment_memory_bytes(profile, 0, chain.block_count() - 1));
  return profile;
}

Result<std::vector<Millis>> kernel_priors(SegmentBench& bench, const Model& model, const Chain& chain, Millis whole) {
  TIDELINE_TRY(const std::vector<KernelTime> kernels,
               bench.kernel_times({0, chain.block_count() - 1}, whole > Millis(500) ? kKernelRuns / 3 : kKernelRuns));
  return attribute_kernels(model.graph(), chain, kernels);
}

// Windows of these many blocks around every cut say what beginning and stopping there costs.
constexpr std::array<std::uint32_t, 3> kWindows{1, 3, 6};
// Segments that are asked of the engine however short the time.
constexpr std::size_t kAskedMin = 24;

// What is asked of the engine, the most telling first: windows of all lengths, evenly spread, then what is measured too.
std::vector<SegmentRange> ranges_to_ask(const Chooser& chooser, std::uint32_t blocks, const MeasureOptions& options) {
  std::vector<SegmentRange> ranges;
  std::set<SegmentRange> chosen{{0, blocks - 1}};
  const auto add = [&](SegmentRange range) {
    if (chosen.insert(range).second) ranges.push_back(range);
  };
  std::vector<std::uint32_t> positions = spread_positions(blocks);
  positions.insert(positions.begin(), 0);
  for (const std::uint32_t position : positions)
    for (const std::uint32_t length : kWindows) add({position, std::min(position + length, blocks) - 1});
  for (const SegmentRange range : chooser.choose(options.time, options.seed)) add(range);
  return ranges;
}

// Predicted times of segments: the engine of this host says which kernels they are, the predictor how long those take.
class SegmentOracle {
 public:
  SegmentOracle(SegmentBench& bench, const Chain& chain, const Predictor& predictor, bool is_near)
      : bench_(bench), predictor_(predictor), is_near_(is_near), steps_(chain.blocks.size()) {}

  // Steps have no kernels, and no calibration has them: measured here, and as much slower or faster as the calibration's
  // reference.
  Status measure_steps(Engine& engine, const Chain& chain, const Calibration& calibration, const CancelToken* cancel) {
    std::vector<SegmentRange> steps;
    for (std::uint32_t k = 0; k < chain.block_count(); ++k)
      if (chain.blocks[k].is_step()) steps.push_back({k, k});
    if (steps.empty()) return {};
    TIDELINE_TRY(const Millis here, measure_reference(engine, cancel));
    TIDELINE_TRY([[maybe_unused]] const SegmentBench::Reference whole, bench_.load_reference());
    TIDELINE_TRY(const std::vector<SegmentTiming> timings, bench_.measure(steps, {}));
    for (const SegmentTiming& timing : timings)
      if (timing.range.first == timing.range.last && chain.blocks[timing.range.first].is_step())
        steps_[timing.range.first] = timing.time * (calibration.reference / std::max(here, Millis(1e-9)));
    return {};
  }

  // The kernels with their predicted times.
  Result<std::vector<KernelTime>> kernels(SegmentRange range) {
    TIDELINE_TRY(std::vector<KernelTime> kernels, bench_.kernel_times(range, 1));
    for (std::size_t k = 0; k < kernels.size(); ++k)
      kernels[k].time = predictor_.kernel_time(sample_kernel(kernels[k]), place_in_run(k, kernels.size(), is_near_));
    return kernels;
  }
  Millis time(SegmentRange range, const std::vector<KernelTime>& kernels) const {
    Millis time = kernels.empty() ? Millis(0) : predictor_.run_overhead(is_near_);
    for (const KernelTime& kernel : kernels) time += kernel.time;
    for (std::uint32_t k = range.first; k <= range.last; ++k) time += steps_[k];
    return time;
  }
  double unknown_share(const std::vector<KernelTime>& kernels, Millis whole) const {
    Millis unknown(0);
    for (const KernelTime& kernel : kernels)
      if (!predictor_.knows(sample_kernel(kernel))) unknown += kernel.time;
    return std::min(1.0, unknown / std::max(whole, Millis(1e-9)));
  }
  const std::vector<Millis>& steps() const { return steps_; }

 private:
  SegmentBench& bench_;
  const Predictor& predictor_;
  const bool is_near_;
  std::vector<Millis> steps_;  // of each block; 0 for those that are none
};

Error wrong_chain() {
  return Error{ErrorCode::kInvalidArgument,
               "[profile] the profile is of other cuts, shapes or another input section; measure again with: tideline profile"};
}

}  // namespace

Result<Profile> measure_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                const MeasureOptions& options) {
  const auto start = Clock::now();
  const std::uint32_t blocks = chain.block_count();
  SegmentBench bench(engine, model, chain, options.cancel);
  report(options, 0, "inputs of every block");
  TIDELINE_CHECK_OK(bench.fill_cuts(sample));
  report(options, kProgressCuts, "kernels");
  TIDELINE_TRY(const SegmentBench::Reference reference, bench.load_reference());
  TIDELINE_TRY(std::vector<Millis> priors, kernel_priors(bench, model, chain, reference.time));
  CodecMeasureOptions coding{.codecs = options.codecs,
                             .answers_time = options.all_answers ? Millis(-1) : kAnswersShare * options.time,
                             .threads = engine.threads(),
                             .cancel = options.cancel};
  coding.progress = [&](double done) {
    report(options, kProgressKernels + done * (kProgressCodecs - kProgressKernels), "codecs");
  };
  TIDELINE_TRY(std::vector<CodecProfile> codecs, measure_codecs(bench, chain, coding));
  const Chooser chooser(chain, priors, reference);
  const Millis left = std::max<Millis>(options.time * kTimeMin, options.time - Millis(Clock::now() - start));
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(left);
  TIDELINE_TRY(const Timings timings, measure_batches(bench, chooser, chooser.choose(left, options.seed), blocks, options, end,
                                                      codecs.empty() ? kProgressKernels : kProgressCodecs));
  std::vector<SegmentSample> samples{{0, blocks - 1, timings.whole.time, weight_of({0, blocks - 1}, blocks)}};
  for (const SegmentTiming& timing : timings.segments) {
    const auto [first, last] = timing.range;
    samples.push_back({first, last, timing.time, weight_of(timing.range, blocks)});
    // Steps fuse with nothing and have no kernels: alone is what they cost.
    if (first == last && chain.blocks[first].is_step()) priors[first] = timing.time;
  }
  priors = scaled_priors(std::move(priors), timings.whole.time);
  const SegmentFit fit = fit_segments(priors, samples, {.ridge = choose_ridge(priors, samples)});
  Profile profile = to_profile(engine, chain, timings, fit, reference.memory_bytes);
  profile.codecs = std::move(codecs);
  return profile;
}

Result<Profile> predict_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                const Calibration& calibration, const Predictor& predictor, const PredictorError& error,
                                const MeasureOptions& options) {
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(options.time);
  const std::uint32_t blocks = chain.block_count();
  const SegmentRange all{0, blocks - 1};
  SegmentBench bench(engine, model, chain, options.cancel);
  report(options, 0, "inputs of every block");
  TIDELINE_CHECK_OK(bench.fill_cuts(sample));
  report(options, kProgressCuts, "kernels");
  SegmentOracle oracle(bench, chain, predictor, is_near(calibration, model.graph().parameter_bytes));
  TIDELINE_CHECK_OK(oracle.measure_steps(engine, chain, calibration, options.cancel));
  const auto asked = Clock::now();
  TIDELINE_TRY(const std::vector<KernelTime> kernels, oracle.kernels(all));
  Timings timings;
  timings.whole = {.range = all, .time = oracle.time(all, kernels)};
  timings.whole.spread = timings.whole.time * error.median;
  std::vector<Millis> priors = attribute_kernels(model.graph(), chain, kernels);
  for (std::uint32_t k = 0; k < blocks; ++k)
    if (chain.blocks[k].is_step()) priors[k] = oracle.steps()[k];
  std::vector<SegmentSample> samples{{0, blocks - 1, std::max(timings.whole.time, Millis(1e-9)), weight_of(all, blocks)}};
  const Chooser chooser(chain, priors, {.load = Clock::now() - asked, .time = timings.whole.time});
  const std::vector<SegmentRange> ranges = ranges_to_ask(chooser, blocks, options);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (i >= kAskedMin && Clock::now() >= end) break;
    report(options, kProgressKernels + (1 - kProgressKernels) * static_cast<double>(i) / static_cast<double>(ranges.size()),
           "segments");
    TIDELINE_TRY(const std::vector<KernelTime> own, oracle.kernels(ranges[i]));
    const auto [first, last] = ranges[i];
    samples.push_back({first, last, std::max(oracle.time(ranges[i], own), Millis(1e-9)), weight_of(ranges[i], blocks)});
  }
  report(options, 1, "");
  priors = scaled_priors(std::move(priors), timings.whole.time);
  const SegmentFit fit = fit_segments(priors, samples, {.ridge = choose_ridge(priors, samples)});
  Profile profile = to_profile(engine, chain, timings, fit, 0);
  profile.host = calibration.host;
  profile.threads = calibration.threads;
  profile.engine = calibration.engine;
  profile.prediction = Prediction{.by = std::string(predictor.name()),
                                  .calibrated = calibration.date,
                                  .fused_on = host_name(),
                                  .expected_error = error.median,
                                  .expected_error_p90 = error.p90,
                                  .unknown_share = oracle.unknown_share(kernels, timings.whole.time)};
  return profile;
}

Result<ProfileCheck> check_profile(Engine& engine, const Model& model, const Chain& chain, const std::vector<Tensor>& sample,
                                   const Profile& profile, std::uint32_t count, const MeasureOptions& options) {
  if (profile.chain_sha256 != chain.sha256 || profile.blocks.size() != chain.blocks.size()) return wrong_chain();
  const std::uint32_t blocks = chain.block_count();
  SegmentBench bench(engine, model, chain, options.cancel);
  TIDELINE_CHECK_OK(bench.fill_cuts(sample));
  report(options, kProgressCuts, "segments");
  TIDELINE_TRY(const SegmentBench::Reference reference, bench.load_reference());
  std::vector<Millis> times;
  for (const BlockProfile& block : profile.blocks) times.push_back(block.time);
  const Chooser chooser(chain, times, reference);
  // Other segments than the ones that were measured, as far as chance goes.
  std::mt19937_64 random(options.seed + 0x9e3779b97f4a7c15u);
  std::set<SegmentRange> ranges;
  const std::uint64_t possible = std::uint64_t{blocks} * (blocks + 1) / 2;
  while (ranges.size() < std::min<std::uint64_t>(count, possible)) ranges.insert(Chooser::random_range(blocks, random));
  TIDELINE_TRY(const Timings timings, measure_batches(bench, chooser, {ranges.begin(), ranges.end()}, blocks, options,
                                                      Clock::time_point::max(), kProgressCuts));

  ProfileCheck check{.whole = timings.whole.time};
  check.drift = real_drift(timings.whole.time / std::max(profile.whole, Millis(1e-9)), timings.whole.reference_error);
  std::vector<double> errors;
  std::vector<double> raw_errors;
  std::vector<SegmentTiming> all = timings.segments;
  if (ranges.contains({0, blocks - 1})) all.push_back(timings.whole);
  for (const SegmentTiming& timing : all) {
    const Millis predicted = segment_time(profile, timing.range.first, timing.range.last);
    const double ratio = predicted / std::max(timing.time, Millis(1e-9));
    check.segments.push_back({timing.range, predicted, timing.time, std::abs(ratio * check.drift - 1)});
    errors.push_back(check.segments.back().error);
    raw_errors.push_back(std::abs(ratio - 1));
  }
  std::sort(check.segments.begin(), check.segments.end(),
            [](const SegmentCheck& a, const SegmentCheck& b) { return a.range < b.range; });
  check.median_error = median_of(errors);
  check.median_error_without_drift = median_of(raw_errors);
  return check;
}

}  // namespace tideline
