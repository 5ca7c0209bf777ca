// The output section of model.yaml and its steps as JSON: what is read, what is refused and how the refusal reads.
#include "output/output_section.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "output/output_steps.h"

namespace tideline {
namespace {

Result<OutputSection> parse(const std::string& yaml) {
  TIDELINE_TRY(const YamlNode root, parse_yaml(yaml, "model.yaml"));
  return read_output_section(root);
}

std::string message_of(const std::string& yaml) {
  const auto section = parse(yaml);
  if (section) return "accepted";
  EXPECT_EQ(section.error().code, ErrorCode::kInvalidArgument);
  return section.error().message;
}

constexpr const char* kHeads =
    "tensors: [a, b]\n"
    "steps:\n"
    "  - boxes: {format: yolov5, score: 0.25, candidates: 300, anchors: [[[10, 13], [16, 30]], [[30.5, 61]]], strides: [8, 16]}\n"
    "  - nms: {iou: 0.45, boxes: 50}\n"
    "labels: [person, 'traffic light']\n";

constexpr const char* kSsd =
    "steps:\n"
    "  - boxes:\n"
    "      format: ssd\n"
    "      score: 0.5\n"
    "      size: [300, 200]\n"
    "      variances: [0.1, 0.25]\n"
    "      scores: sigmoid\n"
    "      priors:\n"
    "        - {cells: [38, 20], min: 30, max: 60, ratios: [2]}\n"
    "        - {cells: [1, 1], min: 200}\n";

TEST(OutputSection, ReadsEveryKey) {
  const auto heads = parse(kHeads);
  ASSERT_TRUE(heads) << heads.error().message;
  EXPECT_EQ(heads->tensors, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(heads->steps.size(), 2u);
  EXPECT_EQ(heads->steps[0].kind, OutputKind::kBoxes);
  EXPECT_EQ(heads->steps[0].format, BoxFormat::kYolov5);
  EXPECT_EQ(heads->steps[0].candidates, 300u);
  EXPECT_EQ(heads->steps[0].anchors[1][0], (std::array<double, 2>{30.5, 61}));
  EXPECT_EQ(heads->steps[0].strides, (std::vector<double>{8, 16}));
  EXPECT_FALSE(heads->steps[0].every_class);
  EXPECT_EQ(heads->steps[1].iou, 0.45);
  EXPECT_EQ(heads->steps[1].boxes, 50u);
  EXPECT_EQ(heads->labels, (std::vector<std::string>{"person", "traffic light"}));

  const auto ssd = parse(kSsd);
  ASSERT_TRUE(ssd) << ssd.error().message;
  const OutputStep& step = ssd->steps[0];
  EXPECT_TRUE(step.every_class);
  EXPECT_EQ(step.size, (std::array<std::uint32_t, 2>{300, 200}));
  EXPECT_EQ(step.scores, ScoreRule::kSigmoid);
  EXPECT_EQ(step.variances, (std::array<double, 2>{0.1, 0.25}));
  ASSERT_EQ(step.priors.size(), 2u);
  EXPECT_EQ(step.priors[0], (PriorMap{{38, 20}, 30, 60, {2}}));
  EXPECT_EQ(step.priors[1], (PriorMap{{1, 1}, 200, 0, {}}));

  const auto plain = parse("{tensor: x, steps: [sigmoid, softmax, {topk: {k: 5}}], labels: names.txt}");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(plain->tensors, std::vector<std::string>{"x"});
  EXPECT_EQ(plain->steps[1].axis, -1);
  EXPECT_EQ(plain->steps[2].k, 5u);
  EXPECT_EQ(plain->labels_file, "names.txt");
  EXPECT_EQ(parse("{steps: [text_boxes]}")->steps[0].score, 0.6);
  EXPECT_EQ(parse("{steps: [text_boxes: {unclip: 2, side: 4, value: 0.2}]}")->steps[0].unclip, 2);
}

TEST(OutputSection, RefusalsNameThePlaceAndWhatToChange) {
  struct Case {
    std::string yaml, part;
  };
  for (const Case& test : std::vector<Case>{
           {"{tensor: x}", "steps"},
           {"{steps: []}", "1 to 16 steps"},
           {"{steps: [softmax], step: 1}", "did you mean 'steps'"},
           {"{tensor: a, tensors: [b], steps: [softmax]}", "not both"},
           {"{tensors: [b, b], steps: [softmax]}", "twice"},
           {"{steps: [relu]}", "expected sigmoid, softmax"},
           {"{steps: [relu: {}]}", "a step is one of"},
           {"{steps: [topk]}", "write `- topk: {...}`"},
           {"{steps: [topk: {}]}", "k"},
           {"{steps: [topk: {k: 0}]}", "1 to 10000"},
           {"{steps: [softmax: {axis: 99}]}", "dimensions"},
           {"{steps: [softmax: {axes: 1}]}", "did you mean 'axis'"},
           {"{steps: [threshold: {value: .nan}]}", "finite"},
           {"{steps: [boxes: {format: yolov9, score: 0.1}]}", "yolov8, rows, ssd"},
           {"{steps: [boxes: {format: rows}]}", "score"},
           {"{steps: [boxes: {format: rows, score: 2}]}", "0 to 1"},
           {"{steps: [boxes: {format: rows, score: 0.1, candidates: 1000000}]}", "1 to 20000"},
           {"{steps: [boxes: {format: rows, score: 0.1, anchors: [[[1, 1]]]}]}", "anchors"},
           {"{steps: [boxes: {format: yolov3, score: 0.1}]}", "anchors"},
           {"{steps: [boxes: {format: yolov3, score: 0.1, anchors: [[[1, 1]]], strides: [8, 16]}]}", "each of the 1"},
           {"{steps: [boxes: {format: yolov3, score: 0.1, anchors: [[[1, 0]]], strides: [8]}]}", "0.001"},
           {"{steps: [boxes: {format: yolov3, score: 0.1, anchors: [[[1]]], strides: [8]}]}", "[width, height]"},
           {"{steps: [boxes: {format: yolox, score: 0.1, strides: [8]}]}", "size"},
           {"{steps: [boxes: {format: ssd, score: 0.1, size: [3, 3]}]}", "priors"},
           {"{steps: [boxes: {format: ssd, score: 0.1, size: [3, 3], priors: [{cells: [9000, 9000], min: 1}]}]}",
            "1000000 priors"},
           {"{steps: [nms: {iou: 0.5}, softmax]}", "nothing but 'nms'"},
           {"{steps: [softmax, nms: {iou: 0.5}]}", "right behind 'boxes'"},
           {"{steps: [argmax, softmax]}", "nothing but 'nms'"},
           {"{steps: [text_boxes: {boxes: 0}]}", "1 to 10000"},
           {"{steps: [softmax], labels: {a: 1}}", "expected text"},
       })
    EXPECT_NE(message_of(test.yaml).find(test.part), std::string::npos) << test.yaml << " -> " << message_of(test.yaml);
  EXPECT_EQ(message_of("steps:\n  - topk: {k: x}").rfind("model.yaml:2:", 0), 0u);
}

TEST(OutputSection, StepsSurviveTheWayThereAndBack) {
  for (const char* text :
       {kHeads, kSsd, "{steps: [sigmoid, softmax: {axis: 2}, argmax: {axis: 0}]}", "{steps: [threshold: {value: -1.5e-7}]}",
        "{steps: [topk: {k: 3}]}", "{steps: [text_boxes: {value: 0.1, score: 0.3, unclip: 1.7, side: 0, boxes: 9}]}",
        "{steps: [boxes: {format: yolox, score: 0, size: [64, 32], strides: [8, 16.5], every_class: true}]}"}) {
    const auto section = parse(text);
    ASSERT_TRUE(section) << section.error().message;
    const auto back = parse_output_steps(write_output_steps(section->steps));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, section->steps) << text;
  }
  const std::string good = write_output_steps(parse(kSsd)->steps);
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(parse_output_steps(good.substr(0, size)));
}

TEST(OutputSection, LabelsAreLines) {
  EXPECT_EQ(*parse_labels("cat\r\ndog\n", "l"), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(*parse_labels("\na", "l"), (std::vector<std::string>{"", "a"}));
  EXPECT_TRUE(parse_labels("", "l")->empty());
  EXPECT_NE(parse_labels("a\n\xff\n", "names.txt").error().message.find("names.txt:2"), std::string::npos);
  EXPECT_FALSE(parse_labels(std::string(limits::kLabelBytesMax + 1, 'x'), "l"));
  EXPECT_FALSE(parse_labels(std::string(limits::kLabelsMax + 1, '\n'), "l"));
}

}  // namespace
}  // namespace tideline
