// One builder per network; each declares its input and its outputs. zoo.cpp lists them.
#pragma once

#include "zoo/onnx_builder.h"

namespace tideline::zoo {

void build_alexnet(OnnxBuilder& b);
void build_branchy_alexnet(OnnxBuilder& b);
void build_inception_v3(OnnxBuilder& b);
void build_lenet5(OnnxBuilder& b);
void build_mobilenet_v1(OnnxBuilder& b);
void build_mobilenet_v2(OnnxBuilder& b);
void build_resnet50(OnnxBuilder& b);
void build_shufflenet(OnnxBuilder& b);
void build_squeezenet(OnnxBuilder& b);
void build_vgg16(OnnxBuilder& b);
void build_vgg19(OnnxBuilder& b);
void build_xception(OnnxBuilder& b);
void build_yolov2(OnnxBuilder& b);

}  // namespace tideline::zoo
