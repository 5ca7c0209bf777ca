// Random valid messages from a seed: for the tests of the codecs and the seeds of the fuzz targets.
#pragma once

#include <random>

#include "wire/messages.h"

namespace tideline::wire {

class Samples {
 public:
  explicit Samples(unsigned seed) : random_(seed) {}

  std::uint64_t number(std::uint64_t max) { return std::uniform_int_distribution<std::uint64_t>(0, max)(random_); }
  // Often at the edges, where mistakes live.
  std::uint64_t number64() { return number(3) == 0 ? (number(1) == 0 ? 0 : ~std::uint64_t{0}) : number(~std::uint64_t{0}); }
  std::uint32_t number32() { return static_cast<std::uint32_t>(number64()); }
  std::string name() {
    static constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    std::string text(1, kLetters[number(61)]);
    for (std::uint64_t i = number(62); i > 0; --i) text += kLetters[number(kLetters.size() - 1)];
    return text;
  }
  std::string message(std::size_t max) {
    std::string text;
    for (std::uint64_t i = number(3) == 0 ? max : number(30); i > 0; --i) text += static_cast<char>(0x20 + number(0x7e - 0x20));
    return text;
  }
  std::string text(std::size_t max) {
    std::string text;
    for (std::uint64_t i = number(max); i > 0; --i) text += static_cast<char>(number(255));
    return text;
  }
  Sha256 hash() {
    Sha256 hash;
    for (auto& byte : hash.bytes) byte = static_cast<std::uint8_t>(number(255));
    return hash;
  }
  WireTensor tensor(std::uint16_t index) {
    static constexpr DType kTypes[] = {DType::kFloat32, DType::kUint8, DType::kInt64, DType::kFloat16, DType::kBool};
    std::vector<std::int64_t> shape;
    for (std::uint64_t i = number(5); i > 0; --i) shape.push_back(static_cast<std::int64_t>(number(9)));
    return wire_tensor(index, kTypes[number(4)], shape).value();
  }
  std::vector<WireTensor> tensors() {
    std::vector<WireTensor> list;
    for (std::uint64_t i = number(4), index = number(3); i > 0; --i, index += 1 + number(2)) {
      list.push_back(tensor(static_cast<std::uint16_t>(index)));
    }
    return list;
  }

  template <class Message>
  Message make();
  // A size of payload that goes with it.
  template <class Message>
  std::uint64_t payload_for(const Message& sample) {
    if constexpr (requires { sample.tensors; }) {
      std::uint64_t sum = 0;
      for (const auto& tensor : sample.tensors) sum += tensor.bytes;
      return sum;
    } else if constexpr (std::is_same_v<Message, PutSegment>) {
      return 1;
    } else {
      return 0;
    }
  }

