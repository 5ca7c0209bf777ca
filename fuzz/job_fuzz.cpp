// Any text as job.yaml, and as the report of a run; what reads must be written so that it reads the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "train/job/job.h"
#include "train/report/report.h"

using namespace tideline;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto job = train::parse_job(text, "j.yaml")) {
    const auto again = train::parse_job(train::write_job(*job), "again");
    if (!again || *again != *job) std::abort();
  }
  if (const auto curve = train::parse_report(text, "r.json")) (void)train::accuracy_figures({*curve});
  return 0;
}
