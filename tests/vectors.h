// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"

namespace jobmill::testing {

// The array `array` of JOBMILL_VECTORS/<file> (default: tests/vectors), for example
// ("jobs/cron_next.json"). Fails the running test, and never skips it, when the file is missing,
// unreadable or holds another number of vectors than its `count` says. Prints how many it has.
std::vector<Node> vectors(std::string_view file, std::string_view array = "vectors");

// Members of a vector. `text` and `number` fail the test when the member is missing.
std::string text(const Node& node, std::string_view key);
std::string text_or(const Node& node, std::string_view key, std::string_view fallback);
double number(const Node& node, std::string_view key);
bool flag(const Node& node, std::string_view key);  // missing = false
const Node& member(const Node& node, std::string_view key);
bool has(const Node& node, std::string_view key);  // present and not null

}  // namespace jobmill::testing
