// How long the bytes that a kernel reads and writes are on their way, by what a calibration measured of the host's memory. A
// value; thread-safe.
//
// What a working set of w bytes lets through is read off the calibration's points, linearly in log w; beyond the largest it is
// that of the largest. A copied byte is read once and written once, so that
//
//   T = weights / read(w) + in / (2 copy(w)) + out / (2 copy(w)),   w = in + out (and weights, for their own term)
//
// with the largest working set instead of w for what is not near: weights that others have pushed out of the caches, and the
// answer of a run, which goes to memory of its own.
#pragma once

#include <vector>

#include "profile/calibration.h"
#include "profile/kernel_features.h"
#include "profile/predictor.h"

namespace tideline {

class MemoryTime {
 public:
  // Without points a byte takes a nanosecond, wherever it is.
  explicit MemoryTime(std::vector<MemoryPoint> points) : points_(std::move(points)) {}

  // Of the kernel's bytes, were there nothing to compute.
  Millis of(const KernelFeatures& features, KernelPlace place) const;

 private:
  double rate(double working_set, double MemoryPoint::*of) const;  // bytes per second

  std::vector<MemoryPoint> points_;  // ascending
};

}  // namespace tideline
