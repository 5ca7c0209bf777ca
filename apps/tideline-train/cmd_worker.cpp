// tideline-train worker: some workers of a run, each with a listener and a thread of its own. Prints "worker K listens on
// ADDRESS" for each, in their order, once it can be called.
#include <cstdio>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "engine/engine.h"
#include "model/model.h"
#include "train/data/data_folder.h"
#include "train/data/divide.h"
#include "train/data/model_files.h"
#include "train/evaluate/evaluate.h"
#include "train/hire/paced.h"
#include "train/job/job.h"
#include "train/learn/net_learner.h"
#include "train/run/guarded.h"
#include "train/run/worker.h"
#include "train/strategy/slow_learner.h"
#include "train_commands.h"

namespace tideline::app {
namespace {

struct WorkerArguments {
  std::string data;
  std::string root;  // the folder that the data are in; empty: anywhere
  std::string listen = "127.0.0.1";
  std::size_t first = 0;
  std::size_t count = 1;
  std::vector<std::string> places;  // of each, where a site is emulated
};

// The data of this process: read once, whatever the number of workers, and nothing but what the command line names.
class WorkerData {
 public:
  WorkerData(std::string word, std::string root) : word_(std::move(word)), root_(std::move(root)) {}

  Result<std::unique_ptr<train::Learner>> learner(const train::Job& job, std::uint32_t worker, const std::string& sent) {
    train::ModelFiles files{.model = sent, .teacher = {}};
    if (job.teacher) {
      TIDELINE_TRY(files, train::unpack_files(sent));
    }
    const std::string& file = files.model;
    TIDELINE_TRY(auto model, train::NetModel::load(file, "model", {static_cast<float>(job.mean), static_cast<float>(job.std)}));
    train::Job own = job;
    own.train_data = word_;
    TIDELINE_TRY(const auto data, read(train::data_of_worker(own, worker), job.input));
    std::vector<std::uint32_t> rows(data->size());
    if (train::has_own_data(own)) {
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i);
    } else {
      TIDELINE_TRY(auto all, train::divide(data->labels, job.divide));
      rows = std::move(all[worker]);
    }
    std::optional<train::Teaching> teaching;
    if (job.teacher) {
      TIDELINE_TRY(teaching, teach(job, files.teacher, *data, rows));
    }
    return train::make_net_learner(std::move(model), data, std::move(rows), std::move(teaching));
  }

 private:
  static Result<train::Teaching> teach(const train::Job& job, const std::string& teacher, const train::DataSet& data,
                                       std::span<const std::uint32_t> rows) {
    TIDELINE_TRY(const Model model, Model::parse(teacher, "the teacher", ""));
    TIDELINE_TRY(const auto engine, make_engine({.threads = 1}));
    TIDELINE_TRY(const std::vector<float> answers,
                 train::answers(*engine, model, data, rows,
                                {.mean = static_cast<float>(job.mean), .std = static_cast<float>(job.std)}, {}));
    return train::Teaching{.probabilities = train::softmax_rows(answers, answers.size() / rows.size(), job.teacher->temperature),
                           .temperature = job.teacher->temperature,
                           .weight = job.teacher->weight};
  }

  // The runs of a process are one job's, so that the section is always the same.
  Result<std::shared_ptr<const train::DataSet>> read(const std::string& word, const std::optional<InputSection>& input) {
    const std::lock_guard lock(mutex_);
    if (data_ == nullptr || read_ != word) {
      std::string where = word;
      if (!root_.empty()) {
        TIDELINE_TRY(where, train::data_inside(root_, word));
      }
      TIDELINE_TRY(train::DataSet data, train::read_data(where, input ? &*input : nullptr));
      data_ = std::make_shared<const train::DataSet>(std::move(data));
      read_ = word;
    }
    return data_;
  }

