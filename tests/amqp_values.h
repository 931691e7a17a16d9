// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rapidcheck.h>

#include <cstdint>
#include <iterator>
#include <limits>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "amqp/codec.h"
#include "amqp/value.h"

// Values of every AMQP type for property tests; to be drawn inside rc::check. A property that
// fails prints how to run it again (RC_PARAMS).
namespace jobmill::amqp {

inline std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<std::uint8_t>(c) >> 4];
    text += kDigits[static_cast<std::uint8_t>(c) & 0x0F];
  }
  return text;
}

// The bytes of hexadecimal digits; blanks are for people.
inline std::string unhex(std::string_view digits) {
  std::string bytes;
  int high = -1;
  for (const char c : digits) {
    if (c == ' ' || c == '\n') continue;
    const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
    if (high >= 0) bytes += static_cast<char>(high * 16 + digit);
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

inline std::string encoded(const Value& value) {
  std::string out;
  Writer(out).value(value);
  return out;
}

inline void showValue(const Value& value, std::ostream& out) { out << hex(encoded(value)); }

// Lengths on both sides of what an 8-bit size holds.
inline std::size_t any_length() {
  return *rc::gen::weightedOneOf<std::size_t>(
      {{8, rc::gen::inRange<std::size_t>(0, 12)}, {1, rc::gen::inRange<std::size_t>(250, 260)}});
}

inline std::string any_bytes() {
  return *rc::gen::container<std::string>(any_length(), rc::gen::arbitrary<char>());
}

inline std::string any_ascii() {
  return *rc::gen::container<std::string>(any_length(), rc::gen::inRange<char>(0, 127));
}

inline std::string any_text() {
  constexpr std::string_view kCharacters[] = {"a",      "~",          std::string_view("\0", 1),
                                              "\u00e4", "\u20ac",     "\ud7ff",
                                              "\ue000", "\U00010000", "\U0010ffff"};
  std::string text;
  for (std::size_t left = any_length(); left > 0; --left)
    text += kCharacters[*rc::gen::inRange<std::size_t>(0, std::size(kCharacters))];
  return text;
}

template <class T>
Value any_number() {
  return Value(*rc::gen::oneOf(
      rc::gen::arbitrary<T>(), rc::gen::element<T>(0, 1, 127),
      rc::gen::element<T>(std::numeric_limits<T>::min(), std::numeric_limits<T>::max())));
}

inline Uuid any_uuid() {
  Uuid uuid;
  for (std::uint8_t& byte : uuid.bytes) byte = *rc::gen::arbitrary<std::uint8_t>();
  return uuid;
}

inline Decimal any_decimal(std::size_t size) {
  return {*rc::gen::container<std::string>(size, rc::gen::arbitrary<char>())};
}

inline constexpr int kScalarKinds = 22;
inline constexpr int kKinds = kScalarKinds + 4;

Value any_value(int depth);
Value any_of_kind(int kind, int depth);

inline Value any_list(int depth) {
  List list;
  for (int left = *rc::gen::inRange(0, 6); left > 0; --left) list.push_back(any_value(depth - 1));
  return list;
}

inline Map any_map(int depth) {
  Map map;
  for (int left = *rc::gen::inRange(0, 6); left > 0; --left)
    map.push_back({any_value(0), any_value(depth - 1)});
  return map;
}

inline Value any_descriptor() {
  if (*rc::gen::arbitrary<bool>()) return any_number<std::uint64_t>();
  const auto size = *rc::gen::inRange<std::size_t>(0, 65);  // of array items, they are short
  return Symbol{*rc::gen::container<std::string>(size, rc::gen::inRange<char>(0, 127))};
}

inline Value any_array(int depth) {
  const int kind = *rc::gen::inRange(0, kKinds - 1);
  Array array;
  for (int left = *rc::gen::inRange(1, 6); left > 0; --left)
    array.items.push_back(any_of_kind(kind, depth - 1));
  if (*rc::gen::inRange(0, 4) > 0) return array;
  if (*rc::gen::arbitrary<bool>()) return Array{.items = {}, .constructor = 0xa3};
  const Value descriptor = any_descriptor();
  for (Value& item : array.items) item = Described{descriptor, std::move(item)};
  return array;
}

inline Value any_of_kind(int kind, int depth) {
  switch (kind) {
    case 0:
      return {};
    case 1:
      return *rc::gen::arbitrary<bool>();
    case 2:
      return any_number<std::uint8_t>();
    case 3:
      return any_number<std::uint16_t>();
    case 4:
      return any_number<std::uint32_t>();
    case 5:
      return any_number<std::uint64_t>();
    case 6:
      return any_number<std::int8_t>();
    case 7:
      return any_number<std::int16_t>();
    case 8:
      return any_number<std::int32_t>();
    case 9:
      return any_number<std::int64_t>();
    case 10:
      return *rc::gen::arbitrary<float>();
    case 11:
      return *rc::gen::arbitrary<double>();
    case 12:
      return any_decimal(4);
    case 13:
      return any_decimal(8);
    case 14:
      return any_decimal(16);
    case 15:
      return Char{static_cast<char32_t>(*rc::gen::arbitrary<std::uint32_t>())};
    case 16:
      return Timestamp{*rc::gen::arbitrary<std::int64_t>()};
    case 17:
      return any_uuid();
    case 18:
      return Binary{any_bytes()};
    case 19:
      return any_text();
    case 20:
      return Symbol{any_ascii()};
    case 21:
      return List{};
    case 22:
      return any_list(depth);
    case 23:
      return any_map(depth);
    case 24:
      return any_array(depth);
    default:
      return Described{any_descriptor(), any_value(depth - 1)};
  }
}

inline Value any_value(int depth) {
  return any_of_kind(*rc::gen::inRange(0, depth > 0 ? kKinds : kScalarKinds), depth);
}

// Damage as a broken or malicious peer does it: bytes replaced, inserted, removed, cut off.
inline std::string damaged(std::string bytes) {
  for (int left = *rc::gen::inRange(1, 5); left > 0 && !bytes.empty(); --left) {
    const std::size_t at = *rc::gen::inRange<std::size_t>(0, bytes.size());
    const char byte = *rc::gen::oneOf(rc::gen::arbitrary<char>(),
                                      rc::gen::element('\xff', '\0', '\xf0', '\xd0', '\x45'));
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        bytes[at] = byte;
        break;
      case 1:
        bytes.insert(at, 1, byte);
        break;
      case 2:
        bytes.erase(at, 1);
        break;
      default:
        bytes.resize(at);
    }
  }
  return bytes;
}

}  // namespace jobmill::amqp
