// Goal: strategies train ONNX models as their formulas say, over the transport. Method: a small classifier without batch
// normalisation, made here, on clusters drawn here; whole runs against loops over the same engine.
#include "train/learn/net_learner.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/test_models.h"
#include "train/run/worker.h"
#include "train/strategy/batches.h"
#include "train/strategy/optimiser.h"

namespace tideline::train {
namespace {

constexpr std::size_t kInputs = 6, kHidden = 10, kClasses = 3;

// softmax(b + relu(x a) c).
std::string small_net() {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, kInputs});
  test::add_output(model, "y", {1, kClasses});
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.4F);
  const auto add = [&](const char* name, const test::Dims& dims) {
    onnx::TensorProto* weight = test::add_weight(model, name, dims);
    weight->clear_float_data();
    weight->clear_raw_data();
    std::size_t count = 1;
    for (const auto dim : dims) count *= static_cast<std::size_t>(dim);
    for (std::size_t i = 0; i < count; ++i) weight->add_float_data(normal(random));
  };
  add("a", {kInputs, kHidden});
  add("c", {kHidden, kClasses});
  add("b", {kClasses});
  test::add_node(model, "MatMul", {"x", "a"}, {"h"});
  test::add_node(model, "Relu", {"h"}, {"r"});
  test::add_node(model, "MatMul", {"r", "c"}, {"m"});
  test::add_node(model, "Add", {"m", "b"}, {"z"});
  test::add_node(model, "Softmax", {"z"}, {"y"});
  return model.SerializeAsString();
}

std::shared_ptr<const DataSet> clusters(std::size_t samples) {
  DataSet data;
  data.samples.spec = {"", DType::kFloat32, {static_cast<std::int64_t>(samples), kInputs}};
  data.samples.data = Buffer(samples * kInputs * sizeof(float));
  auto* x = reinterpret_cast<float*>(data.samples.data.data());
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 1);
  for (std::size_t i = 0; i < samples; ++i) {
    data.labels.push_back(static_cast<std::int32_t>(i % kClasses));
    for (std::size_t k = 0; k < kInputs; ++k) *x++ = normal(random) + (k % kClasses == i % kClasses ? 1.5F : 0.0F);
  }
  return std::make_shared<const DataSet>(std::move(data));
}

std::unique_ptr<NetModel> load() {
  auto model = NetModel::load(small_net(), "small.onnx", {});
  if (!model) ADD_FAILURE() << model.error().message;
  return model ? std::move(*model) : nullptr;
}

std::vector<std::uint32_t> rows_from(std::uint32_t first, std::size_t count) {
  std::vector<std::uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), first);
  return rows;
}

// Workers with equal parts of the data, one after another.
Result<TrainReport> run(const Job& job, const std::shared_ptr<const DataSet>& data) {
  const auto transport = make_loopback_transport();
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<Address> addresses;
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < job.workers; ++k) {
    listeners.push_back(transport->listen({"127.0.0.1", 0}).value());
    addresses.push_back(listeners.back()->address());
  }
  const std::size_t share = data->size() / job.workers;
  for (std::size_t k = 0; k < job.workers; ++k)
    threads.emplace_back([&, k] {
      const auto make = [&, k](const Job&, std::uint32_t, const std::string& file) -> Result<std::unique_ptr<Learner>> {
        TIDELINE_TRY(auto model, NetModel::load(file, "small.onnx", {}));
        return make_net_learner(std::move(model), data, rows_from(static_cast<std::uint32_t>(k * share), share));
      };
      EXPECT_TRUE(run_worker({.transport = *transport, .listener = *listeners[k], .make_learner = make}));
    });
  const auto model = load();
  auto report = run_training(job, {.transport = *transport,
                                   .workers = addresses,
                                   .model_file = small_net(),
                                   .model = model->numbers(),
                                   .size = model->size(),
                                   .evaluate = [&](std::span<const float> numbers) { return model->evaluate(numbers, *data); }});
  for (std::thread& thread : threads) thread.join();
  return report;
}

