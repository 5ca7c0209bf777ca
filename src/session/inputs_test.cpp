// Goal: the values that a user gives are the ones that are used, by the probe too; what nobody gave is said; no name that ONNX
// allows keeps a value out or a file in. Method: models of several inputs built by hand, folders of .npy.
#include "session/inputs.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "model/test_models.h"
#include "session/load.h"
#include "session/plan_inputs.h"
#include "session/verdict.h"
#include "tensor/npy.h"

namespace tideline {
namespace {

using namespace test;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

class Inputs : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "tideline_inputs_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  template <typename T>
  std::string save(const std::string& name, DType dtype, const Dims& shape, std::vector<T> values) const {
    Tensor tensor{{"", dtype, shape}, Buffer::copy_of(std::as_bytes(std::span(values)))};
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << *write_npy(view(tensor));
    return path(name);
  }
  Result<LoadedModel> load(const onnx::ModelProto& model, ModelArguments arguments) const {
    return load_model_bytes(model.SerializeAsString(), "m.onnx", arguments, {});
  }
  static std::int64_t int64_of(const LoadedModel& loaded, const std::string& name) {
    std::int64_t value = -1;
    for (const Tensor& tensor : loaded.sample)
      if (tensor.spec.name == name) std::memcpy(&value, tensor.data.data(), sizeof value);
    return value;
  }

