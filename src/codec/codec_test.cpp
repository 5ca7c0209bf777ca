// Goal: what is encoded comes back within each codec's own bound, non-finite numbers and other types as the header says, and
// nothing that a stranger writes does more than fail. Method: random tensors of every type and shape in every codec.
#include "codec/codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace tideline {
namespace {

using testing::HasSubstr;

Tensor make(DType dtype, std::vector<std::int64_t> shape) {
  Tensor tensor{{"x", dtype, std::move(shape)}, {}};
  tensor.data = Buffer(byte_size(dtype, tensor.spec.shape).value());
  return tensor;
}

std::span<float> floats(Tensor& tensor) {
  return {reinterpret_cast<float*>(tensor.data.data()), tensor.data.size() / sizeof(float)};
}
std::span<const float> floats(const Tensor& tensor) {
  return {reinterpret_cast<const float*>(tensor.data.data()), tensor.data.size() / sizeof(float)};
}

Tensor random_floats(std::vector<std::int64_t> shape, std::uint64_t seed, float scale = 1) {
  Tensor tensor = make(DType::kFloat32, std::move(shape));
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0.3F, 1);
  for (float& x : floats(tensor)) x = scale * std::max(-0.5F, normal(random));
  return tensor;
}

Tensor through(const Codec& codec, const Tensor& tensor) {
  const auto encoded = encode(codec, view(tensor));
  EXPECT_TRUE(encoded) << encoded.error().message;
  auto decoded = decode(encoded->span(), "x");
  EXPECT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->spec, tensor.spec);
  const auto head = read_encoded_head(encoded->span());
  EXPECT_TRUE(may_become(codec, head->used));
  EXPECT_LE(encoded->size(), encoded_bytes_max(tensor.spec.dtype, tensor.spec.shape).value());
  return std::move(*decoded);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.spec == b.spec && a.data.size() == b.data.size() &&
         (a.data.empty() || std::memcmp(a.data.data(), b.data.data(), a.data.size()) == 0);
}

Codec codec(std::string_view name) { return find_codec(name).value(); }

TEST(Codecs, AreOneListWithNamesThatFindThem) {
  EXPECT_EQ(codecs().size(), 12U);
  EXPECT_TRUE(codecs().front().codec.is_raw());
  for (const NamedCodec& known : codecs()) {
    EXPECT_EQ(codec(known.name), known.codec);
    EXPECT_EQ(name_of(known.codec), known.name);
  }
  const auto unknown = find_codec("zstd");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(unknown.error().message, HasSubstr("no codec 'zstd'"));
  EXPECT_THAT(unknown.error().message, HasSubstr("raw+zstd"));
}

TEST(Codecs, EveryTypeAndShapeComesBackBitForBitWhereNothingIsLost) {
  std::mt19937_64 random(11);
  for (const NamedCodec& known : codecs()) {
    for (const DType dtype : {DType::kUint8, DType::kInt8, DType::kInt64, DType::kBool, DType::kFloat16, DType::kFloat64,
                              DType::kBfloat16, DType::kFloat32}) {
      if (known.codec.is_lossy() && dtype == DType::kFloat32) continue;
      for (const std::vector<std::int64_t>& shape : std::vector<std::vector<std::int64_t>>{
               {}, {1}, {0}, {3, 0, 2}, {17}, {1, 3, 5, 7}, {2, 64, 9}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3}}) {
        Tensor tensor = make(dtype, shape);
        for (std::size_t i = 0; i < tensor.data.size(); ++i) tensor.data.data()[i] = static_cast<std::byte>(random() % 3);
        EXPECT_TRUE(same_bits(through(known.codec, tensor), tensor)) << known.name << " " << describe(tensor.spec);
      }
    }
  }
}

TEST(Codecs, RepeatedBytesArePackedAndNoiseIsLeftAsItIs) {
  Tensor zeros = make(DType::kFloat32, {1, 8, 32, 32});
  std::memset(zeros.data.data(), 0, zeros.data.size());
  Tensor noise = make(DType::kUint8, {4096});
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < noise.data.size(); ++i) noise.data.data()[i] = static_cast<std::byte>(random());
  for (const NamedCodec& known : codecs()) {
    if (known.codec.packing == Packing::kNone) continue;
    EXPECT_LT(encode(known.codec, view(zeros))->size(), 600U) << known.name;
    const auto encoded = encode(known.codec, view(noise));
    EXPECT_EQ(encoded->size(), 4096U + encoded_head_bytes(1));
    EXPECT_EQ(read_encoded_head(encoded->span())->used, Codec{}) << known.name;
  }
}

TEST(Codecs, Float16IsWithinHalfAStepAndKeepsInfinitiesAndNan) {
  rc::check("|x - y| <= 2^-11 |x| where float16 is normal, 2^-25 below", [](const std::vector<float>& values) {
    Tensor tensor = make(DType::kFloat32, {static_cast<std::int64_t>(values.size())});
    std::copy(values.begin(), values.end(), floats(tensor).begin());
    const Tensor back = through(codec("fp16"), tensor);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double x = values[i];
      const double y = floats(back)[i];
      if (std::isnan(x))
        RC_ASSERT(std::isnan(y));
      else if (std::abs(x) >= 65520)
        RC_ASSERT(y == std::copysign(HUGE_VAL, x));
      else
        RC_ASSERT(std::abs(x - y) <= std::max(std::abs(x) * 0x1p-11, 0x1p-25));
    }
  });
}

