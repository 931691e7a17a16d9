// SPDX-License-Identifier: Apache-2.0
#include "front/receiver_link.h"

#include <chrono>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "front/front_rig.h"
#include "front/session_filter.h"

namespace jobmill::front {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kFilter = "com.microsoft:session-filter";
constexpr std::uint64_t kFilterDescriptor = 0x137000000C;

std::string condition_of(const std::optional<amqp::Error>& error) {
  return error ? error->condition : "";
}

struct Sessions {
  FrontRig rig{};
  FrontClient client{rig};
  amqp::LinkId sender = 0;

  Sessions() {
    rig.make_queue({.name = "conversations", .requires_session = true});
    sender = client.attach(client.sender("conversations"));
    client.pump();
  }

  void send(std::string session, std::string_view body) {
    client.send(sender, FrontClient::message(body, {.group_id = std::move(session)}));
    const auto state = client.outcome();
    REQUIRE((state && std::holds_alternative<amqp::Accepted>(*state)));
  }

  amqp::Attach session_receiver(amqp::Value filter, std::optional<std::uint32_t> wait_ms = {}) {
    amqp::Attach attach = client.receiver("conversations");
    attach.name += std::to_string(++names_);
    amqp::set_symbol(attach.source->filter, kFilter, std::move(filter));
    if (wait_ms) amqp::set_symbol(attach.properties, "com.microsoft:timeout", *wait_ms);
    return attach;
  }

  FrontClient::Attached accept(amqp::Value filter) {
    return client.answered(client.attach(session_receiver(std::move(filter))));
  }

  bool answered(amqp::LinkId link) {
    client.pump();
    for (const amqp::Event& event : client.end.events) {
      const auto* attached = std::get_if<amqp::LinkAttached>(&event);
      if (attached != nullptr && attached->link == link) return true;
    }
    return false;
  }

  static const amqp::Value* filter_of(const amqp::Attach& answer) {
    return answer.source ? amqp::find(answer.source->filter, kFilter) : nullptr;
  }

