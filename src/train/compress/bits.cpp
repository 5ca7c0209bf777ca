#include "train/compress/bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tideline::compress {
namespace {

constexpr unsigned kPeekBits = 57;

std::uint64_t reversed(std::uint64_t bits, unsigned count) {
  std::uint64_t result = 0;
  for (unsigned i = 0; i < count; ++i) result = result << 1 | (bits >> i & 1);
  return result;
}

unsigned log2_of(std::uint32_t n) { return static_cast<unsigned>(std::bit_width(n)) - 1; }

}  // namespace

void BitWriter::write(std::uint64_t bits, unsigned count) {
  waiting_ |= bits << count_;
  count_ += count;
  if (count_ < 32) return;
  const auto word = static_cast<std::uint32_t>(waiting_);
  const std::size_t at = out_.size();
  out_.resize(at + sizeof word);
  std::memcpy(out_.data() + at, &word, sizeof word);
  waiting_ >>= 32;
  count_ -= 32;
}

void BitWriter::write_gamma(std::uint32_t n) {
  const unsigned low = log2_of(n);
  write(std::uint64_t{1} << low, low + 1);
  write(n - (std::uint64_t{1} << low), low);
}

void BitWriter::write_omega(std::uint32_t n) {
  std::uint64_t code = 0;
  unsigned length = 1;
  while (n > 1) {
    const unsigned width = log2_of(n) + 1;
    code = code << width | reversed(n, width);
    length += width;
    n = width - 1;
  }
  write(code & 0xffffffff, std::min(length, 32U));
  if (length > 32) write(code >> 32, length - 32);
}

void BitWriter::write_rice(std::uint32_t n, unsigned parameter) {
  std::uint32_t zeros = n >> parameter;
  for (; zeros >= 31; zeros -= 31) write(0, 31);
  write(std::uint64_t{1} << zeros, zeros + 1);
  write(n & ((std::uint64_t{1} << parameter) - 1), parameter);
}

void BitWriter::finish() {
  for (; count_ > 0; count_ -= std::min(count_, 8U)) {
    out_.push_back(static_cast<std::byte>(waiting_ & 0xff));
    waiting_ >>= 8;
  }
}

std::uint64_t BitReader::peek() const {
  const std::size_t byte = static_cast<std::size_t>(at_ / 8);
  std::uint64_t word = 0;
  if (byte < bytes_.size()) std::memcpy(&word, bytes_.data() + byte, std::min(sizeof word, bytes_.size() - byte));
  return word >> (at_ % 8);
}

std::optional<std::uint32_t> BitReader::read(unsigned count) {
  if (bits_left() < count) return {};
  const std::uint64_t bits = peek() & ((std::uint64_t{1} << count) - 1);
  at_ += count;
  return static_cast<std::uint32_t>(bits);
}

std::optional<std::uint32_t> BitReader::read_zeros(std::uint32_t max) {
  std::uint64_t zeros = 0;
  while (at_ < end_ && zeros <= max) {
    const std::uint64_t bits = peek() & ((std::uint64_t{1} << kPeekBits) - 1);
    if (bits == 0) {
      zeros += kPeekBits;
      at_ += std::min<std::uint64_t>(kPeekBits, bits_left());
      continue;
    }
    const auto more = static_cast<unsigned>(std::countr_zero(bits));
    zeros += more;
    at_ += more + 1;
    if (zeros > max) return {};
    return static_cast<std::uint32_t>(zeros);
  }
  return {};
}

std::optional<std::uint32_t> BitReader::read_gamma() {
  const auto low = read_zeros(31);
  if (!low) return {};
  const auto rest = read(*low);
  if (!rest) return {};
  return (std::uint32_t{1} << *low) | *rest;
}

std::optional<std::uint32_t> BitReader::read_omega() {
  std::uint32_t n = 1;
  for (;;) {
    const auto goes_on = read(1);
    if (!goes_on) return {};
    if (*goes_on == 0) return n;
    if (n > 31) return {};
    const auto rest = read(n);
    if (!rest) return {};
    n = static_cast<std::uint32_t>(std::uint64_t{1} << n | reversed(*rest, n));
  }
}

std::optional<std::uint32_t> BitReader::read_rice(unsigned parameter, std::uint32_t max) {
  const auto high = read_zeros(max >> parameter);
  if (!high) return {};
  const auto low = read(parameter);
  if (!low) return {};
  const std::uint64_t n = (std::uint64_t{*high} << parameter) | *low;
  if (n > max) return {};
  return static_cast<std::uint32_t>(n);
}

std::optional<std::size_t> BitReader::finish() const {
  const unsigned used = static_cast<unsigned>(at_ % 8);
  if (used != 0 && (peek() & ((1U << (8 - used)) - 1)) != 0) return {};
  return static_cast<std::size_t>((at_ + 7) / 8);
}

unsigned gamma_bits(std::uint32_t n) { return 2 * log2_of(n) + 1; }

unsigned omega_bits(std::uint32_t n) {
  unsigned length = 1;
  for (; n > 1; n = log2_of(n)) length += log2_of(n) + 1;
  return length;
}

}  // namespace tideline::compress
