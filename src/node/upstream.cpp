#include "node/upstream.h"

#include <fmt/format.h>

#include "node/core.h"

namespace tideline {
namespace {

class OutgoingCredit final : public Outgoing {
 public:
  OutgoingCredit(std::uint64_t id, wire::Credit credit) : id_(id), credit_(credit) {}
  Status write(Channel& channel) override { return channel.send(id_, credit_, deadline_in(kSendTimeout)); }
  void dropped(const Error&) override {}

 private:
  const std::uint64_t id_;
  const wire::Credit credit_;
};

}  // namespace

Upstream::Upstream(NodeCore& core, std::shared_ptr<Caller> caller, Channel& channel, bool flow)
    : core_(core), caller_(std::move(caller)), channel_(channel), flow_(flow), outbox_(channel, false) {}

void Upstream::open() {
  if (flow_) outbox_.post(std::make_unique<OutgoingCredit>(0, wire::Credit{wire::kCreditRequests, wire::kCreditBytes}));
}

Result<CancelToken> Upstream::begin(std::uint64_t id, std::uint64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    if (flow_ && !out_.empty() && (out_.size() >= wire::kCreditRequests || bytes > wire::kCreditBytes - out_bytes_))
      return Error{ErrorCode::kOverloaded, fmt::format("[node] {} requests of {} are here already, all that was granted",
                                                       out_.size(), format_bytes(out_bytes_))};
  }
  TIDELINE_TRY(CancelToken token, caller_->begin(this, id));
  {
    const std::lock_guard lock(core_.running_mutex);
    ++core_.requests_running;
  }
  std::vector<Due> due;
  {
    const std::lock_guard lock(mutex_);
    const std::uint64_t room = std::min(bytes, wire::kCreditBytes);
    out_[id] = {room, false};
    out_bytes_ += room;
    ++in_queue_;
    ++unanswered_;
    ++under_way_;
    due = due_credits();
  }
  send_credits(due);
  return token;
}

void Upstream::end(std::uint64_t id) {
  caller_->end(this, id);
  {
    const std::lock_guard lock(mutex_);
    --under_way_;
    if (const auto found = out_.find(id); found != out_.end()) {
      if (!found->second.left) --in_queue_;
      out_bytes_ -= found->second.bytes;
      out_.erase(found);
    }
    if (computing_ == id) free_turn();
    changed_.notify_all();
  }
}

void Upstream::free_turn() {
  computing_.reset();
  if (!queue_.empty()) queued_.notify_one();
}

void Upstream::answered() {
  {
    const std::lock_guard lock(mutex_);
    --unanswered_;
    changed_.notify_all();
  }
  const std::lock_guard lock(core_.running_mutex);
  if (--core_.requests_running == 0) core_.running_changed.notify_all();
}

void Upstream::passed_on(std::uint64_t id) {
  std::vector<Due> due;
  {
    const std::lock_guard lock(mutex_);
    const auto found = out_.find(id);
    if (found == out_.end() || found->second.left) return;
    --in_queue_;
    found->second.left = true;
    due = due_credits();
    changed_.notify_all();
  }
  send_credits(due);
}

std::vector<Upstream::Due> Upstream::due_credits() {
  std::vector<Due> due;
  // One request at a time needs none: its answer gives the credit back.
  if (!flow_ || (out_.size() < wire::kCreditRequests / 2 && out_bytes_ < wire::kCreditBytes / 2)) return due;
  for (auto it = out_.begin(); it != out_.end();) {
    if (!it->second.left) {
      ++it;
      continue;
    }
    due.push_back({it->first, it->second.bytes});
    out_bytes_ -= it->second.bytes;
    it = out_.erase(it);
  }
  return due;
}

void Upstream::send_credits(const std::vector<Due>& due) {
  for (const Due& credit : due) outbox_.post(std::make_unique<OutgoingCredit>(credit.id, wire::Credit{1, credit.bytes}));
}

void Upstream::wait_for_room() {
  if (flow_) return;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_ || in_queue_ < wire::kCreditRequests; });
}

bool Upstream::busy() const {
  const std::lock_guard lock(mutex_);
  return unanswered_ > 0;
}

bool Upstream::has_more() const {
  const std::lock_guard lock(mutex_);
  return under_way_ > 0;
}

void Upstream::post(std::unique_ptr<Request> request, bool answered, bool may_run_here) {
  std::unique_lock lock(mutex_);
  if (answered) changed_.wait(lock, [&] { return closed_ || answered_waiting_ < limits::kAnswersWaitingMax; });
  bool here = may_run_here && queue_.empty() && !computing_;
  if (!closed_ && !here) {
    Waiting waiting{std::move(request), answered};
    try {
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
      // Takes it when there is room for it and not before.
      queue_.push_back(std::move(waiting));
      answered_waiting_ += answered ? 1 : 0;
      queued_.notify_one();
      return;
    } catch (const std::exception&) {
      // No thread or memory to be had: in turn, on this one.
      request = std::move(waiting.request);
      changed_.wait(lock, [&] { return closed_ || !computing_; });
      here = true;
    }
  }
  if (closed_) {
    lock.unlock();
    return Request::fail(std::move(request), Error{ErrorCode::kDisconnected, "[node] the caller is gone"});
  }
  run_in_turn(lock, std::move(request));
}

void Upstream::run_in_turn(std::unique_lock<std::mutex>& lock, std::unique_ptr<Request> request) {
  computing_ = request->id();
  const std::uint64_t turn = ++turn_;
  lock.unlock();
  execute(std::move(request));
  lock.lock();
  // Answered, it has given its turn back already, and another may have it.
  if (turn == turn_ && computing_) free_turn();
  changed_.notify_all();
}

void Upstream::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [&] { return closed_ || (!computing_ && !queue_.empty()); });
    if (closed_) return;
    Waiting next = std::move(queue_.front());
    queue_.pop_front();
    if (next.answered) --answered_waiting_;
    changed_.notify_all();
    run_in_turn(lock, std::move(next.request));
  }
}

void Upstream::wait_until_answered(SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, deadline, [&] { return closed_ || unanswered_ == 0; });
}

void Upstream::shut_down() {
  const std::lock_guard lock(mutex_);
  if (!closed_) channel_.shutdown();
}

void Upstream::close() {
  std::deque<Waiting> left;
  std::thread thread;
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    left.swap(queue_);
    thread.swap(thread_);
    changed_.notify_all();
    queued_.notify_all();
  }
  if (thread.joinable()) thread.join();
  for (Waiting& waiting : left)
    Request::fail(std::move(waiting.request), Error{ErrorCode::kDisconnected, "[node] the caller is gone"});
  outbox_.close();
}

}  // namespace tideline
