// Goal: no bytes that a worker, a coordinator or a stranger sends end a process, make it wait for ever, or get into the result;
// and whoever sent them is named. Method: coordinators and workers as they are, over the loopback transport, against others that
// are written here and lie.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <new>

#include "platform/temp_folder.h"
#include "train/run/fake_worker.h"
#include "train/run/test_run.h"

namespace tideline::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using std::literals::chrono_literals::operator""ms;
using std::literals::chrono_literals::operator""s;

constexpr std::size_t kModel = kTestFeatures + 1;

// A run of three honest workers and, as the last one, a fake.
struct WithFake {
  Result<TrainReport> report{Error{}};
  double loss = 0;
};
WithFake run_with_fake(const Job& job, const FakeWorker::OnWork& on_work, TrainReady ready = {40, kTestFeatures, 1}) {
  const auto transport = make_loopback_transport();
  const LeastSquares data = LeastSquares::make(40 * job.workers, kTestFeatures, 1);
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::thread> threads;
  std::vector<Address> addresses;
  const CancelToken over;
  for (std::size_t k = 0; k + 1 < job.workers; ++k) {
    listeners.push_back(transport->listen({"127.0.0.1", 0}).value());
    addresses.push_back(listeners.back()->address());
    threads.emplace_back([&, k, listener = listeners.back().get()] {
      const auto make = [&, k](const Job&, std::uint32_t, const std::string&) -> Result<std::unique_ptr<Learner>> {
        return std::unique_ptr<Learner>(std::make_unique<TestLearner>(data.part(40 * k, 40 * (k + 1)), kTestFeatures));
      };
      (void)run_worker({.transport = *transport, .listener = *listener, .make_learner = make, .cancel = over});
    });
  }
  FakeWorker fake(*transport, ready, on_work);
  addresses.push_back(fake.address());
  WithFake result;
  result.report = run_training(job, {.transport = *transport,
                                     .workers = addresses,
                                     .model_file = "model",
                                     .model = std::vector<float>(kModel, 0.0F),
                                     .size = {kTestFeatures, 1}});
  over.cancel();
  for (std::thread& thread : threads) thread.join();
  if (result.report) {
    std::vector<std::uint32_t> rows(data.y.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::uint32_t>(i);
    (void)data.gradient(std::span(result.report->model).first(kTestFeatures), rows, &result.loss);
  }
  return result;
}

// An update of zeros as `none` writes it.
std::vector<std::byte> zeros(const Job& job) {
  const auto codec = make_update_codec(job.compression, {kTestFeatures, 1}).value();
  return codec->encode(std::vector<float>(kModel, 0.0F), {}).value();
}

TEST(HostileWorker, WhatItLiesAboutIsNamedAndTheOthersFinish) {
  const Job job = test_job("{name: sync-sgd, batch: 10}", 4, 30);
  const std::vector<std::byte> honest = zeros(job);
  struct Lie {
    const char* news;
    FakeWorker::OnWork tell;
  };
  const auto say = [&](auto change) {
    return [&honest, change](const FakeWorker::Asked& asked) {
      TrainUpdate update{.round = asked.work.round, .attempt = asked.work.attempt, .samples = 10, .loss = 0.5};
      change(update);
      asked.answer(update, honest);
    };
  };
  const std::vector<Lie> lies = {
      {"an update of another round", say([](TrainUpdate& update) { ++update.round; })},
      {"an update of another round", say([](TrainUpdate& update) { ++update.attempt; })},
      {"computed from no samples", say([](TrainUpdate& update) { update.samples = 0; })},
      {"from 18446744073709551615 samples, and 10 are the most", say([](TrainUpdate& update) { update.samples = ~0ULL; })},
      {"from 11 samples, and 10 are the most", say([](TrainUpdate& update) { update.samples = 11; })},
      {"not finite", say([](TrainUpdate& update) { update.loss = std::numeric_limits<double>::quiet_NaN(); })},
      {"not finite", say([](TrainUpdate& update) { update.loss = std::numeric_limits<double>::infinity(); })},
      {"an answer to another question",
       [&](const FakeWorker::Asked& asked) {
         FakeWorker::Asked replayed{asked.channel, asked.id - 1, asked.work, asked.session};
         replayed.answer(TrainUpdate{.round = asked.work.round, .samples = 10}, honest);
       }},
      {"an update ",
       [&](const FakeWorker::Asked& asked) {
         asked.answer(TrainUpdate{.round = asked.work.round, .samples = 10}, std::span(honest).first(honest.size() - 1));
       }},
      {"are the most that such a model may take",
       [&](const FakeWorker::Asked& asked) {
         asked.answer(TrainUpdate{.round = asked.work.round, .samples = 10}, std::vector<std::byte>(1 << 20));
       }},
      {"expected TRAIN_UPDATE, got TRAIN_READY",
       [](const FakeWorker::Asked& asked) {
         (void)send_train(asked.channel, asked.id, TrainReady{1, 2, 3}, {}, kNoDeadline);
       }},
      {"I would rather not",
       [](const FakeWorker::Asked& asked) {
         asked.answer(Error{ErrorCode::kInternal, "I would rather not"});
       }},
  };
  for (const Lie& lie : lies) {
    SCOPED_TRACE(lie.news);
    const WithFake run = run_with_fake(job, lie.tell);
    ASSERT_TRUE(run.report) << run.report.error().message;
    ASSERT_EQ(run.report->rounds.size(), 30U);
    EXPECT_THAT(run.report->news, ElementsAre(testing::AllOf(HasSubstr("worker 3 is quarantined: "), HasSubstr(lie.news))));
    EXPECT_EQ(run.report->rounds.back().workers, 3U);
    EXPECT_LT(run.loss, 1);
  }
}

// Announces as much as a frame may hold and sends none of it; or hangs up.
TEST(HostileWorker, AnUpdateThatNeverComesHoldsUpNobodyForEver) {
  const Job job = test_job("{name: sync-sgd, batch: 10}", 4, 30, "deadlines: {patience: 1s}\n");
  for (const bool hangs_up : {false, true}) {
    const WithFake run = run_with_fake(job, [&](const FakeWorker::Asked& asked) {
      std::vector<std::byte> meta;
      ASSERT_TRUE(encode_train(TrainUpdate{.round = asked.work.round, .samples = 10}, meta));
      wire::FrameHeader header{.type = TrainUpdate::kType, .request_id = asked.id};
      header.meta_bytes = static_cast<std::uint32_t>(meta.size());
      header.payload_bytes = std::uint64_t{1} << 30;
      std::vector<std::byte> rest(meta);
      rest.resize(wire::frame_head_bytes(header.meta_bytes) - wire::kFrameHeaderBytes);
      header.meta_crc32c = wire::crc32c(rest);
      const auto head = wire::encode_frame_header(header);
      const std::span<const std::byte> pieces[] = {head, rest};
      (void)asked.channel.connection().send(pieces, kNoDeadline);
      if (hangs_up) asked.channel.shutdown();
    });
    ASSERT_TRUE(run.report) << run.report.error().message;
    ASSERT_EQ(run.report->rounds.size(), 30U);
    EXPECT_EQ(run.report->rounds.back().workers, 3U);
    EXPECT_LT(run.loss, 1);
  }
}

TEST(HostileWorker, WhatItSaysOfItselfAtTheStartIsJudged) {
  const Job job = test_job("{name: sync-sgd, batch: 10}", 4, 30);
  const auto refused = [&](const TrainReady& ready) {
    const WithFake run = run_with_fake(
        job, [](const FakeWorker::Asked&) {}, ready);
    return run.report ? std::string("believed") : run.report.error().message;
  };
  EXPECT_THAT(refused({0, kTestFeatures, 1}), HasSubstr("worker 3: it says that it has 0 samples"));
  EXPECT_THAT(refused({~0ULL, kTestFeatures, 1}), HasSubstr("worker 3: it says that it has 18446744073709551615 samples"));
  EXPECT_THAT(refused({40, kTestFeatures + 1, 1}), HasSubstr("worker 3: it has read another model"));
}

// A worker that takes the connection and says nothing: the start ends when it is told to, and does not wait for the handshake.
TEST(HostileWorker, AStartThatIsInterruptedEnds) {
  const auto transport = make_loopback_transport();
  const auto silent = transport->listen({"127.0.0.1", 0}).value();
  const CancelToken cancel;
  std::thread interrupt([&] {
    std::this_thread::sleep_for(50ms);
    cancel.cancel();
  });
  const auto report = run_training(test_job("{name: single}", 1), {.transport = *transport,
                                                                   .workers = {silent->address()},
                                                                   .model_file = "model",
                                                                   .model = std::vector<float>(kModel, 0.0F),
                                                                   .size = {kTestFeatures, 1},
                                                                   .cancel = cancel});
  interrupt.join();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCancelled);
}

