// LeNet-5 of the zoo trained on Fashion-MNIST by one worker: what the engine reaches and takes. Markdown.
//   train_bench FOLDER_OF_FASHION_MNIST [SEEDS]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>

#include <fmt/format.h>

#include "train/data/data_set.h"
#include "train/data/loss.h"
#include "train/engine/net.h"
#include "zoo/zoo.h"

using namespace tideline;
using namespace tideline::train;

namespace {

constexpr int kEpochs = 6;
constexpr std::size_t kBatch = 64;
constexpr double kRate = 0.05;  // falls to zero along a cosine
constexpr float kMomentum = 0.9F;
const SampleForm kForm{.shape = {1, 32, 32}, .mean = 0.2860F, .std = 0.3530F};

std::vector<std::int32_t> labels_of(const DataSet& data, std::span<const std::uint32_t> rows) {
  std::vector<std::int32_t> labels;
  for (const std::uint32_t row : rows) labels.push_back(data.labels[row]);
  return labels;
}

// The zoo's weights are made for timing; training starts from N(0, 1 / fan-in).
void draw_weights(Net& net, std::mt19937_64& random) {
  for (const FlatTensor& tensor : net.parameter_list()) {
    const std::span<float> numbers = net.parameters().subspan(tensor.offset, tensor.count);
    const double fan_in = static_cast<double>(tensor.count) / static_cast<double>(tensor.shape.front());
    std::normal_distribution<double> normal(0, 1 / std::sqrt(fan_in));
    for (float& number : numbers) number = tensor.shape.size() < 2 ? 0.0F : static_cast<float>(normal(random));
  }
}

Result<double> accuracy(Net& net, const DataSet& data) {
  std::size_t correct = 0;
  for (std::size_t first = 0; first < data.size(); first += 500) {
    std::vector<std::uint32_t> rows(std::min<std::size_t>(500, data.size() - first));
    std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(first));
    TIDELINE_TRY(const Tensor batch, make_batch(data, rows, kForm));
    TIDELINE_TRY(const auto pass, net.forward(net.to_logits(), {view(batch)}, {.gradients = false}));
    TIDELINE_TRY(const Loss loss, cross_entropy(view(pass->outputs().front()), labels_of(data, rows)));
    correct += loss.correct;
  }
  return static_cast<double>(correct) / static_cast<double>(data.size());
}

Status train_one(const DataSet& train, const DataSet& test, std::uint64_t seed) {
  TIDELINE_TRY(const std::string file, zoo_model("lenet5", seed));
  TIDELINE_TRY(const auto net, Net::load(file, "lenet5"));
  std::mt19937_64 random(seed);
  draw_weights(*net, random);
  std::vector<float> speed(net->parameters().size(), 0);
  std::vector<std::uint32_t> order(train.size());
  std::iota(order.begin(), order.end(), 0U);
  const std::size_t steps = train.size() / kBatch * kEpochs;
  std::size_t step = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int epoch = 1; epoch <= kEpochs; ++epoch) {
    std::shuffle(order.begin(), order.end(), random);
    double sum = 0;
    for (std::size_t first = 0; first + kBatch <= train.size(); first += kBatch, ++step) {
      const std::span<const std::uint32_t> rows(order.data() + first, kBatch);
      TIDELINE_TRY(const Tensor batch, make_batch(train, rows, kForm));
      net->clear_gradients();
      TIDELINE_TRY(const auto pass, net->forward(net->to_logits(), {view(batch)}, {.training = true, .seed = step}));
      TIDELINE_TRY(const Loss loss, cross_entropy(view(pass->outputs().front()), labels_of(train, rows)));
      TIDELINE_TRY(const auto none, pass->backward({view(loss.gradient)}));
      sum += loss.mean;
      const auto rate =
          static_cast<float>(kRate * 0.5 * (1 + std::cos(M_PI * static_cast<double>(step) / static_cast<double>(steps))));
      for (std::size_t i = 0; i < speed.size(); ++i) {
        speed[i] = kMomentum * speed[i] + net->gradients()[i];
        net->parameters()[i] -= rate * speed[i];
      }
    }
    TIDELINE_TRY(const double right, accuracy(*net, test));
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("| {} | {} | {:.4f} | {:.2f} % | {:.1f} |\n", seed, epoch, sum / static_cast<double>(train.size() / kBatch),
               100 * right, seconds);
    std::fflush(stdout);
  }
  return {};
}

Status run(const std::string& prefix, int seeds) {
  TIDELINE_TRY(const DataSet train, read_data("idx:" + prefix + "/train"));
  TIDELINE_TRY(const DataSet test, read_data("idx:" + prefix + "/t10k"));
  fmt::print("| seed | epoch | training loss | test accuracy | seconds |\n|---|---|---|---|---|\n");
  for (int seed = 1; seed <= seeds; ++seed) TIDELINE_CHECK_OK(train_one(train, test, static_cast<std::uint64_t>(seed)));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "train_bench FOLDER_OF_FASHION_MNIST [SEEDS]\n");
    return 2;
  }
  const Status status = run(argv[1], argc > 2 ? std::atoi(argv[2]) : 5);
  if (!status) fmt::print(stderr, "{}\n", status.error().message);
  return status ? 0 : 1;
}
