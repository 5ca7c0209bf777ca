#include "base/units.h"

#include "base/energy.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/limits.h"

namespace tideline {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// The number and the unit of "12.5 MB"; the unit may be empty.
Result<std::pair<double, std::string_view>> split_number(std::string_view text, std::string_view what) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || !std::isfinite(number) || number < 0)
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[units] '{}' is not a {}: expected a number of 0 or more and a unit", text, what)};
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return std::pair{number, unit};
}

template <std::size_t N>
Result<double> parse_unit(std::string_view text, std::string_view what, const std::array<Unit, N>& units) {
  TIDELINE_TRY(const auto parts, split_number(text, what));
  for (const Unit& unit : units)
    if (unit.name == parts.second) return parts.first * unit.factor;
  std::string names;
  for (const Unit& unit : units)
    if (!unit.name.empty()) names += (names.empty() ? "" : ", ") + std::string(unit.name);
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[units] '{}' is not a {}: the unit must be one of {}", text, what, names)};
}

constexpr std::array<Unit, 16> kBandwidthUnits{{{"bit/s", 0.125},
                                                {"kbit/s", 125},
                                                {"Mbit/s", 125e3},
                                                {"Gbit/s", 125e6},
                                                {"bps", 0.125},
                                                {"kbps", 125},
                                                {"Kbps", 125},
                                                {"Mbps", 125e3},
                                                {"Gbps", 125e6},
                                                {"B/s", 1},
                                                {"kB/s", 1e3},
                                                {"MB/s", 1e6},
                                                {"GB/s", 1e9},
                                                {"kbit", 125},
                                                {"Mbit", 125e3},
                                                {"Gbit", 125e6}}};
constexpr std::array<Unit, 4> kDurationUnits{{{"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"min", 60e3}}};
constexpr std::array<Unit, 9> kByteUnits{{{"B", 1},
                                          {"kB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"KiB", 1024},
                                          {"MiB", 1048576},
                                          {"GiB", 1073741824},
                                          {"", 1},
                                          {"TB", 1e12}}};
constexpr std::array<Unit, 4> kWattUnits{{{"mW", 1e-3}, {"W", 1}, {"kW", 1e3}, {"uW", 1e-6}}};
constexpr std::array<Unit, 6> kJouleUnits{{{"uJ", 1e-6}, {"mJ", 1e-3}, {"J", 1}, {"kJ", 1e3}, {"mWh", 3.6}, {"Wh", 3600}}};

std::string format_scaled(double value, std::array<std::string_view, 4> units) {
  std::size_t i = 0;
  while (i + 1 < units.size() && value >= 999.5) {
    value /= 1000;
    ++i;
  }
  if (value == std::floor(value) && value < 1000) return fmt::format("{:.0f} {}", value, units[i]);
  return fmt::format("{:.3g} {}", value, units[i]);
}

// From a thousandth of the unit up: 0.42 J is 420 mJ.
std::string format_from_milli(double value, std::array<std::string_view, 4> units) {
  return value == 0 ? fmt::format("0 {}", units[1]) : format_scaled(value * 1e3, units);
}

}  // namespace

Result<double> parse_bandwidth_bytes_per_s(std::string_view text) { return parse_unit(text, "bandwidth", kBandwidthUnits); }

Result<Millis> parse_duration(std::string_view text) {
  if (text == "0") return Millis(0);
  TIDELINE_TRY(const double milliseconds, parse_unit(text, "duration", kDurationUnits));
  // More than anybody means, and little enough for sums of a few to be counted in nanoseconds.
  constexpr Millis kForever = std::chrono::hours(24 * 365 * 50);
  return std::min(kForever, Millis(milliseconds));
}

Result<Bytes> parse_bytes(std::string_view text) {
  TIDELINE_TRY(const double bytes, parse_unit(text, "size in bytes", kByteUnits));
  if (bytes > 9e18)
    return Error{ErrorCode::kInvalidArgument, fmt::format("[units] '{}' is larger than this program can count", text)};
  return static_cast<Bytes>(std::llround(bytes));
}

Result<Bytes> parse_memory(std::string_view text) {
  TIDELINE_TRY(const Bytes bytes, parse_bytes(text));
  if (bytes >= limits::kNodeMemoryBytesMin) return bytes;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("[units] {} of memory is too little for any segment (at least {}); write a "
                           "unit, as in 512MB",
                           format_bytes(bytes), format_bytes(limits::kNodeMemoryBytesMin))};
}

std::string format_bytes(Bytes bytes) { return format_scaled(static_cast<double>(bytes), {"B", "kB", "MB", "GB"}); }

std::string format_bandwidth(double bytes_per_s) {
  return format_scaled(bytes_per_s * 8, {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"});
}

std::string format_millis(Millis time) {
  const double value = time.count();
  if (value >= 99.95 || value == 0) return fmt::format("{:.0f} ms", value);
  if (value >= 9.995) return fmt::format("{:.1f} ms", value);
  if (value >= 0.1) return fmt::format("{:.2f} ms", value);
  return fmt::format("{:.3f} ms", value);
}

std::string format_count(double count) {
  std::string text = format_scaled(count, {"", "k", "M", "G"});
  if (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

Result<double> parse_watts(std::string_view text) { return parse_unit(text, "power", kWattUnits); }
Result<double> parse_joules(std::string_view text) { return parse_unit(text, "amount of energy", kJouleUnits); }
std::string format_joules(double joules) { return format_from_milli(joules, {"mJ", "J", "kJ", "MJ"}); }
std::string format_watts(double watts) { return format_from_milli(watts, {"mW", "W", "kW", "MW"}); }

}  // namespace tideline
