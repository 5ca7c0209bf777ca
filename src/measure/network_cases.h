// Small made-up networks for calibrations: a kernel in the middle of one finds its input where the kernel before has left it, and
// writes where others have been, which a lone operator does not. Layers, channels and sides are random, not those of any
// published network. Pure; thread-safe.
#pragma once

#include <cstdint>

#include "zoo/onnx_builder.h"

namespace tideline {

enum class NetworkStyle { kPlain, kResidual, kSeparable, kBranches };

// The `index`-th network of a style, of some three to twelve convolutions with what stands between them; the same on every
// machine. Returns its last value, which is no output yet.
zoo::Value build_network(zoo::OnnxBuilder& onnx, NetworkStyle style, std::uint32_t index);

}  // namespace tideline
