// QSGD: Alistarh, Grubic, Li, Tomioka, Vojnovic, "QSGD: Communication-Efficient SGD via Gradient Quantization and Encoding", NIPS
// 2017. For each bucket of numbers v, with s levels:
//
//   r = s |v_i| / ||v||      Q_i = ||v|| sign(v_i) (floor(r) + b) / s,  P(b = 1) = r - floor(r)        so E[Q] = v,
//   E ||Q - v||^2 <= min(n / s^2, sqrt(n) / s) ||v||^2
//
// Body: levels and bucket (4 bytes each), then bits: for each bucket the norm (32 bits) and, unless it is 0, a bit that says
// which of the paper's two codes is the shorter one here: 0: for each number omega(level + 1) and, if the level is not 0, a sign;
// 1: omega(how many levels are not 0, plus 1), and for each of those omega(distance from the last one), sign, omega(level). Zeros
// up to a byte.
#include <algorithm>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "train/compress/bits.h"
#include "train/compress/bytes.h"
#include "train/compress/draws.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

class Qsgd final : public Compressor {
 public:
  Qsgd(std::vector<Layer> layers, const CompressorSettings& settings)
      : Compressor(number_of(Kind::kQsgd), std::move(layers)),
        levels_(static_cast<std::uint32_t>(settings.count("levels"))),
        bucket_(static_cast<std::uint32_t>(settings.count("bucket"))) {}

 private:
  // `work(start, size)` for each bucket; buckets end where layers do.
  Status for_each_bucket(auto work) const {
    std::size_t start = 0;
    for (const Layer& layer : layers()) {
      for (std::size_t left = layer.length(); left > 0;) {
        const std::size_t size = std::min<std::size_t>(left, bucket_);
        TIDELINE_CHECK_OK(work(start, size));
        start += size;
        left -= size;
      }
    }
    return {};
  }

  Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) override {
    append(out, levels_);
    append(out, bucket_);
    BitWriter bits(out);
    const Draws draws(key_of({step.seed, step.step, number_of(Kind::kQsgd)}));
    std::vector<std::uint32_t> levels;
    TIDELINE_CHECK_OK(for_each_bucket([&](std::size_t start, std::size_t size) -> Status {
      const auto numbers = gradient.subspan(start, size);
      double squares = 0;
      for (const float x : numbers) squares += static_cast<double>(x) * static_cast<double>(x);
      // Not below the largest magnitude: that is a float, and rounding keeps the order.
      const auto norm = static_cast<float>(std::sqrt(squares));
      if (!std::isfinite(norm))
        return Error{
            ErrorCode::kInvalidArgument,
            "[compress] the norm of a bucket is beyond a float's range: take a smaller rate, or a smaller bucket of qsgd"};
      bits.write(std::bit_cast<std::uint32_t>(norm), 32);
      if (norm == 0) return {};
      levels.resize(size);
      const double scale = static_cast<double>(levels_);
      for (std::size_t i = 0; i < size; ++i) {
        const double r = static_cast<double>(std::abs(numbers[i])) * scale / static_cast<double>(norm);
        const double whole = std::floor(r);
        levels[i] = static_cast<std::uint32_t>(whole) + (draws.unit(start + i) < r - whole ? 1 : 0);
      }
      write_levels(numbers, levels, bits);
      return {};
    }));
    bits.finish();
    return {};
  }

  static void write_levels(std::span<const float> numbers, std::span<const std::uint32_t> levels, BitWriter& bits) {
    std::uint64_t dense = 0, sparse = 0;
    std::uint32_t count = 0;
    std::size_t next = 0;
    for (std::size_t i = 0; i < levels.size(); ++i) {
      dense += omega_bits(levels[i] + 1);
      if (levels[i] == 0) continue;
      sparse += omega_bits(static_cast<std::uint32_t>(i - next + 1)) + omega_bits(levels[i]);
      ++count;
      next = i + 1;
    }
    const bool is_sparse = sparse + omega_bits(count + 1) < dense;
    bits.write(is_sparse ? 1 : 0, 1);
    if (is_sparse) bits.write_omega(count + 1);
    next = 0;
    for (std::size_t i = 0; i < levels.size(); ++i) {
      const std::uint64_t sign = std::signbit(numbers[i]) ? 1 : 0;
      if (!is_sparse) {
        bits.write_omega(levels[i] + 1);
        if (levels[i] > 0) bits.write(sign, 1);
      } else if (levels[i] > 0) {
        bits.write_omega(static_cast<std::uint32_t>(i - next + 1));
        bits.write(sign, 1);
        bits.write_omega(levels[i]);
        next = i + 1;
      }
    }
  }

  Status read(std::span<const std::byte> body, std::span<float> into) const override {
    Reader reader(body);
    const auto levels = reader.take<std::uint32_t>();
    const auto bucket = reader.take<std::uint32_t>();
    if (!levels || !bucket) return corrupt("ends before its levels and bucket");
    if (*levels != levels_ || *bucket != bucket_)
      return corrupt(fmt::format("is of {} levels and buckets of {}, expected {} and {}", *levels, *bucket, levels_, bucket_));
    BitReader bits(reader.left());
    TIDELINE_CHECK_OK(for_each_bucket([&](std::size_t start, std::size_t size) -> Status {
      const auto norm_bits = bits.read(32);
      if (!norm_bits) return corrupt("ends before a norm");
      const auto norm = std::bit_cast<float>(*norm_bits);
      if (!std::isfinite(norm) || std::signbit(norm)) return corrupt("has a norm that is no magnitude");
      if (norm == 0) return {};
      return read_levels(bits, norm, into.subspan(start, size));
    }));
    const auto used = bits.finish();
    if (!used || *used != reader.left().size()) return corrupt("has something behind its last number");
    return {};
  }

  Status read_levels(BitReader& bits, float norm, std::span<float> into) const {
    const auto ends = [] { return corrupt("ends within a bucket, or has a code there that is too long"); };
    const auto put = [&](std::size_t i, std::uint32_t level) {
      const auto sign = bits.read(1);
      if (!sign || level > levels_) return false;
      const auto value = static_cast<float>(static_cast<double>(norm) * level / levels_);
      into[i] = *sign != 0 ? -value : value;
      return true;
    };
    const auto is_sparse = bits.read(1);
    if (!is_sparse) return ends();
    if (*is_sparse == 0) {
      for (std::size_t i = 0; i < into.size(); ++i) {
        const auto code = bits.read_omega();
        if (!code || (*code > 1 && !put(i, *code - 1))) return ends();
      }
      return {};
    }
    const auto count = bits.read_omega();
    if (!count) return ends();
    std::uint64_t next = 0;
    for (std::uint32_t k = 1; k < *count; ++k) {
      const auto distance = bits.read_omega();
      if (!distance || *distance > into.size() - next) return corrupt("has a distance that leads out of its bucket");
      next += *distance;
      const auto sign = bits.read(1);
      const auto level = bits.read_omega();
      if (!sign || !level || *level > levels_) return ends();
      const auto value = static_cast<float>(static_cast<double>(norm) * *level / levels_);
      into[static_cast<std::size_t>(next) - 1] = *sign != 0 ? -value : value;
    }
    return {};
  }

  std::uint32_t levels_;
  std::uint32_t bucket_;
};

}  // namespace

Made make_qsgd(std::vector<Layer> layers, const CompressorSettings& settings) {
  return std::make_unique<Qsgd>(std::move(layers), settings);
}

}  // namespace tideline::compress
