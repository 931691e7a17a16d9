// SPDX-License-Identifier: Apache-2.0
#include "front/amqp_server.h"

#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include <doctest/doctest.h>

#include "broker/message.h"
#include "front/front_rig.h"

namespace jobmill::front {
namespace {

using namespace std::chrono_literals;
using amqp::Role;

bool accepted(const std::optional<amqp::DeliveryState>& state) {
  return state && std::holds_alternative<amqp::Accepted>(*state);
}

std::string condition_of(const std::optional<amqp::Error>& error) {
  return error ? error->condition : "";
}

bool has_target(const amqp::Attach& attach) {
  return !std::holds_alternative<std::monostate>(attach.target);
}

// A client with a sender and a receiver on queue1, and what they have in common.
struct Pair {
  FrontRig rig{};
  FrontClient client{rig};
  amqp::LinkId sender = client.attach(client.sender("queue1"));
  amqp::LinkId receiver = client.attach(client.receiver("queue1"));

  Pair() { client.pump(); }

  void send(std::string_view body) {
    REQUIRE(client.send(sender, FrontClient::message(body)));
    REQUIRE(accepted(client.outcome()));
  }
  FrontClient::Message receive(std::uint32_t credit = 1) {
    client.end.connection.grant(receiver, credit);
    auto message = client.receive();
    REQUIRE(message);
    return *std::move(message);
  }
};

TEST_CASE_FIXTURE(Pair, "server: a sender is answered with modes, a size, a property and credit") {
  const auto attached = client.answered(sender);
  CHECK(attached.answer.sender_settle_mode == amqp::SenderSettleMode::Unsettled);
  CHECK(attached.answer.receiver_settle_mode == amqp::ReceiverSettleMode::Second);
  CHECK(attached.answer.max_message_size == 1024 * 1024);
  CHECK(amqp::find(attached.answer.properties, "com.microsoft:max-message-batch-size") != nullptr);
  CHECK(has_target(attached.answer));
  CHECK(client.end.connection.credit(sender) == 1000);
}

TEST_CASE_FIXTURE(Pair, "server: accepted comes after the commit, not before") {
  rig.held = true;
  client.send(sender, FrontClient::message("x"));
  CHECK_FALSE(client.outcome());
  rig.held = false;
  CHECK(accepted(client.outcome()));
  CHECK(rig.counts().active == 1);
}

TEST_CASE_FIXTURE(Pair, "server: what the store could not write is rejected as server-busy") {
  rig.store.fail_writes(1);
  client.send(sender, FrontClient::message("x"));
  CHECK(client.rejection() == "com.microsoft:server-busy");
  CHECK(rig.counts().active == 0);
}

TEST_CASE_FIXTURE(Pair, "server: messages that are settled already are stored without an answer") {
  client.send(sender, FrontClient::message("x"), 0, true);
  CHECK_FALSE(client.outcome());
  CHECK(rig.counts().active == 1);
}

TEST_CASE_FIXTURE(Pair, "server: a batch is taken apart, all or none") {
  std::string batch;
  amqp::encode_properties(batch, {.message_id = "envelope"});
  amqp::encode_data_section(batch, FrontClient::message("one"));
  amqp::encode_data_section(batch, FrontClient::message("two"));
  client.send(sender, batch, amqp::kBatchFormat);
  CHECK(accepted(client.outcome()));
  CHECK(receive().body == "one");
  CHECK(receive().body == "two");

  amqp::encode_data_section(batch, "no message");
  client.send(sender, batch, amqp::kBatchFormat);
  CHECK(client.rejection() == "com.microsoft:argument-error");
  CHECK(rig.counts().active == 2);  // the two that are locked
}

TEST_CASE_FIXTURE(Pair, "server: a batch without messages is rejected") {
  client.send(sender, FrontClient::message("").substr(0, 0) + "\x00\x53\x73\x45",
              amqp::kBatchFormat);
  CHECK_FALSE(client.rejection().empty());
}

TEST_CASE("server: a message over the queue's limit is rejected with its own condition") {
  FrontRig rig;
  rig.make_queue({.name = "small", .max_message_kb = 1});
  FrontClient client(rig);
  const auto link = client.attach(client.sender("small"));
  client.pump();
  client.send(link, FrontClient::message(std::string(4000, 'x')));
  CHECK(client.rejection() == "amqp:link:message-size-exceeded");
  CHECK(rig.counts("small").active == 0);
}

TEST_CASE_FIXTURE(Pair, "server: credit is topped up in large steps while messages are stored") {
  for (int i = 0; i < 3000; ++i) {
    if (client.end.connection.credit(sender) == 0) client.pump();
    REQUIRE(client.send(sender, FrontClient::message("x")));
  }
  client.pump();
  CHECK(rig.counts().active == 3000);
  CHECK(client.end.connection.credit(sender) > 400);
}

TEST_CASE_FIXTURE(Pair, "server: a slow store holds senders back by credit") {
  rig.held = true;
  for (int i = 0; i < 1000; ++i) REQUIRE(client.send(sender, FrontClient::message("x")));
  client.pump();
  CHECK(client.end.connection.credit(sender) == 0);
  rig.held = false;
  client.pump();
  CHECK(client.end.connection.credit(sender) == 1000);
}

TEST_CASE("server: messages that wait for the disk stop the reading of their connection") {
  AmqpOptions options = FrontRig::anonymous();
  options.max_storing_bytes = 1000;
  FrontRig rig(std::move(options));
  FrontClient client(rig);
  const auto link = client.attach(client.sender("queue1"));
  client.pump();
  rig.held = true;
  client.send(link, FrontClient::message(std::string(2000, 'x')));
  client.pump();
  CHECK(client.stream->paused());
  rig.held = false;
  client.pump();
  CHECK_FALSE(client.stream->paused());
}

TEST_CASE("server: outcomes of many messages leave in few writes") {
  Pair pair;
  for (int i = 0; i < 200; ++i) pair.client.send(pair.sender, FrontClient::message("x"));
  const std::size_t before = pair.client.stream->writes;
  pair.client.pump();
  CHECK(pair.client.stream->writes - before <= 3);
}

// --- receiving -----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Pair, "server: a delivery has 16 bytes of tag, a message-id and annotations") {
  send("hello");
  const auto message = receive();
  CHECK(message.tag.size() == 16);
  CHECK_FALSE(message.settled);
  CHECK(message.body == "hello");
  CHECK(amqp::id_text(message.properties.message_id).size() == 32);
  CHECK(message.header.delivery_count == 0);
  const auto* number = amqp::find(message.annotations, "x-opt-sequence-number");
  REQUIRE(number != nullptr);
  CHECK(number->as<std::int64_t>() != nullptr);
  CHECK(amqp::find(message.annotations, "x-opt-locked-until") != nullptr);
  CHECK(amqp::find(message.annotations, "x-opt-enqueued-time") != nullptr);
}

TEST_CASE_FIXTURE(Pair, "server: an outcome is answered with itself, settled, once it is durable") {
  send("hello");
  const auto message = receive();
  rig.held = true;
  client.propose(receiver, message, amqp::Accepted{});
  CHECK_FALSE(client.outcome());
  rig.held = false;
  CHECK(accepted(client.outcome()));
  CHECK(rig.counts().active == 0);
}

TEST_CASE_FIXTURE(Pair, "server: an outcome that is settled already needs no answer") {
  send("hello");
  const auto message = receive();
  client.end.connection.settle(receiver, message.delivery, amqp::Accepted{});
  CHECK_FALSE(client.outcome());
  CHECK(rig.counts().active == 0);
}

TEST_CASE_FIXTURE(Pair, "server: ranges of deliveries are settled one by one") {
  for (const char* body : {"a", "b", "c"}) send(body);
  client.end.connection.grant(receiver, 3);
  client.pump();
  for (int i = 0; i < 3; ++i) {
    const auto message = client.receive();
    REQUIRE(message);
    client.end.connection.settle(receiver, message->delivery, amqp::Accepted{});
  }
  client.pump();
  CHECK(rig.counts().active == 0);
}

TEST_CASE_FIXTURE(Pair,
                  "server: abandon counts whatever delivery-failed says, and sets properties") {
  send("hello");
  amqp::Modified abandon;
  amqp::set_symbol(abandon.annotations, "tries", std::int32_t{1});
  client.propose(receiver, receive(), abandon);  // as Go: delivery-failed = false
  const auto echoed = client.outcome();
  CHECK((echoed && std::holds_alternative<amqp::Modified>(*echoed)));
  const auto again = receive();
  CHECK(again.header.delivery_count == 1);
  const auto* tries = amqp::find(again.application, "tries");
  REQUIRE(tries != nullptr);
  CHECK(tries->integer() == 1);
}

TEST_CASE_FIXTURE(Pair, "server: released gives a message back uncounted") {
  send("hello");
  client.propose(receiver, receive(), amqp::Released{});
  const auto echoed = client.outcome();
  CHECK((echoed && std::holds_alternative<amqp::Released>(*echoed)));
  CHECK(receive().header.delivery_count == 0);
}

TEST_CASE_FIXTURE(Pair, "server: undeliverable-here defers") {
  send("hello");
  client.propose(receiver, receive(), amqp::Modified{.undeliverable_here = true});
  CHECK(client.outcome());
  CHECK(rig.counts().deferred == 1);
}

TEST_CASE_FIXTURE(Pair, "server: a dead letter has its reason and is read from the sub-queue") {
  send("hello");
  amqp::Error error{.condition = "com.microsoft:dead-letter"};
  amqp::set_symbol(error.info, "DeadLetterReason", "bad");
  amqp::set_symbol(error.info, "DeadLetterErrorDescription", "very bad");
  amqp::set_symbol(error.info, "checked", true);
  client.propose(receiver, receive(), amqp::Rejected{error});
  const auto echoed = client.outcome();
  CHECK((echoed && std::holds_alternative<amqp::Rejected>(*echoed)));
  CHECK(rig.counts().dead_letter == 1);

  receiver = client.attach(client.receiver("queue1/$DeadLetterQueue"));
  client.pump();
  const auto dead = receive();
  const auto property = [&](std::string_view key) {
    const auto* value = amqp::find(dead.application, key);
    return value == nullptr ? std::string() : std::string(value->text().value_or("?"));
  };
  CHECK(property("DeadLetterReason") == "bad");
  CHECK(property("DeadLetterErrorDescription") == "very bad");
  CHECK(property("checked") == "?");
}

TEST_CASE_FIXTURE(Pair, "server: a message whose properties are too large is refused as such") {
  amqp::Map application;
  amqp::set_string(application, "large", std::string(40 * 1024, 'x'));
  std::string bytes;
  amqp::encode_map_section(bytes, amqp::kApplicationProperties, application);
  amqp::encode_data_section(bytes, "x");
  REQUIRE(client.send(sender, bytes));
  CHECK(client.rejection() == "amqp:link:message-size-exceeded");
  std::string batch;
  amqp::encode_data_section(batch, bytes);
  REQUIRE(client.send(sender, batch, amqp::kBatchFormat));
  CHECK(client.rejection() == "amqp:link:message-size-exceeded");
}

TEST_CASE_FIXTURE(Pair, "server: a lost lock is told to who waits for an answer") {
  send("hello");
  const auto message = receive();
  rig.advance(61s);
  client.propose(receiver, message, amqp::Accepted{});
  CHECK(client.rejection() == "com.microsoft:message-lock-lost");
  CHECK(rig.counts().active == 1);
}

TEST_CASE_FIXTURE(Pair, "server: receive-and-delete sends settled messages and forgets them") {
  send("hello");
  amqp::Attach attach = client.receiver("queue1");
  attach.name = "deleting";
  attach.sender_settle_mode = amqp::SenderSettleMode::Settled;
  attach.receiver_settle_mode = amqp::ReceiverSettleMode::First;
  receiver = client.attach(std::move(attach));
  client.pump();
  const auto message = receive();
  CHECK(message.settled);
  CHECK(message.tag.size() == 16);
  CHECK(amqp::find(message.annotations, "x-opt-locked-until") == nullptr);
  CHECK(rig.counts().active == 0);
}

TEST_CASE_FIXTURE(Pair, "server: a drain is answered with no credit") {  // as JavaScript ends it
  send("hello");
  client.end.connection.grant(receiver, 10);
  REQUIRE(client.receive());
  client.end.connection.drain(receiver);
  const auto drained = client.take<amqp::CreditGiven>();
  bool seen = drained && drained->link == receiver && drained->drain && drained->credit == 0;
  while (!seen) {
    const auto more = client.take<amqp::CreditGiven>();
    REQUIRE(more);
    seen = more->link == receiver && more->drain && more->credit == 0;
  }
  send("later");
  CHECK_FALSE(client.receive());
}

TEST_CASE_FIXTURE(Pair, "server: locks outlive the link that took them") {
  send("hello");
  const auto message = receive();
  client.end.connection.detach(receiver);
  client.pump();
  CHECK(rig.counts().locked == 1);
  rig.advance(61s);
  CHECK(rig.counts().locked == 0);
}

TEST_CASE("server: a client that does not read gets no more, until it does") {
  AmqpOptions options = FrontRig::anonymous();
  options.max_unsent_bytes = 10'000;
  FrontRig rig(std::move(options));
  FrontClient client(rig);
  const auto sender = client.attach(client.sender("queue1"));
  const auto receiver = client.attach(client.receiver("queue1"));
  client.pump();
  client.end.connection.grant(receiver, 100);
  client.pump();
  FrontClient other(rig, {.container = "other"});
  const auto feeding = other.attach(other.sender("queue1"));
  other.pump();
  client.stream->stuck = true;
  for (int i = 0; i < 50; ++i) {
    other.send(feeding, FrontClient::message(std::string(1000, 'x')));
    other.pump();
  }
  CHECK(client.stream->paused());
  CHECK(rig.counts().locked < 20);  // what was sent before the limit was reached
  (void)sender;
  client.stream->unstick();
  client.pump();
  CHECK_FALSE(client.stream->paused());
  CHECK(rig.counts().locked == 50);
}

// --- refusals ------------------------------------------------------------------------------------

TEST_CASE("server: a refused link has neither source nor target, and is closed with the reason") {
  FrontRig rig;
  rig.make_queue({.name = "off", .status = broker::EntityStatus::Disabled});
  rig.make_queue({.name = "no-send", .status = broker::EntityStatus::SendDisabled});
  rig.make_queue({.name = "no-receive", .status = broker::EntityStatus::ReceiveDisabled});
  FrontClient client(rig);
  struct Case {
    amqp::Attach attach;
    const char* condition;
  };
  amqp::Attach coordinator = client.sender("");
  coordinator.target = amqp::Coordinator{};
  amqp::Attach anonymous = client.sender("");
  anonymous.target = amqp::Target{};
  for (const Case& one :
       {Case{client.sender("missing"), "amqp:not-found"},
        Case{client.receiver("missing"), "amqp:not-found"},
        Case{client.receiver("missing/$management"), "amqp:not-found"},
        Case{client.sender("no such name"), "amqp:not-found"},
        Case{client.sender("queue1/$DeadLetterQueue"), "amqp:not-allowed"},
        Case{client.sender("off"), "com.microsoft:entity-disabled"},
        Case{client.receiver("off"), "com.microsoft:entity-disabled"},
        Case{client.sender("no-send"), "com.microsoft:entity-disabled"},
        Case{client.receiver("no-receive"), "com.microsoft:entity-disabled"},
        Case{coordinator, "amqp:not-implemented"}, Case{anonymous, "amqp:not-implemented"}}) {
    CAPTURE(one.attach.name);
    CAPTURE(one.condition);
    const auto link = client.attach(one.attach);
    const auto answer = client.answered(link);
    CHECK_FALSE(answer.answer.source);
    CHECK_FALSE(has_target(answer.answer));
    CHECK(condition_of(answer.refusal) == one.condition);
    client.end.events.clear();
  }
  for (const auto& attach : {client.receiver("no-send"), client.sender("no-receive")})
    CHECK_FALSE(client.answered(client.attach(attach)).refusal);
}

TEST_CASE("server: JavaScript knows a missing entity by the text") {
  FrontRig rig;
  FrontClient client(rig);
  const auto answer = client.answered(client.attach(client.sender("Missing")));
  REQUIRE(answer.refusal);
  CHECK(answer.refusal->description == "The messaging entity 'missing' could not be found.");
  CHECK_FALSE(answer.refusal->info.empty());
}

TEST_CASE("server: addresses with scheme and host lead to the same queue") {
  FrontRig rig;
  FrontClient client(rig);
  const auto link = client.attach(client.sender("amqps://localhost:5672/Queue1"));
  CHECK_FALSE(client.answered(link).refusal);
  client.send(link, FrontClient::message("x"));
  CHECK(accepted(client.outcome()));
  CHECK(rig.counts().active == 1);
}

TEST_CASE("server: a receiver of the same container and name steals the older link") {
  FrontRig rig;
  FrontClient first(rig, {.container = "same"});
  const auto older = first.attach(first.receiver("queue1"));
  first.pump();
  FrontClient second(rig, {.container = "same"});
  CHECK_FALSE(second.answered(second.attach(second.receiver("queue1"))).refusal);
  const auto detached = first.take<amqp::LinkDetached>();
  REQUIRE(detached);
  CHECK(detached->link == older);
  CHECK(condition_of(detached->error) == "amqp:link:stolen");

  FrontClient stranger(rig, {.container = "another"});
  CHECK_FALSE(stranger.answered(stranger.attach(stranger.receiver("queue1"))).refusal);
  CHECK_FALSE(second.take<amqp::LinkDetached>());
}

TEST_CASE_FIXTURE(Pair, "server: links of a deleted queue are detached with not-found") {
  rig.broker->remove("queue1", [](const Status& status) { CHECK(status); });
  rig.run_loop();
  rig.server.entities_changed();
  for (int i = 0; i < 2; ++i) {
    const auto detached = client.take<amqp::LinkDetached>();
    REQUIRE(detached);
    CHECK(condition_of(detached->error) == "amqp:not-found");
  }
}

// --- connections ---------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Pair, "server: shutdown tells clients to connect again") {
  rig.server.shutdown();
  const auto closed = client.take<amqp::Closed>();
  REQUIRE(closed);
  CHECK(condition_of(closed->error) == "amqp:connection:forced");
  CHECK(client.stream->closed());
  CHECK(rig.server.connections() == 0);
}

