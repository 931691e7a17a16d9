// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "amqp/performatives.h"
#include "base/clock.h"
#include "base/result.h"

namespace jobmill::front {

// The filter by which a receiver asks for a message session.
struct SessionFilter {
  std::optional<std::string> id{};  // nullopt: the next one that is free
};
// Nothing when the source has no such filter. InvalidArgument: neither a text nor null.
Result<std::optional<SessionFilter>> session_filter(const std::optional<amqp::Source>& source);

// Writes the session that was found into the source of the answer. The filter stays described, or
// not, as it came: Go refuses the one, JavaScript misreads the other.
void set_session(amqp::Source& source, std::string_view id);

// An answer names the filters that are in force (part 3, section 3.5.3): no other is.
void drop_other_filters(amqp::Source& source);

// What com.microsoft:locked-until-utc counts: 100 ns since the year 1.
std::int64_t dotnet_ticks(TimePoint at);

}  // namespace jobmill::front
