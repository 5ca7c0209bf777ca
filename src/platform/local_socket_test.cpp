// Goal: a control socket answers its user's lines, and nothing that a caller does stops it. Method: real sockets in a folder of
// the test's own; a server on a thread.
#include "platform/local_socket.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
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

}  // namespace
}  // namespace tideline
