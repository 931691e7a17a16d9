// SPDX-License-Identifier: Apache-2.0
#include "front/management.h"

#include <chrono>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "broker/message.h"
#include "front/front_rig.h"

namespace jobmill::front {
namespace {

using namespace std::chrono_literals;
using amqp::Value;

// A client with a sender and a receiver on a queue, and both links to its $management.
struct Managed {
  explicit Managed(std::string queue = "queue1", bool sessions = false) {
    if (sessions) rig.make_queue({.name = queue, .requires_session = true});
    sender = client.attach(client.sender(queue));
    if (!sessions) receiver = client.attach(client.receiver(queue));
    request = client.attach(client.sender(queue + "/$management", "mine"));
    answers = client.attach(client.receiver(queue + "/$management", "mine"));
    client.pump();
    client.end.connection.grant(answers, 1000);
    client.pump();
  }

  FrontRig rig{};
  FrontClient client{rig};
  amqp::LinkId sender = 0;
  amqp::LinkId receiver = 0;
  amqp::LinkId request = 0;
  amqp::LinkId answers = 0;

  void send(std::string_view body, std::optional<std::string> session = {}) {
    client.send(sender, FrontClient::message(body, {.group_id = std::move(session)}));
    const auto state = client.outcome();
    REQUIRE((state && std::holds_alternative<amqp::Accepted>(*state)));
  }
  FrontClient::Message receive() {
    client.end.connection.grant(receiver, 1);
    auto message = client.receive();
    REQUIRE(message);
    return *std::move(message);
  }

  struct Answer {
    std::int32_t status = 0;
    std::string description{};
    std::string condition{};
    Value correlation_id{};
    amqp::Map application{};
    Value body{};

    const Value& at(std::string_view key) const {
      const auto* map = body.as<amqp::Map>();
      REQUIRE(map != nullptr);
      const Value* value = amqp::find(*map, key);
      REQUIRE(value != nullptr);
      return *value;
    }
  };

  Answer ask(std::string_view operation, Value body, amqp::Map extra = {}) {
    std::string out;
    amqp::encode_properties(out, {.message_id = Value(std::uint64_t{++ids_}), .reply_to = "mine"});
    amqp::set_string(extra, "operation", operation);
    amqp::encode_map_section(out, amqp::kApplicationProperties, extra);
    amqp::encode_value_section(out, body);
    client.send(request, out);
    const auto message = client.receive();
    REQUIRE(message);
    return read(*message);
  }
  Answer ask(std::string_view operation, amqp::Map body, amqp::Map extra = {}) {
    return ask(operation, Value(std::move(body)), std::move(extra));
  }

  static std::string peek_one() {
    std::string out;
    amqp::encode_properties(out, {.message_id = Value("peek"), .reply_to = "mine"});
    amqp::Map properties;
    amqp::set_string(properties, "operation", "com.microsoft:peek-message");
    amqp::encode_map_section(out, amqp::kApplicationProperties, properties);
    amqp::encode_value_section(out, Value(map("message-count", std::int32_t{1})));
    return out;
  }

  static Answer read(const FrontClient::Message& message) {
    Answer out{.correlation_id = message.properties.correlation_id,
               .application = message.application};
    const Value* status = amqp::find(message.application, "statusCode");
    REQUIRE(status != nullptr);
    REQUIRE(status->as<std::int32_t>() != nullptr);  // Python and Go read an int
    out.status = *status->as<std::int32_t>();
    const Value* text = amqp::find(message.application, "statusDescription");
    if (text != nullptr) out.description = text->text().value_or("");
    const Value* condition = amqp::find(message.application, "errorCondition");
    if (condition != nullptr) {
      REQUIRE(condition->as<amqp::Symbol>() != nullptr);
      out.condition = condition->text().value_or("");
    }
    const auto sections = amqp::split(message.bytes);
    REQUIRE(sections);
    const auto body = amqp::decode_value_section(sections->body);
    REQUIRE(body);
    out.body = *body;
    return out;
  }

