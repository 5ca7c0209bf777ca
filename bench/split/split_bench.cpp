// What the split run costs, each figure against a reference measured in the same run, alternating with it.
//   split_bench hop        one hop through the daemon over a raw TCP echo of the same sizes
//   split_bench loopback   three unshaped nodes over the unsplit model
//   split_bench shaped     latency on shaped links over compute + bytes / bandwidth (needs root)
//   split_bench plans      predicted over measured for 30 random plans (needs root)
// Without an argument: all of them. Prints Markdown.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <thread>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"
#include "cost/cost.h"
#include "local/local_cluster.h"
#include "measure/measure.h"
#include "session/statistics.h"
#include "split_models.h"

namespace tideline::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(Clock::duration time) { return Millis(time).count(); }

std::string binary() {
  const char* path = std::getenv("TIDELINE_BINARY");
  return path != nullptr ? path : "build/release/bin/tideline";
}

Cluster make_cluster(std::size_t count, double bytes_per_s, Millis rtt, std::vector<double> slowdowns) {
  Cluster cluster;
  for (std::size_t i = 0; i < count; ++i)
    cluster.nodes.push_back({.name = fmt::format("node{}", i),
                             .tier = Tier::kDevice,
                             .host = "127.0.0.1",
                             .port = static_cast<std::uint16_t>(i + 1),
                             .slowdown = i < slowdowns.size() ? slowdowns[i] : 1});
  for (std::uint32_t j = 0; j + 1 < count; ++j)
    cluster.links.push_back(
        {.from = NodeId{j}, .to = NodeId{j + 1}, .bytes_per_s = bytes_per_s, .back_bytes_per_s = bytes_per_s, .rtt = rtt});
  return cluster;
}

// A running cluster with a client, in a temporary folder.
struct Running {
  std::string folder;
  std::unique_ptr<Transport> transport = make_tcp_transport({});
  std::unique_ptr<LocalCluster> local;
  std::unique_ptr<ClusterClient> client;

  Running(const Cluster& cluster, LinkEmulation emulation) {
    std::string name = "/tmp/tideline-bench-XXXXXX";
    folder = ::mkdtemp(name.data());
    local = need(LocalCluster::start(
        cluster, {.binary = binary(), .store_folder = folder + "/store", .emulation = emulation, .log_folder = folder},
        CancelToken()));
    client = std::make_unique<ClusterClient>(*transport, local->cluster());
  }
  ~Running() {
    client.reset();
    local.reset();
    if (std::system(("rm -rf " + folder).c_str()) != 0) fmt::print(stderr, "left behind: {}\n", folder);
  }
  void deploy(const Prepared& prepared, const Plan& plan) {
    need(client->deploy(prepared.model, prepared.chain, plan, CancelToken(), [](const std::string&, Bytes, Bytes) {}));
  }
};

Plan cut_at(const Prepared& prepared, const std::vector<std::string>& nodes, const std::vector<std::uint32_t>& cuts) {
  Plan plan{.planner = "bench", .model_sha256 = prepared.model.sha256(), .chain_sha256 = prepared.chain.sha256};
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::uint32_t end = i < cuts.size() ? cuts[i] : prepared.chain.block_count();
    if (end > next) plan.segments.push_back({.node = nodes[i], .first_block = next, .last_block = end - 1});
    next = end;
  }
  return plan;
}

// The blocks where `parts` parts of about equal FLOPs end.
std::vector<std::uint32_t> equal_parts(const Chain& chain, std::uint32_t parts) {
  double total = 0;
  for (const Block& block : chain.blocks) total += static_cast<double>(block.flops);
  std::vector<std::uint32_t> cuts;
  double sum = 0;
  for (std::uint32_t i = 0; i < chain.block_count() && cuts.size() + 1 < parts; ++i) {
    sum += static_cast<double>(chain.blocks[i].flops);
    if (sum >= total * static_cast<double>(cuts.size() + 1) / parts) cuts.push_back(i + 1);
  }
  return cuts;
}

// hop ------------------------------------------------------------------------------------------------------------------

void exactly(bool receive, int fd, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t moved = receive ? ::recv(fd, data, size, MSG_WAITALL) : ::send(fd, data, size, MSG_NOSIGNAL);
    if (moved <= 0) ::_exit(0);
    data += moved;
    size -= static_cast<std::size_t>(moved);
  }
}

// The floor: a process that reads `up` bytes and answers `down`, over blocking sockets without Nagle.
int start_raw_echo(std::size_t up, std::size_t down) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 1) != 0) std::abort();
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int one = 1;
  if (::fork() == 0) {
    const int connection = ::accept(listener, nullptr, nullptr);
    ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::vector<char> buffer(std::max(up, down));
    while (true) {
      exactly(true, connection, buffer.data(), up);
      exactly(false, connection, buffer.data(), down);
    }
  }
  const int connection = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(connection, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::close(listener);
  return connection;
}

