// Goal: a profile survives its file, damaged files are refused with the place named, and segment times follow the formula.
#include "profile/profile.h"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

namespace tideline {
namespace {

// The example of profile.h: blocks of 3 and 4 ms alone that fuse into 6 ms.
Profile example() {
  Profile profile;
  profile.model_name = "two \"quoted\" blocks";
  profile.model_sha256 = sha256("model");
  profile.chain_sha256 = sha256("chain");
  profile.host = "gateway";
  profile.threads = 2;
  profile.engine = "ONNX Runtime 1.30.0";
  profile.date = "2026-01-02T03:04:05Z";
  profile.blocks = {{"a", Millis(3), Millis(0.1), 1000, 500}, {"b", Millis(3), Millis(1.0 / 3), 2000, 700}};
  profile.cuts = {{100, Millis(0), Millis(0)}, {200, Millis(0.75), Millis(0.25)}, {4, Millis(0), Millis(0)}};
  profile.segment_overhead = Millis(0.01);
  profile.whole = Millis(6.01);
  profile.whole_spread = Millis(0.2);
  profile.whole_memory_bytes = 12345;
  profile.structure_sha256 = sha256("structure");
  profile.whole_wall = Millis(6.5);
  profile.made_up_inputs = {"sr", "model/b:0"};
  profile.codecs = {{.name = "int8c+zstd",
                     .bytes = {100, 60, 4},
                     .encode = {Millis(0.1), Millis(0.2), Millis(0)},
                     .decode = {Millis(0.05), Millis(0.1), Millis(0)},
                     .max_abs_error = {0.5, 0.25, 0},
                     .max_rel_error = {0.01, 0.005, 0},
                     .rms_rel_error = {0.001, 0.0005, 0},
                     .top1_agreement = {1, 0.75, 1}},
                    {.name = "raw+lz4",
                     .bytes = {90, 190, 4},
                     .encode = {Millis(1), Millis(2), Millis(0)},
                     .decode = {Millis(1), Millis(2), Millis(0)},
                     .max_abs_error = {0, 0, 0},
                     .max_rel_error = {0, 0, 0},
                     .rms_rel_error = {0, 0, 0}}};
  return profile;
}

TEST(Profile, SegmentTimesFollowTheFormula) {
  const Profile profile = example();
  EXPECT_DOUBLE_EQ(segment_time(profile, 0, 1).count(), 6.01);
  EXPECT_DOUBLE_EQ(segment_time(profile, 0, 0).count(), 3.26);  // 3 + end of cut 1 + overhead
  EXPECT_DOUBLE_EQ(segment_time(profile, 1, 1).count(), 3.76);  // 3 + start of cut 1 + overhead
  Profile saving = profile;
  saving.cuts[1].end = Millis(-5);
  EXPECT_EQ(segment_time(saving, 0, 0).count(), 0);  // never negative
}

TEST(Profile, SegmentMemoryIsAllParametersAndTheLargestActivations) {
  EXPECT_EQ(segment_memory_bytes(example(), 0, 1), 3700U);
  EXPECT_EQ(segment_memory_bytes(example(), 0, 0), 1500U);
}

TEST(Profile, SurvivesItsFile) {
  const auto read = parse_profile(write_profile(example()), "p.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, example());
}

TEST(Profile, AnAnswerThatWasNotMeasuredOrBecameInfiniteStaysTooLarge) {
  Profile profile = example();
  profile.codecs[0].max_rel_error[1] = std::numeric_limits<double>::infinity();
  const auto read = parse_profile(write_profile(profile), "p.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, profile);
  EXPECT_EQ(codec_profile(*read, "int8c+zstd")->max_rel_error[1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(codec_profile(*read, "fp16"), nullptr);
}

TEST(Profile, PowerAndPredictionSurviveAndDamageIsNamed) {
  Profile profile = example();
  profile.power = PowerProfile{.method = "RAPL (package-0)", .idle_w = 1.0 / 3, .compute_w = 12.5, .time = Millis(2000)};
  profile.prediction = Prediction{.by = "kernels",
                                  .calibrated = "2026-01-02T03:04:05Z",
                                  .fused_on = "desk",
                                  .expected_error = 0.07,
                                  .expected_error_p90 = 0.2,
                                  .unknown_share = 0.5};
  const std::string text = write_profile(profile);
  const auto read = parse_profile(text, "p.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, profile);
  const auto damaged = [&](const std::string& from, const std::string& to) {
    std::string other = text;
    other.replace(other.find(from), from.size(), to);
    const auto result = parse_profile(other, "p.json");
    return result ? std::string() : result.error().message;
  };
  EXPECT_NE(damaged("\"compute_w\": 12.5", "\"compute_w\": -1").find("power.compute_w"), std::string::npos);
  EXPECT_NE(damaged("\"unknown_share\": 0.5", "\"unknown_share\": 1.5").find("predicted.unknown_share"), std::string::npos);
  EXPECT_NE(damaged("\"fused_on\"", "\"fused\"").find("predicted"), std::string::npos);
}

TEST(Profile, AProfileWithoutCodecsHasNoWordOfThem) {
  Profile profile = example();
  profile.codecs.clear();
  EXPECT_EQ(write_profile(profile).find("codecs"), std::string::npos);
}

TEST(Profile, ASlowerHostEncodesSlowerToo) {
  const Profile slower = scaled(example(), 2);
  EXPECT_EQ(slower.codecs[0].encode[1], Millis(0.4));
  EXPECT_EQ(slower.codecs[0].decode[1], Millis(0.2));
  EXPECT_EQ(slower.codecs[0].bytes, example().codecs[0].bytes);
  EXPECT_EQ(slower.codecs[0].max_rel_error, example().codecs[0].max_rel_error);
}

TEST(Profile, RefusesDamageAndNamesThePlace) {
  const auto error_with = [](const std::string& from, const std::string& to) {
    std::string text = write_profile(example());
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const auto read = parse_profile(text, "p.json");
    EXPECT_FALSE(read) << to;
    return read ? std::string() : read.error().message;
  };
  EXPECT_NE(error_with("\"time_ms\": 3.0", "\"time_ms\": -3.0").find("blocks[0].time_ms"), std::string::npos);
  EXPECT_NE(error_with("\"end_ms\": 0.25", "\"end_ms\": \"x\"").find("cuts[1].end_ms"), std::string::npos);
  EXPECT_NE(error_with("\"threads\": 2", "\"threads\": 0").find("threads"), std::string::npos);
  EXPECT_NE(error_with("\"host\"", "\"hots\"").find("host"), std::string::npos);
  EXPECT_NE(error_with("\"tideline_profile\": 1", "\"tideline_profile\": 9").find("version 9"), std::string::npos);
  EXPECT_NE(error_with(sha256("model").hex(), "abc").find("model_sha256"), std::string::npos);
  EXPECT_NE(error_with("\"bytes\": 200,", "\"bytes\": 1e400,").find("p.json"), std::string::npos);
  EXPECT_NE(error_with("int8c+zstd", "raw+lz4").find("twice"), std::string::npos);
  EXPECT_NE(error_with("    0.25,\n    0", "    0").find("one value for each of the 3 cuts"), std::string::npos);
  EXPECT_NE(error_with("    0.75,\n    1", "    1.75,\n    1").find("top1_agreement"), std::string::npos);
  EXPECT_FALSE(parse_profile("", "p.json"));
  EXPECT_FALSE(parse_profile("{}", "p.json"));
  Profile short_of_a_cut = example();
  short_of_a_cut.cuts.pop_back();
  const auto read = parse_profile(write_profile(short_of_a_cut), "p.json");
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().message.find("cuts"), std::string::npos);
}

// Behind the first block: a head and a step.
Profile with_exits() {
  Profile profile = example();
  profile.accuracy = 0.9;
  const CodecProfile four{.name = "fp16",
                          .bytes = {50, 100, 20, 4},
                          .encode = {Millis(1), Millis(1), Millis(1), Millis(1)},
                          .decode = {Millis(2), Millis(2), Millis(2), Millis(2)},
                          .max_abs_error = {0, 0, 0, 0},
                          .max_rel_error = {0, 0.5, std::numeric_limits<double>::infinity(), 0},
                          .rms_rel_error = {0, 0, 0, 0}};
  profile.exits = {{.output = "early",
                    .accuracy = 0.7,
                    .after = 1,
                    .chain_sha256 = sha256("exit"),
                    .structure_sha256 = sha256("exit's structure"),
                    .whole = Millis(4),
                    .blocks = {{"head", Millis(0.5), Millis(0.1), 30, 40}, {"softmax", Millis(0.25), Millis(0.1), 0, 8}},
                    .cuts = {{200, Millis(0.125), Millis(0.25)}, {40, Millis(0), Millis(0)}, {8, Millis(0), Millis(0)}},
                    .codecs = {four}},
                   {.output = "of the trunk", .accuracy = 0.8, .after = 2, .cuts = {{4, Millis(0), Millis(0)}}}};
  return profile;
}

TEST(Profile, ExitsSurviveTheirFile) {
  const auto read = parse_profile(write_profile(with_exits()), "p.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, with_exits());
  // Without them it is a file that older builds read.
  EXPECT_EQ(write_profile(example()).find("exits"), std::string::npos);
  EXPECT_EQ(write_profile(example()).find("accuracy"), std::string::npos);
}

TEST(Profile, AtAnExitItIsAProfileLikeAnyOther) {
  const auto there = at_exit(with_exits(), "early");
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(there->exit, "early");
  EXPECT_EQ(there->accuracy, 0.7);
  EXPECT_EQ(there->chain_sha256, sha256("exit"));
  EXPECT_TRUE(there->exits.empty());
  ASSERT_EQ(there->blocks.size(), 3u);
  ASSERT_EQ(there->cuts.size(), 4u);
  EXPECT_EQ(there->codecs[0].bytes.size(), 4u);
  EXPECT_DOUBLE_EQ(segment_time(*there, 0, 2).count(), 3.76);   // 3 + 0.5 + 0.25 + overhead
  EXPECT_DOUBLE_EQ(segment_time(*there, 1, 2).count(), 0.885);  // beginning with the head
  EXPECT_DOUBLE_EQ(segment_time(*there, 0, 0).count(), 3.26);   // as in the trunk
  EXPECT_DOUBLE_EQ(segment_time(scaled(*there, 2), 0, 2).count(), 7.52);
  EXPECT_EQ(*at_exit(scaled(with_exits(), 2), "early"), scaled(*there, 2));
  EXPECT_EQ(at_exit(with_exits(), "of the trunk")->blocks.size(), 2u);
  EXPECT_EQ(at_exit(with_exits(), "late").error().code, ErrorCode::kNotFound);
  EXPECT_NE(at_exit(with_exits(), "late").error().message.find("it has early, of the trunk"), std::string::npos);
  EXPECT_NE(at_exit(example(), "late").error().message.find("it has none"), std::string::npos);
}

TEST(Profile, DamagedExitsAreRefused) {
  const auto refused = [](const std::function<void(Profile&)>& damage, std::string_view sentence) {
    Profile profile = with_exits();
    damage(profile);
    const auto read = parse_profile(write_profile(profile), "p.json");
    ASSERT_FALSE(read) << sentence;
    EXPECT_NE(read.error().message.find(sentence), std::string::npos) << read.error().message;
  };
  refused([](Profile& p) { p.exits[1].after = 3; }, "after 3 blocks, and the model has 2");
  refused([](Profile& p) { p.exits[1].output = "early"; }, "has 'early' twice");
  refused([](Profile& p) { p.exits[0].cuts.pop_back(); }, "one element more than blocks (3), not 2");
  refused([](Profile& p) { p.exits[0].codecs[0].bytes.pop_back(); }, "each of the 4 cuts");
  refused([](Profile& p) { p.exits[0].accuracy = 1.5; }, "accuracy");
  refused([](Profile& p) { p.exits[0].accuracy = 0; }, "accuracy");
  refused([](Profile& p) { p.accuracy = 2; }, "accuracy");
  refused([](Profile& p) { p.exits[0].output = ""; }, "output");
  refused([](Profile& p) { p.exits[1] = {.output = "e", .after = 0, .cuts = {{4, Millis(0), Millis(0)}}}; }, "must not be empty");
}

}  // namespace
}  // namespace tideline
