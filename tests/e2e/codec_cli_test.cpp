// Goal: what `codec`, `profile --codecs` and `run --codec` promise scripts. Method: the real binary; the array that comes back is
// compared here, number by number, and a coded run with the unsplit model.
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>

#include "command_line.h"
#include "tensor/npy.h"
#include "zoo/zoo.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

constexpr const char* kCluster = R"(nodes:
  - {name: camera, tier: device, address: "127.0.0.1:1"}
  - {name: gateway, tier: edge, address: "127.0.0.1:2"}
  - {name: server, tier: cloud, address: "127.0.0.1:3"}
links:
  - {from: camera, to: gateway, bandwidth: 100Mbit/s, rtt: 1ms}
  - {from: gateway, to: server, bandwidth: 100Mbit/s, rtt: 1ms}
)";

class CodecCli : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    write("cluster.yaml", kCluster);
    const auto onnx = zoo_model("lenet5", 1);
    ASSERT_TRUE(onnx);
    write("lenet5.onnx", *onnx);
  }
  std::string write_array(const std::string& name, const std::vector<std::int64_t>& shape, const std::vector<float>& values) {
    const TensorSpec spec{"x", DType::kFloat32, shape};
    return write(name, *write_npy({&spec, std::as_bytes(std::span(values))}));
  }
  std::string local_run(const std::string& options) const {
    return "local run " + path("cluster.yaml") + " " + path("lenet5.onnx") + " --links none --cuts 3,6 --quiet -n 3 " + options;
  }
};

TEST_F(CodecCli, EncodesAndDecodesOneArray) {
  std::vector<float> values(2 * 5 * 40);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i)) * static_cast<float>(i % 7);
  write_array("x.npy", {2, 5, 40}, values);
  for (const std::string name : {"raw", "raw+zstd", "fp16", "fp16+lz4", "int8", "int8c", "int8c+zstd"}) {
    SCOPED_TRACE(name);
    const Outcome outcome = run("codec " + name + " " + path("x.npy") + " --out " + path("y.npy") + " -o json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto json = outcome.json();
    const auto back = parse_npy(slurp(path("y.npy")), "x");
    ASSERT_TRUE(back);
    ASSERT_EQ(back->spec.shape, (std::vector<std::int64_t>{2, 5, 40}));
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      float value = 0;
      std::memcpy(&value, back->data.data() + i * sizeof value, sizeof value);
      worst = std::max(worst, std::abs(static_cast<double>(value) - values[i]));
    }
    EXPECT_DOUBLE_EQ(json["max_abs_error"].get<double>(), worst);
    EXPECT_EQ(worst == 0, name.starts_with("raw"));
    EXPECT_LT(worst, 0.03);
    EXPECT_EQ(json["bytes"], 1600);
    EXPECT_LE(json["encoded_bytes"], 1640);
    if (name == "fp16") {
      EXPECT_EQ(json["encoded_bytes"], 840);
    }
    if (name == "int8c") {
      EXPECT_EQ(json["encoded_bytes"], 40 + 25 + 400);
    }
    EXPECT_GT(json["encode_mb_per_s"], 0);
    EXPECT_GT(json["decode_mb_per_s"], 0);
  }
}

TEST_F(CodecCli, SaysWhatACodecDoesNotHold) {
  write_array("inf.npy", {4, 16}, std::vector<float>(64, HUGE_VALF));
  const Outcome outcome = run("codec int8 " + path("inf.npy") + " -o json");
  EXPECT_EQ(outcome.json()["used"], "raw");
  EXPECT_EQ(outcome.json()["max_abs_error"], 0);
  EXPECT_THAT(run("codec int8 " + path("inf.npy")).out, HasSubstr("not finite"));
  EXPECT_EQ(run("codec int9 " + path("inf.npy")).exit_code, 2);
  EXPECT_EQ(run("codec int8 " + path("nothing.npy")).exit_code, 3);
  EXPECT_EQ(run("codec int8").exit_code, 3);
  EXPECT_EQ(run("codec int8 " + write("text.npy", "no array")).exit_code, 3);
  EXPECT_EQ(run("codec --list -o json").json()["codecs"].size(), 12u);
}

