// SPDX-License-Identifier: Apache-2.0
#include "amqp/value.h"

#include <algorithm>

namespace jobmill::amqp {
namespace {

template <class Wanted>
struct AsNumber {
  template <class T>
  std::optional<Wanted> operator()(const T& number) const {
    if constexpr (std::is_same_v<T, Timestamp>) {
      return (*this)(number.ms);
    } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (std::in_range<Wanted>(number)) return static_cast<Wanted>(number);
      return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
};

void set(Map& map, std::string_view text, Value key, Value value) {
  const auto same = [&](const MapEntry& entry) { return entry.key.text() == text; };
  const auto it = std::find_if(map.begin(), map.end(), same);
  if (it == map.end())
    map.push_back({std::move(key), std::move(value)});
  else
    *it = {std::move(key), std::move(value)};
}

}  // namespace

bool Array::operator==(const Array& other) const {
  return items == other.items && (!items.empty() || constructor == other.constructor);
}

Value::Value(Described described)
    : data_(std::make_shared<const Described>(std::move(described))) {}

std::optional<std::int64_t> Value::integer() const {
  return std::visit(AsNumber<std::int64_t>{}, data_);
}

std::optional<std::uint64_t> Value::unsigned_integer() const {
  return std::visit(AsNumber<std::uint64_t>{}, data_);
}

std::optional<std::string_view> Value::text() const {
  if (const auto* string = as<std::string>()) return *string;
  if (const auto* symbol = as<Symbol>()) return symbol->text;
  return std::nullopt;
}

std::optional<bool> Value::boolean() const {
  if (const bool* flag = as<bool>()) return *flag;
  return std::nullopt;
}

const Described* Value::described() const {
  const auto* described = as<std::shared_ptr<const Described>>();
  return described ? described->get() : nullptr;
}

const Value& Value::undescribed() const {
  const Value* value = this;
  while (const Described* described = value->described()) value = &described->value;
  return *value;
}

bool Value::operator==(const Value& other) const {
  const Described* mine = described();
  const Described* theirs = other.described();
  if (mine && theirs)  // the variant would compare the pointers
    return mine->descriptor == theirs->descriptor && mine->value == theirs->value;
  return data_ == other.data_;
}

const Value* find(const Map& map, std::string_view key) {
  for (const MapEntry& entry : map)
    if (entry.key.text() == key) return &entry.value;
  return nullptr;
}

void set_symbol(Map& map, std::string_view key, Value value) {
  set(map, key, Symbol{std::string(key)}, std::move(value));
}

void set_string(Map& map, std::string_view key, Value value) {
  set(map, key, std::string(key), std::move(value));
}

}  // namespace jobmill::amqp
