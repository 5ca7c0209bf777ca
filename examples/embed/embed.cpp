// Runs a model over a cluster whose nodes are up and prints how long it took:
//   tideline local up cluster.yaml --out up.yaml &
//   embed model.onnx up.yaml 3,6
#include <tideline/tideline.h>

#include <cstdio>
#include <sstream>

tideline::Status run(const std::string& model, const std::string& cluster, const std::string& cuts) {
  tideline::DeploymentOptions options{.model = model, .cluster = cluster};
  std::istringstream text(cuts);  // none: the best plan, measured now
  for (std::string block; std::getline(text, block, ',');) options.cuts.push_back(std::stoul(block));
  TIDELINE_TRY(const tideline::Deployment deployment, tideline::Deployment::open(options, {}));
  for (const auto& part : deployment.placed())
    std::printf("%s runs blocks %u to %u\n", part.node.c_str(), part.first_block, part.last_block);

  TIDELINE_TRY(const auto answer, deployment.run(deployment.sample(), {}));
  TIDELINE_TRY(const auto expected, deployment.run_unsplit(deployment.sample()));
  const bool same = tideline::compare(expected[0], answer.outputs[0]).is_within_tolerance;
  std::printf("answered in %.1f ms, %s the unsplit model\n", answer.latency.count(), same ? "equal to" : "DIFFERENT from");

  const auto frame = [&](std::uint64_t) -> tideline::Result<std::vector<tideline::Tensor>> {
    return deployment.copy_of_sample();
  };
  const auto show = [](std::uint64_t, const tideline::Deployment::Answer&) { return tideline::Status(); };
  TIDELINE_TRY(const auto stream, deployment.stream({.in_flight = 4, .frames = 50}, frame, show, {}));
  std::printf("%llu frames answered in order\n", static_cast<unsigned long long>(stream.answers));
  return {};
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const tideline::Status status = run(argv[1], argv[2], argc > 3 ? argv[3] : "");
  if (!status) std::fprintf(stderr, "embed: %s\n", status.error().message.c_str());
  return status ? 0 : 1;
}