// In a ring nobody but the next member sees what a member sends: that one refuses it and says who it was.
TEST(HostilePeer, NumbersThatAreNotFiniteDoNotSpread) {
  const Job job = test_job("{name: sync-sgd, batch: 10}", 4, 30, "exchange: ring\ndeadlines: {patience: 1s}\n");
  const auto transport_of_fake = [](const FakeWorker::Asked& asked, Transport& transport) {
    const std::size_t next = 0;  // the fake is the last one
    const auto address = parse_address(asked.work.members[next].address);
    auto connection = transport.connect(*address, deadline_in(5s));
    if (!connection) return;
    Channel channel(std::move(*connection));
    if (!channel.greet({.session = asked.session, .name = worker_name(3)}, deadline_in(5s))) return;
    const RingPart part = ring_part(kModel + 1, asked.work.members.size(), 3);
    const std::vector<float> poison(part.last - part.first, std::numeric_limits<float>::quiet_NaN());
    const auto bytes = std::as_bytes(std::span(poison));
    (void)send_train(channel, asked.work.round, TrainPiece{asked.work.round, asked.work.attempt, 0}, {&bytes, 1}, kNoDeadline);
    // Innocent, as far as it knows.
    asked.answer(Error{ErrorCode::kDisconnected, "somebody has left"});
  };
  // The same as run_with_fake, which keeps its transport to itself.
  const auto transport = make_loopback_transport();
  const LeastSquares data = LeastSquares::make(160, kTestFeatures, 1);
  std::vector<std::unique_ptr<Listener>> listeners;
  std::vector<std::thread> threads;
  std::vector<Address> addresses;
  const CancelToken over;
  for (std::size_t k = 0; k < 3; ++k) {
    listeners.push_back(transport->listen({"127.0.0.1", 0}).value());
    addresses.push_back(listeners.back()->address());
    threads.emplace_back([&, k, listener = listeners.back().get()] {
      const auto make = [&, k](const Job&, std::uint32_t, const std::string&) -> Result<std::unique_ptr<Learner>> {
        return std::unique_ptr<Learner>(std::make_unique<TestLearner>(data.part(40 * k, 40 * (k + 1)), kTestFeatures));
      };
      (void)run_worker({.transport = *transport, .listener = *listener, .make_learner = make, .cancel = over});
    });
  }
  FakeWorker fake(*transport, {40, kTestFeatures, 1},
                  [&](const FakeWorker::Asked& asked) { transport_of_fake(asked, *transport); });
  addresses.push_back(fake.address());
  const auto report = run_training(job, {.transport = *transport,
                                         .workers = addresses,
                                         .model_file = "model",
                                         .model = std::vector<float>(kModel, 0.0F),
                                         .size = {kTestFeatures, 1}});
  over.cancel();
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(testing::AllOf(HasSubstr("worker 3 is quarantined: "),
                                                       HasSubstr("worker 3 sent a number that is not finite"))));
  EXPECT_EQ(report->rounds.back().workers, 3U);
  for (const float number : report->model) EXPECT_TRUE(std::isfinite(number));
}