TEST_F(CodecCli, AProfileHasTheCodecsThatWereAskedFor) {
  const std::string profile = "profile " + path("lenet5.onnx") + " --time 0.2s --quiet -o json ";
  const auto chosen = run(profile + "--codecs int8c,raw+lz4").json();
  ASSERT_EQ(chosen["codecs"].size(), 2u);
  EXPECT_EQ(chosen["codecs"][0]["name"], "int8c");
  EXPECT_EQ(chosen["codecs"][0]["bytes"].size(), chosen["cuts"].size());
  for (const auto& error : chosen["codecs"][0]["max_rel_error"]) EXPECT_TRUE(error.is_number());
  for (const auto& error : chosen["codecs"][1]["max_rel_error"]) EXPECT_EQ(error, 0);
  EXPECT_FALSE(run(profile + "--codecs none").json().contains("codecs"));
  EXPECT_EQ(run(profile).json()["codecs"].size(), 3u);
  EXPECT_EQ(run(profile + "--codecs int7").exit_code, 2);
  EXPECT_EQ(run(profile + "--codecs none,int8").exit_code, 3);
}

TEST_F(CodecCli, ARunInACodecSaysWhatItLoses) {
  const Outcome lossy = run(local_run("--codec int8c --verify -o json"));
  ASSERT_EQ(lossy.exit_code, 0) << lossy.err;
  const auto json = lossy.json();
  EXPECT_TRUE(json["verified"].is_null());
  EXPECT_EQ(json["lossy_codecs"], nlohmann::json({"int8c"}));
  EXPECT_GT(json["max_rel_diff"], 0);
  EXPECT_LT(json["max_rel_diff"], 0.1);
  EXPECT_GT(json["stages"][0]["encode_ms"], 0);
  EXPECT_GT(json["stages"][1]["decode_ms"], 0);
  EXPECT_EQ(json["stages"][2]["encode_ms"], 0);  // the result comes home raw
  EXPECT_THAT(run(local_run("--codec int8c --verify")).out, HasSubstr("give --tolerance to judge"));

  const Outcome allowed = run(local_run("--codec int8c --verify --tolerance 0.1 -o json"));
  EXPECT_EQ(allowed.exit_code, 0);
  EXPECT_EQ(allowed.json()["verified"], true);
  EXPECT_EQ(allowed.json()["tolerance"], 0.1);
  const Outcome refused = run(local_run("--codec int8c --verify --tolerance 1e-9 -o json"));
  EXPECT_EQ(refused.exit_code, 8);
  EXPECT_EQ(refused.json()["verified"], false);

  const auto lossless = run(local_run("--codec raw+lz4 --verify -o json")).json();
  EXPECT_EQ(lossless["verified"], true);
  EXPECT_EQ(lossless["lossy_codecs"].size(), 0u);
}

TEST_F(CodecCli, CodecsByHopAndThePredictionBesideThem) {
  const Outcome each =
      run(local_run("--codec fp16,int8,int8,fp16+zstd --verify --tolerance 0.1 -o json --profile-out " + path("p.json")));
  ASSERT_EQ(each.exit_code, 0) << each.err;
  EXPECT_EQ(each.json()["lossy_codecs"], nlohmann::json({"fp16", "int8", "fp16+zstd"}));
  EXPECT_EQ(run(local_run("--codec fp16,int8,int8")).exit_code, 3);
  EXPECT_EQ(run(local_run("--codec zstd")).exit_code, 2);
  // With a profile that has them the codecs' own times are predicted; with one that has not, nothing is.
  run("profile " + path("lenet5.onnx") + " --time 0.2s --quiet -o json --codecs int8 --out " + path("int8.json"));
  const auto predicted = run(local_run("--codec int8 -o json --profile " + path("int8.json"))).json();
  EXPECT_TRUE(predicted["predicted_ms"].is_number());
  EXPECT_GT(predicted["stages"][0]["predicted_encode_ms"], 0);
  EXPECT_GT(predicted["stages"][1]["predicted_decode_ms"], 0);
  const Outcome unknown = run(local_run("--codec fp16 -o json --profile " + path("int8.json")));
  EXPECT_EQ(unknown.exit_code, 0) << unknown.err;
  EXPECT_TRUE(unknown.json()["predicted_ms"].is_null());
}

