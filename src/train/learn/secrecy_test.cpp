// Goal: data never leave a worker, and a worker reads no file that its coordinator names. Method: everything that any connection
// of a run carries, held against the samples, in runs of every way to exchange and to write updates; coordinators that name
// files.
#include <cstring>
#include <filesystem>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_models.h"
#include "platform/files.h"
#include "platform/temp_folder.h"
#include "train/learn/net_learner.h"
#include "train/run/worker.h"

namespace tideline::train {
namespace {

constexpr std::size_t kSecretInputs = 8, kSecretClasses = 3, kSecretSamples = 60;

// softmax(b + x a).
onnx::ModelProto linear_net() {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, kSecretInputs});
  test::add_output(model, "y", {1, kSecretClasses});
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.4F);
  const auto add = [&](const char* name, const test::Dims& dims, std::size_t count) {
    onnx::TensorProto* weight = test::add_weight(model, name, dims);
    weight->clear_float_data();
    weight->clear_raw_data();
    for (std::size_t i = 0; i < count; ++i) weight->add_float_data(normal(random));
  };
  add("a", {kSecretInputs, kSecretClasses}, kSecretInputs * kSecretClasses);
  add("b", {kSecretClasses}, kSecretClasses);
  test::add_node(model, "MatMul", {"x", "a"}, {"m"});
  test::add_node(model, "Add", {"m", "b"}, {"z"});
  test::add_node(model, "Softmax", {"z"}, {"y"});
  return model;
}

std::shared_ptr<const DataSet> secret_data() {
  DataSet data;
  data.samples.spec = {"", DType::kFloat32, {kSecretSamples, kSecretInputs}};
  data.samples.data = Buffer(kSecretSamples * kSecretInputs * sizeof(float));
  auto* x = reinterpret_cast<float*>(data.samples.data.data());
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 1);
  for (std::size_t i = 0; i < kSecretSamples; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % kSecretClasses));
    for (std::size_t k = 0; k < kSecretInputs; ++k)
      *x++ = normal(random) + (k % kSecretClasses == i % kSecretClasses ? 1.5F : 0.0F);
  }
  return std::make_shared<const DataSet>(std::move(data));
}

// All that was sent over any connection, each in its order.
struct Tape {
  std::mutex mutex;
  std::vector<std::vector<std::byte>> streams;
};

class TapedConnection final : public Connection {
 public:
  TapedConnection(std::unique_ptr<Connection> inner, Tape& tape) : inner_(std::move(inner)), tape_(tape) {}
  ~TapedConnection() override {
    const std::lock_guard lock(tape_.mutex);
    tape_.streams.push_back(std::move(sent_));
  }
  Status send(ConstPieces pieces, SteadyTime deadline) override {
    for (const auto& piece : pieces) sent_.insert(sent_.end(), piece.begin(), piece.end());
    return inner_->send(pieces, deadline);
  }
  Status receive(Pieces pieces, SteadyTime deadline) override { return inner_->receive(pieces, deadline); }
  Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime deadline) override {
    return inner_->receive_some(into, deadline);
  }
  void shutdown() override { inner_->shutdown(); }
  void finish(SteadyTime deadline) override { inner_->finish(deadline); }
  bool ended() const override { return inner_->ended(); }
  std::string peer() const override { return inner_->peer(); }
  ConnectionCounters counters() const override { return inner_->counters(); }

 private:
  std::unique_ptr<Connection> inner_;
  Tape& tape_;
  std::vector<std::byte> sent_;  // of the sending thread
};

class TapedListener final : public Listener {
 public:
  TapedListener(std::unique_ptr<Listener> inner, Tape& tape) : inner_(std::move(inner)), tape_(tape) {}
  Result<std::unique_ptr<Connection>> accept(SteadyTime deadline) override {
    TIDELINE_TRY(auto connection, inner_->accept(deadline));
    return std::unique_ptr<Connection>(std::make_unique<TapedConnection>(std::move(connection), tape_));
  }
  Address address() const override { return inner_->address(); }
  void shutdown() override { inner_->shutdown(); }

