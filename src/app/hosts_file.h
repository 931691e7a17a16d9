// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace jobmill::app {

// Lines to be added to a hosts file, so that the names lead to this machine: those that it does not
// have yet. Begins with a line break when the file's last line is not finished.
std::string missing_hosts(std::string_view file, const std::vector<std::string>& names);

}  // namespace jobmill::app
