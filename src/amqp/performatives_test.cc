// SPDX-License-Identifier: Apache-2.0
#include "amqp/performatives.h"

#include <doctest/doctest.h>

#include <initializer_list>

#include "amqp/codec.h"
#include "amqp_values.h"
#include "base/id.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

template <class Body>
std::string bytes_of(const Body& body) {
  std::string out;
  encode(out, body);
  return out;
}

template <class Body>
Body reread(const Body& body) {
  const std::string bytes = bytes_of(body);
  auto decoded = decode_performative(bytes);
  REQUIRE(decoded);
  REQUIRE(std::holds_alternative<Body>(*decoded));
  return std::get<Body>(*decoded);
}

// A frame body as a foreign client may write it: only the fields given.
std::string body_of(std::uint64_t descriptor, List fields) {
  return encoded(Described{descriptor, std::move(fields)});
}

std::size_t field_count(const std::string& bytes) {
  Reader in(bytes);
  REQUIRE(in.descriptor());
  const auto count = in.list();
  REQUIRE(count);
  return *count;
}

template <class Body>
Result<Body> decode_as(const std::string& bytes) {
  TRY(auto performative, decode_performative(bytes));
  Body* body = std::get_if<Body>(&performative);
  if (!body) return fail(Code::Internal, "another performative");
  return std::move(*body);
}

const Value kNone;
const Error kError{
    .condition = "amqp:not-found", .description = "gone", .info = {{Symbol{"a"}, "b"}}};

// --- performatives of every content, for properties --------------------------------------------

template <class T>
std::optional<T> maybe() {
  if (*rc::gen::arbitrary<bool>()) return *rc::gen::arbitrary<T>();
  return std::nullopt;
}
std::optional<std::string> maybe_text() {
  if (*rc::gen::arbitrary<bool>()) return any_text();
  return std::nullopt;
}
template <class T>
T any() {
  return *rc::gen::arbitrary<T>();
}

Error any_error() {
  Error error{.condition = any_ascii(), .description = any_text(), .info = any_map(1)};
  error.info.push_back({"key", "so that no tracking id is added"});
  return error;
}
std::optional<Error> maybe_error() {
  if (any<bool>()) return any_error();
  return std::nullopt;
}

DeliveryState any_state() {
  switch (*rc::gen::inRange(0, 7)) {
    case 0:
      return Accepted{};
    case 1:
      return Rejected{maybe_error()};
    case 2:
      return Released{};
    case 3:
      return Modified{any<bool>(), any<bool>(), any_map(1)};
    case 4:
      return Received{any<std::uint32_t>(), any<std::uint64_t>()};
    case 5:
      return Declared{any_bytes()};
    default:
      return TransactionalState{any_bytes(), any_value(1)};
  }
}
std::optional<DeliveryState> maybe_state() {
  if (any<bool>()) return any_state();
  return std::nullopt;
}

Source any_source() {
  return {.address = maybe_text(),
          .durable = any<std::uint32_t>(),
          .expiry_policy = any_value(0),
          .timeout = any<std::uint32_t>(),
          .dynamic = any<bool>(),
          .dynamic_node_properties = any_value(1),
          .distribution_mode = any_value(0),
          .filter = any_map(2),
          .default_outcome = any_value(1),
          .outcomes = any_value(1),
          .capabilities = any_value(1)};
}

Attach any_attach() {
  Attach attach{
      .name = any_text(),
      .handle = any<std::uint32_t>(),
      .role = any<bool>() ? Role::Receiver : Role::Sender,
      .sender_settle_mode = *rc::gen::element(SenderSettleMode::Unsettled,
                                              SenderSettleMode::Settled, SenderSettleMode::Mixed),
      .receiver_settle_mode =
          *rc::gen::element(ReceiverSettleMode::First, ReceiverSettleMode::Second),
      .unsettled = any_value(1),
      .incomplete_unsettled = any<bool>(),
      .initial_delivery_count = maybe<std::uint32_t>(),
      .max_message_size = maybe<std::uint64_t>(),
      .offered_capabilities = any_value(1),
      .desired_capabilities = any_value(1),
      .properties = any_map(1)};
  if (any<bool>()) attach.source = any_source();
  if (any<bool>())
    attach.target = Target{.address = maybe_text(), .capabilities = any_value(1)};
  else if (any<bool>())
    attach.target = Coordinator{any_value(1)};
  return attach;
}

