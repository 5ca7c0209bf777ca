#include "train/run/crew.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"
#include "train/run/guarded.h"

namespace tideline::train {
namespace {

// Of one worker: their numbers are 32 bits wide.
constexpr std::uint64_t kSamplesMax = std::numeric_limits<std::uint32_t>::max();
// Between two calls of a worker that is lost: twice as long each time.
constexpr std::chrono::nanoseconds kCallPauseMin = std::chrono::milliseconds(250);
constexpr std::chrono::nanoseconds kCallPauseMax = std::chrono::seconds(10);

// Kept for the report: a worker may come and go for days.
constexpr std::size_t kNewsMax = 10'000;

SharedBytes shared(std::span<const std::byte> bytes) {
  return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

Error of_worker(std::uint32_t worker, const Error& error) {
  return {error.code, fmt::format("[train] worker {}: {}", worker, error.message)};
}

}  // namespace

Crew::Crew(const Job& job, const TrainOptions& options)
    : job_(job),
      options_(options),
      text_(write_job(job)),
      model_(shared(std::as_bytes(std::span(options.model_file)))),
      hello_{.session = wire::random_session_id(), .name = "coordinator"},
      places_(job.workers),
      samples_(job.workers, 0),
      bytes_by_worker_(job.workers, 0) {}

Result<std::unique_ptr<Crew>> Crew::call(const Job& job, const TrainOptions& options) {
  if (options.workers.size() != job.workers)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] the job has {} workers, {} are there", job.workers, options.workers.size())};
  std::unique_ptr<Crew> crew(new Crew(job, options));
  TIDELINE_CHECK_OK(crew->set_up());
  crew->take_bytes(false);
  return crew;
}

// Between peers a worker whose state the checkpoint has not begins as another one: it needs the model.
std::span<const std::byte> Crew::state_of(std::uint32_t worker) const {
  if (!options_.resume) return {};
  const auto& states = options_.resume->worker_states;
  if (!states[worker].empty() || job_.exchange == Exchange::kParameterServer) return states[worker];
  const auto found = std::find_if(states.begin(), states.end(), [](const auto& state) { return !state.empty(); });
  return found == states.end() ? std::span<const std::byte>() : std::span<const std::byte>(*found);
}

TrainSetup Crew::setup_message(std::uint32_t worker, std::size_t state_bytes) const {
  const auto job_bytes = std::as_bytes(std::span(text_));
  return {.worker = worker,
          .workers = static_cast<std::uint32_t>(job_.workers),
          .job = {job_bytes.begin(), job_bytes.end()},
          .model_bytes = model_->size(),
          .state_bytes = state_bytes};
}

Status Crew::call(std::uint32_t worker, std::span<const std::byte> state) {
  Place& place = places_[worker];
  TIDELINE_TRY(auto codec, make_update_codec(job_.compression, options_.size));
  TIDELINE_CHECK_OK(
      guarded([&] { place.link = std::make_unique<WorkerLink>(worker, std::move(codec), options_.size.all(), answers_); }));
  place.counted = {};
  place.is_called = place.is_busy = true;
  place.tag = ++last_tag_;
  place.link->call(place.tag, options_.transport, place.address, hello_, setup_message(worker, state.size()), model_,
                   shared(state));
  return {};
}

// What a worker says of itself before it is believed anything.
Status Crew::judge(const Answer& answer) {
  if (!answer.status) return answer.status;
  const TrainReady& said = answer.ready;
  if (said.parameters != options_.size.parameters || said.buffers != options_.size.buffers)
    return Error{ErrorCode::kCorrupt, "it has read another model out of the file"};
  if (said.samples == 0 || said.samples > kSamplesMax)
    return Error{ErrorCode::kCorrupt, fmt::format("it says that it has {} samples", said.samples)};
  samples_[answer.worker] = said.samples;
  return {};
}

Status Crew::set_up() {
  if (options_.resume) bytes_by_worker_ = options_.resume->bytes_by_worker;
  watch_.emplace(options_.cancel.source(), [this] { answers_.wake(); });
  for (std::uint32_t worker = 0; worker < job_.workers; ++worker) {
    places_[worker].address = options_.workers[worker];
    if (const Status called = call(worker, state_of(worker)); !called) return of_worker(worker, called.error());
  }
  // Reading data and loading a library take their time.
  const SteadyTime deadline = deadline_in(std::max<std::chrono::nanoseconds>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience), limits::kTrainOrphanPatience));
  for (std::size_t ready = 0; ready < job_.workers;) {
    const auto answer = answers_.pop(deadline);
    if (options_.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[train] interrupted"};
    if (!answer) {
      if (std::chrono::steady_clock::now() < deadline) continue;
      return Error{ErrorCode::kDeadlineExceeded, "[train] not every worker was ready in time"};
    }
    if (const Status good = judge(*answer); !good) return of_worker(answer->worker, good.error());
    Place& place = places_[answer->worker];
    place.is_called = place.is_busy = false;
    place.is_there = true;
    ++ready;
  }
  return {};
}

