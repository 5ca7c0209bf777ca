// Work that waits for others, several pieces at a time.
#pragma once

#include <cstddef>
#include <functional>

namespace tideline::fleet {

// Calls `work` once for each of 0 .. count - 1, begun in that order, on up to `at_once` threads, and returns when all are done.
// The calling thread is one of them, so that it is done also where the system gives no other. REQUIRES: `work` does not throw.
void in_parallel(std::size_t count, std::size_t at_once, const std::function<void(std::size_t)>& work);

}  // namespace tideline::fleet
