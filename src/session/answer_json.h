// An answer as a person reads it: boxes and classes with their labels, in the picture's own coordinates.
//
//   const auto picture = seen_picture(loaded, inputs);
//   if (const auto json = answer_json(loaded, answer.outputs, picture)) TIDELINE_CHECK_OK(write_file_atomic(path, *json));
//
// docs/formats/run.md has the keys. Pure; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "input/input_steps.h"
#include "session/load.h"
#include "tensor/tensor.h"

namespace tideline {

// A picture as it is to be seen, and where it lies in what the model sees.
struct SeenPicture {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  PictureFrame frame;
};

// Of the request with these inputs (of cut 0); nothing where no picture is among them. Reads the file's header only.
std::optional<SeenPicture> seen_picture(const LoadedModel& loaded, const std::vector<Tensor>& inputs);

// Nothing where the model's last output step makes neither boxes nor classes, or more than limits::kTopkMax of the latter
// (a picture of classes is an array and no list).
std::optional<std::string> answer_json(const LoadedModel& loaded, const std::vector<Tensor>& outputs,
                                       const std::optional<SeenPicture>& picture);

}  // namespace tideline
