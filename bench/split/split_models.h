// Models made ready for a benchmark: engine, chain, inputs.
#pragma once

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/probe.h"
#include "model/chain.h"
#include "model/model.h"
#include "model/segment.h"

namespace tideline::bench {

template <typename T>
T need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  return std::move(result).value();
}
inline void need(Status status) {
  if (!status) throw std::runtime_error(status.error().message);
}

struct Prepared {
  std::unique_ptr<Engine> engine;
  Model model;
  Chain chain;
  std::vector<Tensor> inputs;

  std::vector<TensorView> views() const;
  // The unsplit model as one segment, and one timed run of it in milliseconds.
  std::unique_ptr<Session> load_whole() const;
  double run_whole(Session& session) const;
};

// A network of the zoo with one engine thread.
Prepared prepare_zoo(const std::string& name);
// A model that returns the first `out` of `in` floats.
Prepared prepare_slice(std::size_t in, std::size_t out);

}  // namespace tideline::bench
