// Goal: processes and folders of ours are never left behind, never somebody else's, and failures say what they are.
// Method: small programs of the system; folders that belong to processes which were killed.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/files.h"
#include "platform/process.h"
#include "platform/temp_folder.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;

SteadyTime soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(20); }

TEST(Clock, TheRealOneGoesOnAndTheOtherWhenTold) {
  const SteadyTime first = real_clock().now();
  EXPECT_LE(first, real_clock().now());
  ManualClock clock;
  const SteadyTime before = clock.now();
  EXPECT_EQ(clock.now(), before);
  clock.advance(std::chrono::seconds(3));
  EXPECT_EQ(clock.now() - before, std::chrono::seconds(3));
}

TEST(Process, LinesEndsAndErrors) {
  const CancelToken never;
  auto started = Process::start({.words = {"sh", "-c", "echo one; echo two; exit 3"}, .pipe_output = true});
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(*started->read_line(soon(), never), "one");
  EXPECT_EQ(*started->read_line(soon(), never), "two");
  EXPECT_EQ(started->read_line(soon(), never).error().code, ErrorCode::kDisconnected);
  EXPECT_EQ(to_string(started->wait(soon()).value()), "exit code 3");
  EXPECT_EQ(Process::start({.words = {"no-such-program-here"}}).error().code, ErrorCode::kNotFound);
}

TEST(Process, SilentOnesAreWaitedForOnlyUntilTheDeadline) {
  auto sleeper = Process::start({.words = {"sleep", "1000"}, .pipe_output = true});
  ASSERT_TRUE(sleeper);
  const SteadyTime past = std::chrono::steady_clock::now();
  const CancelToken cancel;
  EXPECT_EQ(sleeper->read_line(past, cancel).error().code, ErrorCode::kDeadlineExceeded);
  cancel.cancel();
  EXPECT_EQ(sleeper->read_line(soon(), cancel).error().code, ErrorCode::kCancelled);
  EXPECT_FALSE(sleeper->wait(past));
  EXPECT_FALSE(sleeper->ended());
  // A frozen one cannot hear SIGTERM until it is woken.
  sleeper->signal(SIGSTOP);
  EXPECT_EQ(sleeper->end(std::chrono::seconds(20)).signal, SIGTERM);
  auto deaf = Process::start({.words = {"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"}, .pipe_output = true});
  ASSERT_TRUE(deaf->read_line(soon(), CancelToken()));
  EXPECT_EQ(deaf->end(std::chrono::milliseconds(20)).signal, SIGKILL);
}

TEST(Process, NoneOutlivesItsOwner) {
  pid_t id = 0;
  {
    auto sleeper = Process::start({.words = {"sleep", "1000"}});
    ASSERT_TRUE(sleeper);
    id = sleeper->id();
    EXPECT_EQ(::kill(id, 0), 0);
  }
  EXPECT_NE(::kill(id, 0), 0);
}

TEST(Process, ProgramsRunToTheirEndAndSayWhatTheySaid) {
  EXPECT_EQ(*run_program({"sh", "-c", "echo out; echo err >&2"}, soon()), "out\nerr\n");
  const auto failed = run_program({"sh", "-c", "echo because >&2; exit 1"}, soon());
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("because"), std::string::npos);
  EXPECT_EQ(run_program({"sleep", "1000"}, std::chrono::steady_clock::now()).error().code, ErrorCode::kDeadlineExceeded);
}

class TempFolderTest : public ::testing::Test {
 protected:
  TempFolderTest() : base_(TempFolder::make("tideline-platform-test").value()) { ::setenv("TMPDIR", base_.path().c_str(), 1); }
  ~TempFolderTest() override { ::unsetenv("TMPDIR"); }
  TempFolder base_;
};

TEST_F(TempFolderTest, IsPrivateAndGoesWithItsOwner) {
  std::string path;
  {
    const auto folder = TempFolder::make("mine");
    ASSERT_TRUE(folder);
    path = folder->path();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    std::ofstream(path + "/file") << "x";
    const auto other = TempFolder::make("mine");
    ASSERT_TRUE(other);
    EXPECT_NE(other->path(), path);
    EXPECT_TRUE(fs::exists(path)) << "its owner lives";
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(TempFolderTest, WhatTheDeadLeftIsRemovedAndNothingElse) {
  const std::string left = base_.path() + "/mine-abcdef";
  const auto make = [&](const std::string& path, mode_t mode, bool lock) {
    fs::create_directory(path);
    ::chmod(path.c_str(), mode);
    if (lock) std::ofstream(path + "/lock") << "";
  };
  make(left, 0700, true);
  make(base_.path() + "/mine-nolock", 0700, false);
  make(base_.path() + "/mine-public", 0755, true);
  make(base_.path() + "/yours-abcde", 0700, true);
  make(base_.path() + "/victim", 0700, true);
  fs::create_symlink("victim", base_.path() + "/mine-symlnk");
  ASSERT_TRUE(TempFolder::make("mine"));
  EXPECT_FALSE(fs::exists(left));
  for (const char* name : {"mine-nolock", "mine-public", "yours-abcde", "victim/lock", "mine-symlnk"})
    EXPECT_TRUE(fs::exists(base_.path() + "/" + name)) << name;
}

TEST_F(TempFolderTest, FilesAreReplacedAsAWholeAndDevicesWrittenTo) {
  const std::string path = base_.path() + "/file";
  ASSERT_TRUE(write_file_atomic(path, "one"));
  ASSERT_TRUE(write_file_atomic(path, "two"));
  EXPECT_EQ(*read_file(path, 10), "two");
  fs::create_symlink("file", base_.path() + "/link");
  ASSERT_TRUE(write_file_atomic(base_.path() + "/link", "three"));
  EXPECT_TRUE(fs::is_symlink(base_.path() + "/link"));
  EXPECT_EQ(*read_file(path, 10), "three");
  EXPECT_FALSE(write_file_atomic("/dev/full", "x"));
  EXPECT_TRUE(write_file_atomic("/dev/null", "x"));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(list_files(base_.path())->size(), 2u + 1u);  // with the folder's own lock, and nothing temporary
}

}  // namespace
}  // namespace tideline
