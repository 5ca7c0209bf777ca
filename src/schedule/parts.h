// The connected parts of an instance: servers that share a task, directly or through others, belong together. A schedule of one
// part says nothing about another, so a bound may be rounded down for each part by itself: single-home tasks make every server a
// part. Pure function; thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "schedule/instance.h"

namespace tideline::schedule {

struct Parts {
  std::uint32_t count = 0;
  std::vector<std::uint32_t> of_server;  // by rising lowest server
};

Parts find_parts(const Instance& instance);

}  // namespace tideline::schedule
