// Nets against ONNX Runtime, segments against the whole, batches against single samples, and files that change in their weights
// only.
#include "train/engine/net.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "model/test_models.h"
#include "train/data/loss.h"
#include "train/engine/weights_file.h"
#include "zoo/zoo.h"

namespace tideline::train {
namespace {

using test::Dims;
using ::testing::HasSubstr;

Tensor random_tensor(const std::string& name, const Dims& shape, unsigned seed) {
  Tensor tensor{.spec = {.name = name, .dtype = DType::kFloat32, .shape = shape}, .data = {}};
  tensor.data = Buffer(byte_size(DType::kFloat32, shape).value());
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  auto* numbers = reinterpret_cast<float*>(tensor.data.data());
  for (std::size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) numbers[i] = normal(random);
  return tensor;
}

std::span<const float> floats(const Tensor& tensor) {
  return {reinterpret_cast<const float*>(tensor.data.data()), tensor.data.size() / sizeof(float)};
}

std::unique_ptr<Net> load(const std::string& file) {
  auto net = Net::load(file, "net.onnx");
  if (!net) {
    ADD_FAILURE() << net.error().message;
    return nullptr;
  }
  return std::move(net).value();
}

std::vector<float> inference(Net& net, const Tensor& input) {
  auto pass = net.forward(net.whole(), {view(input)}, {.gradients = false});
  if (!pass) {
    ADD_FAILURE() << pass.error().message;
    return {};
  }
  const auto values = floats((*pass)->outputs().front());
  return {values.begin(), values.end()};
}

std::vector<float> onnx_runtime(const std::string& file, const Tensor& input) {
  const auto engine = make_engine({.threads = 1});
  const auto session = (*engine)->load_onnx(file, {});
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return {};
  }
  std::vector<RunOutput> outputs((*session)->outputs().size());
  const TensorView given = view(input);
  const Status status = (*session)->run({&given, 1}, outputs, {});
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  std::vector<float> values(outputs.front().bytes.size() / sizeof(float));
  std::memcpy(values.data(), outputs.front().bytes.data(), outputs.front().bytes.size());
  return values;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (const float value : values) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}
double distance(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  return most;
}

// The large ones have the same operators and take gigabytes: with TIDELINE_TEST_LARGE=1 all of the zoo is tried.
std::vector<std::string> tried_networks() {
  if (std::getenv("TIDELINE_TEST_LARGE") == nullptr)
    return {"lenet5", "squeezenet", "shufflenet", "mobilenet-v1", "mobilenet-v2"};
  std::vector<std::string> names;
  for (const ZooEntry& entry : zoo_entries()) names.emplace_back(entry.name);
  return names;
}

class ZooNets : public ::testing::TestWithParam<std::string> {};

TEST_P(ZooNets, AnswerAsOnnxRuntimeAndForAnyBatch) {
  const std::string file = zoo_model(GetParam(), 1).value();
  const ZooCounts counts = zoo_counts(GetParam()).value();
  const auto net = load(file);
  ASSERT_NE(net, nullptr);
  EXPECT_EQ(net->parameters().size(), counts.parameters);
  EXPECT_EQ(net->buffers().size(), counts.running_averages);
  const Tensor one = random_tensor("input", counts.input_shape, 5);
  const Tensor other = random_tensor("input", counts.input_shape, 6);
  const auto expected = onnx_runtime(file, one);
  const auto answer = inference(*net, one);
  EXPECT_GT(largest(expected), 0);
  EXPECT_LE(distance(answer, expected), 1e-4 * largest(expected));

  Dims shape = counts.input_shape;
  shape[0] = 2;
  Tensor both{.spec = {.name = "input", .dtype = DType::kFloat32, .shape = shape}, .data = Buffer(2 * one.data.size())};
  std::memcpy(both.data.data(), one.data.data(), one.data.size());
  std::memcpy(both.data.data() + one.data.size(), other.data.data(), other.data.size());
  const auto pair = inference(*net, both);
  ASSERT_EQ(pair.size(), 2 * answer.size());
  const std::span<const float> rows(pair);
  EXPECT_LE(distance(rows.first(answer.size()), answer), 1e-4 * largest(answer));
  EXPECT_LE(distance(rows.last(answer.size()), inference(*net, other)), 1e-4 * largest(answer));
}

INSTANTIATE_TEST_SUITE_P(Zoo, ZooNets, ::testing::ValuesIn(tried_networks()), [](const auto& tried) {
  std::string name = tried.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

const std::vector<std::int32_t> kLabels = {3, 1, 9, 0};

TEST(Net, TrainsAndTheFileAnswersAsTheNet) {
  const std::string file = zoo_model("lenet5", 4).value();
  const auto net = load(file);
  ASSERT_NE(net, nullptr);
  const Tensor batch = random_tensor("input", {4, 1, 32, 32}, 3);
  double first = 0, last = 0;
  for (int step = 0; step < 30; ++step) {
    net->clear_gradients();
    auto pass = net->forward(net->to_logits(), {view(batch)}, {.training = true});
    ASSERT_TRUE(pass) << pass.error().message;
    const auto loss = cross_entropy(view((*pass)->outputs().front()), kLabels);
    ASSERT_TRUE(loss) << loss.error().message;
    ASSERT_TRUE((*pass)->backward({view(loss->gradient)}));
    for (std::size_t i = 0; i < net->parameters().size(); ++i) net->parameters()[i] -= 0.05F * net->gradients()[i];
    (step == 0 ? first : last) = loss->mean;
  }
  EXPECT_LT(last, first / 5);
  const auto trained = net->onnx_file();
  ASSERT_TRUE(trained) << trained.error().message;
  const Tensor one = random_tensor("input", {1, 1, 32, 32}, 8);
  EXPECT_LE(distance(onnx_runtime(*trained, one), inference(*net, one)), 1e-5);
  EXPECT_GT(distance(onnx_runtime(file, one), inference(*net, one)), 1e-3);
  // Read again, it is the same net to the last bit.
  const auto again = load(*trained);
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(std::memcmp(again->parameters().data(), net->parameters().data(), net->parameters().size_bytes()), 0);
}

// The step of a whole batch with and without a cut, and twice, has the same bits.
TEST(Net, SegmentsTrainAsTheWhole) {
  const std::string file = zoo_model("lenet5", 4).value();
  const auto whole = load(file), parts = load(file);
  ASSERT_NE(whole, nullptr);
  ASSERT_NE(parts, nullptr);
  const Tensor batch = random_tensor("input", {4, 1, 32, 32}, 3);
  auto pass = whole->forward(whole->to_logits(), {view(batch)}, {.training = true});
  ASSERT_TRUE(pass);
  const auto loss = cross_entropy(view((*pass)->outputs().front()), kLabels);
  ASSERT_TRUE((*pass)->backward({view(loss->gradient)}));
  ASSERT_GT(largest(whole->gradients()), 0);
  const std::size_t end = whole->to_logits().last;
  for (std::size_t cut = 1; cut < end; ++cut) {
    parts->clear_gradients();
    auto head = parts->forward({0, cut}, {view(batch)}, {.training = true});
    ASSERT_TRUE(head) << head.error().message;
    ASSERT_EQ(parts->outputs_of({0, cut}), parts->inputs_of({cut, end})) << cut;
    auto tail = parts->forward({cut, end}, {view((*head)->outputs().front())}, {.training = true, .input_gradients = true});
    ASSERT_TRUE(tail) << tail.error().message;
    auto back = (*tail)->backward({view(loss->gradient)});
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_EQ(back->size(), 1U);
    ASSERT_TRUE((*head)->backward({view(back->front())}));
    EXPECT_EQ(std::memcmp(parts->gradients().data(), whole->gradients().data(), whole->gradients().size_bytes()), 0) << cut;
  }
}

// What GPipe and synchronous SGD rest on: gradients of parts, each of its mean loss, average to that of the whole batch.
TEST(Net, PartsOfABatchAverageToTheWhole) {
  const auto net = load(zoo_model("lenet5", 4).value());
  ASSERT_NE(net, nullptr);
  constexpr std::size_t kRows = 12;
  const Tensor batch = random_tensor("input", {kRows, 1, 32, 32}, 3);
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < kRows; ++i) labels.push_back(static_cast<std::int32_t>(i * 7 % 10));
  const auto gradient = [&](std::size_t parts) {
    net->clear_gradients();
    const std::size_t rows = kRows / parts;
    for (std::size_t k = 0; k < parts; ++k) {
      const TensorSpec spec{"input", DType::kFloat32, {static_cast<std::int64_t>(rows), 1, 32, 32}};
      const std::size_t bytes = batch.data.size() / parts;
      auto pass = net->forward(net->to_logits(), {{&spec, batch.data.span().subspan(k * bytes, bytes)}}, {.training = true});
      auto loss = cross_entropy(view((*pass)->outputs().front()), std::span(labels).subspan(k * rows, rows));
      EXPECT_TRUE((*pass)->backward({view(loss->gradient)}));
    }
    std::vector<float> mean(net->gradients().begin(), net->gradients().end());
    for (float& value : mean) value /= static_cast<float>(parts);
    return mean;
  };
  const std::vector<float> whole = gradient(1);
  ASSERT_GT(largest(whole), 0);
  for (const std::size_t parts : {2U, 3U, 4U, 12U}) EXPECT_LE(distance(gradient(parts), whole), 2e-5 * largest(whole)) << parts;
}

// Cut across a diamond: two tensors cross, and both ways' gradients add up.
TEST(Net, SegmentsWithSeveralTensorsAtTheCut) {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {2, 4});
  test::add_weight(model, "w", {4, 4}, 0.3F);
  test::add_node(model, "MatMul", {"x", "w"}, {"top"});
  test::add_node(model, "Sigmoid", {"top"}, {"left"});
  test::add_node(model, "Tanh", {"top"}, {"right"});
  test::add_node(model, "Mul", {"left", "right"}, {"y"});
  test::add_output(model, "y", {2, 4});
  const auto whole = load(model.SerializeAsString()), parts = load(model.SerializeAsString());
  ASSERT_NE(whole, nullptr);
  const Tensor batch = random_tensor("x", {2, 4}, 3), gradient = random_tensor("y", {2, 4}, 9);
  auto pass = whole->forward(whole->whole(), {view(batch)}, {});
  ASSERT_TRUE((*pass)->backward({view(gradient)}));
  auto head = parts->forward({0, 3}, {view(batch)}, {});
  EXPECT_EQ(parts->outputs_of({0, 3}), (std::vector<std::string>{"left", "right"}));
  auto tail = parts->forward({3, 4}, {view((*head)->outputs()[0]), view((*head)->outputs()[1])}, {.input_gradients = true});
  const auto back = (*tail)->backward({view(gradient)});
  ASSERT_TRUE(back);
  ASSERT_TRUE((*head)->backward({view((*back)[0]), view((*back)[1])}));
  EXPECT_GT(largest(whole->gradients()), 0);
  EXPECT_LE(distance(parts->gradients(), whole->gradients()), 1e-6 * largest(whole->gradients()));
}

TEST(Net, RunningStatisticsAreThoseOfThePopulation) {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {2, 1, 1, 2});
  test::add_weight(model, "scale", {1});
  test::add_weight(model, "bias", {1}, 0);
  test::add_weight(model, "mean", {1}, 0);
  test::add_weight(model, "variance", {1}, 1);
  auto* node = test::add_node(model, "BatchNormalization", {"x", "scale", "bias", "mean", "variance"}, {"y"});
  test::add_attribute(node, "momentum", onnx::AttributeProto::FLOAT)->set_f(0.75F);
  test::add_output(model, "y", {2, 1, 1, 2});
  const auto net = load(model.SerializeAsString());
  ASSERT_NE(net, nullptr);
  Tensor batch = random_tensor("x", {2, 1, 1, 2}, 1);
  const float values[] = {1, 2, 3, 6};  // mean 3, variance of the population 3.5, of a sample 4.67
  std::memcpy(batch.data.data(), values, sizeof values);
  ASSERT_TRUE(net->forward(net->whole(), {view(batch)}, {.training = true}));
  EXPECT_FLOAT_EQ(net->buffers()[0], 0.25F * 3);
  EXPECT_FLOAT_EQ(net->buffers()[1], 0.75F + 0.25F * 3.5F);
  ASSERT_TRUE(net->forward(net->whole(), {view(batch)}, {.training = false}));
  EXPECT_FLOAT_EQ(net->buffers()[0], 0.25F * 3);
}

