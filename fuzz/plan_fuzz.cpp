// Any text as a plan, a table, a profile and a calibration; what reads must be written so that it reads the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "plan/plan.h"
#include "planner/table.h"
#include "profile/calibration.h"
#include "profile/predictor.h"
#include "profile/profile.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto plan = parse_plan(text, "p.json")) {
    const auto again = parse_plan(write_plan(*plan), "again");
    if (!again || *again != *plan) std::abort();
  }
  if (const auto profile = parse_profile(text, "f.json")) {
    const auto again = parse_profile(write_profile(*profile), "again");
    if (!again || *again != *profile) std::abort();
  }
  if (const auto calibration = parse_calibration(text, "c.json")) {
    const auto again = parse_calibration(write_calibration(*calibration), "again");
    if (!again || *again != *calibration) std::abort();
    for (const std::string_view name : tideline::predictor_names())
      if (const auto predictor = tideline::make_predictor(*calibration, name))
        tideline::predictor_error(**predictor, *calibration);
  }
  (void)parse_table(text, "t.json");
  return 0;
}
