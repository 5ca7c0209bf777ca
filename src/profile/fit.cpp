#include "profile/fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace tideline {
namespace {

constexpr int kReweightings = 8;
constexpr int kClampings = 12;

// Where each unknown lies in the vector: overhead, blocks, starts of cuts 1..n-1, ends of cuts 1..n-1.
struct Layout {
  std::size_t blocks;
  std::size_t size() const { return 1 + blocks + 2 * (blocks - 1); }
  std::size_t block(std::size_t k) const { return 1 + k; }
  std::size_t start(std::size_t cut) const { return 1 + blocks + cut - 1; }
  std::size_t end(std::size_t cut) const { return 1 + blocks + (blocks - 1) + cut - 1; }
};

// Solves the symmetric positive definite `a` x = b in place by Cholesky's decomposition; `a` is row-major.
void solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    double* const row_j = &a[j * n];
    for (std::size_t k = 0; k < j; ++k) row_j[j] -= row_j[k] * row_j[k];
    row_j[j] = std::sqrt(std::max(row_j[j], 1e-300));
    for (std::size_t i = j + 1; i < n; ++i) {
      double* const row_i = &a[i * n];
      double sum = row_i[j];
      for (std::size_t k = 0; k < j; ++k) sum -= row_i[k] * row_j[k];
      row_i[j] = sum / row_j[j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
}

std::vector<std::size_t> unknowns_of(const Layout& layout, const SegmentSample& sample) {
  std::vector<std::size_t> result{0};
  for (std::size_t k = sample.first; k <= sample.last; ++k) result.push_back(layout.block(k));
  if (sample.first > 0) result.push_back(layout.start(sample.first));
  if (sample.last + 1 < layout.blocks) result.push_back(layout.end(sample.last + 1));
  return result;
}

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

// One weighted ridge least squares with times clamped at zero: those that come out negative are fixed there, and it is solved
// again.
std::vector<double> solve_clamped(const Problem& problem, const std::vector<SegmentSample>& samples,
                                  const std::vector<double>& weights) {
  const std::size_t n = problem.layout.size();
  std::vector<double> matrix(n * n, 0);
  std::vector<double> right(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    matrix[i * n + i] = problem.penalty[i];
    right[i] = problem.penalty[i] * problem.prior[i];
  }
  for (std::size_t s = 0; s < samples.size(); ++s) {
    const std::vector<std::size_t> unknowns = unknowns_of(problem.layout, samples[s]);
    for (const std::size_t i : unknowns) {
      right[i] += weights[s] * samples[s].time.count();
      for (const std::size_t j : unknowns) matrix[i * n + j] += weights[s];
    }
  }
  std::vector<bool> is_fixed(n, false);
  std::vector<double> x;
  for (int round = 0; round < kClampings; ++round) {
    std::vector<double> a = matrix;
    x = right;
    for (std::size_t i = 0; i < n; ++i) {
      if (!is_fixed[i]) continue;
      for (std::size_t j = 0; j < n; ++j) a[i * n + j] = a[j * n + i] = 0;
      a[i * n + i] = 1;
      x[i] = 0;
    }
    solve(a, x);
    bool clamped = false;
    for (std::size_t i = 0; i < n; ++i) {
      if (!problem.is_time[i] || is_fixed[i] || x[i] >= 0) continue;
      is_fixed[i] = true;
      clamped = true;
    }
    if (!clamped) break;
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (problem.is_time[i]) x[i] = std::max(x[i], 0.0);
  }
  return x;
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
  for (int round = 0; round < kReweightings; ++round) {
    fit = to_fit(problem.layout, solve_clamped(problem, samples, weights));
    for (std::size_t s = 0; s < samples.size(); ++s) {
      const double time = std::max(samples[s].time.count(), 1e-9);
      const double residual = std::abs(fit.predict(samples[s].first, samples[s].last).count() - time) / time;
      weights[s] = base[s] * (residual <= options.huber ? 1 : options.huber / residual);
    }
  }
  return fit;
}

}  // namespace tideline
