// Random instances of the many-tasks problem, by kind. The papers give neither r, l, V nor the placement, so every kind
// is a stated reading (docs/algorithms/li2018.md); `c2` is the calibrated one. Deterministic: the same options give the same
// instance on every platform. Nested: with more servers the first ones keep their bandwidth, with more tasks the first ones
// stay as they are. Pure functions; thread-safe.
//
//   TIDELINE_TRY(const Instance instance, generate_instance({.kind = "c2", .servers = 50, .tasks = 1000, .seed = 7}));
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "schedule/instance.h"

namespace tideline::schedule {

struct GeneratorOptions {
  std::string kind = "c2";
  std::uint32_t servers = 50;
  std::uint32_t tasks = 1000;
  std::uint64_t seed = 1;
  // The ten models of every kind but `real` come from this seed alone: instances of one family share them.
  std::uint64_t profile_seed = 6;
  // How many servers a task has data on (c2, real); at most `servers`.
  std::uint32_t servers_per_task = 25;
  // What `real` draws from; empty: real_models().
  std::vector<TaskModel> models;
};

struct GeneratorKind {
  std::string_view name;
  std::string_view summary;
};

// The visible list.
std::span<const GeneratorKind> generator_kinds();

// kInvalidArgument for an unknown kind, for no servers, or for sizes over limits.h.
Result<Instance> generate_instance(const GeneratorOptions& options);

// Ten public topologies (AlexNet, ZFNet, CNN-F, CNN-M, LeNet-5, CIFAR-net, tiny YOLO, Darknet reference, NiN, a
// human-activity network), computed from their layer tables: one byte per activation, a multiply-add is two operations, and
// gflop_per_mb is ten times the operations per raw input byte, because a compressed byte carries about ten raw ones.
std::vector<TaskModel> real_models();

// A model from what `tideline inspect -o json` prints: a layer per block, ratio = cut bytes / data bytes and
// gflop_per_mb = cumulative kFLOP / data bytes (kFLOP per byte = GFLOP per MB). A byte of the tasks' data is `compression`
// bytes of the model's input: a camera sends JPEG, not float32.
// kInvalidArgument naming the element for anything else.
Result<TaskModel> parse_inspected_model(std::string_view json, std::string_view name, double compression = 1);

}  // namespace tideline::schedule
