// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/hex.h"
#include "base/result.h"
#include "broker/entity.h"

// How the documents about queues write what JSON and XML have no form for. Atom and Azure Resource
// Manager share these words.
namespace jobmill::api {

// "Active", "Disabled", "SendDisabled", "ReceiveDisabled". InvalidArgument names them.
std::string_view status_text(broker::EntityStatus status);
Result<broker::EntityStatus> parse_status(std::string_view text);

// ISO 8601. No limit is the longest duration that .NET knows; it comes back rounded from some
// clients, so that everything from its days on means never.
std::string limit_text(const std::optional<Duration>& limit);
Result<std::optional<Duration>> parse_limit(std::string_view text);
Result<Duration> parse_finite(std::string_view text);

// "Send", "Listen", "Manage".
std::string_view right_text(broker::Right right);
Result<broker::Right> parse_right(std::string_view text);

// A lock token or UUID: "01234567-89ab-cdef-0123-456789abcdef".
template <class Bytes>
std::string uuid_text(const Bytes& bytes) {
  return jobmill::uuid_text(std::as_bytes(std::span(bytes)));
}

}  // namespace jobmill::api
