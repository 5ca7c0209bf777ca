#include "platform/clock.h"

namespace tideline {

const MonotonicClock& real_clock() {
  class Real final : public MonotonicClock {
   public:
    SteadyTime now() const override { return std::chrono::steady_clock::now(); }
  };
  static const Real clock;
  return clock;
}

}  // namespace tideline
