// The output section of model.yaml: what becomes of the model's output tensors before the answer travels back.
//
// Its steps are ordinary blocks behind the model's own, so that any node may run them, and what goes back may be ten boxes
// instead of the 1.2 MB that they are read from. docs/formats/model.md has the file format.
//
//   output:
//     tensor: dets          # the model's output that the first step reads; `tensors: [a, b]` for several; the others are no
//     answer steps:
//       - boxes: {format: yolov8, score: 0.25}
//       - nms: {iou: 0.45, boxes: 100}
//     labels: coco.txt      # or a list; beside the configuration file
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"

namespace tideline {

// In the order of the words of the file format.
enum class OutputKind : std::uint8_t { kSigmoid, kSoftmax, kArgmax, kTopk, kThreshold, kBoxes, kNms, kTextBoxes };
std::string_view to_string(OutputKind kind);

// How a detector writes its boxes; output/boxes.h has the formulas.
enum class BoxFormat : std::uint8_t { kYolov2, kYolov3, kYolov5, kYolox, kYolov8, kRows, kSsd };
std::string_view to_string(BoxFormat format);
// What the class scores of an SSD are made from.
enum class ScoreRule : std::uint8_t { kSoftmax, kSigmoid, kAsTheyAre };

// The prior boxes of one feature map of an SSD, lengths in pixels of the model's input.
struct PriorMap {
  std::array<std::uint32_t, 2> cells{1, 1};  // width, height
  double min = 0;                            // side of the small square
  double max = 0;                            // 0: no second square of side sqrt(min * max)
  std::vector<double> ratios;                // each makes two boxes: wide and upright
  bool operator==(const PriorMap&) const = default;
};

// One step; fields that its kind does not have keep their defaults.
struct OutputStep {
  OutputKind kind = OutputKind::kSigmoid;
  std::int64_t axis = -1;  // softmax, argmax; negative: from the end
  std::uint32_t k = 0;     // topk
  double value = 0;        // threshold; of text_boxes: the least probability of a text's pixel
  BoxFormat format = BoxFormat::kRows;
  double score = 0;                 // boxes, text_boxes: the least score
  std::uint32_t candidates = 1000;  // boxes: the most, those of the highest scores
  bool every_class = false;         // boxes: a candidate for each class above the score, not for the best class alone
  // Of yolov2, yolov3 and yolov5: for each tensor the sides of its anchors; of those and yolox the strides.
  std::vector<std::vector<std::array<double, 2>>> anchors;
  std::vector<double> strides;
  std::array<std::uint32_t, 2> size{0, 0};  // yolox, ssd: width and height of the model's input
  std::vector<PriorMap> priors;             // ssd
  std::array<double, 2> variances{0.1, 0.2};
  ScoreRule scores = ScoreRule::kSoftmax;
  double iou = 0;             // nms: more overlap than this with a better box of the same class removes a box
  std::uint32_t boxes = 100;  // nms, text_boxes: the most in an answer
  double unclip = 1.5;        // text_boxes
  double side = 3;            // text_boxes: the shorter side of the smallest one
  bool operator==(const OutputStep&) const = default;
};

struct OutputSection {
  std::vector<std::string> tensors;  // empty: the model's only output
  std::vector<OutputStep> steps;     // at least one
  std::vector<std::string> labels;   // of classes, from 0; for reports, no part of what is computed
  std::string labels_file;           // ... or the file that has one on each line
  bool operator==(const OutputSection&) const = default;
};

// kInvalidArgument names file, line and column.
Result<OutputSection> read_output_section(const YamlNode& node);

// Steps as the list of `steps` in JSON, for segment packages and identities, and back (hostile-safe).
std::string write_output_steps(const std::vector<OutputStep>& steps);
Result<std::vector<OutputStep>> parse_output_steps(std::string_view json);

// One label on each line; an empty last line does not count. kInvalidArgument for too many, too long or no UTF-8.
Result<std::vector<std::string>> parse_labels(std::string_view text, std::string_view name);

}  // namespace tideline
