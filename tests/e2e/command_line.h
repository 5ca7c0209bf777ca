// The real binary, as a person or a script starts it, in a folder of the test's own.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tideline::e2e {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
  nlohmann::json json() const { return nlohmann::json::parse(out, nullptr, false); }
};

class CommandLine : public testing::Test {
 protected:
  void SetUp() override {
    const char* binary = std::getenv("TIDELINE_BINARY");
    const char* source = std::getenv("TIDELINE_SOURCE_DIR");
    ASSERT_NE(binary, nullptr) << "run by ctest";
    ASSERT_NE(source, nullptr) << "run by ctest";
    binary_ = binary;
    source_ = source;
    std::string name = (std::filesystem::temp_directory_path() / "tideline-cli-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return path(name);
  }
  static std::string slurp(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  // `arguments` as a shell reads them; `before` may pipe something in.
  Outcome run(const std::string& arguments, const std::string& before = "") const {
    const std::string command =
        before + "'" + binary_ + "' " + arguments + " >'" + path("stdout") + "' 2>'" + path("stderr") + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder_ / "stdout"), slurp(folder_ / "stderr")};
  }

  // Started and not waited for.
  pid_t start(const std::vector<std::string>& arguments) const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    std::vector<char*> words{const_cast<char*>(binary_.c_str())};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    const int out = ::open(path("stdout").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int err = ::open(path("stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  Outcome wait_for(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(folder_ / "stdout"), slurp(folder_ / "stderr")};
  }
  // The processes that `parent` has started, in the order of their ids.
  static std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const std::string stat = slurp(entry.path() / "stat");
      // "PID (name) STATE PARENT ...", where the name may hold anything.
      const std::size_t after_name = stat.rfind(')');
      if (after_name != std::string::npos && std::atoi(stat.c_str() + after_name + 4) == parent) found.push_back(std::stoi(name));
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  // False when it does not come true in half a minute.
  static bool eventually(const std::function<bool()>& condition) {
    for (int tries = 0; tries < 3000; ++tries) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  std::string binary_;
  std::string source_;
  std::filesystem::path folder_;
};

}  // namespace tideline::e2e
