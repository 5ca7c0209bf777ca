// A small network on a real three-node cluster of processes: what the end-to-end tests start from.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "client/client.h"
#include "local/local_cluster.h"
#include "plan/plan.h"
#include "session/load.h"
#include "transport/transport.h"
#include "zoo/zoo.h"

namespace tideline::e2e {

// The value of a Result, or a test failure that says its message and ends the test.
template <typename T>
T need(Result<T> result, const char* what) {
  if (!result) throw std::runtime_error(fmt::format("{}: {}", what, result.error().message));
  return std::move(result).value();
}
inline void need(Status status, const char* what) {
  if (!status) throw std::runtime_error(fmt::format("{}: {}", what, status.error().message));
}

inline std::string binary() {
  const char* path = std::getenv("TIDELINE_BINARY");
  return path != nullptr ? path : "build/release/bin/tideline";
}

inline Cluster three_nodes(double bytes_per_s = 12.5e6, Millis rtt = Millis(0)) {
  Cluster cluster;
  cluster.nodes = {{.name = "camera", .tier = Tier::kDevice, .host = "127.0.0.1", .port = 1},
                   {.name = "gateway", .tier = Tier::kEdge, .host = "127.0.0.1", .port = 2},
                   {.name = "server", .tier = Tier::kCloud, .host = "127.0.0.1", .port = 3}};
  for (std::uint32_t j = 0; j < 2; ++j)
    cluster.links.push_back(
        {.from = NodeId{j}, .to = NodeId{j + 1}, .bytes_per_s = bytes_per_s, .back_bytes_per_s = bytes_per_s, .rtt = rtt});
  return cluster;
}

// A zoo network with its chain, one input and the unsplit model's output.
struct Network {
  std::unique_ptr<Engine> engine;
  Model model;
  Chain chain;
  std::vector<Tensor> inputs;
  std::vector<std::byte> reference;

  static Network make(const char* name) {
    LoadedModel loaded = need(load_model_bytes(need(zoo_model(name, 1), "zoo"), name, {}, {}), "load");
    const auto outputs = need(need(Unsplit::load(loaded), "unsplit").run(loaded.sample, {}), "run");
    const auto bytes = outputs[0].data.span();
    return {std::move(loaded.engine),
            std::move(loaded.model),
            std::move(loaded.chain),
            std::move(loaded.sample),
            {bytes.begin(), bytes.end()}};
  }

  std::vector<TensorView> views() const {
    std::vector<TensorView> all;
    for (const Tensor& input : inputs) all.push_back(view(input));
    return all;
  }

  // Blocks up to `first` on the camera, up to `second` on the gateway, the rest on the server.
  Plan plan(std::uint32_t first, std::uint32_t second) const {
    Plan plan{.planner = "test", .model_sha256 = model.sha256(), .chain_sha256 = chain.sha256};
    plan.segments = {{.node = "camera", .first_block = 0, .last_block = first},
                     {.node = "gateway", .first_block = first + 1, .last_block = second},
                     {.node = "server", .first_block = second + 1, .last_block = chain.block_count() - 1}};
    return plan;
  }
  Plan plan_in_thirds() const { return plan(chain.block_count() / 3, 2 * chain.block_count() / 3); }
};

// A temporary folder of one test.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/tideline-e2e-XXXXXX";
    path_ = ::mkdtemp(name.data()) != nullptr ? name : "";
  }
  ~Folder() {
    if (!path_.empty() && std::system(("rm -rf " + path_).c_str()) != 0) std::fprintf(stderr, "left behind: %s\n", path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tideline::e2e
