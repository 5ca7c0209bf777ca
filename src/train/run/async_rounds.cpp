// Gradients as they come. As many as there are workers make one round of the record, so that a round costs what a synchronous one
// does.
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

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
      if (held_.empty() && crew_.alive() == 0) TIDELINE_CHECK_OK(wait_for_somebody());
      crew_.call_lost();
      for (const std::uint32_t worker : crew_.able())
        if (!gate_.is_under_way(worker)) hand_out(worker);
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
    return wind_up();
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
    bool is_in_vain = false, has_forgotten = false;
    for (std::uint32_t worker = 0; worker < job_.workers; ++worker) {
      if (!gate_.is_under_way(worker) || !crew_.is_busy(worker)) continue;
      const SteadyTime until = handed_out_[worker] + patience();
      if (now >= until) {
        gate_.forget(worker);
        has_forgotten = true;
        ++record.late;
        crew_.set_away(worker);
        crew_.tell(fmt::format("worker {} has not answered for {:.1f} s and is not waited for", worker,
                               job_.deadlines.patience.count() / 1e3));
      } else {
        deadline = std::min(deadline, until);
      }
    }
    // What had to wait for that one may be used now.
    if (has_forgotten) return {};
    if (deadline == kNoDeadline)
      deadline = now + std::max<std::chrono::nanoseconds>(patience(), kNobodyPatience), is_in_vain = true;
    auto answer = crew_.next(deadline);
    if (!answer) {
      if (!is_in_vain || is_cancelled() || std::chrono::steady_clock::now() < deadline) return {};
      return Error{ErrorCode::kDeadlineExceeded, "[train] none of the workers answers any more"};
    }
    const std::uint32_t worker = answer->worker;
    const bool was_forgotten = !gate_.is_under_way(worker);
    if (answer->is_lost || was_forgotten) {
      gate_.forget(worker);
    } else if (const auto fault = fault_of(*answer)) {
      reject(worker, record, *fault);
    } else if (const double limit = norm_limit(), norm = update_norm(answer->numbers); norm > limit && !crew_.use_grace(worker)) {
      reject(worker, record,
             fmt::format("its update is {:.3g} long, and the one in the middle of those before {:.3g}", norm,
                         limit / job_.deadlines.norm_factor));
    } else {
      if (norm > limit) shorten(answer->numbers, limit / norm);
      norms_.push_back(std::min(norm, limit));
      held_.push_back(std::move(*answer));
    }
    return {};
  }

  void reject(std::uint32_t worker, RoundRecord& record, const std::string& why) {
    gate_.forget(worker);
    ++record.rejected;
    crew_.quarantine(worker, why);
  }

  // By the last ones that came, as many as there are workers and at least three: one alone cannot tell.
  double norm_limit() {
    const std::size_t enough = std::max<std::size_t>(3, job_.workers);
    if (job_.deadlines.norm_factor <= 0 || norms_.size() < enough) return std::numeric_limits<double>::infinity();
    while (norms_.size() > enough) norms_.pop_front();
    std::vector<double> sorted(norms_.begin(), norms_.end());
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle > 0 ? job_.deadlines.norm_factor * *middle : std::numeric_limits<double>::infinity();
  }

  std::unique_ptr<AsyncServerRule> rule_;
  std::deque<double> norms_;  // of the updates that came last
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
