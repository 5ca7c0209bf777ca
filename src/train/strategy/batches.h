// BatchOrder: which samples a worker's step takes. Each time through the data they are shuffled anew, by seed, worker and the
// number of the time, so that any step can be told without the steps before it. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tideline::train {

class BatchOrder {
 public:
  // `batch` 0: all samples at once, in their own order. REQUIRES: samples > 0.
  BatchOrder(std::size_t samples, std::size_t batch, std::uint64_t seed, std::uint64_t worker);
  // The last batch of a time through the data may be smaller.
  std::size_t steps_per_epoch() const;
  // Valid until the next call.
  std::span<const std::uint32_t> batch(std::uint64_t step);

 private:
  std::size_t batch_;
  std::uint64_t seed_;
  std::uint64_t worker_;
  std::uint64_t epoch_ = 0;
  bool is_drawn_ = false;
  std::vector<std::uint32_t> order_;
};

}  // namespace tideline::train
