#include "train/run/coordinator.h"

#include <fmt/format.h>

#include "train/run/rounds.h"
#include "train/strategy/epochs.h"

namespace tideline::train {

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
  if (options_.evaluate && (is_last || round_ % job_.evaluate_every == 0)) {
    TIDELINE_CHECK_OK(update_model());
    TIDELINE_TRY(const Evaluated evaluated, options_.evaluate(model_));
    record.accuracy = evaluated.accuracy;
    record.test_loss = evaluated.loss;
  }
  records_.push_back(record);
  if (options_.on_round) options_.on_round(record);
  if (!job_.checkpoint_folder.empty() && (is_last || round_ % job_.checkpoint_every == 0)) TIDELINE_CHECK_OK(save_now());
  crew_.take_bytes(false);
  return {};
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
