// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"

namespace jobmill::app {

// How often lastActiveTime alone is worth a write.
inline constexpr Duration kActivityStep = std::chrono::seconds(30);

// What has to be merged into the status of an object so that it says what it should: only what
// differs, so an idle object is not written. A condition that says the same keeps its time.
// `later`: nothing but lastActiveTime differs, and that is too young; look again then.
struct StatusPatch {
  std::optional<Node> patch{};
  std::optional<Duration> later{};
};
StatusPatch status_patch(const Node* present, const Node& wanted);

// A condition of a status; null: it has none.
const Node* condition_of(const Node* status, std::string_view type);

// The conditions of an object that cannot be used.
Node refused_status(std::string_view kind, const std::string& why, TimePoint now);

}  // namespace jobmill::app
