// What a training run has to say of each round. Values.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/strategy/state.h"

namespace tideline::train {

struct RoundRecord {
  std::uint64_t round = 0;         // from 1
  double loss = 0;                 // mean over the samples that workers computed on; 0 when no update was used
  std::optional<double> accuracy;  // on the test data; absent when this round was not evaluated
  std::optional<double> test_loss;
  std::uint64_t bytes_up = 0;    // sent by workers in this round, at the sockets
  std::uint64_t bytes_down = 0;  // received by them
  double seconds = 0;            // of the clock, evaluation and checkpoint not counted
  std::uint32_t workers = 0;     // whose updates were used
  std::uint32_t late = 0;
  std::uint32_t rejected = 0;
  bool operator==(const RoundRecord&) const = default;
};

void write_records(std::span<const RoundRecord> records, StateWriter& to);
// `max` records at most.
Result<std::vector<RoundRecord>> read_records(StateReader& from, std::uint64_t max);

}  // namespace tideline::train