TEST(HostilePeer, AMemberWhoseOwnGradientIsNotFiniteIsNamed) {
  for (const char* exchange : {"ring", "tree"}) {
    TestRun run(test_job("{name: sync-sgd, batch: 10}", 4, 30, fmt::format("exchange: {}\n", exchange)));
    run.mischief[2].after = [](std::uint64_t step, std::vector<float>& gradient) {
      if (step == 4) gradient[1] = std::numeric_limits<float>::infinity();
    };
    const auto report = run.run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 2 is quarantined: ")));
    EXPECT_EQ(report->rounds.back().workers, 3U);
    EXPECT_LT(report->rounds.back().test_loss.value_or(1e9), 1);
  }
}

TEST(HostileWorker, OversizedGradientsAreRejectedWithoutRoundsToo) {
  TestRun run(test_job("{name: async-sgd, batch: 10}", 4, 30));
  run.mischief[0].after = [](std::uint64_t step, std::vector<float>& gradient) {
    if (step == 5)
      for (float& number : gradient) number *= 1e6F;
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 0 is quarantined: its update is")));
  EXPECT_LT(report->rounds.back().test_loss.value_or(1e9), 1);
}

// A worker as it is, and what calls it.
class Victim {
 public:
  explicit Victim(std::chrono::milliseconds return_patience = 200ms)
      : transport_(make_loopback_transport()), listener_(transport_->listen({"127.0.0.1", 0}).value()) {
    ended_ = std::async(std::launch::async, [this, return_patience] {
      const auto make = [](const Job&, std::uint32_t, const std::string&) -> Result<std::unique_ptr<Learner>> {
        return std::unique_ptr<Learner>(std::make_unique<TestLearner>(LeastSquares::make(40, kTestFeatures, 1), kTestFeatures));
      };
      return run_worker({.transport = *transport_,
                         .listener = *listener_,
                         .make_learner = make,
                         .cancel = cancel_,
                         .return_patience = return_patience});
    });
  }
  ~Victim() { cancel_.cancel(); }
  std::unique_ptr<Channel> call(const std::string& name = "coordinator", std::optional<wire::SessionId> session = {}) {
    session_ = session.value_or(wire::random_session_id());
    auto channel = std::make_unique<Channel>(transport_->connect(listener_->address(), deadline_in(5s)).value());
    const auto greeted = channel->greet({.session = session_, .name = name}, deadline_in(5s));
    return greeted ? std::move(channel) : nullptr;
  }
  Transport& transport() { return *transport_; }
  const wire::SessionId& session() const { return session_; }
  void cancel() { cancel_.cancel(); }
  // How run_worker has ended; kInternal when it has not within a while.
  ErrorCode end() {
    if (ended_.wait_for(20s) != std::future_status::ready) return ErrorCode::kInternal;
    const Status status = ended_.get();
    return status ? ErrorCode{} : status.error().code;
  }

 private:
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Listener> listener_;
  CancelToken cancel_;
  wire::SessionId session_;
  std::future<Status> ended_;
};

TrainSetup setup_of(const Job& job, std::size_t state_bytes = 0) {
  TrainSetup setup{.worker = 0, .workers = static_cast<std::uint32_t>(job.workers), .model_bytes = 5, .state_bytes = state_bytes};
  const std::string text = write_job(job);
  const auto bytes = std::as_bytes(std::span(text));
  setup.job.assign(bytes.begin(), bytes.end());
  return setup;
}

// What it answers: "ok", or its error.
template <class Reply, class Message>
std::string ask(Channel& channel, const Message& message, std::size_t payload_bytes) {
  const std::vector<std::byte> payload(payload_bytes, std::byte{'m'});
  const std::span<const std::byte> piece(payload);
  if (!send_train(channel, 7, message, piece.empty() ? ConstPieces{} : ConstPieces{&piece, 1}, deadline_in(5s)))
    return "not sent";
  const auto frame = channel.receive(deadline_in(20s));
  if (!frame) return "gone: " + frame.error().message;
  const auto reply = decode_train<Reply>(*frame);
  const std::string said = reply ? "ok" : reply.error().message;
  if (!channel.skip_payload(*frame, deadline_in(20s))) return "cut off";
  return said;
}

TEST(HostileCoordinator, WhatIsNotItsTurnIsAnErrorAndTheWorkerGoesOn) {
  Victim victim;
  const auto channel = victim.call();
  ASSERT_NE(channel, nullptr);
  const Job job = test_job("{name: sync-sgd, batch: 10}", 2);
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{}, 4 * kModel), HasSubstr("not set up"));
  EXPECT_THAT(ask<TrainState>(*channel, TrainFetch{}, 0), HasSubstr("not set up"));
  TrainSetup garbled = setup_of(job);
  garbled.job.resize(10);
  EXPECT_THAT(ask<TrainReady>(*channel, garbled, 5), HasSubstr("job"));
  TrainSetup other = setup_of(job);
  other.workers = 5;
  EXPECT_THAT(ask<TrainReady>(*channel, other, 5), HasSubstr("the job has 2 workers, not 5"));
  EXPECT_EQ(ask<TrainReady>(*channel, setup_of(job), 5), "ok");
  EXPECT_THAT(ask<TrainReady>(*channel, setup_of(test_job("{name: fedavg}", 2)), 5), HasSubstr("set up already"));
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{}, 0), HasSubstr("no model was sent"));
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{}, 4 * kModel + 4), HasSubstr("a model of 7 numbers was sent for one of 6"));
  EXPECT_EQ(ask<TrainUpdate>(*channel, TrainWork{.round = 3}, 4 * kModel), "ok");
  ASSERT_TRUE(channel->send(0, wire::Goodbye{.reason = ""}, deadline_in(5s)));
  EXPECT_EQ(victim.end(), ErrorCode{});
}

