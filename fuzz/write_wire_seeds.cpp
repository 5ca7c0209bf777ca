// write_wire_seeds DIR: one file per message under DIR/frame and DIR/handshake, as the fuzz targets read them.
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
  FrameHeader header{.type = Message::kType, .request_id = 42, .payload_bytes = Samples(0).payload_for(message)};
  std::vector<std::byte> bytes(kFrameHeaderBytes);
  if (!encode(message, bytes)) return;
  header.meta_bytes = static_cast<std::uint32_t>(bytes.size() - kFrameHeaderBytes);
  bytes.resize(frame_head_bytes(header.meta_bytes));
  header.meta_crc32c = crc32c(std::span(bytes).subspan(kFrameHeaderBytes));
  std::memcpy(bytes.data(), encode_frame_header(header).data(), kFrameHeaderBytes);
  bytes.resize(bytes.size() + header.payload_bytes, std::byte{0x5a});
  write(folder + "/frame/" + std::string(to_string(Message::kType)), bytes);
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
               NodeStatus>(folder);
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
