// The receive of a connection that gets its bytes part by part: shared by the transports that have no gathering read.
#pragma once

#include "transport/transport.h"

namespace tideline {

// Fills all pieces by connection.receive_some(). After an error with part of them filled the connection is shut down, as
// Connection::receive promises.
inline Status receive_parts(Connection& connection, Pieces pieces, SteadyTime deadline) {
  bool begun = false;
  for (auto piece : pieces) {
    while (!piece.empty()) {
      auto got = connection.receive_some(piece, deadline);
      if (!got) {
        if (begun) connection.shutdown();
        return std::move(got).error();
      }
      begun = true;
      piece = piece.subspan(*got);
    }
  }
  return {};
}

}  // namespace tideline