void bench_hop() {
  fmt::print(
      "### One hop through the daemon\n\nA request to a node whose segment is a slice (it returns the first 1,000 floats), over "
      "a raw TCP echo of\n"
      "the same sizes: the whole price of framing, checks, buffers, and entering the engine. Median of 2,000, alternating. The "
      "raw echo\n"
      "sleeps until its bytes are all there; our reader looks for 50 us before it sleeps, so a ratio below 1 is no miracle.\n\n"
      "| up | back | raw TCP | Tideline | of it in the engine | ratio | without the engine |\n|---|---|---|---|---|---|---|\n");
  for (const std::size_t floats : {1'024u, 37'632u, 150'528u, 802'816u}) {
    const Prepared prepared = prepare_slice(floats, std::min<std::size_t>(floats, 1'000));
    Running running(make_cluster(1, 1e9, Millis(0), {}), LinkEmulation::kNone);
    running.deploy(prepared, cut_at(prepared, {"node0"}, {}));
    const std::size_t up = floats * 4;
    const std::size_t down = std::min<std::size_t>(floats, 1'000) * 4;
    const int raw = start_raw_echo(up, down);
    std::vector<char> buffer(up, 'x');
    std::vector<double> raw_ms;
    std::vector<double> ours_ms;
    std::vector<double> engine_ms;
    const int repetitions = up > 1'000'000 ? 500 : 2'000;
    for (int i = 0; i < repetitions + 50; ++i) {
      const auto begin = Clock::now();
      exactly(false, raw, buffer.data(), up);
      exactly(true, raw, buffer.data(), down);
      const auto middle = Clock::now();
      const RunAnswer answer = need(running.client->run(prepared.sample_views(), {}));
      const auto end = Clock::now();
      if (i < 50) continue;
      raw_ms.push_back(milliseconds(middle - begin));
      ours_ms.push_back(milliseconds(end - middle));
      engine_ms.push_back(answer.stages[0].compute.count());
    }
    ::close(raw);
    const double floor = median(raw_ms);
    const double ours = median(ours_ms);
    const double engine = median(engine_ms);
    fmt::print("| {} | {} | {:.0f} us | {:.0f} us | {:.0f} us | **{:.2f}** | {:.2f} |\n", format_bytes(up), format_bytes(down),
               floor * 1e3, ours * 1e3, engine * 1e3, ours / floor, (ours - engine) / floor);
  }
  fmt::print("\n");
}

// loopback ---------------------------------------------------------------------------------------------------------------

void bench_loopback() {
  fmt::print(
      "### Split over three unshaped loopback nodes, over the unsplit model\n\nThree parts of equal FLOPs, one thread each; the "
      "unsplit model "
      "runs in the caller's process, alternating. Medians.\n\n| model | unsplit | split | of it computing | computing over "
      "unsplit | ratio |\n|---|---|---|---|---|---|\n");
  for (const char* name : {"resnet50", "vgg16", "mobilenet-v2"}) {
    Prepared prepared = prepare_zoo(name);
    Running running(make_cluster(3, 1e9, Millis(0), {}), LinkEmulation::kNone);
    running.deploy(prepared, cut_at(prepared, {"node0", "node1", "node2"}, equal_parts(prepared.chain, 3)));
    Unsplit whole = need(Unsplit::load(prepared));
    std::vector<double> unsplit_ms;
    std::vector<double> split_ms;
    std::vector<double> compute_ms;
    const int repetitions = std::strcmp(name, "vgg16") == 0 ? 15 : 40;
    for (int i = 0; i < repetitions + 3; ++i) {
      const double unsplit = prepared.run_whole(whole);
      const RunAnswer answer = need(running.client->run(prepared.sample_views(), {}));
      if (i < 3) continue;
      unsplit_ms.push_back(unsplit);
      split_ms.push_back(answer.latency.count());
      double computing = 0;
      for (const StageReport& stage : answer.stages) computing += stage.compute.count();
      compute_ms.push_back(computing);
    }
    const double unsplit = median(unsplit_ms);
    fmt::print("| {} | {:.2f} ms | {:.2f} ms | {:.2f} ms | {:.3f} | **{:.3f}** |\n", name, unsplit, median(split_ms),
               median(compute_ms), median(compute_ms) / unsplit, median(split_ms) / unsplit);
  }
  fmt::print("\n");
}

// shaped -----------------------------------------------------------------------------------------------------------------

void bench_shaped() {
  fmt::print(
      "### Latency on shaped links, over compute + bytes / bandwidth\n\nTwo nodes in network namespaces, the link shaped by tbf; "
      "compute is what "
      "the nodes measured in the same requests.\n\n| model | link | bytes up + back | compute | bytes / bandwidth | measured | "
      "ratio |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const char* name : {"resnet50", "mobilenet-v2"}) {
    const Prepared prepared = prepare_zoo(name);
    for (const double mbit : {10.0, 100.0}) {
      Running running(make_cluster(2, mbit * 125e3, Millis(0), {}), LinkEmulation::kNamespaces);
      const auto cuts = equal_parts(prepared.chain, 2);
      running.deploy(prepared, cut_at(prepared, {"node0", "node1"}, cuts));
      const double bytes = static_cast<double>(prepared.chain.cuts[cuts[0]].bytes + prepared.chain.cuts.back().bytes);
      std::vector<double> measured;
      std::vector<double> computed;
      for (int i = 0; i < 13; ++i) {
        const RunAnswer answer = need(running.client->run(prepared.sample_views(), {}));
        if (i < 3) continue;
        measured.push_back(answer.latency.count());
        computed.push_back(answer.stages[0].compute.count() + answer.stages[1].compute.count());
      }
      const double wire = bytes / (mbit * 125e3) * 1e3;
      fmt::print("| {} | {:.0f} Mbit/s | {} | {:.1f} ms | {:.1f} ms | {:.1f} ms | **{:.3f}** |\n", name, mbit,
                 format_bytes(static_cast<Bytes>(bytes)), median(computed), wire, median(measured),
                 median(measured) / (median(computed) + wire));
    }
  }
  fmt::print("\n");
}

// plans ------------------------------------------------------------------------------------------------------------------

void bench_plans() {
  fmt::print(
      "### Predicted over measured, 30 random plans\n\nThree nodes (slowdown 4, 2, 1; 100 Mbit/s and 4 ms between them, network "
      "namespaces); "
      "ten random pairs of cuts per model; profile measured at the start, median of 9 requests.\n\n"
      "| model | plans | median error | largest | predicted / measured, median |\n|---|---|---|---|---|\n");
  std::vector<double> all;
  for (const char* name : {"resnet50", "mobilenet-v2", "squeezenet"}) {
    Prepared prepared = prepare_zoo(name);
    const Profile profile = need(measure_profile(*prepared.engine, prepared.model, prepared.chain, prepared.sample, {}));
    const Cluster cluster = make_cluster(3, 12.5e6, Millis(4), {4, 2, 1});
    Running running(cluster, LinkEmulation::kNamespaces);
    std::mt19937 random(2026);
    std::vector<double> errors;
    std::vector<double> ratios;
    for (int k = 0; k < 10; ++k) {
      std::vector<std::uint32_t> cuts{static_cast<std::uint32_t>(random() % (prepared.chain.block_count() + 1)),
                                      static_cast<std::uint32_t>(random() % (prepared.chain.block_count() + 1))};
      std::sort(cuts.begin(), cuts.end());
      const Plan plan = cut_at(prepared, {"node0", "node1", "node2"}, cuts);
      CostInput input{.cluster = &cluster, .profiles = {&profile, &profile, &profile}};
      const Estimate predicted = need(estimate(input, plan));
      running.deploy(prepared, plan);
      std::vector<double> measured;
      for (int i = 0; i < 12; ++i) {
        const RunAnswer answer = need(running.client->run(prepared.sample_views(), {}));
        if (i >= 3) measured.push_back(answer.latency.count());
      }
      ratios.push_back(predicted.latency.count() / median(measured));
      errors.push_back(std::abs(ratios.back() - 1));
      all.push_back(errors.back());
    }
    fmt::print("| {} | 10 | {:.1f} % | {:.1f} % | {:.3f} |\n", name, 100 * median(errors),
               100 * *std::max_element(errors.begin(), errors.end()), median(ratios));
  }
  fmt::print("| all | {} | **{:.1f} %** | {:.1f} % | |\n\n", all.size(), 100 * median(all),
             100 * *std::max_element(all.begin(), all.end()));
}

int run(const std::string& what) {
  const std::vector<std::pair<std::string, std::function<void()>>> parts{
      {"hop", bench_hop}, {"loopback", bench_loopback}, {"shaped", bench_shaped}, {"plans", bench_plans}};
  bool known = what.empty();
  for (const auto& [name, part] : parts) {
    if (!what.empty() && what != name) continue;
    known = true;
    if (name == "shaped" || name == "plans") {
      if (const Status available = namespaces_available(); !available) {
        fmt::print("SKIPPED {}: {}\n\n", name, available.error().message);
        continue;
      }
    }
    part();
    std::fflush(stdout);
  }
  return known ? 0 : 2;
}

}  // namespace
}  // namespace tideline::bench

int main(int argc, char** argv) {
  try {
    return tideline::bench::run(argc > 1 ? argv[1] : "");
  } catch (const std::exception& error) {
    fmt::print(stderr, "split_bench: {}\n", error.what());
    return 1;
  }
}