TEST_CASE_FIXTURE(Pair, "server: a client that vanishes leaves nothing behind but its locks") {
  send("hello");
  receive(10);
  client.stream->vanish();
  CHECK(rig.server.connections() == 0);
  CHECK(rig.counts().locked == 1);
  FrontClient other(rig, {.container = "other"});
  const auto feeding = other.attach(other.sender("queue1"));
  other.pump();
  other.send(feeding, FrontClient::message("x"));
  other.pump();
  CHECK(rig.counts().locked == 1);  // its credit went with it
}

TEST_CASE_FIXTURE(Pair, "server: answers of the broker for a client that went are dropped") {
  rig.held = true;
  client.send(sender, FrontClient::message("x"));
  client.pump();
  client.stream->vanish();
  rig.held = false;
  rig.run_loop();
  CHECK(rig.counts().active == 1);
}

TEST_CASE("server: a peer that never opens is closed, also where nobody needs a token") {
  FrontRig rig;
  const auto stream = std::make_shared<MemoryStream>();
  rig.server.serve(stream);
  rig.advance(59s);
  CHECK_FALSE(stream->closed());
  rig.advance(1s);
  CHECK(stream->closed());
  CHECK(rig.server.connections() == 0);
}

TEST_CASE("server: what is no AMQP is answered with our header and closed") {
  FrontRig rig;
  const auto stream = std::make_shared<MemoryStream>();
  rig.server.serve(stream);
  stream->say("GET / HTTP/1.1\r\n\r\n");
  CHECK(stream->hear().starts_with("AMQP"));
  CHECK(stream->closed());
}