  const std::string word_;
  const std::string root_;
  std::mutex mutex_;
  std::string read_;
  std::shared_ptr<const train::DataSet> data_;
};

Status run_workers(const Context& context, const WorkerArguments& arguments) {
  const auto transport = make_tcp_transport({.connections_max = 4 * limits::kTrainWorkersMax});
  std::vector<std::unique_ptr<Listener>> listeners;
  for (std::size_t i = 0; i < arguments.count; ++i) {
    TIDELINE_TRY(auto listener, transport->listen({arguments.listen, 0}));
    fmt::print("worker {} listens on {}\n", arguments.first + i, to_string(listener->address()));
    listeners.push_back(std::move(listener));
  }
  std::fflush(stdout);
  WorkerData data(arguments.data, arguments.root);
  if (!arguments.places.empty() && arguments.places.size() != arguments.count)
    return Error{ErrorCode::kInvalidArgument, fmt::format("{} --place for {} workers", arguments.places.size(), arguments.count)};
  // What a worker sends to others leaves over its own link, whose far end is the coordinator's.
  std::vector<train::WorkerPlace> places(arguments.count);
  std::vector<std::unique_ptr<Transport>> links(arguments.count);
  for (std::size_t i = 0; i < arguments.places.size(); ++i) {
    TIDELINE_TRY(places[i], train::parse_place(arguments.places[i]));
    const LinkShape& link = places[i].link;
    links[i] = make_shaped_transport(*transport, {link.down_bytes_per_s, link.up_bytes_per_s, link.round_trip});
  }
  std::vector<Status> ended(arguments.count);
  const auto serve = [&](std::size_t i) -> Status {
    const auto make = [&](const train::Job& job, std::uint32_t worker,
                          const std::string& file) -> Result<std::unique_ptr<train::Learner>> {
      TIDELINE_TRY(auto learner, data.learner(job, worker, file));
      if (places[i].slowdown > 1) return train::make_slow_learner(std::move(learner), places[i].slowdown);
      return learner;
    };
    return train::run_worker({.transport = links[i] ? *links[i] : *transport,
                              .listener = *listeners[i],
                              .make_learner = make,
                              .cancel = context.interrupted});
  };
  std::vector<std::thread> threads;
  // A thread that cannot be had ends those there are; none may be left running.
  const Status begun = train::guarded([&] {
    for (std::size_t i = 0; i < arguments.count; ++i)
      threads.emplace_back([&, i] {
        if (const Status thrown = train::guarded([&] { ended[i] = serve(i); }); !thrown) ended[i] = thrown;
      });
  });
  if (!begun) context.interrupted.cancel();
  for (std::thread& thread : threads) thread.join();
  TIDELINE_CHECK_OK(begun);
  for (const Status& status : ended) {
    // Whoever started this process has ended it.
    if (!status && status.error().code == ErrorCode::kCancelled) continue;
    TIDELINE_CHECK_OK(status);
  }
  return {};
}

}  // namespace

void add_worker_command(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand("worker", "Workers of one run: they wait for its coordinator, and end with it");
  const auto arguments = std::make_shared<WorkerArguments>();
  command
      .add_option("--data", arguments->data,
                  "All that these workers read: idx:PREFIX, npy:FOLDER or images:FOLDER, with {worker} for the number of each")
      ->required()
      ->type_name("DATA");
  command.add_option("--root", arguments->root, "Folder that the data are in, and that no link in it may lead out of")
      ->type_name("DIR");
  command.add_option("--listen", arguments->listen, "Address of this host to be called at")->capture_default_str();
  command.add_option("--first", arguments->first, "Number of the first worker")->capture_default_str();
  command.add_option("--count", arguments->count, "How many workers")
      ->check(CLI::Range(std::size_t{1}, limits::kTrainWorkersMax))
      ->capture_default_str();
  command
      .add_option(
          "--place", arguments->places,
          "For each worker SLOWDOWN:UP:DOWN:NANOSECONDS of an emulated site (bytes/s from and to the coordinator, round trip)")
      ->type_name("PLACE");
  command.footer("Example:\n  tideline-train worker --data npy:gateway-data --first 3");
  on_run(command, context, [&context, arguments] { return run_workers(context, *arguments); });
}

}  // namespace tideline::app
