// SPDX-License-Identifier: Apache-2.0
#include "api/queue_text.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill::api {
namespace {

using broker::EntityStatus;
using broker::Right;

constexpr char kNever[] = "P10675199DT2H48M5.4775807S";
constexpr std::int64_t kNeverSeconds = 10'675'199LL * 86'400;

constexpr std::array<std::string_view, 4> kStatus{"Active", "Disabled", "SendDisabled",
                                                  "ReceiveDisabled"};

Fault wrong(std::string_view text, std::string_view wish) {
  return fail(Code::InvalidArgument, fmt::format("'{}' is not {}", text, wish));
}

}  // namespace

std::string_view status_text(EntityStatus status) {
  return kStatus.at(static_cast<std::size_t>(status));
}

Result<EntityStatus> parse_status(std::string_view text) {
  const auto found = std::ranges::find(kStatus, text);
  if (found == kStatus.end())
    return wrong(text, "Active, Disabled, SendDisabled or ReceiveDisabled");
  return static_cast<EntityStatus>(found - kStatus.begin());
}

std::string limit_text(const std::optional<Duration>& limit) {
  return limit ? format_iso(*limit) : std::string(kNever);
}

Result<std::optional<Duration>> parse_limit(std::string_view text) {
  const auto parsed = parse_iso_duration(text);
  if (!parsed || parsed->negative()) return wrong(text, "a duration like PT1M");
  if (parsed->seconds >= kNeverSeconds) return std::optional<Duration>();
  return std::optional(to_duration(*parsed));
}

Result<Duration> parse_finite(std::string_view text) {
  TRY(const auto limit, parse_limit(text));
  if (!limit) return wrong(text, "a finite duration");
  return *limit;
}

std::string_view right_text(Right right) {
  switch (right) {
    case Right::Send:
      return "Send";
    case Right::Listen:
      return "Listen";
    case Right::Manage:
      return "Manage";
  }
  return "";
}

Result<Right> parse_right(std::string_view text) {
  for (const Right right : {Right::Send, Right::Listen, Right::Manage})
    if (text == right_text(right)) return right;
  return wrong(text, "Send, Listen or Manage");
}

}  // namespace jobmill::api