TEST_CASE("server: beyond the limit of connections new ones are told so and closed") {
  FrontRig rig(FrontRig::anonymous(), {.connections = 1});
  const auto witness = std::make_unique<FrontClient>(rig);
  FrontClient client(rig);
  client.pump();
  const auto closed = client.take<amqp::Closed>();
  REQUIRE(closed);
  CHECK(condition_of(closed->error) == "amqp:resource-limit-exceeded");
  CHECK(rig.server.connections() == 1);
}

TEST_CASE("server: beyond the limit of receivers of a queue new ones are refused") {
  FrontRig rig(FrontRig::anonymous(), {.receivers = 1});
  FrontClient client(rig);
  const auto first = client.attach(client.receiver("queue1"));
  client.pump();
  client.attach(client.receiver("queue1/$deadletterqueue"));
  client.pump();
  const auto refused = client.take<amqp::LinkDetached>();
  REQUIRE(refused);
  CHECK(refused->link != first);
  CHECK(condition_of(refused->error) == "amqp:resource-limit-exceeded");
}

TEST_CASE("server: messages are as large as the limits allow, unless the queue says less") {
  FrontRig rig(FrontRig::anonymous(), broker::kCloudLimits);
  FrontClient client(rig);
  const auto link = client.attach(client.sender("queue1"));
  client.pump();
  CHECK(client.send(link, FrontClient::message(std::string(200 << 10, 'x'))));
  CHECK(accepted(client.outcome()));
  client.send(link, FrontClient::message(std::string(300 << 10, 'x')));
  CHECK(client.rejection() == "amqp:link:message-size-exceeded");
}

TEST_CASE("server: idle links stay, unless a time-out was asked for") {
  for (const bool asked : {false, true}) {
    CAPTURE(asked);
    AmqpOptions options = FrontRig::anonymous();
    if (asked) options.idle_link_timeout = 100s;
    FrontRig rig(std::move(options));
    FrontClient client(rig);
    const auto link = client.attach(client.receiver("queue1"));
    client.pump();
    rig.advance(99s);
    client.end.connection.grant(link, 1);  // traffic
    client.pump();
    rig.advance(99s);
    CHECK_FALSE(client.take<amqp::LinkDetached>());
    rig.advance(1s);
    const auto detached = client.take<amqp::LinkDetached>();
    CHECK(detached.has_value() == asked);
    if (!asked) continue;
    CHECK(condition_of(detached->error) == "amqp:link:detach-forced");
    CHECK(detached->error->description ==
          "The link 'receiver-queue1' is force detached. Code: Idle");
  }
}

}  // namespace
}  // namespace jobmill::front
