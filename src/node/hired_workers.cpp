#include "node/hired_workers.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "base/text.h"
#include "transport/transport.h"

namespace tideline {
namespace {

// How soon the end of the caller or of the node is noticed while workers start.
constexpr std::chrono::milliseconds kHireLook{200};
constexpr std::chrono::seconds kHiredFarewell{2};

// "npy:digits/{worker}", and nothing that begins anywhere but in the folder.
Status check_data_name(const std::string& data) {
  constexpr std::array<std::string_view, 3> kKinds{"idx:", "npy:", "images:"};
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](std::string_view each) { return data.starts_with(each); });
  const auto wrong = [&](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("[node] the data '{}' {}; write idx:, npy: or images: and a name in the node's folder of data",
                             printable(data), why)};
  };
  if (kind == kKinds.end()) return wrong("are of no kind that is known");
  const std::filesystem::path name(data.substr(kind->size()));
  if (name.empty() || data.find('\0') != std::string::npos) return wrong("have no name");
  if (name.is_absolute() || std::any_of(name.begin(), name.end(), [](const auto& part) { return part == ".."; }))
    return wrong("lead out of the folder");
  return {};
}

}  // namespace

Result<std::unique_ptr<HiredWorkers>> HiredWorkers::start(const NodeOptions& options, const wire::HireWorkers& request,
                                                          std::atomic<std::uint32_t>& running,
                                                          const std::function<bool()>& is_over) {
  if (options.train_folder.empty())
    return Error{ErrorCode::kUnsupported,
                 fmt::format("[node] node '{}' does not train: start it with --train DIR, the folder of its data", options.name)};
  TIDELINE_CHECK_OK(check_data_name(request.data));
  if (++running > limits::kNodeWorkerProcessesMax) {
    --running;
    return Error{ErrorCode::kOverloaded, fmt::format("[node] {} runs are trained here already; wait until one has ended",
                                                     limits::kNodeWorkerProcessesMax)};
  }
  auto process = Process::start(
      {.words = {options.train_program, "worker", "--quiet", "--root", options.train_folder, "--data", request.data, "--listen",
                 options.listen.host, "--first", std::to_string(request.first), "--count", std::to_string(request.count)},
       .pipe_output = true});
  if (!process) {
    --running;
    return process.error();
  }
  std::unique_ptr<HiredWorkers> workers(new HiredWorkers(std::move(*process), running));
  const SteadyTime deadline = deadline_in(limits::kTrainWorkerStart);
  while (workers->ports_.size() < request.count) {
    const auto line = workers->process_.read_line(deadline_in(kHireLook), CancelToken());
    if (line) {
      TIDELINE_TRY(const Address address, parse_address(std::string_view(*line).substr(line->rfind(' ') + 1)));
      workers->ports_.push_back(address.port);
    } else if (line.error().code != ErrorCode::kDeadlineExceeded) {
      return Error{ErrorCode::kDisconnected, "[node] the workers ended before they listened; this node's log says why"};
    } else if (is_over()) {
      return Error{ErrorCode::kCancelled, "[node] nobody waits for these workers any more"};
    } else if (std::chrono::steady_clock::now() >= deadline) {
      return Error{ErrorCode::kDeadlineExceeded, "[node] the workers did not come up in time"};
    }
  }
  return workers;
}

HiredWorkers::~HiredWorkers() {
  process_.end(kHiredFarewell);
  --running_;
}

}  // namespace tideline
