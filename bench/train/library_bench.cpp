// What interpreting a graph costs: a step of LeNet-5's training by our engine over the same step written against the library,
// in turn, from the same weights on the same batches. Markdown.
//   library_bench FOLDER_OF_FASHION_MNIST [STEPS]
// Both with one thread, momentum and batches of 64. The losses have to agree, or it is not the same loop.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>
#include <torch/torch.h>

#include "train/data/data_set.h"
#include "train/data/loss.h"
#include "train/engine/net.h"
#include "zoo/zoo.h"

using namespace tideline;
using namespace tideline::train;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 64;
constexpr float kRate = 0.02F;
constexpr float kMomentum = 0.9F;
const SampleForm kForm{.shape = {1, 32, 32}, .mean = 0.2860F, .std = 0.3530F};

// LeNet-5 as somebody writes it who has only the library.
struct LeNet : torch::nn::Module {
  torch::nn::Conv2d c1{nullptr}, c3{nullptr}, c5{nullptr};
  torch::nn::Linear f6{nullptr}, f7{nullptr};
  LeNet() {
    c1 = register_module("c1", torch::nn::Conv2d(1, 6, 5));
    c3 = register_module("c3", torch::nn::Conv2d(6, 16, 5));
    c5 = register_module("c5", torch::nn::Conv2d(16, 120, 5));
    f6 = register_module("f6", torch::nn::Linear(120, 84));
    f7 = register_module("f7", torch::nn::Linear(84, 10));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = torch::avg_pool2d(torch::tanh(c1(x)), 2, 2);
    x = torch::avg_pool2d(torch::tanh(c3(x)), 2, 2);
    x = torch::tanh(c5(x)).flatten(1);
    return f7(torch::tanh(f6(x)));
  }
};

// The library's parameters take the numbers of ours, by the order in which the layers come.
Status copy_weights(Net& net, LeNet& lenet) {
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> theirs = lenet.parameters();
  const std::vector<FlatTensor>& ours = net.parameter_list();
  if (ours.size() != theirs.size()) return Error{ErrorCode::kInternal, "library_bench: other parameters than LeNet-5's"};
  std::vector<bool> taken(ours.size(), false);
  for (torch::Tensor& tensor : theirs) {
    bool found = false;
    for (std::size_t i = 0; i < ours.size() && !found; ++i) {
      if (taken[i] || std::vector<std::int64_t>(tensor.sizes().begin(), tensor.sizes().end()) != ours[i].shape) continue;
      std::copy_n(net.parameters().data() + ours[i].offset, ours[i].count, tensor.data_ptr<float>());
      taken[i] = found = true;
    }
    if (!found) return Error{ErrorCode::kInternal, "library_bench: a parameter of the library has no counterpart"};
  }
  return {};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Status run(const std::string& prefix, std::size_t steps) {
  TIDELINE_TRY(const DataSet train, read_data("idx:" + prefix + "/train"));
  TIDELINE_TRY(const std::string file, zoo_model("lenet5", 1));
  TIDELINE_TRY(const auto net, Net::load(file, "lenet5"));
  LeNet lenet;
  TIDELINE_CHECK_OK(copy_weights(*net, lenet));
  torch::optim::SGD optimiser(lenet.parameters(), torch::optim::SGDOptions(kRate).momentum(kMomentum));
  std::vector<float> speed(net->parameters().size(), 0);
  std::vector<double> our_ms, their_ms, ratios;
  double largest = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    std::vector<std::uint32_t> rows(kBatch);
    std::vector<std::int32_t> labels;
    for (std::size_t i = 0; i < kBatch; ++i) {
      rows[i] = static_cast<std::uint32_t>((step * kBatch + i) % train.size());
      labels.push_back(train.labels[rows[i]]);
    }
    TIDELINE_TRY(Tensor batch, make_batch(train, rows, kForm));  // the same for both, and not timed

    const auto begin = Clock::now();
    net->clear_gradients();
    TIDELINE_TRY(const auto pass, net->forward(net->to_logits(), {view(batch)}, {.training = true, .seed = step}));
    TIDELINE_TRY(const Loss loss, cross_entropy(view(pass->outputs().front()), labels));
    TIDELINE_TRY(const auto none, pass->backward({view(loss.gradient)}));
    for (std::size_t i = 0; i < speed.size(); ++i) {
      speed[i] = kMomentum * speed[i] + net->gradients()[i];
      net->parameters()[i] -= kRate * speed[i];
    }
    const auto middle = Clock::now();
    const torch::Tensor x =
        torch::from_blob(const_cast<std::byte*>(view(batch).bytes.data()), {kBatch, 1, 32, 32}, torch::kFloat32);
    const torch::Tensor y = torch::tensor(std::vector<std::int64_t>(labels.begin(), labels.end()));
    optimiser.zero_grad();
    const torch::Tensor their_loss = torch::nll_loss(torch::log_softmax(lenet.forward(x), 1), y);
    their_loss.backward();
    optimiser.step();
    const auto end = Clock::now();

    if (step < 20) largest = std::max(largest, std::abs(loss.mean / their_loss.item<double>() - 1));
    if (step < 10) continue;
    our_ms.push_back(std::chrono::duration<double, std::milli>(middle - begin).count());
    their_ms.push_back(std::chrono::duration<double, std::milli>(end - middle).count());
    ratios.push_back(their_ms.back() / our_ms.back());
  }
  if (!(largest < 1e-3))
    return Error{ErrorCode::kInternal, fmt::format("library_bench: the losses differ by {:.1e}: not the same loop", largest)};
  fmt::print(
      "| steps | ours | the library alone | speed over the library's | losses of the first 20 steps differ by |\n"
      "|---|---|---|---|---|\n| {} | {:.3f} ms | {:.3f} ms | **{:.2f}** | {:.1e} |\n",
      our_ms.size(), median(our_ms), median(their_ms), median(ratios), largest);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "library_bench FOLDER_OF_FASHION_MNIST [STEPS]\n");
    return 2;
  }
  const Status status = run(argv[1], argc > 2 ? static_cast<std::size_t>(std::max(11, std::atoi(argv[2]))) : 1000);
  if (!status) fmt::print(stderr, "{}\n", status.error().message);
  return status ? 0 : 1;
}
