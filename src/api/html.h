// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill::api {

// Text for an element or a quoted attribute of a page.
std::string html_escaped(std::string_view text);

}  // namespace jobmill::api