TEST(Net, DropoutFollowsItsSeed) {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, 64});
  test::add_weight(model, "bias", {64});
  test::add_node(model, "Add", {"x", "bias"}, {"b"});
  test::add_node(model, "Dropout", {"b"}, {"y"});
  test::add_output(model, "y", {1, 64});
  const auto net = load(model.SerializeAsString());
  ASSERT_NE(net, nullptr);
  const Tensor batch = random_tensor("x", {1, 64}, 1);
  const auto run = [&](bool training, std::uint64_t seed) {
    auto pass = net->forward(net->whole(), {view(batch)}, {.training = training, .seed = seed});
    const auto values = floats((*pass)->outputs().front());
    return std::vector<float>(values.begin(), values.end());
  };
  EXPECT_EQ(run(true, 1), run(true, 1));
  EXPECT_NE(run(true, 1), run(true, 2));
  EXPECT_NE(run(true, 1), run(false, 1));
}

TEST(Net, SaysWhatDoesNotTrain) {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, 4});
  test::add_weight(model, "w", {1, 4});
  test::add_node(model, "Add", {"x", "w"}, {"b"});
  test::add_node(model, "Erf", {"b"}, {"y"});
  test::add_output(model, "y", {1, 4});
  const auto refused = Net::load(model.SerializeAsString(), "net.onnx");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("operator Erf of node 'y' does not train"));
  const auto nothing = Net::load(test::chain_model(2).SerializeAsString(), "net.onnx");
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message, HasSubstr("nothing to train"));
}

