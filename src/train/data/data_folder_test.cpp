// Goal: a worker's data are in its folder, whatever links there are. Method: folders with links made here.
#include "train/data/data_folder.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/files.h"
#include "platform/temp_folder.h"

namespace tideline::train {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DataFolder : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* folder : {"own/digits", "own/photos/cat", "own/files", "other/photos/dog"})
      fs::create_directories(at(folder));
    for (const char* file : {"own/digits/x.npy", "own/digits/y.npy", "own/photos/cat/a.png", "own/t-images-idx3-ubyte",
                             "other/x.npy", "other/y.npy", "other/l-labels-idx1-ubyte.gz", "other/photos/dog/b.png"})
      ASSERT_TRUE(write_file_atomic(at(file), "x"));
  }
  std::string at(const std::string& name) const { return folder_.path() + "/" + name; }
  Result<std::string> inside(const std::string& word) const { return data_inside(at("own"), word); }
  void expect_refused(const std::string& word) const {
    const auto where = inside(word);
    ASSERT_FALSE(where) << word;
    EXPECT_EQ(where.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(where.error().message, HasSubstr("leads out of this worker's folder of data"));
  }
  TempFolder folder_ = TempFolder::make("tideline-data").value();
};

TEST_F(DataFolder, WhatIsInItIsFound) {
  EXPECT_EQ(*inside("npy:digits"), "npy:" + fs::canonical(at("own")).string() + "/digits");
  EXPECT_TRUE(inside("idx:t"));
  EXPECT_TRUE(inside("images:photos"));
  EXPECT_TRUE(inside("npy:not-there"));  // for the reader to say
  fs::create_directory_symlink(at("own/digits"), at("own/inner"));
  EXPECT_TRUE(inside("npy:inner"));
  // A folder that is reached by a link is what it leads to.
  fs::create_directory_symlink(at("own"), at("link"));
  EXPECT_TRUE(data_inside(at("link"), "npy:digits"));
  EXPECT_EQ(data_inside(at("nowhere"), "npy:digits").error().code, ErrorCode::kNotFound);
}

TEST_F(DataFolder, WhatLeadsOutIsRefused) {
  for (const char* word : {"npy:../other", "npy:/etc", "idx:digits/../../other/t", "images:..", "npy:.."}) expect_refused(word);
  fs::create_directory_symlink(at("other"), at("own/out"));
  expect_refused("npy:out");
  fs::create_symlink(at("other/x.npy"), at("own/files/x.npy"));
  expect_refused("npy:files");
  fs::create_symlink(at("other/l-labels-idx1-ubyte.gz"), at("own/t-labels-idx1-ubyte.gz"));
  expect_refused("idx:t");
  fs::create_directory_symlink(at("other/photos/dog"), at("own/photos/dog"));
  expect_refused("images:photos");
  fs::remove(at("own/photos/dog"));
  fs::create_symlink(at("other/photos/dog/b.png"), at("own/photos/cat/b.png"));
  expect_refused("images:photos");
  // A folder whose name begins alike.
  fs::create_directories(at("own-too"));
  ASSERT_TRUE(write_file_atomic(at("own-too/x.npy"), "x"));
  fs::create_directory_symlink(at("own-too"), at("own/near"));
  expect_refused("npy:near");
}

}  // namespace
}  // namespace tideline::train