// After a set-up that failed there is nothing that can be asked to work; a ring needs its members.
TEST(HostileCoordinator, AFailedSetUpLeavesNothingBehind) {
  Victim victim;
  const auto channel = victim.call();
  ASSERT_NE(channel, nullptr);
  const Job job = test_job("{name: sync-sgd, batch: 10}", 2, 10, "exchange: ring\n");
  EXPECT_THAT(ask<TrainReady>(*channel, setup_of(job, 9), 5 + 9), HasSubstr("state"));
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{.commit = true}, 4 * kModel), HasSubstr("not set up"));
  EXPECT_EQ(ask<TrainReady>(*channel, setup_of(job), 5), "ok");
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{}, 4 * kModel), HasSubstr("no member of its own round"));
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{.members = {{0, "nonsense"}, {1, "127.0.0.1:1"}}}, 4 * kModel),
              HasSubstr("worker 1"));
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{.attempt = 1, .commit = true, .members = {{0, ""}, {1, "no address"}}}, 0),
              HasSubstr("worker 1 is out of reach"));
}

// What is thrown while a worker answers is its answer, and ends neither the process nor the run.
TEST(HostileCoordinator, ALearnerThatThrowsIsAnError) {
  TestRun run(test_job("{name: sync-sgd, batch: 10}", 3, 20));
  run.mischief[1].before = [](std::uint64_t step) -> Status {
    if (step == 4) throw std::bad_alloc();
    return {};
  };
  const auto report = run.run();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_THAT(report->news, ElementsAre(HasSubstr("worker 1 is quarantined: [train] out of memory")));
  EXPECT_EQ(report->rounds.back().workers, 2U);
}

