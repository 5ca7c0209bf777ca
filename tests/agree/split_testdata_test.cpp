// The law on ONNX's own conformance models (libonnx-testdata): every one that the engine runs whole also runs in two pieces at
// each of its cuts, with the same answer. Most of them are a single op and have no cut; they still go through reading and
// probing.
#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "platform/files.h"
#include "split_support.h"

namespace tideline::agree {
namespace {

const std::filesystem::path kFolder = "/usr/share/libonnx-testdata/data";

std::vector<std::filesystem::path> models_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

TEST(Testdata, WhatRunsWholeRunsInTwo) {
  ASSERT_TRUE(std::filesystem::exists(kFolder)) << "install libonnx-testdata (tools/setup does)";
  const auto engine = make_engine({.threads = 1});
  ASSERT_TRUE(engine) << engine.error().message;
  Tally tally("libonnx-testdata");
  std::size_t models = 0;
  std::size_t whole = 0;
  std::size_t with_cuts = 0;
  std::map<std::string, std::pair<std::size_t, std::string>> refused;  // by the error's code: how many, and the first
  for (const std::filesystem::path& path : models_below(kFolder)) {
    ++models;
    const std::string name = path.parent_path().filename().string();
    auto onnx = read_file(path.string(), limits::kModelFileBytesMax);
    ASSERT_TRUE(onnx) << onnx.error().message;
    auto split = SplitModel::make(**engine, std::move(*onnx), name);
    const auto answer = split ? (*split)->whole() : Result<const Tensors*>(split.error());
    if (!answer) {
      auto& [count, first] = refused[std::string(to_string(answer.error().code))];
      if (getenv("SHOW")) fmt::print("{} {}: {}\n", to_string(answer.error().code), name, answer.error().message);
      if (count++ == 0) first = fmt::format("{}: {}", name, answer.error().message);
      EXPECT_NE(answer.error().code, ErrorCode::kInternal) << name << ": " << answer.error().message;
      continue;
    }
    ++whole;
    const std::uint32_t blocks = (*split)->chain().block_count();
    with_cuts += blocks > 1 ? 1 : 0;
    for (std::uint32_t cut = 1; cut < blocks; ++cut)
      tally.add(fmt::format("{} at cut {}", name, cut), (*split)->difference({cut}));
  }
  fmt::print("{} models, {} run whole, {} of those have cuts\n", models, whole, with_cuts);
  for (const auto& [code, what] : refused) fmt::print("not run: {} {}, such as {}\n", what.first, code, what.second);
  tally.print();
  EXPECT_GE(whole, 600u);
  EXPECT_GE(with_cuts, 50u);
}

}  // namespace
}  // namespace tideline::agree
