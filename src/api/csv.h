// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace jobmill::api {

// One line of a table (RFC 4180), with its line break. A cell that a spreadsheet would take for a
// formula begins with an apostrophe: what is in it came from anybody.
std::string csv_line(std::initializer_list<std::string_view> cells);

}  // namespace jobmill::api
