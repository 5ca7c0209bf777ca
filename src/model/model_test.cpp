// Goal: no file is believed before it is checked; every refusal is one sentence. Method: one valid model, damaged one way at a
// time.
#include "model/model.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "model/onnx_file.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;
using onnx::TensorProto;

struct Hostile {
  const char* name;
  std::function<void(onnx::ModelProto&)> damage;
  const char* says;  // part of the message
};

// x + w -> y, with every kind of thing to damage.
onnx::ModelProto victim() {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  add_weight(model, "w");
  add_node(model, "Add", {"x", "w"}, {"t"});
  add_node(model, "Relu", {"t"}, {"y"});
  add_output(model, "y");
  return model;
}
TensorProto& weight(onnx::ModelProto& model) { return *model.mutable_graph()->mutable_initializer(0); }

const std::vector<Hostile>& hostile_models() {
  static const std::vector<Hostile> list{
      {"IrVersion9999", [](auto& m) { m.set_ir_version(9999); }, "IR version 9999"},
      {"IrVersion0", [](auto& m) { m.set_ir_version(0); }, "IR version 0"},
      {"Opset999", [](auto& m) { m.mutable_opset_import(0)->set_version(999); }, "operator set 999"},
      {"Opset6", [](auto& m) { m.mutable_opset_import(0)->set_version(6); }, "older than 7"},
      {"OpsetTwice", [](auto& m) { m.add_opset_import()->set_domain("ai.onnx"); }, "twice"},
      {"NoOpset", [](auto& m) { m.clear_opset_import(); }, "no operator set"},
      {"NoGraph", [](auto& m) { m.clear_graph(); }, "no graph"},
      {"NoOutput", [](auto& m) { m.mutable_graph()->clear_output(); }, "no output"},
      {"OutputOfNothing", [](auto& m) { m.mutable_graph()->mutable_output(0)->set_name("z"); }, "made by nothing"},
      {"OutputTwice", [](auto& m) { add_output(m, "y"); }, "two tensors are called 'y'"},
      {"InputTwice", [](auto& m) { add_input(m, "x"); }, "two tensors are called 'x'"},
      {"WeightTwice", [](auto& m) { add_weight(m, "w"); }, "two tensors are called 'w'"},
      {"MadeTwice", [](auto& m) { add_node(m, "Relu", {"x"}, {"t"}); }, "two tensors are called 't'"},
      {"MakesItsInput", [](auto& m) { add_node(m, "Relu", {"t"}, {"x"}); }, "two tensors are called 'x'"},
      {"Dangling", [](auto& m) { m.mutable_graph()->mutable_node(1)->set_input(0, "nowhere"); },
       "'nowhere', which nothing makes"},
      {"Cycle", [](auto& m) { m.mutable_graph()->mutable_node(0)->set_input(0, "y"); }, "cycle"},
      {"OwnInput", [](auto& m) { m.mutable_graph()->mutable_node(1)->set_input(0, "y"); }, "cycle"},
      {"NoOpType", [](auto& m) { m.mutable_graph()->mutable_node(0)->clear_op_type(); }, "no type"},
      {"AttributeTwice",
       [](auto& m) {
         set_ints(m.mutable_graph()->mutable_node(0), "a", {1});
         set_ints(m.mutable_graph()->mutable_node(0), "a", {1});
       },
       "attribute 'a' twice"},
      {"NameWithNul", [](auto& m) { m.mutable_graph()->mutable_node(0)->set_name(std::string("a\0b", 3)); }, "NUL"},
      {"NameNotUtf8", [](auto& m) { m.mutable_graph()->mutable_node(0)->set_name("\xc3("); }, "UTF-8"},
      {"NameTooLong", [](auto& m) { m.mutable_graph()->mutable_node(0)->set_name(std::string(5000, 'a')); }, "above the limit"},
      {"WeightNameless", [](auto& m) { weight(m).clear_name(); }, "no name"},
      {"ShortData", [](auto& m) { weight(m).set_raw_data("abc"); }, "has 3 bytes of data, but its shape needs 16"},
      {"NoData", [](auto& m) { weight(m).clear_raw_data(); }, "has 0 values, but its shape needs 4"},
      {"LongTypedData",
       [](auto& m) {
         weight(m).clear_raw_data();
         for (int i = 0; i < 5; ++i) weight(m).add_float_data(1);
       },
       "has 5 values"},
      {"NegativeDim", [](auto& m) { weight(m).set_dims(0, -1); }, "dimension of -1"},
      {"HugeDims",
       [](auto& m) {
         weight(m).set_dims(0, std::int64_t{1} << 33);
         weight(m).set_dims(1, std::int64_t{1} << 33);
       },
       "more elements"},
      {"HugeDimsHiddenByZero",
       [](auto& m) {
         weight(m).set_dims(0, 0);
         weight(m).set_dims(1, std::int64_t{1} << 62);
       },
       "has 16 bytes of data, but its shape needs 0"},
      {"ManyDims",
       [](auto& m) {
         for (int i = 0; i < 20; ++i) weight(m).add_dims(1);
       },
       "22 dimensions"},
      {"BadDtype", [](auto& m) { weight(m).set_data_type(77); }, "element type 77"},
      {"UndefinedDtype", [](auto& m) { weight(m).set_data_type(0); }, "element type 0"},
      {"RawStrings", [](auto& m) { weight(m).set_data_type(TensorProto::STRING); }, "strings as raw data"},
      {"Segmented", [](auto& m) { weight(m).mutable_segment()->set_begin(0); }, "segments"},
      {"BadInputType",
       [](auto& m) { m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(99); },
       "element type 99"},
      {"NegativeInputDim",
       [](auto& m) {
         m.mutable_graph()
             ->mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->mutable_dim(0)
             ->set_dim_value(-7);
       },
       "dimension of -7"},
      {"HugeInput",
       [](auto& m) {
         auto* shape = m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
         shape->mutable_dim(0)->set_dim_value(std::int64_t{1} << 33);
         shape->mutable_dim(1)->set_dim_value(std::int64_t{1} << 33);
       },
       "larger than the limit"},
      {"SparseBomb",
       [](auto& m) {
         auto* sparse = m.mutable_graph()->add_sparse_initializer();
         sparse->add_dims(std::int64_t{1} << 33);
         set_floats(*sparse->mutable_values(), "bomb", {1});
         auto* indices = sparse->mutable_indices();
         indices->set_data_type(TensorProto::INT64);
         indices->add_dims(1);
         indices->add_int64_data(0);
       },
       "too large once dense"},
      {"ExternalWithoutFolder",
       [](auto& m) {
         weight(m).clear_raw_data();
         weight(m).set_data_location(TensorProto::EXTERNAL);
         auto* entry = weight(m).add_external_data();
         entry->set_key("location");
         entry->set_value("w.bin");
       },
       "other files"},
      {"BodyReadsNothing",
       [](auto& m) {
         auto* node = add_node(m, "If", {"x"}, {"branch"});
         add_node(*add_body(node, "then_branch"), "Relu", {"nowhere"}, {"z"});
       },
       "'nowhere', which nothing makes"},
      {"BodyOutOfOrder",
       [](auto& m) {
         auto* body = add_body(add_node(m, "If", {"x"}, {"branch"}), "then_branch");
         add_node(*body, "Relu", {"late"}, {"z"});
         add_node(*body, "Relu", {"x"}, {"late"});
       },
       "before it is made"},
      {"BodyMakesTwice",
       [](auto& m) {
         auto* body = add_body(add_node(m, "If", {"x"}, {"branch"}), "then_branch");
         add_node(*body, "Relu", {"x"}, {"z"});
         add_node(*body, "Relu", {"x"}, {"z"});
       },
       "two tensors are called 'z'"},
  };
  return list;
}

