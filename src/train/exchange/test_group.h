// A group of threads of this process that leave numbers for each other, and count them: for tests.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <tuple>
#include <vector>

#include "train/exchange/all_reduce.h"

namespace tideline::train {

// Where the members of a group leave numbers for each other.
struct Post {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::tuple<std::size_t, std::size_t, std::uint32_t>, std::vector<float>> letters;
  std::vector<std::size_t> sent, sends;  // numbers and calls of each member
  explicit Post(std::size_t members) : sent(members, 0), sends(members, 0) {}
};

class PostGroup final : public PeerGroup {
 public:
  PostGroup(Post& post, std::size_t rank, std::size_t size) : post_(post), rank_(rank), size_(size) {}
  std::size_t rank() const override { return rank_; }
  std::size_t size() const override { return size_; }
  Status send(std::size_t to, std::uint32_t step, std::span<const float> numbers) override {
    const std::lock_guard lock(post_.mutex);
    const bool is_new = post_.letters.try_emplace({rank_, to, step}, numbers.begin(), numbers.end()).second;
    post_.sent[rank_] += numbers.size();
    ++post_.sends[rank_];
    post_.changed.notify_all();
    if (!is_new || to == rank_) return Error{ErrorCode::kInternal, "sent twice, or to itself"};
    return {};
  }
  Status receive(std::size_t from, std::uint32_t step, std::span<float> into) override {
    std::unique_lock lock(post_.mutex);
    post_.changed.wait(lock, [&] { return post_.letters.contains({from, rank_, step}); });
    const auto& letter = post_.letters[{from, rank_, step}];
    if (letter.size() != into.size()) return Error{ErrorCode::kCorrupt, "another length"};
    std::copy(letter.begin(), letter.end(), into.begin());
    return {};
  }

 private:
  Post& post_;
  std::size_t rank_, size_;
};

}  // namespace tideline::train
