#include "schedule/cholesky.h"

#include <algorithm>
#include <cmath>

#include "schedule/parallel.h"

namespace tideline::schedule {
namespace {

// Columns per panel: three panels' worth of a tile stay in the first-level cache.
constexpr std::size_t kBlock = 64;
// A tile of the update: 4 x 8 doubles of accumulators in registers.
constexpr std::size_t kTileRows = 4;
// Four numbers that the compiler adds and multiplies at once, on whatever registers there are.
using Lanes = double __attribute__((vector_size(32)));
constexpr std::size_t kLanes = 4;
constexpr std::size_t kTileLanes = 2;
constexpr std::size_t kTileColumns = kTileLanes * kLanes;
constexpr double kPivotFloor = 1e-13;  // of the largest diagonal element
constexpr double kPivotHuge = 1e100;

// The same operations in the same order, so the same digits, on wider registers where the processor has them. (A
// sanitizer's start-up cannot choose between versions of a function.)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define TIDELINE_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define TIDELINE_WIDE
#endif

// The block [begin, end) of the diagonal, column by column.
void factor_diagonal(double* a, std::size_t size, std::size_t begin, std::size_t end, double pivot_min) {
  for (std::size_t j = begin; j < end; ++j) {
    double* const row_j = a + j * size;
    double pivot = row_j[j];
    for (std::size_t k = begin; k < j; ++k) pivot -= row_j[k] * row_j[k];
    row_j[j] = pivot > pivot_min ? std::sqrt(pivot) : kPivotHuge;
    for (std::size_t i = j + 1; i < end; ++i) {
      double* const row_i = a + i * size;
      double value = row_i[j];
      for (std::size_t k = begin; k < j; ++k) value -= row_i[k] * row_j[k];
      row_i[j] = value / row_j[j];
    }
  }
}

// Rows [first, last) of the panel below the block: L21 = A21 * L11^-T.
void solve_panel(double* a, std::size_t size, std::size_t begin, std::size_t end, std::size_t first, std::size_t last) {
  for (std::size_t i = first; i < last; ++i) {
    double* const row_i = a + i * size;
    for (std::size_t j = begin; j < end; ++j) {
      const double* const row_j = a + j * size;
      double value = row_i[j];
      for (std::size_t k = begin; k < j; ++k) value -= row_i[k] * row_j[k];
      row_i[j] = value / row_j[j];
    }
  }
}

// C -= A * B^T on one tile; `packed` holds B^T, kTileColumns numbers per k, so that the inner loop is a vector operation.
inline void update_tile(double* a, std::size_t size, std::size_t begin, std::size_t depth, std::size_t i, std::size_t rows,
                        std::size_t j, std::size_t columns, const Lanes* packed) {
  Lanes sum[kTileRows][kTileLanes] = {};
  const double* source[kTileRows];
  for (std::size_t r = 0; r < kTileRows; ++r) source[r] = a + (i + std::min(r, rows - 1)) * size + begin;
  for (std::size_t k = 0; k < depth; ++k) {
    const Lanes* const b = packed + k * kTileLanes;
    for (std::size_t r = 0; r < kTileRows; ++r)
      for (std::size_t c = 0; c < kTileLanes; ++c) sum[r][c] += source[r][k] * b[c];
  }
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < columns; ++c) a[(i + r) * size + j + c] -= sum[r][c / kLanes][c % kLanes];
}

// The lower triangle behind the block, for column tiles number thread, thread + threads, ...: an even share for each thread.
TIDELINE_WIDE void update_trailing(double* a, std::size_t size, std::size_t begin, std::size_t end, unsigned thread,
                                   unsigned threads) {
  const std::size_t depth = end - begin;
  Lanes packed[kBlock * kTileLanes];
  for (std::size_t j = end + thread * kTileColumns; j < size; j += threads * kTileColumns) {
    const std::size_t columns = std::min(kTileColumns, size - j);
    for (std::size_t c = 0; c < kTileColumns; ++c) {
      const double* const row = a + (j + std::min(c, columns - 1)) * size + begin;
      for (std::size_t k = 0; k < depth; ++k) packed[k * kTileLanes + c / kLanes][c % kLanes] = row[k];
    }
    for (std::size_t i = j; i < size; i += kTileRows)
      update_tile(a, size, begin, depth, i, std::min(kTileRows, size - i), j, columns, packed);
  }
}

}  // namespace

Cholesky::Cholesky(std::vector<double>& matrix, std::size_t size, unsigned threads) : matrix_(matrix), size_(size) {
  double* const a = matrix.data();
  double largest = 0;
  for (std::size_t i = 0; i < size; ++i) largest = std::max(largest, a[i * size + i]);
  for (std::size_t begin = 0; begin < size; begin += kBlock) {
    const std::size_t end = std::min(begin + kBlock, size);
    factor_diagonal(a, size, begin, end, largest * kPivotFloor * kPivotFloor);
    if (end == size) break;
    // Starting a thread costs as much as a few thousand multiplications of a panel.
    const unsigned workers = size - end > 256 ? threads : 1;
    parallel_for(workers, size - end, [&](unsigned, std::size_t first, std::size_t last) {
      solve_panel(a, size, begin, end, end + first, end + last);
    });
    parallel_for(workers, workers,
                 [&](unsigned thread, std::size_t, std::size_t) { update_trailing(a, size, begin, end, thread, workers); });
  }
}

void Cholesky::solve(std::span<double> right_side) const {
  const double* const a = matrix_.data();
  for (std::size_t i = 0; i < size_; ++i) {
    double value = right_side[i];
    for (std::size_t k = 0; k < i; ++k) value -= a[i * size_ + k] * right_side[k];
    right_side[i] = value / a[i * size_ + i];
  }
  for (std::size_t i = size_; i-- > 0;) {
    const double value = right_side[i] /= a[i * size_ + i];
    for (std::size_t k = 0; k < i; ++k) right_side[k] -= a[i * size_ + k] * value;
  }
}

}  // namespace tideline::schedule
