#include "train/data/divide.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <fmt/format.h>

namespace tideline::train {
namespace {

using Rows = std::vector<std::uint32_t>;

// The engine is the standard's to the bit; its distributions and std::shuffle are not, so they are written here.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}

  double unit() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(unit() * static_cast<double>(bound)); }
  void shuffle(auto& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }
  // Marsaglia and Tsang 2000; below 1 by the power of a uniform number.
  double gamma(double shape) {
    if (shape < 1) return gamma(shape + 1) * std::pow(1 - unit(), 1 / shape);
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal();
      const double v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(1 - unit()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

 private:
  double normal() { return std::sqrt(-2 * std::log(1 - unit())) * std::cos(2 * 3.14159265358979323846 * unit()); }
  std::mt19937_64 engine_;
};

// Rows of each class, in their order.
std::vector<Rows> by_class(const Rows& rows, std::span<const std::int32_t> labels) {
  Rows sorted = rows;
  std::stable_sort(sorted.begin(), sorted.end(), [&](std::uint32_t a, std::uint32_t b) { return labels[a] < labels[b]; });
  std::vector<Rows> classes;  // only those that occur
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i == 0 || labels[sorted[i]] != labels[sorted[i - 1]]) classes.emplace_back();
    classes.back().push_back(sorted[i]);
  }
  return classes;
}

// Piece k of n of `rows`.
Rows piece(const Rows& rows, std::size_t k, std::size_t n) {
  const auto at = [&](std::size_t i) { return rows.begin() + static_cast<std::ptrdiff_t>(rows.size() * i / n); };
  return {at(k), at(k + 1)};
}

void append(Rows& to, const Rows& from) { to.insert(to.end(), from.begin(), from.end()); }

std::vector<Rows> dirichlet(const std::vector<Rows>& classes, const DivideOptions& options, Draw& draw) {
  std::vector<Rows> workers(options.workers);
  for (const Rows& rows : classes) {
    std::vector<double> parts(options.workers);
    for (double& part : parts) part = draw.gamma(options.alpha);
    const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
    double before = 0;
    std::size_t from = 0;
    for (std::size_t k = 0; k < options.workers; ++k) {
      before += sum > 0 ? parts[k] / sum : 1.0 / static_cast<double>(options.workers);
      const bool is_last = k + 1 == options.workers;
      const std::size_t to =
          is_last
              ? rows.size()
              : std::clamp(static_cast<std::size_t>(std::llround(before * static_cast<double>(rows.size()))), from, rows.size());
      workers[k].insert(workers[k].end(), rows.begin() + static_cast<std::ptrdiff_t>(from),
                        rows.begin() + static_cast<std::ptrdiff_t>(to));
      from = to;
    }
  }
  return workers;
}

std::vector<Rows> classes_to_workers(const std::vector<Rows>& classes, std::size_t count) {
  std::vector<Rows> workers(count);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    if (count < classes.size()) {
      append(workers[c % count], classes[c]);
      continue;
    }
    const std::size_t sharers = (count - c + classes.size() - 1) / classes.size();
    for (std::size_t k = 0; k < sharers; ++k) workers[c + k * classes.size()] = piece(classes[c], k, sharers);
  }
  return workers;
}

std::vector<Rows> shards(const std::vector<Rows>& classes, const DivideOptions& options, Draw& draw) {
  Rows sorted;
  for (const Rows& rows : classes) append(sorted, rows);
  std::vector<std::size_t> order(options.workers * options.per_worker);
  std::iota(order.begin(), order.end(), std::size_t{0});
  draw.shuffle(order);
  std::vector<Rows> workers(options.workers);
  for (std::size_t i = 0; i < order.size(); ++i) append(workers[i % options.workers], piece(sorted, order[i], order.size()));
  return workers;
}

}  // namespace

Result<std::vector<std::vector<std::uint32_t>>> divide(std::span<const std::int32_t> labels, const DivideOptions& options) {
  const auto refuse = [](std::string message) { return Error{ErrorCode::kInvalidArgument, "[data] " + std::move(message)}; };
  if (options.workers < 1 || options.workers > labels.size())
    return refuse(fmt::format("{} samples cannot be divided among {} workers", labels.size(), options.workers));
  if (!(options.shared >= 0 && options.shared < 1)) return refuse("the shared part must be at least 0 and below 1");
  if (!(options.alpha >= 1e-6 && options.alpha <= 1e6)) return refuse("alpha must be 1e-6 to 1e6");
  if (options.per_worker < 1 || options.per_worker > labels.size() / options.workers)
    return refuse(fmt::format("{} samples do not make {} shards for each of {} workers", labels.size(), options.per_worker,
                              options.workers));
  Draw draw(options.seed);
  Rows rows(labels.size());
  std::iota(rows.begin(), rows.end(), 0U);
  draw.shuffle(rows);
  const auto common = static_cast<std::ptrdiff_t>(std::llround(options.shared * static_cast<double>(rows.size())));
  const Rows shared(rows.begin(), rows.begin() + common);
  rows.erase(rows.begin(), rows.begin() + common);

  std::vector<Rows> workers(options.workers);
  const std::vector<Rows> classes = by_class(rows, labels);
  switch (options.rule) {
    case DivideRule::kIid:
      for (std::size_t k = 0; k < options.workers; ++k) workers[k] = piece(rows, k, options.workers);
      break;
    case DivideRule::kShards: workers = shards(classes, options, draw); break;
    case DivideRule::kDirichlet: workers = dirichlet(classes, options, draw); break;
    case DivideRule::kByClass: workers = classes_to_workers(classes, options.workers); break;
  }
  for (std::size_t k = 0; k < workers.size(); ++k) {
    append(workers[k], shared);
    if (workers[k].empty())
      return refuse(
          fmt::format("worker {} would have no sample: take fewer workers, another seed or rule, or a larger alpha", k));
  }
  return workers;
}

}  // namespace tideline::train
