// The files that a worker is sent as one: the model, and its teacher where the job has one.
//
//   options.model_file = pack_files(model, teacher);                  // u64 length of the model, the model, the teacher
//   TIDELINE_TRY(const ModelFiles files, unpack_files(received));
#pragma once

#include <string>

#include "base/result.h"

namespace tideline::train {

struct ModelFiles {
  std::string model;
  std::string teacher;
};
std::string pack_files(const ModelFiles& files);
// From bytes that a stranger sent: kCorrupt when there are not two files in it.
Result<ModelFiles> unpack_files(const std::string& packed);

}  // namespace tideline::train
