// Dense Cholesky factors of a symmetric positive definite matrix, for the Newton steps of the dual. Not thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace tideline::schedule {

class Cholesky {
 public:
  // Factors `matrix` (size x size, row by row; only the lower triangle is read) in place, on `threads` threads. O(size^3 / 3).
  // A pivot that rounding has made 0 or negative is replaced by a huge one: the step in that direction is then 0, which is what
  // an interior-point method wants of a direction in which it has run out of digits.
  Cholesky(std::vector<double>& matrix, std::size_t size, unsigned threads);

  // right_side becomes the solution. O(size^2).
  void solve(std::span<double> right_side) const;

 private:
  std::vector<double>& matrix_;
  std::size_t size_;
};

}  // namespace tideline::schedule
