// Data files made here, and divisions held against what their rules promise.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "base/limits.h"
#include "platform/files.h"
#include "platform/temp_folder.h"
#include "tensor/npy.h"
#include "train/data/data_set.h"
#include "train/data/divide.h"
#include "train/data/idx.h"

namespace tideline::train {
namespace {

using ::testing::HasSubstr;

std::string idx(const std::vector<std::uint32_t>& shape, const std::string& content) {
  std::string file{'\0', '\0', '\x08', static_cast<char>(shape.size())};
  for (const std::uint32_t size : shape)
    for (int shift = 24; shift >= 0; shift -= 8) file += static_cast<char>(size >> shift & 0xff);
  return file + content;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string packed(4096, char{0});
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed = packed.substr(0, packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

TEST(Idx, IsReadPlainAndPacked) {
  const std::string content = "abcdefghijkl";
  for (const std::string& file : {idx({2, 2, 3}, content), gzip(idx({2, 2, 3}, content))}) {
    const auto tensor = parse_idx(file);
    ASSERT_TRUE(tensor) << tensor.error().message;
    EXPECT_EQ(tensor->spec.shape, (std::vector<std::int64_t>{2, 2, 3}));
    EXPECT_EQ(std::memcmp(tensor->data.data(), content.data(), 12), 0);
  }
}

TEST(Idx, DamageIsRefused) {
  const std::string good = idx({3, 4}, "abcdefghijkl"), packed = gzip(good);
  for (std::size_t length = 0; length < good.size(); ++length) EXPECT_FALSE(parse_idx(good.substr(0, length))) << length;
  for (std::size_t length = 0; length < packed.size(); ++length) EXPECT_FALSE(parse_idx(packed.substr(0, length))) << length;
  EXPECT_EQ(parse_idx(good + "x").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(parse_idx(gzip(good + "x")).error().code, ErrorCode::kCorrupt);
  std::string floats = good;
  floats[2] = '\x0d';
  EXPECT_EQ(parse_idx(floats).error().code, ErrorCode::kUnsupported);
  // A head that promises more than the file can hold is refused before anything is allocated.
  EXPECT_EQ(parse_idx(idx({60000, 1000, 1000}, "abc")).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(parse_idx(idx({0xffffffff, 0xffffffff, 0xffffffff}, "abc")));
}

class DataFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    auto folder = TempFolder::make("tideline-data-test");
    ASSERT_TRUE(folder) << folder.error().message;
    folder_.emplace(std::move(folder).value());
  }
  std::string path(const std::string& name) const { return folder_->path() + "/" + name; }
  void write(const std::string& name, const std::string& bytes) const { ASSERT_TRUE(write_file_atomic(path(name), bytes)); }
  std::optional<TempFolder> folder_;
};

TEST_F(DataFiles, PicturesLieInTheMiddleOfBlack) {
  write("t-images-idx3-ubyte.gz", gzip(idx({2, 1, 2}, std::string("\x00\xff\x33\x66", 4))));
  write("t-labels-idx1-ubyte", idx({2}, std::string("\x01\x00", 2)));
  const auto data = read_data("idx:" + path("t"));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->labels, (std::vector<std::int32_t>{1, 0}));
  const std::vector<std::uint32_t> rows = {1, 0};
  const auto batch = make_batch(*data, rows, {.shape = {1, 3, 4}, .mean = 0.2F, .std = 0.5F});
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->spec.shape, (std::vector<std::int64_t>{2, 1, 3, 4}));
  const auto* values = reinterpret_cast<const float*>(batch->data.data());
  EXPECT_FLOAT_EQ(values[0], -0.4F);
  EXPECT_FLOAT_EQ(values[5], 0);     // 0x33 = 0.2
  EXPECT_FLOAT_EQ(values[6], 0.4F);  // 0x66 = 0.4
  EXPECT_FLOAT_EQ(values[12 + 6], 1.6F);
  const auto plain = make_batch(*data, rows, {.shape = {1, 1, 2}});
  ASSERT_TRUE(plain);
  EXPECT_FLOAT_EQ(reinterpret_cast<const float*>(plain->data.data())[1], 0.4F);
  const auto refused = make_batch(*data, rows, {.shape = {3, 1, 2}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("uint8[1,1,2]"));
}

TEST_F(DataFiles, ArraysAreTakenAsTheyAre) {
  const float numbers[] = {1, 2, 3, 4};
  const std::int64_t labels[] = {5, 7};
  const TensorSpec x{"", DType::kFloat32, {2, 2}}, y{"", DType::kInt64, {2}};
  write("x.npy", write_npy({&x, std::as_bytes(std::span(numbers))}).value());
  write("y.npy", write_npy({&y, std::as_bytes(std::span(labels))}).value());
  const auto data = read_data("npy:" + path("."));
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->labels, (std::vector<std::int32_t>{5, 7}));
  const std::vector<std::uint32_t> rows = {1};
  const auto batch = make_batch(*data, rows, {.shape = {2}, .mean = 9, .std = 9});
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(std::memcmp(batch->data.data(), numbers + 2, 8), 0);

  const std::int64_t negative[] = {5, -1}, three[] = {1, 2, 3};
  write("y.npy", write_npy({&y, std::as_bytes(std::span(negative))}).value());
  EXPECT_EQ(read_data("npy:" + path(".")).error().code, ErrorCode::kInvalidArgument);
  const TensorSpec longer{"", DType::kInt64, {3}};
  write("y.npy", write_npy({&longer, std::as_bytes(std::span(three))}).value());
  EXPECT_THAT(read_data("npy:" + path(".")).error().message, HasSubstr("2 samples and 3 labels"));
  EXPECT_EQ(read_data("csv:" + path(".")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_data("idx:" + path("none")).error().code, ErrorCode::kNotFound);
}

TEST_F(DataFiles, PicturesOfAClassLieInAFolder) {
  const char* third_party = std::getenv("TIDELINE_THIRD_PARTY");
  if (third_party == nullptr) GTEST_SKIP() << "run by ctest, which says where the photographs are";
  const auto photo = [&](const std::string& name) {
    return read_file(std::string(third_party) + "/photos/" + name, limits::kImageFileBytesMax).value();
  };
  for (const char* folder : {"flowers", "buildings", "empty"}) ASSERT_TRUE(make_folders(path("p/") + folder));
  write("p/flowers/b.JPG", photo("flower.jpg"));
  write("p/flowers/a.jpg", photo("china.jpg"));
  write("p/buildings/china.jpg", photo("china.jpg"));
  write("p/buildings/notes.txt", "not a picture");
  write("p/readme.jpg", "not in a class");
  InputSection section;
  section.width = 8;
  section.height = 6;
  section.mean = {0.5F, 0.5F, 0.5F};
  EXPECT_THAT(read_data("images:" + path("p"), &section).error().message, HasSubstr("class 'empty'"));
  write("p/empty/x.jpeg", photo("flower.jpg"));
  const auto data = read_data("images:" + path("p"), &section);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->labels, (std::vector<std::int32_t>{0, 1, 2, 2}));
  EXPECT_EQ(data->samples.spec.shape, (std::vector<std::int64_t>{4, 3, 6, 8}));
  const std::size_t one = data->samples.data.size() / 4;
  const auto* bytes = data->samples.data.data();
  EXPECT_EQ(std::memcmp(bytes, bytes + 2 * one, one), 0);        // china twice
  EXPECT_EQ(std::memcmp(bytes + one, bytes + 3 * one, one), 0);  // flower twice
  EXPECT_NE(std::memcmp(bytes, bytes + one, one), 0);
  const std::vector<std::uint32_t> rows = {3};
  const auto batch = make_batch(*data, rows, {.shape = {3, 6, 8}});
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(std::memcmp(batch->data.data(), bytes + 3 * one, one), 0);

  EXPECT_THAT(read_data("images:" + path("p")).error().message, HasSubstr("--config"));
  EXPECT_EQ(read_data("images:" + path("none"), &section).error().code, ErrorCode::kNotFound);
  section.width = section.height = 0;
  section.follow = FollowSize{.shortest = 8, .multiple = 1, .longest = 64};
  write("p/flowers/c.png", "no picture");
  EXPECT_THAT(read_data("images:" + path("p"), &section).error().message, HasSubstr("c.png"));
}

std::vector<std::int32_t> some_labels(std::size_t count, std::int32_t classes) {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < count; ++i)
    labels.push_back(static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(classes)));
  return labels;
}

