// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/container_init.h"

#include <cstddef>

// JOBMILL_CONTAINER_INIT is the path of the executable, which the build makes before this file.
// Part of us, so that a server that is one file, or a part of an application, has it too.
asm(".pushsection .rodata\n"
    ".global jobmill_container_init\n"
    ".global jobmill_container_init_end\n"
    "jobmill_container_init:\n"
    ".incbin \"" JOBMILL_CONTAINER_INIT
    "\"\n"
    "jobmill_container_init_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char jobmill_container_init[];
extern const char jobmill_container_init_end[];
}

namespace jobmill::targets {

std::string_view container_init() {
  return {jobmill_container_init,
          static_cast<std::size_t>(jobmill_container_init_end - jobmill_container_init)};
}

}  // namespace jobmill::targets
