#include "train/strategy/batches.h"

#include <algorithm>
#include <numeric>

#include "train/strategy/draw.h"

namespace tideline::train {

BatchOrder::BatchOrder(std::size_t samples, std::size_t batch, std::uint64_t seed, std::uint64_t worker)
    : batch_(batch == 0 ? samples : std::min(batch, samples)), seed_(seed), worker_(worker), order_(samples) {}

std::size_t BatchOrder::steps_per_epoch() const { return (order_.size() + batch_ - 1) / batch_; }

std::span<const std::uint32_t> BatchOrder::batch(std::uint64_t step) {
  const std::uint64_t epoch = step / steps_per_epoch();
  if (!is_drawn_ || epoch != epoch_) {
    std::iota(order_.begin(), order_.end(), 0U);
    if (batch_ < order_.size()) SeededDraw(seed_of(seed_, DrawFor::kBatches, {worker_, epoch})).shuffle(order_);
    is_drawn_ = true;
    epoch_ = epoch;
  }
  const std::size_t first = static_cast<std::size_t>(step % steps_per_epoch()) * batch_;
  return std::span<const std::uint32_t>(order_).subspan(first, std::min(batch_, order_.size() - first));
}

}  // namespace tideline::train
