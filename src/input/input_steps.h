// Input steps: decode, resize and normalise, the blocks at the head of a chain whose input is an image.
//
// Pure and thread-safe. The same bytes give the same tensor on every machine, so a cut between two steps changes nothing.
//
//   Tensor pixels = run_input_step(InputStep::kDecode, section, jpeg).value();      // uint8[427,640,3]
//   Tensor sized = run_input_step(InputStep::kResize, section, view(pixels)).value();  // uint8[224,224,3]
//   Tensor x = run_input_step(InputStep::kNormalize, section, view(sized)).value();    // float32[1,3,224,224]
#pragma once

#include "base/result.h"
#include "input/input_section.h"
#include "tensor/tensor.h"

namespace tideline {

// Where a picture comes to lie in what the model sees of it: x there = x in the picture * scale_x + offset_x, in pixels, and so
// on.
struct PictureFrame {
  double scale_x = 1;
  double scale_y = 1;
  double offset_x = 0;
  double offset_y = 0;
};
// Of a picture of this size, as it is to be seen (after its orientation), none of whose sides is 0.
PictureFrame picture_frame(const InputSection& section, std::uint32_t width, std::uint32_t height);

// `in` is what the step before made (for kDecode: uint8[n], a file's bytes), from wherever it came. The name of the answer's spec
// is empty for the first two steps and section.tensor for the last. kInvalidArgument when dtype, shape or encoding are not what
// the section says, or a limit is passed; kCorrupt for a damaged image.
Result<Tensor> run_input_step(InputStep step, const InputSection& section, const TensorView& in);

}  // namespace tideline
