// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "api/event_hub.h"
#include "api/route.h"

namespace jobmill::api {

// What GET of this target answers, asked from within, with the right to read: where the events of
// EventHub get their values from. On the loop thread; `answered` is called once, on any.
void fetch(ApiContext& context, const std::string& target, EventHub::Answered answered);

}  // namespace jobmill::api
