// Goal: what `calibrate` promises scripts and people. Method: the real binary with hardly any time; the file is read back by the
// library, and the JSON on standard output is the file.
#include <gmock/gmock.h>

#include "command_line.h"
#include "profile/calibration.h"
#include "profile/profile.h"

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

// From a host's calibration to a plan for it, without the model ever running there.
TEST_F(CalibrateCli, ItsFileIsAllAProfileNeedsAndThePlanSaysSo) {
  ASSERT_EQ(run("calibrate --time 0.1s --quiet --out " + path("pi.json")).exit_code, 0);
  ASSERT_EQ(run("zoo lenet5 -o " + path("lenet5.onnx")).exit_code, 0);
  const std::string predict = "profile " + path("lenet5.onnx") + " --predict " + path("pi.json") + " --time 0.2s";
  const Outcome people = run(predict + " --out " + path("p.json"));
  ASSERT_EQ(people.exit_code, 0) << people.err;
  EXPECT_THAT(people.out, HasSubstr("predicted, not measured: by kernels from the calibration of "));
  EXPECT_THAT(people.out, HasSubstr("codecs are not predicted"));
  const auto profile = parse_profile(slurp(path("p.json")), "p.json");
  ASSERT_TRUE(profile) << profile.error().message;
  ASSERT_TRUE(profile->prediction);
  EXPECT_GT(profile->prediction->expected_error_p90, 0);
  EXPECT_FALSE(profile->power);
  const Outcome baseline = run(predict + " --predictor neurosurgeon -o json");
  ASSERT_EQ(baseline.exit_code, 0) << baseline.err;
  EXPECT_EQ(baseline.json()["predicted"]["by"], "neurosurgeon");
  // The check compares with what this host takes now; whether it is near enough is bench/profile's to say.
  const Outcome checked = run(predict + " --check -o json");
  EXPECT_TRUE(checked.exit_code == 0 || checked.exit_code == 8) << checked.err;
  EXPECT_GT(checked.json()["check"]["whole_measured_ms"], 0);

  const std::string cluster = write("cluster.yaml",
                                    "nodes:\n  - {name: pi, tier: device, address: 'h:1'}\n  - {name: server, tier: cloud, "
                                    "address: 'h:2'}\nlinks:\n  - {from: pi, to: server, bandwidth: 8Mbit/s, rtt: 5ms}\n");
  const Outcome plan = run("plan --profile " + path("p.json") + " --cluster " + cluster);
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.err, HasSubstr("are predicted (kernels), not measured"));
}

TEST_F(CalibrateCli, PredictionsFromTheWrongFilesAreRefusedInOneSentence) {
  ASSERT_EQ(run("zoo lenet5 -o " + path("lenet5.onnx")).exit_code, 0);
  const std::string profile = "profile " + path("lenet5.onnx");
  EXPECT_THAT(run(profile + " --predictor kernels").err, HasSubstr("with --predict FILE"));
  EXPECT_EQ(run(profile + " --predict x.json --predictor tarot").exit_code, 2);
  EXPECT_EQ(run(profile + " --predict " + path("none.json")).exit_code, 3);
  // A calibration of a build that kept no shapes of kernels.
  const std::string old = write("old.json", R"({"tideline_calibration": 1, "host": "pi", "threads": 2, "engine": "e", "date": "d",
      "reference_ms": 1, "reference_spread_ms": 0, "caches": [], "memory": [], "scaling": [], "operators": [{"kind": "add",
      "ops": ["Add"], "inputs": [[1]], "output": [1], "flops": 1, "weight_bytes": 0, "time_ms": 1, "spread_ms": 0, "wall_ms": 1,
      "kernels": [{"type": "Add", "time_ms": 1}]}]})");
  const Outcome refused = run(profile + " --predict " + old);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("measure it again with `tideline calibrate`"));
  const Outcome threads = run(profile + " --predict " + old + " --threads 4");
  EXPECT_EQ(threads.exit_code, 3);
  EXPECT_THAT(threads.err, HasSubstr("is of 2 threads"));
}

}  // namespace
}  // namespace tideline::e2e
