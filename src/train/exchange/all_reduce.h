// All-reduce: every member of a group ends with the sum of what all had, the same bits on each.
//
// Ring (reduce-scatter, then all-gather): 2 (p - 1) steps; each member sends 2 n (p - 1) / p numbers, to within a number for each
// step where p does not divide n. Each part of the sum is finished by one member and copied from there, hence the same bits.
// Tree (binomial, to member 0 and back): 2 ceil(log2 p) steps of n numbers; fewer steps, so better for few numbers.
// Both take the numbers of members in a fixed order: the same members give the same bits again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tideline::train {

// The members of one exchange as one of them sees them. Implementations: over connections (train/run/peers.h), and inside one
// process in tests. Both ends count steps alike: what is sent as a step is received as that step.
class PeerGroup {
 public:
  virtual ~PeerGroup() = default;
  virtual std::size_t rank() const = 0;  // below size()
  virtual std::size_t size() const = 0;
  // Returns when the numbers are on their way, whether or not the receiver waits for them already.
  virtual Status send(std::size_t to, std::uint32_t step, std::span<const float> numbers) = 0;
  // kDisconnected when that member, or another that it may wait for, is gone; kCorrupt when another number of them comes.
  virtual Status receive(std::size_t from, std::uint32_t step, std::span<float> into) = 0;
};

Status ring_all_reduce(PeerGroup& group, std::span<float> numbers);
Status tree_all_reduce(PeerGroup& group, std::span<float> numbers);

// Part k of n numbers in p parts: [first, last).
struct RingPart {
  std::size_t first = 0;
  std::size_t last = 0;
};
RingPart ring_part(std::size_t numbers, std::size_t parts, std::size_t k);

}  // namespace tideline::train
