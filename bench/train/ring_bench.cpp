// Ring all-reduce over real sockets, ours over Gloo's: the same ranks, the same numbers, in turn. Markdown.
//   ring_bench [ROUNDS]
// Each rank is a thread with connections of its own over loopback TCP; a round is the time from a common start until the last
// rank has its sum. Gloo is Debian's libgloo-dev, which nothing but this bench uses.
#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include <fmt/format.h>
#include <gloo/allreduce.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/hash_store.h>
#include <gloo/transport/tcp/device.h>

#include "base/limits.h"
#include "train/exchange/all_reduce.h"
#include "train/run/peers.h"
#include "transport/channel.h"
#include "transport/transport.h"

using namespace tideline;
using namespace tideline::train;

namespace {

using Clock = std::chrono::steady_clock;

template <class T>
T need(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "ring_bench: {}\n", result.error().message);
  std::exit(1);
}

void need(const Status& status) {
  if (status) return;
  fmt::print(stderr, "ring_bench: {}\n", status.error().message);
  std::exit(1);
}

// The workers' network as a run has it, without a coordinator: everybody lets everybody in.
class OurRanks {
 public:
  OurRanks(std::size_t count, std::size_t numbers) : transport_(make_tcp_transport({})) {
    for (std::size_t i = 0; i < count; ++i) {
      listeners_.push_back(need(transport_->listen(need(parse_address("127.0.0.1:0")))));
      members_.push_back({static_cast<std::uint32_t>(i), to_string(listeners_.back()->address())});
      networks_.push_back(std::make_unique<PeerNetwork>(*transport_, static_cast<std::uint32_t>(i), wire::SessionId{}, numbers,
                                                        std::chrono::seconds(60)));
    }
    for (std::size_t i = 0; i < count; ++i) doors_.emplace_back([this, i] { let_in(i); });
  }
  ~OurRanks() {
    networks_.clear();
    for (const auto& listener : listeners_) listener->shutdown();
    for (std::thread& door : doors_) door.join();
  }
  void reduce(std::size_t rank, std::uint64_t round, std::span<float> numbers) {
    need(networks_[rank]->begin(round, 0, members_));
    need(ring_all_reduce(*networks_[rank], numbers));
  }

 private:
  void let_in(std::size_t rank) {
    while (auto connection = listeners_[rank]->accept(kNoDeadline)) {
      auto channel = std::make_unique<Channel>(std::move(*connection));
      const auto hello = need(channel->await_hello(deadline_in(limits::kHandshakeTimeout)));
      need(channel->welcome({.role = wire::Role::kNode, .name = "worker"}, hello, nullptr,
                            deadline_in(limits::kHandshakeTimeout)));
      networks_[rank]->adopt(need(worker_of_name(hello.name)), std::move(channel));
    }
  }

  std::unique_ptr<Transport> transport_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<TrainWork::Member> members_;
  std::vector<std::unique_ptr<PeerNetwork>> networks_;
  std::vector<std::thread> doors_;
};

class GlooRanks {
 public:
  explicit GlooRanks(std::size_t count) : contexts_(count) {
    gloo::transport::tcp::attr attr;
    attr.hostname = "127.0.0.1";
    device_ = gloo::transport::tcp::CreateDevice(attr);
    gloo::rendezvous::HashStore store;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        auto context = std::make_shared<gloo::rendezvous::Context>(static_cast<int>(i), static_cast<int>(count));
        context->connectFullMesh(store, device_);
        contexts_[i] = context;
      });
    for (std::thread& thread : threads) thread.join();
  }
  void reduce(std::size_t rank, std::uint64_t round, std::span<float> numbers) {
    gloo::AllreduceOptions options(contexts_[rank]);
    options.setOutput(numbers.data(), numbers.size());
    options.setAlgorithm(gloo::AllreduceOptions::Algorithm::RING);
    options.setReduceFunction(static_cast<void (*)(void*, const void*, const void*, std::size_t)>(&gloo::sum<float>));
    options.setTag(static_cast<std::uint32_t>(round));
    gloo::allreduce(options);
  }

 private:
  std::vector<std::shared_ptr<gloo::rendezvous::Context>> contexts_;
  std::shared_ptr<gloo::transport::Device> device_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void compare(std::size_t ranks, std::size_t count, int rounds) {
  OurRanks ours(ranks, count);
  GlooRanks theirs(ranks);
  std::vector<double> our_ms, their_ms, ratios;
  std::barrier<> barrier(static_cast<std::ptrdiff_t>(ranks));
  std::atomic<bool> is_wrong = false;
  const double sum = static_cast<double>(ranks) * static_cast<double>(ranks + 1) / 2;
  const auto work = [&](std::size_t rank) {
    std::vector<float> numbers(count);
    const auto timed = [&](const std::function<void()>& reduce) {
      std::fill(numbers.begin(), numbers.end(), static_cast<float>(rank + 1));
      barrier.arrive_and_wait();
      const auto begin = Clock::now();
      reduce();
      barrier.arrive_and_wait();
      const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
      if (!std::all_of(numbers.begin(), numbers.end(), [&](float number) { return number == static_cast<float>(sum); }))
        is_wrong = true;
      return ms;
    };
    for (int round = 0; round < rounds + 3; ++round) {
      const auto tag = static_cast<std::uint64_t>(round);
      const double a = timed([&] { ours.reduce(rank, tag, numbers); });
      const double b = timed([&] { theirs.reduce(rank, tag, numbers); });
      if (rank != 0 || round < 3) continue;
      our_ms.push_back(a);
      their_ms.push_back(b);
      ratios.push_back(b / a);
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ranks; ++rank) threads.emplace_back(work, rank);
  for (std::thread& thread : threads) thread.join();
  if (is_wrong) {
    fmt::print(stderr, "ring_bench: a sum is wrong\n");
    std::exit(1);
  }
  const double bytes =
      2.0 * static_cast<double>(ranks - 1) / static_cast<double>(ranks) * static_cast<double>(count) * sizeof(float);
  fmt::print("| {} | {} | {:.3f} ms | {:.3f} ms | {:.0f} MB/s | **{:.2f}** |\n", ranks, count, median(our_ms), median(their_ms),
             bytes / median(our_ms) / 1e3, median(ratios));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 50;
  fmt::print("| ranks | numbers | ours | Gloo | ours, sent by each rank | speed over Gloo's |\n|---|---|---|---|---|---|\n");
  for (const std::size_t ranks : {2u, 4u})
    for (const std::size_t count : {10'000u, 200'000u, 2'000'000u}) compare(ranks, count, rounds);
  return 0;
}
