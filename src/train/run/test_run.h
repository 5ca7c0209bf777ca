// A whole run inside this process for tests: workers as threads over the loopback transport, each with its part of a
// least-squares problem.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "train/run/coordinator.h"
#include "train/run/worker.h"
#include "train/strategy/test_learner.h"

namespace tideline::train {

inline constexpr std::size_t kTestFeatures = 5;

inline Job test_job(std::string_view strategy, std::size_t workers, std::size_t rounds = 10, std::string_view more = "",
                    std::string_view optimiser = "{name: sgd, rate: 0.05, momentum: 0.5}") {
  auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {}\noptimiser: {}\n"
                                   "rounds: {}\nseed: 3\n{}",
                                   workers, strategy, optimiser, rounds, more),
                       "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

// Something that a worker does to its gradients, before each of them (counted from 0) and after it.
struct Mischief {
  std::function<Status(std::uint64_t step)> before;
  std::function<void(std::uint64_t step, std::vector<float>& gradient)> after;
};

class MischievousLearner final : public TestLearner {
 public:
  MischievousLearner(LeastSquares data, Mischief mischief)
      : TestLearner(std::move(data), kTestFeatures), mischief_(std::move(mischief)) {}
  std::span<const float> gradients() override {
    const auto honest = TestLearner::gradients();
    gradient_.assign(honest.begin(), honest.end());
    if (mischief_.after) mischief_.after(step_ - 1, gradient_);
    return gradient_;
  }
  Result<Batch> gradient(std::span<const std::uint32_t> rows, std::uint64_t seed) override {
    if (mischief_.before) TIDELINE_CHECK_OK(mischief_.before(step_));
    ++step_;
    return TestLearner::gradient(rows, seed);
  }

 private:
  Mischief mischief_;
  std::uint64_t step_ = 0;
  std::vector<float> gradient_;
};

class TestRun {
 public:
  explicit TestRun(const Job& job, std::size_t samples = 40) : job_(job), mischief(job.workers), cancel_worker(job.workers) {
    data = LeastSquares::make(samples * job.workers, kTestFeatures, 1);
  }

  Result<TrainReport> run(std::optional<Checkpoint> resume = {}) {
    const auto transport = make_loopback_transport();
    std::vector<std::unique_ptr<Listener>> listeners;
    std::vector<std::thread> threads;
    std::vector<Address> addresses;
    for (std::size_t k = 0; k < job_.workers; ++k) {
      listeners.push_back(transport->listen({"127.0.0.1", 0}).value());
      addresses.push_back(listeners.back()->address());
    }
    std::mutex mutex;  // of the addresses, and where those who come back listen
    std::vector<std::optional<Address>> again(job_.workers);
    ended.assign(job_.workers, Status{});
    for (std::size_t k = 0; k < job_.workers; ++k)
      threads.emplace_back([&, k] {
        const auto make = [&, k](const Job&, std::uint32_t, const std::string&) -> Result<std::unique_ptr<Learner>> {
          const std::size_t share = data.y.size() / job_.workers;
          return std::unique_ptr<Learner>(
              std::make_unique<MischievousLearner>(data.part(k * share, (k + 1) * share), mischief[k]));
        };
        const auto live = [&, k](Listener& listener, const CancelToken& token) {
          return run_worker({.transport = *transport,
                             .listener = listener,
                             .make_learner = make,
                             .cancel = token,
                             .return_patience = return_patience});
        };
        ended[k] = live(*listeners[k], cancel_worker[k]);
        if (!comes_back || !cancel_worker[k].cancelled() || is_over.cancelled()) return;
        const auto listener = transport->listen({"127.0.0.1", 0}).value();
        {
          const std::lock_guard lock(mutex);
          again[k] = listener->address();
        }
        ended[k] = live(*listener, is_over);
      });
    TrainOptions options{.transport = *transport,
                         .workers = addresses,
                         .model_file = "model",
                         .model = std::vector<float>(kTestFeatures + 1, 0.0F),
                         .size = {kTestFeatures, 1},
                         .evaluate = [this](std::span<const float> model) { return evaluate(model); },
                         .resume = std::move(resume),
                         .cancel = cancel,
                         .on_round = on_round,
                         .on_news = on_news};
    if (comes_back)
      options.find_again = [&](std::uint32_t worker) -> Result<Address> {
        const std::lock_guard lock(mutex);
        return again[worker] ? *again[worker] : addresses[worker];
      };
    auto report = run_training(job_, options);
    is_over.cancel();
    for (const CancelToken& token : cancel_worker)
      if (!report) token.cancel();
    for (std::thread& thread : threads) thread.join();
    return report;
  }

  // Half the mean squared error over all data, as loss.
  Result<Evaluated> evaluate(std::span<const float> model) const {
    std::vector<std::uint32_t> rows(data.y.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i);
    Evaluated result;
    (void)data.gradient(model.first(kTestFeatures), rows, &result.loss);
    return result;
  }

 private:
  Job job_;
  CancelToken is_over;

 public:
  LeastSquares data;
  std::vector<Mischief> mischief;
  std::vector<CancelToken> cancel_worker;
  CancelToken cancel;
  std::function<void(const RoundRecord&)> on_round;
  std::function<void(const std::string&)> on_news;
  // A worker that was cancelled lives once more, at another address; and who is lost is called again.
  bool comes_back = false;
  std::chrono::milliseconds return_patience{300};
  std::vector<Status> ended;
};

}  // namespace tideline::train