std::string any_performative() {
  switch (*rc::gen::inRange(0, 9)) {
    case 0:
      return bytes_of(Open{.container_id = any_text(),
                           .hostname = maybe_text(),
                           .max_frame_size = any<std::uint32_t>(),
                           .channel_max = any<std::uint16_t>(),
                           .idle_time_out = maybe<std::uint32_t>(),
                           .outgoing_locales = any_value(1),
                           .incoming_locales = any_value(1),
                           .offered_capabilities = any_value(1),
                           .desired_capabilities = any_value(1),
                           .properties = any_map(2)});
    case 1:
      return bytes_of(Begin{.remote_channel = maybe<std::uint16_t>(),
                            .next_outgoing_id = any<std::uint32_t>(),
                            .incoming_window = any<std::uint32_t>(),
                            .outgoing_window = any<std::uint32_t>(),
                            .handle_max = any<std::uint32_t>(),
                            .offered_capabilities = any_value(1),
                            .properties = any_map(1)});
    case 2:
      return bytes_of(any_attach());
    case 3:
      return bytes_of(Flow{.next_incoming_id = maybe<std::uint32_t>(),
                           .incoming_window = any<std::uint32_t>(),
                           .next_outgoing_id = any<std::uint32_t>(),
                           .outgoing_window = any<std::uint32_t>(),
                           .handle = maybe<std::uint32_t>(),
                           .delivery_count = maybe<std::uint32_t>(),
                           .link_credit = maybe<std::uint32_t>(),
                           .available = maybe<std::uint32_t>(),
                           .drain = any<bool>(),
                           .echo = any<bool>(),
                           .properties = any_map(1)});
    case 4: {
      const std::string tag = any_bytes();
      Transfer transfer{.handle = any<std::uint32_t>(),
                        .delivery_id = maybe<std::uint32_t>(),
                        .message_format = maybe<std::uint32_t>(),
                        .settled = maybe<bool>(),
                        .more = any<bool>(),
                        .state = maybe_state(),
                        .resume = any<bool>(),
                        .aborted = any<bool>(),
                        .batchable = any<bool>()};
      if (any<bool>()) transfer.delivery_tag = tag;
      if (any<bool>()) transfer.receiver_settle_mode = ReceiverSettleMode::Second;
      return bytes_of(transfer);
    }
    case 5:
      return bytes_of(Disposition{.role = any<bool>() ? Role::Receiver : Role::Sender,
                                  .first = any<std::uint32_t>(),
                                  .last = maybe<std::uint32_t>(),
                                  .settled = any<bool>(),
                                  .state = maybe_state(),
                                  .batchable = any<bool>()});
    case 6:
      return bytes_of(
          Detach{.handle = any<std::uint32_t>(), .closed = any<bool>(), .error = maybe_error()});
    case 7:
      return bytes_of(End{maybe_error()});
    default:
      return bytes_of(Close{maybe_error()});
  }
}

std::string encoded_again(const Performative& performative) {
  return std::visit([](const auto& body) { return bytes_of(body); }, performative);
}

}  // namespace

TEST_CASE("performatives: what was written is read again, whatever it is") {
  CHECK(rc::check("encode(decode(bytes)) == bytes", [] {
    const std::string bytes = any_performative();
    const auto performative = decode_performative(bytes);
    RC_ASSERT(bool(performative));
    RC_ASSERT(encoded_again(*performative) == bytes);
  }));
}

TEST_CASE("performatives: damaged bodies are refused or read as something, never more than that") {
  CHECK(rc::check("damage", [] {
    const std::string bytes = damaged(any_performative());
    const auto performative = decode_performative(bytes);
    if (performative)
      RC_ASSERT(bool(decode_performative(encoded_again(*performative))));
    else
      RC_ASSERT(performative.error().code == Code::InvalidArgument);
  }));
  CHECK(rc::check("every prefix is an error", [] {
    const std::string bytes = any_performative();
    const std::size_t size = *rc::gen::inRange<std::size_t>(0, bytes.size());
    RC_ASSERT_FALSE(bool(decode_performative(std::string_view(bytes).substr(0, size))));
  }));
}

