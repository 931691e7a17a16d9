// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace jobmill {

// What kind of failure happened, independent of protocol. The edges translate
// it: api/ to an HTTP status, amqp to an error condition, the CLI to an exit code.
enum class Code {
  InvalidArgument,  // the caller sent something that can never work
  NotFound,
  AlreadyExists,
  Conflict,  // someone else changed it first; re-read and retry
  PermissionDenied,
  Exhausted,    // a limit or quota was reached
  Unavailable,  // try again later
  Timeout,
  Unsupported,
  Internal,  // our bug, or the database's
};

// Not called Error: that is the exception of the public API, include/jobmill/jobs.h.
struct [[nodiscard]] Fault {
  Code code;
  std::string message;  // for people; never parsed
};

inline Fault fail(Code code, std::string message) { return {code, std::move(message)}; }

// A value, or why there is none. Unpack it with TRY, or look at error().
template <class T>
class [[nodiscard]] Result {
 public:
  template <class U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, Fault>)
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Fault error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Fault& error() const& { return std::get<1>(state_); }
  Fault error() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, Fault> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Fault error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  const Fault& error() const& { return *error_; }
  Fault error() && { return *std::move(error_); }

 private:
  std::optional<Fault> error_;
};

using Status = Result<void>;

}  // namespace jobmill

#define JOBMILL_CONCAT_(a, b) a##b
#define JOBMILL_CONCAT(a, b) JOBMILL_CONCAT_(a, b)
#define JOBMILL_TRY_(tmp, lhs, expr)       \
  auto tmp = (expr);                       \
  if (!tmp) return std::move(tmp).error(); \
  lhs = *std::move(tmp)

// TRY(auto job, store.get(id)): bind the value, or return the error to our caller.
#define TRY(lhs, expr) JOBMILL_TRY_(JOBMILL_CONCAT(try_, __LINE__), lhs, expr)
// TRY_VOID(store.remove(id)): the same for calls that return a Status.
#define TRY_VOID(expr) \
  if (auto status_ = (expr); !status_) return std::move(status_).error()
