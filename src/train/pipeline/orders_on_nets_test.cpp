// Goal: the orders, carried out on a network, train as published. Method: LeNet-5 in three segments, one Net for each stage;
// GPipe's gradient against that of the whole batch, 1F1B with stashed weights against SGD with each stage's delay in one Net.
#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "train/data/loss.h"
#include "train/engine/net.h"
#include "train/pipeline/schedule.h"
#include "zoo/zoo.h"

namespace tideline::train {
namespace {

constexpr std::size_t kRows = 4;
constexpr std::uint32_t kStages = 3;
constexpr float kRate = 0.05F;

using Numbers = std::vector<float>;

struct MicroBatch {
  Tensor input;
  std::vector<std::int32_t> labels;
};

MicroBatch micro_batch(std::size_t rows, unsigned seed) {
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(rows), 1, 32, 32};
  MicroBatch made{{.spec = {.name = "input", .dtype = DType::kFloat32, .shape = shape}, .data = {}}, {}};
  made.input.data = Buffer(rows * 32 * 32 * sizeof(float));
  auto* numbers = reinterpret_cast<float*>(made.input.data.data());
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (std::size_t i = 0; i < rows * 32 * 32; ++i) numbers[i] = normal(random);
  for (std::size_t i = 0; i < rows; ++i) made.labels.push_back(static_cast<std::int32_t>((i * 7 + seed) % 10));
  return made;
}

std::unique_ptr<Net> lenet() {
  auto net = Net::load(zoo_model("lenet5", 4).value(), "lenet5.onnx");
  return net ? std::move(net).value() : nullptr;
}

Numbers copy(std::span<const float> numbers) { return {numbers.begin(), numbers.end()}; }

double distance(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

double largest(std::span<const float> numbers) { return distance(numbers, Numbers(numbers.size())); }

// The gradient of the mean loss of one micro-batch, at the parameters that the net has.
void whole_gradient(Net& net, const MicroBatch& batch) {
  net.clear_gradients();
  auto pass = net.forward(net.to_logits(), {view(batch.input)}, {.training = true});
  const auto loss = cross_entropy(view((*pass)->outputs().front()), batch.labels);
  ASSERT_TRUE((*pass)->backward({view(loss->gradient)}));
}

void step(Net& net) {
  for (std::size_t i = 0; i < net.parameters().size(); ++i) net.parameters()[i] -= kRate * net.gradients()[i];
}

// Three stages in one process: each step as soon as what it needs is there.
class Pipeline {
 public:
  explicit Pipeline(bool stash, bool updates) : stash_(stash), updates_(updates) {
    for (std::uint32_t s = 0; s < kStages; ++s) nets_.push_back(lenet());
    const std::size_t end = nets_[0]->to_logits().last;
    cuts_ = {0, end / 3, 2 * end / 3, end};
  }

  void run(const std::vector<std::vector<StageStep>>& orders, const std::vector<MicroBatch>& batches) {
    std::vector<std::size_t> done(kStages);
    for (bool moved = true; moved;) {
      moved = false;
      for (std::uint32_t s = 0; s < kStages; ++s)
        for (; done[s] < orders[s].size() && can(s, orders[s][done[s]]); ++done[s], moved = true)
          carry_out(s, orders[s][done[s]].kind, orders[s][done[s]].micro_batch, batches);
    }
    for (std::uint32_t s = 0; s < kStages; ++s) ASSERT_EQ(done[s], orders[s].size());
  }

  // Of all stages together: a parameter is that of the stage whose segment has it.
  Numbers gradients() {
    Numbers sum(nets_[0]->gradients().size());
    for (const auto& net : nets_)
      for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += net->gradients()[i];
    return sum;
  }
  std::span<const float> parameters(std::uint32_t stage) { return nets_[stage]->parameters(); }
  NodeRange segment(std::uint32_t stage) const { return {cuts_[stage], cuts_[stage + 1]}; }

 private:
  struct Held {
    std::unique_ptr<Pass> pass;
    Numbers parameters;
  };

  bool can(std::uint32_t stage, const StageStep& step) const {
    if (step.kind == StepKind::kForward) return stage == 0 || held_[stage - 1].contains(step.micro_batch);
    return stage + 1 == kStages || back_[stage + 1].contains(step.micro_batch);
  }

  void carry_out(std::uint32_t s, StepKind kind, std::uint32_t m, const std::vector<MicroBatch>& batches) {
    Net& net = *nets_[s];
    if (kind == StepKind::kForward) {
      const TensorView input = view(s == 0 ? batches[m].input : held_[s - 1].at(m).pass->outputs().front());
      auto pass = net.forward(segment(s), {input}, {.training = true, .input_gradients = s > 0});
      ASSERT_TRUE(pass);
      held_[s][m] = {std::move(pass).value(), copy(net.parameters())};
      return;
    }
    Held held = std::move(held_[s].extract(m).mapped());
    Tensor gradient;
    if (s + 1 == kStages)
      gradient = std::move(cross_entropy(view(held.pass->outputs().front()), batches[m].labels)->gradient);
    else
      gradient = std::move(back_[s + 1].extract(m).mapped());
    const Numbers latest = copy(net.parameters());
    if (stash_) std::copy(held.parameters.begin(), held.parameters.end(), net.parameters().begin());
    if (updates_) net.clear_gradients();
    auto back = held.pass->backward({view(gradient)});
    ASSERT_TRUE(back);
    if (s > 0) back_[s][m] = std::move(back->front());
    std::copy(latest.begin(), latest.end(), net.parameters().begin());
    if (updates_) step(net);
  }

  const bool stash_, updates_;
  std::vector<std::unique_ptr<Net>> nets_;
  std::vector<std::size_t> cuts_;
  std::map<std::uint32_t, Held> held_[kStages];
  std::map<std::uint32_t, Tensor> back_[kStages];  // gradients of a stage's inputs, until the stage before has used them
};

TEST(OrdersOnNets, GpipesGradientIsThatOfTheWholeBatch) {
  constexpr std::uint32_t kMicroBatches = 4;
  const MicroBatch whole = micro_batch(kRows * kMicroBatches, 1);
  std::vector<MicroBatch> parts;
  for (std::uint32_t m = 0; m < kMicroBatches; ++m) {
    parts.push_back(micro_batch(kRows, 0));
    const std::size_t bytes = parts[m].input.data.size();
    std::copy_n(whole.input.data.data() + m * bytes, bytes, parts[m].input.data.data());
    parts[m].labels.assign(whole.labels.begin() + m * kRows, whole.labels.begin() + (m + 1) * kRows);
  }
  const auto net = lenet();
  whole_gradient(*net, whole);
  Pipeline pipeline(false, false);
  pipeline.run(std::vector<std::vector<StageStep>>(kStages, gpipe_steps(kMicroBatches)), parts);
  Numbers mean = pipeline.gradients();
  for (float& number : mean) number /= kMicroBatches;
  EXPECT_GT(largest(mean), 0);
  EXPECT_LE(distance(mean, net->gradients()), 2e-5 * largest(net->gradients()));
}

// For each parameter the stage whose segment has it.
std::vector<std::uint32_t> owners(const Net& net, const Numbers* moved_by_stage) {
  std::vector<std::uint32_t> owner(moved_by_stage[0].size());
  for (const FlatTensor& tensor : net.parameter_list())
    for (std::uint32_t s = 0; s < kStages; ++s)
      if (largest(std::span(moved_by_stage[s]).subspan(tensor.offset, tensor.count)) > 0)
        std::fill_n(owner.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.count, s);
  return owner;
}

TEST(OrdersOnNets, OneForwardOneBackwardWithStashedWeightsIsDelayedSgd) {
  constexpr std::uint32_t kMicroBatches = 12;
  std::vector<MicroBatch> batches;
  std::vector<std::vector<StageStep>> orders;
  for (std::uint32_t m = 0; m < kMicroBatches; ++m) batches.push_back(micro_batch(kRows, m));
  for (std::uint32_t s = 0; s < kStages; ++s) orders.push_back(one_forward_one_backward_steps(kStages, s, kMicroBatches));
  Pipeline stashed(true, true), careless(false, true);
  stashed.run(orders, batches);
  careless.run(orders, batches);

  const auto net = lenet();
  const Numbers start = copy(net->parameters());
  Numbers moved[kStages];
  for (std::uint32_t s = 0; s < kStages; ++s) {
    moved[s] = copy(stashed.parameters(s));
    for (std::size_t i = 0; i < start.size(); ++i) moved[s][i] -= start[i];
  }
  const std::vector<std::uint32_t> owner = owners(*net, moved);
  std::vector<Numbers> versions{start};
  const auto undelayed = lenet();
  for (std::uint32_t m = 0; m < kMicroBatches; ++m) {
    for (std::size_t i = 0; i < start.size(); ++i) net->parameters()[i] = versions[stashed_version(kStages, owner[i], m)][i];
    whole_gradient(*net, batches[m]);
    std::copy(versions.back().begin(), versions.back().end(), net->parameters().begin());
    step(*net);
    versions.push_back(copy(net->parameters()));
    whole_gradient(*undelayed, batches[m]);
    step(*undelayed);
  }
  const auto together = [&](Pipeline& pipeline) {
    Numbers all(start.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = pipeline.parameters(owner[i])[i];
    return all;
  };
  const double moved_by = distance(versions.back(), start), tolerance = 1e-5 * moved_by;
  EXPECT_GT(moved_by, 0);
  EXPECT_LE(distance(together(stashed), versions.back()), tolerance);
  // It is neither SGD without a delay, nor the same without the stash.
  EXPECT_GT(distance(undelayed->parameters(), versions.back()), 100 * tolerance);
  EXPECT_GT(distance(together(careless), versions.back()), 100 * tolerance);
}

}  // namespace
}  // namespace tideline::train