// Of each group the range with 0, over 255, and half of that; a little for the arithmetic in float.
TEST(Codecs, Int8IsWithinHalfAStepOfItsOwnGroup) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    const std::vector<std::int64_t> shape{1 + static_cast<std::int64_t>(random() % 2),
                                          1 + static_cast<std::int64_t>(random() % 9),
                                          1 + static_cast<std::int64_t>(random() % 30), 17};
    const Tensor tensor = random_floats(shape, seed, std::exp2f(static_cast<float>(random() % 80) - 40));
    const std::size_t inner = static_cast<std::size_t>(shape[2] * shape[3]);
    for (const bool per_channel : {false, true}) {
      const Tensor back = through(codec(per_channel ? "int8c" : "int8"), tensor);
      const auto group_of = [&](std::size_t i) { return per_channel ? i / inner % static_cast<std::size_t>(shape[1]) : 0; };
      std::vector<double> low(static_cast<std::size_t>(shape[1]), 0);
      std::vector<double> high = low;
      for (std::size_t i = 0; i < floats(tensor).size(); ++i) {
        low[group_of(i)] = std::min<double>(low[group_of(i)], floats(tensor)[i]);
        high[group_of(i)] = std::max<double>(high[group_of(i)], floats(tensor)[i]);
      }
      for (std::size_t i = 0; i < floats(tensor).size(); ++i) {
        const double step = (high[group_of(i)] - low[group_of(i)]) / 255;
        ASSERT_LE(std::abs(static_cast<double>(floats(tensor)[i]) - floats(back)[i]), 0.5001 * step) << "seed " << seed;
        if (floats(tensor)[i] == 0) {
          ASSERT_EQ(floats(back)[i], 0);
        }
      }
    }
  }
}

TEST(Codecs, PerChannelHoldsChannelsOfDifferentMagnitudes) {
  Tensor tensor = random_floats({1, 4, 10, 10}, 2);
  for (std::size_t i = 0; i < 400; ++i) floats(tensor)[i] *= std::pow(10.0F, static_cast<float>(i / 100) * -3);
  const auto worst = [&](std::string_view name) {
    const Tensor back = through(codec(name), tensor);
    double error = 0;
    for (std::size_t i = 300; i < 400; ++i)
      error = std::max(error, std::abs(static_cast<double>(floats(tensor)[i]) - floats(back)[i]));
    return error;
  };
  EXPECT_GT(worst("int8"), 1e-9);  // the last channel is lost altogether
  EXPECT_LT(worst("int8c"), 1e-10);
}

TEST(Codecs, ChannelsThatAreTooSmallShareOneScale) {
  for (const auto& [shape, scheme] : std::vector<std::pair<std::vector<std::int64_t>, Scheme>>{
           {{1, 1000}, Scheme::kInt8},      // one number each
           {{1000}, Scheme::kInt8},         // no channels
           {{1, 10, 3, 5}, Scheme::kInt8},  // 15 numbers each
           {{1, 10, 4, 4}, Scheme::kInt8PerChannel},
           {{16, 10}, Scheme::kInt8PerChannel},  // 16 numbers each, apart from each other
           {{1, 1}, Scheme::kRaw}}) {            // would become larger
    const Tensor tensor = random_floats(shape, 4);
    const auto encoded = encode(codec("int8c"), view(tensor));
    EXPECT_EQ(read_encoded_head(encoded->span())->used.scheme, scheme) << describe(tensor.spec);
    EXPECT_TRUE(decode(encoded->span(), "x"));
  }
}

TEST(Codecs, Int8OfATensorThatIsNotFiniteTravelsRaw) {
  for (const float bad : {HUGE_VALF, -HUGE_VALF, std::numeric_limits<float>::quiet_NaN()}) {
    Tensor tensor = random_floats({1, 8, 6, 6}, 6);
    floats(tensor)[250] = bad;
    for (const std::string_view name : {"int8", "int8c", "int8+lz4", "int8c+zstd"}) {
      EXPECT_TRUE(same_bits(through(codec(name), tensor), tensor)) << name;
      EXPECT_EQ(read_encoded_head(encode(codec(name), view(tensor))->span())->used.scheme, Scheme::kRaw);
    }
  }
}

