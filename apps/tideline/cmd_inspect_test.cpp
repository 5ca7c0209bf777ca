// Goal: what scripts rely on (keys, exit codes), and that no bad model does anything but end `inspect` with one sentence.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;
namespace fs = std::filesystem;

struct Answer {
  int exit_code = -1;
  std::string out;
  std::string err;
};

class Inspect : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("tideline_inspect_" + std::to_string(::getpid()));
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return (root_ / name).string(); }
  void write(const std::string& name, const std::string& bytes) const { std::ofstream(root_ / name, std::ios::binary) << bytes; }

  static std::string read(const std::string& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }
  Answer run(const std::string& arguments) const {
    const char* binary = std::getenv("TIDELINE_BINARY");
    const std::string command = std::string(binary == nullptr ? "build/release/bin/tideline" : binary) + " inspect " + arguments +
                                " >" + path("out") + " 2>" + path("err");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(path("out")), read(path("err"))};
  }
  Answer run_model(const onnx::ModelProto& model, const std::string& arguments = "") const {
    write("m.onnx", model.SerializeAsString());
    return run(path("m.onnx") + " -o json " + arguments);
  }

  fs::path root_;
};

TEST_F(Inspect, PrintsTheKeysThatScriptsUse) {
  const Answer answer = run_model(diamond_model());
  ASSERT_EQ(answer.exit_code, 0) << answer.err;
  const auto json = nlohmann::json::parse(answer.out);
  EXPECT_EQ(json["model"]["sha256"].get<std::string>().size(), 64u);
  EXPECT_EQ(json["model"]["ops"], 5);
  EXPECT_EQ(json["model"]["parameter_bytes"], 0);
  ASSERT_EQ(json["blocks"].size(), 3u);
  const auto& block = json["blocks"][1];
  EXPECT_EQ(block["index"], 1);
  EXPECT_EQ(block["name"], "sum");
  EXPECT_EQ(block["ops"], 3);
  EXPECT_EQ(block["flops"], 12);
  EXPECT_EQ(block["parameter_bytes"], 0);
  EXPECT_EQ(block["output_bytes"], 16);
  ASSERT_EQ(json["cuts"].size(), 4u);
  EXPECT_EQ(json["cuts"][0]["after_block"], -1);
  EXPECT_EQ(json["cuts"][2],
            nlohmann::json::parse(
                R"({"index":2,"after_block":1,"bytes":16,"tensors":[{"name":"sum","dtype":"float32","shape":[1,4]}]})"));
}

TEST_F(Inspect, ExtractsAModelThatCanBeInspected) {
  const Answer answer = run_model(diamond_model(), "--extract 1:2 --out " + path("part.onnx"));
  ASSERT_EQ(answer.exit_code, 0) << answer.err;
  EXPECT_EQ(nlohmann::json::parse(answer.out)["extracted"]["first_block"], 1);
  const Answer part = run(path("part.onnx") + " -o json");
  ASSERT_EQ(part.exit_code, 0) << part.err;
  EXPECT_EQ(nlohmann::json::parse(part.out)["model"]["ops"], 4);
}

TEST_F(Inspect, AConfigWithoutAPictureLeavesItsSizeOpen) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {-1, 3, -1, -1});
  add_node(model, "Relu", {"x"}, {"y"});
  add_output(model, "y", {-1, 3, -1, -1});
  write("m.yaml", "input:\n  encoding: jpeg\n  size: [8, 6]\n");
  const Answer answer = run_model(model, "--config " + path("m.yaml"));
  ASSERT_EQ(answer.exit_code, 0) << answer.err;
  const auto json = nlohmann::json::parse(answer.out);
  EXPECT_EQ(json["blocks"].size(), 4u);
  EXPECT_TRUE(json["cuts"][0]["bytes"].is_null());
  EXPECT_EQ(json["cuts"][2]["bytes"], 8 * 6 * 3);
  EXPECT_EQ(json["cuts"][3]["tensors"][0]["shape"], nlohmann::json::parse("[1,3,6,8]"));
}

