#include "platform/power.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "base/text.h"
#include "platform/descriptor.h"

namespace tideline {
namespace {

constexpr std::size_t kFoldersMax = 256;
constexpr std::size_t kFileBytesMax = 64;
constexpr int kChannelsMax = 8;

Error no_power(std::string message) { return {ErrorCode::kNotFound, "[power] " + std::move(message)}; }

// The first line, without what ends it; nullopt when it cannot be read.
std::optional<std::string> line_of(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return std::nullopt;
  std::array<char, kFileBytesMax> bytes{};
  const ::ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
  if (count <= 0) return std::nullopt;
  std::string line(bytes.data(), static_cast<std::size_t>(count));
  line.resize(std::min(line.find_first_of("\r\n"), line.size()));
  return line;
}

std::optional<std::uint64_t> number_of(const std::string& path) {
  const auto line = line_of(path);
  if (!line) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(line->data(), line->data() + line->size(), value);
  if (error != std::errc() || end != line->data() + line->size()) return std::nullopt;
  return value;
}

// Names in a folder, sorted; a class folder's entries are links.
std::vector<std::string> entries_of(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end && names.size() < kFoldersMax;
       entry.increment(error))
    names.push_back(entry->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Result<PowerMeter> PowerMeter::find_counters(const std::string& root) {
  const std::string folder = root + "/class/powercap";
  PowerMeter meter;
  std::vector<std::string> names;
  bool is_hidden = false;
  for (const std::string& entry : entries_of(folder)) {
    // "intel-rapl:0" is a package, "intel-rapl:0:2" a part of it. The same packages also show as intel-rapl-mmio.
    if (!entry.starts_with("intel-rapl:")) continue;
    const std::string zone = folder + "/" + entry;
    const auto name = line_of(zone + "/name");
    // Memory is no part of the package's own count; cores and graphics are.
    if (!name || (!name->starts_with("package") && *name != "dram")) continue;
    const auto range = number_of(zone + "/max_energy_range_uj");
    if (!range || *range == 0 || !number_of(zone + "/energy_uj")) {
      is_hidden = true;
      continue;
    }
    meter.counters_.push_back({zone + "/energy_uj", *range});
    names.push_back(*name);
  }
  if (meter.counters_.empty())
    return no_power(is_hidden ? "the processor's energy counters in " + printable(folder, 400) +
                                    " may not be read: run as root, or give this user read access to energy_uj"
                              : "no energy counters in " + printable(folder, 400));
  meter.method_ = "RAPL (" + printable(fmt::format("{}", fmt::join(names, ", "))) + ")";
  return meter;
}

Result<PowerMeter> PowerMeter::find_monitors(const std::string& root) {
  const std::string folder = root + "/class/hwmon";
  struct Rail {
    std::string label;
    Gauge gauge;
  };
  std::vector<Rail> rails;
  for (const std::string& entry : entries_of(folder)) {
    const std::string chip = folder + "/" + entry;
    const auto name = line_of(chip + "/name");
    // Others tell the power of one part (a graphics card, a disk), or what they may take.
    if (!name || !name->starts_with("ina")) continue;
    for (int channel = 1; channel <= kChannelsMax; ++channel) {
      const std::string power = fmt::format("{}/power{}_input", chip, channel);
      const std::string voltage = fmt::format("{}/in{}_input", chip, channel);
      const std::string current = fmt::format("{}/curr{}_input", chip, channel);
      std::string label = *name;
      for (const char* kind : {"power", "in"})
        if (const auto given = line_of(fmt::format("{}/{}{}_label", chip, kind, channel))) label = *name + ": " + *given;
      if (number_of(power)) {
        rails.push_back({std::move(label), {{power}, 1e-6}});  // microwatts
      } else if (number_of(voltage) && number_of(current)) {
        rails.push_back({std::move(label), {{voltage, current}, 1e-6}});  // millivolts and milliamperes
      }
    }
  }
  if (rails.empty()) return no_power("no power monitors in " + printable(folder, 400));
  // The rail that everything comes in by counts the others too.
  const auto input = std::find_if(rails.begin(), rails.end(),
                                  [](const Rail& rail) { return rail.label.ends_with("_IN") || rail.label.ends_with("VIN"); });
  if (input != rails.end()) rails = {*input};
  PowerMeter meter;
  std::vector<std::string> labels;
  for (Rail& rail : rails) {
    labels.push_back(rail.label);
    meter.gauges_.push_back(std::move(rail.gauge));
  }
  meter.method_ = "hwmon (" + printable(fmt::format("{}", fmt::join(labels, ", "))) + ")";
  return meter;
}

Result<PowerMeter> PowerMeter::find_battery(const std::string& root) {
  const std::string folder = root + "/class/power_supply";
  for (const std::string& entry : entries_of(folder)) {
    const std::string supply = folder + "/" + entry;
    if (line_of(supply + "/type") != "Battery" || line_of(supply + "/status") != "Discharging") continue;
    PowerMeter meter;
    if (number_of(supply + "/power_now")) {
      meter.gauges_.push_back({{supply + "/power_now"}, 1e-6});  // microwatts
    } else if (number_of(supply + "/voltage_now") && number_of(supply + "/current_now")) {
      meter.gauges_.push_back({{supply + "/voltage_now", supply + "/current_now"}, 1e-12});  // microvolts, microamperes
    } else {
      continue;
    }
    meter.method_ = "battery (" + printable(entry) + ")";
    return meter;
  }
  return no_power("no battery that is being discharged in " + printable(folder, 400));
}

Result<PowerMeter> PowerMeter::find(const std::string& root) {
  auto counters = find_counters(root);
  if (counters) return counters;
  if (auto monitors = find_monitors(root)) return monitors;
  if (auto battery = find_battery(root)) return battery;
  if (counters.error().message.find("may not be read") != std::string::npos) return counters.error();
  return no_power(
      "this host does not say what power it takes: no energy counters, no power monitors and no battery that is being "
      "discharged in " +
      printable(root, 400) + "/class");
}

Result<PowerReading> PowerMeter::read() const {
  PowerReading reading{.at = std::chrono::steady_clock::now()};
  for (const Counter& counter : counters_) {
    const auto value = number_of(counter.path);
    if (!value) return no_power(printable(counter.path, 400) + " is no number any more");
    reading.microjoules.push_back(*value);
  }
  for (const Gauge& gauge : gauges_) {
    double watts = gauge.scale;
    for (const std::string& path : gauge.paths) {
      const auto value = number_of(path);
      if (!value) return no_power(printable(path, 400) + " is no number any more");
      watts *= static_cast<double>(*value);
    }
    reading.watts += watts;
  }
  return reading;
}

double PowerMeter::watts(const PowerReading& before, const PowerReading& after) const {
  if (counters_.empty()) return (before.watts + after.watts) / 2;
  const double seconds = std::chrono::duration<double>(after.at - before.at).count();
  if (seconds <= 0) return 0;
  double joules = 0;
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const std::uint64_t from = before.microjoules[i];
    const std::uint64_t to = after.microjoules[i];
    joules += static_cast<double>(to >= from ? to - from : to + (counters_[i].range - std::min(from, counters_[i].range))) / 1e6;
  }
  return joules / seconds;
}

}  // namespace tideline
