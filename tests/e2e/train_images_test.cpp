// Goal: folders of pictures train as they will be served. Method: small pictures of three colours made here; the real binaries.
#include <gmock/gmock.h>
#include <turbojpeg.h>

#include "train_fixture.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

class TrainPictures : public Train {
 protected:
  static constexpr int kSide = 8;

  // A picture of one colour with noise.
  static std::string photo(std::size_t colour, std::mt19937& random) {
    std::string pixels;
    for (int i = 0; i < kSide * kSide; ++i)
      for (std::size_t c = 0; c < 3; ++c) pixels += static_cast<char>((c == colour ? 150 : 60) + random() % 60);
    const auto handle = tjInitCompress();
    unsigned char* bytes = nullptr;
    unsigned long size = 0;
    EXPECT_EQ(tjCompress2(handle, reinterpret_cast<const unsigned char*>(pixels.data()), kSide, 0, kSide, TJPF_RGB, &bytes, &size,
                          TJSAMP_444, 90, 0),
              0);
    std::string file(reinterpret_cast<char*>(bytes), size);
    tjFree(bytes);
    tjDestroy(handle);
    return file;
  }
  void write_photos(const std::string& folder, std::size_t each, unsigned seed) const {
    std::mt19937 random(seed);
    constexpr const char* kColours[] = {"red", "green", "blue"};
    for (std::size_t colour = 0; colour < 3; ++colour) {
      std::filesystem::create_directories(folder_ / folder / kColours[colour]);
      for (std::size_t i = 0; i < each; ++i)
        write(fmt::format("{}/{}/{}.jpg", folder, kColours[colour], i), photo(colour, random));
    }
  }
  // softmax(flatten(x) a + b) of a picture.
  static std::string picture_model() {
    onnx::ModelProto model = test::empty_model();
    test::add_input(model, "x", {1, 3, kSide, kSide});
    test::add_output(model, "y", {1, kClasses});
    test::add_weight(model, "a", {3 * kSide * kSide, kClasses});
    test::add_weight(model, "b", {kClasses});
    test::add_node(model, "Flatten", {"x"}, {"f"});
    test::add_node(model, "MatMul", {"f", "a"}, {"m"});
    test::add_node(model, "Add", {"m", "b"}, {"z"});
    test::add_node(model, "Softmax", {"z"}, {"y"});
    return model.SerializeAsString();
  }
};

TEST_F(TrainPictures, FoldersByClassTrainAndEvaluateAlike) {
  write("p.onnx", picture_model());
  write_photos("photos", 20, 1);
  write_photos("held", 10, 2);
  const std::string section = "{size: [8, 8], mean: [0.4, 0.4, 0.4], std: [0.2, 0.2, 0.2]}";
  const std::string file = write("job.yaml",
                                 "version: 1\nmodel: p.onnx\ndata: {train: images:photos, test: images:held,\n"
                                 "  input: " +
                                     section +
                                     "}\nworkers: 3\nstrategy: {name: fedavg, batch: 5}\n"
                                     "optimiser: {name: sgd, rate: 0.05}\nrounds: 6\nseed: 1\nstart: random\n");
  const Outcome trained = run("train " + file + " --out " + path("out") + " -o json");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_GT(trained.json()["final"]["accuracy"].get<double>(), 0.9);
  // The engine that serves it, with the same section, agrees.
  write("model.yaml", "version: 1\ninput: " + section + "\n");
  const Outcome evaluated = run("evaluate " + path("out/trained.onnx") + " --data images:" + path("held") + " --config " +
                                path("model.yaml") + " -o json");
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.err;
  EXPECT_DOUBLE_EQ(evaluated.json()["accuracy"].get<double>(), trained.json()["final"]["accuracy"].get<double>());
  // A damaged picture is named.
  write("photos/blue/3.jpg", "no picture");
  const Outcome damaged = run("train " + file + " --out " + path("out"));
  EXPECT_EQ(damaged.exit_code, 3);
  EXPECT_THAT(damaged.err, HasSubstr("blue/3.jpg"));
}

}  // namespace
}  // namespace tideline::e2e
