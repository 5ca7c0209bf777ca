// Many updates become one: the weighted mean, and three rules that withstand some hostile ones.
//
// Pure functions, sums in double precision, in the order of the list: the same list gives the same bits.
//
//   median        of every coordinate (Yin et al. 2018)
//   trimmed mean  of every coordinate without its `hostile` smallest and largest numbers (Yin et al. 2018)
//   krum          the one update whose n - hostile - 2 nearest others are nearest: sum of squared distances (Blanchard et al.
//   2017)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "train/job/job.h"

namespace tideline::train {

struct Contribution {
  std::uint32_t worker = 0;
  double weight = 1;  // of the mean alone: the others count each sender once, because a liar says any number
  std::vector<float> update;
};

// REQUIRES: at least one, all of one length, weights above 0. Where too few have come for the rule (2 * hostile of a trimmed
// mean, hostile + 2 of krum), kInfeasible: the round then has no update.
Result<std::vector<float>> aggregate(const AggregationSettings& settings, std::span<const Contribution> contributions);

// Every number times `part`.
void shorten(std::span<float> update, double part);

// Length of an update; infinity when a number of it is not finite.
double update_norm(std::span<const float> update);

}  // namespace tideline::train
