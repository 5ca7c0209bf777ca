// Goal: answers as JSON name classes and put boxes where they are in the picture. Method: LeNet behind an input and an output
// section with labels in a file, and answers made by hand.
#include "session/answer_json.h"

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "platform/files.h"
#include "platform/temp_folder.h"
#include "zoo/zoo.h"

namespace tideline {
namespace {

using nlohmann::json;

template <typename T>
Tensor tensor(DType dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  return {{"", dtype, std::move(shape)}, Buffer::copy_of(std::as_bytes(std::span(values)))};
}

class AnswerJson : public testing::Test {
 protected:
  void SetUp() override {
    const char* packages = std::getenv("TIDELINE_THIRD_PARTY");
    ASSERT_NE(packages, nullptr) << "run this by ctest, which sets its environment";
    photo_ = std::string(packages) + "/photos/china.jpg";  // 640 x 427
    auto folder = TempFolder::make("tideline-answer");
    ASSERT_TRUE(folder);
    folder_.emplace(std::move(*folder));
    std::ofstream(folder_->path() + "/digits.txt") << "zero\none\ntwo\n";
  }

  Result<LoadedModel> load(const std::string& yaml, const std::string& input) {
    const std::string config = folder_->path() + "/model.yaml";
    std::ofstream(config) << yaml;
    return load_model_bytes(*zoo_model("lenet5", 1), "lenet5", {.config = config, .input = input}, {});
  }

  static constexpr const char* kInput =
      "input: {size: [32, 32], resize: letterbox, channels: grey, pad: 0}\n"
      "output: {steps: [softmax, topk: {k: 3}], labels: digits.txt}\n";

  std::string photo_;
  std::optional<TempFolder> folder_;
};

TEST_F(AnswerJson, ClassesHaveTheirLabels) {
  const auto loaded = load(kInput, photo_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->labels, (std::vector<std::string>{"zero", "one", "two"}));
  auto unsplit = Unsplit::load(*loaded);
  ASSERT_TRUE(unsplit) << unsplit.error().message;
  const auto outputs = unsplit->run(loaded->sample, {});
  ASSERT_TRUE(outputs) << outputs.error().message;
  const auto text = answer_json(*loaded, *outputs, seen_picture(*loaded, loaded->sample));
  ASSERT_TRUE(text);
  const json answer = json::parse(*text);
  ASSERT_EQ(answer["classes"].size(), 3u);
  double sum = 0;
  for (const json& entry : answer["classes"]) {
    sum += entry["score"].get<double>();
    const auto label = entry["class"].get<std::size_t>();
    EXPECT_EQ(entry.contains("label"), label < 3);
    if (label < 3) {
      EXPECT_EQ(entry["label"], loaded->labels[label]);
    }
  }
  EXPECT_GT(sum, 0.3);
  EXPECT_LE(sum, 1.0001);
  EXPECT_GE(answer["classes"][0]["score"], answer["classes"][1]["score"]);
  // What is missing because it is no number is left out; several rows are rows.
  std::vector<Tensor> made;
  made.push_back(tensor<float>(DType::kFloat32, {2, 3}, {3, 2, 1, 5, NAN, NAN}));
  made.push_back(tensor<std::int64_t>(DType::kInt64, {2, 3}, {7, 1, 0, 2, -1, -1}));
  const json rows = json::parse(*answer_json(*loaded, made, std::nullopt));
  ASSERT_EQ(rows["rows"].size(), 2u);
  EXPECT_EQ(rows["rows"][1], json::parse(R"([{"class": 2, "score": 5.0, "label": "two"}])"));
  made.pop_back();
  EXPECT_FALSE(answer_json(*loaded, made, std::nullopt));
}

// 640 x 427 in 32 x 32: scale 1/20, 21 pixels high, 5 above it.
TEST_F(AnswerJson, BoxesAreInThePictureAndNotBeyondIt) {
  auto loaded = load(kInput, photo_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto picture = seen_picture(*loaded, loaded->sample);
  ASSERT_TRUE(picture);
  loaded->chain.output_steps = *parse_output_steps(R"([{"boxes": {"format": "rows", "score": 0}}, {"nms": {"iou": 0.5}}])");
  std::vector<Tensor> made;
  made.push_back(tensor<float>(DType::kFloat32, {2, 6}, {8, 5, 24, 26, 0.9f, 1, -3, 0, 40, 31, 0.5f, 9}));
  const json answer = json::parse(*answer_json(*loaded, made, picture));
  EXPECT_EQ(answer["coordinates"], "picture");
  EXPECT_EQ(answer["picture"], json::parse(R"({"width": 640, "height": 427})"));
  ASSERT_EQ(answer["boxes"].size(), 2u);
  const json& box = answer["boxes"][0];
  EXPECT_NEAR(box["x1"], 160, 1e-3);
  EXPECT_NEAR(box["x2"], 480, 1e-3);
  EXPECT_NEAR(box["y1"], 0, 1e-3);
  EXPECT_NEAR(box["y2"], 427, 1e-3);
  EXPECT_EQ(box["label"], "one");
  EXPECT_EQ(box["class"], 1);
  EXPECT_EQ(answer["boxes"][1]["x1"], 0);
  EXPECT_EQ(answer["boxes"][1]["x2"], 640);
  EXPECT_FALSE(answer["boxes"][1].contains("label"));
  const json raw = json::parse(*answer_json(*loaded, made, std::nullopt));
  EXPECT_EQ(raw["coordinates"], "model_input");
  EXPECT_EQ(raw["boxes"][0]["x1"], 8);
}

// A map of 16 x 16 behind 32 x 32 pixels.
TEST_F(AnswerJson, TextBoxesGoBackFromTheirMap) {
  auto loaded = load("input: {size: [32, 32], channels: grey}\noutput: {steps: [softmax]}", photo_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_FALSE(answer_json(*loaded, {}, std::nullopt));
  loaded->chain.output_steps = *parse_output_steps(R"(["text_boxes"])");
  loaded->chain.cuts[loaded->chain.block_count() - 1].tensors[0].shape = {1, 1, 16, 16};
  std::vector<Tensor> made;
  made.push_back(tensor<float>(DType::kFloat32, {1, 9}, {4, 8, 8, 8, 8, 12, 4, 12, 0.75f}));
  const json answer = json::parse(*answer_json(*loaded, made, seen_picture(*loaded, loaded->sample)));
  ASSERT_EQ(answer["boxes"].size(), 1u);
  const json& corners = answer["boxes"][0]["corners"];
  EXPECT_NEAR(corners[0][0], 160, 1e-3);
  EXPECT_NEAR(corners[0][1], 213.5, 1e-3);
  EXPECT_NEAR(corners[2][0], 320, 1e-3);
  EXPECT_NEAR(corners[2][1], 320.25, 1e-3);
  EXPECT_EQ(answer["boxes"][0]["score"], 0.75);
}

TEST_F(AnswerJson, LabelsThatAreNotThereAreMissed) {
  const auto loaded = load("output: {steps: [argmax], labels: nowhere.txt}", "");
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("nowhere.txt"), std::string::npos) << loaded.error().message;
}

}  // namespace
}  // namespace tideline
