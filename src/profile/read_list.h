// A JSON list of objects read element by element, for the files of this folder. Include only from .cpp files.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/limits.h"

namespace tideline {

// `read` takes the element, the file's name and the element's place. kInvalidArgument above `max` elements.
template <typename T, typename Read>
Status read_list(JsonMap& map, std::string_view key, std::vector<T>& into, Read read, std::size_t max = limits::kOpsMax + 1) {
  TIDELINE_TRY(const nlohmann::json* list, map.array(key));
  if (list->size() > max) return map.error(key, "has too many elements");
  into.reserve(list->size());
  for (std::size_t i = 0; i < list->size(); ++i) {
    TIDELINE_TRY(T value, read((*list)[i], map.file(), map.path_of(key) + "[" + std::to_string(i) + "]"));
    into.push_back(std::move(value));
  }
  return {};
}

}  // namespace tideline
