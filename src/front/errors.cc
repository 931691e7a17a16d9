// SPDX-License-Identifier: Apache-2.0
#include "front/errors.h"

#include <array>
#include <optional>
#include <utility>

namespace jobmill::front {
namespace {

struct Row {
  Code code;
  std::optional<Operation> operation;  // nullopt: all that have no line of their own above
  Meaning meaning;
};

constexpr std::array kMeanings{
    Row{Code::NotFound, Operation::Message, {condition::kMessageNotFound, 404}},
    Row{Code::NotFound, Operation::Lock, {condition::kMessageLockLost, 410}},
    Row{Code::NotFound, std::nullopt, {condition::kNotFound, 404}},
    Row{Code::Conflict, Operation::Lock, {condition::kMessageLockLost, 410}},
    Row{Code::Conflict, Operation::AcceptSession, {condition::kSessionTaken, 409}},
    Row{Code::Conflict, Operation::Session, {condition::kSessionLockLost, 410}},
    Row{Code::Conflict, Operation::Message, {condition::kSessionLockLost, 410}},
    Row{Code::Conflict, std::nullopt, {condition::kServerBusy, 503}},
    Row{Code::InvalidArgument, std::nullopt, {condition::kArgument, 400}},
    Row{Code::AlreadyExists, std::nullopt, {condition::kExists, 409}},
    Row{Code::PermissionDenied, std::nullopt, {condition::kDisabled, 403}},
    Row{Code::Exhausted, std::nullopt, {condition::kQuota, 403}},
    Row{Code::Unavailable, std::nullopt, {condition::kServerBusy, 503}},
    Row{Code::Timeout, std::nullopt, {condition::kTimeout, 408}},
    Row{Code::Unsupported, std::nullopt, {condition::kNotAllowed, 400}},
    Row{Code::Internal, std::nullopt, {condition::kInternal, 500}},
};

// Clients look for these words.
constexpr std::string_view kLockLostText =
    "The lock supplied is invalid. Either the lock expired, or the message has already been "
    "removed from the queue.";

}  // namespace

Meaning meaning(Operation operation, Code code) {
  for (const Row& row : kMeanings)
    if (row.code == code && row.operation.value_or(operation) == operation) return row.meaning;
  return {condition::kInternal, 500};
}

std::string describe(Operation operation, const Fault& fault, std::string_view path) {
  const std::string_view what = meaning(operation, fault.code).condition;
  if (what == condition::kMessageLockLost) return std::string(kLockLostText);
  if (what == condition::kNotFound && !path.empty()) return not_found_text(path);
  return fault.message;
}

amqp::Error to_error(Operation operation, const Fault& fault, std::string_view path) {
  return make_error(meaning(operation, fault.code).condition, describe(operation, fault, path));
}

amqp::Error make_error(std::string_view condition, std::string description) {
  return {.condition = std::string(condition), .description = std::move(description)};
}

std::string not_found_text(std::string_view path) {
  return "The messaging entity '" + std::string(path) + "' could not be found.";
}

amqp::Error entity_not_found(std::string_view path) {
  return make_error(condition::kNotFound, not_found_text(path));
}

amqp::Error entity_disabled(std::string_view path) {
  return make_error(condition::kDisabled,
                    "The messaging entity '" + std::string(path) + "' is currently disabled.");
}

}  // namespace jobmill::front
