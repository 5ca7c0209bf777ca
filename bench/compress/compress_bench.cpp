// How fast each compressor encodes and decodes a gradient of a million numbers, over memcpy of the same array in the same rounds,
// and what comes of it on a link: bytes / 12.5 MB per second (100 Mbit/s), computed, not measured. Goal: encoding, sending and
// decoding take less time than sending the dense gradient does.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include <fmt/format.h>

#include "train/compress/compressor.h"

namespace tideline::compress {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRounds = 9;
constexpr double kLinkBytesPerSecond = 100e6 / 8;

template <class T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  fmt::print(stderr, "compress_bench: {}\n", result.error().message);
  std::exit(1);
}

template <class Work>
double seconds(Work work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct Row {
  const char* label;
  const char* name;
  std::vector<KeyValue> keys;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"none", "none", {}},
      {"fp16", "fp16", {}},
      {"one-bit", "one-bit", {}},
      {"terngrad", "terngrad", {}},
      {"qsgd, 1 level", "qsgd", {{"levels", "1"}}},
      {"qsgd, 4 levels", "qsgd", {{"levels", "4"}}},
      {"qsgd, 16 levels", "qsgd", {{"levels", "16"}}},
      {"esgd, drop 75 %", "esgd", {{"drop", "0.75"}}},
      {"dgc, 99.9 %", "dgc", {}},
      {"wangni, 1 %", "wangni", {}},
      {"wangni, epsilon 1", "wangni", {{"epsilon", "1"}}},
      {"strom, 0.01", "strom", {}},
      {"top-k, 99 %", "top-k", {}},
      {"low-rank, 4", "low-rank", {}},
      {"random-mask, 25 %", "random-mask", {}},
      {"sketch, 25 %, 2 bits", "sketch", {}},
      {"sketch, all, 1 bit", "sketch", {{"fraction", "1"}, {"bits", "1"}}},
  };
  return all;
}

// Layers of a small network, a million numbers, each layer's of another size and with a heavy tail, as gradients have it.
std::vector<Layer> layers() { return {{64, 27}, {1, 64}, {128, 576}, {1, 128}, {500, 1600}, {1, 500}, {249, 500}, {1, 249}}; }

std::vector<float> gradient_of(const std::vector<Layer>& all, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers;
  float scale = 0.02F;
  for (const Layer& layer : all) {
    for (std::size_t i = 0; i < layer.length(); ++i) {
      const float x = normal(random);
      numbers.push_back(scale * x * std::abs(x));
    }
    scale *= 0.7F;
  }
  return numbers;
}

bool measure() {
  const std::vector<Layer> all = layers();
  std::vector<std::vector<float>> gradients;
  for (std::uint64_t seed = 0; seed < kRounds; ++seed) gradients.push_back(gradient_of(all, seed));
  const std::size_t dense_bytes = gradients[0].size() * sizeof(float);
  const double dense = static_cast<double>(dense_bytes) / kLinkBytesPerSecond, megabytes = static_cast<double>(dense_bytes) / 1e6;
  fmt::print("{} numbers, {} bytes; dense at 100 Mbit/s: {:.0f} ms\n\n", gradients[0].size(), dense_bytes, 1e3 * dense);
  fmt::print("{:<22} {:>9} {:>8} {:>12} {:>8} {:>12} {:>8} {:>10}\n", "compressor", "bytes", "fewer", "encode MB/s", "/ memcpy",
             "decode MB/s", "/ memcpy", "/ dense");
  std::vector<float> back(gradients[0].size());
  bool reached = true;
  for (const Row& row : rows()) {
    const auto compressor = need(make_compressor(need(parse_compressor(row.name, row.keys)), all));
    std::vector<double> copying, encoding, decoding;
    std::vector<std::byte> bytes;
    // The first gradients fill the memory of those that have one.
    for (std::size_t round = 0; round < kRounds; ++round) {
      copying.push_back(seconds([&] { std::memcpy(back.data(), gradients[round].data(), dense_bytes); }));
      encoding.push_back(seconds([&] {
        bytes = need(
            compressor->encode(gradients[round], {.step = round, .seed = 1, .loss = 1.0F / static_cast<float>(1 + round % 4)}));
      }));
      decoding.push_back(seconds([&] {
        if (!compressor->decode(bytes, back)) std::exit(1);
      }));
    }
    const double copy = median(copying), encoded = median(encoding), decoded = median(decoding);
    // Of the time that the dense gradient takes on the link.
    const double total = (encoded + decoded + static_cast<double>(bytes.size()) / kLinkBytesPerSecond) / dense;
    fmt::print("{:<22} {:>9} {:>7.1f}x {:>12.0f} {:>8.3f} {:>12.0f} {:>8.3f} {:>10.3f}\n", row.label, bytes.size(),
               static_cast<double>(dense_bytes) / static_cast<double>(bytes.size()), megabytes / encoded, copy / encoded,
               megabytes / decoded, copy / decoded, total);
    if (std::string_view(row.name) != "none") reached = reached && total < 1;
  }
  fmt::print("\ngoal, every compressor's encoding, sending and decoding below the dense gradient's sending: {}\n",
             reached ? "reached" : "MISSED");
  return reached;
}

}  // namespace
}  // namespace tideline::compress

int main() { return tideline::compress::measure() ? 0 : 1; }
