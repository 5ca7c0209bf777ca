#include "train/run/crew.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/text.h"

namespace tideline::train {
namespace {

SharedBytes shared(std::span<const std::byte> bytes) {
  return std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end());
}

Error of_worker(std::uint32_t worker, const Error& error) {
  return {error.code, fmt::format("[train] worker {}: {}", worker, error.message)};
}

}  // namespace

Result<std::unique_ptr<Crew>> Crew::call(const Job& job, const TrainOptions& options) {
  std::unique_ptr<Crew> crew(new Crew(job, options));
  TIDELINE_CHECK_OK(crew->connect());
  TIDELINE_CHECK_OK(crew->set_up());
  crew->take_bytes(false);
  return crew;
}

Status Crew::connect() {
  if (options_.workers.size() != job_.workers)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[train] the job has {} workers, {} are there", job_.workers, options_.workers.size())};
  wire::Hello hello{.session = wire::random_session_id(), .name = "coordinator"};
  places_.resize(job_.workers);
  bytes_by_worker_.resize(job_.workers, 0);
  samples_.resize(job_.workers, 0);
  if (options_.resume) bytes_by_worker_ = options_.resume->bytes_by_worker;
  for (std::uint32_t worker = 0; worker < job_.workers; ++worker) {
    auto connection =
        options_.transport.connect(options_.workers[worker], deadline_in(limits::kConnectTimeout), &options_.cancel);
    if (!connection) return of_worker(worker, connection.error());
    auto channel = std::make_unique<Channel>(std::move(*connection));
    const auto theirs = channel->greet(hello, deadline_in(limits::kHandshakeTimeout));
    if (!theirs) return of_worker(worker, theirs.error());
    places_[worker].link = std::make_unique<WorkerLink>(worker, std::move(channel), answers_);
  }
  watch_.emplace(options_.cancel.source(), [this] { answers_.wake(); });
  return {};
}

// Between peers a worker whose state the checkpoint has not begins as another one: it needs the model.
std::span<const std::byte> Crew::state_of(std::uint32_t worker) const {
  if (!options_.resume) return {};
  const auto& states = options_.resume->worker_states;
  if (!states[worker].empty() || job_.exchange == Exchange::kParameterServer) return states[worker];
  const auto found = std::find_if(states.begin(), states.end(), [](const auto& state) { return !state.empty(); });
  return found == states.end() ? std::span<const std::byte>() : std::span<const std::byte>(*found);
}

Status Crew::set_up() {
  const std::string text = write_job(job_);
  const SharedBytes model = shared(std::as_bytes(std::span(options_.model_file)));
  for (std::uint32_t worker = 0; worker < job_.workers; ++worker) {
    Place& place = places_[worker];
    TIDELINE_TRY(auto codec, make_update_codec(job_.compression, options_.size));
    place.link->expect_updates(std::move(codec), options_.size.all());
    const SharedBytes state = shared(state_of(worker));
    TrainSetup setup{.worker = worker,
                     .workers = static_cast<std::uint32_t>(job_.workers),
                     .model_bytes = model->size(),
                     .state_bytes = state->size()};
    const auto job_bytes = std::as_bytes(std::span(text));
    setup.job.assign(job_bytes.begin(), job_bytes.end());
    place.is_busy = true;
    place.tag = ++last_tag_;
    place.link->setup(place.tag, std::move(setup), model, state);
  }
  // Reading data and loading a library take their time.
  const SteadyTime deadline = deadline_in(std::max<std::chrono::nanoseconds>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience), limits::kTrainOrphanPatience));
  for (std::size_t ready = 0; ready < job_.workers;) {
    const auto answer = take(deadline);
    if (options_.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[train] interrupted"};
    if (!answer) {
      if (std::chrono::steady_clock::now() < deadline) continue;
      return Error{ErrorCode::kDeadlineExceeded, "[train] not every worker was ready in time"};
    }
    if (!answer->status) return of_worker(answer->worker, answer->status.error());
    const TrainReady& said = answer->ready;
    if (said.parameters != options_.size.parameters || said.buffers != options_.size.buffers)
      return of_worker(answer->worker, {ErrorCode::kCorrupt, "it has read another model out of the file"});
    samples_[answer->worker] = said.samples;
    ++ready;
  }
  return {};
}

std::optional<Answer> Crew::take(SteadyTime deadline) {
  auto answer = answers_.pop(deadline);
  if (!answer) return std::nullopt;
  Place& place = places_[answer->worker];
  if (answer->tag == place.tag) place.is_busy = false;
  if (answer->is_lost && place.is_there) lose(answer->worker, answer->status.error().message);
  return answer;
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

std::string Crew::address(std::uint32_t worker) const { return to_string(options_.workers[worker]); }

std::optional<Answer> Crew::next(SteadyTime deadline) { return take(deadline); }

void Crew::tell(std::string news) {
  if (options_.on_news) options_.on_news(news);
  news_.push_back(std::move(news));
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
  place.link->shutdown();
  tell(fmt::format("worker {} is lost: {}", worker, printable(why)));
}

void Crew::count_peer_bytes(std::uint32_t worker, std::uint64_t sent, std::uint64_t received) {
  peer_bytes_.up += sent;
  peer_bytes_.down += received;
  bytes_by_worker_[worker] += sent + received;
}

MovedBytes Crew::take_bytes(bool are_of_round) {
  MovedBytes moved = peer_bytes_;
  peer_bytes_ = {};
  for (std::size_t worker = 0; worker < places_.size(); ++worker) {
    Place& place = places_[worker];
    const ConnectionCounters now = place.link->counters();
    const std::uint64_t up = now.received_bytes - place.counted.received_bytes;
    const std::uint64_t down = now.sent_bytes - place.counted.sent_bytes;
    place.counted = now;
    moved.up += up;
    moved.down += down;
    if (are_of_round) bytes_by_worker_[worker] += up + down;
  }
  return moved;
}

Result<Answer> Crew::fetch(std::uint32_t worker, TrainFetch fetch) {
  Place& place = places_[worker];
  place.is_busy = true;
  place.tag = ++last_tag_;
  const std::uint64_t tag = place.tag;
  place.link->fetch(tag, fetch);
  const SteadyTime deadline = deadline_in(std::chrono::duration_cast<std::chrono::nanoseconds>(job_.deadlines.patience));
  while (std::chrono::steady_clock::now() < deadline) {
    auto answer = take(deadline);
    // Others may answer rounds that they were late for.
    if (!answer || answer->worker != worker || answer->tag != tag) continue;
    if (!answer->status) return of_worker(worker, answer->status.error());
    return std::move(*answer);
  }
  lose(worker, "it has not answered in time");
  return Error{ErrorCode::kDeadlineExceeded, fmt::format("[train] worker {} has not answered in time", worker)};
}

std::vector<std::vector<std::byte>> Crew::fetch_states(bool commit) {
  std::vector<std::vector<std::byte>> states(places_.size());
  for (const std::uint32_t worker : able())
    if (auto answer = fetch(worker, {.what = TrainFetch::What::kState, .commit = commit}))
      states[worker] = std::move(answer->bytes);
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
    if (place.is_there && !place.is_busy) place.link->finish(deadline_in(limits::kConnectTimeout));
}

}  // namespace tideline::train
