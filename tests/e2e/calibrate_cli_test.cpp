// Goal: what `calibrate` promises scripts and people. Method: the real binary with hardly any time; the file is read back by the
// library, and the JSON on standard output is the file.
#include <gmock/gmock.h>

#include "command_line.h"
#include "profile/calibration.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

class CalibrateCli : public CommandLine {};

TEST_F(CalibrateCli, WritesAFileThatReadsBackAndPrintsTheSame) {
  const Outcome outcome = run("calibrate --time 0.1s -o json --out " + path("c.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, slurp(path("c.json")));
  EXPECT_THAT(outcome.err, HasSubstr("wrote"));
  const auto calibration = parse_calibration(outcome.out, "c.json");
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_TRUE(calibration->complete);
  EXPECT_EQ(calibration->threads, 1);
  EXPECT_GT(calibration->operators.size(), 30U);
  EXPECT_GT(calibration->memory.size(), 20U);
}

TEST_F(CalibrateCli, PrintsATableForPeopleAndForSpreadsheets) {
  const Outcome people = run("calibrate --time 0.1s --threads 2");
  ASSERT_EQ(people.exit_code, 0) << people.err;
  for (const char* words :
       {"conv-depthwise", "GFLOP/s", "memory, one thread", "(2 threads, ONNX Runtime", "the same convolution"})
    EXPECT_THAT(people.out, HasSubstr(words));
  const Outcome csv = run("calibrate --time 0.1s -o csv --quiet");
  EXPECT_EQ(csv.exit_code, 0);
  EXPECT_THAT(csv.out, HasSubstr("kind,samples,time_min_ms"));
  EXPECT_THAT(csv.out, Not(HasSubstr("memory, one thread")));
  EXPECT_EQ(csv.err, "");
}

TEST_F(CalibrateCli, InterruptedAtOnceItWritesNothingAndSaysSo) {
  // Of so long a time the memory alone takes seconds.
  const pid_t patient = start({"calibrate", "--time", "60min", "--out", path("c.json")});
  std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  ::kill(patient, SIGINT);
  const Outcome outcome = wait_for(patient);
  EXPECT_EQ(outcome.exit_code, 130);
  EXPECT_THAT(outcome.err, HasSubstr("nothing was written"));
  EXPECT_FALSE(std::filesystem::exists(path("c.json")));
}

TEST_F(CalibrateCli, InterruptedLateItKeepsWhatItHasAndSaysSo) {
  Outcome outcome;
  // How long it takes to every kind is the machine's affair.
  for (int seconds = 8; seconds <= 64; seconds *= 2) {
    const pid_t process = start({"calibrate", "--time", "10min", "-o", "json", "--out", path("c.json")});
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    ::kill(process, SIGINT);
    outcome = wait_for(process);
    EXPECT_EQ(outcome.exit_code, 130) << outcome.err;
    if (std::filesystem::exists(path("c.json"))) break;
    EXPECT_THAT(outcome.err, HasSubstr("nothing was written"));
  }
  EXPECT_THAT(outcome.err, HasSubstr("are kept; every kind is among them"));
  const auto calibration = parse_calibration(slurp(path("c.json")), "c.json");
  ASSERT_TRUE(calibration) << calibration.error().message;
  EXPECT_FALSE(calibration->complete);
  EXPECT_EQ(outcome.json()["complete"], false);
}

TEST_F(CalibrateCli, WrongCommandLinesAreRefusedBeforeAnythingIsMeasured) {
  EXPECT_EQ(run("calibrate --threads 0").exit_code, 2);
  EXPECT_EQ(run("calibrate --time soon").exit_code, 3);
  EXPECT_EQ(run("calibrate model.onnx").exit_code, 2);
  // Five minutes of measuring must not end in a folder that is not there.
  const Outcome nowhere = run("calibrate --time 10min --out " + path("no/such/folder/c.json"));
  EXPECT_EQ(nowhere.exit_code, 3);
  EXPECT_THAT(nowhere.err, HasSubstr("no/such/folder' is no folder"));
  const std::string help = run("calibrate --help").out;
  EXPECT_THAT(help, HasSubstr("tideline calibrate --out pi.calibration.json"));
  EXPECT_THAT(help, HasSubstr("Ctrl-C"));
}

}  // namespace
}  // namespace tideline::e2e
