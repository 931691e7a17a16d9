// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "amqp/message.h"
#include "base/clock.h"
#include "broker/broker.h"
#include "memory_message_store.h"

namespace jobmill::testing {

// A message as a sender would encode it. Names of fields are those of clients.
struct Letter {
  std::string body{};
  std::string id{};
  std::optional<std::string> session{};
  std::optional<Duration> ttl{};
  std::optional<TimePoint> scheduled_for{};
  std::optional<std::string> partition_key{};
  amqp::Map properties{};
};

inline std::int64_t to_ms(TimePoint at) {
  return std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

inline std::string encode(const Letter& letter) {
  std::string out;
  if (letter.ttl) {
    amqp::Header header;
    header.ttl = static_cast<std::uint32_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(*letter.ttl).count());
    amqp::encode_header(out, header);
  }
  amqp::Map annotations;
  if (letter.scheduled_for)
    amqp::set_symbol(annotations, "x-opt-scheduled-enqueue-time",
                     amqp::Timestamp{to_ms(*letter.scheduled_for)});
  if (letter.partition_key)
    amqp::set_symbol(annotations, "x-opt-partition-key", *letter.partition_key);
  if (!annotations.empty()) amqp::encode_map_section(out, amqp::kMessageAnnotations, annotations);
  amqp::Properties properties;
  if (!letter.id.empty()) properties.message_id = letter.id;
  properties.group_id = letter.session;
  if (!letter.id.empty() || letter.session) amqp::encode_properties(out, properties);
  if (!letter.properties.empty())
    amqp::encode_map_section(out, amqp::kApplicationProperties, letter.properties);
  amqp::encode_data_section(out, letter.body);
  return out;
}

inline std::string body_of(const broker::Message& message) {
  const auto sections = amqp::split(*message.bytes);
  REQUIRE(sections);
  const auto data = amqp::data_sections(sections->body);
  REQUIRE(data);
  return std::string(data->at(0));
}

inline std::string property_of(const broker::Message& message, std::string_view name) {
  const auto sections = amqp::split(*message.bytes);
  REQUIRE(sections);
  const auto map = amqp::decode_map_section(sections->application_properties);
  REQUIRE(map);
  const amqp::Value* value = amqp::find(*map, name);
  return value == nullptr ? "" : std::string(value->text().value_or("not a text"));
}

// Takes what comes and keeps it.
class Hands final : public broker::Receiver {
 public:
  void deliver(broker::Delivery delivery) override { deliveries.push_back(std::move(delivery)); }
  void drained() override { ++drains; }
  void ended(const Fault& why) override { end = why.code; }

  std::vector<std::string> bodies() const {
    std::vector<std::string> bodies;
    for (const auto& delivery : deliveries) bodies.push_back(body_of(*delivery.message));
    return bodies;
  }
  const broker::Delivery& last() const {
    REQUIRE_FALSE(deliveries.empty());
    return deliveries.back();
  }

  std::vector<broker::Delivery> deliveries;
  int drains = 0;
  std::optional<Code> end;
};

// A broker over a store in memory, with a clock of its own. The calls wait for the answer; `at`
// names an entity, or a sub-queue of one, as clients write it.
class BrokerBench {
 public:
  using Bodies = std::vector<std::string>;
  using Action = broker::Settlement::Action;

  BrokerBench() { open(); }

  void open() {
    auto opened =
        broker::Broker::open(store, {.root_key = Secret("key"), .limits = limits}, clock.now());
    REQUIRE(opened);
    broker = *std::move(opened);
  }
  // The process dies: what was not written is lost, and so is every lock.
  void crash() {
    broker.reset();
    store.crash();
    open();
  }

  // Until nobody waits for the store and nothing is due.
  void rest() {
    for (int i = 0; i < 1000; ++i) {
      store.run();
      const auto due = broker->tick(clock.now());
      if (store.waiting() == 0 && (!due || *due > clock.now())) return;
    }
    FAIL("the broker never comes to rest");
  }
  void pass(Duration time) {
    clock.advance(time);
    rest();
  }

  static broker::Address at(std::string_view text) {
    const auto address = broker::parse_address(text);
    REQUIRE(address);
    return *address;
  }

  Status create(broker::QueueDescription queue, std::string name_space = "") {
    return status([&](auto done) {
      broker->create(std::move(name_space), std::move(queue), clock.now(), done);
    });
  }
  Status update(broker::QueueDescription queue) {
    return status([&](auto done) { broker->update(std::move(queue), clock.now(), done); });
  }
  Status remove(std::string_view path) {
    return status([&](auto done) { broker->remove(path, done); });
  }
  broker::Counts counts(std::string_view path) {
    const auto info = broker->queue(path);
    REQUIRE(info);
    return info->counts;
  }

