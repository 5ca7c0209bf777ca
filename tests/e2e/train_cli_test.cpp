// Goal: training over real worker processes does what the command line promises, whoever is killed, frozen or interrupted.
// Method: the real binaries on a small net and clusters made here.
#include <cmath>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "command_line.h"
#include "model/test_models.h"
#include "tensor/npy.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

constexpr std::size_t kInputs = 6, kHidden = 10, kClasses = 3;

// softmax(b + relu(x a) c).
std::string classifier() {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, kInputs});
  test::add_output(model, "y", {1, kClasses});
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.4F);
  const auto add = [&](const char* name, const test::Dims& dims, std::size_t count) {
    onnx::TensorProto* weight = test::add_weight(model, name, dims);
    weight->clear_float_data();
    weight->clear_raw_data();
    for (std::size_t i = 0; i < count; ++i) weight->add_float_data(normal(random));
  };
  add("a", {kInputs, kHidden}, kInputs * kHidden);
  add("c", {kHidden, kClasses}, kHidden * kClasses);
  add("b", {kClasses}, kClasses);
  test::add_node(model, "MatMul", {"x", "a"}, {"h"});
  test::add_node(model, "Relu", {"h"}, {"r"});
  test::add_node(model, "MatMul", {"r", "c"}, {"m"});
  test::add_node(model, "Add", {"m", "b"}, {"z"});
  test::add_node(model, "Softmax", {"z"}, {"y"});
  return model.SerializeAsString();
}

class Train : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (HasFatalFailure()) return;
    write("m.onnx", classifier());
    std::filesystem::create_directories(folder_ / "data");
    constexpr std::size_t kSamples = 240;
    std::vector<float> x;
    std::vector<std::int64_t> y;
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 1);
    for (std::size_t i = 0; i < kSamples; ++i) {
      y.push_back(static_cast<std::int64_t>(i % kClasses));
      for (std::size_t k = 0; k < kInputs; ++k) x.push_back(normal(random) + (k % kClasses == i % kClasses ? 1.5F : 0.0F));
    }
    const TensorSpec samples{"", DType::kFloat32, {kSamples, kInputs}}, labels{"", DType::kInt64, {kSamples}};
    write("data/x.npy", *write_npy({&samples, std::as_bytes(std::span(x))}));
    write("data/y.npy", *write_npy({&labels, std::as_bytes(std::span(y))}));
  }

  std::string job(const std::string& name, const std::string& strategy, int workers, int rounds,
                  const std::string& more = "") const {
    return write(name, fmt::format("version: 1\nmodel: m.onnx\ndata: {{train: npy:data, test: npy:data}}\nworkers: {}\n"
                                   "strategy: {}\noptimiser: {{name: sgd, rate: 0.1, momentum: 0.5}}\nrounds: {}\nseed: 1\n"
                                   "evaluate: {{every: {}}}\n{}",
                                   workers, strategy, rounds, rounds, more));
  }
  // A process that has ended and that nobody has asked for yet does not run either.
  static bool is_running(pid_t process) {
    const std::string stat = slurp(fmt::format("/proc/{}/stat", process));
    const std::size_t after_name = stat.rfind(')');
    return after_name != std::string::npos && stat[after_name + 2] != 'Z';
  }
  static bool exists(const std::string& file) { return std::filesystem::exists(file); }
};

