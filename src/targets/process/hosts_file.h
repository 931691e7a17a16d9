// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace jobmill::targets {

// Whether the text of a hosts file leads this name to this machine, and nowhere else.
bool leads_here(std::string_view hosts, std::string_view name);

// The same text, in which these names lead to 127.0.0.1, whatever it said of them before.
std::string with_local_names(std::string_view hosts, const std::vector<std::string>& names);

// Whether the machine's own resolver leads the name here, and nowhere else. May ask a server.
bool resolves_here(const std::string& name);

}  // namespace jobmill::targets
