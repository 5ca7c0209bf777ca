// Goal: what is installed runs where it is copied and can be built upon, and the source tree can be a part of another project.
// Method: an install into a folder of the test's own that is then moved; examples/embed built against it and run over nodes that
// the copied program starts.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "command_line.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

class EmbedTest : public CommandLine {
 protected:
  // Its standard output; the test fails with everything it printed when it fails.
  std::string shell(const std::string& command) const {
    const std::string log = path("log");
    const int status = std::system(("( " + command + " ) >'" + log + "' 2>&1").c_str());
    EXPECT_EQ(status, 0) << command << "\n" << slurp(log);
    return slurp(log);
  }
  std::string build_folder() const { return std::filesystem::path(binary_).parent_path().parent_path().string(); }
};

TEST_F(EmbedTest, AnInstalledFolderRunsWhereItIsCopiedAndCanBeBuiltUpon) {
  shell("cmake --install " + build_folder() + " --prefix " + path("made"));
  if (HasFailure()) return;
  std::filesystem::rename(path("made"), path("moved"));
  const std::string moved = path("moved");

  // Without the libraries of this build tree, and without an environment.
  binary_ = moved + "/bin/tideline";
  EXPECT_THAT(shell("env -i " + binary_ + " --version"), HasSubstr("tideline "));
  const std::string needed = shell("ldd " + binary_);
  EXPECT_THAT(needed, HasSubstr(moved + "/bin/../lib/libonnxruntime.so.1"));
  std::istringstream lines(needed);
  for (std::string line; std::getline(lines, line);) {
    const bool is_system = line.find("libc.so") != std::string::npos || line.find("libm.so") != std::string::npos ||
                           line.find("libstdc++") != std::string::npos || line.find("libgcc_s") != std::string::npos ||
                           line.find("libdl.so") != std::string::npos || line.find("librt.so") != std::string::npos ||
                           line.find("libpthread.so") != std::string::npos || line.find("ld-linux") != std::string::npos ||
                           line.find("linux-vdso") != std::string::npos;
    if (!is_system) {
      EXPECT_THAT(line, HasSubstr(moved));
    }
  }

  // What trains comes along where it was built, and is found beside the program.
  const bool trains = std::filesystem::exists(build_folder() + "/bin/tideline-train");
  EXPECT_EQ(std::filesystem::exists(moved + "/bin/tideline-train"), trains);
  if (trains) {
    EXPECT_THAT(shell("env -i " + moved + "/bin/tideline-train --version"), HasSubstr("tideline-train "));
    EXPECT_THAT(shell("ldd " + moved + "/bin/tideline-train"), HasSubstr(moved + "/bin/../lib/libonnx_proto"));
    write("empty.yaml", "version: 1\n");
    EXPECT_THAT(run("train " + path("empty.yaml")).err, HasSubstr("empty.yaml"));
  }

  shell("CXXFLAGS='-Wall -Wextra -Wpedantic -Werror' cmake -S " + source_ + "/examples/embed -B " + path("embed") +
        " -G Ninja -DCMAKE_PREFIX_PATH=" + moved + " && cmake --build " + path("embed"));
  if (HasFailure()) return;

  // A plug-in is a shared library: nothing may be missing in it.
  std::filesystem::create_directory(path("plugin"));
  std::ofstream(path("plugin/CMakeLists.txt"))
      << "cmake_minimum_required(VERSION 3.25)\nproject(plugin LANGUAGES CXX)\nfind_package(tideline 0.1 REQUIRED)\n"
         "add_library(plugin SHARED "
      << source_
      << "/examples/embed/embed.cpp)\n"
         "target_link_libraries(plugin PRIVATE tideline::tideline)\ntarget_link_options(plugin PRIVATE -Wl,--no-undefined)\n";
  shell("cmake -S " + path("plugin") + " -B " + path("plugin/build") + " -G Ninja -DCMAKE_PREFIX_PATH=" + moved +
        " && cmake --build " + path("plugin/build"));
  if (HasFailure()) return;

  ASSERT_EQ(run("zoo lenet5 -o " + path("lenet5.onnx")).exit_code, 0);
  const pid_t nodes = start({"local", "up", source_ + "/examples/clusters/camera-gateway-server.yaml", "--links", "none", "--out",
                             path("up.yaml"), "--quiet"});
  const bool up = eventually([&] { return std::filesystem::exists(path("up.yaml")); });
  const std::string said = up ? shell(path("embed") + "/embed " + path("lenet5.onnx") + " " + path("up.yaml") + " 3,6") : "";
  ::kill(nodes, SIGTERM);
  (void)wait_for(nodes);
  ASSERT_TRUE(up);
  EXPECT_THAT(said, HasSubstr("runs blocks 0 to 2"));
  EXPECT_THAT(said, HasSubstr("equal to the unsplit model"));
  EXPECT_THAT(said, HasSubstr("50 frames answered in order"));
}

TEST_F(EmbedTest, TheSourceTreeIsAPartOfAnotherProject) {
  const char* third_party = std::getenv("TIDELINE_THIRD_PARTY");
  ASSERT_NE(third_party, nullptr) << "run by ctest";
  shell("cmake -S " + source_ + "/examples/embed -B " + path("embed") + " -G Ninja -Wno-dev -DTIDELINE_SOURCES=" + source_ +
        " -DTIDELINE_THIRD_PARTY=" + third_party);
  if (HasFailure()) return;
  // Its program is built of our library, and of none of our tests and programs.
  const std::string targets = shell("ninja -C " + path("embed") + " -t inputs embed");
  EXPECT_THAT(targets, HasSubstr("libtideline_session.a"));
  EXPECT_THAT(targets, testing::Not(HasSubstr("_test.cpp")));
  EXPECT_THAT(shell("ninja -C " + path("embed") + " -t targets all"), testing::Not(HasSubstr("bin/tideline:")));
  // Our warnings are not theirs.
  EXPECT_THAT(shell("ninja -C " + path("embed") + " -t commands embed | grep 'embed[.]cpp'"),
              testing::Not(HasSubstr("-Wconversion")));
}

}  // namespace
}  // namespace tideline::e2e
