// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "api/route.h"

namespace jobmill::api {

std::span<const Route> audit_routes();  // /api/audit
std::span<const Route> oidc_routes();   // /oidc

}  // namespace jobmill::api