TEST(Codecs, ExtremeRangesDoNotOverflow) {
  const float max = std::numeric_limits<float>::max();
  for (const auto& [low, high] : std::vector<std::pair<float, float>>{
           {-max, max}, {0, 0}, {1e-44F, 2e-44F}, {-1e-40F, 0}, {5, 5}, {-3, -3}, {0, max}, {1e-37F, 1e-30F}}) {
    Tensor tensor = make(DType::kFloat32, {64});
    for (std::size_t i = 0; i < 64; ++i) floats(tensor)[i] = i % 2 == 0 ? low : high;
    const Tensor back = through(codec("int8"), tensor);
    const double step = (std::max(0.0, static_cast<double>(high)) - std::min(0.0, static_cast<double>(low))) / 255;
    for (std::size_t i = 0; i < 64; ++i)
      EXPECT_LE(std::abs(static_cast<double>(floats(back)[i]) - floats(tensor)[i]), 0.501 * step + 2 * 1.2e-38 * 128)
          << low << " " << high;
  }
}

// Each byte of the head and some of the body, each value: decoded, or refused with a typed error; never more memory than the type
// and shape of the true head need.
TEST(Codecs, ADamagedHeadIsRefusedAndNothingWorse) {
  for (const NamedCodec& known : codecs()) {
    const Tensor tensor = random_floats({1, 2, 4, 4}, 9);
    const auto encoded = encode(known.codec, view(tensor));
    for (std::size_t at = 0; at < encoded->size(); ++at) {
      for (int change = 1; change < 256; change += at < 50 ? 1 : 37) {
        Buffer damaged = Buffer::copy_of(encoded->span());
        damaged.data()[at] ^= static_cast<std::byte>(change);
        const auto head = read_encoded_head(damaged.span());
        if (!head) {
          EXPECT_TRUE(head.error().code == ErrorCode::kCorrupt || head.error().code == ErrorCode::kUnsupported);
        } else if (head->bytes < 1u << 20) {
          const auto decoded = decode(damaged.span(), "x");
          if (!decoded) {
            EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt) << decoded.error().message;
          }
        }
      }
    }
    for (std::size_t bytes = 0; bytes < encoded->size(); ++bytes) EXPECT_FALSE(decode(encoded->span().first(bytes), "x"));
  }
}

TEST(Codecs, ABodyThatUnpacksToMoreThanIsDueIsRefused) {
  // A large tensor's packed body under a smaller one's head.
  for (const std::string_view name : {"raw+lz4", "raw+zstd", "int8+zstd"}) {
    Tensor large = make(DType::kFloat32, {1, 1, 512, 512});
    Tensor small = make(DType::kFloat32, {1, 1, 128, 128});
    std::memset(large.data.data(), 0, large.data.size());
    std::memset(small.data.data(), 0, small.data.size());
    const auto bomb = encode(codec(name), view(large));
    const auto honest = encode(codec(name), view(small));
    const std::size_t head = encoded_head_bytes(4);
    Buffer liar(bomb->size());
    std::memcpy(liar.data(), honest->data(), head - 8);
    std::memcpy(liar.data() + head - 8, bomb->data() + head - 8, bomb->size() - head + 8);
    ASSERT_TRUE(read_encoded_head(liar.span())) << name;
    const auto decoded = decode(liar.span(), "x");
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code, ErrorCode::kCorrupt);
    EXPECT_THAT(decoded.error().message, HasSubstr("does not unpack"));
  }
}

TEST(Codecs, WhatIsTooLargeIsRefusedBeforeItIsMade) {
  Tensor zeros = make(DType::kFloat32, {1, 1, 512, 512});
  std::memset(zeros.data.data(), 0, zeros.data.size());
  const auto encoded = encode(codec("raw+zstd"), view(zeros));
  EXPECT_LT(encoded->size(), 1000U);
  EXPECT_TRUE(decode(encoded->span(), "x", 1u << 20));
  EXPECT_EQ(decode(encoded->span(), "x", (1u << 20) - 1).error().code, ErrorCode::kOverloaded);
}

TEST(Codecs, ALaterVersionIsUnsupported) {
  const Tensor tensor = random_floats({8}, 1);
  auto encoded = encode(codec("fp16"), view(tensor));
  encoded->data()[3] = std::byte{2};
  EXPECT_EQ(decode(encoded->span(), "x").error().code, ErrorCode::kUnsupported);
}

TEST(Codecs, TheBytesAreThoseOfTheSpecification) {
  Tensor tensor = make(DType::kFloat32, {4});
  const float values[] = {0, 25.5F, -25.5F, 0.3F};
  std::memcpy(tensor.data.data(), values, sizeof values);
  const auto encoded = encode(codec("int8"), view(tensor));
  // scale 51 / 255 = 0.2, zero point round(-128 + 127.5) = 0 (ties to even); 127.5 rounds to 128 and is cut to 127.
  const std::uint8_t expected[] = {'T', 'L', 'C', 1, 2, 0, 1, 1,    4,    0,    0,    0, 0, 0,   0,    0, 9,
                                   0,   0,   0,   0, 0, 0, 0, 0xcd, 0xcc, 0x4c, 0x3e, 0, 0, 127, 0x80, 2};
  ASSERT_EQ(encoded->size(), sizeof expected);
  EXPECT_EQ(std::memcmp(encoded->data(), expected, sizeof expected), 0);
}

}  // namespace
}  // namespace tideline
