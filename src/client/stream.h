// RunStream: the requests of one source, in order, with several under way. Every request that submit() takes has exactly one
// answer, and next() returns them in the order in which they were submitted, whatever happens on the way; what is under way or
// not yet fetched is never more than the window, so the memory of a stream is bounded. One thread at a time; several streams of
// one client may be used at once. The client must outlive it.
//
//   RunStream stream(client, {.window = 4});
//   while (read(frame)) {
//     if (stream.full()) use(stream.next());
//     TIDELINE_CHECK_OK(stream.submit(frame));
//   }
//   while (stream.in_flight() > 0) use(stream.next());
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "client/client.h"

namespace tideline {

struct StreamOptions {
  std::size_t window = 4;  // requests under way at once; 1 to kWindowMax
  RunRequest request;      // of each
  static constexpr std::size_t kWindowMax = 64;
};

class RunStream {
 public:
  RunStream(ClusterClient& client, const StreamOptions& options);
  // Requests whose answers were not fetched are cancelled.
  ~RunStream();
  RunStream(const RunStream&) = delete;
  RunStream& operator=(const RunStream&) = delete;

  // Sends one; the inputs may go when it has returned. kOverloaded while the window is full. After another error there is no
  // request and no answer.
  Status submit(const std::vector<TensorView>& inputs);
  // The answer to the oldest; waits for it. kNotFound when nothing is under way.
  Result<RunAnswer> next();
  std::size_t in_flight() const { return tickets_.size(); }
  bool full() const { return tickets_.size() >= options_.window; }

 private:
  ClusterClient& client_;
  StreamOptions options_;
  std::deque<std::unique_ptr<ClusterClient::Ticket>> tickets_;
};

}  // namespace tideline
