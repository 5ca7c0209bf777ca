#include <array>

#include "wire/codec.h"
#include "wire/messages.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace tideline::wire {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, reflected

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[i] = crc;
  }
  return table;
}
constexpr auto kTable = make_table();

[[maybe_unused]] std::uint32_t by_table(std::span<const std::byte> bytes, std::uint32_t crc) {
  for (const std::byte byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<std::uint32_t>(byte)) & 0xff];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::span<const std::byte> bytes, std::uint32_t crc) {
  std::uint64_t wide = crc;
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) wide = _mm_crc32_u64(wide, load_le<std::uint64_t>(bytes.data() + i));
  crc = static_cast<std::uint32_t>(wide);
  for (; i < bytes.size(); ++i) crc = _mm_crc32_u8(crc, static_cast<std::uint8_t>(bytes[i]));
  return crc;
}
bool has_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
#elif defined(__ARM_FEATURE_CRC32)
std::uint32_t by_instruction(std::span<const std::byte> bytes, std::uint32_t crc) {
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) crc = __crc32cd(crc, load_le<std::uint64_t>(bytes.data() + i));
  for (; i < bytes.size(); ++i) crc = __crc32cb(crc, static_cast<std::uint8_t>(bytes[i]));
  return crc;
}
bool has_instruction() { return true; }
#else
std::uint32_t by_instruction(std::span<const std::byte> bytes, std::uint32_t crc) { return by_table(bytes, crc); }
bool has_instruction() { return false; }
#endif

}  // namespace

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t seed) {
  static const bool instruction = has_instruction();
  return ~(instruction ? by_instruction(bytes, ~seed) : by_table(bytes, ~seed));
}

std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t seed) { return ~by_table(bytes, ~seed); }

}  // namespace tideline::wire
