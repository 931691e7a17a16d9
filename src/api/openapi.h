// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill::api {

// docs/openapi.yaml, which is a part of the program.
std::string_view openapi_yaml();

// The same as JSON, as it is served.
const std::string& openapi_json();

}  // namespace jobmill::api
