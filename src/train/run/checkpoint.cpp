#include "train/run/checkpoint.h"

#include <bit>
#include <string_view>

#include <fmt/format.h>

#include "base/limits.h"
#include "platform/files.h"
#include "wire/messages.h"

namespace tideline::train {
namespace {

constexpr std::string_view kCheckpointMagic = "TLTRAIN\n";
constexpr std::uint64_t kCheckpointVersion = 1;
constexpr std::size_t kCrcBytes = 4;

Error corrupt_checkpoint(std::string_view why) {
  return {ErrorCode::kCorrupt, fmt::format("[train] the checkpoint is damaged: {}", why)};
}

void put_bytes(StateWriter& to, std::span<const std::byte> bytes) {
  to.number(bytes.size());
  to.raw(bytes);
}

Result<std::vector<std::byte>> get_bytes(StateReader& from) {
  TIDELINE_TRY(const std::uint64_t size, from.number());
  TIDELINE_TRY(const auto bytes, from.raw(size));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

Result<Checkpoint> read_body(StateReader& from) {
  Checkpoint checkpoint;
  TIDELINE_TRY(const std::vector<std::byte> job, get_bytes(from));
  if (job.size() > limits::kTrainJobBytesMax) return corrupt_checkpoint("its job is too long");
  checkpoint.job.assign(reinterpret_cast<const char*>(job.data()), job.size());
  TIDELINE_TRY(checkpoint.round, from.number());
  TIDELINE_TRY(checkpoint.model, from.floats());
  TIDELINE_TRY(checkpoint.server_state, get_bytes(from));
  TIDELINE_TRY(const std::uint64_t workers, from.number());
  if (workers > limits::kTrainWorkersMax) return corrupt_checkpoint("it has too many workers");
  for (std::uint64_t k = 0; k < workers; ++k) {
    TIDELINE_TRY(std::vector<std::byte> state, get_bytes(from));
    TIDELINE_TRY(const std::uint64_t bytes, from.number());
    checkpoint.worker_states.push_back(std::move(state));
    checkpoint.bytes_by_worker.push_back(bytes);
  }
  TIDELINE_TRY(checkpoint.records, read_records(from, limits::kTrainRoundsMax));
  TIDELINE_CHECK_OK(from.finish());
  return checkpoint;
}

}  // namespace

void write_records(std::span<const RoundRecord> records, StateWriter& to) {
  to.number(records.size());
  const auto real = [&](double value) { to.number(std::bit_cast<std::uint64_t>(value)); };
  for (const RoundRecord& record : records) {
    to.number(record.round);
    real(record.loss);
    to.number((record.accuracy ? 1U : 0U) + (record.test_loss ? 2U : 0U));
    real(record.accuracy.value_or(0));
    real(record.test_loss.value_or(0));
    to.number(record.bytes_up);
    to.number(record.bytes_down);
    real(record.seconds);
    to.number(record.workers);
    to.number(record.late);
    to.number(record.rejected);
  }
}

Result<std::vector<RoundRecord>> read_records(StateReader& from, std::uint64_t max) {
  TIDELINE_TRY(const std::uint64_t count, from.number());
  if (count > max) return Error{ErrorCode::kCorrupt, "[train] more rounds are recorded than a run may have"};
  std::vector<RoundRecord> records;
  for (std::uint64_t k = 0; k < count; ++k) {
    std::uint64_t fields[11];
    for (std::uint64_t& field : fields) {
      TIDELINE_TRY(field, from.number());
    }
    const auto real = [&](std::size_t i) { return std::bit_cast<double>(fields[i]); };
    if (fields[2] > 3) return Error{ErrorCode::kCorrupt, "[train] a recorded round has unknown marks"};
    RoundRecord record{.round = fields[0], .loss = real(1)};
    if ((fields[2] & 1) != 0) record.accuracy = real(3);
    if ((fields[2] & 2) != 0) record.test_loss = real(4);
    record.bytes_up = fields[5];
    record.bytes_down = fields[6];
    record.seconds = real(7);
    record.workers = static_cast<std::uint32_t>(fields[8]);
    record.late = static_cast<std::uint32_t>(fields[9]);
    record.rejected = static_cast<std::uint32_t>(fields[10]);
    records.push_back(record);
  }
  return records;
}

std::vector<std::byte> write_checkpoint(const Checkpoint& checkpoint) {
  StateWriter to;
  to.raw(std::as_bytes(std::span(kCheckpointMagic)));
  to.number(kCheckpointVersion);
  put_bytes(to, std::as_bytes(std::span(checkpoint.job)));
  to.number(checkpoint.round);
  to.floats(checkpoint.model);
  put_bytes(to, checkpoint.server_state);
  to.number(checkpoint.worker_states.size());
  for (std::size_t k = 0; k < checkpoint.worker_states.size(); ++k) {
    put_bytes(to, checkpoint.worker_states[k]);
    to.number(checkpoint.bytes_by_worker[k]);
  }
  write_records(checkpoint.records, to);
  std::vector<std::byte> bytes = to.take();
  const std::uint32_t crc = wire::crc32c(bytes);
  bytes.resize(bytes.size() + kCrcBytes);
  wire::store_le(bytes.data() + bytes.size() - kCrcBytes, crc);
  return bytes;
}

Result<Checkpoint> parse_checkpoint(std::span<const std::byte> bytes) {
  if (bytes.size() < kCheckpointMagic.size() + sizeof(std::uint64_t) + kCrcBytes ||
      std::memcmp(bytes.data(), kCheckpointMagic.data(), kCheckpointMagic.size()) != 0)
    return Error{ErrorCode::kCorrupt, "[train] this is no checkpoint of a training run"};
  const auto body = bytes.first(bytes.size() - kCrcBytes);
  if (wire::load_le<std::uint32_t>(bytes.data() + body.size()) != wire::crc32c(body))
    return corrupt_checkpoint("its checksum is wrong");
  StateReader from(body.subspan(kCheckpointMagic.size()));
  TIDELINE_TRY(const std::uint64_t version, from.number());
  if (version != kCheckpointVersion)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[train] this build reads checkpoints of version {}, found {}", kCheckpointVersion, version)};
  return read_body(from);
}

std::string checkpoint_path(const std::string& folder) { return folder + "/checkpoint.tlc"; }

Status save_checkpoint(const std::string& folder, const Checkpoint& checkpoint) {
  TIDELINE_CHECK_OK(make_folders(folder));
  const std::vector<std::byte> bytes = write_checkpoint(checkpoint);
  return write_file_atomic(checkpoint_path(folder), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Result<Checkpoint> load_checkpoint(const std::string& folder) {
  TIDELINE_TRY(const std::string bytes, read_file(checkpoint_path(folder), limits::kTrainCheckpointBytesMax));
  return parse_checkpoint(std::as_bytes(std::span(bytes)));
}

Status check_resumable(const Checkpoint& checkpoint, const Job& job) {
  TIDELINE_TRY(Job before, parse_job(checkpoint.job, "the checkpoint's job"));
  before.rounds = job.rounds;
  before.epochs = job.epochs;
  before.processes = job.processes;
  before.deadlines = job.deadlines;
  before.evaluate_every = job.evaluate_every;
  before.checkpoint_folder = job.checkpoint_folder;
  before.checkpoint_every = job.checkpoint_every;
  if (before != job)
    return Error{
        ErrorCode::kInvalidArgument,
        "[train] the checkpoint is of another job: only rounds, epochs, processes, deadlines, evaluate and checkpoint may be "
        "changed; start anew without --resume"};
  if (checkpoint.worker_states.size() != job.workers || (job.epochs == 0 && checkpoint.round > job.rounds))
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] the checkpoint is of {} workers after {} rounds; the job has {} and ends after {}",
                             checkpoint.worker_states.size(), checkpoint.round, job.workers, job.rounds)};
  return {};
}

}  // namespace tideline::train
