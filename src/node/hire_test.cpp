// Goal: a node starts workers of training for whoever asks, within its folder, and never keeps them longer than the connection.
// Method: a node over the loopback transport whose program for workers is a shell script that says what a worker says.
#include <csignal>
#include <fstream>

#include <sys/stat.h>

#include <gmock/gmock.h>

#include "node/nodes_fixture.h"

namespace tideline {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using wire::ConnectionKind;

class HireTest : public NodesTest {
 protected:
  void change(NodeOptions& options) override {
    if (options.name == "server") return;
    options.train_folder = folder_ + "/data";
    options.train_program = folder_ + "/" + options.name + ".sh";
    std::ofstream(options.train_program) << "#!/bin/sh\n" << (options.name == "camera" ? kWorker : kBroken);
    ::chmod(options.train_program.c_str(), 0700);
  }
  RawCaller caller(std::size_t node) { return {*transport_, options_[node].listen, ConnectionKind::kData, session()}; }
  static wire::SessionId session() { return wire::random_session_id(); }
  // What the workers' program was called with, word by word.
  std::string said(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  // Two workers; its words and its number are written down beside it.
  static constexpr const char* kWorker =
      "echo \"$@\" > \"$(dirname \"$0\")/words\"\necho $$ > \"$(dirname \"$0\")/pid\"\n"
      "echo worker 4 listens on 127.0.0.1:4101\necho worker 5 listens on 127.0.0.1:4102\nexec sleep 600\n";
  static constexpr const char* kBroken = "exit 3\n";
};

TEST_F(HireTest, WorkersListenAndEndWithTheConnection) {
  pid_t process = 0;
  {
    RawCaller coordinator = caller(0);
    const auto hired =
        coordinator.ask<wire::WorkersHired>(1, wire::HireWorkers{.first = 4, .count = 2, .data = "npy:digits/{worker}"});
    ASSERT_TRUE(hired) << hired.error().message;
    EXPECT_THAT(hired->ports, ElementsAre(4101, 4102));
    EXPECT_EQ(said("words"),
              "worker --quiet --root " + folder_ + "/data --data npy:digits/{worker} --listen 127.0.0.1 --first 4 --count 2\n");
    process = std::stoi(said("pid"));
    EXPECT_EQ(::kill(process, 0), 0);
    // One run for each connection.
    EXPECT_EQ(coordinator.ask<wire::WorkersHired>(2, wire::HireWorkers{.data = "npy:digits"}).error().code,
              ErrorCode::kOverloaded);
    EXPECT_TRUE(coordinator.ask<wire::NodeStatus>(3, wire::GetStatus{}));
    EXPECT_EQ(::kill(process, 0), 0);
  }
  EXPECT_TRUE(soon([&] { return ::kill(process, 0) != 0; }));
}

TEST_F(HireTest, WorkersEndWithTheNode) {
  RawCaller coordinator = caller(0);
  ASSERT_TRUE(coordinator.ask<wire::WorkersHired>(1, wire::HireWorkers{.first = 4, .count = 2, .data = "idx:d"}));
  const pid_t process = std::stoi(said("pid"));
  nodes_[0]->stop();
  EXPECT_NE(::kill(process, 0), 0);
}

TEST_F(HireTest, ANodeWithoutDataOrWithABrokenProgramSaysSo) {
  RawCaller server = caller(2);
  const auto none = server.ask<wire::WorkersHired>(1, wire::HireWorkers{.data = "npy:digits"});
  EXPECT_EQ(none.error().code, ErrorCode::kUnsupported);
  EXPECT_THAT(none.error().message, HasSubstr("node 'server' does not train: start it with --train DIR"));
  RawCaller gateway = caller(1);
  EXPECT_EQ(gateway.ask<wire::WorkersHired>(1, wire::HireWorkers{.data = "npy:digits"}).error().code, ErrorCode::kDisconnected);
  EXPECT_TRUE(gateway.ask<wire::NodeStatus>(2, wire::GetStatus{}));
}

TEST_F(HireTest, DataAreInTheFolderOrNowhere) {
  RawCaller coordinator = caller(0);
  for (const char* data : {"npy:/etc", "npy:../other", "npy:a/../../b", "idx:..", "npy:", "digits", "", "http://x", "images:/"}) {
    SCOPED_TRACE(data);
    const auto hired = coordinator.ask<wire::WorkersHired>(1, wire::HireWorkers{.first = 4, .count = 2, .data = data});
    EXPECT_EQ(hired.error().code, ErrorCode::kInvalidArgument) << hired.error().message;
  }
  EXPECT_EQ(said("pid"), "");
}

TEST_F(HireTest, ProcessesAreLimited) {
  std::vector<std::unique_ptr<RawCaller>> coordinators;
  const wire::HireWorkers two{.first = 4, .count = 2, .data = "npy:d"};
  for (std::size_t i = 0; i < limits::kNodeWorkerProcessesMax; ++i) {
    coordinators.push_back(std::make_unique<RawCaller>(*transport_, options_[0].listen, ConnectionKind::kData, session()));
    ASSERT_TRUE(coordinators.back()->ask<wire::WorkersHired>(1, two));
  }
  RawCaller late = caller(0);
  EXPECT_EQ(late.ask<wire::WorkersHired>(1, two).error().code, ErrorCode::kOverloaded);
  coordinators.pop_back();
  std::uint64_t id = 2;
  EXPECT_TRUE(soon([&] { return late.ask<wire::WorkersHired>(id++, two).has_value(); }));
}

}  // namespace
}  // namespace tideline
