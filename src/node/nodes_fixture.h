// Three nodes in one process over the loopback transport, a small network and its caller: what the tests of nodes start from.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "client/client.h"
#include "engine/engine.h"
#include "model/segment.h"
#include "node/node.h"
#include "session/load.h"
#include "zoo/zoo.h"

namespace tideline {

inline std::string fresh_folder() {
  std::string name = std::filesystem::temp_directory_path().string() + "/tideline-node-XXXXXX";
  return ::mkdtemp(name.data()) != nullptr ? name : "";
}

class NodesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loaded = load_model_bytes(*zoo_model("lenet5", 1), "lenet5", {}, {});
    ASSERT_TRUE(loaded) << loaded.error().message;
    engine_ = std::move(loaded->engine);
    chain_ = std::move(loaded->chain);
    inputs_ = std::move(loaded->sample);
    model_ = std::make_unique<Model>(std::move(loaded->model));
    for (const char* name : {"camera", "gateway", "server"}) {
      const std::uint16_t port = static_cast<std::uint16_t>(nodes_.size() + 1);
      NodeOptions options;
      options.name = name;
      options.listen = {"127.0.0.1", port};
      options.store_folder = folder_ + "/" + name;
      change(options);
      nodes_.emplace_back();
      options_.push_back(options);
      start(nodes_.size() - 1);
      cluster_.nodes.push_back({.name = name, .host = "127.0.0.1", .port = port});
    }
    for (std::uint32_t j = 0; j < 2; ++j) cluster_.links.push_back({.from = NodeId{j}, .to = NodeId{j + 1}, .bytes_per_s = 1e9});
  }
  ~NodesTest() override {
    nodes_.clear();
    std::filesystem::remove_all(folder_);
  }
  // What a test wants otherwise.
  virtual void change(NodeOptions&) {}
  virtual Engine& engine_of(std::size_t) { return *engine_; }
  void start(std::size_t i) {
    auto node = NodeServer::start(options_[i], *transport_, *transport_, engine_of(i));
    ASSERT_TRUE(node) << node.error().message;
    nodes_[i] = std::move(*node);
  }
  Result<DeployReport> deploy(ClusterClient& client, const Plan& plan) {
    return client.deploy(*model_, chain_, plan, CancelToken(), {});
  }
  // `node` computes everything; the nodes before it pass on.
  Plan all_on(const char* node) const {
    Plan all = plan();
    all.segments = {{.node = node, .first_block = 0, .last_block = chain_.block_count() - 1}};
    return all;
  }
  wire::NodeStatus status(std::size_t i) {
    ClusterClient watcher(*transport_, cluster_);
    return *(*watcher.peer(i))->status(deadline_in(std::chrono::seconds(10)));
  }
  // Whether `condition` comes true before long.
  static bool soon(const std::function<bool()>& condition) {
    for (int tries = 0; tries < 1000; ++tries) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  Plan plan() const {
    Plan plan{.planner = "test", .model_sha256 = model_->sha256(), .chain_sha256 = chain_.sha256};
    const std::uint32_t third = chain_.block_count() / 3;
    plan.segments = {{.node = "camera", .first_block = 0, .last_block = third - 1},
                     {.node = "gateway", .first_block = third, .last_block = 2 * third - 1},
                     {.node = "server", .first_block = 2 * third, .last_block = chain_.block_count() - 1}};
    return plan;
  }
  std::vector<TensorView> views() const {
    std::vector<TensorView> all;
    for (const Tensor& input : inputs_) all.push_back(view(input));
    return all;
  }

  std::string folder_ = fresh_folder();
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Transport> transport_ = make_loopback_transport();
  std::unique_ptr<Model> model_;
  Chain chain_;
  std::vector<Tensor> inputs_;
  Cluster cluster_;
  std::vector<NodeOptions> options_;
  std::vector<std::unique_ptr<NodeServer>> nodes_;
};

// One connection that speaks the protocol by hand, as a stranger's program would.
class RawCaller {
 public:
  RawCaller(Transport& transport, const Address& address, wire::ConnectionKind kind, const wire::SessionId& session,
            std::string name = "raw", wire::Role role = wire::Role::kCaller)
      : channel_(std::move(*transport.connect(address, later()))) {
    wire::Hello hello;
    hello.role = role;
    hello.kind = kind;
    hello.session = session;
    hello.name = std::move(name);
    greeted_ = channel_.greet(hello, later());
  }
  const Result<wire::Hello>& greeted() const { return greeted_; }
  Channel& channel() { return channel_; }
  template <class Message>
  Status send(std::uint64_t id, const Message& message, ConstPieces payload = {}) {
    return channel_.send(id, message, payload, later());
  }
  // The next frame that is no CREDIT, as that message. A payload is forgotten.
  template <class Message>
  Result<Message> receive(std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    while (true) {
      TIDELINE_TRY(const Frame frame, channel_.receive(deadline_in(patience)));
      const auto message = decode<Message>(frame);
      id_ = frame.header.request_id;
      TIDELINE_CHECK_OK(channel_.skip_payload(frame, later()));
      if (frame.header.type != wire::FrameType::kCredit || Message::kType == wire::FrameType::kCredit) return message;
    }
  }
  template <class Answer, class Question>
  Result<Answer> ask(std::uint64_t id, const Question& question, ConstPieces payload = {}) {
    TIDELINE_CHECK_OK(send(id, question, payload));
    return receive<Answer>();
  }
  std::uint64_t last_id() const { return id_; }
  // Whether the node ends the connection before long.
  bool ends() {
    while (true) {
      auto frame = channel_.receive(later());
      if (!frame) return frame.error().code == ErrorCode::kDisconnected;
      if (!channel_.skip_payload(*frame, later())) return true;
    }
  }

 private:
  static SteadyTime later() { return deadline_in(std::chrono::seconds(20)); }
  Channel channel_;
  Result<wire::Hello> greeted_ = Error{};
  std::uint64_t id_ = 0;
};

}  // namespace tideline
