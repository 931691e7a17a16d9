// SPDX-License-Identifier: Apache-2.0
#include "front/management.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "front/errors.h"
#include "front/message_size.h"
#include "front/settlement.h"

namespace jobmill::front {
namespace {

using amqp::Value;
using broker::Right;
using broker::SequenceNumber;

constexpr std::int32_t kOk = 200;
constexpr std::int32_t kNoContent = 204;
constexpr std::int32_t kBadRequest = 400;
constexpr std::int32_t kUnauthorized = 401;
constexpr std::int32_t kNotImplemented = 501;

// One answer holds no more than this, whatever was asked for; clients ask again.
constexpr std::size_t kMaxMessages = 256;
constexpr std::size_t kMaxPeekedBytes = 16u << 20;
constexpr std::int64_t kMaxPurged = 500;
// "Any time": the end of the year 9999, which clients round in their own ways.
constexpr std::int64_t kAnyTime = 253'402'300'799'000;

constexpr std::string_view kTrackingId = "com.microsoft:tracking-id";

// --- answers -------------------------------------------------------------------------------------

struct Outcome {
  std::int32_t status = kOk;
  std::string description = "OK";
  std::string condition{};
  Value body{};
};

Outcome ok(amqp::Map body) { return {.body = Value(std::move(body))}; }
Outcome nothing() { return {.status = kNoContent, .description = "No content"}; }

Outcome failed(Operation operation, const Fault& fault) {
  const Meaning what = meaning(operation, fault.code);
  return {.status = what.status,
          .description = describe(operation, fault),
          .condition = std::string(what.condition)};
}

Outcome refused(amqp::Error error) {
  return {.status = kBadRequest,
          .description = std::move(error.description),
          .condition = std::move(error.condition)};
}

// What an answer needs of its request; the request itself is gone by then.
struct Call {
  broker::Broker& broker;
  const broker::Address& entity;
  const amqp::Map& arguments;
  TimePoint now;
  const Caller& caller;
  std::function<void(const Outcome&)> done;
};

amqp::Map body_of(std::string_view key, Value value) {
  amqp::Map body;
  amqp::set_string(body, key, std::move(value));
  return body;
}

// Answers a Status with an empty body.
broker::Broker::Done answer_empty(const Call& call, Operation operation) {
  return [done = call.done, operation](const Status& status) {
    done(status ? Outcome{} : failed(operation, status.error()));
  };
}

std::int64_t milliseconds(TimePoint at) {
  return std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

// --- arguments -----------------------------------------------------------------------------------

Fault bad_argument(std::string_view key, std::string_view wish) {
  return fail(Code::InvalidArgument,
              "The argument '" + std::string(key) + "' must be " + std::string(wish) + ".");
}

// A list where an array is meant, and a single value, are taken as well.
amqp::List items_of(const Value* value) {
  if (value == nullptr || value->null()) return {};
  if (const auto* array = value->as<amqp::Array>()) return array->items;
  if (const auto* list = value->as<amqp::List>()) return *list;
  return {*value};
}

Result<std::vector<SequenceNumber>> sequence_numbers(const Call& call) {
  constexpr std::string_view kKey = "sequence-numbers";
  std::vector<SequenceNumber> numbers;
  for (const Value& item : items_of(amqp::find(call.arguments, kKey))) {
    const auto number = item.integer();
    if (!number) return bad_argument(kKey, "an array of numbers");
    numbers.push_back(*number);
  }
  if (numbers.empty()) return bad_argument(kKey, "an array of numbers");
  return numbers;
}

Result<std::vector<broker::LockToken>> lock_tokens(const Call& call) {
  constexpr std::string_view kKey = "lock-tokens";
  std::vector<broker::LockToken> tokens;
  for (const Value& item : items_of(amqp::find(call.arguments, kKey))) {
    const auto* uuid = item.as<amqp::Uuid>();
    if (uuid == nullptr) return bad_argument(kKey, "an array of uuids");
    tokens.push_back(uuid->bytes);
  }
  if (tokens.empty()) return bad_argument(kKey, "an array of uuids");
  return tokens;
}

std::optional<std::string> text(const Call& call, std::string_view key) {
  const Value* value = amqp::find(call.arguments, key);
  const auto found = value == nullptr ? std::nullopt : value->text();
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

Result<std::string> session_id(const Call& call) {
  auto id = text(call, "session-id");
  if (!id) return bad_argument("session-id", "a text");
  return *std::move(id);
}

std::optional<std::int64_t> number(const Call& call, std::string_view key) {
  const Value* value = amqp::find(call.arguments, key);
  return value == nullptr ? std::nullopt : value->integer();
}

Result<std::size_t> count(const Call& call, std::string_view key) {
  const auto given = number(call, key);
  if (!given || *given < 0) return bad_argument(key, "a number that is not negative");
  return static_cast<std::size_t>(*given);
}

std::optional<std::int64_t> time_in_ms(const Call& call, std::string_view key) {
  const Value* value = amqp::find(call.arguments, key);
  if (value == nullptr) return std::nullopt;
  if (const auto* at = value->as<amqp::Timestamp>()) return at->ms;
  return value->integer();
}

// Nothing for "any time"; clamped so that no clock of ours overflows.
std::optional<TimePoint> time_limit(const Call& call, std::string_view key) {
  const auto ms = time_in_ms(call, key);
  if (!ms || *ms >= kAnyTime) return std::nullopt;
  constexpr std::int64_t kYearOne = -62'135'596'800'000;
  return TimePoint(std::chrono::milliseconds(std::max(*ms, kYearOne)));
}

// --- locks ---------------------------------------------------------------------------------------

Status renew_lock(const Call& call) {
  TRY(const auto tokens, lock_tokens(call));
  amqp::Array expirations;
  for (const broker::LockToken& token : tokens) {
    const auto lock = call.broker.find(token);
    if (!lock) {
      call.done(failed(Operation::Lock, fail(Code::Conflict, "unknown lock")));
      return {};
    }
    const auto until = call.broker.renew(*lock, call.now);
    if (!until) {
      call.done(failed(Operation::Lock, until.error()));
      return {};
    }
    expirations.items.push_back(Value(amqp::Timestamp{milliseconds(*until)}));
  }
  call.done(ok(body_of("expirations", Value(std::move(expirations)))));
  return {};
}

// "defered" is what the protocol says.
Result<broker::Settlement> disposition(const Call& call) {
  using Action = broker::Settlement::Action;
  broker::Settlement settlement;
  const std::string status = text(call, "disposition-status").value_or("");
  if (status == "completed")
    settlement.action = Action::Complete;
  else if (status == "abandoned")
    settlement.action = Action::Abandon;
  else if (status == "defered" || status == "deferred")
    settlement.action = Action::Defer;
  else if (status == "suspended")
    settlement.action = Action::DeadLetter;
  else
    return bad_argument("disposition-status", "completed, abandoned, defered or suspended");
  settlement.reason = text(call, "deadletter-reason").value_or("");
  settlement.description = text(call, "deadletter-description").value_or("");
  const Value* properties = amqp::find(call.arguments, "properties-to-modify");
  if (properties != nullptr && properties->as<amqp::Map>() != nullptr)
    settlement.properties = with_text_keys(*properties->as<amqp::Map>());
  return settlement;
}

// Several settlements, one answer: the first failure, or that all went well.
struct Gathered {
  std::size_t left = 0;
  std::optional<Fault> first_failure{};
};

Status update_disposition(const Call& call) {
  TRY(const auto tokens, lock_tokens(call));
  TRY(const broker::Settlement settlement, disposition(call));
  const auto gathered = std::make_shared<Gathered>(Gathered{.left = tokens.size()});
  const broker::Broker::Done one = [gathered, done = call.done](const Status& status) {
    if (!status && !gathered->first_failure) gathered->first_failure = status.error();
    if (--gathered->left > 0) return;
    done(gathered->first_failure ? failed(Operation::Lock, *gathered->first_failure) : Outcome{});
  };
  for (const broker::LockToken& token : tokens) {
    if (const auto lock = call.broker.find(token))
      call.broker.settle(*lock, settlement, call.now, one);
    else
      one(fail(Code::Conflict, "unknown lock"));
  }
  return {};
}

// --- messages ------------------------------------------------------------------------------------

Value encoded(const broker::Message& message, const broker::Rendering& rendering) {
  return Value(amqp::Binary{broker::render_whole(message, rendering)});
}

Status peek_message(const Call& call) {
  constexpr std::string_view kFrom = "from-sequence-number";
  const Value* given = amqp::find(call.arguments, kFrom);
  if (given != nullptr && !given->null() && !given->integer())
    return bad_argument(kFrom, "a number");
  const SequenceNumber from = number(call, kFrom).value_or(0);
  TRY(const std::size_t limit, count(call, "message-count"));
  call.broker.peek(
      call.entity, from, std::min(limit, kMaxMessages), text(call, "session-id"),
      [done = call.done](Result<std::vector<std::shared_ptr<const broker::Message>>> found) {
        if (!found) return done(failed(Operation::Entity, found.error()));
        if (found->empty()) return done(nothing());
        amqp::List messages;
        std::size_t bytes = 0;
        for (const auto& message : *found) {
          bytes += message->bytes->size();
          if (bytes > kMaxPeekedBytes && !messages.empty()) break;
          messages.emplace_back(body_of("message", encoded(*message, {.peeked = true})));
        }
        done(ok(body_of("messages", Value(std::move(messages)))));
      });
  return {};
}

Result<std::string_view> scheduled_message(const Value& item) {
  const auto* entry = item.as<amqp::Map>();
  const Value* message = entry == nullptr ? nullptr : amqp::find(*entry, "message");
  const auto* bytes = message == nullptr ? nullptr : message->as<amqp::Binary>();
  if (bytes == nullptr) return bad_argument("messages", "a list of maps with a binary 'message'");
  return std::string_view(bytes->bytes);
}

Status schedule_message(const Call& call) {
  const Value* given = amqp::find(call.arguments, "messages");
  const auto* list = given == nullptr ? nullptr : given->as<amqp::List>();
  if (list == nullptr || list->empty())
    return bad_argument("messages", "a list of maps with a binary 'message'");
  std::vector<std::string_view> messages;
  const std::uint64_t most = call.broker.max_message_bytes(call.entity.path);
  for (const Value& item : *list) {
    TRY(const std::string_view message, scheduled_message(item));
    auto error = message.size() > most ? std::optional(too_large()) : properties_too_large(message);
    if (error) {
      call.done(refused(*std::move(error)));
      return {};
    }
    messages.push_back(message);
  }
  call.broker.schedule(call.entity, messages, call.now,
                       [done = call.done](Result<std::vector<SequenceNumber>> numbers) {
                         if (!numbers) return done(failed(Operation::Entity, numbers.error()));
                         amqp::Array array;
                         for (const SequenceNumber one : *numbers) array.items.emplace_back(one);
                         done(ok(body_of("sequence-numbers", Value(std::move(array)))));
                       });
  return {};
}

Status cancel_scheduled_message(const Call& call) {
  TRY(const auto numbers, sequence_numbers(call));
  call.broker.cancel(call.entity, numbers, call.now, answer_empty(call, Operation::Message));
  return {};
}

// Go finds the lock in the message only, the others in the map.
amqp::Map received(const broker::Delivery& delivery) {
  amqp::Map entry;
  if (delivery.lock == 0) return body_of("message", encoded(*delivery.message, {}));
  amqp::set_string(entry, "lock-token", amqp::Uuid{delivery.token});
  amqp::set_string(entry, "message",
                   encoded(*delivery.message,
                           {.locked_until = delivery.locked_until, .lock_token = &delivery.token}));
  return entry;
}

Status receive_by_sequence_number(const Call& call) {
  TRY(const auto numbers, sequence_numbers(call));
  const bool lock = number(call, "receiver-settle-mode").value_or(1) != 0;
  const broker::ReceiverOptions options{
      .address = call.entity,
      .mode = lock ? broker::ReceiveMode::PeekLock : broker::ReceiveMode::ReceiveAndDelete,
      .holder = call.caller.holder()};
  call.broker.receive(options, text(call, "session-id"), numbers, call.now,
                      [done = call.done](Result<std::vector<broker::Delivery>> deliveries) {
                        if (!deliveries)
                          return done(failed(Operation::Message, deliveries.error()));
                        amqp::List messages;
                        for (const auto& one : *deliveries) messages.emplace_back(received(one));
                        done(ok(body_of("messages", Value(std::move(messages)))));
                      });
  return {};
}

Status batch_delete_messages(const Call& call) {
  TRY(const std::size_t limit, count(call, "message-count"));
  if (limit == 0 || limit > kMaxPurged) return bad_argument("message-count", "from 1 to 500");
  call.broker.purge(
      call.entity, limit,
      {.before = time_limit(call, "enqueued-time-utc"), .session = text(call, "session-id")},
      [done = call.done](Result<std::size_t> deleted) {
        if (!deleted) return done(failed(Operation::Entity, deleted.error()));
        if (*deleted == 0) return done(nothing());
        const auto number = static_cast<std::int32_t>(*deleted);
        done(ok(body_of("message-count", Value(number))));
      });
  return {};
}

// --- message sessions ----------------------------------------------------------------------------

Status renew_session_lock(const Call& call) {
  TRY(const std::string id, session_id(call));
  const auto until = call.broker.renew_session(call.entity, id, call.now);
  call.done(until ? ok(body_of("expiration", Value(amqp::Timestamp{milliseconds(*until)})))
                  : failed(Operation::Session, until.error()));
  return {};
}

Status set_session_state(const Call& call) {
  TRY(const std::string id, session_id(call));
  const Value* given = amqp::find(call.arguments, "session-state");
  std::optional<std::string> state;
  if (given != nullptr && !given->null()) {
    const auto* bytes = given->as<amqp::Binary>();
    if (bytes == nullptr) return bad_argument("session-state", "binary or null");
    state = bytes->bytes;
  }
  call.broker.set_session_state(call.entity, id, std::move(state), call.now,
                                answer_empty(call, Operation::Session));
  return {};
}

Status get_session_state(const Call& call) {
  TRY(const std::string id, session_id(call));
  const auto state = call.broker.session_state(call.entity, id);
  if (!state) {
    call.done(failed(Operation::Session, state.error()));
    return {};
  }
  Value value;
  if (*state) value = Value(amqp::Binary{**state});
  call.done(ok(body_of("session-state", std::move(value))));
  return {};
}

Status get_message_sessions(const Call& call) {
  const auto skip =
      static_cast<std::size_t>(std::max<std::int64_t>(0, number(call, "skip").value_or(0)));
  TRY(const std::size_t top, count(call, "top"));
  const auto ids =
      call.broker.sessions(call.entity, time_limit(call, "last-updated-time"), skip, top);
  if (!ids) {
    call.done(failed(Operation::Session, ids.error()));
    return {};
  }
  if (ids->empty()) {
    call.done(nothing());
    return {};
  }
  amqp::Array array;
  for (const std::string& id : *ids) array.items.emplace_back(id);
  amqp::Map body = body_of("skip", Value(static_cast<std::int32_t>(skip)));
  amqp::set_string(body, "sessions-ids", Value(std::move(array)));
  call.done(ok(std::move(body)));
  return {};
}

// --- the table -----------------------------------------------------------------------------------

// Only subscriptions have rules.
Status rules_of_a_queue(const Call& call) {
  call.done({.status = kNotImplemented,
             .description = "The entity '" + call.entity.path + "' cannot have rules.",
             .condition = std::string(condition::kNotAllowed)});
  return {};
}

struct ManagementOperation {
  std::string_view name;  // after "com.microsoft:"
  Right right;
  // An error means that the request itself is wrong: then `done` was not called.
  Status (*run)(const Call&);
};

constexpr std::array kOperations{
    ManagementOperation{"renew-lock", Right::Listen, renew_lock},
    ManagementOperation{"update-disposition", Right::Listen, update_disposition},
    ManagementOperation{"peek-message", Right::Listen, peek_message},
    ManagementOperation{"receive-by-sequence-number", Right::Listen, receive_by_sequence_number},
    ManagementOperation{"batch-delete-messages", Right::Listen, batch_delete_messages},
    ManagementOperation{"schedule-message", Right::Send, schedule_message},
    ManagementOperation{"cancel-scheduled-message", Right::Send, cancel_scheduled_message},
    ManagementOperation{"renew-session-lock", Right::Listen, renew_session_lock},
    ManagementOperation{"set-session-state", Right::Listen, set_session_state},
    ManagementOperation{"get-session-state", Right::Listen, get_session_state},
    ManagementOperation{"get-message-sessions", Right::Listen, get_message_sessions},
    ManagementOperation{"enumerate-rules", Right::Manage, rules_of_a_queue},
    ManagementOperation{"add-rule", Right::Manage, rules_of_a_queue},
    ManagementOperation{"remove-rule", Right::Manage, rules_of_a_queue},
};

const ManagementOperation* find_operation(std::string_view name) {
  constexpr std::string_view kPrefix = "com.microsoft:";
  if (!name.starts_with(kPrefix)) return nullptr;
  name.remove_prefix(kPrefix.size());
  const auto* found = std::find_if(kOperations.begin(), kOperations.end(),
                                   [&](const auto& one) { return one.name == name; });
  return found == kOperations.end() ? nullptr : found;
}

std::string write(const Value& correlation_id, const Value& tracking_id, const Outcome& outcome) {
  amqp::Map properties;
  amqp::set_string(properties, "statusCode", outcome.status);
  amqp::set_string(properties, "statusDescription", outcome.description);
  if (!outcome.condition.empty())
    amqp::set_string(properties, "errorCondition", amqp::Symbol{outcome.condition});
  if (!tracking_id.null()) amqp::set_string(properties, kTrackingId, tracking_id);
  return write_answer(correlation_id, properties, outcome.body);
}

}  // namespace

// Nothing here waits for messages, so that no server-timeout (Go: without prefix) is needed.
void manage(broker::Broker& broker, const broker::Address& entity, const Request& request,
            TimePoint now, const Caller& caller, std::function<void(std::string answer)> done) {
  const Value* tracking = amqp::find(request.properties, kTrackingId);
  const auto answer = [id = request.message_id, done = std::move(done),
                       tracking_id = tracking == nullptr ? Value() : *tracking](
                          const Outcome& outcome) { done(write(id, tracking_id, outcome)); };

  const std::string_view name = request.text("operation");
  const ManagementOperation* operation = find_operation(name);
  if (operation == nullptr)
    return answer({.status = kNotImplemented,
                   .description = "There is no operation '" + std::string(name) + "'.",
                   .condition = std::string(condition::kNotImplemented)});
  if (!caller.allowed(operation->right))
    return answer({.status = kUnauthorized,
                   .description = "Unauthorized access to '" + entity.path + "'.",
                   .condition = std::string(condition::kUnauthorized)});
  if (!broker.exists(entity))
    return answer({.status = 404,
                   .description = not_found_text(entity.path),
                   .condition = std::string(condition::kNotFound)});
  const auto* arguments = request.body.as<amqp::Map>();
  if (arguments == nullptr)
    return answer({.status = kBadRequest,
                   .description = "The body of the request must be a map.",
                   .condition = std::string(condition::kArgument)});
  const Status status = operation->run({broker, entity, *arguments, now, caller, answer});
  if (!status) answer(failed(Operation::Entity, status.error()));
}

}  // namespace jobmill::front