TEST(ModelRefuses, EveryDamageWithASentenceThatNamesIt) {
  ASSERT_TRUE(parse(victim())) << parse(victim()).error().message;
  for (const Hostile& hostile : hostile_models()) {
    SCOPED_TRACE(hostile.name);
    onnx::ModelProto model = victim();
    hostile.damage(model);
    const auto result = parse(model);
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().message.find(hostile.says), std::string::npos) << result.error().message;
    EXPECT_TRUE(result.error().message.starts_with("[model] 'test.onnx': "));
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
    const ErrorCode code = result.error().code;
    EXPECT_TRUE(code == ErrorCode::kInvalidArgument || code == ErrorCode::kCorrupt || code == ErrorCode::kUnsupported);
  }
}

TEST(ModelRefuses, WhatIsNoModel) {
  for (const std::string& bytes :
       {std::string(), std::string("hello, this is text\n"), std::string(1000, '\0'), std::string(100, '\xff')})
    EXPECT_FALSE(Model::parse(bytes, "test.onnx", ""));
  const std::string whole = victim().SerializeAsString();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto result = Model::parse(std::string_view(whole).substr(0, length), "test.onnx", "");
    EXPECT_FALSE(result) << "cut to " << length << " of " << whole.size();
  }
}

TEST(ModelRefuses, MissingFilesAndFolders) {
  EXPECT_EQ(Model::load("/nonexistent/model.onnx").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Model::load("/tmp"));
  EXPECT_FALSE(Model::load("/dev/zero"));
}