TEST_F(Train, EveryStrategyRunsOverProcesses) {
  for (const char* strategy :
       {"{name: sync-sgd}", "{name: backup-workers}", "{name: fedavg, fraction: 0.5, batch: 10}",
        "{name: diloco, local_steps: 5}", "{name: easgd, local_steps: 5}", "{name: dc-asgd}", "{name: gossip}", "ring", "tree"}) {
    SCOPED_TRACE(strategy);
    const bool is_exchange = strategy[0] != '{';
    const std::string file = job("job.yaml", is_exchange ? "{name: sync-sgd}" : strategy, 4, 20,
                                 is_exchange ? fmt::format("processes: 2\nexchange: {}\n", strategy) : "processes: 2\n");
    const Outcome outcome = run("local train " + file + " --out " + path("out") + " -o json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto json = outcome.json();
    ASSERT_EQ(json["rounds"].size(), 20U);
    EXPECT_GT(json["final"]["accuracy"].get<double>(), 0.7);
    EXPECT_EQ(json["bytes_by_worker"].size(), 4U);
    EXPECT_GT(json["rounds"][3]["bytes_up"].get<std::uint64_t>(), 0U);
    EXPECT_EQ(json["weights_sha256"].get<std::string>().size(), 64U);
    EXPECT_TRUE(json["news"].empty()) << json["news"];
  }
}

TEST_F(Train, WhatIsWrittenIsWhatWasTrained) {
  const std::string file = job("job.yaml", "{name: fedavg, batch: 10}", 2, 4);
  const Outcome outcome = run("train " + file + " --out " + path("out"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("fedavg by 2 workers over parameter-server"));
  for (const char* made :
       {"trained.onnx", "report.json", "rounds.csv", "accuracy-rounds.svg", "accuracy-bytes.svg", "accuracy-seconds.svg"})
    EXPECT_TRUE(exists(path("out") + "/" + made)) << made;
  const auto report = nlohmann::json::parse(slurp(path("out/report.json")));
  // The engine that serves it agrees, and nothing but weights has changed.
  const Outcome evaluated = run("evaluate " + path("out/trained.onnx") + " --data npy:" + path("data") + " -o json");
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
  EXPECT_DOUBLE_EQ(evaluated.json()["accuracy"].get<double>(), report["final"]["accuracy"].get<double>());
  EXPECT_NEAR(evaluated.json()["loss"].get<double>(), report["final"]["loss"].get<double>(), 1e-5);
  EXPECT_EQ(std::filesystem::file_size(path("out/trained.onnx")), std::filesystem::file_size(path("m.onnx")));
  EXPECT_NE(slurp(path("out/trained.onnx")), slurp(path("m.onnx")));
  // Two runs in one figure.
  const Outcome compared =
      run("train --compare " + path("out/report.json") + " " + path("out/report.json") + " --out " + path("figures") + " -o csv");
  ASSERT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_THAT(compared.out, HasSubstr("run,rounds,accuracy,bytes_up,bytes_down,seconds"));
  EXPECT_TRUE(exists(path("figures/accuracy-bytes.svg")));
}

// Every way in which workers train together, with one of them killed outright, another one frozen for a while and, over a
// parameter server, updates in few bytes: who comes back takes part again, and the run ends as well as without.
TEST_F(Train, KilledAndFrozenWorkersComeBackWhateverTheStrategy) {
  struct Run {
    const char* strategy;
    const char* more;
  };
  const Run runs[] = {
      {"{name: sync-sgd}", "compression: {name: qsgd, levels: 16}\n"},
      {"{name: backup-workers}", "compression: fp16\n"},
      {"{name: fedavg, batch: 10}", "compression: {name: top-k, sparsity: 0.5}\n"},
      {"{name: local-sgd, local_steps: 4}", "compression: terngrad\n"},
      {"{name: diloco, local_steps: 4}", "compression: one-bit\n"},
      {"{name: easgd, local_steps: 4}", ""},
      {"{name: dc-asgd}", "compression: {name: dgc, sparsity: 0.5, momentum: 0}\n"},
      {"{name: sync-sgd}", "exchange: ring\n"},
      {"{name: gossip}", ""},
  };
  for (const Run& each : runs) {
    SCOPED_TRACE(std::string(each.strategy) + " " + each.more);
    // More rounds than there is time for: the test ends them.
    const std::string file = job("job.yaml", each.strategy, 3, 5'000'000,
                                 std::string(each.more) +
                                     "deadlines: {patience: 2s}\n"
                                     "checkpoint: {folder: kept, every: 500}\n");
    const pid_t child = start({"train", file, "--out", path("out"), "-o", "json"});
    const auto has_said = [&](const char* words) { return slurp(path("stderr")).find(words) != std::string::npos; };
    ASSERT_TRUE(eventually([&] { return exists(path("kept/checkpoint.tlc")); })) << slurp(path("stderr"));
    const std::vector<pid_t> workers = children_of(child);
    ASSERT_EQ(workers.size(), 3U);
    ::kill(workers[2], SIGSTOP);
    ::kill(workers[1], SIGKILL);
    EXPECT_TRUE(eventually([&] { return has_said("worker 1 is back"); })) << slurp(path("stderr"));
    ::kill(workers[2], SIGCONT);
    // Between peers who stood still was left behind; over a server it was only late.
    if (has_said("worker 2 is lost"))
      EXPECT_TRUE(eventually([&] { return has_said("worker 2 is back"); })) << slurp(path("stderr"));
    const auto kept = std::filesystem::last_write_time(path("kept/checkpoint.tlc"));
    EXPECT_TRUE(eventually([&] { return std::filesystem::last_write_time(path("kept/checkpoint.tlc")) > kept; }));
    ::kill(child, SIGINT);
    const Outcome outcome = wait_for(child);
    ASSERT_EQ(outcome.exit_code, 130) << outcome.err;
    const auto json = outcome.json();
    EXPECT_GT(json["final"]["accuracy"].get<double>(), 0.7);
    EXPECT_GE(json["rounds"].back()["workers"].get<int>(),
              std::string_view(each.strategy).find("backup") == std::string_view::npos ? 3 : 2)
        << json["news"];
    EXPECT_TRUE(children_of(child).empty());
    std::filesystem::remove_all(path("kept"));
  }
}

TEST_F(Train, AFrozenWorkerIsLateAndTheOthersFinish) {
  const std::string file =
      job("job.yaml", "{name: sync-sgd}", 3, 1500, "deadlines: {patience: 500ms}\ncheckpoint: {folder: kept, every: 500}\n");
  const pid_t child = start({"train", file, "--out", path("out"), "-o", "json"});
  ASSERT_TRUE(eventually([&] { return exists(path("kept/checkpoint.tlc")); }));
  const std::vector<pid_t> workers = children_of(child);
  ASSERT_EQ(workers.size(), 3U);
  ::kill(workers[2], SIGSTOP);
  const Outcome outcome = wait_for(child);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = outcome.json();
  std::uint32_t late = 0;
  for (const auto& round : json["rounds"]) late += round["late"].get<std::uint32_t>();
  EXPECT_GE(late, 1U);
  EXPECT_EQ(json["rounds"].back()["workers"], 2);
  EXPECT_TRUE(children_of(child).empty());
}

// Interrupted, and killed outright: both go on to the weights of a run that was left alone.
TEST_F(Train, ARunThatWasStoppedGoesOnToTheSameWeights) {
  constexpr int kRounds = 1000;
  const std::string whole = job("whole.yaml", "{name: diloco, local_steps: 2}", 2, kRounds);
  const Outcome straight = run("train " + whole + " --out " + path("whole") + " -o json");
  ASSERT_EQ(straight.exit_code, 0) << straight.err;
  const std::string sha = straight.json()["weights_sha256"];
  for (const int signal : {SIGINT, SIGKILL}) {
    SCOPED_TRACE(signal);
    const std::string kept = fmt::format("kept-{}", signal);
    const std::string file = job("job.yaml", "{name: diloco, local_steps: 2}", 2, kRounds,
                                 fmt::format("checkpoint: {{folder: {}, every: 100}}\n", kept));
    const pid_t child = start({"train", file, "--out", path("out"), "-o", "json"});
    ASSERT_TRUE(eventually([&] { return exists(path(kept + "/checkpoint.tlc")); }));
    const std::vector<pid_t> workers = children_of(child);
    ::kill(child, signal);
    const Outcome stopped = wait_for(child);
    EXPECT_EQ(stopped.exit_code, signal == SIGINT ? 130 : -1) << stopped.err;
    for (const pid_t worker : workers) EXPECT_TRUE(eventually([&] { return !is_running(worker); }));
    const Outcome rest = run("train " + file + " --out " + path("out") + " --resume -o json");
    ASSERT_EQ(rest.exit_code, 0) << rest.err;
    EXPECT_EQ(rest.json()["weights_sha256"], sha);
    EXPECT_EQ(rest.json()["rounds"].size(), static_cast<std::size_t>(kRounds));
  }
}

// Ctrl-C at a terminal goes to the whole group, SIGTERM to the first process alone: either way nobody stays behind, and what was
// frozen neither.
TEST_F(Train, NobodyStaysBehind) {
  for (const int signal : {SIGTERM, SIGKILL, SIGHUP}) {
    SCOPED_TRACE(signal);
    const std::string file = job("job.yaml", "{name: sync-sgd}", 3, 5'000'000,
                                 "exchange: ring\ndeadlines: {patience: 60s}\ncheckpoint: {folder: kept, every: 20}\n");
    const pid_t child = start({"train", file, "--out", path("out")});
    ASSERT_TRUE(eventually([&] { return exists(path("kept/checkpoint.tlc")); })) << slurp(path("stderr"));
    const std::vector<pid_t> workers = children_of(child);
    ASSERT_EQ(workers.size(), 3U);
    ::kill(workers[1], SIGSTOP);
    ::kill(child, signal);
    if (signal != SIGKILL) {
      // It ends after the round under way, which the frozen one holds up; the second signal does not wait for that.
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      ::kill(child, signal);
    }
    (void)wait_for(child);
    for (const pid_t worker : workers) EXPECT_TRUE(eventually([&] { return !is_running(worker); })) << worker;
    std::filesystem::remove_all(path("kept"));
  }
}

TEST_F(Train, SlipsAreOneSentenceAndExitCode3) {
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Outcome outcome = run("train " + arguments);
    EXPECT_EQ(outcome.exit_code, 3) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why));
  };
  refused("", "give a job file");
  refused(path("none.yaml"), "none.yaml");
  refused(job("a.yaml", "{name: gpipe}", 2, 3), "this build has no strategy 'gpipe'");
  refused(job("b.yaml", "{name: fedavg}", 2, 3, "exchange: ring\n"), "not over ring");
  refused(job("c.yaml", "{name: fedavg}", 2, 3) + " --resume", "--resume needs `checkpoint");
  refused(job("d.yaml", "{name: fedavg}", 2, 3, "checkpoint: {folder: nothing}\n") + " --resume", "checkpoint.tlc");
  refused("--compare " + path("a.yaml"), "a.yaml");
  // Found by a worker, and said with its number.
  std::string missing = slurp(job("e.yaml", "{name: fedavg}", 2, 3));
  missing.replace(missing.find("train: npy:data"), 15, "train: npy:none");
  refused(write("e.yaml", missing), "worker ");
  EXPECT_EQ(run("config validate " + job("f.yaml", "{name: fedavg}", 2, 3)).exit_code, 0);
}

}  // namespace
}  // namespace tideline::e2e
