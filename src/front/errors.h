// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "amqp/performatives.h"
#include "base/result.h"

namespace jobmill::front {

// The conditions that Service Bus clients know, by which they decide whether to try again.
namespace condition {
inline constexpr std::string_view kNotFound = "amqp:not-found";
inline constexpr std::string_view kUnauthorized = "amqp:unauthorized-access";
inline constexpr std::string_view kNotAllowed = "amqp:not-allowed";
inline constexpr std::string_view kNotImplemented = "amqp:not-implemented";
inline constexpr std::string_view kInternal = "amqp:internal-error";
inline constexpr std::string_view kDecode = "amqp:decode-error";
inline constexpr std::string_view kInvalidField = "amqp:invalid-field";
inline constexpr std::string_view kQuota = "amqp:resource-limit-exceeded";
inline constexpr std::string_view kTooLarge = "amqp:link:message-size-exceeded";
inline constexpr std::string_view kDetachForced = "amqp:link:detach-forced";
inline constexpr std::string_view kStolen = "amqp:link:stolen";
inline constexpr std::string_view kConnectionForced = "amqp:connection:forced";
inline constexpr std::string_view kServerBusy = "com.microsoft:server-busy";
inline constexpr std::string_view kTimeout = "com.microsoft:timeout";
inline constexpr std::string_view kArgument = "com.microsoft:argument-error";
inline constexpr std::string_view kDisabled = "com.microsoft:entity-disabled";
inline constexpr std::string_view kExists = "com.microsoft:entity-already-exists";
inline constexpr std::string_view kMessageNotFound = "com.microsoft:message-not-found";
inline constexpr std::string_view kMessageLockLost = "com.microsoft:message-lock-lost";
inline constexpr std::string_view kSessionLockLost = "com.microsoft:session-lock-lost";
inline constexpr std::string_view kSessionTaken = "com.microsoft:session-cannot-be-locked";
}  // namespace condition

// What was tried: the broker's ten codes mean different things in different places.
enum class Operation : std::uint8_t {
  Entity,         // a link, a send, a look at the queue
  Message,        // scheduled or deferred messages by their numbers
  Lock,           // settle or renew a message
  AcceptSession,  // the attach of a session receiver
  Session,        // a lock on a session, its state
};

struct Meaning {
  std::string_view condition{};
  std::int32_t status = 0;  // in answers of request/response nodes
};
Meaning meaning(Operation operation, Code code);

// The broker's fault as an error of AMQP. `path` names the entity, for errors that must.
amqp::Error to_error(Operation operation, const Fault& fault, std::string_view path = {});
std::string describe(Operation operation, const Fault& fault, std::string_view path = {});

amqp::Error make_error(std::string_view condition, std::string description);
// JavaScript knows a missing entity by this text, not by the condition.
std::string not_found_text(std::string_view path);
amqp::Error entity_not_found(std::string_view path);
amqp::Error entity_disabled(std::string_view path);

}  // namespace jobmill::front