// One byte at a time: whatever comes out is an error or a model, never a crash.
TEST(ModelRefuses, OrReadsEveryFlippedByte) {
  const std::string whole = diamond_model().SerializeAsString();
  int refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      if (!Model::parse(damaged, "test.onnx", "")) ++refused;
    }
  EXPECT_GT(refused, 100);
}

// Two bytes each in the file, a message object each in memory.
TEST(ModelRefuses, ManyTinyMessagesBeforeTheyAreBuilt) {
  const std::size_t count = 12'000'000;
  std::string graph;
  for (std::size_t i = 0; i < count; ++i) graph += std::string_view("\x0a\x00", 2);
  std::string bytes("\x08\x08\x3a", 3);
  for (std::size_t length = graph.size(); length > 0; length >>= 7)
    bytes.push_back(static_cast<char>((length & 0x7f) | (length > 0x7f ? 0x80 : 0)));
  bytes += graph;
  const auto estimate = estimate_structure_bytes(bytes);
  ASSERT_TRUE(estimate);
  EXPECT_GT(*estimate, limits::kModelStructureBytesMax);
  const auto result = Model::parse(bytes, "bomb.onnx", "");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("beside its weights"), std::string::npos) << result.error().message;
}

onnx::ModelProto nested_ifs(int depth) {
  onnx::ModelProto model = empty_model();
  add_input(model, "x");
  add_value(model.mutable_graph()->add_input(), "flag", {}, TensorProto::BOOL);
  add_output(model, "y");
  onnx::GraphProto* graph = model.mutable_graph();
  for (int level = 0; level < depth; ++level) {
    const std::string made = level == 0 ? "y" : "r" + std::to_string(level);
    onnx::NodeProto* node = add_node(*graph, "If", {"flag"}, {made});
    if (level > 0) add_value(graph->add_output(), made, {1, 4});
    onnx::GraphProto* other = add_body(node, "else_branch");
    add_node(*other, "Relu", {"x"}, {"e" + std::to_string(level)});
    add_value(other->add_output(), "e" + std::to_string(level), {1, 4});
    graph = add_body(node, "then_branch");
  }
  add_node(*graph, "Relu", {"x"}, {"deep"});
  add_value(graph->add_output(), "deep", {1, 4});
  return model;
}

TEST(Model, ThirtyNestedIfsAreFineAndFiveHundredAreNot) {
  const auto model = parse(nested_ifs(30));
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->graph().ops.size(), 1u);
  EXPECT_EQ(model->graph().ops[0].inputs.size(), 2u);  // flag, and x from thirty levels down
  EXPECT_FALSE(parse(nested_ifs(80)));
  EXPECT_FALSE(parse(nested_ifs(500)));
}

// Two branches in each branch: a megabyte of file has 16,000 bodies, each of which the engine loads for a millisecond.
TEST(ModelRefuses, ANestOfTwoBranchesEach) {
  const std::function<void(onnx::GraphProto&, int, std::string)> grow = [&](onnx::GraphProto& graph, int levels,
                                                                            std::string name) {
    if (levels == 0) {
      add_node(graph, "Relu", {"x"}, {name});
    } else {
      auto* node = add_node(graph, "If", {"x"}, {name});
      grow(*add_body(node, "then_branch"), levels - 1, name + "t");
      grow(*add_body(node, "else_branch"), levels - 1, name + "e");
    }
    if (name != "y") graph.add_output()->set_name(name);
  };
  const auto nest = [&](int levels) {
    onnx::ModelProto model = empty_model();
    add_input(model, "x");
    grow(*model.mutable_graph(), levels, "y");
    add_output(model, "y");
    return parse(model);
  };
  EXPECT_TRUE(nest(8)) << nest(8).error().message;
  const auto refused = nest(12);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(refused.error().message.find("4096 bodies"), std::string::npos) << refused.error().message;
}

