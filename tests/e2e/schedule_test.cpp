// `tideline schedule` as others script it: keys, exit codes, and a certificate that a changed byte breaks.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

namespace {

struct Ran {
  int exit_code = -1;
  std::string out, err;
};

class Schedule : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("tideline_schedule_e2e_{}", ::getpid());
    std::filesystem::create_directories(folder_);
    const char* binary = std::getenv("TIDELINE_BINARY");
    ASSERT_NE(binary, nullptr) << "run me by ctest";
    binary_ = binary;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string read(const std::string& file) {
    std::stringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }

  Ran run(const std::string& arguments) const {
    const std::string command = fmt::format("{} schedule {} >{} 2>{}", binary_, arguments, path("out"), path("err"));
    const int status = std::system(command.c_str());
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1, .out = read(path("out")), .err = read(path("err"))};
  }

  std::filesystem::path folder_;
  std::string binary_;
};

TEST_F(Schedule, GeneratesSchedulesAndCertifies) {
  const std::string instance = path("city.json"), result = path("result.json");
  ASSERT_EQ(run(fmt::format("--generate c2 --servers 20 --tasks 200 --seed 7 --profile-seed 6 --out {}", instance)).exit_code, 0);
  const Ran scheduled =
      run(fmt::format("{} --policy price --seed 3 --time-limit 20 --steps 500 -o json --out {}", instance, result));
  ASSERT_EQ(scheduled.exit_code, 0) << scheduled.err;
  EXPECT_EQ(scheduled.out, read(result));
  const auto json = nlohmann::json::parse(scheduled.out);
  EXPECT_EQ(json["policy"], "price");
  EXPECT_EQ(json["tasks"].size(), 200u);
  EXPECT_EQ(json["multipliers"]["bandwidth"].size(), 20u);
  EXPECT_EQ(json["multipliers"]["compute"].size(), 20u);
  EXPECT_EQ(json["checked"], true);
  EXPECT_LE(json["deployed"].get<double>(), json["upper_bound"].get<double>());
  std::size_t deployed = 0;
  for (const auto& task : json["tasks"]) deployed += task["layers"].get<int>() > 0 ? 1 : 0;
  EXPECT_EQ(json["deployed"], deployed);

  const Ran certified = run(fmt::format("--certify {} --instance {} -o json", result, instance));
  ASSERT_EQ(certified.exit_code, 0) << certified.err;
  EXPECT_EQ(nlohmann::json::parse(certified.out)["deployed"], deployed);

  // A bound that promises more than its multipliers prove.
  auto lie = json;
  lie["upper_bound"] = json["upper_bound"].get<double>() - 1;
  write("lie.json", lie.dump());
  const Ran refused = run(fmt::format("--certify {} --instance {}", path("lie.json"), instance));
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_NE(refused.err.find("the multipliers prove"), std::string::npos) << refused.err;
}

TEST_F(Schedule, BadInputIsOneSentenceAndExitCode3) {
  write("nan.json", R"({"bandwidth_share": 0.8, "servers": [{"bandwidth_mbit_s": NaN, "capacity_gflop_s": 1}]})");
  write("unknown_model.json", R"({"bandwidth_share": 1, "servers": [{"bandwidth_mbit_s": 1, "capacity_gflop_s": 1}], "models": [],
    "tasks": [{"model": 4, "latency_s": 1, "data_mb_s": {"0": 1}}]})");
  const std::array<std::array<std::string, 2>, 7> bad{{
      {path("nan.json") + " --policy balanced", "nan.json:1:"},
      {path("unknown_model.json") + " --policy balanced", "tasks[0].model: there is no model 4"},
      {path("absent.json") + " --policy balanced", "absent.json"},
      {path("nan.json") + " --policy li2019", "nan.json:1:"},
      {"--generate c3", "unknown kind 'c3'"},
      {"--certify " + path("nan.json"), "--instance"},
      {"", "give one of"},
  }};
  for (const auto& [arguments, expected] : bad) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.exit_code, 3) << arguments;
    EXPECT_NE(ran.err.find(expected), std::string::npos) << arguments << ": " << ran.err;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    EXPECT_EQ(ran.out, "") << arguments;
  }
}

}  // namespace
