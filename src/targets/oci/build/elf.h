// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// Programs and libraries as the dynamic loader sees them. Only what a 64-bit Linux has: ELF64,
// little endian. Files are foreign: nothing in them is believed before it is compared with their
// size.
namespace jobmill::targets {

// What a program or a library needs to be loaded.
struct ElfNeeds {
  std::uint16_t machine = 0;     // EM_X86_64, EM_AARCH64, …
  std::string interpreter = {};  // the dynamic loader; empty: a library, or linked statically
  std::vector<std::string> libraries = {};  // DT_NEEDED, in their order
  std::vector<std::string> folders = {};    // RUNPATH, else RPATH; may begin with $ORIGIN
};

// InvalidArgument: it is no such file, or it contradicts itself.
Result<ElfNeeds> read_elf(std::string_view file);

// The same program without what only debuggers and linkers read: all behind the last byte that is
// loaded, and the table of sections.
Result<std::string> strip_elf(std::string_view file);

}  // namespace jobmill::targets
