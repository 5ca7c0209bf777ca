// Rounds between peers: the coordinator names the members and waits for their word; what they exchange does not pass through it.
// An attempt in which a member is lost counts for nobody and is repeated by the others; only the order for the next round, or a
// question for the model, makes what a round gave hold.
#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "train/run/rounds.h"

namespace tideline::train {
namespace {

// Attempts of one round in which nobody was lost and all failed nevertheless.
constexpr std::uint32_t kAttemptsInVain = 3;

class PeerRun final : public TrainingRun {
 public:
  using TrainingRun::TrainingRun;

  Status run() override {
    bool needs_model = !options_.resume;
    while (round_ < job_.rounds && !is_cancelled()) {
      const SteadyTime start = std::chrono::steady_clock::now();
      TIDELINE_TRY(RoundRecord record, one_round(needs_model));
      needs_model = false;
      record.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      TIDELINE_CHECK_OK(finish_round(record));
    }
    if (is_cancelled() && !job_.checkpoint_folder.empty() && saved_round_ != round_) TIDELINE_CHECK_OK(save_now());
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

  Result<RoundRecord> one_round(bool needs_model) {
    std::uint32_t in_vain = 0;
    for (std::uint32_t attempt = 0;; ++attempt) {
      const std::vector<std::uint32_t> members = crew_.able();
      const std::size_t least = find_strategy_form(job_.strategy.name)->workers_min;
      if (members.size() < least)
        return Error{ErrorCode::kDisconnected,
                     fmt::format("[train] {} workers are left; {} needs at least {}", members.size(), job_.strategy.name, least)};
      // Numbers that were put in by a failed attempt are there already.
      order(members, attempt, needs_model && attempt == 0);
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
    TrainWork work{.round = round_, .rounds = job_.rounds, .attempt = attempt, .commit = attempt == 0 && take_commit()};
    for (const std::uint32_t worker : members) work.members.push_back({worker, crew_.address(worker)});
    const SharedBytes model = with_model ? model_bytes() : nullptr;
    for (const std::uint32_t worker : members) crew_.work(worker, work, model);
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
        if (answer->status.error().code != ErrorCode::kDisconnected && !answer->is_lost)
          crew_.quarantine(answer->worker, last_failure_);
        continue;
      }
      const TrainUpdate& update = answer->update;
      crew_.count_peer_bytes(answer->worker, update.peer_sent_bytes, update.peer_received_bytes);
      digests.insert(update.replica_crc32c);
      updates.emplace(answer->worker, update);
    }
    double samples = 0;
    for (const auto& [worker, update] : updates) {
      record.loss += update.loss * static_cast<double>(update.samples);
      samples += static_cast<double>(update.samples);
      ++record.workers;
    }
    record.loss /= std::max(samples, 1.0);
    if (agreed && digests.size() > 1 && job_.exchange != Exchange::kPeerToPeer)
      crew_.tell(fmt::format("round {}: the workers' models are not the same", round_ + 1));
    return agreed;
  }

  bool uncommitted_ = false;
  std::string last_failure_;
};

}  // namespace

std::unique_ptr<TrainingRun> make_peer_run(const Job& job, const TrainOptions& options, Crew& crew) {
  return std::make_unique<PeerRun>(job, options, crew);
}

}  // namespace tideline::train
