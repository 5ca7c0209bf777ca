// model.yaml and the same section as JSON: what is read, what is refused and how the refusal reads.
#include "model/model_config.h"

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "platform/files.h"

namespace tideline {
namespace {

constexpr std::string_view kFull = R"(
version: 1
input:
  tensor: x
  encoding: jpeg
  size: [640, 480]
  resize: crop
  channels: bgr
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
  layout: nhwc
shapes:
  x: [1, 480, 640, 3]
  "other input": [4]
)";

std::string message_of(std::string_view yaml) {
  const auto config = parse_model_config(yaml, "model.yaml");
  if (config) return "accepted";
  EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument);
  return config.error().message;
}

TEST(ModelConfig, ReadsEveryKey) {
  const auto config = parse_model_config(kFull, "model.yaml");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_TRUE(config->input);
  InputSection expected;
  expected.tensor = "x";
  expected.encoding = ImageEncoding::kJpeg;
  expected.width = 640;
  expected.height = 480;
  expected.resize = ResizeMode::kCrop;
  expected.channels = ChannelOrder::kBgr;
  expected.mean = {0.485f, 0.456f, 0.406f};
  expected.std = {0.229f, 0.224f, 0.225f};
  expected.layout = ImageLayout::kNhwc;
  EXPECT_EQ(*config->input, expected);
  ASSERT_EQ(config->shapes.size(), 2u);
  EXPECT_EQ(config->shapes[0].name, "x");
  EXPECT_EQ(config->shapes[0].shape, (std::vector<std::int64_t>{1, 480, 640, 3}));
  EXPECT_EQ(config->shapes[1].name, "other input");
}

TEST(ModelConfig, OnlySizeIsRequired) {
  const auto config = parse_model_config("input: {size: [32, 16]}", "model.yaml");
  ASSERT_TRUE(config) << config.error().message;
  InputSection expected;
  expected.width = 32;
  expected.height = 16;
  EXPECT_EQ(*config->input, expected);
  const auto grey = parse_model_config("input: {size: [32, 16], channels: grey, mean: [0.5], std: [0.25]}", "model.yaml");
  ASSERT_TRUE(grey) << grey.error().message;
  EXPECT_EQ(grey->input->mean[0], 0.5f);
  EXPECT_FALSE(parse_model_config("shapes: {x: [1]}", "model.yaml")->input);
}

