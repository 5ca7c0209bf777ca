#include "node/compute_slot.h"

#include <fmt/format.h>

namespace tideline {

ComputeSlot::Turn ComputeSlot::give(const std::shared_ptr<Shared>& shared, bool beyond_share) {
  shared->busy = true;
  Turn turn(shared);
  if (beyond_share) shared->wanted = turn.wanted_ = CancelToken();
  return turn;
}

Result<ComputeSlot::Turn> ComputeSlot::acquire(SteadyTime deadline, const CancelToken& cancel, std::size_t waiting_max,
                                               bool beyond_share) {
  Place place;
  std::optional<CancelToken> interrupted;
  {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->busy && shared_->waiting.empty()) return give(shared_, beyond_share);
    // Those beyond their share are behind this one if it is within its own: they do not keep it out.
    const auto beyond = shared_->waiting.lower_bound(Place{true, SteadyTime::min(), 0});
    const auto ahead =
        beyond_share ? shared_->waiting.size() : static_cast<std::size_t>(std::distance(shared_->waiting.begin(), beyond));
    if (ahead >= waiting_max)
      return Error{ErrorCode::kOverloaded,
                   fmt::format("[node] {} requests are waiting already; send fewer at once", waiting_max)};
    place = {beyond_share, deadline, shared_->next_ticket++};
    shared_->waiting.insert(place);
    if (!beyond_share) interrupted = shared_->wanted;
  }
  // Without the mutex: what waits for the word may be anybody's.
  if (interrupted) interrupted->cancel();
  const auto watch = cancel.watch([shared = shared_] {
    const std::lock_guard guard(shared->mutex);
    shared->changed.notify_all();
  });
  // After the watch, so that it is given back before the watch waits for a callback that wants it.
  std::unique_lock lock(shared_->mutex);
  const bool in_time = shared_->changed.wait_until(
      lock, deadline, [&] { return cancel.cancelled() || (!shared_->busy && *shared_->waiting.begin() == place); });
  const bool ours = in_time && !cancel.cancelled();
  shared_->waiting.erase(place);
  if (ours) return give(shared_, beyond_share);
  // The turn may have been ours: pass it on.
  shared_->changed.notify_all();
  if (cancel.cancelled())
    return Error{ErrorCode::kCancelled, "[node] the caller gave up while the request waited for the engine"};
  return Error{ErrorCode::kDeadlineExceeded, "[node] the deadline passed while the request waited for the engine"};
}

ComputeSlot::Turn::~Turn() {
  if (!shared_) return;
  const std::lock_guard lock(shared_->mutex);
  shared_->busy = false;
  shared_->wanted.reset();
  shared_->changed.notify_all();
}

}  // namespace tideline
