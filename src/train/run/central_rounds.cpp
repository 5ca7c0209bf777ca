// Rounds over a parameter server: everybody who is asked gets the model and sends an update; the updates become one; the strategy
// moves the model by it.
#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "train/exchange/aggregate.h"
#include "train/privacy/private_round.h"
#include "train/run/arrivals.h"
#include "train/run/rounds.h"

namespace tideline::train {
namespace {

class CentralRun final : public TrainingRun {
 public:
  CentralRun(const Job& job, const TrainOptions& options, Crew& crew, std::unique_ptr<ServerRule> rule)
      : TrainingRun(job, options, crew), rule_(std::move(rule)) {
    if (job.privacy) private_.emplace(job_);
  }

  Status load() {
    if (!options_.resume) return {};
    StateReader from(options_.resume->server_state);
    TIDELINE_CHECK_OK(rule_->load(from));
    return from.finish();
  }

  Status run() override {
    while (round_ < job_.rounds && !is_cancelled()) {
      TIDELINE_TRY(const RoundRecord record, one_round());
      if (is_abandoned_) break;
      TIDELINE_CHECK_OK(finish_round(record));
    }
    return wind_up();
  }

 private:
  using Times = std::vector<std::chrono::nanoseconds>;

  struct Round {
    SteadyTime start{};
    SharedBytes model;
    std::size_t asked = 0;
    std::set<std::uint32_t> pending;
    std::vector<Answer> answers;
    Times times;
    std::uint32_t rejected = 0;
  };

  void save_server(StateWriter& to) const override { rule_->save(to); }

  Result<RoundRecord> one_round() {
    TIDELINE_CHECK_OK(wait_for_somebody());
    is_abandoned_ = crew_.able().empty();
    if (is_abandoned_) return RoundRecord{};
    Round round{.start = std::chrono::steady_clock::now(), .model = model_bytes()};
    const std::vector<std::uint32_t> able = crew_.able();
    for (const std::uint32_t worker : private_ ? private_->participants(round_, able) : rule_->asked(round_, able))
      ask(round, worker);
    collect(round);
    RoundRecord record = close(round);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - round.start;
    record.seconds = took.count();
    return record;
  }

  void ask(Round& round, std::uint32_t worker) {
    crew_.work(worker, {.round = round_, .rounds = job_.rounds}, round.model);
    round.pending.insert(worker);
    ++round.asked;
  }

  SteadyTime deadline_of(const Round& round) const {
    SteadyTime deadline = round.start + patience();
    const std::size_t quorum = quorum_of(job_.deadlines.quorum, round.asked);
    if (job_.deadlines.quorum < 1 && round.answers.size() >= quorum)
      deadline = std::min(deadline, round.start + close_after(round.times, job_.deadlines.spread));
    return deadline;
  }

  void collect(Round& round) {
    while (true) {
      const std::size_t enough = rule_->enough(round.asked, crew_.alive());
      if (round.answers.size() >= enough) return;
      if (round.pending.empty() && !(rule_->asks_late_comers() && somebody_is_late())) return;
      const SteadyTime deadline = deadline_of(round);
      auto answer = crew_.next(deadline);
      if (!answer) {
        if (std::chrono::steady_clock::now() >= deadline) return;
        continue;
      }
      take(round, std::move(*answer));
    }
  }

  bool somebody_is_late() const {
    for (std::uint32_t worker = 0; worker < job_.workers; ++worker)
      if (crew_.is_alive(worker) && crew_.is_busy(worker)) return true;
    return false;
  }

  void take(Round& round, Answer answer) {
    if (round.pending.erase(answer.worker) == 0) {
      // Too late for its own round; in time for this one, perhaps.
      if (rule_->asks_late_comers() && crew_.is_alive(answer.worker) && !crew_.is_busy(answer.worker)) ask(round, answer.worker);
      return;
    }
    if (answer.is_lost) return;
    if (const auto fault = fault_of(answer)) {
      ++round.rejected;
      crew_.quarantine(answer.worker, *fault);
    } else {
      round.times.push_back(answer.at - round.start);
      round.answers.push_back(std::move(answer));
    }
  }

