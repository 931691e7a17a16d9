// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "api/route.h"

namespace jobmill::api {

// What the pages about messages ask for: /api/messages. Namespaces and entities with their counts,
// messages by peek, and actions on all that match a filter, as operations.
std::span<const Route> message_page_routes();

}  // namespace jobmill::api
