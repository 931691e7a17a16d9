// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace jobmill::api {

// {"error":{"code":"ResourceNotFound","message":"…"}}: how Azure Resource Manager says why not, so
// that its clients show the reason.
http::Response arm_error(int status, std::string_view code, std::string_view message);
http::Response arm_error(const Fault& error);

}  // namespace jobmill::api