 private:
  std::unique_ptr<Listener> inner_;
  Tape& tape_;
};

class TapedTransport final : public Transport {
 public:
  explicit TapedTransport(Tape& tape) : inner_(make_loopback_transport()), tape_(tape) {}
  Result<std::unique_ptr<Connection>> connect(const Address& address, SteadyTime deadline, const CancelToken* cancel) override {
    TIDELINE_TRY(auto connection, inner_->connect(address, deadline, cancel));
    return std::unique_ptr<Connection>(std::make_unique<TapedConnection>(std::move(connection), tape_));
  }
  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    TIDELINE_TRY(auto listener, inner_->listen(address));
    return std::unique_ptr<Listener>(std::make_unique<TapedListener>(std::move(listener), tape_));
  }

 private:
  std::unique_ptr<Transport> inner_;
  Tape& tape_;
};

// Whether two neighbouring numbers of a sample stand next to each other anywhere, at any byte.
bool has_data(const std::vector<std::vector<std::byte>>& streams, const DataSet& data) {
  const auto at = [](const std::byte* bytes) {
    std::uint64_t pair = 0;
    std::memcpy(&pair, bytes, sizeof pair);
    return pair;
  };
  std::unordered_set<std::uint64_t> pairs;
  const std::byte* samples = data.samples.data.data();
  for (std::size_t i = 0; i + 1 < kSecretSamples * kSecretInputs; ++i) pairs.insert(at(samples + i * sizeof(float)));
  for (const auto& stream : streams)
    for (std::size_t i = 0; i + 8 <= stream.size(); ++i)
      if (pairs.contains(at(stream.data() + i))) return true;
  return false;
}

// A worker's learner that gives away its first sample instead of a gradient.
class Traitor final : public Learner {
 public:
  Traitor(std::unique_ptr<Learner> inner, std::shared_ptr<const DataSet> data)
      : inner_(std::move(inner)), data_(std::move(data)) {}
  std::size_t samples() const override { return inner_->samples(); }
  std::span<float> parameters() override { return inner_->parameters(); }
  std::span<const float> gradients() override {
    leaked_.assign(inner_->gradients().begin(), inner_->gradients().end());
    // In every part of it, because a ring sends but one of them as it is.
    for (std::size_t i = 0; i + 2 <= leaked_.size(); i += 2)
      std::memcpy(leaked_.data() + i, data_->samples.data.data(), 2 * sizeof(float));
    return leaked_;
  }
  std::vector<compress::Layer> layers() const override { return inner_->layers(); }
  std::span<float> buffers() override { return inner_->buffers(); }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed) override {
    return inner_->gradient(rows, seed);
  }

 private:
  std::unique_ptr<Learner> inner_;
  std::shared_ptr<const DataSet> data_;
  std::vector<float> leaked_;
};

Result<TrainReport> run_taped(const Job& job, const std::string& file, Tape& tape, bool is_traitor) {
  TapedTransport transport(tape);
  const auto data = secret_data();
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<Address> addresses;
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < job.workers; ++k) {
    listeners.push_back(transport.listen({"127.0.0.1", 0}).value());
    addresses.push_back(listeners.back()->address());
  }
  const CancelToken cancel;
  for (std::size_t k = 0; k < job.workers; ++k)
    threads.emplace_back([&, k] {
      const auto make = [&, k](const Job&, std::uint32_t, const std::string& bytes) -> Result<std::unique_ptr<Learner>> {
        TIDELINE_TRY(auto model, NetModel::load(bytes, "model", {}));
        std::vector<std::uint32_t> rows;
        for (std::size_t row = k; row < data->size(); row += job.workers) rows.push_back(static_cast<std::uint32_t>(row));
        TIDELINE_TRY(auto learner, make_net_learner(std::move(model), data, std::move(rows)));
        if (is_traitor && k == 1) return std::unique_ptr<Learner>(std::make_unique<Traitor>(std::move(learner), data));
        return learner;
      };
      (void)run_worker({.transport = transport, .listener = *listeners[k], .make_learner = make, .cancel = cancel});
    });
  auto model = NetModel::load(linear_net().SerializeAsString(), "m.onnx", {}).value();
  auto report = run_training(
      job, {.transport = transport, .workers = addresses, .model_file = file, .model = model->numbers(), .size = model->size()});
  if (!report) cancel.cancel();
  for (std::thread& thread : threads) thread.join();
  return report;
}