TEST_CASE("performatives: all fields are written, absent ones as null") {
  CHECK(field_count(bytes_of(Open{})) == 10);
  CHECK(field_count(bytes_of(Begin{})) == 8);
  CHECK(field_count(bytes_of(Attach{})) == 14);
  CHECK(field_count(bytes_of(Flow{})) == 11);
  CHECK(field_count(bytes_of(Transfer{})) == 11);
  CHECK(field_count(bytes_of(Disposition{})) == 6);
  CHECK(field_count(bytes_of(Detach{})) == 3);
  CHECK(field_count(bytes_of(End{})) == 1);
  CHECK(field_count(bytes_of(Close{})) == 1);
  CHECK(hex(bytes_of(Close{})) == "005318c0020140");
  CHECK(hex(bytes_of(Detach{.handle = 1, .closed = true})) ==
        "005316c005035201"
        "4140");
  CHECK(hex(bytes_of(Begin{.remote_channel = std::uint16_t{1}})) ==
        "005311c00f08600001434343"
        "70ffffffff"
        "404040");
}

TEST_CASE("performatives: transfers and dispositions byte by byte") {
  CHECK(hex(bytes_of(Transfer{.handle = 1,
                              .delivery_id = 2u,
                              .delivery_tag = "tag",
                              .message_format = 0u,
                              .settled = false})) ==
        "005314c0120b"
        "5201"
        "5202"
        "a003746167"
        "43"
        "42"
        "42"
        "40"
        "40"
        "42"
        "42"
        "42");
  CHECK(
      hex(bytes_of(Disposition{
          .role = Role::Receiver, .first = 1, .last = 3u, .settled = true, .state = Accepted{}})) ==
      "005315c00c06"
      "41"
      "5201"
      "5203"
      "41"
      "00532445"
      "42");
}

TEST_CASE("performatives: a transfer is followed by its payload") {
  std::string frame = bytes_of(Transfer{.handle = 7, .delivery_tag = "t", .more = true});
  frame += "payload";
  const auto transfer = decode_as<Transfer>(frame);
  REQUIRE(transfer);
  CHECK(transfer->handle == 7);
  CHECK(transfer->delivery_tag == "t");
  CHECK(transfer->more);
  CHECK_FALSE(transfer->delivery_id);
  CHECK_FALSE(transfer->settled);
  CHECK(transfer->payload == "payload");
  CHECK(transfer->payload.data() == frame.data() + frame.size() - 7);

  CHECK_FALSE(decode_performative(bytes_of(Close{}) + "payload"));
}

TEST_CASE("performatives: missing trailing fields are those of the standard's defaults") {
  const auto open = decode_as<Open>(body_of(0x10, {"me"}));
  REQUIRE(open);
  CHECK(open->container_id == "me");
  CHECK(open->max_frame_size == 0xffffffff);
  CHECK(open->channel_max == 65535);
  CHECK_FALSE(open->idle_time_out);

  const auto begin = decode_as<Begin>(body_of(0x11, {kNone, 0u, 10u, 20u}));
  REQUIRE(begin);
  CHECK_FALSE(begin->remote_channel);
  CHECK(begin->incoming_window == 10);
  CHECK(begin->outgoing_window == 20);
  CHECK(begin->handle_max == 0xffffffff);

  const auto attach = decode_as<Attach>(body_of(0x12, {"link", 1u, true}));
  REQUIRE(attach);
  CHECK(attach->role == Role::Receiver);
  CHECK(attach->sender_settle_mode == SenderSettleMode::Mixed);
  CHECK(attach->receiver_settle_mode == ReceiverSettleMode::First);
  CHECK_FALSE(attach->source);
  CHECK(std::holds_alternative<std::monostate>(attach->target));

  const auto detach = decode_as<Detach>(body_of(0x16, {4u, true}));
  REQUIRE(detach);
  CHECK(detach->closed);
  CHECK_FALSE(detach->error);
  CHECK(decode_as<End>(body_of(0x17, {})));
  CHECK(decode_as<Close>(body_of(0x18, {})));

  const auto disposition = decode_as<Disposition>(body_of(0x15, {true, 9u}));
  REQUIRE(disposition);
  CHECK(disposition->first == 9);
  CHECK_FALSE(disposition->last);
  CHECK_FALSE(disposition->settled);
  CHECK_FALSE(disposition->state);
}

