// What the time of one kernel depends on, as numbers: what a calibration's samples are compared by. Pure; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "profile/calibration.h"

namespace tideline {

struct KernelFeatures {
  // Kernels that are compared with one another: "conv.pointwise", "blocked.conv.depthwise", "Add".
  std::string family;
  double flops = 0;  // as the kernel computes them, channels that fill up a block included
  double bytes = 0;  // read and written, weights included
  // Logarithms to base 2, so that a distance of 1 is a factor of 2; as many for every kernel of a family.
  std::vector<double> place;
  double weight_bytes = 0;  // of `bytes`, the weights of convolutions and products
  double output_bytes = 0;  // of `bytes`, what is written
};

// Kernels that only give a tensor another shape: they take what the engine needs to run any kernel, and no more.
bool is_view(std::string_view type);
double written_bytes(const SampleKernel& kernel);
// nullopt without shapes, and for views.
std::optional<KernelFeatures> features_of(const SampleKernel& kernel);

// The features of Neurosurgeon's regressions (Kang and others, ASPLOS 2017, section 4.1): by types of layers, a convolution by
// the size of its input and (filter / stride)^2 x number of filters, a fully connected layer by its inputs and outputs, a pool by
// the sizes of its input and output, activations and normalisations by their neurons.
struct LayerFeatures {
  std::string_view type;  // "conv", "fc", "pool", "activation", "norm"
  std::vector<double> features;
};
std::optional<LayerFeatures> layer_features_of(const SampleKernel& kernel);

}  // namespace tideline
