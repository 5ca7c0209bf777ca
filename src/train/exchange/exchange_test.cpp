// Goal: all-reduce gives everybody the same sum in the bytes of its formula; aggregation does what its rules say; codecs keep
// what they promise. Method: groups of threads inside this process with counted numbers, against sums written down plainly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <thread>

#include "train/exchange/aggregate.h"
#include "train/exchange/all_reduce.h"
#include "train/exchange/test_group.h"
#include "train/exchange/update_codec.h"

namespace tideline::train {
namespace {

using AllReduce = Status (*)(PeerGroup&, std::span<float>);

struct Reduced {
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<std::size_t> sent, sends;
};

Reduced reduce(AllReduce all_reduce, std::size_t p, std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1);
  Reduced result;
  result.inputs.assign(p, std::vector<float>(n));
  for (auto& input : result.inputs)
    for (float& number : input) number = normal(random);
  result.outputs = result.inputs;
  Post post(p);
  std::vector<std::thread> members;
  for (std::size_t rank = 0; rank < p; ++rank)
    members.emplace_back([&, rank] {
      PostGroup group(post, rank, p);
      const Status status = all_reduce(group, result.outputs[rank]);
      EXPECT_TRUE(status) << status.error().message;
    });
  for (std::thread& member : members) member.join();
  result.sent = post.sent;
  result.sends = post.sends;
  return result;
}

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

void expect_sums(const Reduced& result) {
  for (std::size_t i = 0; i < result.inputs.front().size(); ++i) {
    double sum = 0;
    for (const auto& input : result.inputs) sum += static_cast<double>(input[i]);
    EXPECT_NEAR(result.outputs.front()[i], sum, 1e-5);
  }
  for (const auto& output : result.outputs)
    ASSERT_TRUE(
        std::equal(output.begin(), output.end(), result.outputs.front().begin(), result.outputs.front().end(), same_bits));
}

TEST(AllReduce, TheRingSendsItsFormulaAndAllHaveTheSameBits) {
  for (std::size_t p = 1; p <= 8; ++p)
    for (const std::size_t n : {0U, 1U, 3U, 7U, 8U, 97U, 840U}) {
      SCOPED_TRACE(testing::Message() << p << " members, " << n << " numbers");
      const Reduced result = reduce(ring_all_reduce, p, n, 7);
      expect_sums(result);
      std::size_t total = 0;
      for (const std::size_t sent : result.sent) {
        total += sent;
        const double formula = 2.0 * static_cast<double>(n * (p - 1)) / static_cast<double>(p);
        if (n % p == 0)
          EXPECT_EQ(static_cast<double>(sent), formula);
        else
          EXPECT_LE(std::abs(static_cast<double>(sent) - formula), 2.0);
      }
      EXPECT_EQ(total, 2 * n * (p - 1));
      for (const std::size_t sends : result.sends) EXPECT_EQ(sends, 2 * (p - 1));
    }
}

TEST(AllReduce, TheTreeGoesUpAndDown) {
  for (std::size_t p = 1; p <= 9; ++p) {
    SCOPED_TRACE(p);
    const Reduced result = reduce(tree_all_reduce, p, 31, 3);
    expect_sums(result);
    std::size_t sends = 0;
    for (const std::size_t each : result.sends) sends += each;
    EXPECT_EQ(sends, 2 * (p - 1));
    EXPECT_EQ(result.sends.front(), static_cast<std::size_t>(std::ceil(std::log2(p))));
  }
}

TEST(AllReduce, TheSameMembersGiveTheSameBitsAgain) {
  for (const AllReduce all_reduce : {ring_all_reduce, tree_all_reduce})
    EXPECT_EQ(reduce(all_reduce, 5, 101, 11).outputs, reduce(all_reduce, 5, 101, 11).outputs);
}

RC_GTEST_PROP(AllReduce, RingPartsCoverEveryNumberOnce, (std::uint16_t n, std::uint8_t p)) {
  RC_PRE(p > 0);
  std::size_t at = 0;
  for (std::size_t k = 0; k < p; ++k) {
    const RingPart part = ring_part(n, p, k);
    RC_ASSERT(part.first == at);
    RC_ASSERT(part.last - part.first <= n / std::size_t{p} + 1);
    at = part.last;
  }
  RC_ASSERT(at == n);
}

std::vector<Contribution> of(std::vector<std::vector<float>> updates) {
  std::vector<Contribution> all;
  for (std::uint32_t k = 0; k < updates.size(); ++k) all.push_back({k, 1, updates[k]});
  return all;
}

TEST(Aggregate, MeanCountsWeights) {
  std::vector<Contribution> two = of({{1, 10}, {4, 40}});
  two[1].weight = 2;
  EXPECT_THAT(*aggregate({}, two), testing::ElementsAre(3, 30));
}

TEST(Aggregate, RobustRulesByHand) {
  const auto five = of({{1, 5}, {2, 4}, {3, 3}, {4, 2}, {1000, -1000}});
  EXPECT_THAT(*aggregate({Aggregation::kMedian, 0}, five), testing::ElementsAre(3, 3));
  EXPECT_THAT(*aggregate({Aggregation::kTrimmedMean, 1}, five), testing::ElementsAre(3, 3));
  EXPECT_THAT(*aggregate({Aggregation::kMedian, 0}, of({{1}, {2}, {3}, {10}})), testing::ElementsAre(2.5F));
  // Scores of krum with one hostile: the two nearest others. 2 has 1 + 1, 3 has 1 + 1; the first of equal ones wins.
  EXPECT_THAT(*aggregate({Aggregation::kKrum, 1}, of({{1}, {2}, {3}, {4}, {1000}})), testing::ElementsAre(2));
  const auto few = aggregate({Aggregation::kKrum, 1}, of({{1}, {2}, {3}}));
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().code, ErrorCode::kInfeasible);
  EXPECT_FALSE(aggregate({Aggregation::kTrimmedMean, 2}, of({{1}, {2}, {3}, {4}})));
}

