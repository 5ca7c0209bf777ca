#include "sim/edge_queues.h"

#include <algorithm>
#include <cmath>
#include <queue>

#include <fmt/format.h>

#include "base/limits.h"
#include "schedule/random.h"

namespace tideline::sim {
namespace {

using schedule::Instance;
using schedule::Random;
using schedule::Task;
using schedule::Touch;

// A first-come, first-served station with one server; jobs must be offered by rising time.
struct Station {
  double free_at = 0;
  // When a job that comes at `now` starts.
  double start(double now) const { return std::max(now, free_at); }
};

// The batches of one task on one server.
struct Stream {
  std::uint32_t task = 0;
  double work_gflop = 0;  // of a mean batch
  double output_mbit = 0;
  double compute_rate = 0;  // GFLOP/s it is computed at
  double link_rate = 0;     // Mbit/s it is sent at
  double period_s = 1;
  double fixed_s = 0;
  double cloud_s = 0;
  bool cloud_queues = false;
  bool counted = true;
  std::uint32_t sent = 0;
  Station own_compute;
  Station own_link;
  Station own_cloud;
  Random random{0};
};

struct Batch {
  double arrived = 0;
  double size = 1;  // over the mean
  double compute_wait = 0;
  double compute = 0;
};

enum class Kind : std::uint8_t { kArrival, kComputed, kLeavesProcessor };

struct Event {
  double time = 0;
  std::uint64_t order = 0;  // of creation: ties are broken by it
  Kind kind = Kind::kArrival;
  std::uint32_t stream = 0;
  Batch batch;
  bool operator>(const Event& other) const { return time != other.time ? time > other.time : order > other.order; }
};

// A processor that everything in it shares equally. Each job is done when the common clock, which runs at one over their number,
// has gone as far as the job is long.
class SharedProcessor {
 public:
  void add(double now, double work, std::uint32_t stream, const Batch& batch) {
    advance(now);
    jobs_.push({clock_ + work, order_++, stream, batch});
  }
  bool empty() const { return jobs_.empty(); }
  // When the next job is done if none comes before that.
  double next() const { return at_ + (jobs_.top().done - clock_) * static_cast<double>(jobs_.size()); }
  std::pair<std::uint32_t, Batch> take(double now) {
    advance(now);
    const Job job = jobs_.top();
    jobs_.pop();
    if (jobs_.empty()) clock_ = 0;
    return {job.stream, job.batch};
  }

 private:
  struct Job {
    double done = 0;  // on the common clock
    std::uint64_t order = 0;
    std::uint32_t stream = 0;
    Batch batch;
    bool operator>(const Job& other) const { return done != other.done ? done > other.done : order > other.order; }
  };
  void advance(double now) {
    if (!jobs_.empty()) clock_ += (now - at_) / static_cast<double>(jobs_.size());
    at_ = now;
  }
  std::priority_queue<Job, std::vector<Job>, std::greater<>> jobs_;
  double clock_ = 0;
  double at_ = 0;
  std::uint64_t order_ = 0;
};

struct Totals {
  std::vector<float> latencies;
  TaskLatency sums;
};

class ServerRun {
 public:
  ServerRun(const SimulateOptions& options, std::uint32_t requests, std::vector<Stream> streams, std::vector<Totals>& totals)
      : options_(options), requests_(requests), streams_(std::move(streams)), totals_(totals) {}

  void run() {
    for (std::uint32_t i = 0; i < streams_.size(); ++i) push(first_arrival(streams_[i]), Kind::kArrival, i, {});
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      switch (event.kind) {
        case Kind::kArrival: arrive(event); break;
        case Kind::kComputed: computed(event); break;
        case Kind::kLeavesProcessor: leave(event); break;
      }
    }
  }

 private:
  double first_arrival(Stream& stream) {
    return options_.arrivals == Arrivals::kPeriodic ? stream.period_s * stream.random.unit() : gap(stream);
  }

  double gap(Stream& stream) {
    return options_.arrivals == Arrivals::kPeriodic ? stream.period_s : -stream.period_s * std::log1p(-stream.random.unit());
  }

  void push(double time, Kind kind, std::uint32_t stream, const Batch& batch) {
    events_.push({time, order_++, kind, stream, batch});
  }

  void arrive(const Event& event) {
    Stream& stream = streams_[event.stream];
    Batch batch{.arrived = event.time};
    if (options_.sizes == Sizes::kExponential) batch.size = -std::log1p(-stream.random.unit());
    Station& processor = options_.compute == Share::kShared ? processor_ : stream.own_compute;
    const bool is_shared_equally = options_.compute == Share::kEqual && stream.work_gflop > 0;
    if (is_shared_equally) {
      batch.compute = stream.work_gflop * batch.size / stream.compute_rate;
      equal_.add(event.time, batch.compute, event.stream, batch);
      expect_next();
      // No work, no queue: raw uploads pass the processor by.
    } else if (stream.work_gflop > 0) {
      const double start = processor.start(event.time);
      batch.compute_wait = start - event.time;
      batch.compute = stream.work_gflop * batch.size / stream.compute_rate;
      processor.free_at = start + batch.compute;
    }
    if (!is_shared_equally) push(event.time + batch.compute_wait + batch.compute, Kind::kComputed, event.stream, batch);
    if (++stream.sent < requests_ + options_.warm_up) push(event.time + gap(stream), Kind::kArrival, event.stream, {});
  }

