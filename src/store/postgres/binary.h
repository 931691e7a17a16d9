// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/clock.h"

namespace jobmill::postgres {

// The server's binary formats: integers in network order, instants in microseconds since 2000.

template <std::integral T>
void store_integer(char* at, T value) {
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  for (std::size_t i = sizeof(T); i-- > 0;) {
    at[i] = static_cast<char>(bits & 0xff);
    if constexpr (sizeof(T) > 1) bits = static_cast<std::make_unsigned_t<T>>(bits >> 8);
  }
}

template <std::integral T>
void append_integer(std::string& out, T value) {
  char bytes[sizeof(T)];
  store_integer(bytes, value);
  out.append(bytes, sizeof(T));
}

template <std::integral T>
T load_integer(const char* at) {
  std::make_unsigned_t<T> bits = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    if constexpr (sizeof(T) > 1) bits = static_cast<std::make_unsigned_t<T>>(bits << 8);
    bits = static_cast<std::make_unsigned_t<T>>(bits | static_cast<unsigned char>(at[i]));
  }
  return static_cast<T>(bits);
}

inline constexpr std::int64_t kEpoch = 946'684'800'000'000;  // 2000-01-01T00:00:00Z
inline constexpr std::int64_t kInfinity = std::numeric_limits<std::int64_t>::max();
inline constexpr std::int64_t kMinusInfinity = std::numeric_limits<std::int64_t>::min();

// The ends of TimePoint are the server's infinities.
inline std::int64_t to_timestamp(TimePoint at) {
  const std::int64_t count = at.time_since_epoch().count();
  if (count == kInfinity) return kInfinity;
  return count < kMinusInfinity + kEpoch ? kMinusInfinity : count - kEpoch;
}

inline TimePoint from_timestamp(std::int64_t value) {
  if (value > kInfinity - kEpoch) return TimePoint::max();
  return value == kMinusInfinity ? TimePoint::min() : TimePoint(Duration(value + kEpoch));
}

}  // namespace jobmill::postgres
