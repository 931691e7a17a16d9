// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::targets {

// The program that is the first process of every container (init/main.cc), linked statically: the
// bytes of an executable file.
std::string_view container_init();

}  // namespace jobmill::targets
