// Checkpoint: all that a run needs to go on after a round as if it had not stopped. One file, written whole or not at all
// (docs/formats/checkpoint.md). Values; pure but for save and load.
//
//   TIDELINE_CHECK_OK(save_checkpoint(folder, checkpoint));
//   TIDELINE_TRY(const Checkpoint checkpoint, load_checkpoint(folder));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/job/job.h"
#include "train/run/record.h"

namespace tideline::train {

struct Checkpoint {
  std::string job;          // write_job()
  std::uint64_t round = 0;  // that comes next, from 0
  std::vector<float> model;
  std::vector<std::byte> server_state;
  std::vector<std::vector<std::byte>> worker_states;  // empty ones begin anew
  std::vector<RoundRecord> records;
  std::vector<std::uint64_t> bytes_by_worker;
  bool operator==(const Checkpoint&) const = default;
};

std::vector<std::byte> write_checkpoint(const Checkpoint& checkpoint);
// kCorrupt for anything that write_checkpoint() does not write; kUnsupported for another version.
Result<Checkpoint> parse_checkpoint(std::span<const std::byte> bytes);

// FOLDER/checkpoint.tlc.
std::string checkpoint_path(const std::string& folder);
Status save_checkpoint(const std::string& folder, const Checkpoint& checkpoint);
Result<Checkpoint> load_checkpoint(const std::string& folder);

// Whether a run of `job` may go on from it: they may differ in rounds, processes, deadlines, evaluation and checkpoint alone.
// kInvalidArgument otherwise, saying so.
Status check_resumable(const Checkpoint& checkpoint, const Job& job);

}  // namespace tideline::train
