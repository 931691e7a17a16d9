// SPDX-License-Identifier: Apache-2.0
#include "broker/message.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "amqp/codec.h"
#include "amqp/message.h"
#include "broker_bench.h"

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;
using testing::encode;

constexpr TimePoint kNow{1'750'000'000'123'456us};
constexpr std::int64_t kNowMs = 1'750'000'000'123;

Message must_read(const std::string& bytes) {
  auto message = read_message(bytes, kNow);
  REQUIRE_MESSAGE(message, (message ? "" : message.error().message));
  message->sequence = 7;
  return *std::move(message);
}

amqp::Sections must_split(const std::string& bytes) {
  const auto sections = amqp::split(bytes);
  REQUIRE(sections);
  return *sections;
}

amqp::Map annotations(const std::string& rendered) {
  const auto map = amqp::decode_map_section(must_split(rendered).message_annotations);
  REQUIRE(map);
  return *map;
}

std::vector<std::string> keys(const amqp::Map& map) {
  std::vector<std::string> keys;
  for (const auto& entry : map) {
    CHECK(entry.key.as<amqp::Symbol>() != nullptr);
    keys.push_back(std::string(*entry.key.text()));
  }
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("message: what the broker must know is read from the sections") {
  const Message message = must_read(encode({.body = "b",
                                            .id = "id",
                                            .session = "s",
                                            .ttl = 10s,
                                            .scheduled_for = kNow + 1min,
                                            .partition_key = "p"}));
  CHECK(message.message_id == "id");
  CHECK(message.session_id == "s");
  CHECK(message.partition_key == "p");
  REQUIRE(message.scheduled_for);
  CHECK(testing::to_ms(*message.scheduled_for) == kNowMs + 60'000);
  CHECK(message.expires_at == *message.scheduled_for + 10s);  // it lives from then on
  CHECK(message.enqueued_at == kNow);
  CHECK(message.size == message.bytes->size());
}

TEST_CASE("message: without a message-id it gets one of 32 digits, and nothing else changes") {
  const Message message = must_read(encode({.body = "b", .session = "s", .ttl = 10s}));
  CHECK(message.message_id.size() == 32);
  CHECK(message.message_id.find_first_not_of("0123456789abcdef") == std::string::npos);
  const auto properties = amqp::decode_properties(must_split(*message.bytes).properties);
  REQUIRE(properties);
  CHECK(amqp::id_text(properties->message_id) == message.message_id);
  CHECK(properties->group_id == "s");
  CHECK(testing::body_of(message) == "b");
  CHECK(message.expires_at == kNow + 10s);

  const Message bare = must_read(encode({.body = "b"}));
  CHECK(bare.message_id != message.message_id);
  CHECK(testing::body_of(bare) == "b");
}

TEST_CASE("message: what is not one, and ids that are too long, are refused") {
  CHECK_FALSE(read_message("", kNow));
  CHECK_FALSE(read_message("hello", kNow));
  CHECK_FALSE(read_message(encode({.body = "b", .id = std::string(129, 'x')}), kNow));
  CHECK_FALSE(read_message(encode({.body = "b", .session = std::string(129, 'x')}), kNow));
  CHECK_FALSE(read_message(encode({.body = "b", .partition_key = std::string(129, 'x')}), kNow));
  CHECK(read_message(encode({.body = "b", .id = std::string(128, 'x')}), kNow));
}

TEST_CASE("message: ids are as long as they have characters") {
  std::string letters;
  for (int i = 0; i < 128; ++i) letters += "\u00fc";
  CHECK(read_message(encode({.body = "b", .id = letters, .session = letters}), kNow));
  CHECK_FALSE(read_message(encode({.body = "b", .id = letters + "x"}), kNow));
}

TEST_CASE("message: properties are small, a body need not be") {
  const auto with = [](int count, std::size_t bytes) {
    testing::Letter letter{.body = std::string(200 * 1024, 'x')};
    for (int i = 0; i < count; ++i)
      amqp::set_string(letter.properties, std::to_string(i), std::string(bytes, 'p'));
    return read_message(encode(letter), kNow);
  };
  CHECK(with(0, 0));
  CHECK(with(1, 32 * 1000));
  CHECK_FALSE(with(1, 33 * 1024));
  CHECK(with(6, 10 * 1000));
  CHECK_FALSE(with(7, 10 * 1000));
  CHECK_FALSE(check_properties(encode(
      {.body = "b", .properties = {{amqp::Value("a"), amqp::Value(std::string(70'000, 'p'))}}})));
}

TEST_CASE("message: an end of time counts where the time to live does not tell it") {
  const auto read = [](std::optional<std::uint32_t> ttl, std::int64_t end) {
    std::string out;
    if (ttl) amqp::encode_header(out, {.ttl = ttl});
    amqp::encode_properties(out, {.message_id = amqp::Value("id"), .absolute_expiry_time = end});
    amqp::encode_data_section(out, "b");
    return must_read(out).expires_at;
  };
  constexpr std::int64_t kHundredDays = std::int64_t{100} * 24 * 3600 * 1000;
  constexpr TimePoint kMillisecond{std::chrono::milliseconds(kNowMs)};
  CHECK(read({}, kNowMs + 5'000) == kMillisecond + 5s);
  CHECK(read(0xffffffff, kNowMs + kHundredDays) == kMillisecond + 100 * 24h);
  CHECK(read(1'000, kNowMs + kHundredDays) == kNow + 1s);
}

TEST_CASE("message: a delivery tag is the token with its first three groups turned around") {
  LockToken token{};
  for (std::uint8_t i = 0; i < 16; ++i) token[i] = i;
  const auto tag = delivery_tag(token);
  const std::string text(tag.begin(), tag.end());
  CHECK(text.substr(0, 10) == std::string("\3\2\1\0\5\4\7\6\10\11", 10));
  CHECK(from_delivery_tag(text) == token);
}

TEST_CASE("message: a peek-lock delivery has exactly the annotations that clients expect") {
  const LockToken token{1, 2, 3};
  const Message message = must_read(encode({.body = "b", .id = "id"}));
  const std::string rendered =
      render_whole(message, {.locked_until = kNow + 1min, .lock_token = &token});
  const amqp::Map map = annotations(rendered);
  CHECK(keys(map) == Keys{"x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-locked-until"});
  CHECK(map[0].value == amqp::Value(amqp::Timestamp{kNowMs}));
  CHECK(map[1].value == amqp::Value(std::int64_t{7}));
  CHECK(map[2].value == amqp::Value(amqp::Timestamp{kNowMs + 60'000}));
  const auto delivery = amqp::decode_map_section(must_split(rendered).delivery_annotations);
  REQUIRE(delivery);
  CHECK(keys(*delivery) == Keys{"x-opt-lock-token"});
  CHECK(delivery->at(0).value == amqp::Value(amqp::Uuid{token}));
}

TEST_CASE("message: a deleted one carries no lock") {
  const std::string rendered = render_whole(must_read(encode({.body = "b"})), {});
  CHECK(keys(annotations(rendered)) == Keys{"x-opt-enqueued-time", "x-opt-sequence-number"});
  CHECK(must_split(rendered).delivery_annotations.empty());
}

TEST_CASE("message: annotations that apply are added") {
  Message message = must_read(encode({.body = "b"}));
  message.enqueue_sequence = 3;
  message.dead_letter_source = "orders";
  message.state = MessageState::Deferred;
  const amqp::Map map = annotations(render_whole(message, {}));
  CHECK(*amqp::find(map, "x-opt-enqueue-sequence-number") == amqp::Value(std::int64_t{3}));
  CHECK(*amqp::find(map, "x-opt-deadletter-source") == amqp::Value("orders"));
  CHECK(*amqp::find(map, "x-opt-message-state") == amqp::Value(std::int32_t{1}));
  message.state = MessageState::Ready;
  CHECK(*amqp::find(annotations(render_whole(message, {.peeked = true})), "x-opt-message-state") ==
        amqp::Value(std::int32_t{0}));
}

TEST_CASE("message: a sender's own annotations stay, its statements about our facts do not") {
  std::string bytes;
  amqp::Map own;
  amqp::set_symbol(own, "x-mine", "kept");
  amqp::set_symbol(own, "x-opt-partition-key", "p");
  amqp::set_symbol(own, "x-opt-sequence-number", std::int64_t{99});
  amqp::set_symbol(own, "x-opt-locked-until", amqp::Timestamp{5});
  amqp::Map delivery;
  amqp::set_symbol(delivery, "x-hop", "kept");
  amqp::set_symbol(delivery, "x-opt-lock-token", amqp::Uuid{});
  amqp::encode_map_section(bytes, amqp::kDeliveryAnnotations, delivery);
  amqp::encode_map_section(bytes, amqp::kMessageAnnotations, own);
  amqp::encode_data_section(bytes, "b");
  const std::string rendered = render_whole(must_read(bytes), {});
  CHECK(keys(annotations(rendered)) ==
        Keys{"x-mine", "x-opt-partition-key", "x-opt-enqueued-time", "x-opt-sequence-number"});
  CHECK(*amqp::find(annotations(rendered), "x-opt-sequence-number") ==
        amqp::Value(std::int64_t{7}));
  const auto rest = amqp::decode_map_section(must_split(rendered).delivery_annotations);
  REQUIRE(rest);
  CHECK(keys(*rest) == Keys{"x-hop"});
}

TEST_CASE("message: the header keeps what the sender said and counts deliveries") {
  std::string bytes;
  amqp::encode_header(bytes, {.durable = true, .priority = 9, .ttl = 5000, .first_acquirer = true});
  amqp::encode_data_section(bytes, "b");
  Message message = must_read(bytes);
  message.delivery_count = 4;
  const std::string rendered = render_whole(message, {});
  const auto header = amqp::decode_header(must_split(rendered).header);
  REQUIRE(header);
  CHECK(header->durable);
  CHECK(header->priority == 9);
  CHECK(header->ttl == 5000);
  CHECK_FALSE(header->first_acquirer);
  CHECK(header->delivery_count == 4);
}

TEST_CASE("message: everything from properties on is passed byte for byte") {
  amqp::Map properties;
  amqp::set_string(properties, "n", std::int32_t{1});
  std::string bare;
  amqp::encode_properties(bare, {.message_id = std::uint64_t{5}, .subject = "s"});
  amqp::encode_map_section(bare, amqp::kApplicationProperties, properties);
  amqp::encode_data_section(bare, "one");
  amqp::encode_data_section(bare, std::string(1000, '\0'));
  std::string bytes;
  amqp::encode_header(bytes, {});
  bytes += bare;
  const Message message = must_read(bytes);
  CHECK(message.message_id == "5");
  std::string head;
  CHECK(render(head, message, {}) == bare);
  CHECK(render_whole(message, {}) == head + bare);
}

TEST_CASE("message: properties are set without touching anything else") {
  amqp::Map sent;
  amqp::set_string(sent, "kept", std::int64_t{1});
  amqp::set_string(sent, "changed", "old");
  const std::string bytes = encode({.body = "b", .id = "id", .ttl = 1s, .properties = sent});
  amqp::Map changes;
  amqp::set_symbol(changes, "changed", "new");
  amqp::set_string(changes, "added", true);
  const auto changed = with_properties(bytes, changes);
  const auto map = amqp::decode_map_section(must_split(*changed).application_properties);
  REQUIRE(map);
  CHECK(map->size() == 3);
  CHECK(*amqp::find(*map, "kept") == amqp::Value(std::int64_t{1}));
  CHECK(*amqp::find(*map, "changed") == amqp::Value("new"));
  CHECK(*amqp::find(*map, "added") == amqp::Value(true));
  CHECK(must_split(*changed).body == must_split(bytes).body);
  CHECK(must_split(*changed).header == must_split(bytes).header);
  CHECK(must_split(*changed).properties == must_split(bytes).properties);

  const auto first = with_properties(encode({.body = "b"}), changes);
  CHECK(amqp::decode_map_section(must_split(*first).application_properties)->size() == 2);
}

}  // namespace jobmill::broker
