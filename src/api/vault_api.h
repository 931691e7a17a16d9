// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "api/route.h"

namespace jobmill::api {

// Secrets of key vaults, as far as jobs of this server refer to them. Values go in and never out:
//   PUT /v1/vault-secrets {"url": "https://v.vault.azure.net/secrets/s", "value": "…"}
//   GET /v1/vault-secrets        DELETE /v1/vault-secrets?url=…
std::span<const Route> vault_routes();

}  // namespace jobmill::api
