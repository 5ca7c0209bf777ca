// Goal: a node that gets no memory for its queue of requests answers them all the same. Method: allocations of the size of a
// piece of that queue fail while a caller that speaks the protocol by hand has many requests under way. A program of its own,
// because it replaces the allocator.
#include <atomic>
#include <cstdlib>
#include <deque>
#include <new>

#include "node/nodes_fixture.h"

namespace {

// libstdc++'s deque takes its elements in pieces of so many bytes.
constexpr std::size_t kQueuePiece = 512;
std::atomic<bool> refuses{false};
std::atomic<int> refused{0};

}  // namespace

void* operator new(std::size_t size) {
  if (size == kQueuePiece && refuses) {
    ++refused;
    throw std::bad_alloc();
  }
  if (void* bytes = std::malloc(size)) return bytes;
  throw std::bad_alloc();
}
void operator delete(void* bytes) noexcept { std::free(bytes); }
void operator delete(void* bytes, std::size_t) noexcept { std::free(bytes); }

namespace tideline {
namespace {

TEST_F(NodesTest, RequestsWithoutRoomInTheQueueAreAnswered) {
  constexpr int kRequests = 400;
  RawCaller caller(*transport_, options_[0].listen, wire::ConnectionKind::kData, wire::random_session_id());
  const Segment all = *extract_segment(*model_, chain_, 0, chain_.block_count() - 1);
  ClusterClient client(*transport_, cluster_);
  ASSERT_TRUE((*client.peer(0))->push_segment(all.hash, all.bytes, 0, CancelToken(), {}));
  wire::Install install{.epoch = 1, .stage = 0, .stages = 1, .segment = all.hash};
  for (const TensorSpec& input : all.inputs) install.inputs.push_back(input.name);
  for (const TensorSpec& output : all.outputs) install.outputs.push_back(output.name);
  ASSERT_TRUE(caller.ask<wire::Installed>(1, install));
  wire::Run run{.epoch = 1, .stage = 0, .deadline_us = 60'000'000};
  const TensorView input = views()[0];
  run.tensors.push_back(*wire::wire_tensor(0, input.spec->dtype, input.spec->shape));
  const std::span<const std::byte> payload[] = {input.bytes};
  int answered = 0;
  refuses = true;
  // A few at a time, as the node's credit has it.
  for (int sent = 0; sent < kRequests;) {
    const int burst = 8;
    for (int n = 0; n < burst; ++n) ASSERT_TRUE(caller.send(static_cast<std::uint64_t>(2 + sent++), run, payload));
    for (int n = 0; n < burst; ++n) answered += caller.receive<wire::RunResult>() ? 1 : 0;
  }
  refuses = false;
  EXPECT_EQ(answered, kRequests);
  EXPECT_GT(refused, 0) << "nothing was refused, so nothing was tried";
}

}  // namespace
}  // namespace tideline
