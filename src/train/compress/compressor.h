// Compressor: how a gradient is written in few bytes. A codec with memory: what it leaves out of one gradient it may add to the
// next, so each sender has one of its own for the whole run. A receiver only decodes, which needs no memory.
//
// A gradient is one flat array, divided into layers. One file for each; compressors() is the whole list. What each does, by whom,
// and how the papers were read: docs/algorithms/compression.md.
//
//   TIDELINE_TRY(const auto settings, parse_compressor("dgc", {{"sparsity", "0.999"}}));
//   TIDELINE_TRY(const auto compressor, make_compressor(settings, {{200, 784}, {1, 200}}));
//   TIDELINE_TRY(const auto bytes, compressor->encode(gradient, {.step = 7, .seed = 1}));
//   TIDELINE_CHECK_OK(compressor->decode(bytes, received));
//
// Resources; not thread-safe, but that decode() of one may run in any number of threads. Little-endian machines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tideline::compress {

// rows x columns numbers, row by row: a row is what leads to one output of a Gemm (transB = 1) or Conv. A bias is one row.
struct Layer {
  std::size_t rows = 1;
  std::size_t columns = 0;
  std::size_t length() const { return rows * columns; }
  bool operator==(const Layer&) const = default;
};

// What a compressor may know of the step that a gradient belongs to.
struct Step {
  std::uint64_t step = 0;  // warm-up counts from 0; with the seed it names all draws
  // Of the run and the sender: two senders of one seed draw alike, and then their errors do not average out.
  std::uint64_t seed = 0;
  std::optional<float> loss;      // of the batch that the gradient is of; esgd needs it
  std::span<const float> scales;  // terngrad: for each layer the scale that all senders share; empty: each its own
};

// One number that a compressor takes from its user.
struct CompressorKey {
  std::string_view name;
  std::string_view meaning;
  double min = 0;
  double max = 0;
  double fallback = 0;
  bool is_whole = false;
};

struct CompressorSettings {
  std::string name = "none";
  std::map<std::string, double, std::less<>> numbers;  // every key of the compressor
  double number(std::string_view key) const;           // REQUIRES: the compressor has it
  std::size_t count(std::string_view key) const { return static_cast<std::size_t>(number(key)); }
  bool operator==(const CompressorSettings&) const = default;
};

class Compressor {
 public:
  virtual ~Compressor() = default;
  std::size_t numbers() const { return numbers_; }

  // kInvalidArgument for a gradient of another length, for one with a number that is not finite (`none` and `fp16` send those as
  // they are), and when what was left out before and this come to more than a float holds. The memory is then as it was.
  Result<std::vector<std::byte>> encode(std::span<const float> gradient, const Step& step);
  // All of `into` from bytes that a stranger sent. kCorrupt when they are not a whole update of this compressor with these
  // settings for that many numbers; what is in `into` then means nothing. Takes memory for `into` at most twice over.
  Status decode(std::span<const std::byte> bytes, std::span<float> into) const;

  // Structured updates (low-rank, random-mask): projects `update` onto what can be sent at this step, so that a sender that does
  // so after each of its own small steps sends all it has learned. The others leave it as it is.
  virtual void confine(std::span<float> update, const Step& step) const;
  virtual bool is_structured() const { return false; }  // confine() does something

  // What encode() remembers, for a checkpoint. Restored into a new one with the same settings and layers: the next bytes are the
  // same. kCorrupt when it is not what state() of such a compressor gives; the memory is then as it was.
  std::vector<std::byte> state() const;
  Status restore(std::span<const std::byte> state);

 protected:
  // `kind`: its number in bytes, which never changes. `memory`: lengths of the arrays that it remembers, zeros at first.
  Compressor(std::uint8_t kind, std::vector<Layer> layers, std::vector<std::size_t> memory = {});
  const std::vector<Layer>& layers() const { return layers_; }

  std::vector<std::vector<float>> memory_;

 private:
  // Appends the body. `gradient` is finite and of numbers().
  virtual Status write(std::span<const float> gradient, const Step& step, std::vector<std::byte>& out) = 0;
  // `into` is of numbers(), all zeros. Reads the whole body.
  virtual Status read(std::span<const std::byte> body, std::span<float> into) const = 0;
  virtual bool takes_any_number() const { return false; }
  // Of numbers that are finite.
  virtual bool is_memory(const std::vector<std::vector<float>>&) const { return true; }

  std::uint8_t kind_;
  std::vector<Layer> layers_;
  std::size_t numbers_ = 0;
};

struct CompressorInfo {
  std::string_view name;
  std::string_view summary;
  std::vector<CompressorKey> keys;
  std::unique_ptr<Compressor> (*make)(std::vector<Layer> layers, const CompressorSettings& settings);
  bool needs_loss = false;
};
// The whole list.
std::span<const CompressorInfo> compressors();
const CompressorInfo* find_compressor(std::string_view name);

// Settings from words; keys that are not named have their fallbacks. kNotFound for a name, kInvalidArgument for a key that there
// is not, is named twice or whose value is no number in its range: one sentence that says what to write instead.
using KeyValue = std::pair<std::string, std::string>;
Result<CompressorSettings> parse_compressor(std::string_view name, const std::vector<KeyValue>& keys = {});
// kInvalidArgument for settings that parse_compressor() would not give; kOverloaded for more numbers or layers than the limits.
Result<std::unique_ptr<Compressor>> make_compressor(const CompressorSettings& settings, std::vector<Layer> layers);

// Bytes of a head in front of every body: 'T', 'G', version, kind, numbers.
inline constexpr std::size_t kUpdateHeadBytes = 8;

// terngrad's scales of one gradient: for each layer the largest magnitude after clipping. The largest of these over all senders
// is what they share.
std::vector<float> terngrad_scales(std::span<const Layer> layers, std::span<const float> gradient, double clip);

}  // namespace tideline::compress
