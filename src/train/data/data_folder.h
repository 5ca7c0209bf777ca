// data_inside: where a worker's data lie in the one folder that it may read.
//
// Thread-safe. What changes in the folder between the check and the reading is the matter of whoever owns it.
//
//   TIDELINE_TRY(const std::string where, data_inside("/srv/data", "npy:digits"));   // "npy:/srv/data/digits"
//   TIDELINE_TRY(const DataSet data, read_data(where));
#pragma once

#include <string>

#include "base/result.h"

namespace tideline::train {

// The word for read_data(), once every file that it would read is known to lie in `folder`, whatever links there are in it.
// kInvalidArgument for a word or a link that leads out, naming it; kNotFound when the folder is not there.
Result<std::string> data_inside(const std::string& folder, const std::string& word);

}  // namespace tideline::train
