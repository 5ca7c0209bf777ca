// When a round that has its quorum ends, learned from how long those took who have answered. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>

namespace tideline::train {

// How many answers are a quorum of so many asked: at least one.
std::size_t quorum_of(double part, std::size_t asked);

// Median + spread * MAD of the times. The MAD is taken to be at least a twentieth of the median: times that happen to be alike
// do not make a deadline that nobody else can keep. REQUIRES: not empty.
std::chrono::nanoseconds close_after(std::span<const std::chrono::nanoseconds> times, double spread);

}  // namespace tideline::train
