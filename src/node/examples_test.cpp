// Goal: the examples in the headers of client, node and transport compile. Method: they stand here as well, and every line of an
// example must be found in this file.
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "client/client.h"
#include "client/stream.h"
#include "node/node.h"
#include "transport/channel.h"

namespace tideline {
namespace {

using std::literals::chrono_literals::operator""s;

// What the examples leave to their reader.
bool read(std::vector<TensorView>&) { return false; }
void use(const Result<RunAnswer>&) {}
void wait_for_sigterm() {}

[[maybe_unused]] Status client_example(Transport& tcp, const Cluster& cluster, const Model& model, const Chain& chain,
                                       const Plan& plan, const CancelToken& cancel, const std::vector<TensorView>& inputs) {
  ClusterClient client(tcp, cluster);
  TIDELINE_TRY(const auto report, client.deploy(model, chain, plan, cancel, {}));
  TIDELINE_TRY(const auto answer, client.run(inputs, {.timeout = 1s}));
  (void)report;
  (void)answer;
  return {};
}

[[maybe_unused]] Status stream_example(ClusterClient& client, std::vector<TensorView> frame) {
  RunStream stream(client, {.window = 4});
  while (read(frame)) {
    if (stream.full()) use(stream.next());
    TIDELINE_CHECK_OK(stream.submit(frame));
  }
  while (stream.in_flight() > 0) use(stream.next());
  return {};
}

[[maybe_unused]] Status peer_example(Transport& tcp, const Address& address, const wire::SessionId& id,
                                     const std::vector<Sha256>& hashes) {
  const PeerOptions options{.transport = &tcp, .address = address, .session = id, .own_name = "caller"};
  TIDELINE_TRY(const auto peer, Peer::connect(options, deadline_in(3s)));
  TIDELINE_TRY(const auto missing, peer->missing_segments(hashes, deadline_in(3s)));
  (void)missing;
  return {};
}

[[maybe_unused]] Status node_example(const NodeOptions& options, Transport& tcp, std::unique_ptr<Engine> engine) {
  TIDELINE_TRY(const auto node, NodeServer::start(options, tcp, tcp, *engine));
  wait_for_sigterm();
  node->drain(5s);
  return {};
}

[[maybe_unused]] Status channel_example(Channel& channel, SteadyTime deadline, const TensorBuffer& allocate) {
  TIDELINE_TRY(const Frame frame, channel.receive(deadline));
  TIDELINE_TRY(const wire::Run run, decode<wire::Run>(frame));
  TIDELINE_CHECK_OK(receive_tensors(channel, frame, run.tensors, allocate, deadline));
  return {};
}

TEST(Examples, AreThoseOfTheHeaders) {
  const char* source = std::getenv("TIDELINE_SOURCE_DIR");
  if (source == nullptr) GTEST_SKIP() << "TIDELINE_SOURCE_DIR is not set; ctest sets it";
  const auto text_of = [&](const std::string& path) {
    std::stringstream text;
    text << std::ifstream(std::string(source) + "/" + path).rdbuf();
    return text.str();
  };
  const std::string here = text_of("src/node/examples_test.cpp");
  for (const char* header :
       {"src/client/client.h", "src/client/stream.h", "src/client/peer.h", "src/node/node.h", "src/transport/channel.h"}) {
    std::stringstream lines(text_of(header));
    std::string line;
    int found = 0;
    while (std::getline(lines, line) && line.rfind("//", 0) == 0) {
      if (line.rfind("//   ", 0) != 0) continue;
      ++found;
      EXPECT_NE(here.find(line.substr(5)), std::string::npos) << header << ": " << line;
    }
    EXPECT_GT(found, 1) << header;
  }
}

}  // namespace
}  // namespace tideline
