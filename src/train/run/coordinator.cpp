#include "train/run/coordinator.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "platform/files.h"
#include "train/exchange/aggregate.h"
#include "train/run/rounds.h"
#include "train/strategy/epochs.h"

namespace tideline::train {

namespace {

// While nobody is there: how often those who are lost are looked for.
constexpr std::chrono::milliseconds kLookForLost{100};

}  // namespace

std::uint64_t samples_max(const Job& job, std::uint64_t samples) {
  const std::uint64_t batch = job.strategy.batch == 0 ? samples : std::min<std::uint64_t>(job.strategy.batch, samples);
  const auto& keys = job.strategy.numbers;
  if (keys.contains("local_epochs")) return job.strategy.count("local_epochs") * samples;
  if (keys.contains("local_steps")) return job.strategy.count("local_steps") * batch;
  return batch;
}

TrainingRun::TrainingRun(const Job& job, const TrainOptions& options, Crew& crew)
    : job_(job), options_(options), crew_(crew), model_(options.model) {
  if (!options.resume) return;
  model_ = options.resume->model;
  records_ = options.resume->records;
  round_ = saved_round_ = options.resume->round;
}

SharedBytes TrainingRun::model_bytes() const {
  const auto bytes = std::as_bytes(std::span(model_));
  return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

Status TrainingRun::finish_round(RoundRecord record) {
  const MovedBytes moved = crew_.take_bytes(true);
  record.round = ++round_;
  record.bytes_up = moved.up;
  record.bytes_down = moved.down;
  const bool is_last = round_ == job_.rounds || is_cancelled();
  if (is_last || round_ % job_.evaluate_every == 0) TIDELINE_CHECK_OK(evaluate(record));
  records_.push_back(record);
  if (options_.on_round) options_.on_round(record);
  if (!job_.checkpoint_folder.empty() && (is_last || round_ % job_.checkpoint_every == 0)) try_to_save();
  crew_.take_bytes(false);
  return {};
}

Status TrainingRun::evaluate(RoundRecord& record) {
  if (!options_.evaluate) return {};
  TIDELINE_CHECK_OK(update_model());
  TIDELINE_TRY(const Evaluated evaluated, options_.evaluate(model_));
  record.accuracy = evaluated.accuracy;
  record.test_loss = evaluated.loss;
  return {};
}

Status TrainingRun::wind_up() {
  if (!is_cancelled()) return {};
  // The signal may have come when the last round was over already.
  if (!records_.empty() && !records_.back().accuracy) TIDELINE_CHECK_OK(evaluate(records_.back()));
  if (!job_.checkpoint_folder.empty() && saved_round_ != round_) try_to_save();
  return {};
}

void TrainingRun::try_to_save() {
  if (const Status saved = save_now(); !saved)
    crew_.tell(fmt::format("no checkpoint after round {}: {}", round_, saved.error().message));
}

Status TrainingRun::wait_for_somebody() {
  const auto wait = std::max<std::chrono::nanoseconds>(patience(), kNobodyPatience);
  const SteadyTime deadline = deadline_in(wait);
  while (true) {
    crew_.call_lost();
    if (!crew_.able().empty() || is_cancelled()) return {};
    if (crew_.alive() == 0 && !crew_.may_return())
      return Error{ErrorCode::kDisconnected,
                   "[train] no worker is left: all were lost, or sent updates that are not finite (a lower rate may help)"};
    (void)crew_.next(std::min(deadline, deadline_in(kLookForLost)));
    if (std::chrono::steady_clock::now() >= deadline)
      return Error{ErrorCode::kDeadlineExceeded, fmt::format("[train] none of {} workers has answered for {:.0f} s",
                                                             crew_.alive(), std::chrono::duration<double>(wait).count())};
  }
}

// Counts weigh in a mean: nobody may say that it computed on more than it can have.
std::optional<std::string> TrainingRun::fault_of(const Answer& answer) const {
  if (!answer.status) return answer.status.error().message;
  const std::uint64_t samples = answer.update.samples, most = samples_max(job_, crew_.samples()[answer.worker]);
  if (samples == 0) return "its update was computed from no samples";
  if (samples > most)
    return fmt::format("it says that its update was computed from {} samples, and {} are the most", samples, most);
  if (!std::isfinite(answer.update.loss) || !std::isfinite(update_norm(answer.numbers)))
    return "its update has a number that is not finite";
  return std::nullopt;
}

Status TrainingRun::save_now() {
  TIDELINE_CHECK_OK(update_model());
  Checkpoint checkpoint{.job = write_job(job_), .round = round_, .model = model_};
  StateWriter server;
  save_server(server);
  checkpoint.server_state = server.take();
  checkpoint.worker_states = crew_.fetch_states(take_commit());
  checkpoint.records = records_;
  checkpoint.bytes_by_worker = crew_.bytes_by_worker();
  TIDELINE_CHECK_OK(save_checkpoint(job_.checkpoint_folder, checkpoint));
  saved_round_ = round_;
  return {};
}

TrainReport TrainingRun::take_report() {
  return {.rounds = std::move(records_),
          .model = std::move(model_),
          .bytes_by_worker = crew_.bytes_by_worker(),
          .samples_by_worker = crew_.samples(),
          .news = crew_.take_news(),
          .staleness = std::move(staleness_),
          .is_interrupted = is_cancelled() && round_ < job_.rounds};
}

Result<TrainReport> run_training(const Job& given, const TrainOptions& options) {
  if (options.model.size() != options.size.all())
    return Error{ErrorCode::kInvalidArgument, "[train] the model to start from has another size than the model"};
  if (options.resume) {
    TIDELINE_CHECK_OK(check_resumable(*options.resume, given));
    if (options.resume->model.size() != options.size.all())
      return Error{ErrorCode::kInvalidArgument, "[train] the checkpoint has another model than the job"};
  }
  // Before hours have gone by, not after.
  if (!given.checkpoint_folder.empty()) TIDELINE_CHECK_OK(make_folders(given.checkpoint_folder));
  TIDELINE_TRY(const auto crew, Crew::call(given, options));
  TIDELINE_TRY(const Job job, with_rounds(given, crew->samples()));
  if (options.resume && options.resume->round > job.rounds)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] {} epochs of these data are {} rounds, and the checkpoint is after {}", job.epochs,
                             job.rounds, options.resume->round)};
  if (options.on_start) options.on_start(job.rounds);
  const Strategy& strategy = *find_strategy(job.strategy.name);
  std::unique_ptr<TrainingRun> run;
  if (job.exchange != Exchange::kParameterServer) {
    run = make_peer_run(job, options, *crew);
  } else if (strategy.async_server != nullptr) {
    TIDELINE_TRY(run, make_async_run(job, options, *crew));
  } else {
    TIDELINE_TRY(run, make_central_run(job, options, *crew));
  }
  TIDELINE_CHECK_OK(run->run());
  crew->finish();
  return run->take_report();
}

}  // namespace tideline::train
