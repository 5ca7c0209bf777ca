#include "session/verdict.h"

#include "model/random_ops.h"

namespace tideline {

DType narrowest_float(const Graph& graph) {
  DType narrowest = DType::kUndefined;
  for (const Op& op : graph.ops) {
    if (op.is_dead) continue;
    for (const std::vector<TensorId>* ids : {&op.inputs, &op.outputs})
      for (const TensorId id : *ids) {
        const DType dtype = graph.tensor(id).spec.dtype;
        if (dtype == DType::kBfloat16 || (dtype == DType::kFloat16 && narrowest != DType::kBfloat16)) narrowest = dtype;
      }
  }
  return narrowest;
}

Status find_cause(const LoadedModel& loaded, const CancelToken& cancel, Verification& verification) {
  if (!verification.done || verification.difference.is_within_tolerance) return {};
  verification.random_ops = random_ops(loaded.model);
  // What a codec did, or may do, is no riddle.
  if (!verification.random_ops.empty() || verification.allowed || !verification.lossy_codecs.empty()) return {};
  if (verification.culprit.empty()) return {};
  TIDELINE_TRY(Unsplit optimised, Unsplit::load(loaded));
  TIDELINE_TRY(const std::vector<Tensor> with, optimised.run(verification.culprit, cancel));
  TIDELINE_TRY(Unsplit plain, Unsplit::load(loaded, {.optimize = false}));
  TIDELINE_TRY(const std::vector<Tensor> without, plain.run(verification.culprit, cancel));
  for (std::size_t i = 0; i < with.size() && i < without.size(); ++i)
    verification.engine_difference.merge(compare(with[i], without[i], verification.narrowest));
  constexpr double kAsMuch = 0.5;
  verification.is_engines = !verification.engine_difference.is_within_tolerance &&
                            verification.engine_difference.absolute >= kAsMuch * verification.difference.absolute;
  return {};
}

}  // namespace tideline
