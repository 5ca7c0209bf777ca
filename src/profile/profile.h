// Profile: what was measured of one model on one host. A value, saved as *.profile.json (docs/formats/profile.md).
//
// The time of the segment of blocks i..j is
//   segment_overhead + sum_{k=i..j} blocks[k].time + cuts[i].start + cuts[j+1].end
// where `start` and `end` are what it costs (or saves) to begin or stop at a cut instead of fusing across it: the sum of layers
// timed alone is not the time of a fused segment. Example: blocks 3 ms and 4 ms that fuse into 6 ms have times 3 and 3, and
// cuts[1].start + cuts[1].end = 1.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/units.h"

namespace tideline {

struct BlockProfile {
  std::string name;
  Millis time{0};    // its share of the fused whole
  Millis spread{0};  // half the distance between the quartiles of its samples
  Bytes parameter_bytes = 0;
  Bytes activation_bytes = 0;
  bool operator==(const BlockProfile&) const = default;
};

struct CutProfile {
  Bytes bytes = 0;
  Millis start{0};  // added to a segment that starts here; 0 at the first cut
  Millis end{0};    // added to a segment that ends here; 0 at the last cut
  bool operator==(const CutProfile&) const = default;
};

// What a codec (codec/codec.h) makes of the tensors of every cut, and of the model's answer when they travel in it. One value for
// each of the profile's cuts; the input and the result are cuts too.
struct CodecProfile {
  std::string name;  // "int8c+zstd"; "raw" needs none: it takes the cut's bytes and no time
  std::vector<Bytes> bytes;
  std::vector<Millis> encode;  // on this host
  std::vector<Millis> decode;
  // The answer on the sample inputs with this cut encoded and decoded, against the answer without: the largest difference of an
  // output's elements, as it is and over the largest magnitude of that output. 0 for a codec that loses nothing; infinity where
  // the answer was not measured, or is no finite number any more: too large for every tolerance.
  std::vector<double> max_abs_error;
  std::vector<double> max_rel_error;
  // The same answer as a whole: root of the summed squares of the differences over that of the answer; of all outputs together.
  // One wrong pixel on a steep edge is a large max_rel_error and a small one of these.
  std::vector<double> rms_rel_error;
  // Share of the rows of classifier-shaped outputs whose largest element is still the same one. Empty: the model has no such
  // output.
  std::vector<double> top1_agreement;
  bool operator==(const CodecProfile&) const = default;
};

// An early output: what its chain has beyond the first `after` blocks of the trunk (model/chain.h).
struct ExitProfile {
  std::string output;
  double accuracy = 1;
  std::uint32_t after = 0;
  Sha256 chain_sha256;  // of its chain
  Sha256 structure_sha256;
  Millis whole{0};                   // measured, its chain as one segment
  std::vector<BlockProfile> blocks;  // the head, if there is one, and the output steps
  // Cut `after` and those behind it: blocks.size() + 1. Beginning at cut `after` is beginning with the head.
  std::vector<CutProfile> cuts;
  std::vector<CodecProfile> codecs;  // one value for each cut of its chain, from the input on
  bool operator==(const ExitProfile&) const = default;
};

// What the host takes, measured; all of it that its method sees.
struct PowerProfile {
  std::string method;    // "RAPL (package-0, dram)"
  double idle_w = 0;     // left alone
  double compute_w = 0;  // running the model again and again
  Millis time{0};        // of each of the two measurements
  bool operator==(const PowerProfile&) const = default;
};

// Of a profile whose times were not measured: what they come from.
struct Prediction {
  std::string by;          // the predictor: "kernels", "neurosurgeon"
  std::string calibrated;  // when the host was calibrated: ISO 8601, UTC
  std::string fused_on;    // the host whose engine said what it fuses
  // |predicted / measured - 1| of networks that the calibration had measured and the predictor had not seen: half of them are
  // nearer than the first, nine of ten nearer than the second.
  double expected_error = 0;
  double expected_error_p90 = 0;
  double unknown_share = 0;  // of the whole's time, kernels of kinds that were not calibrated
  bool operator==(const Prediction&) const = default;
};

struct Profile {
  std::string model_name;
  Sha256 model_sha256;
  Sha256 chain_sha256;  // cuts, shapes and input section: a profile fits exactly one chain
  // Of everything the times depend on, without names and weights: a model that was trained again has the same. Zero: not known.
  Sha256 structure_sha256;
  // Inputs that were measured with made-up numbers, which matters where the work depends on values.
  std::vector<std::string> made_up_inputs;
  std::string host;
  int threads = 1;
  std::string engine;  // "ONNX Runtime 1.30.0"
  std::string date;    // ISO 8601, UTC
  std::vector<BlockProfile> blocks;
  std::vector<CutProfile> cuts;  // blocks.size() + 1
  Millis segment_overhead{0};
  // Measured, all blocks as one segment. With one thread times are of the processor: what a host that has nothing else to do
  // takes.
  Millis whole{0};
  Millis whole_wall{0};  // the same runs by the clock: on a busy host more than `whole`. Zero: not known
  Millis whole_spread{0};
  // What the whole model takes: the resident memory that loading and running it added, and no less than its weights and largest
  // activations.
  Bytes whole_memory_bytes = 0;
  std::vector<CodecProfile> codecs;  // those that were measured; may be none
  double accuracy = 1;               // of the whole model's answer, as model.yaml says
  std::vector<ExitProfile> exits;    // in the order of model.yaml
  // Set: at_exit() made it. In no file.
  std::optional<std::string> exit;
  std::optional<PowerProfile> power;  // none: the host does not say, or nobody asked
  std::optional<Prediction> prediction;
  bool operator==(const Profile&) const = default;
};

// Null when that codec was not measured.
const CodecProfile* codec_profile(const Profile& profile, std::string_view codec);

// All times `factor` times what they were: the profile of a host that is so much slower. REQUIRES: factor > 0.
Profile scaled(Profile profile, double factor);

// The profile of the exit's chain: a profile like any other, with `exit` set and no exits. kNotFound when there is no such exit,
// naming those there are.
Result<Profile> at_exit(const Profile& profile, std::string_view output);

// REQUIRES: first <= last < blocks.size(). Never negative.
Millis segment_time(const Profile& profile, std::uint32_t first_block, std::uint32_t last_block);
// Parameters plus the largest activations of the blocks: what a node must have free for the segment.
Bytes segment_memory_bytes(const Profile& profile, std::uint32_t first_block, std::uint32_t last_block);

std::string write_profile(const Profile& profile);
Result<Profile> parse_profile(std::string_view json, std::string_view name);

}  // namespace tideline
