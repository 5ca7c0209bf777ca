#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace tideline {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "tideline: defect: %s does not hold at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace tideline
