#include "node/shares.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

// Pieces of a message: so long does somebody wait at most who is in a hurry, and so small or large are they however fast the
// link.
constexpr double kPieceS = 2e-3;
constexpr double kPieceLeastBytes = 4096;
constexpr double kPieceMostBytes = 1 << 20;
constexpr double kNsPerSecond = 1e9;
// Of the engine, for all sessions without a share: some of it even when everything has been given away.
constexpr double kRestLeast = 0.01;
constexpr double kTotalMost = static_cast<double>(limits::kSharesTotalMax) / limits::kShareMax;

// No debt lasts longer than the longest burst: a run that stood still, or a peer that says a link is slow, costs no more.
constexpr Nanos kLeastDebt = std::chrono::seconds(1);
constexpr Nanos kLongest = std::chrono::milliseconds(limits::kShareBurstMsMax);

Nanos seconds_of(double seconds) {
  return std::min(kLongest, Nanos(static_cast<std::int64_t>(std::min(seconds, 1e6) * kNsPerSecond)));
}
Nanos burst_of(const wire::Share& share) { return std::chrono::milliseconds(share.burst_ms); }

}  // namespace

void RateShare::change(double per_second, Nanos burst) {
  const std::lock_guard lock(mutex_);
  per_second_ = per_second;
  burst_ = burst;
}

bool RateShare::take(SteadyTime now, double amount) {
  const std::lock_guard lock(mutex_);
  if (paid_until_ > now + burst_) return false;
  paid_until_ = std::max(paid_until_, now) + seconds_of(amount / per_second_);
  return true;
}

void RateShare::correct(SteadyTime now, double amount) {
  const std::lock_guard lock(mutex_);
  // One run is paid for by as much as the share would have saved up: what stood still is not paid for long after.
  paid_until_ = std::min(paid_until_ + seconds_of(amount / per_second_), std::max(paid_until_, now + 2 * burst_ + kLeastDebt));
}

SteadyTime RateShare::due() const {
  const std::lock_guard lock(mutex_);
  return paid_until_ - burst_;
}

double RateShare::per_second() const {
  const std::lock_guard lock(mutex_);
  return per_second_;
}

void LinkLoad::set_speed(double bytes_per_s) {
  const std::lock_guard lock(mutex_);
  bytes_per_s_ = bytes_per_s;
}

void LinkLoad::add(SteadyTime now, double bytes) {
  const std::lock_guard lock(mutex_);
  free_at_ = std::min(std::max(free_at_, now) + seconds_of(bytes / bytes_per_s_), now + kLongest);
}

bool LinkLoad::add_if_free(SteadyTime now, double bytes) {
  const std::lock_guard lock(mutex_);
  if (free_at_ > now) return false;
  free_at_ = now + seconds_of(bytes / bytes_per_s_);
  return true;
}

SteadyTime LinkLoad::free_at() const {
  const std::lock_guard lock(mutex_);
  return free_at_;
}

std::size_t LinkLoad::piece_bytes() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::clamp(bytes_per_s_ * kPieceS, kPieceLeastBytes, kPieceMostBytes));
}

Leave leave_when_free(const std::shared_ptr<LinkLoad>& load, SteadyTime now, double bytes) {
  if (load->add_if_free(now, std::min(bytes, static_cast<double>(load->piece_bytes())))) return {now, load};
  return {std::max(now + Nanos(1), load->free_at())};
}

Leave LinkShare::leave(SteadyTime now, double bytes) const {
  if (rate->take(now, bytes)) {
    load->add(now, bytes);
    return {now};
  }
  Leave leave = leave_when_free(load, now, bytes);
  if (leave.at > now) leave.at = std::max(now + Nanos(1), std::min(leave.at, rate->due()));
  return leave;
}

double ShareBook::held(Held& all, const wire::SessionId* except) {
  double sum = 0;
  for (auto it = all.begin(); it != all.end();) {
    const auto share = it->second.lock();
    if (share && (except == nullptr || it->first != *except)) sum += share->per_second();
    it = share ? std::next(it) : all.erase(it);
  }
  return sum;
}

Result<std::shared_ptr<RateShare>> ShareBook::engine(const wire::SessionId& session, const wire::Share& share) {
  const double part = static_cast<double>(share.compute_ppm) / limits::kShareMax;
  const std::lock_guard lock(mutex_);
  const double others = held(engine_, &session) / kNsPerSecond;
  if (others + part > kTotalMost)
    return Error{
        ErrorCode::kOverloaded,
        fmt::format("[node] {:.1f} % of this node's engine are asked for and {:.1f} % are given away: ask for less, or end "
                    "what has them",
                    100 * part, 100 * others)};
  if (auto known = engine_[session].lock()) {
    known->change(part * kNsPerSecond, burst_of(share));
    return known;
  }
  auto made = std::make_shared<RateShare>(part * kNsPerSecond, burst_of(share));
  engine_[session] = made;
  return made;
}

Result<std::shared_ptr<LinkShare>> ShareBook::link(const wire::SessionId& session, const std::string& next,
                                                   const wire::Share& share) {
  const double rate = static_cast<double>(share.link_bytes_per_s);
  const double total = static_cast<double>(share.link_total_bytes_per_s);
  const std::lock_guard lock(mutex_);
  std::erase_if(links_, [](const auto& entry) { return entry.second.load.expired(); });
  LinkEntry& entry = links_[next];
  const double others = held(entry.held, &session);
  if (others + rate > kTotalMost * total)
    return Error{
        ErrorCode::kOverloaded,
        fmt::format("[node] {:.3f} of {:.3f} Mbit/s to '{}' are asked for and {:.3f} are given away: ask for less, or end "
                    "what has them",
                    8e-6 * rate, 8e-6 * total, next, 8e-6 * others)};
  LinkShare made{.rate = entry.held[session].lock(), .load = entry.load.lock()};
  if (made.rate)
    made.rate->change(rate, burst_of(share));
  else
    entry.held[session] = made.rate = std::make_shared<RateShare>(rate, burst_of(share));
  if (!made.load) entry.load = made.load = std::make_shared<LinkLoad>();
  made.load->set_speed(total);
  return std::make_shared<LinkShare>(std::move(made));
}

std::shared_ptr<RateShare> ShareBook::rest_of_engine() {
  const std::lock_guard lock(mutex_);
  if (engine_.empty()) return nullptr;
  const double others = held(engine_, nullptr) / kNsPerSecond;
  if (engine_.empty()) {
    rest_ = nullptr;
    return nullptr;
  }
  const double part = std::max(kRestLeast, 1 - others);
  if (rest_)
    rest_->change(part * kNsPerSecond, Nanos(0));
  else
    rest_ = std::make_shared<RateShare>(part * kNsPerSecond, Nanos(0));
  return rest_;
}

std::shared_ptr<LinkLoad> ShareBook::load_of(const std::string& next) {
  const std::lock_guard lock(mutex_);
  const auto found = links_.find(next);
  return found == links_.end() ? nullptr : found->second.load.lock();
}

}  // namespace tideline
