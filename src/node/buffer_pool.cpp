#include "node/buffer_pool.h"

#include <algorithm>

namespace tideline {
namespace {

constexpr std::size_t kFreeMax = 32;
// A larger buffer may stand in for a smaller one, up to this: one huge request must not hold its memory for ever.
constexpr std::size_t room(std::size_t bytes) { return 4 * bytes + (1u << 20); }

}  // namespace

BufferPool::Lent BufferPool::take(std::size_t bytes) {
  struct Loan {
    std::shared_ptr<State> state;
    Buffer buffer;
    bool counted = false;
    ~Loan() {
      const std::lock_guard lock(state->mutex);
      if (counted) {
        --state->figures.in_use;
        state->figures.in_use_bytes -= buffer.size();
      }
      if (!buffer.empty() && state->free.size() < kFreeMax) state->free.push_back(std::move(buffer));
    }
  };
  const auto loan = std::make_shared<Loan>();
  loan->state = state_;
  const auto count = [&](Figures& figures) {  // with the mutex
    loan->counted = true;
    figures.in_use_max = std::max(figures.in_use_max, ++figures.in_use);
    figures.in_use_bytes += loan->buffer.size();
    figures.in_use_bytes_max = std::max(figures.in_use_bytes_max, figures.in_use_bytes);
  };
  {
    const std::lock_guard lock(state_->mutex);
    state_->asked = true;
    state_->free.reserve(kFreeMax);  // so that giving back cannot fail
    auto best = state_->free.end();
    for (auto it = state_->free.begin(); it != state_->free.end(); ++it)
      if (it->size() >= bytes && it->size() <= room(bytes) && (best == state_->free.end() || it->size() < best->size()))
        best = it;
    if (best != state_->free.end()) {
      loan->buffer = std::move(*best);
      *best = std::move(state_->free.back());
      state_->free.pop_back();
    }
    if (loan->buffer.size() >= bytes) count(state_->figures);
  }
  if (!loan->counted) {
    loan->buffer = Buffer(bytes);
    const std::lock_guard lock(state_->mutex);
    count(state_->figures);
  }
  return {loan->buffer.span().first(bytes), loan};
}

void BufferPool::trim() {
  std::vector<Buffer> old;
  const std::lock_guard lock(state_->mutex);
  if (!state_->asked) old.swap(state_->free);
  state_->asked = false;
}

BufferPool::Figures BufferPool::figures() const {
  const std::lock_guard lock(state_->mutex);
  return state_->figures;
}

}  // namespace tideline
