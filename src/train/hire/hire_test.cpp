// Goal: workers are asked for where the job wants them, and whatever a node says or does not say is an error that names it.
// Method: nodes over the loopback transport that answer by hand.
#include "train/hire/hire.h"

#include <functional>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tideline::train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Cluster site(std::size_t nodes) {
  Cluster cluster;
  for (std::size_t i = 0; i < nodes; ++i)
    cluster.nodes.push_back({.name = fmt::format("n{}", i), .host = "127.0.0.1", .port = static_cast<std::uint16_t>(100 + i)});
  return cluster;
}
Job job_with(std::string_view workers) {
  auto job = parse_job(fmt::format("version: 1\nmodel: m\ndata: {{train: npy:d}}\nworkers: {}\nstrategy: {{name: sync-sgd}}\n"
                                   "optimiser: {{name: sgd, rate: 1}}\nrounds: 1\n",
                                   workers),
                       "job");
  EXPECT_TRUE(job) << job.error().message;
  return *job;
}

TEST(Hire, WorkersAreSharedAmongNodes) {
  EXPECT_THAT(*share_workers(site(3), job_with("[n2, n0]")), ElementsAre(NodeShare{2, 0, 1}, NodeShare{0, 1, 1}));
  EXPECT_THAT(*share_workers(site(3), job_with("7")), ElementsAre(NodeShare{0, 0, 2}, NodeShare{1, 2, 2}, NodeShare{2, 4, 3}));
  EXPECT_THAT(*share_workers(site(3), job_with("2")), ElementsAre(NodeShare{1, 0, 1}, NodeShare{2, 1, 1}));
  EXPECT_THAT(share_workers(site(2), job_with("[n0, n7]")).error().message, HasSubstr("node 'n7'"));
  EXPECT_THAT(share_workers(site(2), job_with("900")).error().message, HasSubstr("more than 256"));
}

class HireFromNodes : public testing::Test {
 protected:
  // A node under that name; `answer` is its answer to HIRE_WORKERS.
  void node(std::size_t i, const std::string& name, std::function<void(Channel&, const wire::HireWorkers&)> answer) {
    auto listener = transport_->listen({"127.0.0.1", static_cast<std::uint16_t>(100 + i)});
    ASSERT_TRUE(listener);
    listeners_.push_back(std::move(*listener));
    threads_.emplace_back([name, answer, &listener = *listeners_.back()] {
      auto connection = listener.accept(kNoDeadline);
      if (!connection) return;
      Channel channel(std::move(*connection));
      const auto hello = channel.await_hello(kNoDeadline);
      if (!hello) return;
      EXPECT_EQ(hello->kind, wire::ConnectionKind::kData);
      if (!channel.welcome({.role = wire::Role::kNode, .name = name}, *hello, nullptr, kNoDeadline)) return;
      const auto frame = channel.receive(kNoDeadline);
      if (!frame) return;
      const auto request = decode<wire::HireWorkers>(*frame);
      ASSERT_TRUE(request);
      answer(channel, *request);
      (void)channel.receive(kNoDeadline);  // until the coordinator leaves
    });
  }
  void TearDown() override {
    for (const auto& listener : listeners_) listener->shutdown();
    for (std::thread& thread : threads_) thread.join();
  }
  static void give(Channel& channel, std::vector<std::uint16_t> ports) {
    EXPECT_TRUE(channel.send(1, wire::WorkersHired{std::move(ports)}, kNoDeadline));
  }

  std::unique_ptr<Transport> transport_ = make_loopback_transport();
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::thread> threads_;
};

TEST_F(HireFromNodes, AddressesAreTheNodesWithTheirPorts) {
  std::vector<wire::HireWorkers> asked(2);
  for (std::size_t i = 0; i < 2; ++i)
    node(i, fmt::format("n{}", i), [&asked, i](Channel& channel, const wire::HireWorkers& request) {
      asked[i] = request;
      give(channel, i == 0 ? std::vector<std::uint16_t>{7} : std::vector<std::uint16_t>{8, 9});
    });
  const auto hired = hire_workers(*transport_, site(2), job_with("3"), {});
  ASSERT_TRUE(hired) << hired.error().message;
  EXPECT_THAT((*hired)->addresses(), ElementsAre(Address{"127.0.0.1", 7}, Address{"127.0.0.1", 8}, Address{"127.0.0.1", 9}));
  EXPECT_THAT((*hired)->places(), ElementsAre("worker 0 on n0", "workers 1 to 2 on n1"));
  EXPECT_EQ(asked[0], (wire::HireWorkers{0, 1, "npy:d"}));
  EXPECT_EQ(asked[1], (wire::HireWorkers{1, 2, "npy:d"}));
}

TEST_F(HireFromNodes, WhoIsNotThereOrDoesNotTrainIsNamed) {
  EXPECT_THAT(hire_workers(*transport_, site(1), job_with("1"), {}).error().message, HasSubstr("node 'n0' at 127.0.0.1:100"));
  node(0, "n0", [](Channel& channel, const wire::HireWorkers&) {
    const Error error{ErrorCode::kUnsupported, "[node] node 'n0' does not train: start it with --train DIR"};
    EXPECT_TRUE(channel.send(1, wire::to_message(error, "n0"), kNoDeadline));
  });
  const auto refused = hire_workers(*transport_, site(1), job_with("1"), {});
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(refused.error().message, HasSubstr("node 'n0' does not train: start it with --train DIR"));
}

TEST_F(HireFromNodes, AnotherNodeOrAnotherNumberIsRefused) {
  node(0, "somebody", [](Channel&, const wire::HireWorkers&) {});
  const auto other = hire_workers(*transport_, site(1), job_with("1"), {});
  EXPECT_EQ(other.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(other.error().message, HasSubstr("found node 'somebody' there"));
  Cluster second = site(2);
  second.nodes.erase(second.nodes.begin());
  node(1, "n1", [](Channel& channel, const wire::HireWorkers&) { give(channel, {1, 2}); });
  EXPECT_EQ(hire_workers(*transport_, second, job_with("1"), {}).error().code, ErrorCode::kCorrupt);
}

TEST_F(HireFromNodes, CancellingEndsTheWaiting) {
  const CancelToken cancel;
  node(0, "n0", [&](Channel&, const wire::HireWorkers&) { cancel.cancel(); });
  EXPECT_EQ(hire_workers(*transport_, site(1), job_with("1"), cancel).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace tideline::train
