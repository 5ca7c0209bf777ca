// Any bytes as the first ones of a connection, at both ends. The first byte says whether the checksum is made right first.
#include <cstdlib>
#include <vector>

#include "stranger.h"
#include "transport/channel.h"
#include "wire/codec.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::vector<std::byte> bytes(reinterpret_cast<const std::byte*>(data) + 1, reinterpret_cast<const std::byte*>(data) + size);
  if ((data[0] & 1) != 0 && bytes.size() >= wire::kHelloBytes) {
    wire::store_le(bytes.data() + 252, wire::crc32c(std::span(bytes).first(252)));
  }
  wire::Hello ours;
  ours.name = "fuzz";
  Channel node(std::make_unique<Stranger>(bytes, 100));
  const auto theirs = node.await_hello(kNoDeadline);
  if (theirs) {
    // One HELLO has one encoding.
    const auto again = wire::encode_hello(*theirs);
    if (!again || !std::equal(again->begin(), again->end(), bytes.begin())) std::abort();
    const auto agreed = wire::agree_version(ours, *theirs);
    const Status welcomed = node.welcome(ours, *theirs, nullptr, kNoDeadline);
    if (agreed.has_value() != welcomed.has_value()) std::abort();
    ours.session = theirs->session;
    ours.kind = theirs->kind;
  }
  Channel caller(std::make_unique<Stranger>(bytes, 7));
  const auto greeted = caller.greet(ours, kNoDeadline);
  if (greeted && (!theirs || theirs->status != 0 || theirs->role != wire::Role::kNode)) std::abort();
  return 0;
}
