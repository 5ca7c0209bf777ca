#include "train/exchange/aggregate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace tideline::train {
namespace {

std::vector<float> weighted_mean(std::span<const Contribution> contributions) {
  double total = 0;
  for (const Contribution& each : contributions) total += each.weight;
  std::vector<double> sums(contributions.front().update.size(), 0);
  for (const Contribution& each : contributions) {
    const double share = each.weight / total;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += share * static_cast<double>(each.update[i]);
  }
  return {sums.begin(), sums.end()};
}

// The mean of what is left of every coordinate when `drop` at each end are gone.
std::vector<float> middle_mean(std::span<const Contribution> contributions, std::size_t drop) {
  std::vector<float> result(contributions.front().update.size());
  std::vector<float> column(contributions.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    for (std::size_t k = 0; k < contributions.size(); ++k) column[k] = contributions[k].update[i];
    std::sort(column.begin(), column.end());
    double sum = 0;
    for (std::size_t k = drop; k < column.size() - drop; ++k) sum += static_cast<double>(column[k]);
    result[i] = static_cast<float>(sum / static_cast<double>(column.size() - 2 * drop));
  }
  return result;
}

double squared_distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

std::size_t krum(std::span<const Contribution> contributions, std::size_t hostile) {
  const std::size_t n = contributions.size(), near = n - hostile - 2;
  std::vector<std::vector<double>> distances(n, std::vector<double>(n, 0));
  for (std::size_t a = 0; a < n; ++a)
    for (std::size_t b = a + 1; b < n; ++b)
      distances[a][b] = distances[b][a] = squared_distance(contributions[a].update, contributions[b].update);
  std::size_t best = 0;
  double best_score = std::numeric_limits<double>::infinity();
  for (std::size_t a = 0; a < n; ++a) {
    std::vector<double> others = distances[a];
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(a));
    std::sort(others.begin(), others.end());
    double score = 0;
    for (std::size_t k = 0; k < near; ++k) score += others[k];
    if (score < best_score) best_score = score, best = a;
  }
  return best;
}

}  // namespace

void shorten(std::span<float> update, double part) {
  for (float& number : update) number = static_cast<float>(static_cast<double>(number) * part);
}

double update_norm(std::span<const float> update) {
  double sum = 0;
  for (const float number : update) {
    if (!std::isfinite(number)) return std::numeric_limits<double>::infinity();
    sum += static_cast<double>(number) * static_cast<double>(number);
  }
  return std::sqrt(sum);
}

Result<std::vector<float>> aggregate(const AggregationSettings& settings, std::span<const Contribution> contributions) {
  const std::size_t n = contributions.size(), hostile = settings.hostile;
  const auto too_few = [&](std::size_t least) {
    return Error{ErrorCode::kInfeasible, fmt::format("[train] {} of {} updates: {} needs at least {}", to_string(settings.rule),
                                                     n, to_string(settings.rule), least)};
  };
  switch (settings.rule) {
    case Aggregation::kMean: return weighted_mean(contributions);
    case Aggregation::kMedian: return middle_mean(contributions, (n - 1) / 2);
    case Aggregation::kTrimmedMean:
      if (n <= 2 * hostile) return too_few(2 * hostile + 1);
      return middle_mean(contributions, hostile);
    case Aggregation::kKrum:
      if (n < hostile + 3) return too_few(hostile + 3);
      return contributions[krum(contributions, hostile)].update;
  }
  return Error{ErrorCode::kInternal, "[train] an unknown aggregation"};
}

}  // namespace tideline::train
