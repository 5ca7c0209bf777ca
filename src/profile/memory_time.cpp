#include "profile/memory_time.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tideline {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();
constexpr double kRateUnknown = 1e9;
constexpr double kRateMin = 1;

}  // namespace

double MemoryTime::rate(double working_set, double MemoryPoint::*of) const {
  if (points_.empty()) return kRateUnknown;
  const auto above = std::find_if(points_.begin(), points_.end(),
                                  [&](const MemoryPoint& point) { return static_cast<double>(point.bytes) >= working_set; });
  if (above == points_.end()) return std::max(points_.back().*of, kRateMin);
  if (above == points_.begin()) return std::max((*above).*of, kRateMin);
  const MemoryPoint& low = *(above - 1);
  const double share = std::log(working_set / static_cast<double>(low.bytes)) /
                       std::log(static_cast<double>(above->bytes) / static_cast<double>(low.bytes));
  return std::max(low.*of + share * ((*above).*of - low.*of), kRateMin);
}

Millis MemoryTime::of(const KernelFeatures& features, KernelPlace place) const {
  const double in = std::max(0.0, features.bytes - features.weight_bytes - features.output_bytes);
  const double near = in + features.output_bytes;
  const double seconds = features.weight_bytes / rate(place.is_near ? features.bytes : kFar, &MemoryPoint::read_bytes_per_s) +
                         in / (2 * rate(near, &MemoryPoint::copy_bytes_per_s)) +
                         features.output_bytes / (2 * rate(place.ends_run ? kFar : near, &MemoryPoint::copy_bytes_per_s));
  return Millis(1000 * seconds);
}

}  // namespace tideline