  // Those many times longer than the one in the middle, if there are enough to tell.
  void reject_oversized(Round& round) {
    constexpr std::size_t kEnoughToTell = 3;
    if (job_.deadlines.norm_factor <= 0 || round.answers.size() < kEnoughToTell) return;
    std::vector<double> norms;
    for (const Answer& answer : round.answers) norms.push_back(update_norm(answer.numbers));
    std::vector<double> sorted = norms;
    std::sort(sorted.begin(), sorted.end());
    const double limit = job_.deadlines.norm_factor * sorted[(sorted.size() - 1) / 2];
    std::vector<Answer> kept;
    for (std::size_t k = 0; k < norms.size(); ++k) {
      Answer& answer = round.answers[k];
      const bool is_oversized = norms[k] > limit && limit > 0;
      if (!is_oversized) crew_.end_grace(answer.worker);
      if (is_oversized && !crew_.use_grace(answer.worker)) {
        ++round.rejected;
        crew_.quarantine(answer.worker, fmt::format("its update is {:.3g} long, and the one in the middle {:.3g}", norms[k],
                                                    limit / job_.deadlines.norm_factor));
        continue;
      }
      if (is_oversized) shorten(answer.numbers, limit / norms[k]);
      kept.push_back(std::move(answer));
    }
    round.answers = std::move(kept);
  }

  RoundRecord close(Round& round) {
    // The order of arrival must not be seen in the result.
    std::sort(round.answers.begin(), round.answers.end(), [](const Answer& a, const Answer& b) { return a.worker < b.worker; });
    if (!private_) reject_oversized(round);  // otherwise each is as long as the clip, and who is dropped must depend on no other
    for (const std::uint32_t worker : round.pending) crew_.set_away(worker);
    RoundRecord record{.late = static_cast<std::uint32_t>(round.pending.size()), .rejected = round.rejected};
    std::vector<Contribution> contributions;
    double samples = 0;
    for (Answer& answer : round.answers) {
      const auto n = static_cast<double>(answer.update.samples);
      samples += n;
      record.loss += answer.update.loss * n;
      contributions.push_back({answer.worker, rule_->counts_samples() ? n : 1, std::move(answer.numbers)});
    }
    if (private_) {
      record.workers = static_cast<std::uint32_t>(contributions.size());
      if (samples > 0) record.loss /= samples;
      // Of nobody too: that nobody took part is not to be seen either.
      rule_->apply(round_, private_->update(round_, contributions, model_.size()), contributions.size(), model_);
      return record;
    }
    if (contributions.empty()) return record;
    record.loss /= samples;
    const auto update = aggregate(job_.aggregation, contributions);
    if (!update) {
      crew_.tell(fmt::format("round {} has no update: {}", round_ + 1, update.error().message));
      return record;
    }
    record.workers = static_cast<std::uint32_t>(contributions.size());
    rule_->apply(round_, *update, contributions.size(), model_);
    return record;
  }

  std::unique_ptr<ServerRule> rule_;
  std::optional<PrivateRound> private_;
  bool is_abandoned_ = false;  // cancelled while there was nobody to ask
};

}  // namespace

Result<std::unique_ptr<TrainingRun>> make_central_run(const Job& job, const TrainOptions& options, Crew& crew) {
  if (job.privacy && options.size.buffers > 0)
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[train] this model has {} running statistics (batch normalisation), which noise would make "
                             "meaningless; privacy takes models without",
                             options.size.buffers)};
  auto run = std::make_unique<CentralRun>(job, options, crew, find_strategy(job.strategy.name)->server(job, options.size));
  TIDELINE_CHECK_OK(run->load());
  return std::unique_ptr<TrainingRun>(std::move(run));
}

}  // namespace tideline::train
