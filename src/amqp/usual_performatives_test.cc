// SPDX-License-Identifier: Apache-2.0
#include "amqp/usual_performatives.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <variant>

#include "amqp_values.h"

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
std::optional<Body> usual(const std::string& bytes) {
  Body body;
  if (!decode_usual(bytes, body)) return std::nullopt;
  return body;
}

std::string_view payload(const Transfer& transfer) { return transfer.payload; }
std::string_view payload(const Disposition&) { return {}; }

// Where the short way has an answer, the long one has the same.
template <class Body>
void check_same(const std::string& bytes) {
  const auto quick = usual<Body>(bytes);
  if (!quick) return;
  const auto thorough = decode_performative(bytes);
  RC_ASSERT(bool(thorough));
  RC_ASSERT(std::holds_alternative<Body>(*thorough));
  RC_ASSERT(bytes_of(*quick) == bytes_of(std::get<Body>(*thorough)));
  RC_ASSERT(payload(*quick) == payload(std::get<Body>(*thorough)));
}

template <class T>
Value some(T number) {
  return *rc::gen::arbitrary<bool>() ? Value(number) : Value();
}

// Fields of about the right types, some of them wrong; trailing ones may be missing.
std::string any_fields(std::uint64_t descriptor) {
  List fields;
  const bool transfer = descriptor == 0x14;
  const int count = *rc::gen::inRange(0, 13);
  for (int i = 0; i < count; ++i) {
    switch (*rc::gen::inRange(0, 9)) {
      case 0:
        fields.emplace_back(*rc::gen::arbitrary<bool>());
        break;
      case 1:
        fields.emplace_back(Described{std::uint64_t{0x24}, List{}});
        break;
      case 2:
        fields.push_back(any_value(1));
        break;
      case 3:
        fields.emplace_back(Binary{any_bytes()});
        break;
      case 4:
        fields.emplace_back();
        break;
      default:
        if (transfer ? i == 2 : i == 0)
          fields.push_back(transfer ? Value(Binary{"tag"}) : Value(true));
        else
          fields.push_back(some(*rc::gen::arbitrary<std::uint32_t>()));
    }
  }
  return encoded(Described{descriptor, std::move(fields)});
}

}  // namespace

TEST_CASE("usual performatives: the short way says what the long one says, or nothing") {
  CHECK(rc::check("transfers", [] {
    const std::string bytes = any_fields(0x14);
    check_same<Transfer>(bytes + any_bytes());
    check_same<Transfer>(damaged(bytes));
  }));
  CHECK(rc::check("dispositions", [] {
    const std::string bytes = any_fields(0x15);
    check_same<Disposition>(bytes);
    check_same<Disposition>(bytes + any_bytes());
    check_same<Disposition>(damaged(bytes));
  }));
}

TEST_CASE("usual performatives: damage to what clients send is never misread") {
  const std::string transfer = bytes_of(Transfer{.handle = 1,
                                                 .delivery_id = 70000,
                                                 .delivery_tag = "0123456789abcdef",
                                                 .message_format = 0,
                                                 .settled = false,
                                                 .state = Accepted{}});
  const std::string disposition = bytes_of(Disposition{
      .role = Role::Receiver, .first = 7, .last = 300, .settled = true, .state = Accepted{}});
  CHECK(rc::check("transfer", [&] { check_same<Transfer>(damaged(transfer)); }));
  CHECK(rc::check("disposition", [&] { check_same<Disposition>(damaged(disposition)); }));
}

TEST_CASE("usual performatives: what clients send for each message goes the short way") {
  const Transfer sent{.handle = 0,
                      .delivery_id = 300,
                      .delivery_tag = "0123456789abcdef",
                      .message_format = 0,
                      .settled = false};
  const std::string bytes = bytes_of(sent) + "payload";
  const auto transfer = usual<Transfer>(bytes);
  REQUIRE(transfer);
  CHECK(transfer->handle == 0);
  CHECK(transfer->delivery_id == 300);
  CHECK(transfer->delivery_tag == "0123456789abcdef");
  CHECK(transfer->message_format == 0);
  CHECK(transfer->settled == false);
  CHECK_FALSE(transfer->more);
  CHECK(transfer->payload == "payload");

  for (const auto& state :
       {std::optional<DeliveryState>(Accepted{}), std::optional<DeliveryState>()}) {
    const Disposition answered{
        .role = Role::Receiver, .first = 3, .last = 5, .settled = true, .state = state};
    const auto disposition = usual<Disposition>(bytes_of(answered));
    REQUIRE(disposition);
    CHECK(disposition->role == Role::Receiver);
    CHECK(disposition->first == 3);
    CHECK(disposition->last == 5);
    CHECK(disposition->settled);
    CHECK(disposition->state.has_value() == state.has_value());
  }
}

TEST_CASE("usual performatives: a mandatory field that is missing is left to the long way") {
  CHECK_FALSE(usual<Transfer>(encoded(Described{std::uint64_t{0x14}, List{Value()}})));
  CHECK_FALSE(usual<Disposition>(encoded(Described{std::uint64_t{0x15}, List{Value(true)}})));
  CHECK_FALSE(
      usual<Disposition>(encoded(Described{std::uint64_t{0x15}, List{Value(), std::uint32_t{1}}})));
}

TEST_CASE("usual performatives: outcomes other than accepted are left to the long way") {
  CHECK_FALSE(usual<Disposition>(bytes_of(
      Disposition{.role = Role::Receiver, .first = 3, .settled = true, .state = Released{}})));
}
