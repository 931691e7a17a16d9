// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace jobmill {

// Unguessable bytes from the kernel. Cannot fail once the system is up; if the kernel refuses all
// the same, the process ends, since nothing sound can be done without them.
void fill_random(std::span<std::byte> bytes);

}  // namespace jobmill
