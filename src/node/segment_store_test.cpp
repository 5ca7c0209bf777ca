// Goal: the segment store keeps what it promises, and nobody can fill it, spoil another's upload or lead it out of its folder.
// Method: a store in a temporary folder, whose files the tests damage as disks and people do; a clock that is moved by hand.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "node/segment_store.h"

namespace tideline {
namespace {

namespace fs = std::filesystem;

constexpr wire::SessionId kOwner{1};
constexpr wire::SessionId kStranger{2};

class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    std::string name = fs::temp_directory_path().string() + "/tideline-store-XXXXXX";
    folder_ = ::mkdtemp(name.data()) != nullptr ? name : "";
  }
  ~StoreTest() override { fs::remove_all(folder_); }

  std::unique_ptr<SegmentStore> open(Bytes bytes_max = 1'000'000) {
    auto store = SegmentStore::open(folder_, bytes_max, clock_);
    EXPECT_TRUE(store) << store.error().message;
    return std::move(store).value();
  }
  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
  static Status whole(SegmentStore& store, const std::string& text, const wire::SessionId& session = kOwner) {
    const auto stored = store.put(session, sha256(text), text.size(), 0, bytes(text));
    return stored ? Status() : stored.error();
  }
  // The first byte of a segment of `total` bytes.
  static Result<SegmentStore::Upload> start(SegmentStore& store, const std::string& name, Bytes total,
                                            const wire::SessionId& session = kOwner) {
    return store.put(session, sha256(name), total, 0, bytes("a"));
  }
  std::string file(const std::string& text) const { return folder_ + "/" + sha256(text).hex() + ".segment"; }
  std::vector<fs::path> partials() const {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().native().ends_with(".partial")) found.push_back(entry.path());
    return found;
  }
  Bytes folder_bytes() const {
    Bytes sum = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) sum += entry.file_size();
    return sum;
  }

  ManualClock clock_;
  std::string folder_;
  const std::string text_ = "hello, segment";
  const Sha256 hash_ = sha256(text_);
};

TEST_F(StoreTest, PiecesBecomeASegmentUnderItsHash) {
  const auto store = open();
  EXPECT_TRUE(store->put(kOwner, hash_, text_.size(), 0, bytes(text_.substr(0, 5))));
  EXPECT_FALSE(store->has(hash_));
  EXPECT_EQ(store->resume_at(kOwner, hash_), 5u);
  // From the wrong place: nothing changes, and where it stands is said.
  const auto wrong = store->put(kOwner, hash_, text_.size(), 7, bytes(text_.substr(7)));
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->have_bytes, 5u);
  const auto last = store->put(kOwner, hash_, text_.size(), 5, bytes(text_.substr(5)));
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_TRUE(last->complete);
  EXPECT_TRUE(store->has(hash_));
  EXPECT_EQ(*store->read(hash_), text_);
  EXPECT_TRUE(partials().empty());
}

TEST_F(StoreTest, AnUploadGoesOnAfterARestart) {
  ASSERT_TRUE(open()->put(kOwner, hash_, text_.size(), 0, bytes(text_.substr(0, 5))));
  const auto store = open();
  EXPECT_EQ(store->resume_at(kOwner, hash_), 5u);
  EXPECT_TRUE(store->put(kOwner, hash_, text_.size(), 5, bytes(text_.substr(5)))->complete);
  EXPECT_EQ(*store->read(hash_), text_);
}

