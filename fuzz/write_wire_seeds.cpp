// write_wire_seeds DIR: one file per message under DIR/frame and DIR/handshake, and one per codec under DIR/codec, as the fuzz
// targets read them.
#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "wire/samples.h"

using namespace tideline;
using namespace tideline::wire;

namespace {

void write(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  file.put(1);  // arrives at once; checksums are made right when it was changed
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

template <class Message>
void write_message(const std::string& path, const Message& message) {
  FrameHeader header{.type = Message::kType, .request_id = 42, .payload_bytes = Samples(0).payload_for(message)};
  std::vector<std::byte> bytes(kFrameHeaderBytes);
  if (!encode(message, bytes)) return;
  header.meta_bytes = static_cast<std::uint32_t>(bytes.size() - kFrameHeaderBytes);
  bytes.resize(frame_head_bytes(header.meta_bytes));
  header.meta_crc32c = crc32c(std::span(bytes).subspan(kFrameHeaderBytes));
  std::memcpy(bytes.data(), encode_frame_header(header).data(), kFrameHeaderBytes);
  bytes.resize(bytes.size() + header.payload_bytes, std::byte{0x5a});
  write(path, bytes);
}

template <class Message>
void write_frame(const std::string& folder) {
  // The fullest of some that are still small.
  Message message;
  std::size_t size = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    Samples samples(seed);
    Message other = samples.make<Message>();
    std::vector<std::byte> meta;
    if (!encode(other, meta) || meta.size() <= size || meta.size() > 700 || samples.payload_for(other) > 4000) continue;
    message = std::move(other);
    size = meta.size();
  }
  write_message(folder + "/frame/" + std::string(to_string(Message::kType)), message);
}

// What has a codec or a share is beside the message as version 1 wrote it, which stays as it is.
void write_coded_frames(const std::string& folder) {
  ProgramStage stage{.id = 3, .inputs = {"x"}, .outputs = {"x"}};
  stage.codec_in = {Scheme::kInt8PerChannel, Packing::kZstd};
  stage.codec_out = {Scheme::kFloat16, Packing::kNone};
  write_message(folder + "/frame/INSTALL_PROGRAM-codecs", InstallProgram{.epoch = 7, .stages = {stage}});
  stage.codec_in = stage.codec_out = {};
  stage.calls = true;
  stage.next = 4;
  stage.next_node = "cloud";
  stage.next_address = "127.0.0.1:7411";
  stage.share = {.compute_ppm = 250'000, .burst_ms = 200, .link_bytes_per_s = 125'000, .link_total_bytes_per_s = 1'000'000};
  write_message(folder + "/frame/INSTALL_PROGRAM-share", InstallProgram{.epoch = 7, .stages = {stage}});
  const WireTensor tensor = coded_tensor(0, DType::kFloat32, std::array<std::int64_t, 3>{1, 4, 16}, 100).value();
  write_message(folder + "/frame/RUN-coded", Run{.epoch = 7, .stage = 3, .deadline_us = 1000, .tensors = {tensor}});
  RunResult result{.epoch = 7, .tensors = {tensor}};
  result.stages.push_back({.node = "server", .stage = 3, .compute_ns = 5, .decode_ns = 6, .encode_ns = 7});
  write_message(folder + "/frame/RESULT-coded", result);
}

// Each codec reachable in one step, and a tensor for each to be encoded.
void write_codecs(const std::string& folder) {
  std::vector<float> numbers(4 * 24);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 13) - 4;
  const TensorSpec spec{"x", DType::kFloat32, {1, 4, 24}};
  for (std::size_t i = 0; i < codecs().size(); ++i) {
    const auto encoded = encode(codecs()[i].codec, {&spec, std::as_bytes(std::span(numbers))});
    std::ofstream file(folder + "/codec/" + std::string(codecs()[i].name), std::ios::binary);
    file.put(0);
    file.write(reinterpret_cast<const char*>(encoded->data()), static_cast<std::streamsize>(encoded->size()));
    std::ofstream tensor(folder + "/codec/tensor-" + std::string(codecs()[i].name), std::ios::binary);
    for (const int byte : {1, static_cast<int>(i), 0, 0, 3}) tensor.put(static_cast<char>(byte));
    tensor.write(reinterpret_cast<const char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(float)));
  }
}

template <class... Messages>
void write_frames(const std::string& folder) {
  (write_frame<Messages>(folder), ...);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string folder = argv[1];
  write_frames<ErrorMessage, Ping, Pong, Goodbye, HasSegments, SegmentsMissing, PutSegment, SegmentProgress, Install, Installed,
               Uninstall, Uninstalled, InstallProgram, ProgramInstalled, Forward, Run, RunResult, Cancel, Credit, GetStatus,
               NodeStatus, HireWorkers, WorkersHired>(folder);
  write_coded_frames(folder);
  write_codecs(folder);
  Hello hello{.name = "camera-1"};
  write(folder + "/handshake/caller", encode_hello(hello).value());
  hello.role = Role::kNode;
  hello.name = "edge";
  write(folder + "/handshake/node", encode_hello(hello).value());
  hello.status = static_cast<std::uint16_t>(ErrorCode::kOverloaded);
  hello.message = "256 connections are open";
  write(folder + "/handshake/refusal", encode_hello(hello).value());
  hello.status = 0;
  hello.version_min = hello.version_max = 9;
  write(folder + "/handshake/future", encode_hello(hello).value());
  return 0;
}
