// Whole numbers as bits: plain ones, unary ones, and the codes of Elias and Rice. The first bit of a byte is its lowest.
//
//   Elias gamma of n >= 1: floor(log2 n) zeros, a one, then the bits of n below its highest one. 2 floor(log2 n) + 1 bits.
//   Elias omega of n >= 1 (Elias 1975, "recursive"): a zero stands at the end; before it n in binary, highest bit first, before
//   that
//     the number of n's bits less one, and so on down to 1. 1 bit for 1, 3 for 2 and 3, 6 for 4 to 7, 7 for 8 to 15.
//   Rice of n >= 0 with parameter b: floor(n / 2^b) zeros, a one, b low bits.
//
// Values; not thread-safe. Readers never look beyond their bytes and give nothing where those end too early.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tideline::compress {

class BitWriter {
 public:
  // Appends to `out`, which outlives it.
  explicit BitWriter(std::vector<std::byte>& out) : out_(out) {}
  // The lowest `count` bits. REQUIRES: count <= 32, no higher bits set.
  void write(std::uint64_t bits, unsigned count);
  // REQUIRES: n >= 1.
  void write_gamma(std::uint32_t n);
  void write_omega(std::uint32_t n);
  void write_rice(std::uint32_t n, unsigned parameter);
  // Zeros up to the end of a byte. Nothing is in `out` for sure before.
  void finish();

 private:
  std::vector<std::byte>& out_;
  std::uint64_t waiting_ = 0;
  unsigned count_ = 0;  // of bits waiting, below 32
};

class BitReader {
 public:
  explicit BitReader(std::span<const std::byte> bytes) : bytes_(bytes), end_(8 * bytes.size()) {}
  // REQUIRES: count <= 32.
  std::optional<std::uint32_t> read(unsigned count);
  // How many zeros there are before the next one, which is read too; nothing when there are more than `max`.
  std::optional<std::uint32_t> read_zeros(std::uint32_t max);
  std::optional<std::uint32_t> read_gamma();
  std::optional<std::uint32_t> read_omega();
  // Nothing for numbers above `max`.
  std::optional<std::uint32_t> read_rice(unsigned parameter, std::uint32_t max);
  // Up to the end of the byte, if only zeros are there: the bytes that were read; nothing otherwise.
  std::optional<std::size_t> finish() const;
  std::uint64_t bits_left() const { return end_ - at_; }

 private:
  // At least 57 of the bits that come next, the next one lowest; zeros beyond the end.
  std::uint64_t peek() const;

  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  std::uint64_t end_;
};

// REQUIRES: n >= 1.
unsigned gamma_bits(std::uint32_t n);
unsigned omega_bits(std::uint32_t n);

}  // namespace tideline::compress
