// Neurosurgeon (Kang et al., ASPLOS 2017): one phone, one server, one cut. Where the cut moves as the server's load and as the
// bandwidth grow, for latency and for the phone's energy, on networks of the zoo with stated devices.
//
// What is searched is the paper's: for j = 0 .. N, T(j) = sum of the phone's times up to j + D_j / B + sum of the server's times
// behind j, stretched by its load; no upload for j = N, and nothing for the way back. neurosurgeon_cut() is that formula as
// printed; `plan` answers the same question as the case of two nodes, and both are asked at every point. The devices are not the
// paper's boards but stated numbers: a layer takes the longer of its FLOPs at one rate and its bytes (weights, input, output) at
// another, and a fixed time for each op. docs/papers/neurosurgeon.md. Deterministic. Pure functions, apart from the models, which
// are made and run once for their shapes.
//
//   TIDELINE_TRY(const Neurosurgeon result, reproduce_neurosurgeon({.models = {"alexnet"}}));
//   for (const NeurosurgeonSweep& sweep : result.sweeps) write_file_atomic(sweep.file + ".svg", render(sweep.figure));
#pragma once

#include <string>
#include <vector>

#include "cluster/cluster.h"
#include "model/chain.h"
#include "profile/profile.h"
#include "reproduce/li2018_figures.h"
#include "session/vary.h"

namespace tideline::sim {

struct StatedDevice {
  std::string name;
  double flop_per_s = 0;
  double bytes_per_s = 0;  // of memory
  double op_ms = 0;        // for each op, whatever its size
};
// About a phone's graphics processor and a server's.
inline const StatedDevice kStatedPhone{"phone", 100e9, 12e9, 0.05};
inline const StatedDevice kStatedServer{"server", 2000e9, 200e9, 0.01};
inline constexpr Power kStatedPhonePower{.compute_w = 6, .transmit_w = 1.5};
// A picture of 224 x 224 as bytes, which the paper sends too, not as floats.
inline constexpr Bytes kStatedPictureBytes = 150'528;

struct NeurosurgeonOptions {
  std::vector<std::string> models = {"alexnet", "vgg16", "squeezenet", "mobilenet-v1"};  // of the zoo
  int points = 61;
  Control control = {};
};

// The chain's blocks on that device.
Profile stated_profile(const Chain& chain, const StatedDevice& device);

// The paper's argmin: how many first blocks the phone runs, and the value there in milliseconds or joules.
struct NeurosurgeonCut {
  std::size_t blocks = 0;
  double value = 0;
};
NeurosurgeonCut neurosurgeon_cut(const Profile& phone, const Profile& server, double bytes_per_s, double load, bool energy);

struct NeurosurgeonSweep {
  std::string model;
  std::string file;  // "neurosurgeon-alexnet-load"
  Variation variation;
  report::SweepFigure figure;
  std::vector<std::size_t> cuts;  // of each point: blocks on the phone
  std::size_t agrees = 0;         // points at which the paper's argmin has the planner's value
};
// One model on one network of a typical kind, server idle.
struct NeurosurgeonRow {
  std::string model;
  std::string network;
  double bytes_per_s = 0;
  double phone_ms = 0, server_ms = 0, best_ms = 0;
  double phone_j = 0, server_j = 0, best_j = 0;
  std::string cut;  // "after pool5", "all on the phone"; for latency
  std::string energy_cut;
};

struct Neurosurgeon {
  std::vector<NeurosurgeonSweep> sweeps;
  std::vector<NeurosurgeonRow> rows;
  std::vector<Finding> findings;
};
// kNotFound for no network of the zoo; kCancelled.
Result<Neurosurgeon> reproduce_neurosurgeon(const NeurosurgeonOptions& options);
std::string neurosurgeon_csv(const Neurosurgeon& result);   // the rows
std::string neurosurgeon_json(const Neurosurgeon& result);  // settings, rows, findings, cuts

}  // namespace tideline::sim
