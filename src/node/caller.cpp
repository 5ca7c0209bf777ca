#include "node/caller.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {

void Caller::join(Channel& channel, wire::ConnectionKind kind) {
  const std::lock_guard lock(mutex_);
  if (kind == wire::ConnectionKind::kData)
    data_.insert(&channel);
  else
    ++controls_;
}

void Caller::leave(Channel& channel, wire::ConnectionKind kind) {
  std::map<StageKey, std::shared_ptr<Stage>> gone;
  std::map<std::string, std::shared_ptr<NextNode>> kept;
  bool last_control = false;
  {
    const std::lock_guard lock(mutex_);
    if (kind == wire::ConnectionKind::kData) {
      data_.erase(&channel);
    } else if (--controls_ == 0) {
      last_control = true;
      beats_.store(false, std::memory_order_relaxed);
      for (Channel* data : data_) data->shutdown();
    }
    if (data_.empty() && controls_ == 0) {
      gone.swap(stages_);
      kept.swap(kept_);
    }
  }
  if (last_control) cancel_all();
}

std::size_t Caller::connections() const {
  const std::lock_guard lock(mutex_);
  return data_.size() + controls_;
}

std::uint64_t Caller::received_bytes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (Channel* channel : data_) bytes += channel->connection().counters().received_bytes;
  return bytes;
}

Result<CancelToken> Caller::begin(const void* connection, std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  if (!early_cancels_.empty()) {
    const SteadyTime now = std::chrono::steady_clock::now();
    while (!early_cancels_.empty() && early_cancels_.front().until < now) early_cancels_.pop_front();
  }
  const auto early = std::find_if(early_cancels_.begin(), early_cancels_.end(), [&](const auto& e) { return e.id == id; });
  if (early != early_cancels_.end()) {
    early_cancels_.erase(early);
    return Error{ErrorCode::kCancelled, "[node] the caller gave the request up before it arrived"};
  }
  if (running_.size() >= limits::kNodeRequestsPerCallerMax)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] {} requests of this caller are under way, the most there may be", running_.size())};
  const auto [entry, fresh] = running_.try_emplace({connection, id});
  if (!fresh)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[node] request {} of this connection is still under way", id)};
  return entry->second;
}

void Caller::end(const void* connection, std::uint64_t id) {
  const std::lock_guard lock(mutex_);
  running_.erase({connection, id});
}

void Caller::cancel(std::uint64_t id) {
  std::vector<CancelToken> tokens;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, token] : running_)
      if (key.second == id) tokens.push_back(token);
    if (tokens.empty()) {
      early_cancels_.push_back({id, deadline_in(limits::kNodeEarlyCancelKept)});
      if (early_cancels_.size() > limits::kNodeEarlyCancelsMax) early_cancels_.pop_front();
    }
  }
  for (const CancelToken& token : tokens) token.cancel();
}

void Caller::cancel_all(const void* connection) {
  std::vector<CancelToken> tokens;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, token] : running_)
      if (connection == nullptr || key.first == connection) tokens.push_back(token);
  }
  for (const CancelToken& token : tokens) token.cancel();
}

std::shared_ptr<Stage> Caller::stage(const StageKey& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = stages_.find(key);
  return found == stages_.end() ? nullptr : found->second;
}

Status Caller::install(std::uint64_t epoch, const std::map<std::uint32_t, std::shared_ptr<Stage>>& stages) {
  // What is replaced goes after the lock: it may close connections.
  std::vector<std::shared_ptr<Stage>> before;
  const std::lock_guard lock(mutex_);
  std::size_t fresh = 0;
  for (const auto& [id, stage] : stages) fresh += stages_.contains({epoch, id}) ? 0 : 1;
  if (stages_.size() + fresh > limits::kNodeStagesPerCallerMax)
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[node] {} stages are installed already; uninstall older plans", stages_.size())};
  for (const auto& [id, stage] : stages) before.push_back(std::exchange(stages_[{epoch, id}], stage));
  return {};
}

