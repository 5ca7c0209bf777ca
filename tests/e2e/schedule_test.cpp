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

  Ran run(const std::string& arguments) const { return run_tideline("schedule " + arguments); }
  Ran run_tideline(const std::string& arguments) const {
    const std::string command = fmt::format("{} {} >{} 2>{}", binary_, arguments, path("out"), path("err"));
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

TEST_F(Schedule, OnlineWithoutAHistoryAndWithEvents) {
  const std::string instance = path("city.json");
  ASSERT_EQ(run(fmt::format("--generate c2 --servers 20 --tasks 400 --seed 7 --out {}", instance)).exit_code, 0);
  const Ran online = run(fmt::format("{} --policy auto -o json", instance));
  ASSERT_EQ(online.exit_code, 0) << online.err;
  const auto json = nlohmann::json::parse(online.out);
  EXPECT_EQ(json["chosen"], "price-recut");
  EXPECT_EQ(json["curve"].size(), 400u);
  EXPECT_EQ(json["curve"].back(), json["deployed"]);

  write("events.json", R"([{"arrive": 3}, {"arrive": 5}, {"depart": 3}])");
  for (const char* model : {"paper", "extended"}) {
    const Ran some =
        run(fmt::format("{} --model {} --policy price-swap --events {} -o json", instance, model, path("events.json")));
    ASSERT_EQ(some.exit_code, 0) << some.err;
    const auto after = nlohmann::json::parse(some.out);
    EXPECT_EQ(after["curve"], (nlohmann::json{1, 2})) << model;
    EXPECT_EQ(after[model == std::string("paper") ? "deployed" : "admitted"], 1) << model;
  }
}

TEST_F(Schedule, TheExtendedModelIsCertifiedToo) {
  const std::string instance = path("city.json"), result = path("safe.json");
  ASSERT_EQ(run(fmt::format("--generate c2 --servers 20 --tasks 200 --seed 7 --out {}", instance)).exit_code, 0);
  ASSERT_EQ(run(fmt::format("{} --model extended --steps 500 --time-limit 20 --out {}", instance, result)).exit_code, 0);
  const Ran certified = run(fmt::format("--certify {} --instance {} -o json", result, instance));
  ASSERT_EQ(certified.exit_code, 0) << certified.err;
  const auto json = nlohmann::json::parse(certified.out);
  auto lie = nlohmann::json::parse(read(result));
  EXPECT_EQ(json["admitted"], lie["admitted"]);
  EXPECT_GE(json["upper_bound"].get<double>(), json["admitted"].get<double>());
  lie["multipliers"]["compute"][0] = lie["multipliers"]["compute"][0].get<double>() + 1;
  write("lie.json", lie.dump());
  const Ran refused = run(fmt::format("--certify {} --instance {}", path("lie.json"), instance));
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_NE(refused.err.find("the multipliers prove"), std::string::npos) << refused.err;
}

// From a model file to a schedule of tasks that run it.
TEST_F(Schedule, TakesModelsAsInspectPrintsThem) {
  ASSERT_EQ(run_tideline(fmt::format("zoo lenet5 -o {}", path("lenet5.onnx"))).exit_code, 0);
  const Ran inspected = run_tideline(fmt::format("inspect {} -o json", path("lenet5.onnx")));
  ASSERT_EQ(inspected.exit_code, 0) << inspected.err;
  write("lenet5.json", inspected.out);
  const std::string generate =
      fmt::format("--generate real --models {} --servers 8 --tasks 50 --seed 2 --servers-per-task 3", path("lenet5.json"));
  const Ran raw = run(generate);
  ASSERT_EQ(raw.exit_code, 0) << raw.err;
  const Ran jpeg = run(generate + " --compression 40");
  ASSERT_EQ(jpeg.exit_code, 0) << jpeg.err;
  const auto layers = nlohmann::json::parse(raw.out)["models"][0]["layers"];
  const auto dear = nlohmann::json::parse(jpeg.out)["models"][0]["layers"];
  EXPECT_EQ(layers.size(), nlohmann::json::parse(inspected.out)["blocks"].size());
  // All of LeNet-5: 2 operations per multiply-add, 32 x 32 floats.
  EXPECT_GE(layers.back()["gflop_per_mb"].get<double>(), 2 * 416520 / 4096.0 / 1000);
  EXPECT_NEAR(dear.back()["gflop_per_mb"].get<double>(), 40 * layers.back()["gflop_per_mb"].get<double>(), 1e-9);
  EXPECT_NEAR(dear.back()["ratio"].get<double>(), 40 * layers.back()["ratio"].get<double>(), 1e-9);
  write("city.json", jpeg.out);
  EXPECT_EQ(run(fmt::format("{} --policy price --steps 100 --time-limit 20", path("city.json"))).exit_code, 0);
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
