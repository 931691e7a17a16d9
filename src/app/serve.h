// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

#include "app/command_line.h"
#include "jobmill/server.h"

namespace jobmill::app {

// `jobmill serve`: reads flags, environment and file, runs the server until SIGTERM or SIGINT and
// returns the exit code. Prints the ready line on stdout; `ready` may print more after it, and
// `prepare` may change what was read.
int serve_until_signal(const Arguments& arguments,
                       const std::function<void(const Server&)>& ready = {},
                       const std::function<void(ServerOptions&)>& prepare = {});

// The exit code for what Server's constructor threw.
int exit_of(std::string_view error_code);

}  // namespace jobmill::app