 private:
  int names_ = 0;
};

TEST_CASE_FIXTURE(Sessions, "sessions: a plain filter is answered plain, with the session's lock") {
  send("blue", "hello");
  const auto attached = accept(amqp::Value("blue"));
  REQUIRE_FALSE(attached.refusal);
  const auto* filter = filter_of(attached.answer);
  REQUIRE(filter != nullptr);
  CHECK(filter->described() == nullptr);
  CHECK(filter->text() == "blue");
  const auto* until = amqp::find(attached.answer.properties, "com.microsoft:locked-until-utc");
  REQUIRE(until != nullptr);
  REQUIRE(until->as<std::int64_t>() != nullptr);
  CHECK(*until->as<std::int64_t>() == dotnet_ticks(rig.clock.now() + 1min));

  client.end.connection.grant(attached.link, 5);
  const auto message = client.receive();
  REQUIRE(message);
  CHECK(message->body == "hello");
  CHECK(message->properties.group_id == "blue");
}

TEST_CASE_FIXTURE(Sessions, "sessions: an id has at most 128 characters, of any kind") {
  std::string letters;
  for (int i = 0; i < 128; ++i) letters += "\u00fc";
  CHECK_FALSE(accept(amqp::Value(letters)).refusal);
  CHECK(condition_of(accept(amqp::Value(letters + "x")).refusal) == "com.microsoft:argument-error");
}

TEST_CASE_FIXTURE(Sessions, "sessions: Go's described filter is answered described") {
  send("blue", "hello");
  for (const char* wish : {"blue", ""}) {
    amqp::Value id;
    if (*wish != 0) id = amqp::Value(wish);
    const auto attached = accept(amqp::Value(amqp::Described{kFilterDescriptor, id}));
    REQUIRE_FALSE(attached.refusal);
    const auto* filter = filter_of(attached.answer);
    REQUIRE(filter != nullptr);
    REQUIRE(filter->described() != nullptr);
    CHECK(filter->described()->descriptor.unsigned_integer() == kFilterDescriptor);
    CHECK(filter->undescribed().text() == "blue");
    client.end.connection.detach(attached.link);
    client.pump();
  }
}

TEST_CASE("sessions: .NET counts 100 ns since the year 1") {
  CHECK(dotnet_ticks(TimePoint{}) == 621'355'968'000'000'000);
  CHECK(dotnet_ticks(TimePoint{1234567us}) == 621'355'968'000'000'000 + 12'340'000);
}

TEST_CASE_FIXTURE(Sessions, "sessions: a named session may be accepted before it has messages") {
  CHECK_FALSE(accept(amqp::Value("new")).refusal);
}

TEST_CASE_FIXTURE(Sessions, "sessions: whoever wants the next one waits until there is one") {
  const auto waiting = client.attach(session_receiver({}));
  CHECK_FALSE(answered(waiting));
  send("green", "hello");
  REQUIRE(answered(waiting));
  client.end.connection.grant(waiting, 1);
  CHECK(filter_of(client.answered(waiting).answer)->text() == "green");
  const auto message = client.receive();
  REQUIRE(message);
  CHECK(message->body == "hello");
}

TEST_CASE_FIXTURE(Sessions, "sessions: who waits in vain is refused after his time") {
  const auto waiting = client.attach(session_receiver({}, 5000));
  CHECK_FALSE(answered(waiting));
  rig.advance(4s);
  CHECK_FALSE(answered(waiting));
  rig.advance(1s);
  const auto refused = client.answered(waiting);
  CHECK_FALSE(refused.answer.source);
  CHECK(condition_of(refused.refusal) == "com.microsoft:timeout");
}

TEST_CASE_FIXTURE(Sessions, "sessions: who goes while he waits gets no session") {
  const auto waiting = client.attach(session_receiver({}));
  client.pump();
  client.end.connection.detach(waiting);
  client.pump();
  send("green", "hello");
  CHECK_FALSE(accept(amqp::Value("green")).refusal);
}

TEST_CASE_FIXTURE(Sessions, "sessions: a session is locked by one receiver until it detaches") {
  send("blue", "hello");
  const auto first = accept(amqp::Value("blue"));
  CHECK(condition_of(accept(amqp::Value("blue")).refusal) ==
        "com.microsoft:session-cannot-be-locked");
  client.end.connection.detach(first.link);
  client.pump();
  CHECK_FALSE(accept(amqp::Value("blue")).refusal);
}

TEST_CASE_FIXTURE(Sessions, "sessions: the wrong kind of receiver is not allowed") {
  CHECK(condition_of(client.answered(client.attach(client.receiver("conversations"))).refusal) ==
        "amqp:not-allowed");
  amqp::Attach on_plain = client.receiver("queue1");
  amqp::set_symbol(on_plain.source->filter, kFilter, "blue");
  CHECK(condition_of(client.answered(client.attach(on_plain)).refusal) == "amqp:not-allowed");
  CHECK(condition_of(accept(amqp::Value(std::int32_t{1})).refusal) ==
        "com.microsoft:argument-error");
}

TEST_CASE_FIXTURE(Sessions, "sessions: a message without a session is rejected") {
  client.send(sender, FrontClient::message("lost"));
  CHECK(client.rejection() == "amqp:not-allowed");
}

TEST_CASE_FIXTURE(Sessions, "sessions: when the session's lock runs out, the link is detached") {
  send("blue", "hello");
  const auto attached = accept(amqp::Value("blue"));
  client.pump();
  rig.advance(61s);
  const auto detached = client.take<amqp::LinkDetached>();
  REQUIRE(detached);
  CHECK(detached->link == attached.link);
  CHECK(condition_of(detached->error) == "com.microsoft:session-lock-lost");
}

TEST_CASE_FIXTURE(Sessions, "receiver: filters that nobody applies are not confirmed") {
  amqp::Attach attach = client.receiver("queue1");
  amqp::set_symbol(attach.source->filter, "apache.org:selector-filter:string", "a = 1");
  const auto attached = client.answered(client.attach(attach));
  REQUIRE_FALSE(attached.refusal);
  REQUIRE(attached.answer.source);
  CHECK(attached.answer.source->filter.empty());
}

TEST_CASE("receiver: no more is deleted than may be sent at once") {
  FrontRig rig;
  FrontClient client(rig);
  const auto sender = client.attach(client.sender("queue1"));
  auto attach = client.receiver("queue1");
  attach.sender_settle_mode = amqp::SenderSettleMode::Settled;
  const auto receiver = client.attach(std::move(attach));
  client.pump();
  for (int i = 0; i < 40; ++i)
    client.send(sender, FrontClient::message(std::string(100 * 1000, 'x')));
  client.pump();
  REQUIRE(rig.counts().active == 40);

  client.stream->stuck = true;
  client.end.connection.grant(receiver, 50);
  client.end.connection.drain(receiver);
  client.pump();
  CHECK(rig.counts().active == 24);
  client.stream->unstick();
  int received = 0;
  while (client.receive()) ++received;
  CHECK(received == 40);
  CHECK(rig.counts().active == 0);
  CHECK(client.end.connection.granted(receiver) == 0);
}

}  // namespace
}  // namespace jobmill::front
