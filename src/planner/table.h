// Table: the abstract planning instance (docs/formats/table.md): measured times, no model. What P4's tables are, and anyone's
// own measurements. A value.
//
//   { "devices": ["pi", "pc", "server"],
//     "links": [ {"bytes_per_s": 1.25e6, "rtt_ms": 0}, {"bytes_per_s": 1.25e7, "rtt_ms": 0} ],
//     "ops": [ {"name": "c1", "runtime_ms": [120, 9, 3], "output_bytes": 279936}, ... ],
//     "edges": [ [0, 1], [1, 2] ], "input_bytes": 150528, "result_bytes": 4000 }
//
// A placement gives each op a device; devices never decrease along an edge. Its value (AAIoT, eq. 3, with a round trip per hop):
//   sum over ops i: runtime_ms[i][device of i]
// + sum over links j below the highest device used: 1000 * (crossing_j + result_bytes) / bytes_per_s_j + rtt_ms_j
// which is cost/cost.h's formula for a request that goes up to the highest device and home, with half of the round trip each way.
// crossing_j are the bytes of the tensors made at or below device j and needed above it, each once however many ops need
// it. The input is made on device 0 and needed by the ops without predecessor.
//
// Worked example: one op, runtime_ms [50, 10], input 150,528 B, result 4,000 B, a link of 1.25e6 B/s and 4 ms: on device 0
// 50 ms, on device 1 10 + 1000 * 154,528 / 1.25e6 + 4 = 137.6224 ms.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace tideline {

struct TableLink {
  double bytes_per_s = 0;  // above 0; from -> to
  double rtt_ms = 0;
  // Of version 2; version 1 has links[j] from device j to j+1, as fast back, see version_2().
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  double back_bytes_per_s = 0;
  bool metered = true;
  bool operator==(const TableLink&) const = default;
};

// Watts; what a file leaves out is 0.
struct TablePower {
  double compute_w = 0;
  double transmit_w = 0;
  double receive_w = 0;
  double idle_w = 0;
  bool operator==(const TablePower&) const = default;
};

// A way to write down what crosses a link.
struct TableCodec {
  std::string name;
  double ratio = 1;                      // sent bytes for each byte
  std::vector<double> encode_ms_per_mb;  // [device], for a million bytes before the codec
  std::vector<double> decode_ms_per_mb;
  double accuracy_loss = 0;
  bool operator==(const TableCodec&) const = default;
};

// A way to leave a chain early: its head, which runs where op `after_op` ran, and what it answers.
struct TableExit {
  std::uint32_t after_op = 0;
  std::vector<double> runtime_ms;  // [device], of the head
  double accuracy = 1;
  double result_bytes = 0;
  bool operator==(const TableExit&) const = default;
};

struct Table {
  std::vector<std::string> devices;   // m of them, at least 1
  std::vector<TableLink> links;       // links[j] joins devices j and j+1
  std::vector<std::string> op_names;  // n of them, at least 1
  std::vector<double> runtime_ms;     // [op * m + device]
  std::vector<double> output_bytes;   // [op]
  std::vector<double> memory_bytes;   // [op]; 0 where the file says nothing
  // Each edge once, sorted. A chain has (0,1), (1,2), ...
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  std::vector<std::uint32_t> order;  // all ops, each after its predecessors
  // Every op but the first follows exactly the one before it in `order`, and nothing else.
  bool is_chain = true;
  double input_bytes = 0;
  double result_bytes = 0;
  // The rest is of version 2; planner/walk.h has its definition.
  int version = 1;
  std::uint32_t source = 0;
  std::vector<std::optional<double>> device_memory_bytes;  // [device]
  std::vector<std::optional<TablePower>> power;            // [device]; empty: its energy is not counted
  double accuracy = 1;                                     // of the last op's answer
  std::uint32_t keep_on_source = 0;                        // how many first ops must run on the source
  std::vector<TableCodec> codecs;                          // beside raw
  std::vector<TableExit> exits;
  bool operator==(const Table&) const = default;

  std::uint32_t device_count() const { return static_cast<std::uint32_t>(devices.size()); }
  std::uint32_t op_count() const { return static_cast<std::uint32_t>(op_names.size()); }
  double runtime(std::uint32_t op, std::uint32_t device) const { return runtime_ms[std::size_t{op} * devices.size() + device]; }
};

// kInvalidArgument, naming file and element ("t.json: ops[3].runtime_ms[1]: ..."), for unknown keys, missing or extra numbers,
// negative or non-finite ones, bandwidth 0, edges to unknown ops, double edges, cycles.
Result<Table> parse_table(std::string_view json, std::string_view name);
Result<Table> load_table(const std::string& path);

struct TableValue {
  double latency_ms = 0;
  double compute_ms = 0;
  double transfer_ms = 0;
  bool operator==(const TableValue&) const = default;
};

// REQUIRES: one device for each op, each below device_count(). kInvalidArgument when a device decreases along an edge.
Result<TableValue> table_value(const Table& table, std::span<const std::uint32_t> devices);

// What a planner answers: the device of each op and the value above.
struct TablePlan {
  std::string planner;
  std::vector<std::uint32_t> devices;
  TableValue value;
  bool operator==(const TablePlan&) const = default;
};

// Runs the planner of planners() with that name and judges its answer by the definition above. "auto" takes aaiot for a chain and
// min-cut for a graph. Ties go to the lower device, from the last op backwards. kNotFound for an unknown name; kUnsupported when
// the planner cannot solve this kind of table.
Result<TablePlan> plan_table(const Table& table, std::string_view planner);

// All ops on one device.
TablePlan native_table_plan(const Table& table, std::uint32_t device);

// The best placement of a chain in which at least two devices compute. kUnsupported for a graph; kInfeasible for one op or one
// device.
Result<TablePlan> best_table_split(const Table& table);

// For each two devices of a chain the best placement in which the lower one has the ops before one cut and the higher one those
// after it. kUnsupported for a graph, or above some millions of steps.
Result<std::vector<TablePlan>> best_table_pairs(const Table& table);

}  // namespace tideline
