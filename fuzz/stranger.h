// A connection whose other end is the fuzzer's bytes: they arrive in pieces of a given size, then the stream ends. What is sent
// is dropped.
#pragma once

#include <algorithm>
#include <cstring>

#include "transport/transport.h"

namespace tideline {

class Stranger final : public Connection {
 public:
  Stranger(std::span<const std::byte> bytes, std::size_t step) : left_(bytes), step_(std::max<std::size_t>(1, step)) {}

  Status send(ConstPieces, SteadyTime) override { return {}; }
  Status receive(Pieces pieces, SteadyTime deadline) override {
    for (auto piece : pieces) {
      while (!piece.empty()) {
        TIDELINE_TRY(const std::size_t got, receive_some(piece, deadline));
        piece = piece.subspan(got);
      }
    }
    return {};
  }
  Result<std::size_t> receive_some(std::span<std::byte> into, SteadyTime) override {
    if (left_.empty()) return Error{ErrorCode::kDisconnected, "the end"};
    const std::size_t count = std::min({step_, into.size(), left_.size()});
    std::memcpy(into.data(), left_.data(), count);
    left_ = left_.subspan(count);
    return count;
  }
  void shutdown() override { left_ = {}; }
  void finish(SteadyTime) override { left_ = {}; }
  bool ended() const override { return left_.empty(); }
  std::string peer() const override { return "stranger"; }
  ConnectionCounters counters() const override { return {}; }

 private:
  std::span<const std::byte> left_;
  const std::size_t step_;
};

}  // namespace tideline