TEST_CASE("performatives: fields of a later revision are passed over") {
  const auto end = decode_as<End>(body_of(0x17, {kNone, "later", List{true}}));
  REQUIRE(end);
  CHECK_FALSE(end->error);
}

TEST_CASE("performatives: mandatory fields are there") {
  const std::pair<std::uint64_t, List> bodies[] = {
      {0x10, {}},
      {0x10, {kNone, "host"}},
      {0x11, {kNone, kNone, 1u, 1u}},
      {0x11, {kNone, 1u, kNone, 1u}},
      {0x11, {kNone, 1u, 1u}},
      {0x12, {kNone, 1u, true}},
      {0x12, {"name", kNone, true}},
      {0x12, {"name", 1u}},
      {0x13, {}},
      {0x13, {kNone, kNone, 1u, 1u}},
      {0x13, {kNone, 1u, kNone, 1u}},
      {0x13, {kNone, 1u, 1u, kNone}},
      {0x14, {}},
      {0x14, {kNone, 1u}},
      {0x15, {kNone, 1u}},
      {0x15, {true}},
      {0x16, {}},
      {0x17, {Described{std::uint64_t{0x1d}, List{}}}},
      {0x15, {true, 1u, kNone, true, Described{std::uint64_t{0x23}, List{1u}}}},
      {0x15, {true, 1u, kNone, true, Described{std::uint64_t{0x33}, List{}}}},
      {0x15, {true, 1u, kNone, true, Described{std::uint64_t{0x34}, List{}}}},
  };
  for (const auto& [descriptor, fields] : bodies) {
    const std::string bytes = body_of(descriptor, fields);
    CAPTURE(hex(bytes));
    const auto performative = decode_performative(bytes);
    REQUIRE_FALSE(performative);
    CHECK(performative.error().code == Code::InvalidArgument);
    CHECK(performative.error().message.find("mandatory field") != std::string::npos);
  }
}

TEST_CASE("performatives: fields of a wrong type or range are refused") {
  for (const std::string& bytes : {
           body_of(0x10, {std::uint32_t{1}}),
           body_of(0x10, {"me", kNone, "large"}),
           body_of(0x10, {"me", kNone, kNone, std::uint32_t{65536}}),
           body_of(0x12, {"name", std::uint64_t{1} << 32, true}),
           body_of(0x12, {"name", 1u, std::uint8_t{1}}),
           body_of(0x12, {"name", 1u, true, std::uint8_t{3}}),
           body_of(0x12, {"name", 1u, true, kNone, std::uint8_t{2}}),
           body_of(0x12, {"name", 1u, true, kNone, kNone, "source"}),
           body_of(0x12, {"name", 1u, true, kNone, kNone,
                          Described{std::uint64_t{0x29}, List{}}}),  // a target as source
           body_of(0x12,
                   {"name", 1u, true, kNone, kNone, kNone, Described{std::uint64_t{0x28}, List{}}}),
           body_of(0x13, {kNone, 1u, 1u, 1u, kNone, kNone, kNone, kNone, kNone, kNone, List{}}),
           body_of(0x15, {true, 1u, kNone, true, Described{std::uint64_t{0x99}, List{}}}),
           body_of(0x19, {}),
           unhex("005317 c0030140 40"),  // a byte more than the fields
           unhex("005317 c0030240 a1"),
           encoded(Described{std::uint64_t{0x10}, Map{}}),
           encoded(List{}),
           std::string(),
       }) {
    CAPTURE(hex(bytes));
    const auto performative = decode_performative(bytes);
    REQUIRE_FALSE(performative);
    CHECK(performative.error().code == Code::InvalidArgument);
  }
}

