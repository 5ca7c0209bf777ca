// The law on the zoo: for every single-tensor cut, the model in two pieces answers what the whole model answers, with the same
// thread count; so do seeded multi-tensor cuts and splits into several pieces.
//
// AlexNet, VGG-16, VGG-19 and YOLOv2 would take minutes that way, for weights and layers far away from the cut, so their chain is
// first cut into windows: every cut inside a window is tried between the window's ends, on the real tensor that arrives there,
// all windows in a row must answer what the whole model answers, and a seeded sample is split in two.
#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "split_support.h"
#include "zoo/zoo.h"

namespace tideline::agree {
namespace {

constexpr std::uint32_t kSeed = 20'181;

std::unique_ptr<SplitModel> split_model(const std::string& name) {
  auto onnx = zoo_model(name, 1);
  EXPECT_TRUE(onnx);
  auto split = SplitModel::make(engine(), std::move(*onnx), name);
  EXPECT_TRUE(split) << split.error().message;
  return split ? std::move(*split) : nullptr;
}

std::string after(const Chain& chain, std::uint32_t cut) {
  return fmt::format("at cut {}, after {}", cut, chain.blocks[cut - 1].name);
}

std::string test_name(const testing::TestParamInfo<std::string>& parameter) {
  std::string name = parameter.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

class Small : public testing::TestWithParam<std::string> {};

TEST_P(Small, EveryCutSplitsInTwo) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split);
  const Chain& chain = split->chain();
  Tally tally(GetParam());
  std::vector<std::uint32_t> unlike;
  for (std::uint32_t cut = 1; cut < chain.block_count(); ++cut) {
    ASSERT_EQ(chain.cuts[cut].tensors.size(), 1u);
    const auto difference = split->difference({cut});
    tally.add(after(chain, cut), difference);
    if (difference && !difference->is_identical) unlike.push_back(cut);
  }
  EXPECT_GE(tally.count(), 12u);  // LeNet-5 has as many
  tally.print();

  // Where the bits differ, the optimiser alone made them differ.
  split->set_optimized(false);
  Tally exact(GetParam() + " without optimiser");
  for (std::size_t i = 0; i < unlike.size(); i += 1 + unlike.size() / 5)
    exact.add(after(chain, unlike[i]), split->difference({unlike[i]}));
  EXPECT_EQ(exact.identical(), exact.count());
  exact.print();
}

TEST_P(Small, SeveralPiecesAndWideCuts) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split);
  Tally tally(GetParam() + " in pieces");
  for (const std::uint32_t width : {1u, 2u, 3u, 4u}) {
    ASSERT_TRUE(split->recut(width));
    const Chain& chain = split->chain();
    for (std::uint32_t pieces = 3; pieces <= 4; ++pieces) {
      std::vector<std::uint32_t> cuts = sample(1, chain.block_count(), pieces - 1, kSeed + width * 10 + pieces);
      std::sort(cuts.begin(), cuts.end());
      tally.add(fmt::format("of width {} at cuts {}", width, fmt::join(cuts, ", ")), split->difference(cuts));
    }
    // A chain without branches has no wide cuts.
    int wide = 0;
    for (const std::uint32_t cut : sample(1, chain.block_count(), chain.block_count(), kSeed + width))
      if (chain.cuts[cut].tensors.size() > 1 && wide++ < 3) tally.add(after(chain, cut), split->difference({cut}));
  }
  tally.print();
}

INSTANTIATE_TEST_SUITE_P(Zoo, Small,
                         testing::Values("inception-v3", "lenet5", "mobilenet-v1", "mobilenet-v2", "resnet50", "shufflenet",
                                         "squeezenet", "xception"),
                         test_name);

class Large : public testing::TestWithParam<std::string> {};

// Ends of windows: none has more than a fifth of the work or 128 MB of weights, unless it is one block.
std::vector<std::uint32_t> window_ends(const Chain& chain) {
  constexpr Bytes kWeightsMax = 128'000'000;
  std::uint64_t total = 0;
  for (const Block& block : chain.blocks) total += block.flops;
  std::vector<std::uint32_t> ends;
  std::uint64_t flops = 0;
  Bytes weights = 0;
  for (std::uint32_t i = 0; i < chain.block_count(); ++i) {
    const Block& block = chain.blocks[i];
    const bool is_full = flops + block.flops > total / 5 || weights + block.parameter_bytes > kWeightsMax;
    if (i > 0 && is_full && (ends.empty() || ends.back() != i)) {
      ends.push_back(i);
      flops = weights = 0;
    }
    flops += block.flops;
    weights += block.parameter_bytes;
  }
  ends.push_back(chain.block_count());
  return ends;
}

TEST_P(Large, EveryCutSplitsWithinItsWindow) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split);
  const Chain& chain = split->chain();
  Tally tally(GetParam());
  Tensors now;
  for (const auto& [name, tensor] : split->inputs()) now.emplace(name, Tensor{tensor.spec, Buffer::copy_of(tensor.data.span())});
  std::uint32_t first = 0;
  for (const std::uint32_t end : window_ends(chain)) {
    auto made = split->run_segment(now, first, end - 1);
    ASSERT_TRUE(made) << made.error().message;
    for (std::uint32_t cut = first + 1; cut < end; ++cut) {
      const auto head = split->run_segment(now, first, cut - 1);
      ASSERT_TRUE(head) << head.error().message;
      const auto tail = split->run_segment(*head, cut, end - 1);
      ASSERT_TRUE(tail) << tail.error().message;
      tally.add(after(chain, cut), split->difference_at(end, *made, *tail));
    }
    now = std::move(*made);
    first = end;
  }
  const auto whole = split->whole();
  ASSERT_TRUE(whole) << whole.error().message;
  tally.add(fmt::format("at the windows' ends {}", fmt::join(window_ends(chain), ", ")),
            split->difference_at(chain.block_count(), **whole, now));
  EXPECT_EQ(tally.count() + window_ends(chain).size() - 1, chain.block_count());  // every cut once
  for (const std::uint32_t cut : sample(1, chain.block_count(), 2, kSeed))
    tally.add("in two " + after(chain, cut), split->difference({cut}));
  tally.print();
}

INSTANTIATE_TEST_SUITE_P(Zoo, Large, testing::Values("alexnet", "vgg16", "vgg19", "yolov2"), test_name);

}  // namespace
}  // namespace tideline::agree