Job job_of(std::string_view strategy, std::size_t workers, std::size_t rounds, std::string_view more = "") {
  auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {}\n"
                                   "optimiser: {{name: sgd, rate: 0.1, momentum: 0.9}}\nrounds: {}\nseed: 5\n{}",
                                   workers, strategy, rounds, more),
                       "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double difference = 0, length = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    length += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / length);
}

TEST(NetLearner, ManyRowsAreTheMeanOfTheirParts) {
  const auto data = clusters(1200);
  const auto model = load();
  const auto whole = model->gradient(*data, rows_from(0, 1200), 1);
  ASSERT_TRUE(whole);
  const std::vector<float> at_once(model->net().gradients().begin(), model->net().gradients().end());
  std::vector<float> mean(at_once.size(), 0.0F);
  double loss = 0;
  std::uint64_t correct = 0;
  for (std::uint32_t part = 0; part < 4; ++part) {
    const auto batch = model->gradient(*data, rows_from(part * 300, 300), 1);
    ASSERT_TRUE(batch);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += model->net().gradients()[i] / 4;
    loss += batch->loss / 4;
    correct += batch->correct;
  }
  EXPECT_LT(distance(at_once, mean), 1e-5);
  EXPECT_NEAR(whole->loss, loss, 1e-6);
  EXPECT_EQ(whole->correct, correct);
  const auto evaluated = model->evaluate(model->numbers(), *data);
  ASSERT_TRUE(evaluated);
  EXPECT_NEAR(evaluated->loss, loss, 1e-6);
  EXPECT_NEAR(evaluated->accuracy, static_cast<double>(correct) / 1200, 1e-12);
}

TEST(NetLearner, FourWorkersOf25AreOneOf100After50Steps) {
  const auto data = clusters(400);
  const auto reference = load();
  const Job job = job_of("{name: sync-sgd, batch: 25}", 4, 50);
  std::vector<BatchOrder> orders;
  for (std::uint64_t k = 0; k < 4; ++k) orders.emplace_back(100, 25, 5, k);
  Optimiser optimiser(job.optimiser, reference->size().parameters);
  const std::vector<float> start = reference->numbers();
  for (std::uint64_t step = 0; step < 50; ++step) {
    std::vector<std::uint32_t> rows;
    for (std::uint32_t k = 0; k < 4; ++k)
      for (const std::uint32_t row : orders[k].batch(step)) rows.push_back(row + 100 * k);
    ASSERT_TRUE(reference->gradient(*data, rows, 0));
    optimiser.step(reference->net().parameters(), reference->net().gradients(), 0.1);
  }
  EXPECT_GT(distance(start, reference->net().parameters()), 0.1);
  for (const char* exchange : {"parameter-server", "ring", "tree"}) {
    const auto report = run(job_of("{name: sync-sgd, batch: 25}", 4, 50, fmt::format("exchange: {}\n", exchange)), data);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_LT(distance(report->model, reference->net().parameters()), 1e-5) << exchange;
    EXPECT_GT(*report->rounds.back().accuracy, 0.8);
  }
}

TEST(NetLearner, FedAvgOfOneFullBatchIsAGradientStep) {
  const auto data = clusters(300);
  const auto reference = load();
  for (int step = 0; step < 3; ++step) {
    ASSERT_TRUE(reference->gradient(*data, rows_from(0, 300), 0));
    for (std::size_t i = 0; i < reference->size().parameters; ++i)
      reference->net().parameters()[i] -= 0.1F * reference->net().gradients()[i];
  }
  const auto report = run(job_of("{name: fedavg, batch: all}", 3, 3), data);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_LT(distance(report->model, reference->net().parameters()), 1e-5);
}

TEST(NetLearner, TheSameRunGivesTheSameBits) {
  const auto data = clusters(90);
  for (const char* strategy : {"{name: diloco, batch: 10, local_steps: 3}", "{name: gossip, batch: 10}"}) {
    const auto first = run(job_of(strategy, 3, 5), data), second = run(job_of(strategy, 3, 5), data);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(0, std::memcmp(first->model.data(), second->model.data(), first->model.size() * sizeof(float)));
  }
}

