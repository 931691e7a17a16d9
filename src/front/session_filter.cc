// SPDX-License-Identifier: Apache-2.0
#include "front/session_filter.h"

#include <utility>

#include "broker/message.h"

namespace jobmill::front {
namespace {

constexpr std::string_view kFilter = "com.microsoft:session-filter";

}  // namespace

Result<std::optional<SessionFilter>> session_filter(const std::optional<amqp::Source>& source) {
  std::optional<SessionFilter> filter;
  const amqp::Value* value = source ? amqp::find(source->filter, kFilter) : nullptr;
  if (value == nullptr) return filter;
  const amqp::Value& id = value->undescribed();
  if (!id.null() && !id.text())
    return fail(Code::InvalidArgument, "The session filter is neither a text nor null.");
  TRY_VOID(broker::check_id("The session id", id.text().value_or("")));
  filter.emplace();
  if (const auto text = id.text()) filter->id = std::string(*text);
  return filter;
}

void set_session(amqp::Source& source, std::string_view id) {
  for (amqp::MapEntry& entry : source.filter) {
    if (entry.key.text() != kFilter) continue;
    const amqp::Described* described = entry.value.described();
    entry.value = described == nullptr
                      ? amqp::Value(id)
                      : amqp::Value(amqp::Described{described->descriptor, amqp::Value(id)});
  }
}

void drop_other_filters(amqp::Source& source) {
  std::erase_if(source.filter,
                [](const amqp::MapEntry& entry) { return entry.key.text() != kFilter; });
}

std::int64_t dotnet_ticks(TimePoint at) {
  constexpr std::int64_t kUnixEpoch = 621'355'968'000'000'000;
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch());
  return ms.count() * 10'000 + kUnixEpoch;
}

}  // namespace jobmill::front
