// Latencies: how many requests took how long, in steps of one percent, so that a task that runs for a year takes no more memory
// than one that runs for an hour. A value; quantiles are right to one percent, counts exactly.
//
//   latencies.add(12.3);
//   latencies.quantile(0.99);   // 12.3, give or take 0.06
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline::fleet {

class Latencies {
 public:
  void add(double ms);
  std::uint64_t count() const { return count_; }
  // Nearest rank, in milliseconds; 0 when there are none.
  double quantile(double share) const;

  // "312:5 313:1", by rising step.
  std::string text() const;
  // kCorrupt for anything that text() does not write.
  static Result<Latencies> parse(std::string_view text);
  bool operator==(const Latencies&) const = default;

 private:
  std::map<std::int32_t, std::uint64_t> steps_;
  std::uint64_t count_ = 0;
};

}  // namespace tideline::fleet