TEST(Net, SaysWhatDoesNotFit) {
  const auto net = load(zoo_model("lenet5", 1).value());
  ASSERT_NE(net, nullptr);
  const Tensor wrong = random_tensor("input", {1, 3, 32, 32}, 1);
  const auto refused = net->forward(net->whole(), {view(wrong)}, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("Conv"));
  EXPECT_FALSE(net->forward(net->whole(), {}, {}));
  EXPECT_FALSE(net->forward({3, 3}, {view(wrong)}, {}));
}

TEST(WeightsFile, ChangesNothingElse) {
  onnx::ModelProto model = test::empty_model();
  auto* listed = model.mutable_graph()->add_initializer();  // as a list of floats and not as bytes
  listed->set_name("listed");
  listed->set_data_type(onnx::TensorProto::FLOAT);
  listed->add_dims(3);
  for (int i = 0; i < 3; ++i) listed->add_float_data(1);
  test::add_weight(model, "raw", {2});
  std::string file = model.SerializeAsString();
  file += std::string("\xfa\x3f\x03new", 6);  // a field of a newer ONNX, number 1023
  const std::vector<float> a = {5, -6, 7}, b = {8, 9};
  const auto written = write_initializers(file, {{"raw", b}, {"listed", a}});
  ASSERT_TRUE(written) << written.error().message;
  const auto same = write_initializers(*written, {{"raw", std::vector<float>{1, 1}}, {"listed", std::vector<float>{1, 1, 1}}});
  EXPECT_EQ(*same, file);
  const onnx::ModelProto read = test::reread(*written);
  EXPECT_EQ(read.graph().initializer(0).float_data(1), -6);
  EXPECT_EQ(read.graph().initializer(1).raw_data(), std::string(reinterpret_cast<const char*>(b.data()), 8));
  EXPECT_TRUE(written->ends_with("new"));

  EXPECT_EQ(write_initializers(file, {{"other", a}}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(write_initializers(file, {{"raw", a}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(write_initializers(std::string_view(file).substr(0, 20), {{"raw", b}}).error().code, ErrorCode::kCorrupt);
}

TEST(CrossEntropy, IsTheMeanAndItsGradient) {
  Tensor logits = random_tensor("z", {4, 10}, 2);
  const auto loss = cross_entropy(view(logits), kLabels);
  ASSERT_TRUE(loss) << loss.error().message;
  auto* z = reinterpret_cast<float*>(logits.data.data());
  for (const std::size_t k : {0U, 3U, 11U, 29U}) {
    const float kept = z[k];
    z[k] = kept + 1e-2F;
    const double above = cross_entropy(view(logits), kLabels)->mean;
    z[k] = kept - 1e-2F;
    const double below = cross_entropy(view(logits), kLabels)->mean;
    z[k] = kept;
    EXPECT_NEAR(floats(loss->gradient)[k], (above - below) / 2e-2, 1e-5);
  }
  z[0] = 1000;  // large logits stay finite
  EXPECT_GT(cross_entropy(view(logits), kLabels)->mean, 200);
  EXPECT_TRUE(std::isfinite(cross_entropy(view(logits), kLabels)->mean));
  EXPECT_EQ(cross_entropy(view(logits), std::vector<std::int32_t>{0, 1, 2, 10}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(cross_entropy(view(logits), std::vector<std::int32_t>{0, 1}).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tideline::train
