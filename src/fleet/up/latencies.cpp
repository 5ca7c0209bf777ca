#include "fleet/up/latencies.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace tideline::fleet {
namespace {

constexpr double kStep = 1.01;
// A nanosecond and a month: nothing is faster or slower.
constexpr double kLeastMs = 1e-6;
constexpr double kMostMs = 2.7e9;
constexpr std::int32_t kStepsMax = 4000;

}  // namespace

void Latencies::add(double ms) {
  const double clamped = std::clamp(ms, kLeastMs, kMostMs);
  ++steps_[static_cast<std::int32_t>(std::lround(std::log(clamped) / std::log(kStep)))];
  ++count_;
}

double Latencies::quantile(double share) const {
  if (count_ == 0) return 0;
  auto left = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  left = std::clamp<std::uint64_t>(left, 1, count_);
  for (const auto& [step, count] : steps_) {
    if (left <= count) return std::pow(kStep, step);
    left -= count;
  }
  return std::pow(kStep, steps_.rbegin()->first);
}

std::string Latencies::text() const {
  std::string text;
  for (const auto& [step, count] : steps_) text += fmt::format("{}{}:{}", text.empty() ? "" : " ", step, count);
  return text;
}

Result<Latencies> Latencies::parse(std::string_view text) {
  Latencies parsed;
  const Error wrong{ErrorCode::kCorrupt, "[fleet] a stored list of latencies is damaged"};
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at != end) {
    std::int32_t step = 0;
    std::uint64_t count = 0;
    const auto first = std::from_chars(at, end, step);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != ':') return wrong;
    const auto second = std::from_chars(first.ptr + 1, end, count);
    if (second.ec != std::errc() || count == 0 || step < -kStepsMax || step > kStepsMax) return wrong;
    if (!parsed.steps_.empty() && step <= parsed.steps_.rbegin()->first) return wrong;
    if (count > UINT64_MAX - parsed.count_) return wrong;
    parsed.steps_[step] = count;
    parsed.count_ += count;
    at = second.ptr;
    if (at == end) break;
    if (*at != ' ' || at + 1 == end) return wrong;
    ++at;
  }
  return parsed;
}

}  // namespace tideline::fleet