// Seven honest updates about (1, .., 1), two that pull as far as they like: the mean follows them, the others do not.
TEST(Aggregate, HostileOnesMoveTheMeanAlone) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(1, 0.1F);
  std::vector<std::vector<float>> updates(7, std::vector<float>(20));
  for (auto& update : updates)
    for (float& number : update) number = normal(random);
  updates.push_back(std::vector<float>(20, -500));
  updates.push_back(std::vector<float>(20, -500));
  const auto distance = [&](const AggregationSettings& settings) {
    double worst = 0;
    const auto all = aggregate(settings, of(updates));
    for (const float number : *all) worst = std::max(worst, std::abs(static_cast<double>(number) - 1));
    return worst;
  };
  EXPECT_GT(distance({}), 50);
  EXPECT_LT(distance({Aggregation::kMedian, 0}), 0.5);
  EXPECT_LT(distance({Aggregation::kTrimmedMean, 2}), 0.5);
  EXPECT_LT(distance({Aggregation::kKrum, 2}), 0.5);
}

TEST(Aggregate, ANormIsInfiniteWithANumberThatIsNot) {
  EXPECT_DOUBLE_EQ(update_norm(std::vector<float>{3, 4}), 5);
  EXPECT_TRUE(std::isinf(update_norm(std::vector<float>{3, std::numeric_limits<float>::quiet_NaN()})));
  EXPECT_TRUE(std::isinf(update_norm(std::vector<float>{-std::numeric_limits<float>::infinity()})));
}

// A model of two layers and two buffers, the last of which is not finite: the receiver judges.
const ModelSize kSize{.parameters = 8, .buffers = 2, .layers = {{2, 3}, {1, 2}}};
const std::vector<float> kUpdate = {0, 1, -2.5F, 1e-3F, 1, -1, 6, 3.1415927F, 7, std::numeric_limits<float>::infinity()};

std::unique_ptr<UpdateCodec> codec_of(std::string_view name, const ModelSize& size = kSize, std::uint64_t seed = 1) {
  auto codec = make_update_codec(*compress::parse_compressor(name), size, seed);
  EXPECT_TRUE(codec) << codec.error().message;
  return std::move(*codec);
}

