// Units: bytes (not bits) inside, SI prefixes; bandwidth is shown to people in Mbit/s; time is std::chrono.
//
// Parsers accept what people write in YAML and on the command line ("10Mbit/s", "4ms", "512MB") and return
// kInvalidArgument naming the accepted units. They reject NaN, infinities and negative numbers.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline {

using Bytes = std::uint64_t;
// Costs and estimates: fractional milliseconds.
using Millis = std::chrono::duration<double, std::milli>;
using Nanos = std::chrono::nanoseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

// "10kbit/s" "2.5Mbit/s" "1Gbit/s" "800bit/s" "1.25MB/s" "10Mbps" -> bytes per second.
Result<double> parse_bandwidth_bytes_per_s(std::string_view text);
// "250us" "4ms" "1.5s" "0"(zero needs no unit). More than 50 years are 50 years.
Result<Millis> parse_duration(std::string_view text);
// "64kB" "512MB" "2GB" (SI) "512MiB" "2GiB" "1000" (bytes).
Result<Bytes> parse_bytes(std::string_view text);
// The same, for what a node may use: at least limits::kNodeMemoryBytesMin, so that a forgotten unit is noticed.
Result<Bytes> parse_memory(std::string_view text);

// "12.8 MB", "602 kB", "17 B".
std::string format_bytes(Bytes bytes);
// "10 Mbit/s", "1 Gbit/s".
std::string format_bandwidth(double bytes_per_s);
// "12.3 ms", "0.042 ms", "1234 ms": three significant digits at least.
std::string format_millis(Millis time);
// "569 M", "1.25 M", "4.09 G": counts such as FLOPs.
std::string format_count(double count);

}  // namespace tideline
