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
  EXPECT_EQ(json["networks"].size(), 13u);
  for (const auto& network : json["networks"])
    if (network["name"] == "squeezenet") {
      EXPECT_EQ(network["parameters"], 1'248'424);
    }
  EXPECT_NE(tideline("zoo --list").text.find("60965224"), std::string::npos);
}

// examples/models/NAME.yaml of every network: it is right, its pixels are the network's, and a photograph goes through the
// network (what `inspect` runs once, with every block in between). The four whose files or work are large only with
// TIDELINE_TEST_LARGE=1.
TEST(ZooCommand, EveryNetworkHasItsInputAsAnExample) {
  const char* source = std::getenv("TIDELINE_SOURCE_DIR");
  const char* third_party = std::getenv("TIDELINE_THIRD_PARTY");
  ASSERT_NE(source, nullptr);
  ASSERT_NE(third_party, nullptr);
  const bool tries_large = std::getenv("TIDELINE_TEST_LARGE") != nullptr;
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("tideline-zoo-inputs-{}", ::getpid());
  std::filesystem::create_directories(folder);
  const std::string file = (folder / "model.onnx").string();
  const auto networks = nlohmann::json::parse(tideline("zoo --list --json").text, nullptr, false)["networks"];
  ASSERT_EQ(networks.size(), 13u);
  for (const auto& network : networks) {
    const std::string name = network["name"];
    SCOPED_TRACE(name);
    const std::string config = fmt::format("{}/examples/models/{}.yaml", source, name);
    const Answer valid = tideline("config validate " + config);
    EXPECT_EQ(valid.exit_code, 0) << valid.text;
    const bool is_large = name == "alexnet" || name.starts_with("vgg") || name == "yolov2";
    if (is_large && !tries_large) continue;
    ASSERT_EQ(tideline(fmt::format("zoo {} -o {}", name, file)).exit_code, 0);
    const Answer seen =
        tideline(fmt::format("inspect {} --config {} --input {}/photos/flower.jpg --quiet -o json", file, config, third_party));
    ASSERT_EQ(seen.exit_code, 0) << seen.text;
    const auto json = nlohmann::json::parse(seen.text, nullptr, false);
    // Three steps of the input, then the network.
    const auto& tensors = json["cuts"][3]["tensors"];
    ASSERT_EQ(tensors.size(), 1u) << seen.text.substr(0, 400);
    EXPECT_EQ(tensors[0]["shape"], network["input_shape"]) << tensors.dump();
  }
  std::filesystem::remove_all(folder);
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
