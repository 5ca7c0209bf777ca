// Where the time of requests went: made from the timings that the nodes report with each result. Values.
#pragma once

#include <string>
#include <vector>

#include "client/run_line.h"
#include "tensor/tensor.h"
#include "wire/messages.h"

namespace tideline {

// One stage of one request, in the order of the route. A stage that only hands an answer back is none.
struct StageReport {
  std::string node;
  Millis queue{0};     // waiting for the engine
  Millis compute{0};   // in it
  Millis send{0};      // to the next node and its result back, without that node's own time; 0 where none is called
  Millis overhead{0};  // the rest of this node's own time
  Bytes bytes = 0;     // forward to the next node
  std::uint32_t stage = 0;
  Millis receive{0};  // of its inputs: from their header to their last byte
  Millis back{0};     // of the next node's result, the same
  Millis decode{0};   // of tensors that came in a codec
  Millis encode{0};   // of those that leave in one
};

struct RunAnswer {
  std::vector<Tensor> outputs;  // in the order of the last cut
  std::vector<StageReport> stages;
  Millis latency{0};  // from the caller's send to the last byte of the result
  Millis inject{0};   // of that, to and from the first node
};

// What the client knows of a plan's stages beforehand: by stage, the first one of the same visit of its node (itself, unless it
// goes on with an answer).
using StageRoots = std::vector<std::uint32_t>;

// `timings` as in a RESULT: the latest stage first.
std::vector<StageReport> stage_reports(std::vector<wire::StageTiming> timings, const StageRoots& roots);
// The caller's own share, around the first node.
Millis inject_time(const CallTiming& call, const std::vector<wire::StageTiming>& timings);

}  // namespace tideline
