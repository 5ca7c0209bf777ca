// Goal: what `local run` promises scripts: streams with their keys, everything measured when it ends early, every answer kept,
// one shape of errors, standard input, completion. Method: the real binary on a small network over three unshaped nodes.
#include <gmock/gmock.h>

#include "command_line.h"
#include "tensor/npy.h"
#include "zoo/zoo.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kCluster = R"(nodes:
  - {name: camera, tier: device, address: "127.0.0.1:1"}
  - {name: gateway, tier: edge, address: "127.0.0.1:2"}
  - {name: server, tier: cloud, address: "127.0.0.1:3"}
links:
  - {from: camera, to: gateway, bandwidth: 100Mbit/s, rtt: 1ms}
  - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 1ms}
)";

class RunCli : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    write("cluster.yaml", kCluster);
    const auto onnx = zoo_model("lenet5", 1);
    ASSERT_TRUE(onnx);
    write("lenet5.onnx", *onnx);
  }
  std::string local_run(const std::string& options) const {
    return "local run " + path("cluster.yaml") + " " + path("lenet5.onnx") + " --links none --cuts 3,6 --quiet " + options;
  }
  std::vector<std::string> endless(const std::string& save) const {
    return {"local",
            "run",
            path("cluster.yaml"),
            path("lenet5.onnx"),
            "--links",
            "none",
            "--cuts",
            "3,6",
            "--quiet",
            "-n",
            "10000000",
            "-o",
            "json",
            "--save-output",
            save};
  }
};

