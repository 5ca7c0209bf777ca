// The law on ONNX's own conformance models (libonnx-testdata): every one that the engine runs whole also runs in two pieces at
// each of its cuts, with the same answer. Most of them are a single op and have no cut; they still go through reading and
// probing.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include "base/limits.h"
#include "platform/files.h"
#include "split_support.h"

namespace tideline::agree {
namespace {

constexpr std::uint32_t kCutWidth = 4;
const std::filesystem::path kFolder = "/usr/share/libonnx-testdata/data";

std::vector<std::filesystem::path> models_below(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".onnx") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// The tensors that lie beside the model, in the order of its inputs; empty when one of them is no plain tensor.
std::vector<Tensor> given_inputs(const Model& model, const std::filesystem::path& folder) {
  std::vector<Tensor> inputs;
  for (const TensorId id : model.graph().inputs) {
    const auto file = read_file((folder / fmt::format("input_{}.pb", inputs.size())).string(), limits::kModelFileBytesMax);
    const TensorSpec& spec = model.graph().tensor(id).spec;
    onnx::TensorProto proto;
    if (!file || !proto.ParseFromString(*file) || proto.data_type() != static_cast<int>(spec.dtype)) return {};
    Tensor tensor;
    tensor.spec = {spec.name, spec.dtype, {proto.dims().begin(), proto.dims().end()}};
    const auto bytes = byte_size(tensor.spec.dtype, tensor.spec.shape);
    if (!bytes || *bytes != proto.raw_data().size()) return {};
    tensor.data = Buffer::copy_of(std::as_bytes(std::span(proto.raw_data())));
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

Result<std::unique_ptr<SplitModel>> split_model(Engine& engine, const std::filesystem::path& path, const std::string& name) {
  TIDELINE_TRY(std::string onnx, read_file(path.string(), limits::kModelFileBytesMax));
  TIDELINE_TRY(const Model model, Model::parse(onnx, name, ""));
  return SplitModel::make(engine, std::move(onnx), name, {}, given_inputs(model, path.parent_path() / "test_data_set_0"));
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
    auto split = split_model(**engine, path, name);
    const auto answer = split ? (*split)->whole() : Result<const Tensors*>(split.error());
    if (!answer) {
      auto& [count, first] = refused[std::string(to_string(answer.error().code))];
      if (std::getenv("TIDELINE_SHOW") != nullptr) fmt::print("{}: {}\n", name, answer.error().message);
      if (count++ == 0) first = fmt::format("{}: {}", name, answer.error().message);
      EXPECT_NE(answer.error().code, ErrorCode::kInternal) << name << ": " << answer.error().message;
      continue;
    }
    ++whole;
    // The widest cuts, so that as many models as possible have some.
    ASSERT_TRUE((*split)->recut(kCutWidth));
    const std::uint32_t blocks = (*split)->chain().block_count();
    with_cuts += blocks > 1 ? 1 : 0;
    for (std::uint32_t cut = 1; cut < blocks; ++cut)
      tally.add(fmt::format("{} at cut {}", name, cut), (*split)->difference({cut}));
  }
  fmt::print("{} models, {} run whole, {} of those have cuts\n", models, whole, with_cuts);
  for (const auto& [code, what] : refused) fmt::print("not run: {} {}, such as {}\n", what.first, code, what.second);
  tally.print();
  EXPECT_GE(whole, 850u);
  EXPECT_GE(with_cuts, 100u);
}

}  // namespace
}  // namespace tideline::agree
