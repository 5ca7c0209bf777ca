// Any bytes as what a coordinator sends a worker after its HELLO. Checksums of frames are made right first, and a SETUP of a real
// job goes before when the first byte is odd, as a liar would. The worker ends by itself, whatever comes.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

#include "train/protocol/messages.h"
#include "train/run/worker.h"
#include "train/strategy/test_learner.h"
#include "transport/channel.h"

using namespace tideline;
using namespace tideline::train;

namespace {

constexpr std::size_t kFeatures = 3;

TrainSetup honest_setup(bool is_ring) {
  const auto job =
      parse_job(std::string("version: 1\nmodel: m\ndata: {train: npy:d}\nworkers: 2\nstrategy: {name: sync-sgd}\n"
                            "optimiser: {name: sgd, rate: 0.1}\nrounds: 9\ndeadlines: {patience: 10ms}\nexchange: ") +
                    (is_ring ? "ring\n" : "parameter-server\n"),
                "job");
  const std::string text = write_job(*job);
  TrainSetup setup{.worker = 0, .workers = 2, .job = {}, .model_bytes = 1};
  for (const char c : text) setup.job.push_back(static_cast<std::byte>(c));
  return setup;
}

// Frames one behind another: each header's checksum of its meta is what it should be.
std::vector<std::byte> repaired(std::span<const std::byte> bytes) {
  std::vector<std::byte> stream(bytes.begin(), bytes.end());
  for (std::size_t at = 0; at + wire::kFrameHeaderBytes <= stream.size();) {
    const auto header = wire::decode_frame_header(std::span(stream).subspan(at).first<wire::kFrameHeaderBytes>());
    if (!header) break;
    const std::size_t head = wire::frame_head_bytes(header->meta_bytes);
    if (at + head > stream.size()) break;
    wire::FrameHeader right = *header;
    right.meta_crc32c = wire::crc32c(std::span(stream).subspan(at, head).subspan(wire::kFrameHeaderBytes));
    const auto written = wire::encode_frame_header(right);
    std::memcpy(stream.data() + at, written.data(), written.size());
    if (header->payload_bytes > stream.size()) break;
    at += head + static_cast<std::size_t>(header->payload_bytes);
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto transport = make_loopback_transport();
  const auto listener = transport->listen({"127.0.0.1", 0}).value();
  std::thread worker([&] {
    const auto make = [](const Job&, std::uint32_t, const std::string&) -> Result<std::unique_ptr<Learner>> {
      return std::unique_ptr<Learner>(std::make_unique<TestLearner>(LeastSquares::make(4, kFeatures, 1), kFeatures));
    };
    (void)run_worker(
        {.transport = *transport, .listener = *listener, .make_learner = make, .return_patience = std::chrono::nanoseconds(0)});
  });
  {
    Channel channel(transport->connect(listener->address(), kNoDeadline).value());
    if (!channel.greet({.session = wire::random_session_id(), .name = "coordinator"}, kNoDeadline)) std::abort();
    // What it answers meanwhile is read and forgotten.
    std::atomic<bool> is_sent{false};
    std::thread drain([&] {
      std::vector<std::byte> waste(4096);
      while (!is_sent) (void)channel.connection().receive_some(waste, deadline_in(std::chrono::milliseconds(1)));
    });
    const std::vector<std::byte> model(1);
    const std::span<const std::byte> piece(model);
    if ((data[0] & 1) != 0) (void)send_train(channel, 1, honest_setup((data[0] & 2) != 0), {&piece, 1}, kNoDeadline);
    const std::vector<std::byte> stream = repaired({reinterpret_cast<const std::byte*>(data) + 1, size - 1});
    const std::span<const std::byte> bytes(stream);
    (void)channel.connection().send({&bytes, 1}, kNoDeadline);
    is_sent = true;
    drain.join();
    // All of it is read before the end of the stream is.
    channel.connection().finish(deadline_in(std::chrono::seconds(5)));
  }
  worker.join();
  return 0;
}