std::size_t classes_of(const std::vector<std::uint32_t>& rows, const std::vector<std::int32_t>& labels) {
  std::set<std::int32_t> seen;
  for (const std::uint32_t row : rows) seen.insert(labels[row]);
  return seen.size();
}

constexpr DivideRule kRules[] = {DivideRule::kIid, DivideRule::kShards, DivideRule::kDirichlet, DivideRule::kByClass};

TEST(Divide, EveryRowGoesToOneWorkerAndSharedOnesToAll) {
  for (const DivideRule rule : kRules) {
    for (const std::size_t workers : {1U, 3U, 10U, 23U}) {
      for (const double shared : {0.0, 0.1}) {
        const auto labels = some_labels(997, 10);
        const DivideOptions options{.rule = rule, .workers = workers, .alpha = 5, .shared = shared, .seed = 3};
        const auto parts = divide(labels, options);
        ASSERT_TRUE(parts) << parts.error().message;
        ASSERT_EQ(parts->size(), workers);
        std::vector<std::size_t> times(labels.size(), 0);
        for (const auto& rows : *parts)
          for (const std::uint32_t row : rows) ++times[row];
        const auto common = static_cast<std::size_t>(std::llround(shared * 997));
        EXPECT_EQ(std::count(times.begin(), times.end(), 1U), workers == 1 ? 997 : static_cast<long>(997 - common));
        if (workers > 1) {
          EXPECT_EQ(std::count(times.begin(), times.end(), workers), static_cast<long>(common));
        }
        EXPECT_EQ(*parts, *divide(labels, options));
        DivideOptions other = options;
        other.seed = 4;
        EXPECT_NE(*parts, *divide(labels, other));
      }
    }
  }
}

