#include "profile/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace tideline {
namespace {

constexpr int kReweightings = 8;
constexpr int kClampings = 12;
// Rounding makes conjugate gradients need more than one step for each unknown.
constexpr std::size_t kStepsForEachUnknown = 4;

// Where each unknown lies in the vector: overhead, blocks, starts of cuts 1..n-1, ends of cuts 1..n-1.
struct Layout {
  std::size_t blocks;
  std::size_t size() const { return 1 + blocks + 2 * (blocks - 1); }
  std::size_t block(std::size_t k) const { return 1 + k; }
  std::size_t start(std::size_t cut) const { return 1 + blocks + cut - 1; }
  std::size_t end(std::size_t cut) const { return 1 + blocks + (blocks - 1) + cut - 1; }
};

struct Problem {
  Layout layout;
  std::vector<double> prior;    // of each unknown
  std::vector<double> penalty;  // of each unknown's distance from its prior
  std::vector<bool> is_time;    // must not be negative
};

Problem make_problem(const std::vector<Millis>& priors, const std::vector<SegmentSample>& samples, double ridge) {
  Problem problem{.layout = {priors.size()}, .prior = {}, .penalty = {}, .is_time = {}};
  const std::size_t n = problem.layout.size();
  problem.prior.assign(n, 0);
  problem.penalty.assign(n, 0);
  problem.is_time.assign(n, false);
  double whole = 0;
  for (const Millis prior : priors) whole += prior.count();
  for (const SegmentSample& sample : samples) whole = std::max(whole, sample.time.count());
  // No time is known better than this: keeps the scale of an empty block away from zero.
  const double floor = std::max(1e-3 * whole / static_cast<double>(priors.size()), 1e-9);
  const auto set = [&](std::size_t unknown, double prior, double scale, bool is_time) {
    problem.prior[unknown] = prior;
    problem.penalty[unknown] = ridge / (scale * scale);
    problem.is_time[unknown] = is_time;
  };
  const double mean = std::max(whole / static_cast<double>(priors.size()), floor);
  set(0, 0, mean, true);
  for (std::size_t k = 0; k < priors.size(); ++k) {
    const double scale = std::max(priors[k].count(), 0.1 * mean);
    set(problem.layout.block(k), priors[k].count(), std::max(scale, floor), true);
  }
  for (std::size_t cut = 1; cut < priors.size(); ++cut) {
    // What fusing across a cut can save is of the size of the blocks beside it.
    const double scale = std::max(0.5 * (priors[cut - 1].count() + priors[cut].count()), 0.1 * mean);
    set(problem.layout.start(cut), 0, scale, false);
    set(problem.layout.end(cut), 0, scale, false);
  }
  return problem;
}

// The normal equations of the weighted ridge least squares, applied and never written down: a segment's prediction is a
// difference of prefix sums, so one application is O(n + samples).
class NormalEquations {
 public:
  NormalEquations(const Problem& problem, const std::vector<SegmentSample>& samples, const std::vector<double>& weights)
      : problem_(problem), samples_(samples), weights_(weights), is_fixed_(problem.layout.size(), false) {}

  void fix_at_zero(std::size_t unknown) { is_fixed_[unknown] = true; }
  bool is_fixed(std::size_t unknown) const { return is_fixed_[unknown]; }

  std::vector<double> right_side() const {
    std::vector<double> result = gathered([&](std::size_t s) { return weights_[s] * samples_[s].time.count(); });
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += problem_.penalty[i] * problem_.prior[i];
    return without_fixed(std::move(result));
  }

  std::vector<double> apply(const std::vector<double>& x) const {
    const Layout& layout = problem_.layout;
    std::vector<double> before(layout.blocks + 1, 0);
    for (std::size_t k = 0; k < layout.blocks; ++k) before[k + 1] = before[k] + x[layout.block(k)];
    std::vector<double> result = gathered([&](std::size_t s) {
      const SegmentSample& sample = samples_[s];
      double predicted = x[0] + before[sample.last + 1] - before[sample.first];
      if (sample.first > 0) predicted += x[layout.start(sample.first)];
      if (sample.last + 1 < layout.blocks) predicted += x[layout.end(sample.last + 1)];
      return weights_[s] * predicted;
    });
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += problem_.penalty[i] * x[i];
    return without_fixed(std::move(result));
  }

  // For the preconditioner.
  std::vector<double> diagonal() const {
    std::vector<double> result = gathered([&](std::size_t s) { return weights_[s]; });
    for (std::size_t i = 0; i < result.size(); ++i) result[i] += problem_.penalty[i];
    return result;
  }

 private:
  // Adds `value_of` each sample to every unknown that its segment holds.
  template <typename ValueOf>
  std::vector<double> gathered(ValueOf value_of) const {
    const Layout& layout = problem_.layout;
    std::vector<double> result(layout.size(), 0);
    std::vector<double> steps(layout.blocks + 1, 0);
    for (std::size_t s = 0; s < samples_.size(); ++s) {
      const SegmentSample& sample = samples_[s];
      const double value = value_of(s);
      result[0] += value;
      steps[sample.first] += value;
      steps[sample.last + 1] -= value;
      if (sample.first > 0) result[layout.start(sample.first)] += value;
      if (sample.last + 1 < layout.blocks) result[layout.end(sample.last + 1)] += value;
    }
    double level = 0;
    for (std::size_t k = 0; k < layout.blocks; ++k) result[layout.block(k)] = level += steps[k];
    return result;
  }

  std::vector<double> without_fixed(std::vector<double> x) const {
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (is_fixed_[i]) x[i] = 0;
    }
    return x;
  }

