// `tideline zoo` as people and scripts call it: what is on standard output, what is written, and the exit codes.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace {

struct Answer {
  std::string text;
  int exit_code = -1;
};

Answer tideline(const std::string& arguments) {
  const char* binary = std::getenv("TIDELINE_BINARY");
  Answer answer;
  std::FILE* pipe = ::popen(fmt::format("{} {} 2>&1", binary == nullptr ? "tideline" : binary, arguments).c_str(), "r");
  if (pipe == nullptr) return answer;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) answer.text.push_back(static_cast<char>(c));
  const int status = ::pclose(pipe);
  answer.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return answer;
}

TEST(ZooCommand, ListsEveryNetworkWithItsCounts) {
  const Answer answer = tideline("zoo --list --json");
  ASSERT_EQ(answer.exit_code, 0) << answer.text;
  const auto json = nlohmann::json::parse(answer.text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << answer.text;
  EXPECT_EQ(json["networks"].size(), 12u);
  for (const auto& network : json["networks"])
    if (network["name"] == "squeezenet") {
      EXPECT_EQ(network["parameters"], 1'248'424);
    }
  EXPECT_NE(tideline("zoo --list").text.find("60965224"), std::string::npos);
}

TEST(ZooCommand, WritesTheSameFileForTheSameSeed) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("tideline-zoo-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const auto hash_of = [&](const std::string& file, int seed) {
    const Answer answer = tideline(fmt::format("zoo lenet5 -o {} --seed {} --json", (folder / file).string(), seed));
    EXPECT_EQ(answer.exit_code, 0) << answer.text;
    const auto json = nlohmann::json::parse(answer.text, nullptr, false);
    EXPECT_EQ(json.value("bytes", std::uintmax_t{0}), std::filesystem::file_size(folder / file));
    return json.value("sha256", std::string());
  };
  const std::string first = hash_of("a.onnx", 3);
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(hash_of("b.onnx", 3), first);
  EXPECT_NE(hash_of("c.onnx", 4), first);
  std::filesystem::remove_all(folder);
}

TEST(ZooCommand, MistakesAreAnsweredInOneSentence) {
  const Answer near = tideline("zoo resnet5");
  EXPECT_EQ(near.exit_code, 3);
  EXPECT_NE(near.text.find("did you mean 'resnet50'"), std::string::npos) << near.text;
  EXPECT_EQ(tideline("zoo").exit_code, 3);
  EXPECT_EQ(tideline("zoo lenet5 -o /no/such/folder/x.onnx").exit_code, 3);
  EXPECT_EQ(tideline("zoo lenet5 --seed soon").exit_code, 2);
}

}  // namespace