std::vector<std::vector<std::uint32_t>> parts_of(const std::vector<std::int32_t>& labels, const DivideOptions& options) {
  auto parts = divide(labels, options);
  if (parts) return std::move(parts).value();
  ADD_FAILURE() << parts.error().message;
  return {};
}

TEST(Divide, RulesKeepTheirPromise) {
  const auto labels = some_labels(6000, 10);
  for (const auto& rows : parts_of(labels, {.rule = DivideRule::kIid, .workers = 7})) {
    EXPECT_NEAR(static_cast<double>(rows.size()), 6000.0 / 7, 1);
    EXPECT_EQ(classes_of(rows, labels), 10U);
  }
  // 20 shards of 300 rows; a class has 600, so that each shard is of one class.
  for (const auto& rows : parts_of(labels, {.rule = DivideRule::kShards, .workers = 10})) {
    EXPECT_EQ(rows.size(), 600U);
    EXPECT_LE(classes_of(rows, labels), 2U);
  }
  for (const auto& rows : parts_of(labels, {.rule = DivideRule::kByClass, .workers = 10}))
    EXPECT_EQ(classes_of(rows, labels), 1U);
  for (const auto& rows : parts_of(labels, {.rule = DivideRule::kByClass, .workers = 5})) EXPECT_EQ(classes_of(rows, labels), 2U);
}

// The share of a class at one worker has mean 1/K and variance (1/K)(1 - 1/K) / (K alpha + 1).
TEST(Divide, DirichletHasItsVariance) {
  constexpr std::size_t kWorkers = 4, kRows = 400;
  const std::vector<std::int32_t> labels(kRows, 0);
  for (const double alpha : {0.3, 2.0}) {
    double squares = 0;
    int draws = 0;
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
      const auto parts = divide(labels, {.rule = DivideRule::kDirichlet, .workers = kWorkers, .alpha = alpha, .seed = seed});
      if (!parts) continue;  // somebody would have nothing
      for (const auto& rows : *parts) squares += std::pow(static_cast<double>(rows.size()) / kRows - 0.25, 2);
      draws += kWorkers;
    }
    if (alpha > 1) {
      EXPECT_NEAR(squares / draws, 0.25 * 0.75 / (kWorkers * alpha + 1), 0.001);
    } else {
      EXPECT_GT(squares / draws, 0.04);  // far from alike; draws that leave somebody without anything are not in it
    }
  }
}

TEST(Divide, SaysWhatCannotBe) {
  const auto labels = some_labels(10, 2);
  EXPECT_FALSE(divide(labels, {.workers = 11}));
  EXPECT_FALSE(divide(labels, {.workers = 0}));
  EXPECT_FALSE(divide(labels, {.workers = 2, .shared = 1}));
  EXPECT_FALSE(divide(labels, {.rule = DivideRule::kShards, .workers = 6, .per_worker = 2}));
  EXPECT_FALSE(divide(labels, {.rule = DivideRule::kDirichlet, .workers = 2, .alpha = 0}));
  const auto empty = divide(labels, {.rule = DivideRule::kDirichlet, .workers = 9, .per_worker = 1, .alpha = 0.01});
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("would have no sample"));
}

}  // namespace
}  // namespace tideline::train
