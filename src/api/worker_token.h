// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace jobmill::api {

// What a worker gets with its registration: it may speak for this worker, until the server's key
// changes. Checking it costs one HMAC, where a password costs a slow hash.
std::string worker_token(std::string_view key, std::string_view worker_id);

// The worker's id; none if the token was not signed by this key.
std::optional<std::string> verify_worker_token(std::string_view key, std::string_view token);

}  // namespace jobmill::api
