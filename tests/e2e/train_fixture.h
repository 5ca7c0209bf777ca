// What the tests of training start from: a small classifier, data that it can learn, and jobs over them.
#pragma once

#include <random>

#include <fmt/format.h>

#include "command_line.h"
#include "model/test_models.h"
#include "tensor/npy.h"

namespace tideline::e2e {

inline constexpr std::size_t kInputs = 6, kHidden = 10, kClasses = 3;

// softmax(b + relu(x a) c).
inline std::string classifier() {
  onnx::ModelProto model = test::empty_model();
  test::add_input(model, "x", {1, kInputs});
  test::add_output(model, "y", {1, kClasses});
  std::mt19937 random(2);
  std::normal_distribution<float> normal(0, 0.4F);
  const auto add = [&](const char* name, const test::Dims& dims, std::size_t count) {
    onnx::TensorProto* weight = test::add_weight(model, name, dims);
    weight->clear_float_data();
    weight->clear_raw_data();
    for (std::size_t i = 0; i < count; ++i) weight->add_float_data(normal(random));
  };
  add("a", {kInputs, kHidden}, kInputs * kHidden);
  add("c", {kHidden, kClasses}, kHidden * kClasses);
  add("b", {kClasses}, kClasses);
  test::add_node(model, "MatMul", {"x", "a"}, {"h"});
  test::add_node(model, "Relu", {"h"}, {"r"});
  test::add_node(model, "MatMul", {"r", "c"}, {"m"});
  test::add_node(model, "Add", {"m", "b"}, {"z"});
  test::add_node(model, "Softmax", {"z"}, {"y"});
  return model.SerializeAsString();
}

class Train : public CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (HasFatalFailure()) return;
    write("m.onnx", classifier());
    write_part("data", 0, kSamples);
  }

  static constexpr std::size_t kSamples = 240;
  // Samples `first` to `last - 1` as npy files in that folder.
  void write_part(const std::string& folder, std::size_t first, std::size_t last) const {
    std::filesystem::create_directories(folder_ / folder);
    std::vector<float> x;
    std::vector<std::int64_t> y;
    std::mt19937 random(4);
    std::normal_distribution<float> normal(0, 1);
    for (std::size_t i = 0; i < kSamples; ++i) {
      const bool is_in = i >= first && i < last;
      if (is_in) y.push_back(static_cast<std::int64_t>(i % kClasses));
      for (std::size_t k = 0; k < kInputs; ++k) {
        const float value = normal(random) + (k % kClasses == i % kClasses ? 1.5F : 0.0F);
        if (is_in) x.push_back(value);
      }
    }
    const auto count = static_cast<std::int64_t>(last - first);
    const TensorSpec samples{"", DType::kFloat32, {count, kInputs}}, labels{"", DType::kInt64, {count}};
    write(folder + "/x.npy", *write_npy({&samples, std::as_bytes(std::span(x))}));
    write(folder + "/y.npy", *write_npy({&labels, std::as_bytes(std::span(y))}));
  }

  std::string job(const std::string& name, const std::string& strategy, int workers, int rounds,
                  const std::string& more = "") const {
    return write(name, fmt::format("version: 1\nmodel: m.onnx\ndata: {{train: npy:data, test: npy:data}}\nworkers: {}\n"
                                   "strategy: {}\noptimiser: {{name: sgd, rate: 0.1, momentum: 0.5}}\nrounds: {}\nseed: 1\n"
                                   "evaluate: {{every: {}}}\n{}",
                                   workers, strategy, rounds, rounds, more));
  }
  // A process that has ended and that nobody has asked for yet does not run either.
  static bool is_running(pid_t process) {
    const std::string stat = slurp(fmt::format("/proc/{}/stat", process));
    const std::size_t after_name = stat.rfind(')');
    return after_name != std::string::npos && stat[after_name + 2] != 'Z';
  }
  static bool exists(const std::string& file) { return std::filesystem::exists(file); }
};

}  // namespace tideline::e2e
