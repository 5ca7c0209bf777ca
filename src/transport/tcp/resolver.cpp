#include "transport/tcp/resolver.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "base/limits.h"

namespace tideline::tcp {
namespace {

struct Answer {
  int error = 0;
  std::vector<SocketAddress> addresses;
};

// What the waiting thread and the asking one share; the last of them frees it.
struct Question {
  std::string host;
  std::string port;
  addrinfo hints{};
  Lookup lookup;

  std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex:
  std::optional<Answer> answer;
};

std::atomic<std::size_t> lookups_under_way{0};

Answer ask(const Question& question) {
  Answer answer;
  addrinfo* found = nullptr;
  answer.error = question.lookup(question.host.c_str(), question.port.c_str(), &question.hints, &found);
  if (answer.error != 0) return answer;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    SocketAddress one;
    std::memcpy(&one.storage, each->ai_addr, each->ai_addrlen);
    one.size = each->ai_addrlen;
    answer.addresses.push_back(one);
  }
  ::freeaddrinfo(found);
  return answer;
}

}  // namespace

Result<std::vector<SocketAddress>> resolve(const Address& address, bool passive, SteadyTime deadline, const CancelToken* cancel,
                                           const Lookup& lookup) {
  const auto question = std::make_shared<Question>();
  question->host = address.host;
  question->port = std::to_string(address.port);
  question->hints.ai_family = AF_UNSPEC;
  question->hints.ai_socktype = SOCK_STREAM;
  question->hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST | (passive ? AI_PASSIVE : 0);
  question->lookup = &::getaddrinfo;
  if (Answer number = ask(*question); number.error == 0) return std::move(number.addresses);
  question->hints.ai_flags &= ~AI_NUMERICHOST;
  question->lookup = lookup;

  const std::string host = "the host of " + to_string(address);
  if (lookups_under_way.fetch_add(1) >= limits::kResolverThreadsMax) {
    --lookups_under_way;
    return Error{ErrorCode::kOverloaded, "[transport] " + host + " cannot be asked for: " +
                                             std::to_string(limits::kResolverThreadsMax) + " names are being asked for already"};
  }
  try {
    std::thread([question] {
      Answer answer = ask(*question);
      --lookups_under_way;
      const std::lock_guard lock(question->mutex);
      question->answer = std::move(answer);
      question->changed.notify_all();
    }).detach();
  } catch (const std::system_error&) {
    --lookups_under_way;
    return Error{ErrorCode::kOverloaded, "[transport] no thread to be had to ask for " + host};
  }

  std::optional<CancelToken::Watch> watch;
  if (cancel != nullptr)
    watch.emplace(cancel->source(), [question] {
      const std::lock_guard lock(question->mutex);
      question->changed.notify_all();
    });
  std::unique_lock lock(question->mutex);
  const auto ready = [&] { return question->answer.has_value() || (cancel != nullptr && cancel->cancelled()); };
  if (deadline == kNoDeadline)
    question->changed.wait(lock, ready);
  else
    question->changed.wait_until(lock, deadline, ready);
  if (!question->answer) {
    if (cancel != nullptr && cancel->cancelled()) return Error{ErrorCode::kCancelled, "[transport] interrupted"};
    return Error{ErrorCode::kDeadlineExceeded, "[transport] no name server told " + host + " before the deadline"};
  }
  if (question->answer->error != 0)
    return Error{ErrorCode::kNotFound, "[transport] " + host + " is not known: " + ::gai_strerror(question->answer->error)};
  return std::move(question->answer->addresses);
}

}  // namespace tideline::tcp
