// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

#include "amqp/performatives.h"

namespace jobmill::amqp {

// Inside the engine: described lists as peers usually write them, read several times faster than by
// Reader. Whatever is unusual or malformed is a surprise, which Reader is to judge then; what is
// read without one, Reader would have read the same.
//
// The fields of the list, one call for each in their order. What is null or missing leaves the
// field alone. After the first surprise all that is read is null.
class UsualFields {
 public:
  UsualFields(std::string_view body, std::uint8_t descriptor) : in_(body) {
    if (!enter(descriptor)) surprise();
  }

  void uint(std::optional<std::uint32_t>& field) {
    switch (next()) {
      case kNull:
        return;
      case kUint0:
        field = 0;
        return;
      case kSmallUint:
        field = byte();
        return;
      case kUint:
        field = number(4);
        return;
      default:
        surprise();
    }
  }
  void mandatory_uint(std::uint32_t& field) {
    std::optional<std::uint32_t> found;
    uint(found);
    found ? void(field = *found) : surprise();
  }
  void uint(std::uint32_t& field) {
    std::optional<std::uint32_t> found;
    uint(found);
    if (found) field = *found;
  }
  void ubyte(std::uint8_t& field) {
    const std::uint8_t format = next();
    if (format == kUbyte)
      field = byte();
    else if (format != kNull)
      surprise();
  }

  template <class Flag>  // bool or optional<bool>
  void flag(Flag& field) {
    const std::uint8_t format = next();
    if (format == kTrue || format == kFalse)
      field = format == kTrue;
    else if (format != kNull)
      surprise();
  }

  void binary(std::optional<std::string_view>& field) { sized(field, kBinary8, kBinary32); }
  // A string of ASCII.
  void text(std::optional<std::string_view>& field) {
    sized(field, kString8, kString32);
    if (field && !ascii(*field)) surprise();
  }

  void state(std::optional<DeliveryState>& field) {
    const std::uint8_t format = next();
    if (format == kNull) return;
    if (format != kDescribed || byte() != kSmallUlong || byte() != kAccepted) return surprise();
    const std::uint8_t list = byte();
    if (list == kList8) {  // of no items
      if (byte() != 1 || byte() != 0) return surprise();
    } else if (list != kList0) {
      return surprise();
    }
    field.emplace(Accepted{});
  }

  void null() {
    if (next() != kNull) surprise();
  }
  void timestamp(std::optional<std::int64_t>& field) {
    const std::uint8_t format = next();
    if (format == kNull) return;
    if (format != kTimestamp) return surprise();
    const std::uint64_t high = number(4);
    field = static_cast<std::int64_t>(high << 32 | number(4));
  }
  // Over a field of one of the types that properties of messages have.
  void skip() {
    switch (next()) {
      case kNull:
      case kUint0:
        return;
      case kSmallUint:
        return drop(1);
      case kUint:
        return drop(4);
      case kTimestamp:
        return drop(8);
      case kBinary8:
      case kString8:
      case kSymbol8:
        return drop(number(1));
      case kBinary32:
      case kString32:
      case kSymbol32:
        return drop(number(4));
      default:
        surprise();
    }
  }

  // Everything was as usual so far.
  bool good() const { return !surprised_; }
  // And that was all.
  bool done() const { return !surprised_ && left_ == 0 && in_.empty(); }
  // What follows the list.
  std::string_view after() const { return after_; }

 private:
  // Part 1, section 1.6: the constructors that are understood here.
  enum Format : std::uint8_t {
    kDescribed = 0x00,
    kNull = 0x40,
    kTrue = 0x41,
    kFalse = 0x42,
    kUint0 = 0x43,
    kList0 = 0x45,
    kUbyte = 0x50,
    kSmallUint = 0x52,
    kSmallUlong = 0x53,
    kUint = 0x70,
    kTimestamp = 0x83,
    kBinary8 = 0xa0,
    kString8 = 0xa1,
    kSymbol8 = 0xa3,
    kBinary32 = 0xb0,
    kString32 = 0xb1,
    kSymbol32 = 0xb3,
    kList8 = 0xc0,
    kList32 = 0xd0,
  };
  static constexpr std::uint8_t kAccepted = 0x24;

  bool enter(std::uint8_t descriptor) {
    if (byte() != kDescribed || byte() != kSmallUlong || byte() != descriptor) return false;
    const std::uint8_t format = byte();
    if (format != kList8 && format != kList32) return false;
    const std::size_t width = format == kList8 ? 1 : 4;
    const std::uint32_t size = number(width);
    if (size < width || size > in_.size()) return false;
    after_ = in_.substr(size);
    in_ = in_.substr(0, size);
    left_ = number(width);
    return left_ <= in_.size();
  }

  std::uint8_t next() {
    if (left_ == 0) return kNull;
    --left_;
    return byte();
  }

  std::uint8_t byte() {
    if (in_.empty()) {
      surprise();
      return kNull;
    }
    const auto byte = static_cast<std::uint8_t>(in_.front());
    in_.remove_prefix(1);
    return byte;
  }

  std::uint32_t number(std::size_t width) {
    std::uint32_t number = 0;
    for (; width > 0; --width) number = number << 8 | byte();
    return number;
  }

  void drop(std::size_t bytes) {
    if (bytes > in_.size()) return surprise();
    in_.remove_prefix(bytes);
  }

  void sized(std::optional<std::string_view>& field, Format format8, Format format32) {
    const std::uint8_t format = next();
    if (format == kNull) return;
    if (format != format8 && format != format32) return surprise();
    const std::uint32_t size = number(format == format8 ? 1 : 4);
    if (size > in_.size()) return surprise();
    field = in_.substr(0, size);
    in_.remove_prefix(size);
  }

  static bool ascii(std::string_view text) {
    std::uint8_t seen = 0;
    for (const char c : text) seen = static_cast<std::uint8_t>(seen | static_cast<std::uint8_t>(c));
    return seen < 0x80;
  }

  void surprise() {
    surprised_ = true;
    left_ = 0;
    in_ = {};
  }

  std::string_view in_;
  std::string_view after_{};
  std::uint32_t left_ = 0;
  bool surprised_ = false;
};

}  // namespace jobmill::amqp