onnx::ModelProto conv_model(const std::function<void(onnx::NodeProto*)>& attributes) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {1, 2, 8, 8});
  add_weight(model, "w", {2, 2, 3, 3});
  attributes(add_node(model, "Conv", {"x", "w"}, {"y"}));
  add_output(model, "y", {1, 2, 6, 6});
  return model;
}

// An op that makes a tensor of this size out of almost nothing.
onnx::ModelProto huge_model(const char* type, const Dims& dims) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x", {1});
  auto* shape = model.mutable_graph()->add_initializer();
  shape->set_name("shape");
  shape->set_data_type(onnx::TensorProto::INT64);
  shape->add_dims(static_cast<std::int64_t>(dims.size()));
  for (const std::int64_t dim : dims) shape->add_int64_data(dim);
  const bool expands = std::string_view(type) == "Expand";
  add_node(model, type, expands ? Names{"x", "shape"} : Names{"shape"}, {"h"});
  add_node(model, "ReduceMax", {"h"}, {"m"});
  add_node(model, "Add", {"m", "x"}, {"y"});
  add_output(model, "y", {1});
  return model;
}

onnx::ModelProto external_model(const std::string& location) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  auto* weight = add_weight(model, "w");
  weight->clear_raw_data();
  weight->set_data_location(onnx::TensorProto::EXTERNAL);
  auto* entry = weight->add_external_data();
  entry->set_key("location");
  entry->set_value(location);
  add_node(model, "Add", {"x", "w"}, {"y"});
  add_output(model, "y");
  return model;
}

TEST_F(Inspect, EveryBadModelEndsWithCodeThreeAndOneSentence) {
  std::vector<std::pair<std::string, std::string>> bad{{"empty", ""},
                                                       {"text", "this is no model\n"},
                                                       {"random", "\x8f\x01\x9c\xff\xfe\x33\x12\x90"},
                                                       {"truncated", diamond_model().SerializeAsString().substr(0, 60)}};
  const auto add = [&](const char* name, onnx::ModelProto model, const std::function<void(onnx::ModelProto&)>& damage = {}) {
    if (damage) damage(model);
    bad.emplace_back(name, model.SerializeAsString());
  };
  add("cycle", diamond_model(), [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "y"); });
  add("dangling", diamond_model(), [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "z"); });
  add("twice", diamond_model(), [](auto& m) { add_node(m, "Relu", {"x"}, {"top"}); });
  add("unknown op", diamond_model(), [](auto& m) { m.mutable_graph()->mutable_node(0)->set_op_type("NoSuchOp"); });
  add("unknown domain", diamond_model(), [](auto& m) { m.mutable_graph()->mutable_node(0)->set_domain("no.such.domain"); });
  add("newest IR", diamond_model(), [](auto& m) { m.set_ir_version(9999); });
  add("newest opset", diamond_model(), [](auto& m) { m.mutable_opset_import(0)->set_version(999); });
  add("opset 60", diamond_model(), [](auto& m) { m.mutable_opset_import(0)->set_version(60); });
  add("stride 0", conv_model([](auto* node) { set_ints(node, "strides", {0, 0}); }));
  add("kernel 0", conv_model([](auto* node) { set_ints(node, "kernel_shape", {0, 0}); }));
  add("group 0", conv_model([](auto* node) { add_attribute(node, "group", onnx::AttributeProto::INT)->set_i(0); }));
  add("wrong shape", diamond_model(), [](auto& m) {
    set_ints(add_node(m, "Transpose", {"x"}, {"z"}), "perm", {0, 0, 5});
    add_output(m, "z");
  });
  add("10^12 elements", huge_model("ConstantOfShape", {1'000'000, 1'000'000}));
  add("17 GB", huge_model("Expand", {4, 1 << 30}));
  add("external absolute", external_model("/etc/hostname"));
  add("external outside", external_model("../secret"));
  add("external marker", external_model("*/_ORT_MEM_ADDR_/"));
  for (const auto& [name, bytes] : bad) {
    SCOPED_TRACE(name);
    write("m.onnx", bytes);
    const Answer answer = run(path("m.onnx") + " -o json");
    EXPECT_EQ(answer.exit_code, 3) << answer.err;
    EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1) << answer.err;
    const auto json = nlohmann::json::parse(answer.out, nullptr, false);
    ASSERT_TRUE(json.is_object()) << answer.out;
    EXPECT_EQ(json["ok"], false);
  }
}

