#include "fleet/up/parallel.h"

#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

namespace tideline::fleet {

void in_parallel(std::size_t count, std::size_t at_once, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  const auto go_on = [&] {
    for (std::size_t n = next++; n < count; n = next++) work(n);
  };
  std::vector<std::thread> helpers;
  helpers.reserve(at_once);
  try {
    while (helpers.size() + 1 < at_once && helpers.size() + 1 < count) helpers.emplace_back(go_on);
  } catch (const std::system_error&) {
    // Those that are there will do.
  }
  go_on();
  for (std::thread& helper : helpers) helper.join();
}

}  // namespace tideline::fleet
