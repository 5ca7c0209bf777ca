// LocalListener: a Unix socket that takes one line from each caller and answers it with one; for controls of a program by the
// user who started it. The socket can be opened by that user alone. Not thread-safe.
//
//   TIDELINE_TRY(auto listener, LocalListener::open("fleet.sock", {.line_bytes_max = 65536, .callers_max = 16}));
//   while (running) listener->serve(std::chrono::milliseconds(100), [](std::string_view line) { return answer(line); });
//   ask_local("fleet.sock", "{...}", 1 << 20, deadline);   // from another process
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "platform/descriptor.h"

namespace tideline {

class LocalListener {
 public:
  struct Limits {
    std::size_t line_bytes_max = 0;
    std::size_t callers_max = 0;  // at the same time; more wait
  };
  // Takes the place of a socket that nobody listens at any more. Two that want the same path settle it by a lock on `path`.lock,
  // which ends with who holds it. kInvalidArgument for a path that is too long for the system or is something else than a socket;
  // kOverloaded when somebody listens there.
  static Result<std::unique_ptr<LocalListener>> open(const std::string& path, const Limits& limits);
  // Removes the socket and the lock, unless somebody else has put another one there meanwhile.
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Waits at most so long for callers, and answers whole lines by `answer`, which gives a line without its end. A caller whose
  // line is too long, or that takes longer than a few seconds over it, is let go without a word. Where the system gives no more
  // descriptors, callers wait until it does; is_short() says so.
  void serve(std::chrono::milliseconds at_most, const std::function<std::string(std::string_view)>& answer);
  // The system has given no descriptor for the last caller.
  bool is_short() const { return short_until_.has_value(); }

 private:
  struct Caller {
    Descriptor socket;
    std::string said;
    std::string answer;
    std::size_t sent = 0;  // of the answer
    bool answers = false;
    SteadyTime until;
  };
  // What stands at a path, whatever its name is by then.
  struct Place {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const Place&) const = default;
  };
  class Lock;
  LocalListener(std::string path, const Limits& limits);
  static std::optional<Place> place_of(const std::string& path);
  void accept_all();
  // False when it is done with.
  bool go_on(Caller& caller, const std::function<std::string(std::string_view)>& answer);

  const std::string path_;
  const Limits limits_;
  std::unique_ptr<Lock> lock_;
  std::optional<Place> place_;  // of the socket, once it is there
  Descriptor socket_;
  std::list<Caller> callers_;
  std::optional<SteadyTime> short_until_;  // no descriptor was to be had: when to ask again
};

// One line there, one back, without their ends. kDisconnected when nobody listens; kDeadlineExceeded; kCorrupt when the answer is
// longer than that or has no end.
Result<std::string> ask_local(const std::string& path, std::string_view line, std::size_t answer_bytes_max, SteadyTime deadline);

}  // namespace tideline
