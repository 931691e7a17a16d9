// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "postgres_rig.h"
#include "store/postgres/connection.h"

namespace jobmill::postgres {

// For tests: connections that must work.
inline Connection connect(const std::string& url, const ConnectOptions& options = {}) {
  const auto parsed = Url::parse(url);
  REQUIRE(parsed);
  auto connection = Connection::open(*parsed, options);
  REQUIRE_MESSAGE(connection, (connection ? "" : connection.error().message));
  return *std::move(connection);
}

inline Fault refusal(const std::string& url, const ConnectOptions& options = {}) {
  const auto parsed = Url::parse(url);
  REQUIRE(parsed);
  auto connection = Connection::open(*parsed, options);
  REQUIRE_FALSE(connection);
  return std::move(connection).error();
}

inline bool mentions(const Fault& fault, std::string_view text) {
  return fault.message.find(text) != std::string::npos;
}

}  // namespace jobmill::postgres