  const Problem& problem_;
  const std::vector<SegmentSample>& samples_;
  const std::vector<double>& weights_;
  std::vector<bool> is_fixed_;
};

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Conjugate gradients from `x`, each unknown scaled by the diagonal.
void solve(const NormalEquations& equations, std::vector<double>& x) {
  const std::vector<double> diagonal = equations.diagonal();
  const std::vector<double> right = equations.right_side();
  const auto scaled = [&](std::vector<double> v) {
    for (std::size_t i = 0; i < v.size(); ++i) v[i] /= diagonal[i];
    return v;
  };
  std::vector<double> residual = equations.apply(x);
  for (std::size_t i = 0; i < x.size(); ++i) residual[i] = right[i] - residual[i];
  std::vector<double> z = scaled(residual);
  std::vector<double> direction = z;
  double rho = dot(residual, z);
  const double stop = 1e-20 * std::max(dot(right, scaled(right)), 1e-300);
  for (std::size_t round = 0; round < kStepsForEachUnknown * x.size() && rho > stop; ++round) {
    const std::vector<double> image = equations.apply(direction);
    const double step = rho / dot(direction, image);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] += step * direction[i];
      residual[i] -= step * image[i];
    }
    z = scaled(residual);
    const double next = dot(residual, z);
    for (std::size_t i = 0; i < x.size(); ++i) direction[i] = z[i] + next / rho * direction[i];
    rho = next;
  }
}

// Times are clamped at zero: those that come out negative are fixed there, and the rest is solved again.
void solve_clamped(const Problem& problem, const std::vector<SegmentSample>& samples, const std::vector<double>& weights,
                   std::vector<double>& x) {
  NormalEquations equations(problem, samples, weights);
  for (int round = 0; round < kClampings; ++round) {
    solve(equations, x);
    bool clamped = false;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (!problem.is_time[i] || equations.is_fixed(i) || x[i] >= 0) continue;
      equations.fix_at_zero(i);
      x[i] = 0;
      clamped = true;
    }
    if (!clamped) return;
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (problem.is_time[i]) x[i] = std::max(x[i], 0.0);
  }
}

SegmentFit to_fit(const Layout& layout, const std::vector<double>& x) {
  SegmentFit fit;
  fit.overhead = Millis(x[0]);
  fit.starts.assign(layout.blocks + 1, Millis(0));
  fit.ends.assign(layout.blocks + 1, Millis(0));
  for (std::size_t k = 0; k < layout.blocks; ++k) fit.blocks.emplace_back(x[layout.block(k)]);
  for (std::size_t cut = 1; cut < layout.blocks; ++cut) {
    fit.starts[cut] = Millis(x[layout.start(cut)]);
    fit.ends[cut] = Millis(x[layout.end(cut)]);
  }
  return fit;
}

}  // namespace

Millis SegmentFit::predict(std::uint32_t first, std::uint32_t last) const {
  Millis time = overhead + starts[first] + ends[last + 1];
  for (std::uint32_t k = first; k <= last; ++k) time += blocks[k];
  return std::max(time, Millis(0));
}

SegmentFit fit_segments(const std::vector<Millis>& priors, const std::vector<SegmentSample>& samples, const FitOptions& options) {
  TIDELINE_CHECK(!priors.empty());
  const Problem problem = make_problem(priors, samples, options.ridge);
  std::vector<double> weights(samples.size());
  std::vector<double> base(samples.size());
  for (std::size_t s = 0; s < samples.size(); ++s) {
    TIDELINE_CHECK(samples[s].first <= samples[s].last && samples[s].last < priors.size());
    const double time = std::max(samples[s].time.count(), 1e-9);
    base[s] = weights[s] = samples[s].weight / (time * time);
  }
  SegmentFit fit;
  std::vector<double> x = problem.prior;
  for (int round = 0; round < kReweightings; ++round) {
    solve_clamped(problem, samples, weights, x);
    fit = to_fit(problem.layout, x);
    for (std::size_t s = 0; s < samples.size(); ++s) {
      const double time = std::max(samples[s].time.count(), 1e-9);
      const double residual = std::abs(fit.predict(samples[s].first, samples[s].last).count() - time) / time;
      weights[s] = base[s] * (residual <= options.huber ? 1 : options.huber / residual);
    }
  }
  return fit;
}

double choose_ridge(const std::vector<Millis>& priors, const std::vector<SegmentSample>& samples) {
  constexpr std::size_t kFolds = 5;
  constexpr std::size_t kSamplesMin = 10;
  // A few segments are not additive at all: how wrong they are must not decide.
  constexpr double kErrorMax = 0.2;
  std::vector<std::size_t> held_out;
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const bool is_whole = samples[s].last + 1 - samples[s].first == priors.size();
    if (samples[s].first != samples[s].last && !is_whole) held_out.push_back(s);
  }
  if (held_out.size() < kSamplesMin) return kRidgeDefault;
  double best = kRidgeDefault;
  double best_error = std::numeric_limits<double>::infinity();
  for (const double ridge : {1e-5, 1e-4, 1e-3, 1e-2}) {
    double error = 0;
    for (std::size_t fold = 0; fold < kFolds; ++fold) {
      std::vector<SegmentSample> kept = samples;
      for (std::size_t i = fold; i < held_out.size(); i += kFolds) kept[held_out[i]].weight = 0;
      const SegmentFit fit = fit_segments(priors, kept, {.ridge = ridge});
      for (std::size_t i = fold; i < held_out.size(); i += kFolds) {
        const SegmentSample& sample = samples[held_out[i]];
        error += std::min(kErrorMax, std::abs(fit.predict(sample.first, sample.last) / sample.time - 1));
      }
    }
    if (error < best_error) {
      best_error = error;
      best = ridge;
    }
  }
  return best;
}

}  // namespace tideline