bool Crew::may_return() const {
  return options_.find_again != nullptr &&
         std::any_of(places_.begin(), places_.end(), [](const Place& place) { return place.is_trusted && !place.is_there; });
}

void Crew::call_later(Place& place) {
  place.is_waiting = false;
  place.pause = std::clamp(2 * place.pause, kCallPauseMin, kCallPauseMax);
  place.call_at = std::chrono::steady_clock::now() + place.pause;
}

void Crew::call_lost() {
  if (options_.find_again == nullptr) return;
  for (std::uint32_t worker = 0; worker < places_.size(); ++worker) {
    Place& place = places_[worker];
    const bool is_turn = !place.is_there && place.is_trusted && !place.is_waiting && !place.is_busy &&
                         std::chrono::steady_clock::now() >= place.call_at;
    if (!is_turn) continue;
    const auto address = options_.find_again(worker);
    if (address) {
      count(worker, true, peer_bytes_);
      place.address = *address;
    }
    if (!address || !call(worker, {})) call_later(place);
  }
}

void Crew::settle_call(const Answer& answer) {
  Place& place = places_[answer.worker];
  place.is_called = place.is_busy = false;
  if (!judge(answer)) {
    place.link->shutdown();
    return call_later(place);
  }
  place.pause = {};
  // What it was set up with is no part of a round.
  place.counted = place.link->counters();
  if (job_.exchange == Exchange::kParameterServer) {
    place.is_there = true;
    tell(fmt::format("worker {} is back", answer.worker));
  } else {
    place.is_waiting = true;
  }
}

std::vector<std::uint32_t> Crew::waiting() const {
  std::vector<std::uint32_t> workers;
  for (std::uint32_t worker = 0; worker < places_.size(); ++worker)
    if (places_[worker].is_waiting) workers.push_back(worker);
  return workers;
}

void Crew::admit(std::uint32_t worker, std::span<const std::byte> state) {
  Place& place = places_[worker];
  place.is_busy = true;
  place.tag = ++last_tag_;
  place.link->setup(place.tag, setup_message(worker, state.size()), model_, shared(state));
  const auto answer = take_of(worker, deadline_in(std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience)));
  if (!answer || !judge(*answer)) {
    place.link->shutdown();
    return call_later(place);
  }
  place.is_waiting = false;
  place.is_there = true;
  place.counted = place.link->counters();
  tell(fmt::format("worker {} is back", worker));
}

std::optional<Answer> Crew::take(SteadyTime deadline) {
  std::optional<Answer> answer;
  if (!kept_.empty()) {
    answer = std::move(kept_.front());
    kept_.pop_front();
  } else {
    answer = answers_.pop(deadline);
  }
  if (!answer) return std::nullopt;
  Place& place = places_[answer->worker];
  if (place.is_called && answer->tag == place.tag) {
    settle_call(*answer);
    return std::nullopt;
  }
  if (answer->tag == place.tag) place.is_busy = false;
  if (answer->is_lost) lose(answer->worker, answer->status.error().message);
  return answer;
}

std::optional<Answer> Crew::take_of(std::uint32_t worker, SteadyTime deadline) {
  while (std::chrono::steady_clock::now() < deadline) {
    auto answer = answers_.pop(deadline);
    if (!answer) continue;
    if (answer->worker != worker || answer->tag != places_[worker].tag) {
      kept_.push_back(std::move(*answer));
      continue;
    }
    places_[worker].is_busy = false;
    if (answer->is_lost) lose(worker, answer->status.error().message);
    return answer;
  }
  return std::nullopt;
}

std::vector<std::uint32_t> Crew::able() const {
  std::vector<std::uint32_t> workers;
  for (std::uint32_t worker = 0; worker < places_.size(); ++worker)
    if (is_alive(worker) && !is_busy(worker)) workers.push_back(worker);
  return workers;
}

std::size_t Crew::alive() const {
  return static_cast<std::size_t>(
      std::count_if(places_.begin(), places_.end(), [](const Place& place) { return place.is_there && place.is_trusted; }));
}

