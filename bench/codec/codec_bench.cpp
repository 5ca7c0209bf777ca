// How fast each codec encodes and decodes, over memcpy of the same array in the same rounds. Two arrays as networks have them:
// one that stays in the cache and one that does not. Goal of int8 and fp16 without packing: at least a quarter of memcpy.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "codec/codec.h"

namespace tideline {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 60;
constexpr double kGoal = 0.25;

template <class T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  fmt::print(stderr, "codec_bench: {}\n", result.error().message);
  std::exit(1);
}

template <class Work>
double seconds(Work work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double quartile(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 4, values.end());
  return values[values.size() / 4];
}

// What a ReLU leaves of a normal distribution: half of it zeros, as packings like it.
Tensor activations(std::vector<std::int64_t> shape) {
  Tensor tensor{{"x", DType::kFloat32, std::move(shape)}, {}};
  tensor.data = Buffer(need(byte_size(DType::kFloat32, tensor.spec.shape)));
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  auto* numbers = reinterpret_cast<float*>(tensor.data.data());
  for (std::size_t i = 0; i < tensor.data.size() / sizeof(float); ++i) numbers[i] = std::max(0.0F, normal(random));
  return tensor;
}

// Whether the goals are met.
bool measure(const char* what, const Tensor& tensor) {
  fmt::print("{}, {} bytes\n{:<12} {:>8} {:>14} {:>7} {:>14} {:>7}\n", what, tensor.data.size(), "codec", "share", "encode MB/s",
             "ratio", "decode MB/s", "ratio");
  Buffer into(need(encoded_bytes_max(tensor.spec.dtype, tensor.spec.shape)));
  Buffer scratch(tensor.data.size());
  Buffer back(tensor.data.size());
  bool reached = true;
  for (const NamedCodec& known : codecs()) {
    std::vector<double> copying, encoding, decoding;
    std::size_t bytes = 0;
    for (int round = 0; round < kRounds; ++round) {
      copying.push_back(seconds([&] { std::memcpy(back.data(), tensor.data.data(), back.size()); }));
      encoding.push_back(seconds([&] { bytes = need(encode(known.codec, view(tensor), into.span(), scratch.span())); }));
      decoding.push_back(seconds([&] {
        const auto form = into.span().first(bytes);
        if (!decode(need(read_encoded_head(form)), form, back.span(), scratch.span())) std::exit(1);
      }));
    }
    const double copy = quartile(copying);
    const double encoded = quartile(encoding);
    const double decoded = quartile(decoding);
    const double megabytes = static_cast<double>(tensor.data.size()) / 1e6;
    fmt::print("{:<12} {:>7.1f}% {:>14.0f} {:>7.2f} {:>14.0f} {:>7.2f}\n", known.name,
               100 * static_cast<double>(bytes) / static_cast<double>(tensor.data.size()), megabytes / encoded, copy / encoded,
               megabytes / decoded, copy / decoded);
    if (known.codec.is_lossy() && known.codec.packing == Packing::kNone)
      reached = reached && copy / encoded >= kGoal && copy / decoded >= kGoal;
  }
  fmt::print("\n");
  return reached;
}

}  // namespace
}  // namespace tideline

int main() {
  const bool small =
      tideline::measure("early layer of a classifier, float32[1,64,112,112]", tideline::activations({1, 64, 112, 112}));
  const bool large =
      tideline::measure("more than the cache holds, float32[8,64,224,224]", tideline::activations({8, 64, 224, 224}));
  fmt::print("goal, int8 and fp16 at least a quarter of memcpy: {}\n", small && large ? "reached" : "MISSED");
  return small && large ? 0 : 1;
}