TEST(ModelConfig, RefusalsNameThePlaceAndWhatToChange) {
  struct Case {
    std::string_view yaml, part;
  };
  for (const Case& test : std::vector<Case>{
           {"input: {size: [32, 16], chanels: rgb}", "did you mean 'channels'"},
           {"inputs: {size: [32, 16]}", "did you mean 'input'"},
           {"input: {encoding: jpeg}", "input.size"},
           {"input: {size: [32]}", "[width, height]"},
           {"input: {size: [32, 0]}", "input.size[1]"},
           {"input: {size: [32, 99999]}", "16384"},
           {"input: {size: [32, 1.5]}", "whole number"},
           {"input: {size: [32, 16], encoding: gif}", "jpeg, png, image"},
           {"input: {size: [32, 16], layout: chw}", "nchw, nhwc"},
           {"input: {size: [32, 16], std: [1, 0, 1]}", "std"},
           {"input: {size: [32, 16], std: [1, .nan, 1]}", "finite"},
           {"input: {size: [32, 16], mean: [0.5]}", "3 numbers"},
           {"input: {size: [32, 16], mean: [1e300, 0, 0]}", "mean"},
           {"input: 7", "map"},
           {"shapes: {x: [-1]}", "shapes.x[0]"},
           {"input: {size: [32, 16], resize: letterbox, pad: [1, 2]}", "one number or 3"},
           {"input: {size: [32, 16], resize: letterbox, pad: 256}", "0 to 255"},
           {"input: {size: [32, 16], resize: letterbox, align: left}", "centre, start"},
           {"input: {size: [32, 16], pad: 0}", "letterbox"},
           {"input: {size: [32, 16], orientation: sideways}", "none, exif"},
           {"input: {size: {shortest: 64}}", "longest"},
           {"input: {size: {shortest: 64, longest: 32}}", "at least size.shortest"},
           {"input: {size: {shortest: 64, longest: 100, multiple: 32}}", "a multiple of size.multiple"},
           {"input: {size: {shortest: 0, longest: 100}}", "1 to 16384"},
           {"input: {size: {short: 64, longest: 100}}", "size.shortest"},
           {"output: {tensor: y}", "output.steps"},
           {"output: {steps: [topk: {k: 5, j: 1}]}", "k"},
           {"outputs: {steps: [softmax]}", "did you mean 'output'"},
           {"input: {size: [32, 16], align: start}", "letterbox"},
           {"shapes: {x: 4}", "list"},
           {"shapes: {x: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "dimensions"},
           {"shapes: {x: [1], x: [2]}", "twice"},
           {"version: 2\ninput: {size: [32, 16]}", "newer"},
           {"", "empty"},
       })
    EXPECT_NE(message_of(test.yaml).find(test.part), std::string::npos) << test.yaml << " -> " << message_of(test.yaml);
  EXPECT_EQ(message_of("input:\n  size: [32, 16]\n  layout: chw").rfind("model.yaml:3:", 0), 0u);
}

TEST(ModelConfig, EveryExampleIsRead) {
  const char* source = std::getenv("TIDELINE_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const std::string folder = std::string(source) + "/examples/models/";
  const auto names = list_files(folder);
  ASSERT_TRUE(names) << names.error().message;
  EXPECT_GE(names->size(), 7u);
  for (const std::string& name : *names) {
    const auto text = read_file(folder + name, limits::kYamlFileBytesMax);
    ASSERT_TRUE(text);
    const auto config = parse_model_config(*text, name);
    EXPECT_TRUE(config) << config.error().message;
  }
}

TEST(InputSectionJson, SurvivesTheWayThereAndBack) {
  const InputSection full = *parse_model_config(kFull, "model.yaml")->input;
  const auto back = parse_input_section_json(write_input_section(full));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, full);
  InputSection grey;
  grey.width = grey.height = 9;
  grey.channels = ChannelOrder::kGrey;
  grey.mean = {0.1f, 0, 0};
  grey.std = {0.3f, 1, 1};
  EXPECT_EQ(*parse_input_section_json(write_input_section(grey)), grey);
}

TEST(InputSectionJson, FollowingSizesAndOrientationSurvive) {
  const auto config = parse_model_config(
      "input: {size: {shortest: 480, multiple: 32, longest: 960}, orientation: exif}\noutput: {steps: [softmax]}", "m");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_TRUE(config->input && config->output);
  EXPECT_EQ(config->input->follow, (FollowSize{480, 32, 960}));
  EXPECT_EQ(config->input->orientation, Orientation::kExif);
  EXPECT_EQ(config->output->steps.size(), 1u);
  const std::string text = write_input_section(*config->input);
  const auto back = parse_input_section_json(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, *config->input);
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_input_section_json(text.substr(0, size)));
  for (const auto& [from, to] : {std::pair{"480", "0"}, {"480", "961"}, {"\"multiple\":32", "\"multiple\":7"}, {"exif", "gps"}}) {
    std::string bad = text;
    bad.replace(bad.find(from), std::string_view(from).size(), to);
    EXPECT_FALSE(parse_input_section_json(bad)) << bad;
  }
}

