// Goal: frames come out of a stream as they were put in, whatever pieces it comes in, and nothing that it holds breaks the
// reader. Method: real JPEGs, PNGs by their grammar, arrays; pipes, with a writer that is faster or slower than who takes frames.
#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <turbojpeg.h>
#include <unistd.h>

#include "fleet/run/frame_cutter.h"
#include "fleet/run/frame_pipe.h"
#include "platform/descriptor.h"
#include "platform/no_threads.h"
#include "tensor/npy.h"

namespace tideline::fleet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Noise, so that its coded pixels hold every byte; `progressive` ones have several scans.
std::string jpeg(int side, unsigned seed, bool progressive = false) {
  std::mt19937 random(seed);
  std::vector<unsigned char> pixels(static_cast<std::size_t>(3 * side * side));
  for (unsigned char& pixel : pixels) pixel = static_cast<unsigned char>(random());
  tjhandle compressor = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(compressor, pixels.data(), side, 0, side, TJPF_RGB, &bytes, &size, TJSAMP_420, 90,
                        progressive ? TJFLAG_PROGRESSIVE : 0),
            0);
  std::string file(reinterpret_cast<char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(compressor);
  return file;
}

// Behind its start a segment that looks like a whole picture: cameras put thumbnails there.
std::string with_thumbnail(const std::string& file) {
  const std::string thumbnail = jpeg(8, 1);
  const std::size_t length = thumbnail.size() + 2;
  return file.substr(0, 2) + "\xff\xe1" + static_cast<char>(length >> 8) + static_cast<char>(length & 0xff) + thumbnail +
         file.substr(2);
}

std::string chunk(const std::string& type, const std::string& data) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(data.size() >> shift & 0xff);
  return bytes + type + data + "crc!";
}
std::string png() {
  return "\x89PNG\r\n\x1a\n" + chunk("IHDR", std::string(13, '\1')) + chunk("IDAT", "IEND") + chunk("IEND", "");
}

std::string npy(float value) {
  const TensorSpec spec{"x", DType::kFloat32, {2, 3}};
  const std::vector<float> numbers(6, value);
  return *write_npy({&spec, std::as_bytes(std::span(numbers))});
}

// Everything that is cut before the end or the error, which is put behind it.
std::vector<std::string> cut(const std::string& stream, std::size_t piece, std::size_t most = 1 << 20) {
  FrameCutter cutter(most);
  std::vector<std::string> frames;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    cutter.add(std::string_view(stream).substr(at, piece));
    while (true) {
      auto frame = cutter.next();
      if (!frame) {
        frames.push_back(frame.error().message);
        return frames;
      }
      if (!*frame) break;
      frames.push_back(std::move(**frame));
    }
  }
  if (cutter.pending() > 0) frames.push_back("cut off");
  return frames;
}

TEST(FrameCutter, EveryFrameWhateverThePieces) {
  const std::vector<std::string> frames{jpeg(40, 1), png(), npy(1), jpeg(64, 2, true), with_thumbnail(jpeg(16, 3)),
                                        npy(2),      png()};
  std::string stream;
  for (const std::string& frame : frames) stream += frame;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{4096}, stream.size()})
    EXPECT_EQ(cut(stream, piece), frames) << piece;
}

TEST(FrameCutter, AStreamThatBreaksOff) {
  for (const std::string& frame : {jpeg(32, 4), png(), npy(1)})
    for (const std::size_t left : {std::size_t{1}, frame.size() / 2, frame.size() - 1})
      EXPECT_EQ(cut(frame + frame.substr(0, left), 64), (std::vector<std::string>{frame, "cut off"})) << left;
}

TEST(FrameCutter, WhatIsNoFrameEndsIt) {
  EXPECT_THAT(cut(png() + "GIF89a", 100).back(), HasSubstr("expected a JPEG, a PNG or an .npy array"));
  EXPECT_THAT(cut("\x89PNX", 1).back(), HasSubstr("something else"));
  EXPECT_THAT(cut("\xff\xd8\x12\x34", 100).back(), HasSubstr("no marker"));
  EXPECT_THAT(cut(std::string("\xff\xd8\xff\xe0\x00\x01", 6), 100).back(), HasSubstr("cannot be there"));
  EXPECT_THAT(cut("\x89PNG\r\n\x1a\n" + chunk("ID1T", ""), 100).back(), HasSubstr("cannot be there"));
  for (const std::size_t piece : {1, 100})
    EXPECT_THAT(cut("\x89PNG\r\n\x1a\n" + chunk("IEND", "ab"), piece).back(), HasSubstr("last chunk"));
  EXPECT_THAT(cut("\x93NUMPY\x09...........", 100).back(), HasSubstr("version 9"));
}

