// Goal: an emulated site has the links and hosts that its file says. Method: routes by hand; times that nothing can undercut.
#include "train/hire/paced.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "train/strategy/slow_learner.h"

namespace tideline::train {
namespace {

using std::literals::chrono_literals::operator""ms;
using testing::HasSubstr;

Job paced_job(std::string_view workers) {
  return *parse_job("version: 1\nmodel: m\ndata: {train: npy:d}\nworkers: " + std::string(workers) +
                        "\nstrategy: {name: sync-sgd}\noptimiser: {name: sgd, rate: 1}\nrounds: 1\n",
                    "job");
}

TEST(Paced, AWorkerIsAtTheEndOfItsRoute) {
  const auto site = parse_cluster(
      "version: 2\nnodes:\n  - {name: server, tier: cloud, address: h:1}\n  - {name: gw, tier: edge, address: h:2, slowdown: 2}\n"
      "  - {name: cam, tier: device, address: h:3, slowdown: 8}\n  - {name: island, tier: device, address: h:4}\nlinks:\n"
      "  - {from: server, to: gw, bandwidth: 80Mbit/s, bandwidth_back: 40Mbit/s, rtt: 10ms}\n"
      "  - {from: gw, to: cam, bandwidth: 8Mbit/s, bandwidth_back: 800Mbit/s, rtt: 2ms}\n",
      "site");
  ASSERT_TRUE(site) << site.error().message;
  const auto places = places_on(*site, paced_job("[cam, server, gw]"));
  ASSERT_TRUE(places) << places.error().message;
  EXPECT_EQ((*places)[0].slowdown, 8);
  EXPECT_DOUBLE_EQ((*places)[0].link.up_bytes_per_s, 1e6);
  EXPECT_DOUBLE_EQ((*places)[0].link.down_bytes_per_s, 5e6);
  EXPECT_EQ((*places)[0].link.round_trip, Nanos(12ms));
  EXPECT_EQ((*places)[1].link.up_bytes_per_s, 0);
  EXPECT_EQ((*places)[2].link.round_trip, Nanos(10ms));
  EXPECT_THAT(places_on(*site, paced_job("[island]")).error().message, HasSubstr("no link leads from 'server' to node 'island'"));
}

TEST(Paced, PlacesTravelAsWords) {
  const WorkerPlace place{{1.25e6, 3e5, Nanos(4ms)}, 2.5};
  const auto again = parse_place(to_word(place));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->slowdown, 2.5);
  EXPECT_EQ(again->link.up_bytes_per_s, 1.25e6);
  EXPECT_EQ(again->link.down_bytes_per_s, 3e5);
  EXPECT_EQ(again->link.round_trip, Nanos(4ms));
  for (const char* word : {"", "1:2:3", "1:2:3:4:5", "0.5:1:1:1", "nan:1:1:1", "1:-1:1:1", "1:1:1:-1", "x"})
    EXPECT_FALSE(parse_place(word)) << word;
}

TEST(Paced, BytesTakeTheirTimeAndOthersDoNotWait) {
  const auto inner = make_loopback_transport();
  auto slow = inner->listen({"127.0.0.1", 0}).value(), fast = inner->listen({"127.0.0.1", 0}).value();
  const auto paced = make_paced_transport(*inner, {{slow->address(), {.up_bytes_per_s = 1e6, .down_bytes_per_s = 1e6}}});
  const std::vector<std::byte> bytes(100'000);
  const auto time_of = [&](Listener& listener) {
    const auto start = std::chrono::steady_clock::now();
    auto sender = paced->connect(listener.address(), kNoDeadline).value();
    auto receiver = listener.accept(kNoDeadline).value();
    std::thread sending([&] {
      const std::span<const std::byte> piece(bytes);
      EXPECT_TRUE(sender->send({&piece, 1}, kNoDeadline));
    });
    std::vector<std::byte> got(bytes.size());
    const std::span<std::byte> into(got);
    EXPECT_TRUE(receiver->receive({&into, 1}, kNoDeadline));
    sending.join();
    return std::chrono::steady_clock::now() - start;
  };
  EXPECT_GE(time_of(*slow), 95ms);
  EXPECT_TRUE(time_of(*fast) > Nanos(0));
}

TEST(Paced, ASlowLearnerTakesItsTime) {
  class Lazy final : public Learner {
   public:
    std::size_t samples() const override { return 1; }
    std::span<float> parameters() override { return numbers_; }
    std::span<const float> gradients() override { return numbers_; }
    std::span<float> buffers() override { return {}; }
    Result<Batch> gradient(std::span<const std::uint32_t>, std::uint64_t) override {
      std::this_thread::sleep_for(10ms);
      return Batch{0.5, 1};
    }

   private:
    std::vector<float> numbers_ = {1};
  };
  const auto learner = make_slow_learner(std::make_unique<Lazy>(), 4);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(learner->gradient({}, 0)->loss, 0.5);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 40ms);
}

}  // namespace
}  // namespace tideline::train
