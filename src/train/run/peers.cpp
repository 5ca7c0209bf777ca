#include "train/run/peers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "train/run/guarded.h"
#include "transport/wait.h"

namespace tideline::train {
namespace {

constexpr std::string_view kWorkerPrefix = "worker-";
// How often a waiting worker looks whether those it sends to are still there.
constexpr std::chrono::milliseconds kPeerLook{20};

}  // namespace

std::string worker_name(std::uint32_t worker) { return fmt::format("{}{}", kWorkerPrefix, worker); }

Result<std::uint32_t> worker_of_name(std::string_view name) {
  std::uint32_t worker = 0;
  if (name.starts_with(kWorkerPrefix)) {
    const std::string_view digits = name.substr(kWorkerPrefix.size());
    const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), worker);
    if (status == std::errc() && end == digits.data() + digits.size() && worker < limits::kTrainWorkersMax) return worker;
  }
  return Error{ErrorCode::kInvalidArgument, fmt::format("[train] '{}' is no worker", printable(name))};
}

PeerNetwork::PeerNetwork(Transport& transport, std::uint32_t worker, wire::SessionId session, std::size_t numbers_max,
                         std::chrono::nanoseconds patience, std::function<bool()> is_over)
    : transport_(transport),
      worker_(worker),
      session_(session),
      numbers_max_(numbers_max),
      patience_(patience),
      is_over_(std::move(is_over)) {}

PeerNetwork::~PeerNetwork() {
  drop_outgoing();
  std::map<std::uint32_t, std::unique_ptr<Incoming>> all;
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    all.swap(incoming_);
  }
  changed_.notify_all();
  for (auto& [worker, incoming] : all) close(*incoming);
}

void PeerNetwork::close(Incoming& incoming) {
  incoming.channel->shutdown();
  if (incoming.reader.joinable()) incoming.reader.join();
}

void PeerNetwork::adopt(std::uint32_t worker, std::unique_ptr<Channel> channel) {
  auto incoming = std::make_unique<Incoming>();
  incoming->channel = std::move(channel);
  Incoming& here = *incoming;
  std::unique_ptr<Incoming> old;
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    auto& place = incoming_[worker];
    old = std::exchange(place, std::move(incoming));
    if (old != nullptr) {
      old->ended = true;
      received_before_ += old->channel->connection().counters().received_bytes;
    }
    const Status begun = guarded([&] { here.reader = std::thread([this, &here] { read(here); }); });
    if (!begun) {
      here.channel->shutdown();
      here.ended = true;
    }
  }
  changed_.notify_all();
  if (old != nullptr) close(*old);
}

void PeerNetwork::read(Incoming& incoming) {
  (void)guarded([&] { read_pieces(incoming); });
  incoming.channel->shutdown();
  {
    const std::lock_guard lock(mutex_);
    incoming.ended = true;
  }
  changed_.notify_all();
}

void PeerNetwork::read_pieces(Incoming& incoming) {
  while (true) {
    const auto frame = incoming.channel->receive(kNoDeadline);
    if (!frame) break;
    const auto head = decode_train<TrainPiece>(*frame);
    const std::uint64_t count = frame->header.payload_bytes / sizeof(float);
    if (!head || count > numbers_max_) break;
    {
      // Before anything is allocated: who sends too much waits.
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        return closing_ || incoming.ended || incoming.numbers + count <= limits::kTrainInboxModelsMax * numbers_max_;
      });
      if (closing_ || incoming.ended) break;
      // Who has not heard yet that this attempt is over here hears it by the end of the connection.
      if (failed_ && std::pair(head->round, head->attempt) <= *failed_) break;
      incoming.numbers += count;
    }
    Piece piece{*head, std::vector<float>(static_cast<std::size_t>(count))};
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(piece.numbers));
    if (!incoming.channel->receive_payload(*frame, {&bytes, 1}, kNoDeadline)) break;
    {
      const std::lock_guard lock(mutex_);
      incoming.pieces.push_back(std::move(piece));
    }
    changed_.notify_all();
  }
}

void PeerNetwork::drop_outgoing() {
  for (auto& [worker, channel] : outgoing_) {
    channel->shutdown();
    sent_before_ += channel->connection().counters().sent_bytes;
  }
  outgoing_.clear();
}

Status PeerNetwork::begin(std::uint64_t round, std::uint32_t attempt, const std::vector<TrainWork::Member>& members) {
  const auto mine = std::find_if(members.begin(), members.end(), [&](const auto& member) { return member.worker == worker_; });
  if (mine == members.end())
    return Error{ErrorCode::kInvalidArgument, fmt::format("[train] worker {} is no member of its own round", worker_)};
  if (attempt > 0 || any_outgoing_ended()) drop_outgoing();
  round_ = round;
  attempt_ = attempt;
  members_ = members;
  rank_ = static_cast<std::size_t>(mine - members.begin());
  begun_ = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (auto& [worker, incoming] : incoming_) incoming->is_used = false;
  return {};
}

