#include "train/strategy/epochs.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline::train {

Result<Job> with_rounds(const Job& job, std::span<const std::uint64_t> samples) {
  if (job.epochs == 0) return job;
  const std::uint64_t most = samples.empty() ? 1 : std::max<std::uint64_t>(1, *std::max_element(samples.begin(), samples.end()));
  const std::size_t batch = job.strategy.batch;
  const double steps = batch == 0 ? 1 : static_cast<double>((most + batch - 1) / batch);
  const auto number = [&](std::string_view key, double otherwise) {
    const auto found = job.strategy.numbers.find(key);
    return found == job.strategy.numbers.end() ? otherwise : found->second;
  };
  const double of_round = number("local_steps", 1) * (job.strategy.numbers.contains("local_epochs") ? steps : 1) *
                          number("local_epochs", 1) * number("fraction", 1);
  // The quotient of whole numbers may come out a hair above the whole number that it is.
  const double rounds = std::ceil(static_cast<double>(job.epochs) * steps / of_round * (1 - 1e-12));
  if (rounds > static_cast<double>(limits::kTrainRoundsMax))
    return Error{ErrorCode::kInvalidArgument, fmt::format("[train] {} epochs of {} samples are {:.0f} rounds; at most {} are run",
                                                          job.epochs, most, rounds, limits::kTrainRoundsMax)};
  Job whole = job;
  whole.rounds = std::max<std::size_t>(1, static_cast<std::size_t>(rounds));
  return whole;
}

}  // namespace tideline::train