TEST(UpdateCodec, EveryCompressionCarriesParametersAndBuffers) {
  for (const compress::CompressorInfo& info : compress::compressors()) {
    SCOPED_TRACE(info.name);
    const auto codec = codec_of(info.name), receiver = codec_of(info.name, kSize, 0);
    const auto bytes = codec->encode(kUpdate, {.round = 3, .loss = 0.5});
    ASSERT_TRUE(bytes) << bytes.error().message;
    std::vector<float> back(kUpdate.size(), -1);
    ASSERT_TRUE(receiver->decode(*bytes, back));
    EXPECT_EQ(back[8], 7);
    EXPECT_EQ(back[9], kUpdate[9]);
    EXPECT_TRUE(info.name != "none" || back == kUpdate);
    for (std::size_t length = 0; length < bytes->size(); ++length)
      EXPECT_EQ(receiver->decode(std::span(*bytes).first(length), back).error().code, ErrorCode::kCorrupt);
    const auto other = codec_of(info.name);
    ASSERT_TRUE(other->restore(codec->memory()));
    EXPECT_EQ(*other->encode(kUpdate, {.round = 4, .loss = 0.25}), *codec->encode(kUpdate, {.round = 4, .loss = 0.25}));
    EXPECT_FALSE(other->restore(std::vector<std::byte>(3)));
  }
}

TEST(UpdateCodec, StructuredOnesConfineStepsToWhatTheySend) {
  const std::vector<float> start(8, 100);
  for (const char* name : {"none", "dgc", "random-mask", "low-rank"}) {
    SCOPED_TRACE(name);
    const ModelSize size{.parameters = 8, .buffers = 0, .layers = {}};
    const auto codec = codec_of(name, size);
    std::vector<float> moved = start;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += static_cast<float>(i) + 1;
    const auto free = moved;
    codec->confine(5, start, moved);
    if (std::string_view(name) != "random-mask") {
      EXPECT_EQ(moved, free);  // the one row of low-rank is sent whole
      continue;
    }
    std::vector<float> update(8), back(8);
    for (std::size_t i = 0; i < 8; ++i) update[i] = moved[i] - start[i];
    EXPECT_EQ(std::count(update.begin(), update.end(), 0.0F), 6);
    ASSERT_TRUE(codec->decode(*codec->encode(update, {.round = 5}), back));
    EXPECT_EQ(back, update);
  }
}

// What a receiver has room for is enough for any honest sender, whatever it was told to do.
TEST(UpdateCodec, NoUpdateTakesMoreThanIsHadRoomFor) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0, 1);
  for (const auto& layers : {std::vector<compress::Layer>{{1, 5000}}, std::vector<compress::Layer>{{70, 70}, {100, 1}},
                             std::vector<compress::Layer>(5000, {1, 1})}) {
    const ModelSize size{.parameters = 5000, .buffers = 7, .layers = layers};
    std::vector<float> update(size.all());
    for (float& number : update) number = normal(random);
    for (const compress::CompressorInfo& info : compress::compressors()) {
      // Each key at its ends while the others are as they are, and all at one end.
      std::vector<compress::CompressorSettings> tried{*compress::parse_compressor(info.name)};
      for (const compress::CompressorKey& key : info.keys)
        for (const double value : {key.min, key.max}) {
          compress::CompressorSettings one = tried.front();
          one.numbers[std::string(key.name)] = value;
          tried.push_back(one);
        }
      compress::CompressorSettings least = tried.front(), most = tried.front();
      for (const compress::CompressorKey& key : info.keys) {
        least.numbers[std::string(key.name)] = key.min;
        most.numbers[std::string(key.name)] = key.max;
      }
      tried.push_back(least);
      tried.push_back(most);
      if (info.name == "qsgd") {
        tried.push_back(least);
        tried.back().numbers["levels"] = 65536;  // the longest codes, and a norm for each number
      }
      for (const compress::CompressorSettings& settings : tried) {
        auto codec = make_update_codec(settings, size, 1);
        ASSERT_TRUE(codec) << codec.error().message;
        for (std::uint64_t round = 0; round < 2; ++round) {
          const auto bytes = (*codec)->encode(update, {.round = round, .loss = 1});
          // Numbers so large that they are none any more are refused, not sent.
          if (!bytes) continue;
          EXPECT_LE(bytes->size(), (*codec)->bytes_max()) << info.name;
          std::vector<float> back(update.size());
          EXPECT_TRUE((*codec)->decode(*bytes, back)) << info.name;
        }
      }
    }
  }
}

TEST(UpdateCodec, LayersMustBeThoseOfTheModel) {
  EXPECT_FALSE(make_update_codec(*compress::parse_compressor("none"), {.parameters = 9, .buffers = 0, .layers = {{2, 3}}}));
}

}  // namespace
}  // namespace tideline::train
