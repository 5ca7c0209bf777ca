// Goal: what a coordinator has written is there after it was killed, and nobody else writes beside it. Method: a child that is
// killed in the middle of its work; files that are no state.
#include "fleet/up/store.h"

#include <csignal>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/temp_folder.h"

namespace tideline::fleet {
namespace {

using testing::HasSubstr;

class StoreTest : public testing::Test {
 protected:
  StoreTest() : folder_(*TempFolder::make("tideline-store")), path_(folder_.path() + "/fleet.state") {}

  static StoredFleet some(std::uint64_t requests) {
    StoredFleet fleet{.file_sha256 = "abc", .seconds = 1.5, .used = {{"gw1", 12.5}, {"gw1 -> cloud", 1e6}}, .tasks = {}};
    fleet.tasks.push_back({.name = "door", .spec = "", .blocks = 3, .removed = false, .counters = {}});
    fleet.tasks.push_back({.name = "late", .spec = R"({"name":"late"})", .blocks = {}, .removed = true, .counters = {}});
    fleet.tasks[0].counters = {.requests = requests, .late = 2, .dropped = 1, .failed = 1, .latencies = {}};
    for (int n = 0; n < 5; ++n) fleet.tasks[0].counters.latencies.add(n + 0.5);
    return fleet;
  }

  TempFolder folder_;
  std::string path_;
};

TEST_F(StoreTest, WhatWasSavedIsLoaded) {
  auto store = FleetStore::open(path_);
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_EQ(*(*store)->load(), StoredFleet());
  const StoredFleet fleet = some(10);
  ASSERT_TRUE((*store)->save(fleet));
  StoredFleet fewer = fleet;
  fewer.tasks.erase(fewer.tasks.begin());
  fewer.tasks.push_back({.name = "new", .spec = "{}", .blocks = 0, .removed = false, .counters = {}});
  EXPECT_EQ(*(*store)->load(), fleet);
  ASSERT_TRUE((*store)->save(fewer));
  store->reset();
  store = FleetStore::open(path_);
  ASSERT_TRUE(store);
  EXPECT_EQ(*(*store)->load(), fewer);
  struct stat file {};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 077, 0u);
}

TEST_F(StoreTest, AKilledWriterLosesNothingThatItHasSaved) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto store = FleetStore::open(path_);
    for (std::uint64_t n = 1; store && n < 100'000; ++n) {
      if (!(*store)->save(some(n))) break;
      if (::write(pipe[1], &n, sizeof n) != sizeof n) break;
    }
    ::_exit(1);
  }
  ::close(pipe[1]);
  std::uint64_t told = 0;
  while (told < 20) ASSERT_EQ(::read(pipe[0], &told, sizeof told), static_cast<ssize_t>(sizeof told));
  // While it lives, nobody else may write.
  const auto second = FleetStore::open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kOverloaded);
  EXPECT_THAT(second.error().message, HasSubstr("another coordinator"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  for (std::uint64_t next = 0; ::read(pipe[0], &next, sizeof next) == sizeof next;) told = next;
  ::close(pipe[0]);
  auto store = FleetStore::open(path_);
  ASSERT_TRUE(store) << store.error().message;
  const auto found = (*store)->load();
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->tasks.size(), 2u);
  // What it had said was saved, or one more.
  EXPECT_GE(found->tasks[0].counters.requests, told);
  EXPECT_LE(found->tasks[0].counters.requests, told + 1);
  EXPECT_EQ(*found, some(found->tasks[0].counters.requests));
}

TEST_F(StoreTest, OtherFilesAreLeftAlone) {
  std::ofstream(path_) << "this is a letter, and it is long enough to be no database: " << std::string(4096, 'x');
  const auto text = FleetStore::open(path_);
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(text.error().message, HasSubstr("--state"));
  const auto nowhere = FleetStore::open(folder_.path() + "/none/fleet.state");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline::fleet