TEST(InputSectionJson, LetterboxAndTypesSurviveAndOthersStayAsTheyWere) {
  InputSection section =
      *parse_model_config("input: {size: [64, 48], resize: letterbox, pad: [1, 2, 3], align: start}", "m")->input;
  EXPECT_EQ(section.pad, (std::array<std::uint8_t, 3>{1, 2, 3}));
  section.dtype = DType::kFloat16;
  EXPECT_EQ(*parse_input_section_json(write_input_section(section)), section);
  EXPECT_EQ(parse_model_config("input: {size: [64, 48], resize: letterbox, pad: 7}", "m")->input->pad[2], 7);
  EXPECT_EQ(parse_model_config("input: {size: [64, 48], resize: letterbox}", "m")->input->pad[0], 114);
  const InputSection plain = *parse_model_config(kFull, "model.yaml")->input;
  EXPECT_EQ(write_input_section(plain).find("pad"), std::string::npos);
  EXPECT_EQ(write_input_section(plain).find("dtype"), std::string::npos);
  std::string text = write_input_section(section);
  text.replace(text.find("float16"), 7, "complex");
  EXPECT_FALSE(parse_input_section_json(text));
}

TEST(InputSectionJson, HostileTextIsRefused) {
  const std::string good = write_input_section(*parse_model_config(kFull, "model.yaml")->input);
  const auto refuses = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    EXPECT_FALSE(parse_input_section_json(text)) << text;
  };
  refuses("[640,480]", "[640,480,1]");
  refuses("[640,480]", "[1e9,480]");
  refuses("[640,480]", "[6.5,480]");
  refuses("[640,480]", "[-1,480]");
  refuses("\"nhwc\"", "\"hwc\"");
  refuses("\"nhwc\"", "3");
  refuses("\"layout\"", "\"lay\"");
  refuses("\"tensor\":\"x\"", "\"tensor\":[1]");
  refuses("\"std\":[", "\"std\":[0,");
  refuses("\"tensor\":\"x\"", "\"tensor\":\"" + std::string(5000, 'x') + "\"");
  for (const std::string& text : {std::string(), std::string("null"), std::string("[]"), std::string("{}"),
                                  std::string("\xff\xfe"), std::string(100'000, '['), good + "x"})
    EXPECT_FALSE(parse_input_section_json(text));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_input_section_json(good.substr(0, size)));
}

TEST(ModelConfig, Exits) {
  const auto config =
      parse_model_config("accuracy: 0.9\nexits: [{output: e1, accuracy: 0.7}, {output: 'a/b:0', accuracy: 1}]\n", "m");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->accuracy, 0.9);
  EXPECT_EQ(config->exits, (std::vector<ExitSection>{{"e1", 0.7}, {"a/b:0", 1}}));
  EXPECT_EQ(parse_model_config("accuracy: 0.5\n", "m")->accuracy, 0.5);
  const auto refused = [](std::string_view yaml, std::string_view sentence) {
    const std::string message = message_of(yaml);
    EXPECT_NE(message.find(sentence), std::string::npos) << message;
  };
  refused("exits: [{output: e1, accuracy: 0.7}]\n", "write its own accuracy too, as in accuracy: 0.9");
  refused("accuracy: 90\n", "above 0 and at most 1");
  refused("accuracy: 0\n", "above 0 and at most 1");
  refused("accuracy: .nan\n", "accuracy");
  refused("accuracy: 0.9\nexits: []\n", "an empty list");
  refused("accuracy: 0.9\nexits: [{output: e1}]\n", "accuracy");
  refused("accuracy: 0.9\nexits: [{output: e1, accuracy: 1.01}]\n", "above 0 and at most 1");
  refused("accuracy: 0.9\nexits: [{output: '', accuracy: 1}]\n", "missing or too long");
  refused("accuracy: 0.9\nexits: [{output: e, accuracy: 0.1}, {output: e, accuracy: 0.2}]\n", "'e' is an exit twice");
  refused("accuracy: 0.9\nexits: [{output: e, accuracy: 0.1, threshold: 0.5}]\n", "threshold");
  std::string many = "accuracy: 0.9\nexits:\n";
  for (std::size_t i = 0; i <= limits::kExitsMax; ++i) many += "  - {output: e" + std::to_string(i) + ", accuracy: 0.5}\n";
  refused(many, "more than 64 exits");
}

}  // namespace
}  // namespace tideline
