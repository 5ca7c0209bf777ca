// Goal: emulated links and hosts take their time and change nothing else. Method: the real binaries; times that no machine can
// undercut, however quick it is.
#include <gmock/gmock.h>

#include "train_fixture.h"

namespace tideline::e2e {
namespace {

using testing::HasSubstr;

class TrainPaced : public Train {
 protected:
  // Seconds of all rounds, and the bytes of one worker in them.
  static std::pair<double, double> moved(const nlohmann::json& report) {
    double seconds = 0, bytes = 0;
    for (const auto& round : report["rounds"]) {
      seconds += round["seconds"].get<double>();
      bytes += (round["bytes_up"].get<double>() + round["bytes_down"].get<double>()) / report["bytes_by_worker"].size();
    }
    return {seconds, bytes};
  }
};

TEST_F(TrainPaced, BytesAndRoundTripsTakeTheirTime) {
  const std::string file = job("job.yaml", "{name: sync-sgd}", 2, 10);
  const Outcome plain = run("local train " + file + " --out " + path("out") + " -o json");
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  // 200 kbit/s both ways, and 20 ms for each question and answer.
  const Outcome paced =
      run("local train " + file + " --bandwidth 200kbit/s --rtt 20ms --slowdown 2 --out " + path("out") + " -o json");
  ASSERT_EQ(paced.exit_code, 0) << paced.err;
  EXPECT_EQ(paced.json()["weights_sha256"], plain.json()["weights_sha256"]);
  const auto [seconds, bytes] = moved(paced.json());
  EXPECT_GT(bytes, 5000);
  EXPECT_GE(seconds, 0.9 * (bytes / 25'000 + 10 * 0.020));
  // Around a ring each sends over its own link.
  const std::string ring = job("ring.yaml", "{name: sync-sgd}", 2, 10, "exchange: ring\n");
  const Outcome around = run("local train " + ring + " --rtt 20ms --out " + path("out") + " -o json");
  ASSERT_EQ(around.exit_code, 0) << around.err;
  EXPECT_GE(moved(around.json()).first, 10 * (0.020 + 2 * 0.010) * 0.9);
}

TEST_F(TrainPaced, ASiteMayBeEmulated) {
  write_part("half/0", 0, kSamples / 2);
  write_part("half/1", kSamples / 2, kSamples);
  std::string text = slurp(job("job.yaml", "{name: sync-sgd}", 2, 10));
  text.replace(text.find("workers: 2"), 10, "workers: [near, far]");
  text.replace(text.find("train: npy:data"), 15, "train: 'npy:half/{worker}'");
  write("job.yaml", text);
  write("site.yaml",
        "version: 2\nnodes:\n  - {name: server, tier: cloud, address: h:1}\n  - {name: near, tier: edge, address: h:2}\n"
        "  - {name: far, tier: device, address: h:3, slowdown: 2}\nlinks:\n"
        "  - {from: server, to: near, bandwidth: 100Mbit/s, rtt: 1ms}\n  - {from: near, to: far, bandwidth: 100Mbit/s, rtt: "
        "30ms}\n");
  const Outcome outcome =
      run("local train " + path("job.yaml") + " --emulate " + path("site.yaml") + " --out " + path("out") + " -o json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_GE(moved(outcome.json()).first, 10 * 0.031 * 0.9);
  EXPECT_EQ(run("local train " + path("job.yaml") + " --emulate " + path("site.yaml") + " --rtt 1ms").exit_code, 2);
  write("site.yaml", "version: 2\nnodes:\n  - {name: server, tier: cloud, address: h:1}\nlinks: []\n");
  const Outcome unknown = run("local train " + path("job.yaml") + " --emulate " + path("site.yaml"));
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("node 'near'"));
}

}  // namespace
}  // namespace tideline::e2e