  // The next to leave the equally shared processor; what was expected before an arrival no longer holds.
  void expect_next() {
    ++expected_;
    if (equal_.empty()) return;
    Batch mark;
    mark.arrived = static_cast<double>(expected_);
    push(equal_.next(), Kind::kLeavesProcessor, 0, mark);
  }

  void leave(const Event& event) {
    if (event.batch.arrived != static_cast<double>(expected_)) return;
    auto [stream, batch] = equal_.take(event.time);
    batch.compute_wait = event.time - batch.arrived - batch.compute;
    expect_next();
    computed({event.time, event.order, Kind::kComputed, stream, batch});
  }

  void computed(const Event& event) {
    Stream& stream = streams_[event.stream];
    Station& link = options_.link == Share::kShared ? link_ : stream.own_link;
    const double transfer = stream.output_mbit > 0 ? stream.output_mbit * event.batch.size / stream.link_rate : 0;
    const double start = transfer > 0 ? link.start(event.time) : event.time;
    if (transfer > 0) link.free_at = start + transfer;
    // Batches of a stream leave the link in order, so that its station in the cloud needs no event of its own.
    const double sent = start + transfer;
    const double finish = stream.cloud_queues ? stream.own_cloud.start(sent) : sent;
    if (stream.cloud_queues) stream.own_cloud.free_at = finish + stream.cloud_s;
    if (!stream.counted || ++finished_[event.stream] <= options_.warm_up) return;
    Totals& total = totals_[stream.task];
    const double after_link = finish + stream.cloud_s - sent + stream.fixed_s;
    const double latency = sent + after_link - event.batch.arrived;
    total.latencies.push_back(static_cast<float>(latency));
    total.sums.mean_s += latency;
    total.sums.compute_wait_s += event.batch.compute_wait;
    total.sums.compute_s += event.batch.compute;
    total.sums.link_wait_s += start - event.time;
    total.sums.transfer_s += transfer;
    total.sums.cloud_s += after_link;
    if (latency > total.sums.limit_s * (1 + 1e-9)) total.sums.over_limit_share += 1;
  }

