#include "sim/site_queues.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <queue>
#include <set>
#include <tuple>

#include "base/limits.h"

namespace tideline::sim {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
// What rounding may leave of something that has arrived: bytes, and as a part of the time that has passed.
constexpr double kNothing = 1e-6;
constexpr double kRounding = 1e-14;

Error invalid(const char* what) { return Error{ErrorCode::kInvalidArgument, std::string("[simulate] ") + what}; }

bool is_amount(double value) { return std::isfinite(value) && value >= 0; }

Status check(const SiteQueues& site) {
  if (!is_amount(site.duration_s)) return invalid("the duration must be a number of seconds");
  for (const double speed : site.link_bytes_per_s)
    if (!is_amount(speed) || speed <= 0) return invalid("a link must have a speed above 0");
  double requests = 0;
  for (const SiteStream& stream : site.streams) {
    if (!is_amount(stream.first_s) || !is_amount(stream.gap_s) || stream.gap_s <= 0 || !is_amount(stream.deadline_s))
      return invalid("times of a stream must be numbers of seconds, and its gap above 0");
    if (stream.in_flight == 0) return invalid("a stream must have at least one request under way");
    for (const SiteStep& step : stream.steps) {
      if (!is_amount(step.amount) || !is_amount(step.then_s)) return invalid("a step must take a number of seconds or bytes");
      if (step.where >= (step.is_link ? site.link_bytes_per_s.size() : site.engines)) return invalid("a step is nowhere");
    }
    requests += std::max(0.0, site.duration_s - stream.first_s) / stream.gap_s;
  }
  if (requests > static_cast<double>(limits::kSimulationSamplesMax)) return invalid("too many requests; simulate a shorter time");
  return {};
}

struct Request {
  std::size_t stream = 0;
  double arose_s = 0;
  std::size_t step = 0;  // that it is in, or waits for
};

// One direction of a link: who sends has an equal share.
class LinkDirection {
 public:
  LinkDirection(double bytes_per_s, std::size_t streams) : bytes_per_s_(bytes_per_s), waiting_(streams) {}

  void add(double now, std::size_t request, std::size_t stream, double bytes) {
    advance(now);
    waiting_[stream].push_back({request, bytes});
    if (waiting_[stream].size() == 1) sending_.insert(stream);
  }
  // When something is through next.
  double next_s() const {
    double least = kNever;
    for (const std::size_t stream : sending_) least = std::min(least, waiting_[stream].front().bytes);
    return least == kNever ? kNever : now_ + least * static_cast<double>(sending_.size()) / bytes_per_s_;
  }
  // What is through at `now`.
  std::vector<std::size_t> take(double now) {
    advance(now);
    const double nothing = kNothing + kRounding * now * bytes_per_s_;
    std::vector<std::size_t> through;
    for (auto it = sending_.begin(); it != sending_.end();) {
      std::deque<Piece>& queue = waiting_[*it];
      if (queue.front().bytes > nothing) {
        ++it;
        continue;
      }
      through.push_back(queue.front().request);
      queue.pop_front();
      it = queue.empty() ? sending_.erase(it) : std::next(it);
    }
    return through;
  }

 private:
  struct Piece {
    std::size_t request = 0;
    double bytes = 0;  // that are left
  };
  void advance(double now) {
    if (!sending_.empty()) {
      const double each = (now - now_) * bytes_per_s_ / static_cast<double>(sending_.size());
      for (const std::size_t stream : sending_) waiting_[stream].front().bytes -= each;
    }
    now_ = now;
  }

  const double bytes_per_s_;
  double now_ = 0;
  std::vector<std::deque<Piece>> waiting_;  // by stream
  std::set<std::size_t> sending_;           // streams that have something
};

struct Engine {
  bool busy = false;
  std::set<std::tuple<double, std::uint64_t, std::size_t>> waiting;  // deadline, ticket, request
};

class Simulation {
 public:
  explicit Simulation(const SiteQueues& site)
      : site_(site),
        engines_(site.engines),
        foreseen_(site.link_bytes_per_s.size()),
        under_way_(site.streams.size()),
        held_(site.streams.size()),
        arisen_(site.streams.size()),
        outcomes_(site.streams.size()) {
    for (const double speed : site.link_bytes_per_s) links_.emplace_back(speed, site.streams.size());
  }