TEST(NetLearner, DrawnWeightsHaveTheirVarianceAndTheirSeed) {
  const auto model = load(), again = load(), other = load();
  const std::vector<float> file = model->numbers();
  model->draw_weights(1);
  again->draw_weights(1);
  other->draw_weights(2);
  EXPECT_EQ(model->numbers(), again->numbers());
  EXPECT_NE(model->numbers(), other->numbers());
  for (const FlatTensor& tensor : model->net().parameter_list()) {
    const auto numbers = model->net().parameters().subspan(tensor.offset, tensor.count);
    if (tensor.name == "b") {
      EXPECT_TRUE(std::equal(numbers.begin(), numbers.end(), file.begin() + static_cast<std::ptrdiff_t>(tensor.offset)));
    }
    if (tensor.name != "a") continue;
    double square = 0;
    for (const float number : numbers) square += static_cast<double>(number) * static_cast<double>(number);
    EXPECT_NEAR(square / static_cast<double>(tensor.count), 1.0 / kHidden, 0.5 / kHidden);
  }
}

TEST(NetLearner, ModelsThatDoNotFitAreRefused) {
  onnx::ModelProto two = test::empty_model();
  test::add_input(two, "x", {1, 3});
  test::add_input(two, "u", {1, 3});
  test::add_output(two, "y", {1, 3});
  test::add_weight(two, "w", {3});
  test::add_node(two, "Add", {"x", "u"}, {"s"});
  test::add_node(two, "Add", {"s", "w"}, {"y"});
  const auto refused = NetModel::load(two.SerializeAsString(), "two.onnx", {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("two.onnx has 2 inputs"));
  EXPECT_FALSE(make_net_learner(load(), clusters(3), {}));
}

// Answers of another model leave this one alone, and lessons in parts are the lesson of the whole.
TEST(NetLearner, LearnsFromTheAnswersOfAnotherModel) {
  const auto data = clusters(1200);  // more than are computed at a time
  const auto model = load(), other = load();
  other->draw_weights(5);
  const auto rows = rows_from(0, data->size());
  const std::vector<float> before = model->numbers();
  const auto answers = model->answers(other->numbers(), *data, rows);
  ASSERT_TRUE(answers) << answers.error().message;
  EXPECT_EQ(answers->size(), data->size() * kClasses);
  EXPECT_EQ(model->numbers(), before);
  EXPECT_EQ(*other->answers(other->numbers(), *data, rows), *answers);
  EXPECT_NE(*model->answers(before, *data, rows), *answers);

  const std::vector<float> q = softmax_rows(*answers, kClasses, 2);
  const Lesson lesson{q, 0.3, 0.7, 2};
  const auto whole = model->gradient(*data, rows, 1, &lesson);
  ASSERT_TRUE(whole) << whole.error().message;
  const std::vector<float> gradient(model->net().gradients().begin(), model->net().gradients().end());
  std::vector<double> sum(gradient.size(), 0);
  constexpr std::size_t kPart = 300;
  for (std::size_t first = 0; first < rows.size(); first += kPart) {
    const Lesson of_part{std::span(q).subspan(first * kClasses, kPart * kClasses), 0.3, 0.7, 2};
    ASSERT_TRUE(model->gradient(*data, std::span(rows).subspan(first, kPart), 1, &of_part));
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(model->net().gradients()[i]) / 4;
  }
  double largest = 0;
  for (const float number : gradient) largest = std::max(largest, std::abs(static_cast<double>(number)));
  for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(gradient[i], sum[i], 2e-5 * largest);
  const Lesson wrong{std::span(q).first(q.size() - rows.size()), 0.3, 0.7, 2};
  EXPECT_FALSE(model->gradient(*data, rows, 1, &wrong));
}

}  // namespace
}  // namespace tideline::train