TEST(HostileCoordinator, AFrameThatNoWorkerAnswersEndsTheRun) {
  Victim victim;
  const auto channel = victim.call();
  ASSERT_NE(channel, nullptr);
  ASSERT_TRUE(send_train(*channel, 1, TrainReady{1, 2, 3}, {}, deadline_in(5s)));
  EXPECT_EQ(victim.end(), ErrorCode::kCorrupt);
}

TEST(Orphan, AWorkerWhoseCoordinatorIsGoneEnds) {
  Victim victim;
  {
    const auto channel = victim.call();
    ASSERT_NE(channel, nullptr);
    EXPECT_EQ(ask<TrainReady>(*channel, setup_of(test_job("{name: sync-sgd, batch: 10}", 2)), 5), "ok");
  }
  EXPECT_EQ(victim.end(), ErrorCode::kDisconnected);
}

// In the middle of an exchange with somebody who says nothing and may do so for a day.
TEST(Orphan, AWorkerThatWaitsForAPeerEndsWithItsCoordinatorOrWhenCancelled) {
  for (const bool is_cancelled : {false, true}) {
    Victim victim;
    auto channel = victim.call();
    ASSERT_NE(channel, nullptr);
    const Job job = test_job("{name: sync-sgd, batch: 10}", 2, 10, "exchange: ring\ndeadlines: {patience: 1440min}\n");
    EXPECT_EQ(ask<TrainReady>(*channel, setup_of(job), 5), "ok");
    const auto silent = victim.transport().listen({"127.0.0.1", 0}).value();
    const TrainWork work{.members = {{0, "127.0.0.1:9"}, {1, to_string(silent->address())}}};
    const std::vector<std::byte> model(4 * kModel);
    const std::span<const std::byte> piece(model);
    ASSERT_TRUE(send_train(*channel, 1, work, {&piece, 1}, deadline_in(5s)));
    auto from_victim = silent->accept(deadline_in(10s));
    ASSERT_TRUE(from_victim);
    Channel peer(std::move(*from_victim));
    const auto hello = peer.await_hello(deadline_in(5s));
    ASSERT_TRUE(hello);
    ASSERT_TRUE(peer.welcome({.role = wire::Role::kNode, .name = "worker"}, *hello, nullptr, deadline_in(5s)));
    ASSERT_TRUE(peer.receive(deadline_in(10s)));  // its part is on its way: now it waits for ours
    if (is_cancelled)
      victim.cancel();
    else
      channel.reset();
    EXPECT_EQ(victim.end(), is_cancelled ? ErrorCode::kCancelled : ErrorCode::kDisconnected);
  }
}