  Status send_all(std::string_view to, const std::vector<Letter>& letters) {
    return status([&](auto done) { post(to, letters, done); });
  }
  Status send(std::string_view to, Letter letter) { return send_all(to, {letter}); }
  // The store has not been asked yet when this returns.
  void post(std::string_view to, const std::vector<Letter>& letters, broker::Broker::Done done) {
    std::vector<std::string> texts;
    for (const Letter& letter : letters) texts.push_back(encode(letter));
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    broker->send(at(to), views, clock.now(), std::move(done));
  }
  Result<std::vector<broker::SequenceNumber>> schedule(std::string_view to, Letter letter) {
    const std::string text = encode(letter);
    const std::string_view view = text;
    return answer<std::vector<broker::SequenceNumber>>(
        [&](auto done) { broker->schedule(at(to), std::span(&view, 1), clock.now(), done); });
  }
  Status cancel(std::string_view to, std::vector<broker::SequenceNumber> numbers) {
    return status([&](auto done) { broker->cancel(at(to), numbers, clock.now(), done); });
  }

  broker::ReceiverId open_receiver(std::string_view from, Hands& hands,
                                   broker::ReceiveMode mode = broker::ReceiveMode::PeekLock) {
    const auto id = broker->open_receiver({.address = at(from), .mode = mode}, hands, clock.now());
    REQUIRE(id);
    return *id;
  }
  void grant(broker::ReceiverId receiver, std::uint32_t credit, bool drain = false) {
    broker->grant(receiver, credit, drain, clock.now());
    rest();
  }
  // One message, if there is one, with a receiver that goes at once; its lock stays.
  std::optional<broker::Delivery> take(std::string_view from) {
    Hands hands;
    const auto id = open_receiver(from, hands);
    grant(id, 1);
    broker->close(id, clock.now());
    if (hands.deliveries.empty()) return std::nullopt;
    return hands.deliveries.front();
  }
  broker::Delivery must_take(std::string_view from) {
    auto taken = take(from);
    REQUIRE(taken);
    return *taken;
  }
  // Everything that can be received there, completed.
  Bodies take_all(std::string_view from) {
    Bodies bodies;
    while (const auto delivery = take(from)) {
      bodies.push_back(body_of(*delivery->message));
      REQUIRE(settle(delivery->lock, {}));
    }
    return bodies;
  }

  Status settle(broker::LockId lock, broker::Settlement settlement) {
    return status(
        [&](auto done) { broker->settle(lock, std::move(settlement), clock.now(), done); });
  }
  Status settle(broker::LockId lock, Action action) {
    return settle(lock, broker::Settlement{.action = action});
  }

  std::vector<std::shared_ptr<const broker::Message>> peek(
      std::string_view from, broker::SequenceNumber first = 0, std::size_t count = 100,
      std::optional<std::string> session = {}) {
    auto found = answer<std::vector<std::shared_ptr<const broker::Message>>>(
        [&](auto done) { broker->peek(at(from), first, count, std::move(session), done); });
    REQUIRE(found);
    return *std::move(found);
  }
  Bodies peek_bodies(std::string_view from) {
    Bodies bodies;
    for (const auto& message : peek(from)) bodies.push_back(body_of(*message));
    return bodies;
  }
  Result<std::vector<broker::Delivery>> receive_deferred(
      std::string_view from, std::vector<broker::SequenceNumber> numbers,
      std::optional<std::string> session = {},
      broker::ReceiveMode mode = broker::ReceiveMode::PeekLock) {
    return answer<std::vector<broker::Delivery>>([&](auto done) {
      broker->receive({.address = at(from), .mode = mode}, std::move(session), numbers, clock.now(),
                      done);
    });
  }

  // Waits for the answer to a call.
  template <class Call>
  Status status(Call call) {
    const auto got = std::make_shared<std::optional<Status>>();
    call([got](const Status& one) { *got = one; });
    rest();
    REQUIRE(got->has_value());
    return **got;
  }
  template <class T, class Call>
  Result<T> answer(Call call) {
    const auto got = std::make_shared<std::optional<Result<T>>>();
    call([got](Result<T> one) { *got = std::move(one); });
    rest();
    REQUIRE(got->has_value());
    return **got;
  }

  MemoryMessageStore store;
  ManualClock clock;
  broker::Limits limits{};
  std::unique_ptr<broker::Broker> broker;
};

inline Code code_of(const Status& status) {
  REQUIRE_FALSE(status);
  return status.error().code;
}
template <class T>
Code code_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error().code;
}

}  // namespace jobmill::testing
