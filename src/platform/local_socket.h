// LocalListener: a Unix socket that takes one line from each caller and answers it with one; for controls of a program by the
// user who started it. The socket can be opened by that user alone. Not thread-safe.
//
//   TIDELINE_TRY(auto listener, LocalListener::open("fleet.sock", {.line_bytes_max = 65536, .callers_max = 16}));
//   while (running) listener->serve(std::chrono::milliseconds(100), [](std::string_view line) { return answer(line); });
//   ask_local("fleet.sock", "{...}", 1 << 20, deadline);   // from another process
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
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
  // Takes the place of a socket that nobody listens at any more. kInvalidArgument for a path that is too long for the system or
  // is something else than a socket; kOverloaded when somebody listens there.
  static Result<std::unique_ptr<LocalListener>> open(const std::string& path, const Limits& limits);
  // Removes the socket.
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  // Waits at most so long for callers, and answers whole lines by `answer`, which gives a line without its end. A caller whose
  // line is too long, or that takes longer than a few seconds over it, is let go without a word.
  void serve(std::chrono::milliseconds at_most, const std::function<std::string(std::string_view)>& answer);

 private:
  struct Caller {
    Descriptor socket;
    std::string said;
    std::string answer;
    std::size_t sent = 0;  // of the answer
    bool answers = false;
    SteadyTime until;
  };
  LocalListener(std::string path, Descriptor socket, const Limits& limits)
      : path_(std::move(path)), socket_(std::move(socket)), limits_(limits) {}
  void accept_all();
  // False when it is done with.
  bool go_on(Caller& caller, const std::function<std::string(std::string_view)>& answer);

  const std::string path_;
  Descriptor socket_;
  const Limits limits_;
  std::list<Caller> callers_;
};

// One line there, one back, without their ends. kDisconnected when nobody listens; kDeadlineExceeded; kCorrupt when the answer is
// longer than that or has no end.
Result<std::string> ask_local(const std::string& path, std::string_view line, std::size_t answer_bytes_max, SteadyTime deadline);

}  // namespace tideline
