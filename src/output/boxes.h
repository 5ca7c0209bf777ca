// Boxes of detectors: from the numbers of a network's heads to candidates, and from candidates to an answer.
//
// A row is x1, y1, x2, y2, score, class: left, top, right and bottom in pixels of the model's input, a score from 0 to 1, and the
// class from 0. Rows are sorted by score, falling; equal ones keep the order in which the network has them. Pure, thread-safe.
//
// The formats, with s(x) = 1 / (1 + e^-x), cells (i, j) from 0 counted to the right and down, a cell `stride` pixels wide:
//
//   yolov2   one [1, A (5 + C), H, W] for each stride; of an anchor of w x h pixels (tx, ty, tw, th, to, classes):
//            centre ((i + s(tx)) stride, (j + s(ty)) stride), size (w e^tw, h e^th), score s(to) softmax(classes).
//            Redmon and Farhadi, YOLO9000 (2017), section 2, "Direct location prediction".
//   yolov3   the same, score s(to) s(class). Redmon and Farhadi, YOLOv3 (2018), sections 2.1 and 2.2.
//   yolov5   centre ((i + 2 s(tx) - 0.5) stride, ...), size (w (2 s(tw))^2, h (2 s(th))^2), score s(to) s(class). Ultralytics,
//            YOLOv5, "Architecture description", "Eliminate grid sensitivity" (2022); the same in YOLOv7.
//   yolox    [1, N, 5 + C], the grids of all strides behind each other, row by row: centre ((i + tx) stride, (j + ty) stride),
//            size (e^tw stride, e^th stride), score objectness class, both already between 0 and 1. Ge et al., YOLOX (2021), 2.
//   yolov8   [1, 4 + C, N]: centre, size in pixels and class scores, as Ultralytics' export of YOLOv8 (anchor-free, its
//            distances already summed up) writes them; no objectness.
//   rows     [1, N, 5 + C]: centre and size in pixels, objectness, class scores; the score is objectness times class. What
//            exports of YOLOv5 and YOLOv7 write with their own decoding inside.
//   ssd      [1, N, 4] and [1, N, 1 + C], the background first, which is no class of the answer. With a prior (cx, cy, w, h) and
//            variances (v0, v1): centre (cx + v0 tx w, cy + v0 ty h), size (w e^(v1 tw), h e^(v1 th)).
//            Liu et al., SSD (2016), 2.2; the priors of a map of W x H cells, cell by cell, row by row, centres at
//            ((i + 0.5) / W, (j + 0.5) / H) of the input: a square of side min, one of side sqrt(min max), and for each ratio r
//            min sqrt(r) x min / sqrt(r) and the same upright.
//
// Suppression is the usual greedy one, class by class: the best box stays and removes those that overlap it by more than `iou`
// (intersection over union), then the best of the rest, until `boxes` are there. Felzenszwalb et al., "Object detection with
// discriminatively trained part-based models" (2010), section 5.2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "output/output_section.h"
#include "tensor/tensor.h"

namespace tideline {

struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float score = 0;
  float label = 0;  // the class
  bool operator==(const Box&) const = default;
};
static_assert(sizeof(Box) == 6 * sizeof(float));

// How many rows the heads have, and classes each of them; shapes may have unknown dimensions (kUnknownDim), which are then not
// checked. `rows` is kUnknownDim where they do not tell. kInvalidArgument when the shapes are not those of the format.
struct HeadShape {
  std::int64_t rows = 0;
  std::int64_t classes = 0;
};
Result<HeadShape> head_shape(const OutputStep& step, std::span<const TensorSpec> in);

// At most step.candidates rows of scores of at least step.score; what is not finite is none. `in` as head_shape() accepted them.
Result<std::vector<Box>> decode_boxes(const OutputStep& step, std::span<const TensorView> in);

// `candidates` in any order, at most limits::kBoxCandidatesMax of them count. O(n^2) within a class.
std::vector<Box> suppress(std::span<const Box> candidates, double iou, std::size_t boxes_max);

}  // namespace tideline