// Up to the gateway, back with blocks left, up to the server through it, and the last blocks at home.
TEST_F(RunCli, APlanThatComesBackAnswersWhatTheWholeModelAnswers) {
  const Outcome planned = run("plan " + path("lenet5.onnx") + " --cluster " + path("cluster.yaml") +
                              " --profile-time 0.2 --quiet --plan-out " + path("back.json"));
  ASSERT_EQ(planned.exit_code, 0) << planned.err;
  nlohmann::json plan = nlohmann::json::parse(slurp(path("back.json")));
  const int last = plan["segments"].back()["last_block"];
  ASSERT_GT(last, 8);
  plan["route"] = {"camera", "gateway", "camera", "gateway", "server", "gateway", "camera"};
  plan["segments"] = nlohmann::json::array();
  const auto add = [&](int at, const char* node, int first, int end) {
    plan["segments"].push_back({{"at", at}, {"node", node}, {"first_block", first}, {"last_block", end}});
  };
  add(1, "gateway", 0, 1);
  add(2, "camera", 2, 3);
  add(4, "server", 4, 5);
  add(5, "gateway", 6, 7);
  add(6, "camera", 8, last);
  write("back.json", plan.dump());
  const Outcome outcome = run("local run " + path("cluster.yaml") + " " + path("lenet5.onnx") + " --links none --plan " +
                              path("back.json") + " --quiet -n 5 --verify -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json json = outcome.json();
  EXPECT_EQ(json["verified"], true);
  EXPECT_EQ(json["bit_identical"], true);
  std::vector<std::string> computed;
  for (const nlohmann::json& stage : json["stages"])
    if (stage["compute_ms"] > 0) computed.push_back(stage["node"]);
  EXPECT_EQ(computed, (std::vector<std::string>{"gateway", "camera", "server", "gateway", "camera"}));
}

TEST_F(RunCli, AStreamSaysItsRateAndItsBottleneck) {
  const Outcome outcome = run(local_run("--in-flight 4 -n 60 --verify -o json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json json = outcome.json();
  EXPECT_EQ(json["requests"], 60);
  EXPECT_EQ(json["complete"], true);
  EXPECT_EQ(json["in_flight"], 4);
  EXPECT_EQ(json["dropped"], 0);
  EXPECT_EQ(json["verified"], true);
  EXPECT_GT(json["throughput_per_s"].get<double>(), 0);
  EXPECT_GT(json["bottleneck_ms"].get<double>(), 0);
  EXPECT_THAT(json["bottleneck"].get<std::string>(), testing::AnyOf(HasSubstr("computes"), HasSubstr("->"), HasSubstr("<-")));
  const Outcome table = run(local_run("--in-flight 4 -n 20"));
  EXPECT_THAT(table.out, HasSubstr("frames per second with up to 4 in flight"));
}

TEST_F(RunCli, ASourceThatIsTooFastDropsAsToldAndNothingElse) {
  // A million frames a second for a while: no route takes them.
  const Outcome outcome = run(local_run("--rate 1000000 --duration 50ms --drop oldest -o json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json json = outcome.json();
  EXPECT_GT(json["dropped"].get<int>(), 0);
  EXPECT_EQ(json["requests"].get<int>() + json["dropped"].get<int>(), 50'000);
  const Outcome patient = run(local_run("--rate 1000000 -n 30 --in-flight 2 -o json"));
  EXPECT_EQ(patient.json()["dropped"], 0);
  EXPECT_EQ(patient.json()["requests"], 30);
  EXPECT_GT(patient.json()["source_wait_ms"].get<double>(), 0);
  // A rule without a rate would do nothing.
  const Outcome useless = run(local_run("--drop oldest -o json"));
  EXPECT_EQ(useless.exit_code, 3);
  EXPECT_THAT(useless.err, HasSubstr("--rate"));
}

TEST_F(RunCli, AnInterruptedRunPrintsWhatItMeasured) {
  const pid_t process = start(endless(path("answers")));
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(path("answers") + "/output0.npy"); }));
  ::kill(process, SIGINT);
  const Outcome outcome = wait_for(process);
  EXPECT_EQ(outcome.exit_code, 130);
  const nlohmann::json json = outcome.json();
  ASSERT_TRUE(json.is_object()) << outcome.out;
  EXPECT_EQ(json["complete"], false);
  EXPECT_GT(json["requests"].get<int>(), 0);
  EXPECT_EQ(json["error"]["code"], "CANCELLED");
  EXPECT_THAT(outcome.err, HasSubstr("of 10000000 requests"));
}

TEST_F(RunCli, ARunWhoseNodeDiesPrintsWhatItMeasured) {
  for (const char* in_flight : {"1", "3"}) {
    const std::string save = path(std::string("answers") + in_flight);
    std::vector<std::string> words = endless(save);
    words.insert(words.end(), {"--in-flight", in_flight});
    const pid_t process = start(words);
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(save + "/output0.npy"); }));
    const std::vector<pid_t> nodes = children_of(process);
    ASSERT_EQ(nodes.size(), 3u);
    ::kill(nodes[2], SIGKILL);
    const Outcome outcome = wait_for(process);
    EXPECT_EQ(outcome.exit_code, 5) << outcome.err;
    const nlohmann::json json = outcome.json();
    ASSERT_TRUE(json.is_object()) << outcome.out;
    EXPECT_EQ(json["complete"], false);
    EXPECT_GT(json["requests"].get<int>(), 0);
    EXPECT_EQ(json["error"]["code"], "DISCONNECTED");
    EXPECT_THAT(outcome.err, HasSubstr("server"));
  }
}

TEST_F(RunCli, EveryAnswerIsKept) {
  std::filesystem::create_directory(path("pictures"));
  const TensorSpec spec{"input", DType::kFloat32, {1, 1, 32, 32}};
  for (const char* name : {"a.npy", "b.npy", "c.npy"}) {
    const std::vector<float> pixels(32 * 32, static_cast<float>(name[0] - 'a'));
    const auto npy = write_npy({&spec, std::as_bytes(std::span(pixels.data(), pixels.size()))});
    ASSERT_TRUE(npy);
    write(std::string("pictures/") + name, *npy);
  }
  for (const char* in_flight : {"1", "2"}) {
    const std::string save = path(std::string("kept") + in_flight);
    const Outcome outcome =
        run(local_run("--input " + path("pictures") + " -n 3 --warmup 0 --in-flight " + in_flight + " --save-output " + save));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    std::vector<std::string> answers;
    for (const char* name : {"a.npy", "b.npy", "c.npy"}) {
      answers.push_back(slurp(save + "/" + name + "/output0.npy"));
      EXPECT_FALSE(answers.back().empty()) << name;
    }
    EXPECT_NE(answers[0], answers[1]);
    EXPECT_NE(answers[1], answers[2]);
  }
}

