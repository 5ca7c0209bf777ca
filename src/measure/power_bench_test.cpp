// Goal: idling and computing are told apart, and counters that start again in between do not matter. Method: a made-up counter of
// small range that the load itself advances, so that the power under load follows from how often it ran.
#include "measure/power_bench.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "platform/temp_folder.h"

namespace tideline {
namespace {

class PowerBench : public testing::Test {
 protected:
  PowerBench() {
    std::filesystem::create_directories(zone_);
    write("name", "package-0");
    write("max_energy_range_uj", std::to_string(kRange));
    write("energy_uj", "900");
  }
  // In place of the old file, as a reader may come in between.
  void write(const std::string& file, const std::string& text) const {
    std::ofstream(zone_ + "/new") << text << "\n";
    std::filesystem::rename(zone_ + "/new", zone_ + "/" + file);
  }
  static constexpr std::uint64_t kRange = 1'000'000;
  TempFolder folder_ = std::move(TempFolder::make("power-bench").value());
  std::string root_ = folder_.path();
  std::string zone_ = root_ + "/class/powercap/intel-rapl:0";
};

TEST_F(PowerBench, TheLoadsPowerIsWhatItTook) {
  const auto meter = PowerMeter::find(root_);
  ASSERT_TRUE(meter) << meter.error().message;
  std::uint64_t energy = 900;
  double joules = 0;
  const auto started = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point first{};
  const auto load = [&]() -> Status {
    if (first == std::chrono::steady_clock::time_point{}) first = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    energy = (energy + 90'000) % kRange;  // starts again every eleventh time
    joules += 0.09;
    write("energy_uj", std::to_string(energy));
    return {};
  };
  const auto power = measure_power(*meter, load, {.time = Millis(300)});
  ASSERT_TRUE(power) << power.error().message;
  EXPECT_EQ(power->method, "RAPL (package-0)");
  EXPECT_EQ(power->time, Millis(300));
  EXPECT_EQ(power->idle_w, 0);
  EXPECT_GE(first - started, std::chrono::milliseconds(300));
  // The sampler's thread may begin a little before the first run and end a little after the last; nothing else can differ.
  EXPECT_GT(power->compute_w, 0);
  EXPECT_LE(power->compute_w * 0.3, joules * 1.01);
}

TEST_F(PowerBench, ErrorsOfTheLoadAndTheMeterPassThrough) {
  const auto meter = PowerMeter::find(root_);
  ASSERT_TRUE(meter);
  const auto fails = []() -> Status { return Error{ErrorCode::kDeadlineExceeded, "too slow"}; };
  EXPECT_EQ(measure_power(*meter, fails, {.time = Millis(1)}).error().code, ErrorCode::kDeadlineExceeded);
  const CancelToken cancel;
  cancel.cancel();
  EXPECT_EQ(measure_power(*meter, fails, {.time = Millis(60'000), .cancel = &cancel}).error().code, ErrorCode::kCancelled);
  std::filesystem::remove(zone_ + "/energy_uj");
  EXPECT_EQ(measure_power(*meter, fails, {.time = Millis(1)}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline
