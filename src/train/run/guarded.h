// What a thread runs, with what is thrown in it as an error: an exception that leaves a thread ends the process. Pure.
#pragma once

#include <exception>
#include <new>
#include <string>

#include "base/result.h"

namespace tideline::train {

// kOverloaded when there is no memory to be had; kInternal for anything else that is thrown.
template <class Work>
Status guarded(const Work& work) {
  try {
    work();
    return {};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kOverloaded, "[train] out of memory"};
  } catch (const std::exception& error) {
    return Error{ErrorCode::kInternal, std::string("[train] ") + error.what()};
  }
}

}  // namespace tideline::train
