#include "zoo/zoo.h"

#include <fmt/format.h>

#include "base/text.h"
#include "zoo/networks.h"

namespace tideline {

namespace {

struct Network {
  ZooEntry entry;
  void (*build)(zoo::OnnxBuilder&);
};

// Published counts: parameters and multiply-accumulates as the papers, or the widely used reference implementations, give them.
const std::vector<Network>& networks() {
  static const std::vector<Network> list{
      {{"alexnet", "AlexNet, 2012, grouped convolutions and LRN", 60'965'224, 724'000'000, 0.005}, zoo::build_alexnet},
      {{"branchy-alexnet", "B-AlexNet, 2016, BranchyNet's, 32x32, exits exit1 and exit2", 0, 0, 0}, zoo::build_branchy_alexnet},
      {{"inception-v3", "Inception-v3, 2015, 299x299, no auxiliary classifier", 23'834'568, 5'700'000'000, 0.01},
       zoo::build_inception_v3},
      {{"lenet5", "LeNet-5, 1998, 32x32 grey", 61'706, 416'520, 0}, zoo::build_lenet5},
      {{"mobilenet-v1", "MobileNet v1, 2017, width 1.0", 4'231'976, 569'000'000, 0.005}, zoo::build_mobilenet_v1},
      {{"mobilenet-v2", "MobileNet v2, 2018, width 1.0", 3'504'872, 300'000'000, 0.005}, zoo::build_mobilenet_v2},
      {{"resnet50", "ResNet-50, 2015, stride in the 3x3 (v1.5)", 25'557'032, 4'090'000'000, 0.005}, zoo::build_resnet50},
      {{"shufflenet", "ShuffleNet v1, 2017, g=3, 1x", 0, 137'000'000, 0.03}, zoo::build_shufflenet},
      {{"squeezenet", "SqueezeNet v1.0, 2016", 1'248'424, 833'000'000, 0.005}, zoo::build_squeezenet},
      {{"vgg16", "VGG-16, 2014, configuration D", 138'357'544, 15'470'000'000, 0.005}, zoo::build_vgg16},
      {{"vgg19", "VGG-19, 2014, configuration E", 143'667'240, 19'630'000'000, 0.005}, zoo::build_vgg19},
      // Keras counts 22,910,480 with running averages; timm's table has 8.4 G multiply-accumulates, in two digits.
      {{"xception", "Xception, 2017, 299x299", 22'855'952, 8'400'000'000, 0.006}, zoo::build_xception},
      // 62.94 "Bn" FLOPs, each multiply-accumulate counted twice.
      {{"yolov2", "YOLOv2, 2016, 608x608, COCO, without decoding", 0, 31'470'000'000, 0.005}, zoo::build_yolov2},
  };
  return list;
}

Result<const Network*> find(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Network& network : networks()) {
    if (network.entry.name == name) return &network;
    names.push_back(network.entry.name);
  }
  const std::string_view near = nearest(name, names);
  return Error{ErrorCode::kNotFound,
               near.empty()
                   ? fmt::format("[zoo] there is no network '{}'; `tideline zoo --list` shows all of them", printable(name))
                   : fmt::format("[zoo] there is no network '{}'; did you mean '{}'?", printable(name), near)};
}

}  // namespace

const std::vector<ZooEntry>& zoo_entries() {
  static const std::vector<ZooEntry> entries = [] {
    std::vector<ZooEntry> all;
    for (const Network& network : networks()) all.push_back(network.entry);
    return all;
  }();
  return entries;
}

Result<std::string> zoo_model(std::string_view name, std::uint64_t seed) {
  TIDELINE_TRY(const Network* network, find(name));
  zoo::OnnxBuilder builder(name);
  network->build(builder);
  return builder.finish(seed);
}

Result<ZooCounts> zoo_counts(std::string_view name) {
  TIDELINE_TRY(const Network* network, find(name));
  zoo::OnnxBuilder builder(name);
  network->build(builder);
  return builder.counts();
}

}  // namespace tideline