TEST_F(Inspect, SaysWhichSettingIsMissingOrWrong) {
  onnx::ModelProto model = empty_model();
  add_input(model, "pixels", {-1, 3});
  add_node(model, "Relu", {"pixels"}, {"y"});
  add_output(model, "y", {-1, 3});
  const auto refused = [&](const std::string& arguments, const std::string& says) {
    const Answer answer = run_model(model, arguments);
    EXPECT_EQ(answer.exit_code, 3) << arguments;
    EXPECT_NE(answer.err.find(says), std::string::npos) << answer.err;
  };
  refused("", "pixels");
  refused("", "--shape");
  refused("--shape pixel=1,3", "did you mean 'pixels'?");
  refused("--shape pixels=1,4", "the model says");
  refused("--shape pixels", "--shape");
  const std::string good = "--shape pixels=1,3 ";
  EXPECT_EQ(run_model(model, good).exit_code, 0);
  refused(good + "--extract 0:7 --out " + path("x.onnx"), "blocks 0 to 0");
  refused(good + "--extract 0-7 --out " + path("x.onnx"), "FIRST:LAST");
  refused(good + "--extract 0:0", "--out");
  refused(good + "--extract 0:0 --out /nonexistent/x.onnx", "nonexistent");
  EXPECT_EQ(run_model(model, "--no-such-option").exit_code, 2);
}

TEST_F(Inspect, TakesTheValuesOfAnInput) {
  // float32[1,4] of NumPy: a header of 118 bytes.
  std::string npy("\x93NUMPY\x01\x00\x76\x00", 10);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }";
  header.append(0x76 - 1 - header.size(), ' ');
  npy += header + "\n" + std::string(16, '\0');
  write("x.npy", npy);
  const Answer given = run_model(diamond_model(), "--input " + path("x.npy"));
  ASSERT_EQ(given.exit_code, 0) << given.err;
  EXPECT_EQ(nlohmann::json::parse(given.out)["made_up_inputs"].size(), 0u);
  EXPECT_EQ(given.err, "");
  const Answer named = run_model(diamond_model(), "--input x=" + path("x.npy"));
  EXPECT_EQ(named.exit_code, 0) << named.err;
  const Answer nothing = run_model(diamond_model());
  EXPECT_EQ(nlohmann::json::parse(nothing.out)["made_up_inputs"], nlohmann::json::parse("[\"x\"]"));
  EXPECT_NE(nothing.err.find("made-up numbers"), std::string::npos);
  EXPECT_EQ(run_model(diamond_model(), "-q").err, "");
  EXPECT_EQ(run_model(diamond_model(), "--input a.npy --input b.npy").exit_code, 2);
}

// Names come from a file, and a file may be hostile: nothing in them reaches the terminal as it is.
TEST_F(Inspect, NamesNeverControlTheTerminal) {
  onnx::ModelProto model = empty_model(15);
  const std::string evil = "a\x1b]0;owned\x07\x1b[31m\nfake: line";
  add_input(model, evil + "x");
  add_input(model, evil + "d");
  add_weight(model, evil + "d");
  add_node(model, "RandomNormalLike", {evil + "x"}, {evil + "r"})->set_name(evil);
  add_node(model, "Mul", {evil + "r", evil + "d"}, {evil + "m"});
  add_node(model, "Add", {evil + "x", evil + "m"}, {evil + "y"});
  add_output(model, evil + "y");
  const std::string file = "evil\x1b[31m.onnx";
  write(file, model.SerializeAsString());
  for (const std::string options : {"", "-o json"}) {
    const Answer answer = run("'" + path(file) + "' " + options);
    EXPECT_EQ(answer.exit_code, 0) << answer.err;
    for (const std::string& text : {answer.out, answer.err})
      for (const char c : text) ASSERT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << text;
    EXPECT_EQ(answer.out.find("\nfake"), std::string::npos);
  }
}

}  // namespace
}  // namespace tideline
