#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/limits.h"
#include "base/text.h"
#include "train/compress/make.h"

namespace tideline::compress {
namespace {

constexpr double kCountMax = static_cast<double>(limits::kUpdateNumbersMax);

CompressorKey sparsity(double fallback) {
  return {"sparsity", "part of each layer's numbers that is not sent", 0, 0.999999, fallback};
}

const std::array<CompressorInfo, 13>& list() {
  static const CompressorKey feedback{"feedback", "1: what is left out is added to the next gradient, 0: it is lost", 0, 1, 1,
                                      true};
  static const std::array<CompressorInfo, 13> all{{
      {"none", "float32 as it is", {}, make_none},
      {"fp16", "rounded to float16", {}, make_half},
      {"one-bit",
       "1-bit SGD: signs, and two means for each row (Seide et al. 2014)",
       {{"group", "numbers of a layer that share two means; 0: a row of it", 0, kCountMax, 0, true}, feedback},
       make_one_bit},
      {"terngrad",
       "-1, 0 or 1 at random times a scale for each layer (Wen et al. 2017)",
       {{"clip", "numbers are cut off at so many standard deviations of their layer; 0: never", 0, 100, 2.5}},
       make_terngrad},
      {"qsgd",
       "levels of the norm at random, in Elias codes (Alistarh et al. 2017)",
       {{"levels", "of a number's magnitude between 0 and the norm", 1, 65536, 16, true},
        {"bucket", "numbers that share a norm", 1, kCountMax, 512, true}},
       make_qsgd},
      {"esgd",
       "coordinates that lowered the loss are sent again, else they are drawn by weight (Tao and Li 2018)",
       {{"drop", "part of all numbers that is not sent", 0, 0.999999, 0.5},
        {"gain", "that a coordinate's weight of 1 grows by when it lowered the loss", 0, 1000, 1},
        {"momentum", "of what is accumulated", 0, 0.9999, 0}},
       make_esgd,
       true},
      {"dgc",
       "the largest of what is accumulated with momentum (Lin et al. 2018)",
       {sparsity(0.999),
        {"momentum", "correction: what is accumulated has this momentum, and the receiver none", 0, 0.9999, 0.9},
        {"clip", "norm that gradients are cut off at, times workers^-1/2; 0: never", 0, 1e30, 0},
        {"workers", "that send", 1, 1e6, 1, true},
        {"masking", "1: what is sent loses its momentum too, 0: it keeps it", 0, 1, 1, true},
        {"warmup_rounds", "in four equal parts of so many steps 75, 93.75, 98.44, 99.61 % are not sent", 0, 1e9, 0, true}},
       make_dgc},
      {"wangni",
       "kept with the optimal probability and made larger by as much (Wangni et al. 2018)",
       {{"density", "part of all numbers that is sent, expected", 1e-6, 1, 0.01},
        {"epsilon", "instead of it: the fewest numbers for so much more variance, in parts of the squared norm; 0: by density", 0,
         1e6, 0}},
       make_wangni},
      {"strom",
       "a step up or down wherever a threshold is passed (Strom 2015)",
       {{"threshold", "how large a step is, rounded to 8 bits", 1e-30, 1e30, 0.01}},
       make_strom},
      {"top-k", "the largest of each layer", {sparsity(0.99), feedback}, make_top_k},
      {"low-rank",
       "structured: A times B, A drawn anew for each step (Konecny et al. 2016)",
       {{"rank", "of a layer's update", 1, 65536, 4, true}},
       make_low_rank},
      {"random-mask",
       "structured: numbers at places drawn anew for each step (Konecny et al. 2016)",
       {{"fraction", "of each layer that is sent", 1e-6, 1, 0.25}},
       make_random_mask},
      {"sketch",
       "sketched: rotated, subsampled and quantised at random (Konecny et al. 2016)",
       {{"fraction", "of each layer that is sent, made larger by as much", 1e-6, 1, 0.25},
        {"bits", "of a number, between the least and the largest of its layer; 0: float32", 0, 16, 2, true},
        {"rotate", "1: by signs and Hadamard's matrix before, 0: not", 0, 1, 1, true}},
       make_sketch},
  }};
  return all;
}

Error invalid(std::string message) { return {ErrorCode::kInvalidArgument, "[compress] " + std::move(message)}; }

Error out_of_range(std::string_view name, const CompressorKey& key, std::string_view found) {
  return invalid(fmt::format("{} of {} is '{}'; write a {}number from {} to {}", key.name, name, printable(found),
                             key.is_whole ? "whole " : "", key.min, key.max));
}

bool fits(const CompressorKey& key, double value) {
  return value >= key.min && value <= key.max && (!key.is_whole || value == std::floor(value));
}

Error unknown_key(const CompressorInfo& info, std::string_view key) {
  std::vector<std::string_view> names;
  for (const CompressorKey& known : info.keys) names.push_back(known.name);
  if (names.empty()) return invalid(fmt::format("{} takes no '{}' and nothing else: leave it out", info.name, printable(key)));
  const std::string_view near = nearest(key, names);
  return invalid(fmt::format("{} has no '{}'{}; it takes {}", info.name, printable(key),
                             near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", ")));
}

}  // namespace

