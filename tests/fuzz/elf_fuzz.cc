// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "targets/oci/build/elf.h"

// Whatever can be read can be stripped, and then says the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace jobmill::targets;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto elf = read_elf(file);
  if (!elf) return 0;
  const auto stripped = strip_elf(file);
  if (!stripped || stripped->size() > size) std::abort();
  return 0;
}