TEST_CASE("performatives: numbers come in any width, names as symbols too") {
  const auto flow = decode_as<Flow>(
      body_of(0x13, {kNone, std::uint64_t{1}, std::uint8_t{2}, std::uint16_t{3}, std::uint64_t{4},
                     std::uint8_t{5}, std::uint16_t{6}, kNone, true}));
  REQUIRE(flow);
  CHECK(flow->incoming_window == 1);
  CHECK(flow->next_outgoing_id == 2);
  CHECK(flow->outgoing_window == 3);
  CHECK(flow->handle == 4u);
  CHECK(flow->delivery_count == 5u);
  CHECK(flow->link_credit == 6u);
  CHECK_FALSE(flow->available);
  CHECK(flow->drain);
  CHECK_FALSE(flow->echo);

  const auto named =
      decode_as<Open>(encoded(Described{Symbol{"amqp:open:list"}, List{Symbol{"me"}}}));
  REQUIRE(named);
  CHECK(named->container_id == "me");
}

TEST_CASE("performatives: a link keeps its terminus, filters as they came") {
  const Value filter = Described{std::uint64_t{0x137000000C}, "session"};
  Attach attach{.name = "link", .handle = 1, .role = Role::Receiver};
  attach.source = Source{.address = "queue", .filter = {{Symbol{"filter"}, filter}}};
  attach.target = Target{.address = "me"};
  attach.max_message_size = 1u << 20;
  attach.properties = {{Symbol{"a"}, 1}};
  const Attach again = reread(attach);
  REQUIRE(again.source);
  CHECK(again.source->address == "queue");
  REQUIRE(find(again.source->filter, "filter"));
  CHECK(*find(again.source->filter, "filter") == filter);
  CHECK(std::get<Target>(again.target).address == "me");
  CHECK(again.max_message_size == 1u << 20);
  CHECK(again.properties == attach.properties);

  attach.target = Coordinator{Symbol{"amqp:local-transactions"}};
  CHECK(std::get<Coordinator>(reread(attach).target).capabilities ==
        Value(Symbol{"amqp:local-transactions"}));
}

TEST_CASE("performatives: states of deliveries") {
  const auto reread_state = [](DeliveryState state) {
    return *reread(Disposition{.state = std::move(state)}).state;
  };
  CHECK(std::holds_alternative<Accepted>(reread_state(Accepted{})));
  CHECK(std::holds_alternative<Released>(reread_state(Released{})));
  CHECK_FALSE(std::get<Rejected>(reread_state(Rejected{})).error);
  CHECK(std::get<Rejected>(reread_state(Rejected{kError})).error->info == kError.info);
  const auto modified = std::get<Modified>(reread_state(Modified{true, true, {{"a", 1}}}));
  CHECK(modified.delivery_failed);
  CHECK(modified.undeliverable_here);
  CHECK(modified.annotations == Map{{"a", 1}});
  CHECK(std::get<Received>(reread_state(Received{1, 2})).section_offset == 2);
  CHECK(std::get<Declared>(reread_state(Declared{"txn"})).txn_id == "txn");
  const Value accepted = Described{std::uint64_t{0x24}, List{}};
  const auto transactional =
      std::get<TransactionalState>(reread_state(TransactionalState{"txn", accepted}));
  CHECK(transactional.outcome == accepted);
  // Accepted as a list8 without items, as some clients write it.
  const std::string bytes = unhex("005315 c00b05 41 43 40 41 005324c00100");
  const auto disposition = decode_as<Disposition>(bytes);
  REQUIRE(disposition);
  CHECK(std::holds_alternative<Accepted>(*disposition->state));
}

