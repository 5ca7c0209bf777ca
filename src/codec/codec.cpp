#include "codec/codec.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.h"

namespace tideline {
namespace {

constexpr std::array<NamedCodec, 12> kCodecs{{
    {"raw", {Scheme::kRaw, Packing::kNone}},
    {"raw+lz4", {Scheme::kRaw, Packing::kLz4}},
    {"raw+zstd", {Scheme::kRaw, Packing::kZstd}},
    {"fp16", {Scheme::kFloat16, Packing::kNone}},
    {"fp16+lz4", {Scheme::kFloat16, Packing::kLz4}},
    {"fp16+zstd", {Scheme::kFloat16, Packing::kZstd}},
    {"int8", {Scheme::kInt8, Packing::kNone}},
    {"int8+lz4", {Scheme::kInt8, Packing::kLz4}},
    {"int8+zstd", {Scheme::kInt8, Packing::kZstd}},
    {"int8c", {Scheme::kInt8PerChannel, Packing::kNone}},
    {"int8c+lz4", {Scheme::kInt8PerChannel, Packing::kLz4}},
    {"int8c+zstd", {Scheme::kInt8PerChannel, Packing::kZstd}},
}};
static_assert(kCodecs.size() <= limits::kCodecsMax);
static_assert(std::all_of(kCodecs.begin(), kCodecs.end(),
                          [](const NamedCodec& codec) { return codec.name.size() <= limits::kCodecNameBytesMax; }));

}  // namespace

std::span<const NamedCodec> codecs() { return kCodecs; }

Result<Codec> find_codec(std::string_view name) {
  std::vector<std::string_view> names;
  for (const NamedCodec& known : kCodecs) {
    if (known.name == name) return known.codec;
    names.push_back(known.name);
  }
  return Error{ErrorCode::kUnsupported,
               fmt::format("[codec] there is no codec '{}'; there are {}", printable(name), fmt::join(names, ", "))};
}

std::string_view name_of(const Codec& codec) {
  for (const NamedCodec& known : kCodecs)
    if (known.codec == codec) return known.name;
  return "unknown";
}

bool is_known(const Codec& codec) {
  return std::any_of(kCodecs.begin(), kCodecs.end(), [&](const NamedCodec& known) { return known.codec == codec; });
}

bool may_become(const Codec& codec, const Codec& used) {
  const bool scheme = used.scheme == codec.scheme || used.scheme == Scheme::kRaw ||
                      (used.scheme == Scheme::kInt8 && codec.scheme == Scheme::kInt8PerChannel);
  return scheme && (used.packing == codec.packing || used.packing == Packing::kNone);
}

}  // namespace tideline
