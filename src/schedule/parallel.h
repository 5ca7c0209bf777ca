// Fork and join over a range, for the policies' inner loops.
#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace tideline::schedule {

inline unsigned thread_count(unsigned asked) {
  if (asked > 0) return std::min(asked, 64u);
  return std::clamp(std::thread::hardware_concurrency(), 1u, 64u);
}

// Calls body(thread, begin, end) once per thread, on equal consecutive parts of [0, size), the first on the caller's thread.
// The partition depends on `threads` and `size` alone. The body must not throw.
template <typename Body>
void parallel_for(unsigned threads, std::size_t size, const Body& body) {
  std::vector<std::jthread> others;
  for (unsigned t = 1; t < threads; ++t)
    others.emplace_back([&body, t, threads, size] { body(t, size * t / threads, size * (t + 1) / threads); });
  body(0u, std::size_t{0}, size / threads);
}

}  // namespace tideline::schedule
