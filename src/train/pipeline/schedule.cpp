#include "train/pipeline/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include <fmt/format.h>

namespace tideline::train {
namespace {

// When the steps of a stage have ended: [micro-batch][forward, backward].
using Ends = std::vector<std::array<std::optional<double>, 2>>;

std::size_t index(StepKind kind) { return kind == StepKind::kForward ? 0 : 1; }

Error wrong(std::string what) { return {ErrorCode::kInvalidArgument, "[train] " + std::move(what)}; }

bool is_time(double value) { return std::isfinite(value) && value >= 0; }

// Forward and backward of micro-batches 0 to steps / 2 - 1, once.
bool has_each_once(const std::vector<StageStep>& steps) {
  std::vector<std::array<bool, 2>> seen(steps.size() / 2);
  for (const StageStep& step : steps) {
    if (step.micro_batch >= seen.size() || seen[step.micro_batch][index(step.kind)]) return false;
    seen[step.micro_batch][index(step.kind)] = true;
  }
  return steps.size() % 2 == 0;
}

// When everything that the step needs has ended; nullopt: not yet known.
std::optional<double> ready_at(const std::vector<Ends>& ends, std::size_t stage, const StageStep& step) {
  if (step.kind == StepKind::kForward) return stage == 0 ? 0.0 : ends[stage - 1][step.micro_batch][0];
  const std::optional<double> own = ends[stage][step.micro_batch][0];
  if (stage + 1 == ends.size() || !own) return own;
  const std::optional<double> behind = ends[stage + 1][step.micro_batch][1];
  return behind ? std::optional(std::max(*own, *behind)) : std::nullopt;
}

Status check(const std::vector<std::vector<StageStep>>& stages, const std::vector<StepTimes>& times) {
  if (stages.empty()) return wrong("a pipeline needs at least one stage");
  if (stages.size() != times.size()) return wrong(fmt::format("{} stages have {} times", stages.size(), times.size()));
  for (std::size_t s = 0; s < stages.size(); ++s) {
    if (!is_time(times[s].forward) || !is_time(times[s].backward))
      return wrong(fmt::format("stage {} needs times that are finite and not negative", s));
    if (stages[s].size() != stages[0].size() || !has_each_once(stages[s]))
      return wrong(fmt::format("stage {} does not have a forward and a backward of each of the same micro-batches", s));
  }
  return {};
}

}  // namespace

std::vector<StageStep> gpipe_steps(std::uint32_t micro_batches) {
  std::vector<StageStep> steps;
  for (std::uint32_t m = 0; m < micro_batches; ++m) steps.push_back({StepKind::kForward, m});
  for (std::uint32_t m = micro_batches; m > 0; --m) steps.push_back({StepKind::kBackward, m - 1});
  return steps;
}

std::vector<StageStep> one_forward_one_backward_steps(std::uint32_t stages, std::uint32_t stage, std::uint32_t micro_batches) {
  const std::uint32_t ahead = std::min(stages - stage, micro_batches);
  std::vector<StageStep> steps;
  for (std::uint32_t m = 0; m < ahead; ++m) steps.push_back({StepKind::kForward, m});
  for (std::uint32_t m = 0; m < micro_batches; ++m) {
    steps.push_back({StepKind::kBackward, m});
    if (m + ahead < micro_batches) steps.push_back({StepKind::kForward, m + ahead});
  }
  return steps;
}

std::uint32_t stashed_version(std::uint32_t stages, std::uint32_t stage, std::uint32_t micro_batch) {
  const std::uint32_t delay = stages - 1 - stage;
  return micro_batch > delay ? micro_batch - delay : 0;
}

std::size_t micro_batches_held(const std::vector<StageStep>& steps) {
  std::size_t held = 0, most = 0;
  for (const StageStep& step : steps) {
    if (step.kind == StepKind::kForward)
      most = std::max(most, ++held);
    else if (held > 0)
      --held;
  }
  return most;
}

Result<PipelineTimes> time_pipeline(const std::vector<std::vector<StageStep>>& stages, const std::vector<StepTimes>& times) {
  TIDELINE_CHECK_OK(check(stages, times));
  const std::size_t count = stages.size(), length = stages[0].size();
  std::vector<Ends> ends(count, Ends(length / 2));
  std::vector<std::size_t> done(count);
  std::vector<double> free_at(count);
  PipelineTimes result{0, std::vector<double>(count), 0};
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t s = 0; s < count; ++s) {
      for (; done[s] < length; ++done[s], moved = true) {
        const StageStep& step = stages[s][done[s]];
        const std::optional<double> ready = ready_at(ends, s, step);
        if (!ready) break;
        const double takes = step.kind == StepKind::kForward ? times[s].forward : times[s].backward;
        free_at[s] = std::max(free_at[s], *ready) + takes;
        result.busy[s] += takes;
        ends[s][step.micro_batch][index(step.kind)] = free_at[s];
      }
    }
  }
  for (std::size_t s = 0; s < count; ++s)
    if (done[s] < length) return wrong(fmt::format("step {} of stage {} waits for ever", done[s], s));
  result.end = *std::max_element(free_at.begin(), free_at.end());
  const double busy = std::accumulate(result.busy.begin(), result.busy.end(), 0.0);
  const double all = static_cast<double>(count) * result.end;
  if (all > 0) result.idle_share = (all - busy) / all;
  return result;
}

}  // namespace tideline::train