std::size_t Caller::uninstall(std::uint64_t epoch) {
  std::vector<std::shared_ptr<Stage>> gone;
  const std::lock_guard lock(mutex_);
  std::erase_if(stages_, [&](auto& entry) {
    if (entry.first.first > epoch) return false;
    gone.push_back(std::move(entry.second));
    return true;
  });
  return gone.size();
}

Result<std::shared_ptr<NextNode>> Caller::next_node(const std::string& name, const std::string& address,
                                                    const std::function<Result<std::shared_ptr<NextNode>>()>& make) {
  const std::string key = name + "@" + address;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(next_, [](const auto& entry) { return entry.second.expired(); });
    if (const auto found = next_.find(key); found != next_.end())
      if (auto known = found->second.lock()) return known;
    if (next_.size() >= limits::kNodeNextPerCallerMax)
      return Error{ErrorCode::kOverloaded, fmt::format("[node] the stages of this caller lead to {} nodes already; uninstall "
                                                       "older plans",
                                                       limits::kNodeNextPerCallerMax)};
    if (next_failures_ >= limits::kNodeNextFailuresMax)
      return Error{ErrorCode::kOverloaded, "[node] too many next nodes of this caller could not be reached"};
  }
  auto made = make();
  const std::lock_guard lock(mutex_);
  if (!made) {
    ++next_failures_;
    return made;
  }
  next_[key] = *made;
  return made;
}

void Caller::keep(std::shared_ptr<NextNode> next) {
  std::shared_ptr<NextNode> before;
  const std::lock_guard lock(mutex_);
  before = std::exchange(kept_[next->name()], std::move(next));
}

bool Caller::leads_to(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, next] : next_)
    if (const auto node = next.lock(); node && node->name() == name) return true;
  return false;
}

Result<std::shared_ptr<Caller>> Callers::join(const wire::Hello& hello) {
  if (hello.role == wire::Role::kNode)
    for (const auto& other : of_session(hello.session))
      if (other->leads_to(hello.name))
        return Error{ErrorCode::kInvalidArgument,
                     fmt::format("[node] the way of this session leads from here to '{}' and back: a ring", hello.name)};
  const std::lock_guard lock(mutex_);
  std::weak_ptr<Caller>& known = callers_[{hello.session, hello.role, hello.name}];
  auto caller = known.lock();
  if (!caller) known = caller = std::make_shared<Caller>(hello.session, hello.role, hello.name);
  return caller;
}

std::vector<std::shared_ptr<Caller>> Callers::of_session(const wire::SessionId& session) {
  std::vector<std::shared_ptr<Caller>> found;
  const std::lock_guard lock(mutex_);
  for (auto it = callers_.lower_bound({session, wire::Role{}, ""}); it != callers_.end() && std::get<0>(it->first) == session;
       ++it)
    if (auto caller = it->second.lock()) found.push_back(std::move(caller));
  return found;
}

std::shared_ptr<Stage> Callers::find_stage(const Caller& caller, const Caller::StageKey& key) {
  if (auto own = caller.stage(key)) return own;
  for (const auto& other : of_session(caller.session()))
    if (auto stage = other->stage(key)) return stage;
  return nullptr;
}

bool Callers::has_caller(const wire::SessionId& session, wire::Role role, const std::string& name) {
  for (const auto& caller : of_session(session))
    if (caller->role() == role && caller->name() == name) return true;
  return false;
}

void Callers::cancel_all() {
  std::vector<std::shared_ptr<Caller>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, weak] : callers_)
      if (auto caller = weak.lock()) all.push_back(std::move(caller));
  }
  for (const auto& caller : all) caller->cancel_all();
}

std::vector<wire::SessionId> Callers::sweep() {
  const std::lock_guard lock(mutex_);
  std::set<wire::SessionId> gone;
  std::erase_if(callers_, [&](const auto& entry) {
    if (!entry.second.expired()) return false;
    gone.insert(std::get<0>(entry.first));
    return true;
  });
  for (const auto& [key, caller] : callers_) gone.erase(std::get<0>(key));
  return {gone.begin(), gone.end()};
}

}  // namespace tideline