  static amqp::Map map(std::string_view key, Value value) {
    amqp::Map out;
    amqp::set_string(out, key, std::move(value));
    return out;
  }
  static Value uuids(const FrontClient::Message& message) {
    return Value(amqp::Array{.items = {Value(amqp::Uuid{broker::from_delivery_tag(message.tag)})}});
  }
  static Value numbers(std::initializer_list<std::int64_t> values) {
    amqp::Array array;
    for (const std::int64_t value : values) array.items.emplace_back(value);
    return Value(std::move(array));
  }
  static std::int64_t number_of(const FrontClient::Message& message) {
    const Value* number = amqp::find(message.annotations, "x-opt-sequence-number");
    REQUIRE(number != nullptr);
    return number->integer().value_or(0);
  }

  std::int64_t schedule(std::string_view body, Duration in) {
    const auto at =
        std::chrono::floor<std::chrono::milliseconds>((rig.clock.now() + in).time_since_epoch());
    amqp::Map annotations;
    amqp::set_symbol(annotations, "x-opt-scheduled-enqueue-time", amqp::Timestamp{at.count()});
    std::string bytes;
    amqp::encode_map_section(bytes, amqp::kMessageAnnotations, annotations);
    bytes += FrontClient::message(body);
    amqp::Map entry = map("message", Value(amqp::Binary{bytes}));
    amqp::set_string(entry, "message-id", "m");
    const auto answer = ask("com.microsoft:schedule-message",
                            map("messages", Value(amqp::List{Value(std::move(entry))})));
    REQUIRE(answer.status == 200);
    const auto* array = answer.at("sequence-numbers").as<amqp::Array>();
    REQUIRE(array != nullptr);  // Go reads nothing else
    REQUIRE(array->items.size() == 1);
    REQUIRE(array->items[0].as<std::int64_t>() != nullptr);
    return *array->items[0].as<std::int64_t>();
  }

  FrontClient::Message defer(std::string_view body) {
    send(body);
    auto message = receive();
    client.propose(receiver, message, amqp::Modified{.undeliverable_here = true});
    REQUIRE(client.outcome());
    return message;
  }

 private:
  std::uint64_t ids_ = 0;
};

struct ManagedSessions : Managed {
  ManagedSessions() : Managed("conversations", true) {}