  const SimulateOptions& options_;
  std::uint32_t requests_;
  std::vector<Stream> streams_;
  std::vector<Totals>& totals_;
  std::vector<std::uint32_t> finished_ = std::vector<std::uint32_t>(streams_.size());
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;
  Station processor_;
  SharedProcessor equal_;
  std::uint64_t expected_ = 0;  // how often the next to leave was looked for
  Station link_;
};

Status check(const Instance& instance, const std::vector<std::uint32_t>& layers, const SimulateOptions& options) {
  const auto bad = [](std::string message) { return Error{ErrorCode::kInvalidArgument, "[sim] " + std::move(message)}; };
  if (layers.size() != instance.tasks.size())
    return bad(fmt::format("the schedule has {} tasks and the instance {}: they do not belong together", layers.size(),
                           instance.tasks.size()));
  for (std::size_t j = 0; j < layers.size(); ++j)
    if (layers[j] != kAllInCloud && layers[j] > instance.model_of(instance.tasks[j]).layers.size())
      return bad(fmt::format("the schedule runs {} layers of task {}, whose model has {}", layers[j], j,
                             instance.model_of(instance.tasks[j]).layers.size()));
  if (!(options.period_s > 0) || !std::isfinite(options.period_s)) return bad("the period must be above 0 s");
  if (options.requests == 0) return bad("at least one request per task is needed (--requests)");
  if (!options.reservations.empty() && options.reservations.size() != layers.size())
    return bad("one reservation per task is needed");
  if (options.compute == Share::kReserved && options.reservations.empty())
    return bad("the paper's model reserves no compute: use --model extended, or --compute shared");
  if (options.link == Share::kEqual) return bad("links are shared or reserved: equal shares are of processors");
  if (options.link == Share::kReserved && options.undeployed_upload)
    return bad("tasks that are not deployed have no reserved link: use --link shared with --undeployed upload");
  return {};
}

double quantile(std::vector<float>& values, double q) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(
      std::min(static_cast<double>(values.size() - 1), std::floor(q * static_cast<double>(values.size()))));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

// The streams of every server, in the order of the tasks.
std::vector<std::vector<Stream>> streams_of(const Instance& instance, const std::vector<std::uint32_t>& layers,
                                            const SimulateOptions& options) {
  std::vector<std::vector<Stream>> streams(instance.servers.size());
  for (std::uint32_t j = 0; j < layers.size(); ++j) {
    const Task& task = instance.tasks[j];
    if (layers[j] == 0 && !options.undeployed_upload) continue;
    const schedule::Layer raw{.ratio = 1, .gflop_per_mb = 0};
    const schedule::Layer& cut = layers[j] == 0 || layers[j] == kAllInCloud ? raw : instance.model_of(task).layers[layers[j] - 1];
    for (const Touch& touch : instance.touches_of(task)) {
      const schedule::Server& server = instance.servers[touch.server];
      const double period_s = options.period_s / task.rate_hz;
      Stream stream{.task = j,
                    .work_gflop = touch.data_mb_s * period_s * cut.gflop_per_mb,
                    .output_mbit = 8 * touch.data_mb_s * period_s * cut.ratio,
                    .compute_rate = server.capacity_gflop_s,
                    .link_rate = instance.bandwidth_share * server.bandwidth_mbit_s,
                    .period_s = period_s,
                    .fixed_s = task.fixed_s,
                    .counted = layers[j] > 0};
      const bool own = !options.reservations.empty();
      if (own) stream.cloud_s = options.reservations[j].cloud_s;
      if (own) stream.cloud_queues = options.reservations[j].cloud_queues;
      if (options.link == Share::kReserved)
        stream.link_rate =
            own ? touch.data_mb_s * options.reservations[j].bandwidth_mbit_s : 8 * touch.data_mb_s * cut.ratio / task.latency_s;
      if (options.compute == Share::kReserved) stream.compute_rate = touch.data_mb_s * options.reservations[j].compute_gflop_s;
      stream.random = Random(options.seed, (std::uint64_t{j} << 32) | touch.server);
      streams[touch.server].push_back(std::move(stream));
    }
  }
  return streams;
}

void summarise(SimulatedLatencies& result, std::vector<Totals>& totals) {
  std::vector<float> all;
  all.reserve(result.samples);
  double over = 0;
  for (Totals& total : totals) {
    if (total.sums.layers == 0) continue;
    TaskLatency& task = total.sums;
    if (task.layers == kAllInCloud) task.layers = 0;
    const double count = static_cast<double>(total.latencies.size());
    over += task.over_limit_share;
    task.requests = total.latencies.size();
    for (double* sum : {&task.mean_s, &task.over_limit_share, &task.compute_wait_s, &task.compute_s, &task.link_wait_s,
                        &task.transfer_s, &task.cloud_s})
      *sum /= std::max(1.0, count);
    task.median_s = quantile(total.latencies, 0.5);
    task.p99_s = quantile(total.latencies, 0.99);
    if (task.over_limit_share > 0.01) ++result.tasks_over_limit;
    all.insert(all.end(), total.latencies.begin(), total.latencies.end());
    result.tasks.push_back(task);
  }
  result.samples = all.size();
  result.over_limit_share = all.empty() ? 0 : over / static_cast<double>(all.size());
  result.median_s = quantile(all, 0.5);
  result.p99_s = quantile(all, 0.99);
}

}  // namespace

Result<SimulatedLatencies> simulate_edge(const Instance& instance, const std::vector<std::uint32_t>& layers,
                                         const SimulateOptions& options) {
  TIDELINE_CHECK_OK(check(instance, layers, options));
  std::vector<std::vector<Stream>> streams = streams_of(instance, layers, options);
  std::uint64_t count = 0;
  for (const auto& of_server : streams) count += of_server.size();
  SimulatedLatencies result;
  result.requests = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(limits::kSimulationSamplesMax / std::max<std::uint64_t>(1, count), 1, options.requests));
  result.samples = count * result.requests;

  std::vector<Totals> totals(layers.size());
  for (std::uint32_t j = 0; j < layers.size(); ++j) {
    totals[j].sums.task = j;
    totals[j].sums.layers = layers[j];
    totals[j].sums.limit_s = instance.tasks[j].latency_s;
    if (layers[j] > 0) totals[j].latencies.reserve(std::uint64_t{instance.tasks[j].touch_count} * result.requests);
  }
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (options.cancel.cancelled()) return Error{ErrorCode::kCancelled, "[sim] interrupted"};
    double compute_load = 0;
    double link_load = 0;
    for (const Stream& stream : streams[i]) {
      compute_load += stream.work_gflop / stream.period_s / instance.servers[i].capacity_gflop_s;
      link_load += stream.output_mbit / stream.period_s / (instance.bandwidth_share * instance.servers[i].bandwidth_mbit_s);
    }
    result.compute_load_max = std::max(result.compute_load_max, compute_load);
    result.link_load_max = std::max(result.link_load_max, link_load);
    ServerRun(options, result.requests, std::move(streams[i]), totals).run();
    if (options.progress) options.progress(i + 1);
  }
  summarise(result, totals);
  return result;
}

}  // namespace tideline::sim