TEST_F(RunCli, TheTableInOtherClothes) {
  const Outcome csv = run(local_run("-n 3 -o csv"));
  EXPECT_EQ(csv.exit_code, 0) << csv.err;
  EXPECT_EQ(csv.out.substr(0, csv.out.find('\n')), "what,measured_ms,predicted_ms,predicted_over_measured");
  EXPECT_THAT(csv.out, HasSubstr("\"latency, median\","));
  const auto first_line = [&](const std::string& command) {
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.exit_code, 0) << command << ": " << outcome.err;
    return outcome.out.substr(0, outcome.out.find('\n'));
  };
  EXPECT_EQ(first_line("inspect " + path("lenet5.onnx") + " -o csv"),
            "block,ops,flops,parameter_bytes,cut_after_bytes,tensors,name");
  EXPECT_EQ(first_line("plan --table " + source_ + "/examples/tables/alexnet.json -o csv"),
            "mark,candidate,latency_ms,compute_ms,transfer_ms");
  EXPECT_EQ(first_line("profile " + path("lenet5.onnx") + " --time 200ms -o csv --out " + path("lenet5.profile.json")),
            "block,time_ms,spread_ms,share,parameter_bytes,cut_after_bytes,name");
  EXPECT_EQ(first_line("plan --profile " + path("lenet5.profile.json") + " --cluster " + path("cluster.yaml") + " -o csv"),
            "mark,candidate,latency_ms,compute_ms,transfer_ms,not_possible");
  EXPECT_THAT(first_line("sweep --table " + source_ + "/examples/tables/alexnet.json -o csv --points 5"),
              HasSubstr("from_bit_s,to_bit_s,latency_ms_from"));
  const Outcome markdown = run(local_run("-n 3 -o markdown"));
  EXPECT_THAT(markdown.out, HasSubstr("|---|---:|---:|---:|\n"));
}

