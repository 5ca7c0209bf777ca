// The coordinator of a training run: sets up the workers, runs the job's rounds over them, and ends them. Knows no model but its
// numbers, no library and no data set: what evaluates is given to it.
//
// Rounds over a parameter server close when all that were asked have answered, or at a deadline learned from those who have
// (DeadlineSettings); what comes later is dropped by its round. An update with a number that is not finite, or many times longer
// than the median one, is rejected, and its sender is quarantined: it is asked no more, and the report names it.
// Between peers a lost member ends the attempt for all, and the others repeat it among themselves. A worker that is lost may come
// back (find_again). A checkpoint that cannot be written is told and does not end the run.
//
//   TIDELINE_TRY(const TrainReport report, run_training(job, {.transport = *tcp, .workers = addresses, .model_file = onnx,
//                                                             .model = numbers, .size = size, .evaluate = evaluate}));
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/result.h"
#include "train/job/job.h"
#include "train/run/checkpoint.h"
#include "train/run/record.h"
#include "train/strategy/strategy.h"
#include "transport/transport.h"

namespace tideline::train {

struct Evaluated {
  double accuracy = 0;
  double loss = 0;
};

struct TrainOptions {
  Transport& transport;
  std::vector<Address> workers;  // of worker 0, 1, ...: as many as the job has
  std::string model_file;        // goes to every worker
  std::vector<float> model;      // what training starts from: parameters, then buffers
  ModelSize size;
  // Of a model; empty: no evaluation.
  std::function<Result<Evaluated>(std::span<const float> model)> evaluate{};
  std::optional<Checkpoint> resume{};
  // Where a worker that is lost may be called now; its error: not yet. Asked on the calling thread, again and again with growing
  // pauses; must not wait. Who comes back is given the present model and takes part from the next round. Empty: who is lost
  // stays lost.
  std::function<Result<Address>(std::uint32_t worker)> find_again{};
  // Ends the run after the round under way, with a checkpoint if the job has a folder for it.
  CancelToken cancel{};
  // Once all workers are there: how many rounds there will be. May be empty.
  std::function<void(std::uint64_t rounds)> on_start{};
  // After every round, and when something happens to a worker. On the calling thread; may be empty.
  std::function<void(const RoundRecord&)> on_round{};
  std::function<void(const std::string&)> on_news{};
};

struct TrainReport {
  std::vector<RoundRecord> rounds;
  std::vector<float> model;
  std::vector<std::uint64_t> bytes_by_worker;  // sent and received by each in all rounds
  std::vector<std::uint64_t> samples_by_worker;
  std::vector<std::string> news;         // who was lost, late for good, or quarantined, and why
  std::vector<std::uint64_t> staleness;  // [age] how many gradients were used at it; asynchronous strategies
  bool is_interrupted = false;
};

// kDisconnected when no worker is left or one was not there at the start; the error of a worker that could not be set up, with
// its number before it.
Result<TrainReport> run_training(const Job& job, const TrainOptions& options);

}  // namespace tideline::train