  Result<std::vector<StreamOutcome>> run() {
    for (std::size_t s = 0; s < site_.streams.size(); ++s)
      if (site_.streams[s].first_s < site_.duration_s) later(site_.streams[s].first_s, Event::kArises, s);
    for (std::uint64_t events = 0; !events_.empty(); ++events) {
      if (events % 4096 == 0 && site_.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[simulate] interrupted"};
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      switch (event.kind) {
        case Event::kArises: arises(event.which); break;
        case Event::kComputed: computed(event.which); break;
        case Event::kArrives: ++requests_[event.which].step, go_on(event.which); break;
        case Event::kLink:
          if (foreseen_[event.which] == event.ticket) link_looks(event.which);
          break;
      }
    }
    return std::move(outcomes_);
  }

 private:
  struct Event {
    enum Kind : std::uint8_t { kLink, kComputed, kArrives, kArises };
    double at = 0;
    std::uint64_t ticket = 0;  // of equal times the one that was foreseen first
    Kind kind = kArises;
    std::size_t which = 0;  // link, request or stream
    bool operator<(const Event& other) const { return std::tie(other.at, other.ticket) < std::tie(at, ticket); }
  };

  std::uint64_t later(double at, Event::Kind kind, std::size_t which) {
    events_.push({at, tickets_, kind, which});
    return tickets_++;
  }

  void arises(std::size_t stream) {
    const SiteStream& source = site_.streams[stream];
    // By its number, so that rounding does not add up.
    const double next = source.first_s + source.gap_s * static_cast<double>(++arisen_[stream]);
    if (next < site_.duration_s) later(next, Event::kArises, stream);
    std::deque<std::size_t>& held = held_[stream];
    requests_.push_back({.stream = stream, .arose_s = now_});
    const std::size_t request = requests_.size() - 1;
    if (under_way_[stream] < source.in_flight) {
      ++under_way_[stream];
      go_on(request);
    } else if (source.drop == SiteDrop::kNone || held.empty()) {
      held.push_back(request);
    } else {
      if (source.drop == SiteDrop::kOldest) held.front() = request;
      ++outcomes_[stream].dropped;
    }
  }

  // Begins the step that the request stands before.
  void go_on(std::size_t request) {
    const Request& it = requests_[request];
    const SiteStream& stream = site_.streams[it.stream];
    if (it.step == stream.steps.size()) return finished(request);
    const SiteStep& step = stream.steps[it.step];
    if (step.is_link) {
      links_[step.where].add(now_, request, it.stream, step.amount);
      return look_again(step.where);
    }
    Engine& engine = engines_[step.where];
    engine.waiting.insert({it.arose_s + stream.deadline_s, tickets_++, request});
    if (!engine.busy) start(step.where);
  }

  void start(std::size_t engine) {
    auto& waiting = engines_[engine].waiting;
    if (waiting.empty()) return;
    const std::size_t request = std::get<2>(*waiting.begin());
    waiting.erase(waiting.begin());
    engines_[engine].busy = true;
    later(now_ + step_of(request).amount, Event::kComputed, request);
  }

  void computed(std::size_t request) {
    const SiteStep& step = step_of(request);
    engines_[step.where].busy = false;
    start(step.where);
    after(request);
  }

  void link_looks(std::size_t link) {
    for (const std::size_t request : links_[link].take(now_)) after(request);
    look_again(link);
  }

  // Foreseen anew whenever somebody comes or goes; what was foreseen before no longer holds.
  void look_again(std::size_t link) {
    if (const double next = links_[link].next_s(); next < kNever)
      foreseen_[link] = later(std::max(next, now_), Event::kLink, link);
  }

  void after(std::size_t request) { later(now_ + step_of(request).then_s, Event::kArrives, request); }

  void finished(std::size_t request) {
    const std::size_t stream = requests_[request].stream;
    outcomes_[stream].latency_s.push_back(now_ - requests_[request].arose_s);
    if (held_[stream].empty()) {
      --under_way_[stream];
      return;
    }
    const std::size_t next = held_[stream].front();
    held_[stream].pop_front();
    go_on(next);
  }

  const SiteStep& step_of(std::size_t request) const {
    const Request& it = requests_[request];
    return site_.streams[it.stream].steps[it.step];
  }

  const SiteQueues& site_;
  double now_ = 0;
  std::uint64_t tickets_ = 0;
  std::priority_queue<Event> events_;
  std::vector<Engine> engines_;
  std::vector<LinkDirection> links_;
  std::vector<std::uint64_t> foreseen_;  // by link: the ticket of the event that holds
  std::vector<Request> requests_;
  std::vector<std::uint32_t> under_way_;       // by stream
  std::vector<std::deque<std::size_t>> held_;  // by stream: requests that wait at the source
  std::vector<std::uint64_t> arisen_;          // by stream
  std::vector<StreamOutcome> outcomes_;
};

}  // namespace

Result<std::vector<StreamOutcome>> simulate_site(const SiteQueues& site) {
  TIDELINE_CHECK_OK(check(site));
  return Simulation(site).run();
}

}  // namespace tideline::sim
