// Codes against their definitions, and readers against bytes that end too early or lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "train/compress/bits.h"
#include "train/compress/bytes.h"
#include "train/compress/compress_fixture.h"
#include "train/compress/draws.h"

namespace tideline::compress {
namespace {

// What was written, as text: the first bit first.
std::string text_of(auto write) {
  std::vector<std::byte> out;
  BitWriter bits(out);
  write(bits);
  bits.finish();
  std::string text;
  for (const std::byte byte : out)
    for (int i = 0; i < 8; ++i) text += (static_cast<unsigned>(byte) >> i & 1) != 0 ? '1' : '0';
  return text;
}
std::string padded(std::string code) { return code + std::string((8 - code.size() % 8) % 8, '0'); }

// Elias omega from its definition, as text.
std::string omega_by_definition(std::uint32_t n) {
  std::string code = "0";
  while (n > 1) {
    std::string binary;
    for (std::uint32_t rest = n; rest > 0; rest /= 2) binary.insert(binary.begin(), rest % 2 != 0 ? '1' : '0');
    code.insert(0, binary);
    n = static_cast<std::uint32_t>(binary.size()) - 1;
  }
  return code;
}

TEST(Bits, CodesAreThePublishedOnes) {
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_gamma(1); }), padded("1"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_omega(1); }), padded("0"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_omega(2); }), padded("100"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_omega(7); }), padded("101110"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_omega(8); }), padded("1110000"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_omega(16); }), padded("10100100000"));
  EXPECT_EQ(text_of([](BitWriter& bits) { bits.write_rice(9, 2); }), padded("00110"));  // 2 zeros, one, 01 with its low bit first
  for (std::uint32_t n = 1; n < 70000; n += 1 + n / 64) {
    const std::string omega = omega_by_definition(n);
    EXPECT_EQ(omega_bits(n), omega.size()) << n;
    EXPECT_EQ(text_of([&](BitWriter& bits) { bits.write_omega(n); }), padded(omega)) << n;
    const auto low = static_cast<unsigned>(std::floor(std::log2(n)));
    EXPECT_EQ(gamma_bits(n), 2 * low + 1) << n;
  }
}

TEST(Bits, EveryCodeComesBackFromOneStream) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t n = 1; n < 3000; ++n) numbers.push_back(n);
  for (unsigned power = 1; power < 32; ++power)
    for (const std::uint32_t near : {(1U << power) - 1, 1U << power, (1U << power) + 1}) numbers.push_back(near);
  numbers.push_back(UINT32_MAX);
  std::vector<std::byte> out;
  BitWriter writer(out);
  std::size_t expected = 0;
  for (const std::uint32_t n : numbers) {
    writer.write_gamma(n);
    writer.write_omega(n);
    writer.write_rice(n, 21);
    writer.write(n & 0x1ff, 9);
    expected += gamma_bits(n) + omega_bits(n) + (n >> 21) + 1 + 21 + 9;
  }
  writer.finish();
  EXPECT_EQ(out.size(), (expected + 7) / 8);
  BitReader reader(out);
  for (const std::uint32_t n : numbers) {
    ASSERT_EQ(reader.read_gamma(), n);
    ASSERT_EQ(reader.read_omega(), n);
    ASSERT_EQ(reader.read_rice(21, UINT32_MAX), n);
    ASSERT_EQ(reader.read(9), n & 0x1ff);
  }
  EXPECT_EQ(reader.finish(), out.size());
}

TEST(Bits, AReaderStopsAtTheEndAndAtItsMost) {
  const std::vector<std::byte> zeros(20), ones(20, std::byte{0xff});
  EXPECT_FALSE(BitReader(zeros).read_gamma());
  EXPECT_FALSE(BitReader(zeros).read_zeros(UINT32_MAX));
  EXPECT_FALSE(BitReader(ones).read_omega());  // 11 -> 3, 1111 -> 15, 16 ones -> a group of more than 31 bits
  EXPECT_FALSE(BitReader({}).read(1));
  EXPECT_EQ(BitReader({}).read(0), 0U);
  const std::vector<std::byte> five{std::byte{0x20}};
  EXPECT_EQ(BitReader(five).read_zeros(5), 5U);
  EXPECT_FALSE(BitReader(five).read_zeros(4));
  BitReader reader(five);
  ASSERT_TRUE(reader.read(3));
  EXPECT_FALSE(reader.finish());  // the one that is left is no filling
}

TEST(Bits, PositionsComeBackInFewBits) {
  Numbers random(5);
  for (const double density : {0.0, 0.0005, 0.01, 0.3, 0.9, 1.0}) {
    constexpr std::size_t kNumbers = 200'000;
    std::vector<std::uint32_t> positions;
    for (std::uint32_t i = 0; i < kNumbers; ++i)
      if (random.unit() < density) positions.push_back(i);
    std::vector<std::byte> out;
    append_positions(out, positions, kNumbers);
    Reader reader(out);
    const auto back = take_positions(reader, kNumbers);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, positions);
    EXPECT_TRUE(reader.left().empty());
    // At most the entropy and a tenth more; never more than a bit for each number.
    const double bits = 8.0 * static_cast<double>(out.size() - 5);
    EXPECT_LE(bits, kNumbers + 8.0);
    if (density > 0 && density < 0.1) {
      const double entropy = -1.0 * kNumbers * (density * std::log2(density) + (1 - density) * std::log2(1 - density));
      EXPECT_LE(bits, 1.1 * entropy + 8);
      EXPECT_GE(bits, 0.85 * entropy);
    }
  }
}

TEST(Bits, PositionsThatCannotBeAreRefusedBeforeMemoryIsTaken) {
  const auto refused = [](std::vector<std::byte> bytes, std::size_t numbers) {
    Reader reader(bytes);
    const auto positions = take_positions(reader, numbers);
    return !positions && positions.error().code == ErrorCode::kCorrupt;
  };
  std::vector<std::byte> many;
  append(many, static_cast<std::uint32_t>(limits::kUpdateNumbersMax));
  append(many, std::uint8_t{0});
  EXPECT_TRUE(refused(many, limits::kUpdateNumbersMax));
  std::vector<std::byte> good;
  append_positions(good, std::vector<std::uint32_t>{0, 7, 8, 63}, 64);
  EXPECT_TRUE(refused(good, 63));
  for (std::size_t length = 0; length < good.size(); ++length)
    EXPECT_TRUE(refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length)}, 64)) << length;
  good[4] = std::byte{32};
  EXPECT_TRUE(refused(good, 64));
}

TEST(Draws, PositionsAreDrawnAlike) {
  // Goal: every position is as likely as any other. 4000 draws of 8 of 40: 800 each, standard deviation 25.3.
  std::vector<int> counts(40);
  for (std::uint64_t key = 0; key < 4000; ++key) {
    const auto positions = draw_positions(Draws(key_of({key})), 40, 8);
    ASSERT_EQ(positions.size(), 8U);
    ASSERT_TRUE(std::is_sorted(positions.begin(), positions.end()));
    for (const std::uint32_t position : positions) ++counts[position];
  }
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 800.0) * (count - 800.0) / (800.0 * 0.8);
  EXPECT_LT(chi_square, 39 + 5 * std::sqrt(2 * 39.0));
  EXPECT_EQ(draw_positions(Draws(1), 5, 5), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace tideline::compress
