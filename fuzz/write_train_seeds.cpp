// write_train_seeds DIR: what strategies keep after a round under DIR/train_state, and what a coordinator says to a worker under
// DIR/train_worker, as the fuzz targets read them.
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "train/protocol/messages.h"
#include "train/strategy/strategy.h"
#include "train/strategy/test_learner.h"

using namespace tideline;
using namespace tideline::train;

namespace {

void write(const std::string& path, int first, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.put(static_cast<char>(first));
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

// A state of the right length for each, whatever numbers it has: the first word of floats is how many.
void write_states(const std::string& folder) {
  for (const std::size_t numbers : {0U, 3U, 4U}) {
    StateWriter adam, model, gossip, server;
    const std::vector<float> values(numbers, 0.5F), moments(3, 0.25F), one(1, 1.0F);
    for (StateWriter* to : {&model, &gossip}) to->floats(values);
    gossip.floats(one);
    for (StateWriter* to : {&adam, &model, &gossip}) {
      to->number(4);
      to->floats(moments);
      to->floats(numbers == 4 ? std::span<const float>(moments) : std::span<const float>());
    }
    server.floats(moments);
    const std::vector<std::byte> all[] = {adam.take(), model.take(), gossip.take(), server.take()};
    for (std::size_t i = 0; i < 4; ++i)
      for (const int first : {0, 1}) write(fmt::format("{}/train_state/{}-{}-{}", folder, numbers, i, first), first, all[i]);
  }
}

template <class Message>
void add(std::vector<std::byte>& stream, const Message& message, std::size_t payload) {
  std::vector<std::byte> meta;
  if (!encode_train(message, meta)) return;
  wire::FrameHeader header{.type = Message::kType, .request_id = 7};
  header.meta_bytes = static_cast<std::uint32_t>(meta.size());
  header.payload_bytes = payload;
  meta.resize(wire::frame_head_bytes(header.meta_bytes) - wire::kFrameHeaderBytes);
  header.meta_crc32c = wire::crc32c(meta);
  const auto head = wire::encode_frame_header(header);
  stream.insert(stream.end(), head.begin(), head.end());
  stream.insert(stream.end(), meta.begin(), meta.end());
  stream.resize(stream.size() + payload, std::byte{0});
}

void write_conversations(const std::string& folder) {
  std::vector<std::byte> central, ring;
  add(central, TrainWork{.round = 1}, 16);
  add(central, TrainFetch{TrainFetch::What::kState, false}, 0);
  add(central, TrainFetch{TrainFetch::What::kModel, true}, 0);
  add(ring, TrainWork{.round = 1, .commit = true, .members = {{0, "127.0.0.1:1"}}}, 16);
  add(ring, TrainFetch{TrainFetch::What::kState, true}, 0);
  add(ring, TrainWork{.round = 2, .attempt = 1, .members = {{0, ""}, {1, "127.0.0.1:9"}}}, 0);
  for (const int first : {0, 1, 3}) {
    write(fmt::format("{}/train_worker/central-{}", folder, first), first, central);
    write(fmt::format("{}/train_worker/ring-{}", folder, first), first, ring);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  write_states(argv[1]);
  write_conversations(argv[1]);
  return 0;
}
