// Goal: external data is read from regular files inside the model's folder and from nowhere else, and only as far as it is there.
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "model/test_models.h"

namespace tideline {
namespace {

using namespace test;
namespace fs = std::filesystem;

class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("tideline_external_" + std::to_string(::getpid()));
    fs::remove_all(root_);
    fs::create_directories(root_ / "model");
    write("model/w.bin", "0123456789abcdefFEDCBA9876543210");
    write("secret.bin", "0123456789abcdefFEDCBA9876543210");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& bytes) { std::ofstream(root_ / name, std::ios::binary) << bytes; }

  // A model whose one weight, of 16 bytes, lies outside.
  using Entries = std::vector<std::pair<std::string, std::string>>;
  Result<Model> load(const Entries& entries) {
    onnx::ModelProto proto = empty_model();
    add_input(proto, "x");
    auto* weight = add_weight(proto, "w");
    weight->clear_raw_data();
    weight->set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] : entries) {
      auto* entry = weight->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
    add_node(proto, "Add", {"x", "w"}, {"y"});
    add_output(proto, "y");
    write("model/m.onnx", proto.SerializeAsString());
    return Model::load((root_ / "model/m.onnx").string());
  }
  std::string refusal(const Entries& entries) {
    const auto result = load(entries);
    return result ? "" : result.error().message;
  }

  fs::path root_;
};

TEST_F(ExternalData, IsReadIntoTheModel) {
  const auto model = load({{"location", "w.bin"}, {"offset", "16"}, {"length", "16"}, {"checksum", "ignored"}});
  ASSERT_TRUE(model) << model.error().message;
  const onnx::ModelProto written = reread(*model->onnx_bytes());
  EXPECT_EQ(written.graph().initializer(0).raw_data(), "FEDCBA9876543210");
  EXPECT_EQ(written.graph().initializer(0).external_data_size(), 0);
  EXPECT_FALSE(written.graph().initializer(0).has_data_location());
}

TEST_F(ExternalData, LengthMayBeLeftOutAndSubfoldersAreInside) {
  EXPECT_TRUE(load({{"location", "w.bin"}}));
  fs::create_directories(root_ / "model/sub");
  write("model/sub/w.bin", std::string(16, 'a'));
  EXPECT_TRUE(load({{"location", "sub/w.bin"}}));
}

TEST_F(ExternalData, IdentityChangesWithTheWeights) {
  const Sha256 before = load({{"location", "w.bin"}})->sha256();
  write("model/w.bin", "0123456789abcdeFFEDCBA9876543210");
  EXPECT_NE(load({{"location", "w.bin"}})->sha256(), before);
}

TEST_F(ExternalData, NothingOutsideTheFolder) {
  EXPECT_NE(refusal({{"location", (root_ / "secret.bin").string()}}), "");
  EXPECT_NE(refusal({{"location", "../secret.bin"}}), "");
  EXPECT_NE(refusal({{"location", "sub/../../secret.bin"}}), "");
  EXPECT_NE(refusal({{"location", "/dev/zero"}}), "");
  fs::create_symlink(root_ / "secret.bin", root_ / "model/link.bin");
  EXPECT_NE(refusal({{"location", "link.bin"}}), "");
  fs::create_directory_symlink(root_, root_ / "model/up");
  EXPECT_NE(refusal({{"location", "up/secret.bin"}}), "");
  fs::create_hard_link(root_ / "secret.bin", root_ / "model/hard.bin");
  EXPECT_NE(refusal({{"location", "hard.bin"}}).find("hard links"), std::string::npos);
  EXPECT_NE(refusal({{"location", "."}}), "");
  EXPECT_NE(refusal({{"location", ""}}), "");
  EXPECT_NE(refusal({{"location", "missing.bin"}}), "");
  EXPECT_NE(refusal({{"location", std::string("w.bin\0x", 7)}}), "");
}