TEST(FrameCutter, ALargeFrameIsRefusedBeforeItIsThere) {
  EXPECT_THAT(cut(jpeg(200, 5), 100, 2000).back(), HasSubstr("larger than"));
  // A chunk, and an array, that promise more than there may be.
  const std::string promises(
      "\x89PNG\r\n\x1a\n\x7f\xff\xff\xff"
      "IDAT",
      16);
  EXPECT_THAT(cut(promises, 100).back(), HasSubstr("larger than"));
  std::string array = npy(1);
  array.replace(array.find("(2,3,)"), 6, "(2000,3000)");
  EXPECT_THAT(cut(array, 100, 1 << 20).back(), HasSubstr("larger than"));
}

class FramePipeTest : public testing::Test {
 protected:
  FramePipeTest() {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    out_ = Descriptor(ends[0]);
    in_ = Descriptor(ends[1]);
  }
  void open(DropRule rule) {
    auto pipe = FramePipe::open(out_.get(), [](const std::string& frame) -> Result<std::vector<Tensor>> {
      TIDELINE_TRY(Tensor tensor, parse_npy(frame, "x"));
      std::vector<Tensor> values;
      values.push_back(std::move(tensor));
      return values;
    });
    ASSERT_TRUE(pipe) << pipe.error().message;
    pipe_ = std::move(*pipe);
    pipe_->set_rule(rule);
  }
  void write(const std::string& bytes) { ASSERT_EQ(::write(in_.get(), bytes.data(), bytes.size()), ssize_t(bytes.size())); }
  bool soon(const std::function<bool(const FrameCounts&)>& condition) const {
    for (int tries = 0; tries < 2000; ++tries) {
      if (condition(pipe_->counts())) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }
  // The number in the frame that waits; -1: none does.
  float take() {
    const auto values = pipe_->take();
    float number = -1;
    if (values) std::memcpy(&number, values->front().data.data(), sizeof number);
    return number;
  }
  Descriptor out_, in_;
  std::unique_ptr<FramePipe> pipe_;
};

TEST_F(FramePipeTest, WithoutARuleTheWriterWaits) {
  open(DropRule::kNone);
  EXPECT_EQ(take(), -1);
  for (int n = 0; n < 20; ++n) write(npy(static_cast<float>(n)));
  for (int n = 0; n < 20; ++n) {
    float frame = -1;
    ASSERT_TRUE(soon([&](const FrameCounts&) { return (frame = take()) >= 0; }));
    EXPECT_EQ(frame, n);
  }
  in_.reset();
  ASSERT_TRUE(soon([](const FrameCounts& counts) { return counts.ended; }));
  EXPECT_EQ(pipe_->counts().dropped, 0u);
  EXPECT_EQ(pipe_->counts().why, "");
}

TEST_F(FramePipeTest, TheRuleSaysWhichFrameGoes) {
  open(DropRule::kOldest);
  for (int n = 0; n < 20; ++n) write(npy(static_cast<float>(n)));
  ASSERT_TRUE(soon([](const FrameCounts& counts) { return counts.read == 20 && counts.dropped == 19; }));
  EXPECT_EQ(take(), 19);
  pipe_->set_rule(DropRule::kNewest);
  for (int n = 20; n < 25; ++n) write(npy(static_cast<float>(n)));
  ASSERT_TRUE(soon([](const FrameCounts& counts) { return counts.read == 25 && counts.dropped == 23; }));
  EXPECT_EQ(take(), 20);
}

TEST_F(FramePipeTest, BadFramesGoAndABrokenStreamEnds) {
  open(DropRule::kNone);
  write(png() + npy(3));
  ASSERT_TRUE(soon([&](const FrameCounts& counts) { return counts.read == 2; }));
  EXPECT_EQ(pipe_->counts().bad, 1u);
  EXPECT_EQ(take(), 3);
  write("what is this?");
  ASSERT_TRUE(soon([](const FrameCounts& counts) { return counts.ended; }));
  EXPECT_THAT(pipe_->counts().why, HasSubstr("something else begins here"));
}

TEST_F(FramePipeTest, ItEndsWhileAFrameWaits) {
  open(DropRule::kNone);
  write(npy(1) + npy(2));
  ASSERT_TRUE(soon([](const FrameCounts& counts) { return counts.read == 2; }));
  pipe_.reset();
}

TEST_F(FramePipeTest, WithoutAThreadItIsNotOpened) {
  const NoThreads none;
  EXPECT_EQ(FramePipe::open(out_.get(), {}).error().code, ErrorCode::kOverloaded);
}

}  // namespace
}  // namespace tideline::fleet