Job secret_job(const std::string& strategy, const std::string& more = "") {
  auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: 3\nstrategy: {}\n"
                                   "optimiser: {{name: sgd, rate: 0.1, momentum: {}}}\nrounds: 6\nseed: 5\n{}",
                                   strategy, more.find("dgc") == std::string::npos ? 0.5 : 0, more),
                       "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

TEST(Secrecy, DataNeverLeaveAWorker) {
  std::vector<Job> jobs;
  for (const StrategyForm& form : strategy_forms())
    for (const Exchange exchange : form.exchanges)
      if (form.workers_max >= 3)
        jobs.push_back(secret_job(fmt::format("{{name: {}}}", form.name), fmt::format("exchange: {}\n", to_string(exchange))));
  for (const compress::CompressorInfo& info : compress::compressors())
    jobs.push_back(secret_job("{name: sync-sgd, batch: 1}", fmt::format("compression: {}\n", info.name)));
  const std::string file = linear_net().SerializeAsString();
  for (const Job& job : jobs) {
    SCOPED_TRACE(write_job(job));
    const auto folder = TempFolder::make("train-test");
    ASSERT_TRUE(folder);
    Job kept = job;
    // States of workers travel too.
    kept.checkpoint_folder = folder->path();
    Tape tape;
    const auto report = run_taped(kept, file, tape, false);
    ASSERT_TRUE(report) << report.error().message;
    std::size_t bytes = 0;
    for (const auto& stream : tape.streams) bytes += stream.size();
    EXPECT_GT(bytes, 3 * file.size());
    EXPECT_FALSE(has_data(tape.streams, *secret_data()));
  }
}

// What this test is for would be found by it.
TEST(Secrecy, ATraitorIsFound) {
  for (const char* more : {"", "exchange: ring\n", "exchange: tree\n"}) {
    Tape tape;
    const auto report = run_taped(secret_job("{name: sync-sgd, batch: 1}", more), linear_net().SerializeAsString(), tape, true);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(has_data(tape.streams, *secret_data())) << more;
  }
}

// Weights in a file beside the model: there is no such file beside what came over a connection, whatever it is called.
TEST(Secrecy, AModelThatNamesFilesIsRefused) {
  const auto folder = TempFolder::make("train-test");
  ASSERT_TRUE(folder);
  const std::vector<float> weights(kSecretInputs * kSecretClasses, 0.5F);
  const std::string secret(reinterpret_cast<const char*>(weights.data()), weights.size() * sizeof(float));
  ASSERT_TRUE(write_file_atomic(folder->path() + "/secret", secret));
  ASSERT_TRUE(write_file_atomic("secret-of-train-test", secret));
  for (const std::string& name : {folder->path() + "/secret", std::string("secret-of-train-test"),
                                  std::string("./secret-of-train-test"), std::string("../../../../../../../../etc/passwd")}) {
    onnx::ModelProto model = linear_net();
    onnx::TensorProto& weight = *model.mutable_graph()->mutable_initializer(0);
    weight.clear_float_data();
    weight.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto say = [&](const char* key, const std::string& value) {
      auto* entry = weight.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    say("location", name);
    say("length", std::to_string(secret.size()));
    Tape tape;
    const auto report = run_taped(secret_job("{name: sync-sgd}"), model.SerializeAsString(), tape, false);
    ASSERT_FALSE(report) << name;
    EXPECT_THAT(report.error().message, testing::HasSubstr("worker ")) << name;
  }
  std::filesystem::remove("secret-of-train-test");
}

}  // namespace
}  // namespace tideline::train
