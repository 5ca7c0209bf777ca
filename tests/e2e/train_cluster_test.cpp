// Goal: training over the daemons of a cluster is that over processes here, to the last bit, and nobody stays when anybody goes.
// Method: real daemons on loopback, each with a folder of data of its own, killed and interrupted.
#include <gmock/gmock.h>

#include "platform/process.h"
#include "train_fixture.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

class TrainCluster : public Train {
 protected:
  // A daemon; with the folder NAME of data where `trains`.
  void node(const std::string& name, bool trains = true) {
    std::vector<std::string> words{
        binary_, "node", "--name", name, "--listen", "127.0.0.1:0", "--store", path("store-" + name), "--log-level", "error"};
    if (trains) words.insert(words.end(), {"--train", path(name)});
    auto process = Process::start({.words = words, .pipe_output = true, .error_file = path(name + ".log")});
    ASSERT_TRUE(process) << process.error().message;
    const auto line = process->read_line(deadline(), CancelToken());
    ASSERT_TRUE(line) << line.error().message << slurp(path(name + ".log"));
    nodes_ += fmt::format("  - {{name: {}, tier: edge, address: {}}}\n", name, line->substr(line->rfind(' ') + 1));
    daemons_.push_back(std::move(*process));
  }
  std::string cluster() const { return write("site.yaml", "version: 2\nnodes:\n" + nodes_ + "links: []\n"); }
  static SteadyTime deadline() { return std::chrono::steady_clock::now() + std::chrono::seconds(60); }

  // Two gateways, each with half of the data under site/, and the halves as a run here reads them.
  void two_gateways() {
    for (const auto& [name, first, worker] : {std::tuple{"gw1", std::size_t{0}, 1}, {"gw2", kSamples / 2, 0}}) {
      write_part(std::string(name) + "/site", first, first + kSamples / 2);
      write_part(fmt::format("half/{}", worker), first, first + kSamples / 2);
      node(name);
    }
  }
  std::string job_of(const std::string& name, const std::string& train, const std::string& workers, int rounds,
                     const std::string& more = "") const {
    return write(name, fmt::format("version: 1\nmodel: m.onnx\ndata: {{train: '{}', test: npy:data}}\nworkers: {}\n"
                                   "strategy: {{name: sync-sgd}}\noptimiser: {{name: sgd, rate: 0.1, momentum: 0.5}}\n"
                                   "rounds: {}\nseed: 1\nevaluate: {{every: {}}}\n{}",
                                   train, workers, rounds, rounds, more));
  }
  // The processes of workers that a daemon has.
  std::vector<pid_t> workers_of(std::size_t node) const { return children_of(daemons_[node].id()); }

  std::string nodes_;
  std::vector<Process> daemons_;
};

TEST_F(TrainCluster, NodesTrainToTheBitsOfProcessesHere) {
  two_gateways();
  if (HasFailure()) return;
  for (const char* exchange : {"exchange: parameter-server\n", "exchange: ring\n"}) {
    SCOPED_TRACE(exchange);
    const Outcome here =
        run("train " + job_of("here.yaml", "npy:half/{worker}", "2", 30, exchange) + " --out " + path("here") + " -o json");
    ASSERT_EQ(here.exit_code, 0) << here.err;
    const Outcome there = run("train " + job_of("there.yaml", "npy:site", "[gw2, gw1]", 30, exchange) + " --cluster " +
                              cluster() + " --out " + path("there") + " -o json");
    ASSERT_EQ(there.exit_code, 0) << there.err;
    EXPECT_THAT(there.err, HasSubstr("worker 0 on gw2"));
    EXPECT_EQ(there.json()["weights_sha256"], here.json()["weights_sha256"]);
    EXPECT_GT(there.json()["final"]["accuracy"].get<double>(), 0.7);
    EXPECT_GT(there.json()["bytes_by_worker"][1].get<std::uint64_t>(), 0U);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(eventually([&] { return workers_of(i).empty(); }));
  }
}

TEST_F(TrainCluster, ANumberOfWorkersIsSpreadOverTheNodes) {
  for (const char* name : {"gw1", "gw2"}) {
    write_part(std::string(name) + "/data", 0, kSamples);
    node(name);
  }
  if (HasFailure()) return;
  const std::string file = job("job.yaml", "{name: fedavg, batch: 10}", 5, 6);
  const Outcome here = run("train " + file + " --out " + path("here") + " -o json");
  const Outcome there = run("train " + file + " --cluster " + cluster() + " --out " + path("there") + " -o json");
  ASSERT_EQ(there.exit_code, 0) << there.err;
  EXPECT_THAT(there.err, HasSubstr("workers 0 to 1 on gw1"));
  EXPECT_EQ(there.json()["weights_sha256"], here.json()["weights_sha256"]);
}

