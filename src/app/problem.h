// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/document.h"

namespace jobmill::app {

// Why a command failed without an answer of the server, as an RFC 9457 object: {type, title,
// detail, code}. It has no status, as there was no HTTP.
Node client_problem(int exit, std::string_view detail);

}  // namespace jobmill::app
