// Models made ready for a benchmark: engine, chain, inputs.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "session/load.h"

namespace tideline::bench {

template <typename T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
inline void need(Status status) {
  if (!status) throw std::runtime_error(status.error().message);
}

struct Prepared : LoadedModel {
  // One timed run of the unsplit model in milliseconds.
  double run_whole(Unsplit& unsplit) const;
};

// A network of the zoo with one engine thread.
Prepared prepare_zoo(const std::string& name);
// A model that returns the first `out` of `in` floats.
Prepared prepare_slice(std::size_t in, std::size_t out);

}  // namespace tideline::bench