TEST(Model, TwentyThousandOpsInARow) {
  const auto model = parse(chain_model(20'000));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph().ops.size(), 20'000u);
}

onnx::FunctionProto* add_function(onnx::ModelProto& model, const std::string& name, const Names& calls) {
  auto* function = model.add_functions();
  function->set_domain("local");
  function->set_name(name);
  function->add_input("in");
  std::string last = "in";
  for (std::size_t i = 0; i < calls.size(); ++i) {
    auto* node = function->add_node();
    node->set_op_type(calls[i]);
    if (calls[i].starts_with("f")) node->set_domain("local");
    node->add_input(last);
    last = "v" + std::to_string(i);
    node->add_output(last);
  }
  function->add_output(last);
  return function;
}

onnx::ModelProto function_model() {
  onnx::ModelProto model = empty_model();
  auto* local = model.add_opset_import();
  local->set_domain("local");
  local->set_version(1);
  add_input(model, "x");
  add_node(model, "f0", {"x"}, {"y"})->set_domain("local");
  add_output(model, "y");
  return model;
}

TEST(ModelFunctions, AreKeptAndCheckedForRecursionAndExplosion) {
  onnx::ModelProto good = function_model();
  add_function(good, "f0", {"Relu", "f1"});
  add_function(good, "f1", {"Sigmoid"});
  ASSERT_TRUE(parse(good)) << parse(good).error().message;

  onnx::ModelProto recursive = function_model();
  add_function(recursive, "f0", {"f1"});
  add_function(recursive, "f1", {"f0"});
  EXPECT_FALSE(parse(recursive));

  // 2^40 ops once inlined, from 40 functions of two calls.
  onnx::ModelProto bomb = function_model();
  for (int i = 0; i < 40; ++i)
    add_function(bomb, "f" + std::to_string(i), {"f" + std::to_string(i + 1), "f" + std::to_string(i + 1)});
  add_function(bomb, "f40", {"Relu"});
  const auto result = parse(bomb);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("local functions"), std::string::npos) << result.error().message;

  onnx::ModelProto deep = function_model();
  for (int i = 0; i < 50'000; ++i) add_function(deep, "f" + std::to_string(i), {"f" + std::to_string(i + 1)});
  EXPECT_FALSE(parse(deep));
}

TEST(Model, UnsortedOpsAreSortedAndSortedOnesStay) {
  onnx::ModelProto proto = diamond_model();
  proto.mutable_graph()->mutable_node()->SwapElements(0, 4);
  proto.mutable_graph()->mutable_node()->SwapElements(1, 3);
  const auto model = parse(proto);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<std::string> names;
  for (const Op& op : model->graph().ops) names.push_back(op.name);
  EXPECT_EQ(names, (std::vector<std::string>{"top", "right", "left", "sum", "y"}));
  const auto sorted = parse(diamond_model());
  names.clear();
  for (const Op& op : sorted->graph().ops) names.push_back(op.name);
  EXPECT_EQ(names, (std::vector<std::string>{"top", "left", "right", "sum", "y"}));
}

TEST(Model, InitialisedInputsOfOldFilesAreWeights) {
  onnx::ModelProto proto = victim();
  proto.set_ir_version(3);
  add_input(proto, "w");
  const auto model = parse(proto);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->graph().inputs.size(), 1u);
  EXPECT_EQ(model->graph().tensor(model->graph().inputs[0]).spec.name, "x");
  const onnx::ModelProto written = reread(*model->onnx_bytes());
  EXPECT_EQ(written.graph().input_size(), 1);
  EXPECT_GE(written.ir_version(), 4);
}

TEST(Model, DefaultsAreKeptUnlessAnotherValueIsGiven) {
  onnx::ModelProto proto = victim();
  add_input(proto, "w");
  auto model = parse(proto);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_EQ(model->graph().default_inputs.size(), 1u);
  EXPECT_EQ(model->graph().tensor(model->graph().default_inputs[0]).spec.name, "w");
  const Sha256 before = model->sha256();
  const auto value = [](const std::string& name, DType dtype, const Dims& shape, std::size_t bytes) {
    Tensor tensor{{name, dtype, shape}, Buffer(bytes)};
    std::memset(tensor.data.data(), 7, bytes);
    return tensor;
  };
  EXPECT_FALSE(model->set_default(value("x", DType::kFloat32, {1, 4}, 16)));  // no default
  EXPECT_FALSE(model->set_default(value("w", DType::kInt32, {1, 4}, 16)));
  EXPECT_FALSE(model->set_default(value("w", DType::kFloat32, {2, 2}, 16)));
  EXPECT_EQ(model->sha256(), before);
  ASSERT_TRUE(model->set_default(value("w", DType::kFloat32, {1, 4}, 16)));
  EXPECT_NE(model->sha256(), before);
  EXPECT_EQ(reread(*model->onnx_bytes()).graph().initializer(0).raw_data(), std::string(16, 7));
  // A file of before IR version 4 has every weight among its inputs: those are no defaults.
  proto.set_ir_version(3);
  EXPECT_TRUE(parse(proto)->graph().default_inputs.empty());
}

