// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::app {

// Tells systemd (sd_notify's protocol: a datagram to $NOTIFY_SOCKET). Nothing without one.
void notify_supervisor(std::string_view state);

}  // namespace jobmill::app
