// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "api/route.h"

namespace jobmill::api {

// POST /v1/workers/{id}/claim: answers as soon as there are jobs, or when its wait is over.
void claim(ApiContext& context, Call call);

}  // namespace jobmill::api