  amqp::LinkId accept(std::string_view id) {
    amqp::Attach attach = client.receiver("conversations");
    amqp::set_symbol(attach.source->filter, "com.microsoft:session-filter", id);
    const auto answer = client.answered(client.attach(attach));
    REQUIRE_FALSE(answer.refusal);
    return answer.link;
  }
};

TEST_CASE_FIXTURE(Managed, "management: answers carry the request's id and tracking id") {
  amqp::Map extra;
  amqp::set_string(extra, "com.microsoft:tracking-id", "track-me");
  amqp::set_string(extra, "com.microsoft:server-timeout", std::uint32_t{60'000});
  amqp::set_string(extra, "server-timeout", std::uint64_t{60'000});
  const auto answer =
      ask("com.microsoft:peek-message", map("message-count", std::int32_t{1}), extra);
  CHECK(answer.status == 204);
  CHECK(answer.correlation_id.as<std::uint64_t>() != nullptr);
  const Value* tracking = amqp::find(answer.application, "com.microsoft:tracking-id");
  REQUIRE(tracking != nullptr);
  CHECK(tracking->text() == "track-me");
}

TEST_CASE_FIXTURE(Managed, "management: peek shows messages in a list, locked ones too") {
  send("one");
  send("two");
  const auto locked = receive();
  amqp::Map arguments = map("from-sequence-number", std::int64_t{0});
  amqp::set_string(arguments, "message-count", std::int32_t{10});
  const auto answer = ask("com.microsoft:peek-message", arguments);
  CHECK(answer.status == 200);
  const auto* messages = answer.at("messages").as<amqp::List>();
  REQUIRE(messages != nullptr);
  REQUIRE(messages->size() == 2);
  const auto* first = (*messages)[0].as<amqp::Map>();
  REQUIRE(first != nullptr);
  const auto* bytes = amqp::find(*first, "message")->as<amqp::Binary>();
  REQUIRE(bytes != nullptr);
  const auto message = FrontClient::read(bytes->bytes);
  CHECK(message.body == "one");
  CHECK(number_of(message) == number_of(locked));
}

TEST_CASE_FIXTURE(Managed,
                  "management: a lock is renewed by its token, in an array of timestamps") {
  send("hello");
  const auto message = receive();
  rig.advance(30s);
  const auto answer = ask("com.microsoft:renew-lock", map("lock-tokens", uuids(message)));
  CHECK(answer.status == 200);
  const auto* array = answer.at("expirations").as<amqp::Array>();
  REQUIRE(array != nullptr);
  REQUIRE(array->items.size() == 1);
  const auto* until = array->items[0].as<amqp::Timestamp>();
  REQUIRE(until != nullptr);
  const auto expected =
      std::chrono::floor<std::chrono::milliseconds>((rig.clock.now() + 1min).time_since_epoch());
  CHECK(until->ms == expected.count());
  rig.advance(59s);
  client.propose(receiver, message, amqp::Accepted{});
  const auto state = client.outcome();
  CHECK((state && std::holds_alternative<amqp::Accepted>(*state)));
}

TEST_CASE_FIXTURE(Managed, "management: a lost lock is 410 with the words that clients look for") {
  send("hello");
  const auto message = receive();
  rig.advance(61s);
  for (const char* operation : {"com.microsoft:renew-lock", "com.microsoft:update-disposition"}) {
    amqp::Map arguments = map("lock-tokens", uuids(message));
    amqp::set_string(arguments, "disposition-status", "completed");
    const auto answer = ask(operation, arguments);
    CHECK(answer.status == 410);
    CHECK(answer.condition == "com.microsoft:message-lock-lost");
    CHECK(answer.description.find("The lock supplied is invalid. Either the lock expired, or the "
                                  "message has already been removed from the queue") == 0);
  }
}

TEST_CASE_FIXTURE(Managed, "management: a message is settled when its link is gone") {
  for (const char* status : {"completed", "abandoned", "defered", "suspended"}) {
    CAPTURE(status);
    send("hello");
    const auto message = receive();
    client.end.connection.detach(receiver);
    amqp::Map arguments = map("lock-tokens", uuids(message));
    amqp::set_string(arguments, "disposition-status", status);
    amqp::set_string(arguments, "deadletter-reason", "bad");
    const auto answer = ask("com.microsoft:update-disposition", arguments);
    CHECK(answer.status == 200);
    CHECK(answer.body.null());
    amqp::Attach again = client.receiver("queue1");
    again.name += status;
    receiver = client.attach(again);
    client.pump();
    if (std::string_view(status) == "abandoned") {
      const auto back = receive();
      CHECK(back.header.delivery_count == 1);
      client.end.connection.settle(receiver, back.delivery, amqp::Accepted{});
      client.pump();
    }
  }
  const auto counts = rig.counts();
  CHECK(counts.active == 0);
  CHECK(counts.deferred == 1);
  CHECK(counts.dead_letter == 1);
}

TEST_CASE_FIXTURE(Managed, "management: messages are scheduled, and cancelled by their numbers") {
  const std::int64_t kept = schedule("kept", 10s);
  const std::int64_t cancelled = schedule("cancelled", 10s);
  CHECK(rig.counts().scheduled == 2);
  CHECK(ask("com.microsoft:cancel-scheduled-message", map("sequence-numbers", numbers({cancelled})))
            .status == 200);
  const auto again =
      ask("com.microsoft:cancel-scheduled-message", map("sequence-numbers", numbers({cancelled})));
  CHECK(again.status == 404);
  CHECK(again.condition == "com.microsoft:message-not-found");
  CHECK(kept != cancelled);
  rig.advance(10s);
  CHECK(receive().body == "kept");
}

TEST_CASE_FIXTURE(Managed, "management: a message that is too large is not scheduled either") {
  std::string wide;
  amqp::Map properties;
  amqp::set_string(properties, "wide", std::string(33 << 10, 'x'));
  amqp::encode_map_section(wide, amqp::kApplicationProperties, properties);
  for (const std::string& bytes :
       {FrontClient::message(std::string(1025 << 10, 'x')), wide + FrontClient::message("x")}) {
    const auto answer =
        ask("com.microsoft:schedule-message",
            map("messages", Value(amqp::List{Value(map("message", Value(amqp::Binary{bytes})))})));
    CHECK(answer.status == 400);
    CHECK(answer.condition == "amqp:link:message-size-exceeded");
  }
  CHECK(rig.counts().scheduled == 0);
}

TEST_CASE_FIXTURE(Managed,
                  "management: deferred messages are received by number, with their lock") {
  const auto deferred = defer("later");
  amqp::Map arguments = map("sequence-numbers", numbers({number_of(deferred)}));
  amqp::set_string(arguments, "receiver-settle-mode", std::uint32_t{1});
  const auto answer = ask("com.microsoft:receive-by-sequence-number", arguments);
  REQUIRE(answer.status == 200);
  const auto* messages = answer.at("messages").as<amqp::List>();
  REQUIRE(messages != nullptr);
  REQUIRE(messages->size() == 1);
  const auto* entry = (*messages)[0].as<amqp::Map>();
  REQUIRE(entry != nullptr);
  const auto* token = amqp::find(*entry, "lock-token")->as<amqp::Uuid>();
  REQUIRE(token != nullptr);
  // Go reads the token in the message, nowhere else.
  const auto& bytes = amqp::find(*entry, "message")->as<amqp::Binary>()->bytes;
  const auto inside = *amqp::decode_map_section(amqp::split(bytes)->delivery_annotations);
  const Value* within = amqp::find(inside, "x-opt-lock-token");
  REQUIRE(within != nullptr);
  REQUIRE(within->as<amqp::Uuid>() != nullptr);
  CHECK(*within->as<amqp::Uuid>() == *token);

  amqp::Map complete = map("lock-tokens", Value(amqp::Array{.items = {Value(*token)}}));
  amqp::set_string(complete, "disposition-status", "completed");
  CHECK(ask("com.microsoft:update-disposition", complete).status == 200);
  const auto gone = ask("com.microsoft:receive-by-sequence-number", arguments);
  CHECK(gone.status == 404);
  CHECK(gone.condition == "com.microsoft:message-not-found");
}

TEST_CASE_FIXTURE(Managed, "management: a deferred message may be received and deleted") {
  const auto deferred = defer("later");
  amqp::Map arguments = map("sequence-numbers", numbers({number_of(deferred)}));
  amqp::set_string(arguments, "receiver-settle-mode", std::uint8_t{0});
  const auto answer = ask("com.microsoft:receive-by-sequence-number", arguments);
  REQUIRE(answer.status == 200);
  CHECK(amqp::find(*(*answer.at("messages").as<amqp::List>())[0].as<amqp::Map>(), "lock-token") ==
        nullptr);
  CHECK(rig.counts().deferred == 0);
}

TEST_CASE_FIXTURE(Managed, "management: messages are deleted in batches") {
  for (int i = 0; i < 3; ++i) send("x");
  amqp::Map arguments = map("message-count", std::int32_t{2});
  amqp::set_string(arguments, "enqueued-time-utc", amqp::Timestamp{253'402'300'799'999});
  const auto answer = ask("com.microsoft:batch-delete-messages", arguments);
  CHECK(answer.status == 200);
  REQUIRE(answer.at("message-count").as<std::int32_t>() != nullptr);
  CHECK(answer.at("message-count").integer() == 2);
  CHECK(ask("com.microsoft:batch-delete-messages", arguments).status == 200);
  CHECK(ask("com.microsoft:batch-delete-messages", arguments).status == 204);
  amqp::set_string(arguments, "message-count", std::int32_t{501});
  CHECK(ask("com.microsoft:batch-delete-messages", arguments).status == 400);
}

TEST_CASE_FIXTURE(ManagedSessions, "management: one session's messages are deleted in batches") {
  send("a", "blue");
  send("b", "green");
  amqp::Map arguments = map("message-count", std::int32_t{10});
  amqp::set_string(arguments, "session-id", "blue");
  CHECK(ask("com.microsoft:batch-delete-messages", arguments).at("message-count").integer() == 1);
  CHECK(ask("com.microsoft:batch-delete-messages", arguments).status == 204);
}

TEST_CASE("management: requests wait while their answers have no credit") {
  Managed managed;
  managed.send(std::string(500 * 1000, 'x'));
  FrontClient other(managed.rig, {.container = "other"});
  const auto request = other.attach(other.sender("queue1/$management", "mine"));
  const auto answers = other.attach(other.receiver("queue1/$management", "mine"));
  other.pump();
  for (int i = 0; i < 100; ++i) REQUIRE(other.send(request, managed.peek_one()));
  other.pump();
  CHECK(other.end.connection.credit(request) == 0);
  other.end.connection.grant(answers, 1000);
  other.pump();
  int answered = 0;
  while (other.receive()) ++answered;
  CHECK(answered == 100);
  CHECK(other.end.connection.credit(request) == 100);
}

TEST_CASE("management: requests of a client that does not read wait") {
  Managed managed;
  managed.send(std::string(500 * 1000, 'x'));
  managed.client.stream->stuck = true;
  for (int i = 0; i < 60; ++i) REQUIRE(managed.client.send(managed.request, managed.peek_one()));
  managed.client.pump();
  CHECK(managed.client.stream->unsent() > 1000 * 1000);
  CHECK(managed.client.stream->unsent() < 8 * 1000 * 1000);
  int answered = 0;
  managed.client.stream->unstick();
  while (managed.client.receive()) ++answered;
  CHECK(answered == 60);
}

TEST_CASE_FIXTURE(Managed, "management: what to peek from is a number") {
  amqp::Map arguments = map("message-count", std::int32_t{1});
  amqp::set_string(arguments, "from-sequence-number", "first");
  CHECK(ask("com.microsoft:peek-message", arguments).status == 400);
}

TEST_CASE_FIXTURE(Managed, "management: bad requests say what is wrong") {
  struct Case {
    const char* operation;
    Value body;
    std::int32_t status;
    const char* condition;
  };
  const amqp::Map none;
  for (const Case& one :
       {Case{"com.microsoft:no-such", Value(none), 501, "amqp:not-implemented"},
        Case{"renew-lock", Value(none), 501, "amqp:not-implemented"},
        Case{"com.microsoft:renew-lock", Value("text"), 400, "com.microsoft:argument-error"},
        Case{"com.microsoft:renew-lock", Value(none), 400, "com.microsoft:argument-error"},
        Case{"com.microsoft:renew-lock", Value(map("lock-tokens", numbers({1}))), 400,
             "com.microsoft:argument-error"},
        Case{"com.microsoft:peek-message", Value(map("message-count", std::int32_t{-1})), 400,
             "com.microsoft:argument-error"},
        Case{"com.microsoft:schedule-message", Value(map("messages", Value(amqp::List{Value(1)}))),
             400, "com.microsoft:argument-error"},
        Case{"com.microsoft:update-disposition", Value(none), 400, "com.microsoft:argument-error"},
        Case{"com.microsoft:set-session-state", Value(none), 400, "com.microsoft:argument-error"},
        Case{"com.microsoft:enumerate-rules", Value(none), 501, "amqp:not-allowed"},
        Case{"com.microsoft:add-rule", Value(none), 501, "amqp:not-allowed"},
        Case{"com.microsoft:remove-rule", Value(none), 501, "amqp:not-allowed"},
        Case{"com.microsoft:get-message-sessions", Value(map("top", std::int32_t{10})), 400,
             "amqp:not-allowed"}}) {
    CAPTURE(one.operation);
    const auto answer = ask(one.operation, one.body);
    CHECK(answer.status == one.status);
    CHECK(answer.condition == one.condition);
    CHECK_FALSE(answer.description.empty());
  }
}

TEST_CASE_FIXTURE(Managed, "management: the links of a deleted queue go with it") {
  rig.broker->remove("queue1", [](const Status& status) { CHECK(status); });
  rig.run_loop();
  rig.server.entities_changed();
  client.pump();
  CHECK(client.end.connection.granted(answers) == 0);
  CHECK(client.end.connection.credit(request) == 0);
}

TEST_CASE_FIXTURE(ManagedSessions, "management: a session has a state until it is set to null") {
  accept("blue");
  amqp::Map arguments = map("session-id", "blue");
  CHECK(ask("com.microsoft:get-session-state", arguments).at("session-state").null());
  amqp::Map set = arguments;
  amqp::set_string(set, "session-state", amqp::Binary{"step 1"});
  CHECK(ask("com.microsoft:set-session-state", set).status == 200);
  const auto answer = ask("com.microsoft:get-session-state", arguments);
  const auto* state = answer.at("session-state").as<amqp::Binary>();
  REQUIRE(state != nullptr);
  CHECK(state->bytes == "step 1");
  amqp::set_string(set, "session-state", Value());
  CHECK(ask("com.microsoft:set-session-state", set).status == 200);
  CHECK(ask("com.microsoft:get-session-state", arguments).at("session-state").null());
}

TEST_CASE_FIXTURE(ManagedSessions, "management: a state needs an id of at most 128 characters") {
  amqp::Map set = map("session-id", std::string(129, 'x'));
  amqp::set_string(set, "session-state", amqp::Binary{"step 1"});
  CHECK(ask("com.microsoft:set-session-state", set).status == 400);
}

TEST_CASE_FIXTURE(ManagedSessions, "management: a session's lock is renewed by its id") {
  accept("blue");
  rig.advance(30s);
  const auto answer = ask("com.microsoft:renew-session-lock", map("session-id", "blue"));
  CHECK(answer.status == 200);
  CHECK(answer.at("expiration").as<amqp::Timestamp>() != nullptr);
  rig.advance(59s);
  CHECK_FALSE(client.take<amqp::LinkDetached>());
  const auto lost = ask("com.microsoft:renew-session-lock", map("session-id", "green"));
  CHECK(lost.status == 410);
  CHECK(lost.condition == "com.microsoft:session-lock-lost");
}

TEST_CASE_FIXTURE(ManagedSessions, "management: sessions are listed page by page") {
  amqp::Map arguments = map("last-updated-time", amqp::Timestamp{253'402'300'800'000});
  amqp::set_string(arguments, "skip", std::int32_t{0});
  amqp::set_string(arguments, "top", std::int32_t{2});
  CHECK(ask("com.microsoft:get-message-sessions", arguments).status == 204);
  for (const char* id : {"a", "b", "c"}) send("x", id);
  const auto first = ask("com.microsoft:get-message-sessions", arguments);
  REQUIRE(first.status == 200);
  const auto* ids = first.at("sessions-ids").as<amqp::Array>();
  REQUIRE(ids != nullptr);
  CHECK(ids->items.size() == 2);
  amqp::set_string(arguments, "skip", std::int32_t{2});
  const auto second = ask("com.microsoft:get-message-sessions", arguments);
  REQUIRE(second.status == 200);
  CHECK(second.at("sessions-ids").as<amqp::Array>()->items.size() == 1);
  CHECK(second.at("skip").integer() == 2);
}

}  // namespace
}  // namespace jobmill::front
