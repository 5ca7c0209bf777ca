// Watts and joules, beside base/units.h, with the same rules: parsers take what people write and refuse NaN, infinities and
// negative numbers with a sentence that names the units.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tideline {

// "3W" "900mW" "0.4 W" "1.2kW" -> watts.
Result<double> parse_watts(std::string_view text);
// "0.5J" "20mJ" "1.5kJ" "2Wh" -> joules.
Result<double> parse_joules(std::string_view text);
// "1.2 J", "340 mJ", "0 J".
std::string format_joules(double joules);
// "1.2 W", "340 mW".
std::string format_watts(double watts);

}  // namespace tideline
