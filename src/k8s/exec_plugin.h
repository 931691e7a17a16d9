// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"
#include "k8s/config.h"

namespace jobmill::k8s {

// What a plugin hands out.
struct ExecCredential {
  Secret token;
  std::string client_cert;  // PEM
  Secret client_key;
  std::optional<TimePoint> expires;
};

// Reads what a plugin of that apiVersion printed. Messages never quote it.
Result<ExecCredential> parse_exec_credential(std::string_view text, std::string_view api_version);

// Runs the plugin of `config` and waits for its end: blocks for up to `limit`, after which it is
// killed. PermissionDenied: it fails; the message ends with what it wrote to stderr.
Result<ExecCredential> run_exec_plugin(const Config& config, Duration limit);

}  // namespace jobmill::k8s