void Crew::work(std::uint32_t worker, TrainWork work, SharedBytes model) {
  Place& place = places_[worker];
  place.is_busy = true;
  place.tag = ++last_tag_;
  place.link->work(place.tag, std::move(work), std::move(model));
}

std::string Crew::address(std::uint32_t worker) const { return to_string(places_[worker].address); }

void Crew::tell(std::string news) {
  if (options_.on_news) options_.on_news(news);
  if (news_.size() < kNewsMax) news_.push_back(std::move(news));
}

void Crew::quarantine(std::uint32_t worker, std::string_view why) {
  if (!places_[worker].is_trusted) return;
  places_[worker].is_trusted = false;
  tell(fmt::format("worker {} is quarantined: {}", worker, printable(why)));
}

void Crew::lose(std::uint32_t worker, std::string_view why) {
  Place& place = places_[worker];
  if (!place.is_there) return;
  place.is_there = false;
  set_away(worker);
  call_later(place);
  place.link->shutdown();
  tell(fmt::format("worker {} is lost: {}", worker, printable(why)));
}

bool Crew::use_grace(std::uint32_t worker) {
  std::uint32_t& left = places_[worker].grace;
  if (left > 0) --left;
  return left > 0;
}

void Crew::count_peer_bytes(std::uint32_t worker, std::uint64_t sent, std::uint64_t received) {
  peer_bytes_.up += sent;
  peer_bytes_.down += received;
  bytes_by_worker_[worker] += sent + received;
}

void Crew::count(std::uint32_t worker, bool are_of_round, MovedBytes& moved) {
  Place& place = places_[worker];
  const ConnectionCounters now = place.link->counters();
  const std::uint64_t up = now.received_bytes - place.counted.received_bytes;
  const std::uint64_t down = now.sent_bytes - place.counted.sent_bytes;
  place.counted = now;
  moved.up += up;
  moved.down += down;
  if (are_of_round) bytes_by_worker_[worker] += up + down;
}

MovedBytes Crew::take_bytes(bool are_of_round) {
  MovedBytes moved = peer_bytes_;
  peer_bytes_ = {};
  for (std::uint32_t worker = 0; worker < places_.size(); ++worker)
    if (!places_[worker].is_called && !places_[worker].is_waiting) count(worker, are_of_round, moved);
  return moved;
}

Result<Answer> Crew::fetch(std::uint32_t worker, TrainFetch fetch) {
  Place& place = places_[worker];
  place.is_busy = true;
  place.tag = ++last_tag_;
  place.link->fetch(place.tag, fetch);
  auto answer = take_of(worker, deadline_in(std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience)));
  if (!answer) {
    lose(worker, "it has not answered in time");
    return Error{ErrorCode::kDeadlineExceeded, fmt::format("[train] worker {} has not answered in time", worker)};
  }
  if (!answer->status) return of_worker(worker, answer->status.error());
  return std::move(*answer);
}

Result<std::vector<std::byte>> Crew::fetch_state(std::uint32_t worker, bool commit) {
  TIDELINE_TRY(Answer answer, fetch(worker, {.what = TrainFetch::What::kState, .commit = commit}));
  return std::move(answer.bytes);
}

std::vector<std::vector<std::byte>> Crew::fetch_states(bool commit) {
  std::vector<std::vector<std::byte>> states(places_.size());
  for (const std::uint32_t worker : able())
    if (auto state = fetch_state(worker, commit)) states[worker] = std::move(*state);
  return states;
}

Result<std::vector<float>> Crew::fetch_model(std::uint32_t worker, bool commit) {
  TIDELINE_TRY(Answer answer, fetch(worker, {.what = TrainFetch::What::kModel, .commit = commit}));
  if (answer.numbers.size() != options_.size.all())
    return Error{ErrorCode::kCorrupt, fmt::format("[train] worker {} sent a model of another size", worker)};
  return std::move(answer.numbers);
}

void Crew::finish() {
  // Those who are still at a round that nobody waits for any more: their answers are dropped, but they are not cut short.
  const SteadyTime deadline = deadline_in(limits::kConnectTimeout);
  const auto owes = [](const Place& place) { return place.is_there && place.is_busy; };
  while (std::any_of(places_.begin(), places_.end(), owes) && std::chrono::steady_clock::now() < deadline) (void)take(deadline);
  for (Place& place : places_)
    if ((place.is_there || place.is_waiting) && !place.is_busy) place.link->finish(deadline_in(limits::kConnectTimeout));
}

}  // namespace tideline::train