  fs::path root_;
};

// Only a rate of 16000 gives a shape that fits the rest, as in speech detectors: numbers from a seed do not even run.
onnx::ModelProto rate_guard() {
  onnx::ModelProto model = empty_model(17);
  add_input(model, "x", {1, 4});
  add_input(model, "sr", {}, onnx::TensorProto::INT64);
  add_weight(model, "w", {1, 4});
  auto* wanted = model.mutable_graph()->add_initializer();
  wanted->set_name("wanted");
  wanted->set_data_type(onnx::TensorProto::INT64);
  wanted->add_int64_data(16000);
  add_node(model, "Equal", {"sr", "wanted"}, {"is"});
  auto* branch = add_node(model, "If", {"is"}, {"f"});
  auto* then_body = add_body(branch, "then_branch");
  add_node(*then_body, "Identity", {"x"}, {"t"});
  add_value(then_body->add_output(), "t", {-1, -1});
  auto* else_body = add_body(branch, "else_branch");
  set_ints(add_node(*else_body, "Constant", {}, {"twice"}), "value_ints", {0});
  add_attribute(add_node(*else_body, "Concat", {"x", "x", "x"}, {"e"}), "axis", onnx::AttributeProto::INT)->set_i(1);
  add_value(else_body->add_output(), "e", {-1, -1});
  add_node(model, "Add", {"f", "w"}, {"y"});
  add_output(model, "y", {1, 4});
  return model;
}

TEST_F(Inputs, TheProbeRunsOnWhatWasGiven) {
  const auto blind = load(rate_guard(), {.cut_width = 2});
  ASSERT_FALSE(blind);
  EXPECT_THAT(blind.error().message, HasSubstr("made-up numbers were given for x, sr"));
  save<float>("in/x.npy", DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  save<std::int64_t>("in/sr.npy", DType::kInt64, {}, {16000});
  for (const ModelArguments& arguments :
       {ModelArguments{.cut_width = 2, .input = path("in")},
        ModelArguments{.cut_width = 2, .input = path("in/x.npy"), .values = {"sr=" + path("in/sr.npy")}},
        ModelArguments{.cut_width = 2, .values = {"x=" + path("in/x.npy"), "sr=" + path("in/sr.npy")}}}) {
    const auto loaded = load(rate_guard(), arguments);
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_THAT(loaded->made_up_inputs, IsEmpty());
    EXPECT_EQ(int64_of(*loaded, "sr"), 16000);
  }
  const auto half = load(rate_guard(), {.cut_width = 2, .values = {"sr=" + path("in/sr.npy")}});
  ASSERT_TRUE(half) << half.error().message;
  EXPECT_THAT(half->made_up_inputs, ElementsAre("x"));
  // inspect does not need a sample, and takes the values all the same.
  const auto inspected = load(rate_guard(), {.cut_width = 2, .input = path("in"), .needs_sample = false});
  EXPECT_TRUE(inspected) << inspected.error().message;
}

TEST_F(Inputs, ASingleInputTakesAFileAFolderOfFilesOrItsOwn) {
  const onnx::ModelProto model = chain_model(2);
  save<float>("one.npy", DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  save<float>("many/b.npy", DType::kFloat32, {1, 4}, {5, 6, 7, 8});
  save<float>("many/a.npy", DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  const auto one = load(model, {.input = path("one.npy"), .needs_sample = false});
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_THAT(one->made_up_inputs, IsEmpty());
  const auto many = load(model, {.input = path("many")});
  ASSERT_TRUE(many) << many.error().message;
  const auto files = input_files(*many, path("many"));
  ASSERT_TRUE(files);
  EXPECT_THAT(*files, ElementsAre(path("many/a.npy"), path("many/b.npy")));
  const auto second = read_input(*many, (*files)[1]);
  ASSERT_TRUE(second) << second.error().message;
  float value = 0;
  std::memcpy(&value, (*second)[0].data.data(), 4);
  EXPECT_EQ(value, 5);
  save<float>("many/x.npy", DType::kFloat32, {1, 4}, {9, 9, 9, 9});
  const auto own = load(model, {.input = path("many")});
  ASSERT_TRUE(own);
  EXPECT_THAT(*input_files(*own, path("many")), ElementsAre(path("many")));
  std::memcpy(&value, own->sample[0].data.data(), 4);
  EXPECT_EQ(value, 9);
}

TEST_F(Inputs, SizesThatAreLeftOpenComeFromTheFile) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {-1, 4});
  add_node(model, "Relu", {"x"}, {"y"});
  add_output(model, "y", {-1, 4});
  save<float>("x.npy", DType::kFloat32, {3, 4}, std::vector<float>(12, 1));
  const auto loaded = load(model, {.input = path("x.npy")});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->sample[0].spec.shape, (Dims{3, 4}));
  EXPECT_FALSE(load(model, {.shapes = {"x=2,4"}, .input = path("x.npy")}));
  save<float>("empty.npy", DType::kFloat32, {0, 4}, {});
  const auto empty = load(model, {.input = path("empty.npy")});
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_EQ(empty->chain.cuts[0].bytes, 0u);
}

TEST_F(Inputs, DefaultsGiveWayToWhatIsGiven) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  add_input(model, "scale");
  add_weight(model, "scale");
  add_node(model, "Mul", {"x", "scale"}, {"y"});
  add_output(model, "y");
  save<float>("in/x.npy", DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  save<float>("in/scale.npy", DType::kFloat32, {1, 4}, {5, 5, 5, 5});
  const auto loaded = load(model, {.input = path("in")});
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_THAT(loaded->made_up_inputs, IsEmpty());
  EXPECT_EQ(loaded->sample.size(), 1u);
  auto unsplit = Unsplit::load(*loaded);
  ASSERT_TRUE(unsplit);
  const auto answer = unsplit->run(loaded->sample, {});
  ASSERT_TRUE(answer);
  float value = 0;
  std::memcpy(&value, (*answer)[0].data.data() + 4, 4);
  EXPECT_EQ(value, 10);
  const auto untouched = load(model, {.input = path("in/x.npy")});
  ASSERT_TRUE(untouched);
  EXPECT_NE(untouched->model.sha256(), loaded->model.sha256());
}

TEST_F(Inputs, EveryNameHasAFile) {
  EXPECT_EQ(input_file_name("x"), "x.npy");
  EXPECT_EQ(input_file_name("model/input_a:0"), "model%2Finput_a:0.npy");
  EXPECT_EQ(input_file_name("../../etc/passwd"), "%2E.%2F..%2Fetc%2Fpasswd.npy");
  EXPECT_EQ(input_file_name("a\x1b%"), "a%1B%25.npy");
  const std::vector<std::string> names{"model/input_a:0", "b=c", ".hidden", "tab\there", "100%"};
  onnx::ModelProto model = empty_model();
  std::string last;
  for (const std::string& name : names) {
    add_input(model, name);
    const std::string sum = "sum of " + name;
    if (last.empty())
      add_node(model, "Relu", {name}, {sum});
    else
      add_node(model, "Add", {last, name}, {sum});
    last = sum;
  }
  add_output(model, last);
  ModelArguments by_name{.cut_width = 8};
  for (const std::string& name : names) {
    const std::string file = save<float>("in/" + input_file_name(name), DType::kFloat32, {1, 4}, {1, 1, 1, 1});
    by_name.values.push_back(name + "=" + file);
  }
  const auto folder = load(model, {.cut_width = 8, .input = path("in")});
  ASSERT_TRUE(folder) << folder.error().message;
  EXPECT_THAT(folder->made_up_inputs, IsEmpty());
  const auto named = load(model, by_name);
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_THAT(named->made_up_inputs, IsEmpty());
  // Folders named like the parts of the name, as exporters write them.
  fs::remove(path("in/" + input_file_name(names[0])));
  save<float>("in/model/input_a:0.npy", DType::kFloat32, {1, 4}, {1, 1, 1, 1});
  EXPECT_TRUE(load(model, {.cut_width = 8, .input = path("in")}));
  // A name that leads out of the folder finds nothing there.
  save<float>("secret.npy", DType::kFloat32, {1, 4}, {1, 1, 1, 1});
  EXPECT_EQ(find_input_file(path("in"), "../secret"), "");
  EXPECT_EQ(find_input_file(path("in"), path("secret")), "");
}

TEST_F(Inputs, WhatCannotBeIsSaid) {
  const onnx::ModelProto model = rate_guard();
  const auto message = [&](const ModelArguments& arguments) {
    const auto loaded = load(model, arguments);
    EXPECT_FALSE(loaded);
    return loaded ? std::string() : loaded.error().message;
  };
  const std::string x = save<float>("x.npy", DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  EXPECT_THAT(message({.values = {"z=" + x}}), HasSubstr("the inputs are: x, sr"));
  EXPECT_THAT(message({.values = {"x=" + x, "x=" + x}}), HasSubstr("twice"));
  EXPECT_THAT(message({.values = {"sr=" + x}}), HasSubstr("the model's input sr is int64[]"));
  EXPECT_THAT(message({.values = {"x=" + path("missing.npy")}}), HasSubstr("cannot open"));
  EXPECT_THAT(message({.input = x}), HasSubstr("has 2 inputs"));
  EXPECT_THAT(message({.input = path("photo.jpg")}), HasSubstr("input section"));
  fs::create_directories(path("half"));
  fs::copy_file(x, path("half/x.npy"));
  EXPECT_THAT(message({.input = path("half")}), HasSubstr("sr.npy"));
}

// Trained again: the times of the old weights are good, and it is said.
TEST_F(Inputs, AProfileOfOtherWeightsIsTakenWithANote) {
  const auto model = [&](float weight, const std::string& name) {
    onnx::ModelProto proto = empty_model();
    add_input(proto, name + "x");
    add_weight(proto, name + "w", {1, 4}, weight);
    add_node(proto, "Add", {name + "x", name + "w"}, {name + "a"});
    add_node(proto, "Relu", {name + "a"}, {name + "y"});
    add_output(proto, name + "y");
    return proto;
  };
  Cluster cluster;
  cluster.nodes = {{.name = "here", .tier = Tier::kDevice, .host = "127.0.0.1", .port = 1}};
  const auto write_model = [&](const std::string& file, const onnx::ModelProto& proto) {
    std::ofstream(path(file), std::ios::binary) << proto.SerializeAsString();
    return path(file);
  };
  PlanInputArguments arguments{
      .model = {.model = write_model("first.onnx", model(1, ""))}, .profile_out = path("p.json"), .profile_seconds = 0.1};
  ASSERT_TRUE(load_plan_inputs(cluster, arguments, {}));
  const std::string again = write_model("again.onnx", model(2, "net/"));
  for (const bool loaded : {false, true}) {
    const PlanInputArguments reuse{.model = {.model = again}, .profiles = {path("p.json")}};
    const auto own = load_model(reuse.model, {});
    ASSERT_TRUE(own);
    const auto inputs = loaded ? load_plan_inputs(cluster, reuse, *own, {}) : load_plan_inputs(cluster, reuse, {});
    ASSERT_TRUE(inputs) << inputs.error().message;
    EXPECT_THAT(inputs->notes, testing::Contains(HasSubstr("other weights")));
    EXPECT_THAT(inputs->made_up_inputs, ElementsAre("x"));
    EXPECT_EQ(inputs->profiles[0]->model_sha256, own->model.sha256());
    EXPECT_EQ(inputs->profiles[0]->chain_sha256, own->chain.sha256);
  }
  const PlanInputArguments other{.model = {.model = write_model("other.onnx", chain_model(3))}, .profiles = {path("p.json")}};
  const auto refused = load_plan_inputs(cluster, other, {});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("different models"));
}

TEST_F(Inputs, ADifferenceHasACause) {
  onnx::ModelProto random = empty_model(15);
  add_input(random, "x");
  add_node(random, "RandomNormalLike", {"x"}, {"noise"});
  add_node(random, "Add", {"x", "noise"}, {"y"});
  add_output(random, "y");
  const auto differing = [](const LoadedModel& loaded) {
    Verification verification{.done = true};
    verification.difference = {.is_identical = false, .absolute = 1, .relative = 1, .is_within_tolerance = false};
    for (const Tensor& input : loaded.sample) verification.culprit.push_back({input.spec, Buffer::copy_of(input.data.span())});
    return verification;
  };
  const auto noisy = load(random, {});
  ASSERT_TRUE(noisy) << noisy.error().message;
  Verification verification = differing(*noisy);
  EXPECT_FALSE(verification.holds());
  ASSERT_TRUE(find_cause(*noisy, {}, verification));
  EXPECT_THAT(verification.random_ops, ElementsAre("RandomNormalLike 'noise'"));
  EXPECT_TRUE(verification.holds());
  // A model that answers the same twice: then it is the split.
  const auto plain = load(chain_model(3), {});
  ASSERT_TRUE(plain);
  verification = differing(*plain);
  ASSERT_TRUE(find_cause(*plain, {}, verification));
  EXPECT_FALSE(verification.holds());
  EXPECT_TRUE(verification.engine_difference.is_within_tolerance);
}

}  // namespace
}  // namespace tideline
