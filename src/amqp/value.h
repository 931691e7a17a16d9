// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace jobmill::amqp {

// The types of AMQP 1.0 (OASIS standard, part 1). Texts and bytes are owned: a Value outlives the
// buffer it was read from. What must stay as the sender wrote it is not decoded at all but kept as
// raw sections, see message.h.

struct Symbol {
  std::string text;
  bool operator==(const Symbol&) const = default;
};

struct Binary {
  std::string bytes;
  bool operator==(const Binary&) const = default;
};

// In network order, as RFC 4122 prints it.
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const Uuid&) const = default;
};

struct Timestamp {
  std::int64_t ms = 0;  // since 1970-01-01T00:00:00Z
  bool operator==(const Timestamp&) const = default;
};

struct Char {
  char32_t code = 0;
  bool operator==(const Char&) const = default;
};

// decimal32, decimal64 or decimal128 by the number of bytes; passed through, not understood.
struct Decimal {
  std::string bytes;
  bool operator==(const Decimal&) const = default;
};

class Value;
struct MapEntry;
struct Described;
using List = std::vector<Value>;
using Map = std::vector<MapEntry>;  // in the order of the wire

// All items have the type of the first one (ulong and the like in their full width). An empty
// array says its type by `constructor`, the format code of part 1, section 1.6; 0: by the items.
// Described items all have the descriptor of the first one.
struct Array {
  List items;
  std::uint8_t constructor = 0;
  bool operator==(const Array&) const;
};

class Value {
 public:
  using Data = std::variant<std::monostate, bool, std::uint8_t, std::uint16_t, std::uint32_t,
                            std::uint64_t, std::int8_t, std::int16_t, std::int32_t, std::int64_t,
                            float, double, Decimal, Char, Timestamp, Uuid, Binary, std::string,
                            Symbol, List, Map, Array, std::shared_ptr<const Described>>;

  Value() = default;  // null
  template <class T>
  requires(std::is_constructible_v<Data, T&&> && !std::is_same_v<std::remove_cvref_t<T>, Value> &&
           !std::is_convertible_v<T&&, std::string_view>) Value(T&& data)
      : data_(std::forward<T>(data)) {}
  Value(std::string text);
  Value(std::string_view text);
  Value(const char* text);
  Value(Described described);

  bool null() const { return data_.index() == 0; }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  template <class T>
  T* as() {
    return std::get_if<T>(&data_);
  }
  // Any integer type or timestamp that holds the number; senders differ in the width they choose.
  std::optional<std::int64_t> integer() const;
  std::optional<std::uint64_t> unsigned_integer() const;
  std::optional<std::string_view> text() const;  // of a string or a symbol
  std::optional<bool> boolean() const;
  const Described* described() const;
  const Value& undescribed() const;  // itself, or what a descriptor describes

  const Data& data() const { return data_; }
  bool operator==(const Value&) const;

 private:
  Data data_;
};

struct MapEntry {
  Value key;
  Value value;
  bool operator==(const MapEntry&) const = default;
};

struct Described {
  Value descriptor;  // a ulong or a symbol
  Value value;
};

// Here, since a map's entries must be known.
inline Value::Value(std::string text) : data_(std::move(text)) {}
inline Value::Value(std::string_view text) : data_(std::string(text)) {}
inline Value::Value(const char* text) : data_(std::string(text)) {}

// The value under a key that is a string or a symbol of this text; null when there is none.
const Value* find(const Map& map, std::string_view key);
// Replaces or appends. The key is written as a symbol.
void set_symbol(Map& map, std::string_view key, Value value);
void set_string(Map& map, std::string_view key, Value value);

}  // namespace jobmill::amqp