TEST_F(StoreTest, LimitsAndLiesAreRefused) {
  const auto store = open(10);
  EXPECT_EQ(whole(*store, text_).error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(store->put(kOwner, sha256("x"), 3, 0, bytes("abc")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(store->resume_at(kOwner, sha256("x")), 0u);
  EXPECT_EQ(store->put(kOwner, sha256("x"), 3, 2, bytes("abc")).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(store->put(kOwner, sha256("x"), 0, 0, bytes("")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->put(kOwner, sha256("x"), limits::kSegmentBytesMax + 1, 0, bytes("a")).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->read(sha256("y")).error().code, ErrorCode::kNotFound);
}

TEST_F(StoreTest, APromiseCountsAndIsKept) {
  const auto store = open(1000);
  ASSERT_TRUE(start(*store, "one", 900));
  EXPECT_EQ(start(*store, "two", 200).error().code, ErrorCode::kOverloaded) << "both together would not fit";
  EXPECT_EQ(store->put(kOwner, sha256("one"), 1u << 30, 1, bytes("b")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->put(kOwner, sha256("one"), 2, 1, bytes("b")).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store->resume_at(kOwner, sha256("one")), 1u);
  EXPECT_TRUE(start(*store, "three", 100));
  EXPECT_LE(folder_bytes(), 1000u);
}

TEST_F(StoreTest, ManySegmentsAreRefused) {
  const auto store = open();
  for (std::size_t i = 0; i < limits::kNodeSegmentsMax; ++i)
    std::ofstream(folder_ + "/" + sha256(std::to_string(i)).hex() + ".segment") << i;
  const Status refused = whole(*store, "one more");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kOverloaded);
  EXPECT_NE(refused.error().message.find("--store"), std::string::npos) << refused.error().message;
}

TEST_F(StoreTest, UploadsThatNeverEndKeepNobodyOut) {
  auto store = open(1000);
  // One stranger may hold a few, and promise all the room there is.
  std::size_t held = 0;
  while (held < limits::kStoreUploadsMax && start(*store, "stranger" + std::to_string(held), 100, kStranger)) ++held;
  EXPECT_EQ(held, limits::kStoreUploadsPerSessionMax);
  ASSERT_TRUE(start(*store, "last", 200, wire::SessionId{3}));
  EXPECT_TRUE(whole(*store, text_)) << "whoever holds most gives way";
  // Neither do the leftovers of many, before and after a restart.
  for (std::uint8_t i = 10; i < 10 + 2 * limits::kStoreUploadsMax; ++i)
    (void)start(*store, "many" + std::to_string(i), 10, wire::SessionId{i});
  EXPECT_LE(partials().size(), limits::kStoreUploadsMax);
  clock_.advance(limits::kUploadIdle);
  EXPECT_TRUE(whole(*store, "after a while"));
  store.reset();
  const auto later = open(1000);
  EXPECT_TRUE(whole(*later, "after a restart"));
  clock_.advance(limits::kUploadExpiry);
  EXPECT_EQ(later->resume_at(kOwner, sha256("nothing")), 0u);
  EXPECT_TRUE(partials().empty()) << "they expire";
}

TEST_F(StoreTest, AnUploadBelongsToItsSession) {
  const auto store = open();
  ASSERT_TRUE(store->put(kStranger, hash_, text_.size(), 0, bytes("evil!")));
  EXPECT_EQ(store->resume_at(kOwner, hash_), 0u);
  ASSERT_TRUE(whole(*store, text_));
  EXPECT_EQ(*store->read(hash_), text_);
  // The stranger's next piece finds it done.
  EXPECT_TRUE(store->put(kStranger, hash_, text_.size(), 5, bytes("evil!"))->complete);
}

TEST_F(StoreTest, WhatAnotherLeftIsUsedAndNotTrusted) {
  const auto store = open();
  ASSERT_TRUE(store->put(kStranger, hash_, text_.size(), 0, bytes(text_.substr(0, 5))));
  store->leave(kStranger);
  EXPECT_EQ(store->resume_at(kOwner, hash_), 5u);
  EXPECT_TRUE(store->put(kOwner, hash_, text_.size(), 5, bytes(text_.substr(5)))->complete);

  const std::string other = "other segment";
  ASSERT_TRUE(store->put(kStranger, sha256(other), other.size(), 0, bytes("evil!")));
  store->leave(kStranger);
  ASSERT_EQ(store->resume_at(kOwner, sha256(other)), 5u);
  const auto spoilt = store->put(kOwner, sha256(other), other.size(), 5, bytes(other.substr(5)));
  ASSERT_TRUE(spoilt) << spoilt.error().message;
  EXPECT_FALSE(spoilt->complete);
  EXPECT_EQ(spoilt->have_bytes, 0u) << "the sender begins anew";
  EXPECT_TRUE(whole(*store, other));
  // Longer than the segment: of no use either.
  const std::string third = "third";
  ASSERT_TRUE(store->put(kStranger, sha256(third), 100, 0, bytes("much too long for it")));
  store->leave(kStranger);
  EXPECT_EQ(store->put(kOwner, sha256(third), third.size(), 0, bytes(third))->have_bytes, 0u);
  EXPECT_TRUE(whole(*store, third));
}

TEST_F(StoreTest, HasPromisesOnlyWhatReadGives) {
  const auto store = open();
  const auto damage = [&](const std::function<void(const std::string&)>& how) {
    ASSERT_TRUE(whole(*store, text_));
    ASSERT_TRUE(store->has(hash_));
    how(file(text_));
    EXPECT_FALSE(store->has(hash_));
    EXPECT_TRUE(whole(*store, text_)) << "it can be pushed again";
    EXPECT_TRUE(store->has(hash_));
    EXPECT_EQ(*store->read(hash_), text_);
  };
  damage([](const std::string& path) { std::ofstream(path) << "hello, segmenT"; });
  damage([](const std::string& path) { fs::resize_file(path, 3); });
  damage([](const std::string& path) { fs::resize_file(path, 0); });
  damage([](const std::string& path) { fs::remove(path) && fs::create_directory(path); });
  damage([](const std::string& path) { fs::remove(path) && ::mkfifo(path.c_str(), 0600) == 0; });
  damage([this](const std::string& path) {
    std::ofstream(folder_ + "/copy") << text_;
    fs::remove(path);
    fs::create_symlink("copy", path);
  });
  damage([this](const std::string&) { fs::remove_all(folder_); });
  // Also after a restart, when nothing is remembered.
  std::ofstream(file(text_)) << "hello, segmenT";
  EXPECT_FALSE(open()->has(hash_));
}

TEST_F(StoreTest, ADamagedFileIsNotRead) {
  const auto store = open();
  ASSERT_TRUE(whole(*store, text_));
  std::ofstream(file(text_)) << "hello, segmenT";
  EXPECT_EQ(store->read(hash_).error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(store->has(hash_));
}

TEST_F(StoreTest, LinksAndPipesInPlaceOfAnUploadAreNotFollowed) {
  const std::string victim = folder_ + "-victim";
  std::ofstream(victim) << "precious";
  for (const char* name : {".partial", ".1-0.partial"}) {
    fs::create_symlink(victim, folder_ + "/" + hash_.hex() + name);
    ASSERT_TRUE(whole(*open(), text_));
    fs::remove(file(text_));
    ASSERT_EQ(::mkfifo((folder_ + "/" + hash_.hex() + name).c_str(), 0600), 0);
    ASSERT_TRUE(whole(*open(), text_));
    fs::remove(file(text_));
  }
  // In the middle of an upload.
  const auto store = open();
  ASSERT_TRUE(store->put(kOwner, hash_, text_.size(), 0, bytes(text_.substr(0, 8))));
  const fs::path partial = partials().at(0);
  fs::remove(partial);
  fs::create_symlink(victim, partial);
  EXPECT_EQ(store->put(kOwner, hash_, text_.size(), 8, bytes(text_.substr(8)))->have_bytes, 0u);
  EXPECT_TRUE(whole(*store, text_));
  EXPECT_EQ(fs::file_size(victim), 8u);
  fs::remove(victim);
}

TEST_F(StoreTest, TwoStoresInOneFolderDoNotDisturbEachOther) {
  const auto one = open();
  ASSERT_TRUE(one->put(kOwner, hash_, text_.size(), 0, bytes(text_.substr(0, 5))));
  const auto two = open();
  EXPECT_EQ(two->resume_at(kOwner, hash_), 0u) << "it is the other's";
  ASSERT_TRUE(whole(*two, text_));
  EXPECT_TRUE(one->has(hash_));
  EXPECT_TRUE(one->put(kOwner, hash_, text_.size(), 5, bytes(text_.substr(5)))->complete);
}

}  // namespace
}  // namespace tideline
