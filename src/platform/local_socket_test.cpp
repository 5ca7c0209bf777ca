// Goal: a control socket answers its user's lines, and nothing that a caller does stops it. Method: real sockets in a folder of
// the test's own; a server on a thread.
#include "platform/local_socket.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "platform/temp_folder.h"

namespace tideline {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr LocalListener::Limits kLimits{.line_bytes_max = 1000, .callers_max = 2};

class LocalSocketTest : public testing::Test {
 protected:
  LocalSocketTest() : folder_(*TempFolder::make("tideline-socket")), path_(folder_.path() + "/control") {}
  void serve() {
    listener_ = std::move(*LocalListener::open(path_, kLimits));
    thread_ = std::thread([this] {
      while (!stop_) listener_->serve(10ms, [](std::string_view line) { return std::string(line.rbegin(), line.rend()); });
    });
  }
  ~LocalSocketTest() override {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // A caller that says this and waits for nothing.
  int say(const std::string& text) const {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::send(socket, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    return socket;
  }
  Result<std::string> ask(std::string_view line) const {
    return ask_local(path_, line, 10'000, std::chrono::steady_clock::now() + 20s);
  }

  TempFolder folder_;
  std::string path_;
  std::unique_ptr<LocalListener> listener_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
};

TEST_F(LocalSocketTest, OneLineThereAndOneBack) {
  EXPECT_EQ(ask("nobody").error().code, ErrorCode::kDisconnected);
  serve();
  EXPECT_EQ(*ask("stressed"), "desserts");
  EXPECT_EQ(*ask(""), "");
  const std::string longest(1000, 'x');
  EXPECT_EQ(*ask(longest), longest);
  struct stat file {};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_EQ(LocalListener::open(path_, kLimits).error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(ask_local(path_, longest, 10, std::chrono::steady_clock::now() + 20s).error().code, ErrorCode::kCorrupt);
}

TEST_F(LocalSocketTest, WhoSaysTooMuchOrLeavesDoesNotStopIt) {
  serve();
  const std::string too_long(1001, 'x');
  EXPECT_EQ(ask(too_long).error().code, ErrorCode::kDisconnected);
  ::close(say("half a li"));
  ::close(say("a whole line, whose answer nobody takes\n"));
  EXPECT_EQ(*ask("abc"), "cba");
  // A silent one holds one of the two places, and no more.
  const int silent = say("");
  EXPECT_EQ(*ask("abc"), "cba");
  ::close(silent);
}

TEST_F(LocalSocketTest, TakesThePlaceOfADeadOneAndOfNothingElse) {
  serve();
  stop_ = true;
  thread_.join();
  // As a killed process leaves it: the file is there and nobody listens.
  const std::string left = folder_.path() + "/left";
  ASSERT_EQ(::rename(path_.c_str(), left.c_str()), 0);
  listener_.reset();
  ASSERT_EQ(::rename(left.c_str(), path_.c_str()), 0);
  EXPECT_TRUE(LocalListener::open(path_, kLimits));
  std::ofstream(path_) << "a letter";
  EXPECT_THAT(LocalListener::open(path_, kLimits).error().message, HasSubstr("no socket"));
  EXPECT_THAT(LocalListener::open(folder_.path() + "/" + std::string(200, 'x'), kLimits).error().message, HasSubstr("shorter"));
}

// System: no descriptor for a caller. Expectation: serve() waits and does not turn round and round with the caller that it cannot
// take; the caller is answered when there is one again.
TEST_F(LocalSocketTest, WithoutDescriptorsItWaits) {
  listener_ = std::move(*LocalListener::open(path_, kLimits));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int caller = say("abc\n");
  const int lowest = ::dup(caller);
  ::close(lowest);
  const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto reverse = [](std::string_view line) { return std::string(line.rbegin(), line.rend()); };
  listener_->serve(1000ms, reverse);
  EXPECT_TRUE(listener_->is_short());
  const SteadyTime start = std::chrono::steady_clock::now();
  listener_->serve(100ms, reverse);
  EXPECT_GE(std::chrono::steady_clock::now() - start, 99ms) << "it came back at once, to the same caller";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  std::string answer(4, ' ');
  for (int tries = 0; tries < 200 && ::recv(caller, answer.data(), answer.size(), MSG_DONTWAIT) != 4; ++tries)
    listener_->serve(50ms, reverse);
  EXPECT_EQ(answer, "cba\n");
  EXPECT_FALSE(listener_->is_short());
  ::close(caller);
}

TEST_F(LocalSocketTest, WhatSomebodyElseHasBoundMeanwhileStays) {
  listener_ = std::move(*LocalListener::open(path_, kLimits));
  // Somebody has removed the files, and another one has taken the place.
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  ASSERT_EQ(::unlink((path_ + ".lock").c_str()), 0);
  auto other = LocalListener::open(path_, kLimits);
  ASSERT_TRUE(other) << other.error().message;
  listener_.reset();
  struct stat file {};
  EXPECT_EQ(::stat(path_.c_str(), &file), 0) << "the other's socket went";
  EXPECT_EQ(LocalListener::open(path_, kLimits).error().code, ErrorCode::kOverloaded);
  other->reset();
  EXPECT_NE(::stat(path_.c_str(), &file), 0);
  EXPECT_NE(::stat((path_ + ".lock").c_str(), &file), 0);
}

// System: a socket that a killed process has left, and many that want its place at once. Expectation: one gets it, and is
// reached.
TEST_F(LocalSocketTest, OneOfManyTakesOver) {
  for (int round = 0; round < 20; ++round) {
    auto left = std::move(*LocalListener::open(path_, kLimits));
    ASSERT_EQ(::rename(path_.c_str(), (path_ + ".old").c_str()), 0);
    left.reset();
    ASSERT_EQ(::rename((path_ + ".old").c_str(), path_.c_str()), 0);
    std::vector<std::unique_ptr<LocalListener>> taken(4);
    std::vector<std::thread> threads;
    for (auto& mine : taken)
      threads.emplace_back([&] {
        if (auto opened = LocalListener::open(path_, kLimits)) mine = std::move(*opened);
      });
    for (std::thread& thread : threads) thread.join();
    std::erase(taken, nullptr);
    ASSERT_EQ(taken.size(), 1u) << "round " << round;
    const int caller = say("x\n");
    taken.front()->serve(1000ms, [](std::string_view) { return "y"; });
    taken.front()->serve(0ms, [](std::string_view) { return "y"; });
    char answer[2] = {};
    EXPECT_EQ(::recv(caller, answer, 2, 0), 2);
    ::close(caller);
  }
}

}  // namespace
}  // namespace tideline
