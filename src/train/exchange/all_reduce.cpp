#include "train/exchange/all_reduce.h"

namespace tideline::train {
namespace {

void add(std::span<float> to, std::span<const float> from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += from[i];
}

}  // namespace

RingPart ring_part(std::size_t numbers, std::size_t parts, std::size_t k) {
  return {numbers * k / parts, numbers * (k + 1) / parts};
}

Status ring_all_reduce(PeerGroup& group, std::span<float> numbers) {
  const std::size_t p = group.size(), rank = group.rank();
  const std::size_t next = (rank + 1) % p, before = (rank + p - 1) % p;
  const auto part = [&](std::size_t k) {
    const RingPart range = ring_part(numbers.size(), p, k % p);
    return numbers.subspan(range.first, range.last - range.first);
  };
  std::vector<float> arrived;
  std::uint32_t step = 0;
  // In step s member r passes part r - s on; after p - 1 steps part r + 1 is whole at member r.
  for (std::size_t s = 0; s + 1 < p; ++s, ++step) {
    TIDELINE_CHECK_OK(group.send(next, step, part(rank + p - s)));
    const std::span<float> mine = part(rank + 2 * p - s - 1);
    arrived.resize(mine.size());
    TIDELINE_CHECK_OK(group.receive(before, step, arrived));
    add(mine, arrived);
  }
  for (std::size_t s = 0; s + 1 < p; ++s, ++step) {
    TIDELINE_CHECK_OK(group.send(next, step, part(rank + p + 1 - s)));
    TIDELINE_CHECK_OK(group.receive(before, step, part(rank + p - s)));
  }
  return {};
}

Status tree_all_reduce(PeerGroup& group, std::span<float> numbers) {
  const std::size_t p = group.size(), rank = group.rank();
  std::vector<float> arrived(numbers.size());
  std::uint32_t step = 0;
  std::size_t stride = 1;
  for (; stride < p; stride *= 2, ++step) {
    if (rank % (2 * stride) == stride) {
      TIDELINE_CHECK_OK(group.send(rank - stride, step, numbers));
    } else if (rank % (2 * stride) == 0 && rank + stride < p) {
      TIDELINE_CHECK_OK(group.receive(rank + stride, step, arrived));
      add(numbers, arrived);
    }
  }
  for (stride /= 2; stride >= 1; stride /= 2, ++step) {
    if (rank % (2 * stride) == stride) {
      TIDELINE_CHECK_OK(group.receive(rank - stride, step, numbers));
    } else if (rank % (2 * stride) == 0 && rank + stride < p) {
      TIDELINE_CHECK_OK(group.send(rank + stride, step, numbers));
    }
  }
  return {};
}

}  // namespace tideline::train
