// Result<T>: a value or an Error; what every fallible function of this project returns.
//
// Thread safety: as its T. Ownership: by value. No function of this project throws across a module's edge.
//
//   Result<Plan> plan_file(const std::string& path) {
//     TIDELINE_TRY(const Graph graph, load_graph(path));
//     return make_plan(graph);
//   }
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace tideline {

// Says what the caller can do. The numbers travel on the wire (wire/protocol.md) and never change.
enum class ErrorCode : std::uint16_t {
  kInvalidArgument = 1,   // the request or file is wrong: correct it
  kNotFound = 2,          // the named thing does not exist: name another
  kUnsupported = 3,       // right, but not by this build or node: choose another backend, planner or node
  kOverloaded = 4,        // a limit is reached: retry later or raise the limit
  kDisconnected = 5,      // the peer is gone or does not answer: reconnect or plan again
  kCorrupt = 6,           // the bytes are damaged or hostile: drop them
  kInternal = 7,          // a defect of this project: report it
  kDeadlineExceeded = 8,  // time ran out: allow more or plan again
  kCancelled = 9,         // the caller gave up
  kInfeasible = 10,       // no plan or schedule satisfies the limits: relax one
};

std::string_view to_string(ErrorCode code);

struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  // One sentence: what was expected, what was found, which setting to change; "[module]" in front.
  std::string message;
};

// The error with "context: " put before its message; the code is kept.
Error with_context(Error error, std::string_view context);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by design, as std::expected
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // REQUIRES: has_value().
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !has_value().
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT

  bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }
  void value() const {}
  const Error& error() const& { return error_; }
  Error&& error() && { return std::move(error_); }

 private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace tideline

#define TIDELINE_CONCAT_(a, b) a##b
#define TIDELINE_CONCAT(a, b) TIDELINE_CONCAT_(a, b)
#define TIDELINE_TRY_(declaration, expression, temporary) \
  auto temporary = (expression);                          \
  if (!temporary) return std::move(temporary).error();    \
  declaration = std::move(temporary).value()

// TIDELINE_TRY(auto x, f());  declares x with f()'s value, or returns f()'s error from the calling function.
#define TIDELINE_TRY(declaration, expression) TIDELINE_TRY_(declaration, expression, TIDELINE_CONCAT(tideline_try_, __LINE__))

// TIDELINE_CHECK_OK(f());  returns f()'s error from the calling function, if any.
#define TIDELINE_CHECK_OK(expression)                                                                     \
  do {                                                                                                    \
    if (auto tideline_status = (expression); !tideline_status) return std::move(tideline_status).error(); \
  } while (false)
