// Process: a program of ours that runs beside us. Started without a shell, ended by its id, never left behind: it dies with the
// thread that started it, and with this object. Not thread-safe.
//
//   TIDELINE_TRY(auto daemon, Process::start({.words = {"tideline", "node"}, .pipe_output = true}));
//   TIDELINE_TRY(const std::string ready, daemon.read_line(deadline));
//   ...
//   daemon.end(std::chrono::seconds(3));
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "base/cancel.h"
#include "base/result.h"
#include "base/units.h"
#include "platform/descriptor.h"

namespace tideline {

struct ProcessOptions {
  std::vector<std::string> words;  // the program, searched in PATH, and its arguments
  bool pipe_output = false;        // its standard output can be read; otherwise it is ours
  std::string error_file;          // its standard error is appended there; empty: ours
  bool own_group = true;           // Ctrl-C at the terminal does not reach it
};

// How a process ended.
struct ProcessEnd {
  int exit_code = 0;  // meaningless after a signal
  int signal = 0;     // 0: it exited
  bool good() const { return signal == 0 && exit_code == 0; }
};
// "exit code 3", "signal 9 (Killed)".
std::string to_string(const ProcessEnd& end);

class Process {
 public:
  // kNotFound when there is no such program; kOverloaded when the system gives no process or descriptor.
  static Result<Process> start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();  // kills it, if it still runs

  pid_t id() const { return id_; }
  // The next line of its output without its end, at most 4096 bytes. kDisconnected when there is none; kDeadlineExceeded;
  // kCancelled. REQUIRES: pipe_output.
  Result<std::string> read_line(SteadyTime deadline, const CancelToken& cancel);
  // How it ended, if it has.
  std::optional<ProcessEnd> ended();
  // Waits for that until the deadline.
  std::optional<ProcessEnd> wait(SteadyTime deadline);
  void signal(int number) const;
  // SIGTERM, and SIGCONT because a frozen one cannot end; SIGKILL when it has not ended in time.
  ProcessEnd end(std::chrono::milliseconds patience);

 private:
  Process() = default;

  pid_t id_ = -1;
  Descriptor output_;
  std::string unread_;
  std::optional<ProcessEnd> end_;
};

// Runs a program to its end and returns what it said on both outputs, at most 64 kB. kNotFound when there is no such program;
// kDeadlineExceeded; kUnsupported with the start of what it said when it ended badly.
Result<std::string> run_program(const std::vector<std::string>& words, SteadyTime deadline);

}  // namespace tideline
