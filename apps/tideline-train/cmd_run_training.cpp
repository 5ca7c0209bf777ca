// tideline-train run: starts the workers of a job as processes of this machine, coordinates them, writes what came out.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "../tideline/train_options.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/text.h"
#include "base/units.h"
#include "cluster/cluster.h"
#include "platform/files.h"
#include "platform/process.h"
#include "train/data/model_files.h"
#include "train/hire/hire.h"
#include "train/hire/paced.h"
#include "train/learn/net_learner.h"
#include "train/report/report.h"
#include "train/run/coordinator.h"
#include "train_commands.h"

namespace tideline::app {
namespace {

// How long a process that was started anew is listened to at a time.
constexpr std::chrono::milliseconds kGlance{2};

// The processes that the workers live in; they end with this object. One that ends before is started anew when its workers are
// asked for, unless their links are emulated. Of the thread that made it: they die with that too.
class WorkerProcesses {
 public:
  // `places`: one for each worker, or none where nothing is emulated.
  static Result<std::unique_ptr<WorkerProcesses>> start(const train::Job& job, std::span<const train::WorkerPlace> places,
                                                        const CancelToken& cancel) {
    std::unique_ptr<WorkerProcesses> all(new WorkerProcesses(job.train_data, {places.begin(), places.end()}, cancel));
    std::error_code unresolved;
    all->self_ = std::filesystem::canonical("/proc/self/exe", unresolved).string();
    if (unresolved) return Error{ErrorCode::kNotFound, "this program does not find itself in /proc"};
    for (std::size_t p = 0, first = 0; p < job.processes; ++p) {
      const std::size_t end = job.workers * (p + 1) / job.processes;
      TIDELINE_TRY(Process process, all->start_one(first, end - first));
      all->homes_.push_back({std::move(process), first, end - first, {}});
      first = end;
    }
    // All of them load their library at the same time.
    const SteadyTime deadline = deadline_in(limits::kTrainWorkerStart);
    for (Home& home : all->homes_)
      if (const Status up = all->listen_to(home, deadline); !up)
        return Error{up.error().code,
                     fmt::format("worker {} did not come up: {}", home.first + home.addresses.size(), up.error().message)};
    return all;
  }
  std::vector<Address> addresses() const {
    std::vector<Address> all;
    for (const Home& home : homes_) all.insert(all.end(), home.addresses.begin(), home.addresses.end());
    return all;
  }

  // Where a worker that is lost can be called now. Starts its process anew if that has ended, and does not wait for it.
  Result<Address> find_again(std::uint32_t worker) {
    const auto home = std::find_if(homes_.begin(), homes_.end(),
                                   [&](const Home& each) { return worker >= each.first && worker < each.first + each.count; });
    if (home == homes_.end()) return Error{ErrorCode::kNotFound, "there is no such worker"};
    if (home->process.ended()) {
      // It would listen elsewhere, where no link is emulated.
      if (!places_.empty()) return Error{ErrorCode::kUnsupported, "workers on emulated links are not started anew"};
      TIDELINE_TRY(home->process, start_one(home->first, home->count));
      home->addresses.clear();
    }
    TIDELINE_CHECK_OK(listen_to(*home, deadline_in(kGlance)));
    return home->addresses[worker - home->first];
  }

  ~WorkerProcesses() {
    for (Home& home : homes_) {
      home.process.signal(SIGTERM);
      home.process.signal(SIGCONT);
    }
    const SteadyTime until = deadline_in(std::chrono::seconds(3));
    for (Home& home : homes_)
      if (!home.process.wait(until)) home.process.end(std::chrono::milliseconds(0));
  }

 private:
  struct Home {
    Process process;
    std::size_t first = 0;  // worker
    std::size_t count = 0;
    std::vector<Address> addresses;  // as many as it has said
  };
  WorkerProcesses(std::string data, std::vector<train::WorkerPlace> places, const CancelToken& cancel)
      : data_(std::move(data)), places_(std::move(places)), cancel_(cancel) {}

  Result<Process> start_one(std::size_t first, std::size_t count) const {
    std::vector<std::string> words{
        self_, "worker", "--quiet", "--data", data_, "--first", std::to_string(first), "--count", std::to_string(count)};
    for (std::size_t worker = first; worker < first + count && worker < places_.size(); ++worker)
      words.insert(words.end(), {"--place", train::to_word(places_[worker])});
    return Process::start({.words = std::move(words), .pipe_output = true});
  }
  // Until it has said where all its workers listen.
  Status listen_to(Home& home, SteadyTime deadline) const {
    while (home.addresses.size() < home.count) {
      TIDELINE_TRY(const std::string line, home.process.read_line(deadline, cancel_));
      TIDELINE_TRY(const Address address, parse_address(std::string_view(line).substr(line.rfind(' ') + 1)));
      home.addresses.push_back(address);
    }
    return {};
  }