// Download caches keep each file once, in blobs/, and make folders of links: the model's own path is one, and so is its data.
TEST_F(ExternalData, DataBesideTheFileBehindALinkIsReadWhereItLies) {
  ASSERT_TRUE(load({{"location", "data.bin"}, {"offset", "0"}}).error().code == ErrorCode::kNotFound);
  fs::create_directories(root_ / "blobs");
  fs::create_directories(root_ / "snapshots/a");
  fs::rename(root_ / "model/m.onnx", root_ / "blobs/aaa");
  write("blobs/bbb", "0123456789abcdefFEDCBA9876543210");
  fs::create_symlink("../../blobs/aaa", root_ / "snapshots/a/m.onnx");
  const auto loads = [&](const fs::path& target) {
    fs::remove(root_ / "snapshots/a/data.bin");
    fs::create_symlink(target, root_ / "snapshots/a/data.bin");
    return Model::load((root_ / "snapshots/a/m.onnx").string());
  };
  const auto model = loads("../../blobs/bbb");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(reread(*model->onnx_bytes()).graph().initializer(0).raw_data(), "0123456789abcdef");
  EXPECT_TRUE(loads(root_ / "blobs/bbb"));
  // Right into that folder, at one remove, and a file of its own: as if the model had been opened there.
  const auto refused = [&](const fs::path& target) {
    const auto result = loads(target);
    EXPECT_FALSE(result) << target;
    return result ? std::string() : result.error().message;
  };
  EXPECT_NE(refused("../../secret.bin").find("cp -rL"), std::string::npos);
  refused(root_ / "secret.bin");
  refused("../../blobs/../secret.bin");
  refused("../../blobs/..");
  refused("../../blobs/nothing");
  fs::create_symlink(root_ / "secret.bin", root_ / "blobs/out");
  refused("../../blobs/out");
  fs::create_hard_link(root_ / "secret.bin", root_ / "blobs/hard");
  EXPECT_NE(refused("../../blobs/hard").find("cp -rL"), std::string::npos);
  // The link counts only where the model is one too.
  fs::copy_file(root_ / "blobs/aaa", root_ / "snapshots/a/copy.onnx");
  EXPECT_TRUE(loads("../../blobs/bbb"));
  const auto copied = Model::load((root_ / "snapshots/a/copy.onnx").string());
  ASSERT_FALSE(copied);
  EXPECT_NE(copied.error().message.find("cp -rL"), std::string::npos) << copied.error().message;
}

TEST_F(ExternalData, NothingPastTheEnd) {
  EXPECT_NE(refusal({{"location", "w.bin"}, {"offset", "17"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"offset", "18446744073709551615"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"offset", "18446744073709551616"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"offset", "-1"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"offset", "1x"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"length", "17"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"length", "15"}}), "");
  EXPECT_NE(refusal({{"location", "w.bin"}, {"length", "-16"}}), "");
}

TEST_F(ExternalData, NoForgedMarkersAndNoUnknownKeys) {
  EXPECT_NE(refusal({{"location", "*/_ORT_MEM_ADDR_/"}, {"offset", "140737488355328"}}).find("memory"), std::string::npos);
  EXPECT_NE(refusal({{"location", "w.bin"}, {"__class__", "x"}}).find("__class__"), std::string::npos);
  EXPECT_NE(refusal({{"location", "w.bin"}, {"location", "w.bin"}}).find("twice"), std::string::npos);
}

// A file of 64 GB that takes no room on the disk: refused by its size, before it is read.
TEST_F(ExternalData, NoFileLargerThanTheLimit) {
  write("model/huge.bin", "");
  std::error_code status;
  fs::resize_file(root_ / "model/huge.bin", std::uintmax_t{64} << 30, status);
  if (status) GTEST_SKIP() << "no sparse files here";
  EXPECT_NE(refusal({{"location", "huge.bin"}}).find("limit"), std::string::npos);
}

}  // namespace
}  // namespace tideline
