// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "api/route.h"

namespace jobmill::api {

// What container images mean on this machine, as far as it was said while the server runs:
//   PUT /v1/images {"match": "*/shop:*", "workdir": "/srv/shop", "command": ["python", "shop.py"],
//                   "env": {"A": "b"}, "runner": "process"}
//   GET /v1/images        DELETE /v1/images?match=*/shop:*
std::span<const Route> image_routes();

}  // namespace jobmill::api