// Links so slow that fewer bytes win, and only the server has room for the model: the plan takes a codec where it may, and the
// run of its file answers within what was asked.
TEST_F(CodecCli, APlanChoosesCodecsAndItsRunKeepsTheTolerance) {
  write("slow.yaml", R"(nodes:
  - {name: camera, tier: device, address: "127.0.0.1:1", memory: 66kB}
  - {name: gateway, tier: edge, address: "127.0.0.1:2", memory: 66kB}
  - {name: server, tier: cloud, address: "127.0.0.1:3"}
links:
  - {from: camera, to: gateway, bandwidth: 1Mbit/s, rtt: 1ms}
  - {from: gateway, to: server, bandwidth: 1Mbit/s, rtt: 1ms}
)");
  const std::string profile = path("p.json");
  ASSERT_EQ(
      run("profile " + path("lenet5.onnx") + " --time 0.2s --quiet -o json --codecs int8c,raw+zstd --out " + profile).exit_code,
      0);
  const std::string plan = "plan --profile " + profile + " --cluster " + path("slow.yaml") + " --quiet -o json ";

  const auto careful = run(plan).json();
  EXPECT_EQ(careful["accuracy"], 1);
  EXPECT_EQ(careful["output_error"], 0);
  for (const auto& codec : careful["codec"]) EXPECT_NE(codec, "int8c");

  const Outcome chosen = run(plan + "--tolerance 0.2 --plan-out " + path("plan.json"));
  ASSERT_EQ(chosen.exit_code, 0) << chosen.err;
  const auto json = chosen.json();
  // One codec for both links, the gateway looks into nothing; the result comes home raw.
  EXPECT_EQ(json["codec"], nlohmann::json({"int8c", "int8c", "raw", "raw"}));
  EXPECT_GT(json["output_error"], 0);
  EXPECT_LE(json["output_error"], 0.2);
  EXPECT_LT(json["latency_ms"], careful["latency_ms"]);
  EXPECT_LT(json["upload_bytes"], careful["upload_bytes"]);
  EXPECT_GT(json["hops"][0]["coding_ms"], 0);
  EXPECT_EQ(json["hops"][0]["bytes"], json["hops"][1]["bytes"]);

  const std::string local =
      "local run " + path("cluster.yaml") + " " + path("lenet5.onnx") + " --links none --quiet -n 3 --verify -o json --plan ";
  const Outcome ran = run(local + path("plan.json"));
  ASSERT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.json()["verified"], true);
  EXPECT_EQ(ran.json()["tolerance"], 0.2);
  EXPECT_EQ(ran.json()["lossy_codecs"], nlohmann::json({"int8c"}));
  EXPECT_GT(ran.json()["max_rel_diff"], 0);
  EXPECT_LE(ran.json()["max_rel_diff"], 0.2);
  EXPECT_EQ(ran.json()["bit_identical"], false);

  // By accuracy instead: whatever is lost is within the limit, and its trade-off with latency has the raw plan at its end.
  const auto accurate = run(plan + "--limit accuracy=0.5").json();
  EXPECT_GE(accurate["accuracy"], 0.5);
  const auto front = run(plan + "--pareto latency,accuracy").json()["front"];
  EXPECT_EQ(front.back()["accuracy"], 1);
  EXPECT_LE(front[0]["latency_ms"], accurate["latency_ms"]);

  const Outcome none = run(plan + "--tolerance 0.2 --limit latency=1us");
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_EQ(none.json()["limits"][0]["quantity"], "latency");
  EXPECT_LT(none.json()["limits"][0]["alone"].get<double>(), careful["latency_ms"].get<double>());
  EXPECT_EQ(run(plan + "--tolerance -1").exit_code, 2);
  EXPECT_EQ(run(plan + "--tolerance much").exit_code, 2);
  EXPECT_EQ(run("plan --table " + source_ + "/examples/tables/site.json --tolerance 0.1").exit_code, 3);
}

}  // namespace
}  // namespace tideline::e2e
