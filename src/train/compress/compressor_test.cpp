// What holds for every compressor: the same bytes from the same state, states that can be restored, and nothing but kCorrupt from
// bytes that are no update.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "train/compress/bytes.h"
#include "train/compress/compress_fixture.h"

namespace tideline::compress {
namespace {

using ::testing::HasSubstr;

struct Case {
  std::string name;
  std::vector<KeyValue> keys;
};

const std::vector<Layer> kLayers{{4, 9}, {1, 4}, {3, 5}};
constexpr std::size_t kNumbers = 55;

const std::vector<Case>& cases() {
  static const std::vector<Case> all{{"none", {}},
                                     {"fp16", {}},
                                     {"one-bit", {}},
                                     {"one-bit", {{"group", "7"}, {"feedback", "0"}}},
                                     {"terngrad", {}},
                                     {"qsgd", {{"bucket", "16"}, {"levels", "4"}}},
                                     {"qsgd", {{"levels", "1"}}},
                                     {"esgd", {{"drop", "0.75"}, {"momentum", "0.5"}}},
                                     {"dgc", {{"sparsity", "0.9"}, {"clip", "1"}, {"workers", "4"}, {"warmup_rounds", "3"}}},
                                     {"wangni", {{"density", "0.2"}}},
                                     {"wangni", {{"epsilon", "0.5"}}},
                                     {"strom", {{"threshold", "0.5"}}},
                                     {"top-k", {{"sparsity", "0.9"}}},
                                     {"low-rank", {{"rank", "2"}}},
                                     {"random-mask", {}},
                                     {"sketch", {}},
                                     {"sketch", {{"bits", "0"}, {"rotate", "0"}}},
                                     {"sketch", {{"bits", "1"}, {"fraction", "1"}}}};
  return all;
}

Step step_of(std::uint64_t number) { return {.step = number, .seed = 3, .loss = 2.0F - 0.1F * static_cast<float>(number % 4)}; }

TEST(Compressors, AreAllTestedHere) {
  std::set<std::string_view> tested, known;
  for (const Case& one : cases()) tested.insert(one.name);
  for (const CompressorInfo& info : compressors()) known.insert(info.name);
  EXPECT_EQ(tested, known);
  EXPECT_EQ(known.size(), compressors().size());
}

TEST(Compressors, GoOnFromASavedStateWithTheSameBytes) {
  for (const Case& one : cases()) {
    const auto first = made(one.name, one.keys, kLayers), second = made(one.name, one.keys, kLayers);
    Numbers random(1);
    for (std::uint64_t step = 0; step < 6; ++step) encoded(*first, random.normals(kNumbers), step_of(step));
    const auto state = first->state();
    ASSERT_TRUE(second->restore(state)) << one.name;
    for (std::uint64_t step = 6; step < 12; ++step) {
      const auto gradient = random.normals(kNumbers);
      const auto bytes = encoded(*first, gradient, step_of(step));
      EXPECT_EQ(bytes, encoded(*second, gradient, step_of(step))) << one.name;
      for (const float x : decoded(*first, bytes)) EXPECT_TRUE(std::isfinite(x)) << one.name;
    }
    EXPECT_EQ(first->state(), second->state());
  }
}

TEST(Compressors, ADamagedStateIsRefusedAndNothingForgotten) {
  for (const Case& one : cases()) {
    const auto compressor = made(one.name, one.keys, kLayers);
    encoded(*compressor, Numbers(2).normals(kNumbers), step_of(0));
    const auto state = compressor->state();
    const auto refused = [&](const std::vector<std::byte>& bytes) {
      const Status status = compressor->restore(bytes);
      return !status && status.error().code == ErrorCode::kCorrupt && compressor->state() == state;
    };
    for (std::size_t length = 0; length < state.size(); ++length)
      ASSERT_TRUE(refused({state.begin(), state.begin() + static_cast<std::ptrdiff_t>(length)})) << one.name << length;
    for (std::size_t i = 0; i < kUpdateHeadBytes; ++i) {
      auto damaged = state;
      damaged[i] ^= std::byte{0x40};
      EXPECT_TRUE(refused(damaged)) << one.name << i;
    }
    for (std::size_t at = kUpdateHeadBytes; at < state.size(); at += sizeof(float)) {
      auto damaged = state;
      const float nan = NAN;
      std::memcpy(damaged.data() + at, &nan, sizeof nan);
      ASSERT_TRUE(refused(damaged)) << one.name << at;
    }
  }
}

TEST(Compressors, EsgdRefusesAStateThatItNeverHas) {
  const auto compressor = made("esgd", {{"drop", "0.5"}}, {{1, 4}}), other = made("esgd", {{"drop", "0.25"}}, {{1, 4}});
  const auto fresh = compressor->state();
  encoded(*compressor, Numbers(2).normals(4), step_of(0));
  const auto state = compressor->state();
  EXPECT_EQ(other->restore(state).error().code, ErrorCode::kCorrupt);  // it has three coordinates chosen
  for (const std::size_t index : {8, 12}) {                            // a weight below 1, a mark that is neither 0 nor 1
    auto damaged = state;
    const float half = 0.5F;
    std::memcpy(damaged.data() + kUpdateHeadBytes + index * sizeof half, &half, sizeof half);
    EXPECT_EQ(compressor->restore(damaged).error().code, ErrorCode::kCorrupt) << index;
  }
  EXPECT_TRUE(compressor->restore(state));
  EXPECT_TRUE(compressor->restore(fresh));
}

TEST(Compressors, RefuseBytesThatAreNotAWholeUpdate) {
  for (const Case& one : cases()) {
    const auto compressor = made(one.name, one.keys, kLayers);
    auto bytes = encoded(*compressor, Numbers(2).normals(kNumbers), step_of(0));
    std::vector<float> into(kNumbers);
    const auto refused = [&](std::span<const std::byte> update) {
      const Status status = compressor->decode(update, into);
      return !status && status.error().code == ErrorCode::kCorrupt;
    };
    for (std::size_t length = 0; length < bytes.size(); ++length)
      ASSERT_TRUE(refused(std::span(bytes).first(length))) << one.name << " " << length << " of " << bytes.size();
    auto longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_TRUE(refused(longer)) << one.name;
    for (std::size_t i = 0; i < kUpdateHeadBytes; ++i) {
      auto damaged = bytes;
      damaged[i] ^= std::byte{0x20};
      EXPECT_TRUE(refused(damaged)) << one.name << i;
    }
    // Any other flipped bit is refused or gives another update, of finite numbers.
    for (std::size_t bit = 8 * kUpdateHeadBytes; bit < 8 * bytes.size(); ++bit) {
      bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
      if (!refused(bytes) && one.name != "none" && one.name != "fp16") {
        for (const float x : into) ASSERT_TRUE(std::isfinite(x)) << one.name << " bit " << bit;
      }
      bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    }
    std::vector<float> shorter(kNumbers - 1);
    EXPECT_EQ(compressor->decode(bytes, shorter).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Compressors, ZerosAndHugeNumbersAreNoSpecialCase) {
  for (const Case& one : cases()) {
    const auto compressor = made(one.name, one.keys, kLayers);
    for (const float x : received(*compressor, std::vector<float>(kNumbers), step_of(0))) EXPECT_EQ(x, 0) << one.name;
    // Either refused in a sentence, with nothing remembered, or what arrives is finite.
    std::vector<float> huge(kNumbers, 3e38F);
    for (std::size_t i = 0; i < kNumbers; i += 3) huge[i] = -3e38F;
    for (std::uint64_t step = 1; step < 4; ++step) {
      const auto before = compressor->state();
      const auto bytes = compressor->encode(huge, step_of(step));
      if (bytes) {
        for (const float x : decoded(*compressor, *bytes)) EXPECT_TRUE(std::isfinite(x)) << one.name;
      } else {
        EXPECT_EQ(bytes.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(compressor->state(), before) << one.name;
      }
    }
  }
}

TEST(Compressors, AGradientThatIsNotFiniteIsRefusedAndNotRemembered) {
  for (const Case& one : cases()) {
    const auto compressor = made(one.name, one.keys, kLayers);
    auto gradient = Numbers(4).normals(kNumbers);
    encoded(*compressor, gradient, step_of(0));
    const auto state = compressor->state();
    gradient[17] = INFINITY;
    const auto bytes = compressor->encode(gradient, step_of(1));
    if (one.name == "none" || one.name == "fp16") {
      ASSERT_TRUE(bytes);
      EXPECT_EQ(decoded(*compressor, *bytes)[17], INFINITY);
      continue;
    }
    ASSERT_FALSE(bytes) << one.name;
    EXPECT_THAT(bytes.error().message, HasSubstr("number 17"));
    EXPECT_EQ(compressor->state(), state);
    EXPECT_EQ(compressor->encode(std::span(gradient).first(3), step_of(1)).error().code, ErrorCode::kInvalidArgument);
  }
}

TEST(Compressors, SenderAndReceiverMustHaveTheSameSettings) {
  const auto gradient = Numbers(3).normals(kNumbers);
  const auto differ = [&](const std::string& name, std::vector<KeyValue> one, std::vector<KeyValue> other) {
    std::vector<float> into(kNumbers);
    const auto bytes = encoded(*made(name, one, kLayers), gradient, step_of(0));
    const Status status = made(name, other, kLayers)->decode(bytes, into);
    return !status && status.error().code == ErrorCode::kCorrupt;
  };
  EXPECT_TRUE(differ("qsgd", {{"levels", "4"}}, {{"levels", "5"}}));
  EXPECT_TRUE(differ("qsgd", {{"bucket", "16"}}, {{"bucket", "17"}}));
  EXPECT_TRUE(differ("strom", {{"threshold", "0.5"}}, {{"threshold", "0.25"}}));
  EXPECT_TRUE(differ("low-rank", {{"rank", "2"}}, {{"rank", "1"}}));
  EXPECT_TRUE(differ("sketch", {{"bits", "2"}}, {{"bits", "1"}}));
  EXPECT_TRUE(differ("esgd", {{"drop", "0.5"}}, {{"drop", "0.75"}}));
}

TEST(Compressors, SettingsAreReadStrictly) {
  const auto message = [](std::string_view name, const std::vector<KeyValue>& keys) {
    const auto settings = parse_compressor(name, keys);
    return settings ? "accepted" : settings.error().message;
  };
  EXPECT_EQ(message("dgc", {{"sparsity", "0.999"}, {"warmup_rounds", "4"}}), "accepted");
  EXPECT_EQ(parse_compressor("dgc", {{"sparsity", "0.5"}})->number("momentum"), 0.9);
  EXPECT_EQ(message("gzip", {}),
            "[compress] there is no compression 'gzip'; there are none, fp16, one-bit, terngrad, qsgd, esgd, dgc, wangni, strom, "
            "top-k, low-rank, random-mask, sketch");
  EXPECT_EQ(message("dgc", {{"sparsty", "0.9"}}),
            "[compress] dgc has no 'sparsty', did you mean 'sparsity'?; it takes sparsity, momentum, clip, workers, masking, "
            "warmup_rounds");
  EXPECT_EQ(message("none", {{"bits", "1"}}), "[compress] none takes no 'bits' and nothing else: leave it out");
  EXPECT_EQ(message("qsgd", {{"levels", "2.5"}}), "[compress] levels of qsgd is '2.5'; write a whole number from 1 to 65536");
  for (const char* text : {"", "0", "nan", "inf", "1e9", "-1", "4 ", "0x4", "four"})
    EXPECT_THAT(message("qsgd", {{"levels", text}}), HasSubstr("write a whole number from 1 to 65536")) << text;
  EXPECT_EQ(message("qsgd", {{"levels", "4"}, {"levels", "4"}}), "[compress] levels of qsgd is there twice: write it once");

  auto settings = *parse_compressor("top-k");
  EXPECT_FALSE(make_compressor(settings, {}));
  EXPECT_FALSE(make_compressor(settings, {{1, 0}}));
  EXPECT_EQ(make_compressor(settings, {{limits::kUpdateNumbersMax, 2}}).error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(make_compressor(settings, {{SIZE_MAX, SIZE_MAX}}).error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(make_compressor(settings, std::vector<Layer>(limits::kUpdateLayersMax + 1, Layer{1, 1})).error().code,
            ErrorCode::kOverloaded);
  settings.numbers["sparsity"] = 2;
  EXPECT_THAT(make_compressor(settings, {{1, 4}}).error().message, HasSubstr("sparsity of top-k is '2'"));
  settings.numbers.erase("sparsity");
  EXPECT_THAT(make_compressor(settings, {{1, 4}}).error().message, HasSubstr("sparsity of top-k is 'missing'"));
  settings = *parse_compressor("none");
  settings.numbers["sparsity"] = 0.5;
  EXPECT_FALSE(make_compressor(settings, {{1, 4}}));
}

}  // namespace
}  // namespace tideline::compress
