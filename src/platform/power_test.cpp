// Goal: power is read where hosts of every kind tell it, wrapped counters and several packages included, and nothing is made of
// what is not there. Method: made-up trees of /sys in a temporary folder.
#include "platform/power.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/temp_folder.h"

namespace tideline {
namespace {

using testing::HasSubstr;

class Power : public testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = root() + "/class/" + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  void zone(const std::string& folder, const std::string& name, std::uint64_t energy, std::uint64_t range) const {
    write("powercap/" + folder + "/name", name);
    write("powercap/" + folder + "/energy_uj", std::to_string(energy));
    write("powercap/" + folder + "/max_energy_range_uj", std::to_string(range));
  }
  std::string root() const { return folder_.path(); }
  // The mean of `meter` between what the files say now and what they say after `change`, as if two seconds lay in between.
  template <typename Change>
  double watts_over_two_seconds(const PowerMeter& meter, Change change) const {
    const auto before = meter.read();
    EXPECT_TRUE(before);
    change();
    auto after = meter.read();
    EXPECT_TRUE(after);
    after->at = before->at + std::chrono::seconds(2);
    return meter.watts(*before, *after);
  }

 private:
  TempFolder folder_ = std::move(TempFolder::make("power-test").value());
};

TEST_F(Power, SeveralPackagesAndTheirMemoryAreSummedAndTheirPartsAreNot) {
  zone("intel-rapl:0", "package-0", 1'000'000, 262'143'328'850);
  zone("intel-rapl:0:0", "core", 500'000, 262'143'328'850);
  zone("intel-rapl:0:1", "dram", 0, 65'712'999'613);
  zone("intel-rapl:1", "package-1", 7, 262'143'328'850);
  zone("intel-rapl-mmio:0", "package-0", 1'000'000, 262'143'328'850);
  write("powercap/intel-rapl/enabled", "1");
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter) << meter.error().message;
  EXPECT_EQ(meter->method(), "RAPL (package-0, dram, package-1)");
  EXPECT_DOUBLE_EQ(watts_over_two_seconds(*meter,
                                          [&] {
                                            zone("intel-rapl:0", "package-0", 41'000'000, 262'143'328'850);
                                            zone("intel-rapl:0:0", "core", 30'500'000, 262'143'328'850);
                                            zone("intel-rapl:0:1", "dram", 6'000'000, 65'712'999'613);
                                            zone("intel-rapl:1", "package-1", 20'000'007, 262'143'328'850);
                                            zone("intel-rapl-mmio:0", "package-0", 41'000'000, 262'143'328'850);
                                          }),
                   (40 + 6 + 20) / 2.0);
}

TEST_F(Power, ACounterThatStartedAgainHasNotRunBackwards) {
  zone("intel-rapl:0", "package-0", 99'000'000, 100'000'000);
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter);
  EXPECT_DOUBLE_EQ(watts_over_two_seconds(*meter, [&] { zone("intel-rapl:0", "package-0", 3'000'000, 100'000'000); }), 2);
  // A counter beyond its own range is a defect of the host, not 18 million joules.
  zone("intel-rapl:0", "package-0", 150'000'000, 100'000'000);
  EXPECT_DOUBLE_EQ(watts_over_two_seconds(*meter, [&] { zone("intel-rapl:0", "package-0", 4'000'000, 100'000'000); }), 2);
}

TEST_F(Power, ABoardsInputRailCountsTheOthersToo) {
  write("hwmon/hwmon0/name", "coretemp");
  write("hwmon/hwmon0/power1_input", "99000000");
  write("hwmon/hwmon1/name", "ina3221");
  for (const auto& [channel, label] : {std::pair{1, "VDD_IN"}, std::pair{2, "VDD_CPU"}}) {
    const std::string at = std::to_string(channel);
    write("hwmon/hwmon1/in" + at + "_label", label);
    write("hwmon/hwmon1/in" + at + "_input", "5000");
    write("hwmon/hwmon1/curr" + at + "_input", channel == 1 ? "800" : "300");
  }
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter) << meter.error().message;
  EXPECT_EQ(meter->method(), "hwmon (ina3221: VDD_IN)");
  EXPECT_DOUBLE_EQ(watts_over_two_seconds(*meter, [&] { write("hwmon/hwmon1/curr1_input", "1200"); }), (4 + 6) / 2.0);
}

TEST_F(Power, MonitorsWithoutAnInputRailAreSummed) {
  for (const char* chip : {"hwmon0", "hwmon1"}) {
    write(std::string("hwmon/") + chip + "/name", "ina226");
    write(std::string("hwmon/") + chip + "/power1_input", "1500000");
  }
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter);
  EXPECT_EQ(meter->method(), "hwmon (ina226, ina226)");
  EXPECT_DOUBLE_EQ(watts_over_two_seconds(*meter, [] {}), 3);
}

TEST_F(Power, ABatteryTellsWhileItIsDischarged) {
  write("power_supply/AC/type", "Mains");
  write("power_supply/BAT0/type", "Battery");
  write("power_supply/BAT0/status", "Charging");
  write("power_supply/BAT0/voltage_now", "12000000");
  write("power_supply/BAT0/current_now", "500000");
  EXPECT_FALSE(PowerMeter::find(root()));
  write("power_supply/BAT0/status", "Discharging");
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter);
  EXPECT_EQ(meter->method(), "battery (BAT0)");
  EXPECT_NEAR(watts_over_two_seconds(*meter, [] {}), 6, 1e-9);
}

TEST_F(Power, WhatIsNotThereOrDamagedIsSaidInOneSentence) {
  EXPECT_THAT(PowerMeter::find(root()).error().message, HasSubstr("does not say what power it takes"));
  write("powercap/intel-rapl:0/name", "package-0");
  write("powercap/intel-rapl:0/max_energy_range_uj", "1000");
  EXPECT_THAT(PowerMeter::find(root()).error().message, HasSubstr("may not be read: run as root"));
  for (const char* damaged : {"", "-5", "12x", "99999999999999999999999", "1 2"}) {
    write("powercap/intel-rapl:0/energy_uj", damaged);
    EXPECT_FALSE(PowerMeter::find(root())) << damaged;
  }
  write("powercap/intel-rapl:0/energy_uj", "5");
  const auto meter = PowerMeter::find(root());
  ASSERT_TRUE(meter);
  write("powercap/intel-rapl:0/energy_uj", std::string(1000, '7'));
  EXPECT_EQ(meter->read().error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tideline