void PeerNetwork::abort() {
  drop_outgoing();
  const std::lock_guard lock(mutex_);
  failed_ = {round_, attempt_};
  for (auto& [worker, incoming] : incoming_) incoming->channel->shutdown();
}

bool PeerNetwork::any_outgoing_ended() {
  return std::any_of(outgoing_.begin(), outgoing_.end(), [](const auto& each) { return each.second->connection().ended(); });
}

Result<Channel*> PeerNetwork::outgoing_to(std::size_t rank, SteadyTime deadline) {
  const TrainWork::Member& member = members_[rank];
  if (const auto found = outgoing_.find(member.worker); found != outgoing_.end()) return found->second.get();
  TIDELINE_TRY(const Address address, parse_address(member.address));
  const SteadyTime soon = std::min(deadline, deadline_in(limits::kConnectTimeout));
  TIDELINE_TRY(auto connection, transport_.connect(address, soon));
  auto channel = std::make_unique<Channel>(std::move(connection));
  wire::Hello hello{.session = session_, .name = worker_name(worker_)};
  TIDELINE_CHECK_OK(channel->greet(hello, std::min(deadline, deadline_in(limits::kHandshakeTimeout))));
  return (outgoing_[member.worker] = std::move(channel)).get();
}

Status PeerNetwork::send(std::size_t to, std::uint32_t step, std::span<const float> numbers) {
  const SteadyTime deadline = deadline_in(patience_);
  const auto channel = outgoing_to(to, deadline);
  const auto named = [&](const Error& error) {
    return Error{ErrorCode::kDisconnected,
                 fmt::format("[train] worker {} is out of reach: {}", members_[to].worker, error.message)};
  };
  if (!channel) return named(channel.error());
  const std::span<const std::byte> bytes = std::as_bytes(numbers);
  const TrainPiece piece{.round = round_, .attempt = attempt_, .step = step};
  if (const Status sent = send_train(**channel, round_, piece, {&bytes, 1}, deadline); !sent) return named(sent.error());
  return {};
}

Error PeerNetwork::accuse(std::uint32_t worker, std::string_view what) {
  accused_ = worker;
  return {ErrorCode::kCorrupt, fmt::format("[train] worker {} sent {}", worker, what)};
}

Status PeerNetwork::receive(std::size_t from, std::uint32_t step, std::span<float> into) {
  const std::uint32_t worker = members_[from].worker;
  const SteadyTime deadline = deadline_in(patience_);
  const auto gone = [&](std::string_view why) {
    return Error{ErrorCode::kDisconnected, fmt::format("[train] worker {} {}", worker, why)};
  };
  std::unique_lock lock(mutex_);
  while (true) {
    if (const auto found = incoming_.find(worker); found != incoming_.end()) {
      Incoming& incoming = *found->second;
      while (!incoming.pieces.empty()) {
        Piece piece = std::move(incoming.pieces.front());
        incoming.pieces.pop_front();
        incoming.numbers -= piece.numbers.size();
        changed_.notify_all();
        // What was under way when an earlier attempt failed.
        if (piece.head.round != round_ || piece.head.attempt != attempt_) continue;
        if (piece.head.step != step || piece.numbers.size() != into.size())
          return accuse(worker, "another step or another length than it is the turn of");
        if (!std::all_of(piece.numbers.begin(), piece.numbers.end(), [](float number) { return std::isfinite(number); }))
          return accuse(worker, "a number that is not finite");
        incoming.is_used = true;
        std::copy(piece.numbers.begin(), piece.numbers.end(), into.begin());
        return {};
      }
      // In an attempt after a failed one everybody calls everybody anew: the end of an old connection says nothing.
      const bool may_call_again =
          attempt_ > 0 && !incoming.is_used && std::chrono::steady_clock::now() < begun_ + limits::kConnectTimeout;
      if (incoming.ended && !may_call_again) return gone("has left in the middle of an exchange");
    }
    if (std::chrono::steady_clock::now() >= deadline) return gone("has sent nothing for too long");
    changed_.wait_for(lock, kPeerLook);
    lock.unlock();
    const bool is_broken = any_outgoing_ended(), is_over = is_over_();
    lock.lock();
    if (is_over) return Error{ErrorCode::kDisconnected, "[train] nobody waits for this exchange any more"};
    if (is_broken) return gone("may never send: a member behind this one has left");
  }
}

PeerNetwork::Bytes PeerNetwork::take_bytes() {
  std::uint64_t sent = sent_before_;
  for (const auto& [worker, channel] : outgoing_) sent += channel->connection().counters().sent_bytes;
  std::uint64_t received = 0;
  {
    const std::lock_guard lock(mutex_);
    received = received_before_;
    for (const auto& [worker, incoming] : incoming_) received += incoming->channel->connection().counters().received_bytes;
  }
  const Bytes bytes{sent - sent_reported_, received - received_reported_};
  sent_reported_ = sent;
  received_reported_ = received;
  return bytes;
}

}  // namespace tideline::train