std::span<const CompressorInfo> compressors() { return list(); }

const CompressorInfo* find_compressor(std::string_view name) {
  const auto found = std::find_if(list().begin(), list().end(), [&](const CompressorInfo& info) { return info.name == name; });
  return found == list().end() ? nullptr : &*found;
}

Result<CompressorSettings> parse_compressor(std::string_view name, const std::vector<KeyValue>& keys) {
  const CompressorInfo* info = find_compressor(name);
  if (info == nullptr) {
    std::vector<std::string_view> names;
    for (const CompressorInfo& known : list()) names.push_back(known.name);
    return Error{ErrorCode::kNotFound,
                 fmt::format("[compress] there is no compression '{}'; there are {}", printable(name), fmt::join(names, ", "))};
  }
  CompressorSettings settings{.name = std::string(name), .numbers = {}};
  for (const auto& entry : keys) {
    const std::string &key = entry.first, &text = entry.second;
    const auto known =
        std::find_if(info->keys.begin(), info->keys.end(), [&](const CompressorKey& one) { return one.name == key; });
    if (known == info->keys.end()) return unknown_key(*info, key);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !fits(*known, value)) return out_of_range(name, *known, text);
    if (!settings.numbers.emplace(key, value).second)
      return invalid(fmt::format("{} of {} is there twice: write it once", key, name));
  }
  for (const CompressorKey& key : info->keys) settings.numbers.emplace(key.name, key.fallback);
  return settings;
}

Result<std::unique_ptr<Compressor>> make_compressor(const CompressorSettings& settings, std::vector<Layer> layers) {
  TIDELINE_TRY(const CompressorSettings expected, parse_compressor(settings.name));
  const CompressorInfo& info = *find_compressor(settings.name);
  for (const auto& [key, value] : settings.numbers)
    if (!expected.numbers.contains(key)) return unknown_key(info, key);
  for (const CompressorKey& key : info.keys) {
    const auto found = settings.numbers.find(key.name);
    if (found == settings.numbers.end()) return out_of_range(info.name, key, "missing");
    if (!fits(key, found->second)) return out_of_range(info.name, key, fmt::format("{}", found->second));
  }
  const auto too_large = [](std::string_view what, std::size_t max) {
    return Error{ErrorCode::kOverloaded,
                 fmt::format("[compress] a model has more than {} {}, which no update may have", max, what)};
  };
  if (layers.empty()) return invalid("a model has no layers, and so nothing to send");
  if (layers.size() > limits::kUpdateLayersMax) return too_large("layers", limits::kUpdateLayersMax);
  std::size_t numbers = 0;
  for (const Layer& layer : layers) {
    if (layer.rows == 0 || layer.columns == 0) return invalid("a layer has no numbers: leave it out");
    if (layer.columns > (limits::kUpdateNumbersMax - numbers) / layer.rows)
      return too_large("numbers", limits::kUpdateNumbersMax);
    numbers += layer.length();
  }
  return info.make(std::move(layers), settings);
}

std::size_t numbers_of(const std::vector<Layer>& layers) {
  std::size_t numbers = 0;
  for (const Layer& layer : layers) numbers += layer.length();
  return numbers;
}

Result<std::vector<float>> sum_of(std::span<const float> a, std::span<const float> b) {
  std::vector<float> sum(a.size());
  bool is_finite = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum[i] = a[i] + b[i];
    is_finite &= std::isfinite(sum[i]);
  }
  if (!is_finite) return invalid("what was left out of earlier gradients has grown beyond a float's range: take a smaller rate");
  return sum;
}

std::vector<std::uint32_t> largest(const std::vector<Layer>& layers, std::span<const float> numbers, double part) {
  std::vector<std::uint32_t> positions;
  std::vector<std::uint32_t> magnitudes;  // bits of a float without its sign: in the order of the magnitudes
  const auto magnitude = [&](std::size_t i) { return std::bit_cast<std::uint32_t>(numbers[i]) & 0x7fffffff; };
  std::size_t start = 0;
  for (const Layer& layer : layers) {
    const std::size_t length = layer.length();
    const auto count =
        std::clamp<std::size_t>(static_cast<std::size_t>(std::llround(part * static_cast<double>(length))), 1, length);
    magnitudes.resize(length);
    for (std::size_t i = 0; i < length; ++i) magnitudes[i] = magnitude(start + i);
    const auto last = magnitudes.begin() + static_cast<std::ptrdiff_t>(count) - 1;
    std::nth_element(magnitudes.begin(), last, magnitudes.end(), std::greater<>());
    const std::uint32_t least = *last;
    auto equals = static_cast<std::size_t>(1 + std::count(magnitudes.begin(), last, least));
    for (std::size_t i = start; i < start + length; ++i) {
      const std::uint32_t bits = magnitude(i);
      if (bits < least || (bits == least && equals == 0)) continue;
      if (bits == least) --equals;
      positions.push_back(static_cast<std::uint32_t>(i));
    }
    start += length;
  }
  return positions;
}

}  // namespace tideline::compress
