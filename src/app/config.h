// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "base/result.h"
#include "jobmill/server.h"

namespace jobmill::app {

// One setting of `jobmill serve`: the flag --name, the variable JOBMILL_NAME and the key `name` of
// the --config file are the same thing; flag > environment > file > default.
struct Setting {
  const char* name;             // "log-format"
  const char* short_name = "";  // "f"
  const char* value;            // as in Flag
  const char* help;
  Status (*set)(ServerOptions& options, const std::vector<std::string>& values);
};

std::span<const Setting> settings();
std::vector<Flag> serve_flags();

// `environment` answers "" for what is not set. InvalidArgument with the place ("--http",
// "JOBMILL_HTTP", "jobmill.yaml:3") and the way out.
Result<ServerOptions> server_options(const Arguments& arguments,
                                     const std::function<std::string(const char*)>& environment);

// "127.0.0.1:8000" -> whether only this machine reaches it.
bool is_loopback(const std::string& address);

}  // namespace jobmill::app
