// Rounds between peers: the coordinator names the members and waits for their word; what they exchange does not pass through it.
// An attempt in which a member is lost counts for nobody and is repeated by the others; only the order for the next round, or a
// question for the model, makes what a round gave hold.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "train/run/rounds.h"

namespace tideline::train {
namespace {

// Attempts of one round in which nobody was lost and all failed nevertheless.
constexpr std::uint32_t kAttemptsInVain = 3;
constexpr std::chrono::milliseconds kLookForReturned{100};

class PeerRun final : public TrainingRun {
 public:
  using TrainingRun::TrainingRun;

  Status run() override {
    bool needs_model = !options_.resume;
    while (round_ < job_.rounds && !is_cancelled()) {
      welcome_back();
      const SteadyTime start = std::chrono::steady_clock::now();
      TIDELINE_TRY(RoundRecord record, one_round(needs_model));
      needs_model = false;
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      TIDELINE_CHECK_OK(finish_round(record));
    }
    TIDELINE_CHECK_OK(wind_up());
    return update_model();
  }

 private:
  bool take_commit() override { return std::exchange(uncommitted_, false); }

  // Over a ring or a tree all have the same; of gossip it is the mean, of codistillation the first one.
  Status update_model() override {
    const bool commit = take_commit();
    const std::vector<std::uint32_t> members = crew_.able();
    if (members.empty()) return Error{ErrorCode::kDisconnected, "[train] no worker is left"};
    std::vector<double> sums(options_.size.all(), 0);
    std::size_t count = 0;
    for (const std::uint32_t worker : members) {
      const bool is_wanted = count == 0 || job_.strategy.name == "gossip";
      // Everybody has to take over what the round gave, asked for its model or not.
      if (!is_wanted && !commit) continue;
      const auto model = crew_.fetch_model(worker, commit);
      if (!model || !is_wanted) continue;
      for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>((*model)[i]);
      ++count;
    }
    if (count == 0) return Error{ErrorCode::kDisconnected, "[train] no worker is left that has the model"};
    for (std::size_t i = 0; i < sums.size(); ++i) model_[i] = static_cast<float>(sums[i] / static_cast<double>(count));
    return {};
  }

  // Who has come back is given what the others have, and takes part from now on.
  void welcome_back() {
    crew_.call_lost();
    // Whether or not anything has been heard of them since.
    for (const std::uint32_t worker : crew_.waiting()) {
      const std::vector<std::uint32_t> members = crew_.able();
      if (members.empty()) return;
      // Who has taken over what the last round gave does not do so again when the next order says it to all.
      const auto state = crew_.fetch_state(members.front(), uncommitted_);
      if (!state) continue;
      crew_.admit(worker, *state);
      has_new_members_ = true;
    }
  }

  // As many as the strategy needs, if they may still come back.
  Result<std::vector<std::uint32_t>> enough_members() {
    const std::size_t least = find_strategy_form(job_.strategy.name)->workers_min;
    const SteadyTime deadline = deadline_in(patience());
    while (true) {
      std::vector<std::uint32_t> members = crew_.able();
      if (members.size() >= least) return members;
      if (is_cancelled()) return Error{ErrorCode::kCancelled, "[train] interrupted"};
      if (members.empty() || !crew_.may_return() || std::chrono::steady_clock::now() >= deadline)
        return Error{ErrorCode::kDisconnected,
                     fmt::format("[train] {} workers are left; {} needs at least {}", members.size(), job_.strategy.name, least)};
      (void)crew_.next(std::min(deadline, deadline_in(kLookForReturned)));
      welcome_back();
    }
  }

  Result<RoundRecord> one_round(bool needs_model) {
    std::uint32_t in_vain = 0;
    // Connections to somebody who was lost are no good: in an attempt above 0 everybody calls everybody anew.
    for (std::uint32_t attempt = 0;; ++attempt) {
      TIDELINE_TRY(const std::vector<std::uint32_t> members, enough_members());
      if (std::exchange(has_new_members_, false)) attempt = std::max(attempt, 1U);
      // Numbers that were put in by a failed attempt are there already.
      order(members, attempt, needs_model);
      needs_model = false;
      RoundRecord record;
      const bool agreed = collect(members, record);
      if (agreed) {
        uncommitted_ = true;
        return record;
      }
      if (crew_.able().size() < members.size()) continue;
      if (++in_vain == kAttemptsInVain)
        return Error{ErrorCode::kDisconnected,
                     fmt::format("[train] round {} failed {} times: {}", round_ + 1, in_vain, last_failure_)};
    }
  }

  void order(const std::vector<std::uint32_t>& members, std::uint32_t attempt, bool with_model) {
    TrainWork work{.round = round_, .rounds = job_.rounds, .attempt = attempt, .commit = take_commit()};
    for (const std::uint32_t worker : members) work.members.push_back({worker, crew_.address(worker)});
    const SharedBytes model = with_model ? model_bytes() : nullptr;
    for (const std::uint32_t worker : members) crew_.work(worker, work, model);
  }

  // Whoever sent others what no member may, or failed by itself. A second accusation by the same member counts against both: so
  // a liar costs two others at most.
  void punish(const Answer& answer) {
    const std::string why = answer.status.error().message;
    const bool accuses = answer.at_fault != answer.worker && answer.at_fault < job_.workers;
    if (accuses) crew_.quarantine(answer.at_fault, why);
    if (!accuses || !accusers_.insert(answer.worker).second) crew_.quarantine(answer.worker, why);
  }

  // Whether all members have done their part.
  bool collect(const std::vector<std::uint32_t>& members, RoundRecord& record) {
    // Who waits for a frozen neighbour says so after the patience; the frozen one itself says nothing for twice as long.
    const SteadyTime deadline = deadline_in(2 * patience());
    std::set<std::uint32_t> pending(members.begin(), members.end()), digests;
    bool agreed = true;
    std::map<std::uint32_t, TrainUpdate> updates;  // whose order is not that of arrival
    while (!pending.empty()) {
      auto answer = crew_.next(deadline);
      if (!answer) {
        if (std::chrono::steady_clock::now() < deadline) continue;
        for (const std::uint32_t worker : pending) crew_.lose(worker, "it has not answered in time");
        return false;
      }
      if (pending.erase(answer->worker) == 0) continue;
      if (!answer->status) {
        agreed = false;
        last_failure_ = answer->status.error().message;
        if (answer->status.error().code != ErrorCode::kDisconnected && !answer->is_lost) punish(*answer);
        continue;
      }
      const TrainUpdate& update = answer->update;
      crew_.count_peer_bytes(answer->worker, update.peer_sent_bytes, update.peer_received_bytes);
      digests.insert(update.replica_crc32c);
      updates.emplace(answer->worker, update);
    }
    double samples = 0;
    for (const auto& [worker, update] : updates) {
      ++record.workers;
      if (!std::isfinite(update.loss)) continue;
      record.loss += update.loss * static_cast<double>(update.samples);
      samples += static_cast<double>(update.samples);
    }
    record.loss /= std::max(samples, 1.0);
    if (agreed && digests.size() > 1 && job_.exchange != Exchange::kPeerToPeer)
      crew_.tell(fmt::format("round {}: the workers' models are not the same", round_ + 1));
    return agreed;
  }

  bool uncommitted_ = false;
  bool has_new_members_ = false;
  std::set<std::uint32_t> accusers_;
  std::string last_failure_;
};

}  // namespace

std::unique_ptr<TrainingRun> make_peer_run(const Job& job, const TrainOptions& options, Crew& crew) {
  return std::make_unique<PeerRun>(job, options, crew);
}

}  // namespace tideline::train