 private:
  std::mt19937_64 random_;
};

template <>
inline ErrorMessage Samples::make() {
  return {static_cast<ErrorCode>(1 + number(9)), number(1) == 0 ? "" : name(), message(limits::kWireMessageBytesMax)};
}
template <>
inline Ping Samples::make() {
  return {number(limits::kPingPayloadBytesMax)};
}
template <>
inline Pong Samples::make() {
  return {number64(), number64()};
}
template <>
inline Goodbye Samples::make() {
  return {message(limits::kWireMessageBytesMax)};
}
template <>
inline HasSegments Samples::make() {
  return {std::vector<Sha256>(number(number(9) == 0 ? limits::kWireHashesMax : 5), hash())};
}
template <>
inline SegmentsMissing Samples::make() {
  SegmentsMissing sample;
  for (auto i = number(5); i > 0; --i) sample.missing.push_back({hash(), number(limits::kSegmentBytesMax)});
  return sample;
}
template <>
inline PutSegment Samples::make() {
  const auto total = 1 + number(limits::kSegmentBytesMax - 1);
  return {hash(), total, number(total - 1)};
}
template <>
inline SegmentProgress Samples::make() {
  return {hash(), number(limits::kSegmentBytesMax), number(1) == 0};
}
template <>
inline Install Samples::make() {
  Install sample{.epoch = number64(), .stages = 1 + static_cast<std::uint32_t>(number(limits::kPlanHopsMax - 1))};
  sample.stage = static_cast<std::uint32_t>(number(sample.stages - 1));
  for (auto i = number(3); i > 0; --i) sample.inputs.push_back(text(number(9) == 0 ? limits::kWireTextBytesMax : 20));
  if (number(2) == 0) {
    sample.outputs = sample.inputs;
  } else {
    sample.segment = hash();
    for (auto i = number(3); i > 0; --i) sample.outputs.push_back(text(20));
  }
  if (sample.stage + 1 < sample.stages) {
    sample.next_node = name();
    sample.next_address = "127.0.0.1:" + std::to_string(number(65535));
  }
  return sample;
}
template <>
inline Installed Samples::make() {
  return {number64(), number32(), number64()};
}
template <>
inline Uninstall Samples::make() {
  return {number64()};
}
template <>
inline Uninstalled Samples::make() {
  return {number32()};
}
template <>
inline InstallProgram Samples::make() {
  InstallProgram sample{.epoch = number64()};
  std::uint32_t id = static_cast<std::uint32_t>(number(2));
  for (auto i = 1 + number(3); i > 0; --i, id += 1 + static_cast<std::uint32_t>(number(2))) {
    ProgramStage stage{.id = id};
    if (number(1) == 0) stage.segment = hash();
    for (auto n = 1 + number(2); n > 0; --n) stage.inputs.push_back(text(20));
    for (auto n = 1 + number(2); n > 0; --n) stage.outputs.push_back(text(20));
    if (id > 0 && number(1) == 0) {
      stage.on_answer = true;
      stage.after = static_cast<std::uint32_t>(number(id - 1));
    }
    if (number(1) == 0) {
      stage.calls = true;
      stage.next = id + 1;
      stage.next_node = name();
      stage.next_address = "127.0.0.1:" + std::to_string(number(65535));
    }
    sample.stages.push_back(std::move(stage));
  }
  return sample;
}
template <>
inline ProgramInstalled Samples::make() {
  return {number64(), number64()};
}
template <>
inline Forward Samples::make() {
  static constexpr FrameType kInner[] = {FrameType::kHasSegments, FrameType::kPutSegment, FrameType::kInstall, FrameType::kPing,
                                         FrameType::kGetStatus};
  Forward sample{.inner = kInner[number(4)]};
  for (auto i = 1 + number(number(9) == 0 ? limits::kForwardHopsMax - 1 : 2); i > 0; --i)
    sample.path.push_back({name(), "127.0.0.1:" + std::to_string(number(65535))});
  for (auto i = number(100); i > 0; --i) sample.meta.push_back(static_cast<std::byte>(number(255)));
  return sample;
}
template <>
inline Credit Samples::make() {
  return {number32(), number64()};
}
template <>
inline Run Samples::make() {
  return {number64(), static_cast<std::uint32_t>(number(limits::kPlanHopsMax - 1)), number64(), tensors()};
}
template <>
inline RunResult Samples::make() {
  RunResult sample{.epoch = number64(), .tensors = tensors()};
  for (auto i = number(4); i > 0; --i) {
    sample.stages.push_back({name(), number32(), number64(), number64(), number64(), number64(), number64(), number64(),
                             number64(), number64(), number64()});
  }
  return sample;
}
template <>
inline Cancel Samples::make() {
  return {};
}
template <>
inline GetStatus Samples::make() {
  return {};
}
template <>
inline NodeStatus Samples::make() {
  return {name(),     message(100), message(100), number32(), number64(), number64(), number64(),
          number32(), number32(),   number32(),   number64(), number64(), number32(), number(1) == 0};
}
template <>
inline HireWorkers Samples::make() {
  return {static_cast<std::uint32_t>(number(limits::kTrainWorkersMax - 1)),
          static_cast<std::uint32_t>(1 + number(limits::kNodeWorkersMax - 1)), "npy:" + message(100)};
}
template <>
inline WorkersHired Samples::make() {
  std::vector<std::uint16_t> ports;
  for (std::uint64_t i = number(9); i > 0; --i) ports.push_back(static_cast<std::uint16_t>(number(65'535)));
  return {ports};
}

}  // namespace tideline::wire
