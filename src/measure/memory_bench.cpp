#include "measure/memory_bench.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <span>

#include "platform/host.h"

namespace tideline {
namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kWordsPerLine = kLineBytes / sizeof(std::uint64_t);
constexpr int kRepetitionsMin = 3;
// Of one repetition: long against the clock's own call and the clock's steps.
constexpr double kRepetitionSeconds = 0.0005;
constexpr std::uint64_t kChaseStepsMin = 20'000;
constexpr std::uint64_t kChaseStepsMax = 200'000;

// Keeps a value that nobody reads from being optimised away, with all that it was made of.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

double cpu_seconds() { return std::chrono::duration<double>(thread_cpu_time()).count(); }

// What every processor that we build for reads at once; one word at a time would measure additions and not the caches.
typedef std::uint64_t Pair __attribute__((vector_size(16), may_alias));  // NOLINT: attributes of a type

// REQUIRES: words.data() is aligned for Pair, as `new` makes it.
std::uint64_t sum_words(std::span<const std::uint64_t> words) {
  const Pair* pairs = reinterpret_cast<const Pair*>(words.data());
  Pair a{}, b{}, c{}, d{};
  for (std::size_t i = 0; i + 4 <= words.size() / 2; i += 4) {
    a += pairs[i];
    b += pairs[i + 1];
    c += pairs[i + 2];
    d += pairs[i + 3];
  }
  const Pair all = a + b + c + d;
  return all[0] + all[1];
}

// The least processor time of `work` over repetitions of some length, per call, until `seconds` are used.
template <typename Work>
double least_seconds(double seconds, const Work& work) {
  double least = std::numeric_limits<double>::infinity();
  std::uint64_t calls = 1;
  const double end = cpu_seconds() + seconds;
  for (int repetition = 0; repetition < kRepetitionsMin || cpu_seconds() < end;) {
    const double start = cpu_seconds();
    for (std::uint64_t i = 0; i < calls; ++i) work();
    const double taken = cpu_seconds() - start;
    if (taken < kRepetitionSeconds) {
      calls *= 2;
      continue;
    }
    least = std::min(least, taken / static_cast<double>(calls));
    ++repetition;
  }
  return least;
}

// Makes each line name the next one of a single cycle through all lines in random order (Sattolo), so that no load can begin
// before the one before it has ended, and no prefetcher knows where.
void link_lines(std::span<std::uint64_t> words) {
  const std::size_t lines = words.size() / kWordsPerLine;
  std::vector<std::uint32_t> order(lines);
  std::iota(order.begin(), order.end(), 0u);
  std::mt19937_64 random(1);
  for (std::size_t i = lines; i > 1; --i) std::swap(order[i - 1], order[(random() >> 32) * (i - 1) >> 32]);
  for (std::size_t i = 0; i < lines; ++i)
    words[std::size_t{order[i]} * kWordsPerLine] = std::uint64_t{order[(i + 1) % lines]} * kWordsPerLine;
}

MemoryPoint measure_working_set(std::span<std::uint64_t> words, double seconds) {
  MemoryPoint point{.bytes = words.size_bytes()};
  const auto bytes = static_cast<double>(words.size_bytes());
  point.read_bytes_per_s = bytes / least_seconds(seconds / 3, [&] { keep(sum_words(words)); });
  const std::size_t half = words.size_bytes() / 2;
  point.copy_bytes_per_s = static_cast<double>(half) / least_seconds(seconds / 3, [&] {
                             std::memcpy(words.data(), words.data() + words.size() / 2, half);
                             keep(words.front());
                           });
  link_lines(words);
  std::uint64_t at = 0;
  // Each repetition goes on where the last one ended, so that in a large working set the next line has not been read for long.
  const std::uint64_t steps = std::clamp<std::uint64_t>(words.size() / kWordsPerLine, kChaseStepsMin, kChaseStepsMax);
  point.latency_ns = 1e9 / static_cast<double>(steps) * least_seconds(seconds / 3, [&] {
                       for (std::uint64_t i = 0; i < steps; ++i) at = words[at];
                       keep(at);
                     });
  return point;
}

}  // namespace

Result<std::vector<MemoryPoint>> measure_memory(const MemoryBenchOptions& options) {
  std::vector<Bytes> sizes;
  for (Bytes bytes = options.bytes_min; bytes <= options.bytes_max; bytes *= 2) {
    sizes.push_back(bytes);
    if (bytes + bytes / 2 <= options.bytes_max) sizes.push_back(bytes + bytes / 2);
  }
  const std::size_t count = options.bytes_max / sizeof(std::uint64_t);
  // Written once here, so that every page is there.
  const std::unique_ptr<std::uint64_t[]> words(new (std::nothrow) std::uint64_t[count]());
  if (!words)
    return Error{ErrorCode::kOverloaded, "[calibrate] no " + format_bytes(options.bytes_max) + " of memory to measure it with"};
  std::vector<MemoryPoint> points;
  const double seconds = options.time.count() / 1000 / static_cast<double>(sizes.size());
  for (const Bytes bytes : sizes) {
    if (options.cancel != nullptr && options.cancel->cancelled())
      return Error{ErrorCode::kCancelled, "[calibrate] interrupted; nothing was written"};
    if (options.progress) options.progress(static_cast<double>(points.size()) / static_cast<double>(sizes.size()));
    points.push_back(measure_working_set({words.get(), bytes / sizeof(std::uint64_t)}, seconds));
  }
  return points;
}

}  // namespace tideline
