// UpdateCodec: how a worker's update is written on the wire: its parameters by a compressor (train/compress), which may remember
// what it leaves out, so each worker has one of its own for the whole run; then buffers (running means) as float32. The
// coordinator only decodes, which needs no memory.
//
// A resource; not thread-safe.
//
//   TIDELINE_TRY(const auto codec, make_update_codec(job.compression, shape, seed));
//   TIDELINE_TRY(const std::vector<std::byte> bytes, codec->encode(update, {.round = 7, .loss = 0.3}));
//   TIDELINE_CHECK_OK(codec->decode(bytes, received));
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/compress/compressor.h"

namespace tideline::train {

// The numbers of a model: parameters, then buffers.
struct ModelSize {
  std::size_t parameters = 0;
  std::size_t buffers = 0;
  std::vector<compress::Layer> layers = {};  // of the parameters; none: all are one
  std::size_t all() const { return parameters + buffers; }
};

class UpdateCodec {
 public:
  struct Moment {
    std::uint64_t round = 0;
    double loss = 0;
  };
  UpdateCodec(std::unique_ptr<compress::Compressor> compressor, std::size_t buffers, std::uint64_t seed)
      : compressor_(std::move(compressor)), buffers_(buffers), seed_(seed) {}

  // kInvalidArgument as Compressor::encode().
  Result<std::vector<std::byte>> encode(std::span<const float> update, const Moment& moment);
  // All of `into` from bytes that a stranger sent: kCorrupt when they are not an update of that many numbers. Buffers may have
  // numbers that are not finite: the receiver judges.
  Status decode(std::span<const std::byte> bytes, std::span<float> into) const;
  // More than any update takes, whatever the compression: what a receiver has room for.
  std::uint64_t bytes_max() const;
  // After one of its own steps from `start`, a worker moves back to what can be sent in this round (structured updates; the
  // others can send anything).
  void confine(std::uint64_t round, std::span<const float> start, std::span<float> parameters) const;
  // What encode() remembers, for a checkpoint.
  std::vector<std::byte> memory() const { return compressor_->state(); }
  // kCorrupt when it is not what memory() of such a codec gives.
  Status restore(std::span<const std::byte> memory) { return compressor_->restore(memory); }

 private:
  std::unique_ptr<compress::Compressor> compressor_;
  std::size_t buffers_;
  std::uint64_t seed_;
};

// `seed`: of the run and the worker; a receiver's means nothing.
Result<std::unique_ptr<UpdateCodec>> make_update_codec(const compress::CompressorSettings& settings, const ModelSize& size,
                                                       std::uint64_t seed = 0);

}  // namespace tideline::train