TEST_F(RunCli, AProfileThatIsWrongIsSaidAndAnotherPlanOffered) {
  ASSERT_EQ(run("profile " + path("lenet5.onnx") + " --time 200ms --out " + path("p.json")).exit_code, 0);
  nlohmann::json profile = nlohmann::json::parse(slurp(path("p.json")));
  // A profile of a host a thousand times slower on the camera: measured, it is a thousand times faster.
  for (nlohmann::json& block : profile["blocks"]) block["time_ms"] = block["time_ms"].get<double>() * 1000;
  write("slow.json", profile.dump());
  const Outcome outcome = run("local run " + path("cluster.yaml") + " " + path("lenet5.onnx") +
                              " --links none --quiet -n 10 -o json --cuts 3,6 --profile " + path("slow.json") +
                              " --corrected-plan " + path("corrected.plan.json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const nlohmann::json json = outcome.json();
  EXPECT_LT(json["measured_over_predicted"].get<double>(), 0.8);
  ASSERT_FALSE(json["hosts"].empty()) << outcome.out;
  EXPECT_LT(json["hosts"][0]["times_slower"].get<double>(), 0.5);
  EXPECT_FALSE(json["advice"].empty());
  ASSERT_TRUE(json["corrected_plan"].is_object()) << outcome.out;
  EXPECT_EQ(run("config validate " + path("corrected.plan.json")).exit_code, 0);
}

TEST_F(RunCli, UsageErrorsAreJsonToo) {
  for (const char* wrong : {"run --nope -o json", "-o json run", "no-such-command --output=json", "zoo -o json --width",
                            "run a.onnx --cluster c.yaml -n 0 -ojson", "run - --cluster - -o json"}) {
    const Outcome outcome = run(wrong);
    EXPECT_EQ(outcome.exit_code, 2) << wrong;
    const nlohmann::json json = outcome.json();
    ASSERT_TRUE(json.is_object()) << wrong << ": " << outcome.out;
    EXPECT_EQ(json["ok"], false);
    EXPECT_EQ(json["error"]["code"], "USAGE") << wrong;
    EXPECT_FALSE(json["error"]["message"].get<std::string>().empty());
    EXPECT_FALSE(outcome.err.empty());
  }
  const Outcome missing = run("run nothing.onnx --cluster " + path("cluster.yaml") + " -o json");
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_EQ(missing.json()["error"]["code"], "NOT_FOUND");
}

TEST_F(RunCli, NoTimeoutIsTooLong) {
  const Outcome outcome = run(local_run("-n 2 --timeout 1e10s -o json"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["requests"], 2);
}

TEST_F(RunCli, FilesOfOursComeFromStandardInput) {
  EXPECT_EQ(run("config validate -", "cat '" + path("cluster.yaml") + "' | ").exit_code, 0);
  const Outcome wrong = run("config validate -", "printf 'nodes: [' | ");
  EXPECT_EQ(wrong.exit_code, 3);
  EXPECT_THAT(wrong.err, HasSubstr("standard input"));
  const Outcome inspected = run("inspect - -o json", "cat '" + path("lenet5.onnx") + "' | ");
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_EQ(inspected.json()["blocks"], run("inspect " + path("lenet5.onnx") + " -o json").json()["blocks"]);
  const Outcome table = run("plan --table - -o json", "cat '" + source_ + "/examples/tables/alexnet.json' | ");
  EXPECT_EQ(table.exit_code, 0) << table.err;
  const Outcome local = run("local run - " + path("lenet5.onnx") + " --links none --cuts 3,6 -n 2 --quiet -o json",
                            "cat '" + path("cluster.yaml") + "' | ");
  EXPECT_EQ(local.exit_code, 0) << local.err;
}

TEST_F(RunCli, BashCompletesWhatTheCommandLineHas) {
  const Outcome script = run("completion bash");
  ASSERT_EQ(script.exit_code, 0);
  write("completion.sh", script.out);
  const auto completed = [&](const std::string& words, int at) {
    const std::string command = "bash -c 'source " + path("completion.sh") + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=" + std::to_string(at) + "; _tideline; echo \"${COMPREPLY[@]}\"' >" +
                                path("replies");
    EXPECT_EQ(std::system(command.c_str()), 0);
    const std::string text = slurp(path("replies"));
    return text.substr(0, text.find_last_not_of('\n') + 1);
  };
  EXPECT_EQ(completed("tideline ins", 1), "inspect");
  EXPECT_EQ(completed("tideline local \"\"", 2), "up run fleet train");
  EXPECT_EQ(completed("tideline local run --dro", 3), "--drop");
  EXPECT_EQ(completed("tideline local run --drop \"\"", 4), "none oldest newest");
  EXPECT_EQ(completed("tideline run --codec fp", 3), "fp16 fp16+lz4 fp16+zstd");
  EXPECT_EQ(completed("tideline codec int8c", 2), "int8c int8c+lz4 int8c+zstd");
  EXPECT_EQ(completed("tideline -q run -o j", 4), "json");
  EXPECT_EQ(completed("tideline completion z", 2), "zsh");
  EXPECT_THAT(completed("tideline run " + path("lenet"), 2), HasSubstr("lenet5.onnx"));
  EXPECT_THAT(completed("tideline run --cluster " + path("clus"), 3), HasSubstr("cluster.yaml"));
  EXPECT_EQ(completed("tideline inspect --in", 2), "--input");
  EXPECT_THAT(completed("tideline run -", 2), Not(HasSubstr("--extract")));
  for (const char* shell : {"zsh", "fish"}) EXPECT_THAT(run(std::string("completion ") + shell).out, HasSubstr("in-flight"));
}

}  // namespace
}  // namespace tideline::e2e