TEST(Model, ShapesAreGivenByNameAndFollowTheirSymbols) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "a", {-1, 3});
  add_input(proto, "b", {-1, 3});
  for (int i = 0; i < 2; ++i)
    proto.mutable_graph()
        ->mutable_input(i)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(0)
        ->set_dim_param("N");
  add_node(proto, "Add", {"a", "b"}, {"y"});
  add_output(proto, "y");
  const auto shape_of = [](const Model& model, std::size_t input) {
    return model.graph().tensor(model.graph().inputs[input]).spec.shape;
  };

  EXPECT_EQ(shape_of(*parse(proto), 0), (Dims{kUnknownDim, 3}));
  const auto fixed = parse(proto, {.shapes = {{"a", {5, 3}}}});
  ASSERT_TRUE(fixed) << fixed.error().message;
  EXPECT_EQ(shape_of(*fixed, 0), (Dims{5, 3}));
  EXPECT_EQ(shape_of(*fixed, 1), (Dims{5, 3}));  // the same symbol

  EXPECT_NE(parse(proto, {.shapes = {{"c", {5, 3}}}}).error().message.find("is no input"), std::string::npos);
  EXPECT_FALSE(parse(proto, {.shapes = {{"a", {5, 4}}}}));  // the file says 3
  EXPECT_FALSE(parse(proto, {.shapes = {{"a", {5}}}}));     // another number of dimensions
  // Nothing in it is a size too: a decoder's first step has a past of length 0.
  EXPECT_EQ(shape_of(*parse(proto, {.shapes = {{"a", {0, 3}}}}), 1), (Dims{0, 3}));
  EXPECT_FALSE(parse(proto, {.shapes = {{"a", {-1, 3}}}}));
  EXPECT_FALSE(parse(proto, {.shapes = {{"a", {std::int64_t{1} << 40, 3}}}}));
}

TEST(Model, ASymbolUsedForTwoSizesBindsNothing) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "a", {-1, -1});
  add_input(proto, "b", {-1});
  for (int i = 0; i < 2; ++i)
    for (auto& dim :
         *proto.mutable_graph()->mutable_input(i)->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim())
      dim.set_dim_param("?");
  add_node(proto, "Add", {"a", "b"}, {"y"});
  add_output(proto, "y");
  const auto model = parse(proto, {.shapes = {{"a", {2, 3}}}});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->graph().tensor(model->graph().inputs[1]).spec.shape, Dims{kUnknownDim});
}

TEST(Model, FieldsThatThisBuildDoesNotKnowSurvive) {
  onnx::ModelProto proto = victim();
  proto.set_ir_version(11);
  // NodeProto.metadata_props of IR 10 is field 9.
  auto* node = proto.mutable_graph()->mutable_node(0);
  node->GetReflection()->MutableUnknownFields(node)->AddLengthDelimited(9)->assign("\x0a\x01k\x12\x01v");
  const auto model = parse(proto);
  ASSERT_TRUE(model) << model.error().message;
  const onnx::ModelProto written = reread(*model->onnx_bytes());
  const auto& fields = written.graph().node(0).GetReflection()->GetUnknownFields(written.graph().node(0));
  ASSERT_EQ(fields.field_count(), 1);
  EXPECT_EQ(fields.field(0).length_delimited(), "\x0a\x01k\x12\x01v");
}

TEST(Model, IdentityIsTheHashOfTheFile) {
  const std::string bytes = victim().SerializeAsString();
  EXPECT_EQ(Model::parse(bytes, "a", "")->sha256(), sha256(bytes));
}

TEST(Model, AllOutputsNamesWhatRunsAndNothingElse) {
  onnx::ModelProto proto = diamond_model();
  add_node(proto, "Relu", {"x"}, {"dead"});
  add_constant(proto, "constant");
  const auto model = parse(proto);
  ASSERT_TRUE(model);
  const onnx::ModelProto written = reread(*model->onnx_bytes(true));
  std::vector<std::string> names;
  for (const auto& output : written.graph().output()) names.push_back(output.name());
  EXPECT_EQ(names, (std::vector<std::string>{"y", "top", "left", "right", "sum"}));
}

}  // namespace
}  // namespace tideline
