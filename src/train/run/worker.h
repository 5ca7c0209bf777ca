// The worker's end of training: waits for a coordinator, learns from it what is trained, and does its part of each round until
// the coordinator says goodbye, or is gone and does not come back. Its data stay with it: what leaves is updates, and models
// where workers keep their own.
//
//   TIDELINE_TRY(auto listener, transport->listen(address));
//   TIDELINE_CHECK_OK(run_worker({.transport = *transport, .listener = *listener, .make_learner = make, .cancel = token}));
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/cancel.h"
#include "base/result.h"
#include "train/job/job.h"
#include "train/strategy/learner.h"
#include "transport/transport.h"

namespace tideline::train {

// What this worker trains: the model that the coordinator sent, with data that the worker itself was given.
using MakeLearner =
    std::function<Result<std::unique_ptr<Learner>>(const Job& job, std::uint32_t worker, const std::string& model_file)>;

struct WorkerOptions {
  Transport& transport;
  Listener& listener;
  MakeLearner make_learner;
  CancelToken cancel{};
  // How long it waits for a coordinator that was lost without a goodbye.
  std::chrono::nanoseconds return_patience = std::chrono::seconds(15);
};

// Returns when the coordinator has ended the run (ok), never came, or is gone and has not come back in time (kDisconnected),
// or `cancel` (kCancelled). Meanwhile the coordinator of another run may come instead: this one is then forgotten. Connections
// that say anything else than HELLO, and workers of another run, are closed.
Status run_worker(const WorkerOptions& options);

}  // namespace tideline::train
