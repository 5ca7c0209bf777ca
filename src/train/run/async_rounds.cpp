// Gradients as they come. As many as there are workers make one round of the record, so that a round costs what a synchronous one
// does.
#include <algorithm>
#include <cmath>
#include <deque>

#include <fmt/format.h>

#include "train/exchange/aggregate.h"
#include "train/run/rounds.h"
#include "train/run/staleness.h"

namespace tideline::train {
namespace {

class AsyncRun final : public TrainingRun {
 public:
  AsyncRun(const Job& job, const TrainOptions& options, Crew& crew, std::unique_ptr<AsyncServerRule> rule)
      : TrainingRun(job, options, crew),
        rule_(std::move(rule)),
        gate_(job.strategy.count("staleness")),
        seen_(job.workers),
        steps_(job.workers, round_),
        handed_out_(job.workers) {}

  Status load() {
    if (!options_.resume) return {};
    StateReader from(options_.resume->server_state);
    TIDELINE_CHECK_OK(rule_->load(from));
    return from.finish();
  }

  Status run() override {
    SteadyTime start = std::chrono::steady_clock::now();
    RoundRecord record;
    double samples = 0;
    while (round_ < job_.rounds && !is_cancelled()) {
      for (const std::uint32_t worker : crew_.able())
        if (!gate_.is_under_way(worker)) hand_out(worker);
      if (crew_.alive() == 0)
        return Error{ErrorCode::kDisconnected,
                     "[train] no worker is left: all were lost, or sent updates that are not finite (a lower rate may help)"};
      if (!use_one(record, samples)) {
        TIDELINE_CHECK_OK(take_one(record));
        continue;
      }
      if (record.workers < job_.workers) continue;
      record.loss /= samples;
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      TIDELINE_CHECK_OK(finish_round(record));
      record = {};
      samples = 0;
      start = std::chrono::steady_clock::now();
    }
    if (is_cancelled() && !job_.checkpoint_folder.empty() && saved_round_ != round_) return save_now();
    return {};
  }

 private:
  void save_server(StateWriter& to) const override { rule_->save(to); }

  void hand_out(std::uint32_t worker) {
    seen_[worker] = model_bytes();
    gate_.hand_out(worker);
    handed_out_[worker] = std::chrono::steady_clock::now();
    crew_.work(worker, {.round = steps_[worker]++, .rounds = job_.rounds}, seen_[worker]);
  }

  // The first of those that came that may be used now.
  bool use_one(RoundRecord& record, double& samples) {
    const auto found =
        std::find_if(held_.begin(), held_.end(), [&](const Answer& answer) { return gate_.may_use(answer.worker); });
    if (found == held_.end()) return false;
    const Answer answer = std::move(*found);
    held_.erase(found);
    const std::uint64_t age = gate_.use(answer.worker);
    if (staleness_.size() <= age) staleness_.resize(age + 1, 0);
    ++staleness_[age];
    const std::vector<std::byte>& bytes = *seen_[answer.worker];
    std::vector<float> seen(bytes.size() / sizeof(float));
    std::memcpy(seen.data(), bytes.data(), bytes.size());
    rule_->apply(round_, answer.numbers, seen, model_);
    const auto n = static_cast<double>(answer.update.samples);
    record.loss += answer.update.loss * n;
    samples += n;
    ++record.workers;
    return true;
  }

  Status take_one(RoundRecord& record) {
    // Whoever holds the others up for longer than the patience does so no more; what it sends then is dropped.
    const SteadyTime now = std::chrono::steady_clock::now();
    SteadyTime deadline = kNoDeadline;
    for (std::uint32_t worker = 0; worker < job_.workers; ++worker) {
      if (!gate_.is_under_way(worker) || !crew_.is_busy(worker)) continue;
      const SteadyTime until = handed_out_[worker] + patience();
      if (now >= until) {
        gate_.forget(worker);
        ++record.late;
        crew_.tell(fmt::format("worker {} has not answered for {:.1f} s and is not waited for", worker,
                               job_.deadlines.patience.count() / 1e3));
      } else {
        deadline = std::min(deadline, until);
      }
    }
    auto answer = crew_.next(deadline == kNoDeadline ? now + patience() : deadline);
    if (!answer) {
      if (deadline != kNoDeadline || is_cancelled()) return {};
      return Error{ErrorCode::kDeadlineExceeded, "[train] none of the workers answers any more"};
    }
    const std::uint32_t worker = answer->worker;
    const bool was_forgotten = !gate_.is_under_way(worker);
    if (answer->is_lost || was_forgotten) {
      gate_.forget(worker);
    } else if (!answer->status || !std::isfinite(update_norm(answer->numbers)) || answer->update.samples == 0) {
      gate_.forget(worker);
      ++record.rejected;
      crew_.quarantine(
          worker, answer->status ? "its update has a number that is not finite, or no samples" : answer->status.error().message);
    } else {
      held_.push_back(std::move(*answer));
    }
    return {};
  }

  std::unique_ptr<AsyncServerRule> rule_;
  StalenessGate gate_;
  std::vector<SharedBytes> seen_;     // what each worker was given last
  std::vector<std::uint64_t> steps_;  // how often
  std::vector<SteadyTime> handed_out_;
  std::deque<Answer> held_;  // came, and wait for their turn
};

}  // namespace

Result<std::unique_ptr<TrainingRun>> make_async_run(const Job& job, const TrainOptions& options, Crew& crew) {
  auto run = std::make_unique<AsyncRun>(job, options, crew, find_strategy(job.strategy.name)->async_server(job, options.size));
  TIDELINE_CHECK_OK(run->load());
  return std::unique_ptr<TrainingRun>(std::move(run));
}

}  // namespace tideline::train