TEST(Orphan, TheCoordinatorOfTheSameRunComesBackAndOfAnotherTakesOver) {
  Victim victim(20s);
  const Job job = test_job("{name: local-sgd, batch: 10, local_steps: 2}", 2);
  auto channel = victim.call();
  ASSERT_NE(channel, nullptr);
  const wire::SessionId session = victim.session();
  EXPECT_EQ(ask<TrainReady>(*channel, setup_of(job), 5), "ok");
  EXPECT_EQ(victim.call("coordinator"), nullptr);  // it has one
  channel.reset();
  const auto call_again = [&](const wire::SessionId& as) {
    // As soon as it has noticed.
    for (int tries = 0; tries < 500 && channel == nullptr; ++tries, std::this_thread::sleep_for(10ms))
      channel = victim.call("coordinator", as);
    ASSERT_NE(channel, nullptr);
  };
  call_again(session);
  EXPECT_EQ(ask<TrainUpdate>(*channel, TrainWork{.round = 1}, 4 * kModel), "ok");  // still set up
  channel.reset();
  call_again(wire::random_session_id());
  EXPECT_THAT(ask<TrainUpdate>(*channel, TrainWork{.round = 1}, 4 * kModel), HasSubstr("not set up"));
  EXPECT_EQ(ask<TrainReady>(*channel, setup_of(test_job("{name: fedavg}", 2)), 5), "ok");
  ASSERT_TRUE(channel->send(0, wire::Goodbye{.reason = ""}, deadline_in(5s)));
  EXPECT_EQ(victim.end(), ErrorCode{});
}

TEST(Strangers, WhoCallsWithoutEndDoesNotKeepTheCoordinatorOut) {
  Victim victim;
  for (int i = 0; i < 300; ++i) EXPECT_EQ(victim.call("worker-1"), nullptr);
  const auto channel = victim.call();
  ASSERT_NE(channel, nullptr);
  EXPECT_EQ(ask<TrainReady>(*channel, setup_of(test_job("{name: fedavg}", 2)), 5), "ok");
}

}  // namespace
}  // namespace tideline::train
