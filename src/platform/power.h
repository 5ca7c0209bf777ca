// What this host takes of power, where the system measures it: the processor's energy counters (RAPL, through powercap), a
// board's power monitors (INA219, INA226, INA3221 and their like, through hwmon), or the gauge of a battery that is being
// discharged. Only reads files, at most 256 folders and 64 bytes of each file. Thread-safe.
//
//   if (const auto meter = PowerMeter::find("/sys")) {
//     TIDELINE_TRY(const PowerReading before, meter->read());
//     ...  // a while
//     TIDELINE_TRY(const PowerReading after, meter->read());
//     const double watts = meter->watts(before, after);
//   }
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

struct PowerReading {
  std::chrono::steady_clock::time_point at;
  std::vector<std::uint64_t> microjoules;  // of counters; each starts again at its range
  double watts = 0;                        // of gauges, now
};

class PowerMeter {
 public:
  // The first of the three that there is, in that order; `root` is "/sys", or a folder that looks like it. kNotFound in one
  // sentence: what was looked for, or what is there and may not be read.
  static Result<PowerMeter> find(const std::string& root);

  // "RAPL (package-0, dram)", "hwmon (ina3221: VDD_IN)", "battery (BAT0)".
  const std::string& method() const { return method_; }
  // kNotFound when a file has gone or is not a number.
  Result<PowerReading> read() const;
  // The mean between two readings of counters; of gauges the mean of both readings. Counters may have started again once in
  // between: no package takes its whole range within minutes. 0 when no time has passed.
  double watts(const PowerReading& before, const PowerReading& after) const;

 private:
  struct Counter {
    std::string path;
    std::uint64_t range = 0;  // it counts up to this and starts again at 0
  };
  // watts = product of the numbers in the files * scale: power alone, or a voltage and a current.
  struct Gauge {
    std::vector<std::string> paths;
    double scale = 1;
  };
  static Result<PowerMeter> find_counters(const std::string& root);
  static Result<PowerMeter> find_monitors(const std::string& root);
  static Result<PowerMeter> find_battery(const std::string& root);

  std::string method_;
  std::vector<Counter> counters_;
  std::vector<Gauge> gauges_;
};

}  // namespace tideline