TEST_CASE("performatives: errors have three elements and something in the map") {
  const Error kShort{.condition = "amqp:not-found"};
  const auto check_error = [](const Value& error) {
    REQUIRE(error.described());
    CHECK(error.described()->descriptor == Value(std::uint64_t{0x1d}));
    const List& elements = *error.undescribed().as<List>();
    REQUIRE(elements.size() == 3);
    CHECK(elements[0] == Value(Symbol{"amqp:not-found"}));
    CHECK(elements[1] == Value(""));
    const Map& info = *elements[2].as<Map>();
    REQUIRE(info.size() == 1);
    CHECK(info[0].key == Value(Symbol{"com.microsoft:tracking-id"}));
    CHECK(is_uuid(*info[0].value.text()));
  };
  const auto field = [](const std::string& bytes, std::size_t at) {
    Reader in(bytes);
    const auto body = in.value();
    REQUIRE(body);
    return body->undescribed().as<List>()->at(at);
  };
  check_error(field(bytes_of(Detach{.error = kShort}), 2));
  check_error(field(bytes_of(End{kShort}), 0));
  check_error(field(bytes_of(Close{kShort}), 0));
  const Value rejected = field(bytes_of(Disposition{.state = Rejected{kShort}}), 4);
  check_error(rejected.undescribed().as<List>()->at(0));

  CHECK_FALSE(bytes_of(Close{kShort}) == bytes_of(Close{kShort}));  // two errors, two ids
  CHECK(reread(Close{kError}).error->info == kError.info);
}

TEST_CASE("performatives: an error of a peer may be shorter") {
  const auto close = decode_as<Close>(
      body_of(0x18, {Described{std::uint64_t{0x1d}, List{Symbol{"amqp:not-found"}}}}));
  REQUIRE(close);
  REQUIRE(close->error);
  CHECK(close->error->condition == "amqp:not-found");
  CHECK(close->error->description.empty());
  CHECK(close->error->info.empty());
}

TEST_CASE("performatives: SASL mechanisms are an array, also when there is one") {
  CHECK(hex(bytes_of(SaslMechanisms{{"PLAIN"}})) ==
        "005340c00e01"
        "e00b01b3"
        "00000005"
        "504c41494e");
  const auto mechanisms = [](const Value& value) {
    const std::string bytes = body_of(0x40, {value});
    const auto body = decode_sasl(bytes);
    REQUIRE(body);
    return std::get<SaslMechanisms>(*body).mechanisms;
  };
  using Names = std::vector<std::string>;
  CHECK(mechanisms(Array{{Symbol{"PLAIN"}, Symbol{"ANONYMOUS"}}}) == Names{"PLAIN", "ANONYMOUS"});
  CHECK(mechanisms(Symbol{"PLAIN"}) == Names{"PLAIN"});
  CHECK_FALSE(decode_sasl(body_of(0x40, {})));
  CHECK_FALSE(decode_sasl(body_of(0x40, {Array{{std::uint8_t{1}}}})));
}

TEST_CASE("performatives: the frames of SASL") {
  const auto sasl = [](const std::string& bytes) {
    auto body = decode_sasl(bytes);
    REQUIRE(body);
    return *std::move(body);
  };
  const auto init = std::get<SaslInit>(
      sasl(bytes_of(SaslInit{.mechanism = "PLAIN", .initial_response = std::string("\0a\0b", 4)})));
  CHECK(init.mechanism == "PLAIN");
  CHECK(init.initial_response == std::string("\0a\0b", 4));
  CHECK_FALSE(init.hostname);
  CHECK(std::get<SaslInit>(sasl(body_of(0x41, {Symbol{"EXTERNAL"}}))).mechanism == "EXTERNAL");
  CHECK(std::get<SaslChallenge>(sasl(body_of(0x42, {Binary{"c"}}))).challenge == "c");
  CHECK(std::get<SaslResponse>(sasl(bytes_of(SaslResponse{"r"}))).response == "r");
  CHECK(std::get<SaslOutcome>(sasl(bytes_of(SaslOutcome{SaslCode::Auth}))).code == SaslCode::Auth);
  CHECK(hex(bytes_of(SaslOutcome{})) == "005344c00402500040");
  for (const std::string& wrong :
       {body_of(0x41, {}), body_of(0x44, {}), body_of(0x44, {std::uint8_t{5}}),
        body_of(0x10, {"me"}), bytes_of(SaslOutcome{}) + "x", std::string()})
    CHECK_FALSE(decode_sasl(wrong));
}