  const std::string data_;
  const std::vector<train::WorkerPlace> places_;
  const CancelToken cancel_;
  std::string self_;
  std::vector<Home> homes_;
};

// The workers of a run: processes of this machine, or hired on the nodes of a cluster.
struct Workers {
  std::unique_ptr<WorkerProcesses> here;
  std::unique_ptr<train::Hired> elsewhere;
  std::unique_ptr<Transport> paced;  // to workers whose links are emulated
  std::vector<Address> addresses() const { return here ? here->addresses() : elsewhere->addresses(); }
};

// None where nothing is emulated.
Result<std::vector<train::WorkerPlace>> places_of(const train::Job& job, const TrainArguments& arguments) {
  if (!arguments.is_emulated()) return std::vector<train::WorkerPlace>();
  if (!arguments.emulate.empty()) {
    TIDELINE_TRY(const Cluster cluster, load_cluster(arguments.emulate));
    return train::places_on(cluster, job);
  }
  train::WorkerPlace place{.slowdown = arguments.slowdown};
  if (!arguments.bandwidth.empty()) {
    TIDELINE_TRY(place.link.up_bytes_per_s, parse_bandwidth_bytes_per_s(arguments.bandwidth));
    place.link.down_bytes_per_s = place.link.up_bytes_per_s;
  }
  if (!arguments.bandwidth_back.empty()) {
    TIDELINE_TRY(place.link.down_bytes_per_s, parse_bandwidth_bytes_per_s(arguments.bandwidth_back));
  }
  if (!arguments.rtt.empty()) {
    TIDELINE_TRY(const Millis rtt, parse_duration(arguments.rtt));
    place.link.round_trip = std::chrono::duration_cast<Nanos>(rtt);
  }
  return std::vector<train::WorkerPlace>(job.workers, place);
}

Result<Workers> start_workers(const train::Job& job, const TrainArguments& arguments, Transport& transport,
                              const Context& context) {
  Workers workers;
  if (arguments.cluster.empty()) {
    TIDELINE_TRY(const std::vector<train::WorkerPlace> places, places_of(job, arguments));
    TIDELINE_TRY(workers.here, WorkerProcesses::start(job, places, context.interrupted));
    std::vector<std::pair<Address, LinkShape>> links;
    const std::vector<Address> addresses = workers.addresses();
    for (std::size_t i = 0; i < places.size(); ++i) links.emplace_back(addresses[i], places[i].link);
    if (!places.empty()) workers.paced = train::make_paced_transport(transport, links);
    return workers;
  }
  TIDELINE_TRY(const Cluster cluster, load_cluster(arguments.cluster));
  TIDELINE_TRY(workers.elsewhere, train::hire_workers(transport, cluster, job, context.interrupted));
  if (!context.quiet)
    for (const std::string& place : workers.elsewhere->places()) fmt::print(stderr, "tideline: {}\n", place);
  return workers;
}

std::string describe(const train::RoundRecord& round) {
  std::string text = fmt::format("loss {:.4f}", round.loss);
  if (round.accuracy) text += fmt::format(", accuracy {:.2f} %", 100 * *round.accuracy);
  return text;
}

void print_run(const Context& context, const train::Job& job, const train::TrainReport& report, const std::string& json,
               const std::string& model) {
  if (context.output == Output::kJson) {
    fmt::print("{}\n", json);
    return;
  }
  const std::vector<double> epsilons = train::epsilons_of(job, report.rounds);
  print_table(context, train::round_table(report.rounds, is_csv(context), epsilons));
  if (!is_prose(context)) return;
  std::uint64_t up = 0, down = 0;
  for (const train::RoundRecord& round : report.rounds) {
    up += round.bytes_up;
    down += round.bytes_down;
  }
  fmt::print("\n{} by {} workers over {}: {} sent, {} received\n", job.strategy.name, job.workers, to_string(job.exchange),
             format_bytes(up), format_bytes(down));
  if (!epsilons.empty())
    fmt::print("towards each worker the model is ({:.2f}, {:g})-differentially private{}\n", epsilons.back(), job.privacy->delta,
               job.privacy->seed ? ", for whoever does not know the seed that the job names" : "");
  for (const std::string& news : report.news) fmt::print("{}\n", news);
  fmt::print("{}\n", model);
}

Status write_files(const std::string& folder, const train::Job& job, const train::TrainReport& report, const std::string& json) {
  TIDELINE_CHECK_OK(write_file_atomic(folder + "/report.json", json + "\n"));
  TIDELINE_CHECK_OK(write_file_atomic(folder + "/rounds.csv",
                                      train::round_table(report.rounds, true, train::epsilons_of(job, report.rounds)).csv()));
  for (const auto& [name, svg] : train::accuracy_figures({{"this run", report.rounds}}))
    TIDELINE_CHECK_OK(write_file_atomic(folder + "/" + name, svg));
  return {};
}

Status run_job(Context& context, const TrainArguments& arguments) {
  if (arguments.job.empty()) return Error{ErrorCode::kInvalidArgument, "give a job file"};
  TIDELINE_TRY(const train::Job job, train::load_job(arguments.job, arguments.cluster.empty() ? train::WorkersAre::kHere
                                                                                              : train::WorkersAre::kOnNodes));
  if (arguments.cluster.empty() && arguments.emulate.empty() && !job.nodes.empty())
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: its workers are nodes ({}, ..): give their cluster file with --cluster",
                             printable(arguments.job), job.nodes.front())};
  if (arguments.resume && job.checkpoint_folder.empty())
    return Error{ErrorCode::kInvalidArgument, "--resume needs `checkpoint: {folder: DIR}` in the job"};
  TIDELINE_TRY(const std::string file, read_file(job.model, limits::kTrainModelBytesMax));
  TIDELINE_TRY(const auto model,
               train::NetModel::load(file, job.model, {static_cast<float>(job.mean), static_cast<float>(job.std)}));
  if (job.starts_random) model->draw_weights(job.seed);
  train::DataSet test;
  if (!job.test_data.empty()) {
    TIDELINE_TRY(test, train::read_data(job.test_data, job.input ? &*job.input : nullptr));
  }
  std::string sent = file;
  if (job.teacher) {
    TIDELINE_TRY(const std::string teacher, read_file(job.teacher->model, limits::kTrainModelBytesMax));
    sent = train::pack_files({.model = file, .teacher = teacher});
    if (sent.size() > limits::kTrainModelBytesMax)
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("model and teacher are {} together; at most {} are sent to workers", format_bytes(sent.size()),
                               format_bytes(limits::kTrainModelBytesMax))};
  }
  TIDELINE_CHECK_OK(make_folders(arguments.out));
  const auto transport = make_tcp_transport({});
  TIDELINE_TRY(const Workers workers, start_workers(job, arguments, *transport, context));

  train::TrainOptions options{.transport = workers.paced ? *workers.paced : *transport,
                              .workers = workers.addresses(),
                              .model_file = sent,
                              .model = model->numbers(),
                              .size = model->size(),
                              .cancel = context.interrupted};
  if (workers.here) options.find_again = [&](std::uint32_t worker) { return workers.here->find_again(worker); };
  if (arguments.resume) {
    TIDELINE_TRY(options.resume, train::load_checkpoint(job.checkpoint_folder));
  }
  if (test.size() > 0) options.evaluate = [&](std::span<const float> numbers) { return model->evaluate(numbers, test); };
  std::optional<Progress> progress;
  options.on_start = [&](std::uint64_t rounds) {
    progress.emplace(context, "training", rounds);
    if (options.resume) progress->advance_to(options.resume->round);
  };
  options.on_round = [&](const train::RoundRecord& round) { progress->advance_to(round.round, describe(round)); };
  if (!context.quiet) options.on_news = [](const std::string& news) { fmt::print(stderr, "tideline: {}\n", news); };
  TIDELINE_TRY(const train::TrainReport report, train::run_training(job, options));

  TIDELINE_TRY(const std::string trained, model->file_with(report.model));
  const std::string name = arguments.out + "/trained.onnx";
  TIDELINE_CHECK_OK(write_file_atomic(name, trained));
  const auto numbers = std::as_bytes(std::span(report.model));
  const std::string json =
      train::write_report(job, report, name, sha256({reinterpret_cast<const char*>(numbers.data()), numbers.size()}).hex());
  TIDELINE_CHECK_OK(write_files(arguments.out, job, report, json));
  print_run(context, job, report, json, name);
  if (report.is_interrupted) context.exit_code = kExitInterrupted;
  return {};
}

}  // namespace

void add_run_training_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("run", "Run a job over worker processes on this machine");
  const auto arguments = std::make_shared<TrainArguments>();
  add_train_options(command, *arguments, context);
  add_cluster_option(command, *arguments);
  add_emulation_options(command, *arguments);
  command.footer("Example:\n  tideline-train run examples/train/fedavg.yaml --out trained");
  on_run(command, context, [&context, arguments] { return run_job(context, *arguments); });
}

}  // namespace tideline::app
