// Walks over a table of version 2 (docs/formats/table.md): the definition of what a request does and costs. The only place with
// these formulas for tables; every search is judged by it.
//
// A walk begins at the source with the input, computes the ops of a chain in order, and may cross any link either way at any
// time. Crossing from device i to j with s bytes in codec c:
//   s/1e6 * encode_c[i]  +  rtt/2 + 1000 * s * ratio_c / bandwidth  +  s/1e6 * decode_c[j]        ms,
// `bandwidth` that of the direction. With an exit, its head runs where the op before it ran. From where the last op or the head
// ran, the result returns to the source, raw. Then
//   latency   the sum of it all
//   energy    for each device with power numbers: (compute - idle) * its computing, encoding and decoding
//             + (transmit - idle) * the bytes' time on links it sends on + (receive - idle) * the same where it receives
//             + idle * latency
//   upload    bytes, after the codec, on metered links, results included
//   period    the largest of: one device's computing, encoding and decoding; the bytes' time on one direction of one link
//   accuracy  of the exit or of the table, minus the codecs' losses
//
// Worked example: one op, 10 ms on device 1, input 150,528 B, result 4,000 B, a link of 1.25e6 B/s and 4 ms, device 0 with
// transmit_w 1, receive_w 0.5, idle_w 0.2: latency 137.6224 ms as in table.h; energy (0.8 * 120.4224 + 0.3 * 3.2 + 0.2 *
// 137.6224) / 1000 = 0.12482 J; upload 154,528 B; period 120.4224 ms.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "planner/question.h"
#include "planner/table.h"

namespace tideline {

inline constexpr std::uint32_t kRawCodec = 0;  // codec number c + 1 is codecs[c]

struct TableWalk {
  std::vector<std::uint32_t> route;    // devices in the order visited, the source first and last
  std::vector<std::uint32_t> links;    // of each crossing: its index in the table
  std::vector<std::uint32_t> codecs;   // of each crossing
  std::vector<std::uint32_t> devices;  // of each op that runs, in the table's order
  std::vector<std::uint32_t> at;       // its position in the route; never decreasing along an edge
  std::optional<std::uint32_t> exit;   // index in the table
  bool operator==(const TableWalk&) const = default;
};

// What a walk costs, term by term.
struct WalkValue {
  Values total;
  double compute_ms = 0;   // heads included
  double transfer_ms = 0;  // encoding and decoding included
  // [device]; for the limits on them and for who asks where the time goes.
  std::vector<double> busy_ms;       // computing, encoding and decoding
  std::vector<double> memory_bytes;  // of the ops that run there
  std::vector<double> device_energy_j;
  bool operator==(const WalkValue&) const = default;
};

// kInvalidArgument, saying where, for what is no walk of the table: a crossing without its link, ops out of order, a result in a
// codec, an op of keep_on_source elsewhere. Ops may be a graph: a tensor then crosses wherever somebody beyond reads it, once.
// REQUIRES: a table of version 2.
Result<WalkValue> walk_value(const Table& table, const TableWalk& walk);

// A table of version 1 as one of version 2: links both ways as fast as up, nobody's energy, the accuracy of the whole model 1.
// Others as they are.
Table version_2(Table table);

}  // namespace tideline