TEST_F(TrainCluster, ADaemonThatDiesTakesItsWorkerAlongAndTheOthersGoOn) {
  two_gateways();
  if (HasFailure()) return;
  const std::string file = job_of("job.yaml", "npy:site", "[gw1, gw2]", 4000, "checkpoint: {folder: kept, every: 100}\n");
  const pid_t child = start({"train", file, "--cluster", cluster(), "--out", path("out"), "-o", "json"});
  ASSERT_TRUE(eventually([&] { return exists(path("kept/checkpoint.tlc")); })) << slurp(path("stderr"));
  const std::vector<pid_t> workers = workers_of(1);
  ASSERT_EQ(workers.size(), 1U);
  daemons_[1].signal(SIGKILL);
  const Outcome outcome = wait_for(child);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  ASSERT_EQ(outcome.json()["news"].size(), 1U);
  EXPECT_THAT(outcome.json()["news"][0].get<std::string>(), HasSubstr("worker 1 is lost"));
  EXPECT_EQ(outcome.json()["rounds"].back()["workers"], 1);
  EXPECT_TRUE(eventually([&] { return !is_running(workers[0]); }));
}

TEST_F(TrainCluster, InterruptedOrKilledTheCoordinatorLeavesNoWorkers) {
  two_gateways();
  if (HasFailure()) return;
  for (const int signal : {SIGINT, SIGKILL}) {
    SCOPED_TRACE(signal);
    const std::string kept = fmt::format("kept-{}", signal);
    const std::string file =
        job_of("job.yaml", "npy:site", "[gw1, gw2]", 1000, fmt::format("checkpoint: {{folder: {}, every: 100}}\n", kept));
    const pid_t child = start({"train", file, "--cluster", cluster(), "--out", path("out"), "-o", "json"});
    ASSERT_TRUE(eventually([&] { return exists(path(kept + "/checkpoint.tlc")); })) << slurp(path("stderr"));
    ::kill(child, signal);
    EXPECT_EQ(wait_for(child).exit_code, signal == SIGINT ? 130 : -1);
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(eventually([&] { return workers_of(i).empty(); }));
    const Outcome rest = run("train " + file + " --cluster " + cluster() + " --out " + path("out") + " --resume -o json");
    ASSERT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(rest.json()["rounds"].size(), 1000U);
  }
}

TEST_F(TrainCluster, WorkersReadNothingOutsideTheirFolder) {
  write_part("secret", 0, kSamples);
  write_part("gw1/good", 0, kSamples);
  std::filesystem::create_directory_symlink(path("secret"), path("gw1/folder"));
  std::filesystem::create_directories(path("gw1/files"));
  std::filesystem::create_symlink(path("secret/x.npy"), path("gw1/files/x.npy"));
  std::filesystem::copy(path("secret/y.npy"), path("gw1/files/y.npy"));
  std::filesystem::create_directory_symlink(path("gw1/good"), path("gw1/inner"));
  node("gw1");
  if (HasFailure()) return;
  for (const auto& [data, why] : {std::pair{"npy:../secret", "lead out of the folder"},
                                  {"npy:/etc", "lead out of the folder"},
                                  {"npy:folder", "leads out of this worker's folder"},
                                  {"npy:files", "leads out of this worker's folder"}}) {
    SCOPED_TRACE(data);
    const Outcome outcome =
        run("train " + job_of("job.yaml", data, "[gw1]", 2) + " --cluster " + cluster() + " --out " + path("out"));
    EXPECT_EQ(outcome.exit_code, 3);
    EXPECT_THAT(outcome.err, HasSubstr(why));
  }
  EXPECT_EQ(
      run("train " + job_of("job.yaml", "npy:inner", "[gw1]", 2) + " --cluster " + cluster() + " --out " + path("out")).exit_code,
      0);
}

TEST_F(TrainCluster, WhoCannotTrainIsOneSentence) {
  node("plain", false);
  if (HasFailure()) return;
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run("train " + arguments);
    EXPECT_EQ(outcome.exit_code == 3 || outcome.exit_code == 5, true) << outcome.exit_code << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  };
  refused(job_of("a.yaml", "npy:site", "[plain]", 2) + " --cluster " + cluster(),
          "node 'plain' does not train: start it with --train DIR");
  refused(job_of("b.yaml", "npy:site", "[other]", 2) + " --cluster " + cluster(), "no such node");
  refused(job_of("c.yaml", "npy:site", "[plain]", 2), "give their cluster file with --cluster");
  daemons_[0].end(std::chrono::seconds(10));
  refused(job_of("d.yaml", "npy:site", "[plain]", 2) + " --cluster " + cluster(), "node 'plain' at 127.0.0.1:");
  const Outcome no_folder = run("node --listen 127.0.0.1:0 --store " + path("s") + " --train " + path("nowhere"));
  EXPECT_EQ(no_folder.exit_code, 3);
  EXPECT_THAT(no_folder.err, HasSubstr("there is no such folder"));
  // A program without tideline-train beside it.
  std::filesystem::create_directories(path("alone"));
  std::filesystem::copy(binary_, path("alone/tideline"));
  binary_ = path("alone/tideline");
  const Outcome alone = run("node --listen 127.0.0.1:0 --store " + path("s") + " --train " + path("data"));
  EXPECT_EQ(alone.exit_code, 3);
  EXPECT_THAT(alone.err, HasSubstr("this installation does not train"));
}

}  // namespace
}  // namespace tideline::e2e
