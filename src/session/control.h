// Control: how a caller of the session library follows and stops what takes long. The library prints nothing of its own.
//
// A value, cheap to copy; the default one neither shows nor stops anything.
//
//   Control control{.cancel = token, .on_progress = [](const Step& step) { draw(step.what, step.done, step.total); }};
//   TIDELINE_TRY(const LoadedModel loaded, load_model(arguments, control));
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "base/cancel.h"
#include "base/result.h"

namespace tideline {

// A moment of a piece of work: "Running, 7 of 20". Steps of one piece have the same `what` and `total` and follow each other.
struct Step {
  std::string_view what{};
  std::size_t done = 0;
  std::size_t total = 0;
  std::string_view note{};
};

struct Control {
  // What is under way ends soon after it is cancelled, with kCancelled.
  CancelToken cancel{};
  // Called on the thread that called the library. May be empty.
  std::function<void(const Step&)> on_progress{};

  void report(const Step& step) const {
    if (on_progress) on_progress(step);
  }
  Status check() const {
    if (cancel.cancelled()) return Error{ErrorCode::kCancelled, "interrupted"};
    return {};
  }
};

}  // namespace tideline
