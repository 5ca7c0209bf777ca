#include "train/compress/bytes.h"

#include <algorithm>

#include <fmt/format.h>

#include "train/compress/bits.h"

namespace tideline::compress {
namespace {

constexpr unsigned kRiceParameterMax = 31;

std::uint64_t rice_bits(std::span<const std::uint32_t> positions, unsigned parameter) {
  std::uint64_t bits = 0;
  std::uint32_t next = 0;
  for (const std::uint32_t position : positions) {
    bits += ((position - next) >> parameter) + 1 + parameter;
    next = position + 1;
  }
  return bits;
}

// The best parameter is near log2(mean gap * ln 2): of it and its neighbours the one that takes the fewest bits.
unsigned best_parameter(std::span<const std::uint32_t> positions, std::size_t numbers) {
  if (positions.empty()) return 0;
  const double gap = static_cast<double>(numbers) / static_cast<double>(positions.size());
  const int middle = std::clamp(static_cast<int>(std::lround(std::log2(gap * 0.6931))), 0, static_cast<int>(kRiceParameterMax));
  unsigned best = 0;
  std::uint64_t fewest = UINT64_MAX;
  for (int parameter = std::max(0, middle - 1); parameter <= std::min<int>(middle + 1, kRiceParameterMax); ++parameter) {
    const std::uint64_t bits = rice_bits(positions, static_cast<unsigned>(parameter));
    if (bits >= fewest) continue;
    fewest = bits;
    best = static_cast<unsigned>(parameter);
  }
  return best;
}

}  // namespace

Error corrupt(std::string_view what) { return {ErrorCode::kCorrupt, fmt::format("[compress] an update {}", what)}; }

void append_positions(std::vector<std::byte>& out, std::span<const std::uint32_t> positions, std::size_t numbers) {
  const unsigned parameter = best_parameter(positions, numbers);
  append(out, static_cast<std::uint32_t>(positions.size()));
  append(out, static_cast<std::uint8_t>(parameter));
  BitWriter bits(out);
  std::uint32_t next = 0;
  for (const std::uint32_t position : positions) {
    bits.write_rice(position - next, parameter);
    next = position + 1;
  }
  bits.finish();
}

Result<std::vector<std::uint32_t>> take_positions(Reader& reader, std::size_t numbers) {
  const auto count = reader.take<std::uint32_t>();
  const auto parameter = reader.take<std::uint8_t>();
  if (!count || !parameter) return corrupt("ends before its positions");
  if (*count > numbers || *parameter > kRiceParameterMax) return corrupt("has more positions than there are numbers");
  BitReader bits(reader.left());
  if ((std::uint64_t{*parameter} + 1) * *count > bits.bits_left()) return corrupt("ends within its positions");
  std::vector<std::uint32_t> positions(*count);
  std::uint64_t next = 0;
  for (std::uint32_t& position : positions) {
    if (next >= numbers) return corrupt("has a position behind its last number");
    const auto gap = bits.read_rice(*parameter, static_cast<std::uint32_t>(numbers - next - 1));
    if (!gap) return corrupt("has a position behind its last number, or ends within its positions");
    position = static_cast<std::uint32_t>(next + *gap);
    next = std::uint64_t{position} + 1;
  }
  const auto used = bits.finish();
  if (!used || !reader.take_bytes(*used)) return corrupt("has bits where its positions are filled up with zeros");
  return positions;
}

void append_sparse(std::vector<std::byte>& out, std::span<const std::uint32_t> positions, std::span<const float> all) {
  append_positions(out, positions, all.size());
  std::size_t at = out.size();
  out.resize(at + positions.size() * sizeof(float));
  for (const std::uint32_t position : positions) {
    std::memcpy(out.data() + at, &all[position], sizeof(float));
    at += sizeof(float);
  }
}

Status take_sparse(Reader& reader, std::span<float> into) {
  TIDELINE_TRY(const std::vector<std::uint32_t> positions, take_positions(reader, into.size()));
  const auto values = reader.take_bytes(positions.size() * sizeof(float));
  if (!values) return corrupt("ends within its numbers");
  for (std::size_t i = 0; i < positions.size(); ++i) {
    const auto value = number_at<float>(*values, i);
    if (!std::isfinite(value)) return corrupt("has a number that is not finite");
    into[positions[i]] = value;
  }
  return {};
}

}  // namespace tideline::compress
