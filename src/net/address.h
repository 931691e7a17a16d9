// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::net {

struct Address {
  std::string host;  // without brackets; "127.0.0.1" when the text names none
  std::uint16_t port = 0;
};

// "127.0.0.1:8000", "[::1]:8000", "localhost:8000", ":0" (loopback). InvalidArgument otherwise.
Result<Address> parse_address(std::string_view text);

std::string format_address(std::string_view host, std::uint16_t port);  // brackets around IPv6

// localhost, names below it (RFC 6761), 127.0.0.0/8 and ::1. Without brackets and port.
bool is_loopback(std::string_view host);

// "jobmill (pid 4711)": who listens on this TCP port, as far as /proc tells us.
std::optional<std::string> listening_process(std::uint16_t port);

}  // namespace jobmill::net
